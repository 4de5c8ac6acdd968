//! [`ScaleRules`]: how a kind's objects look through `scale`, for built-in and custom kinds alike.
//!
//! A write through `scale` is: [`ScaleRules::current`] (the Scale to patch, or to compare a sent one with),
//! [`super::begin_update`] on the two Scales for field ownership, [`ScaleRules::apply`], then
//! [`super::finish_update`] on the parent.

use serde_json::{Value, json};

use super::target::{Context, Target};
use crate::apply::{parent_managers, scale_managers};
use crate::field::{ErrorList, Path};
use crate::selector::LabelSelector;
use crate::status::{Failure, Status};
use crate::types::{conform, lookup};
use crate::view::{Edit, View};

/// Replicas of a Scale whose parent has none: a write must set them.
const UNSET: i64 = i32::MIN as i64;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Selector {
    /// A text at this path, or none.
    Text(Option<Vec<String>>),
    /// A LabelSelector in `spec.selector`.
    Labels,
    /// A map in `spec.selector`.
    Map,
}

/// Where a kind keeps what a Scale shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScaleRules {
    api_version: String,
    spec: Vec<String>,
    status: Vec<String>,
    selector: Selector,
    /// Path of the replicas at each version of the kind.
    paths: Vec<(String, Option<Vec<String>>)>,
    custom: bool,
}

fn steps(path: &str) -> Vec<String> {
    path.trim_start_matches('.').split('.').map(str::to_owned).collect()
}

impl ScaleRules {
    /// The rules of a built-in kind; `None` when it has no scale.
    pub fn builtin(group: &str, version: &str, kind: &str) -> Option<ScaleRules> {
        let selector = match (group, kind) {
            ("apps", "Deployment" | "ReplicaSet" | "StatefulSet") => Selector::Labels,
            ("", "ReplicationController") => Selector::Map,
            _ => return None,
        };
        let api_version = crate::kinds::api_version(group, version);
        let spec = steps(".spec.replicas");
        Some(ScaleRules {
            paths: vec![(api_version.clone(), Some(spec.clone()))],
            api_version,
            spec,
            status: steps(".status.replicas"),
            selector,
            custom: false,
        })
    }

    /// The rules of a custom kind: JSONPaths with a leading dot (an empty selector path means none), and the path of
    /// the replicas at each version.
    pub fn custom(
        api_version: &str,
        spec: &str,
        status: &str,
        selector: &str,
        paths: Vec<(String, Option<Vec<String>>)>,
    ) -> ScaleRules {
        ScaleRules {
            api_version: api_version.to_owned(),
            spec: steps(spec),
            status: steps(status),
            selector: Selector::Text((!selector.is_empty()).then(|| steps(selector))),
            paths,
            custom: true,
        }
    }

    /// What requests about the Scale of this resource are about.
    pub fn target<'a>(parent: &Target<'a>) -> Option<Target<'a>> {
        Some(Target {
            group: "autoscaling",
            version: "v1",
            kind: "Scale",
            resource: parent.resource,
            namespaced: parent.namespaced,
            custom: false,
            of: lookup("autoscaling", "v1", "Scale")?,
            schema: None,
        })
    }

    /// The Scale of an object.
    ///
    /// # Errors
    /// 500 when a custom object has no replicas, or something else in their place.
    pub fn get(&self, parent: &Value) -> Result<Value, Failure> {
        let (scale, found) = self.scale(parent)?;
        if found || !self.custom {
            return Ok(scale);
        }
        let path = self.dotted(&self.spec);
        Err(Status::internal(&format!("the spec replicas field \"{path}\" does not exist")))
    }

    /// The Scale that a write starts from, with the owners of the replicas.
    ///
    /// # Errors
    /// As [`ScaleRules::get`], but absent replicas are no error.
    pub fn current(&self, parent: &Value) -> Result<Value, Failure> {
        let (mut scale, found) = self.scale(parent)?;
        if !found && self.custom {
            scale["spec"]["replicas"] = UNSET.into();
        }
        let managed = scale_managers(parent.at("metadata").at("managedFields"), &self.paths);
        if managed.as_array().is_some_and(|m| !m.is_empty()) {
            scale["metadata"]["managedFields"] = managed;
        }
        Ok(scale)
    }

    /// The parent with a Scale written into it.
    ///
    /// # Errors
    /// 422 for a malformed Scale, 400 when a custom object gets no replicas.
    pub fn apply(&self, parent: &Value, scale: &Value, context: &Context<'_>) -> Result<Value, Failure> {
        let replicas = scale.at("spec").int("replicas").unwrap_or(0);
        if self.custom && replicas == UNSET {
            let path = self.dotted(&self.spec);
            return Err(Status::bad_request(format!("the spec replicas field \"{path}\" cannot be empty")));
        }
        if !self.custom {
            let mut errors = ErrorList::new();
            crate::validate::scale(scale, &mut errors);
            if !errors.is_empty() {
                return Err(Status::invalid("autoscaling", "Scale", context.name, &errors));
            }
        }
        let mut out = parent.clone();
        if !put(&mut out, &self.spec, replicas.into()) {
            let path = self.dotted(&self.spec);
            return Err(Status::internal(&format!(
                "value cannot be set because {path} is not below objects"
            )));
        }
        let managed = parent_managers(
            parent.at("metadata").at("managedFields"),
            scale.at("metadata").at("managedFields"),
            &self.api_version,
            &self.paths,
        );
        if let Some(metadata) = out.object("metadata") {
            let version = scale.at("metadata").text("resourceVersion");
            if !version.is_empty() {
                metadata.put("resourceVersion", version);
            }
            metadata.put("managedFields", managed);
        }
        Ok(out)
    }

    /// Findings about the replicas and selector of a custom object; `spec`: also about those asked for.
    pub(crate) fn check(&self, object: &Value, spec: bool, errors: &mut ErrorList) {
        let mut replicas = |path: &[String]| {
            let name = self.dotted(path);
            let at = Path::new(&name);
            match integer(object, path) {
                Err(why) => errors.invalid_text(&at, "0", why),
                Ok(Some(n)) if n < 0 => errors.invalid(&at, &n.into(), "should be a non-negative integer"),
                Ok(Some(n)) if n > i64::from(i32::MAX) => {
                    errors.invalid(&at, &n.into(), format!("should be less than or equal to {}", i32::MAX));
                }
                Ok(_) => {}
            }
        };
        if spec {
            replicas(&self.spec);
        }
        replicas(&self.status);
        if let Selector::Text(Some(path)) = &self.selector
            && let Err(why) = nested(object, path, "string", |v| v.as_str().map(str::to_owned))
        {
            errors.invalid_str(&Path::new(&self.dotted(path)), "", why);
        }
    }

    fn dotted(&self, path: &[String]) -> String {
        format!(".{}", path.join("."))
    }

    fn scale(&self, parent: &Value) -> Result<(Value, bool), Failure> {
        let internal = |why: String| Status::internal(&why);
        let wanted = integer(parent, &self.spec).map_err(internal)?;
        let actual = integer(parent, &self.status).map_err(internal)?;
        let metadata = parent.at("metadata");
        let mut scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {},
            "spec": {"replicas": wanted.unwrap_or(0)},
            "status": {"replicas": actual.unwrap_or(0), "selector": self.selector(parent).map_err(internal)?}});
        for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            if metadata.has(name) {
                scale["metadata"][name] = metadata.at(name).clone();
            }
        }
        if let Some(of) = lookup("autoscaling", "v1", "Scale") {
            conform(&mut scale, of).map_err(|error| Status::internal(&error.to_string()))?;
        }
        Ok((scale, wanted.is_some()))
    }

    fn selector(&self, parent: &Value) -> Result<String, String> {
        let selector = parent.at("spec").at("selector");
        Ok(match &self.selector {
            Selector::Text(None) => String::new(),
            Selector::Text(Some(path)) => {
                nested(parent, path, "string", |v| v.as_str().map(str::to_owned))?.unwrap_or_default()
            }
            Selector::Labels => {
                LabelSelector::from_object(selector).map(|s| s.to_string()).unwrap_or_default()
            }
            Selector::Map => LabelSelector::from_object(&json!({"matchLabels": selector}))
                .map(|s| s.to_string())
                .unwrap_or_default(),
        })
    }
}

fn integer(object: &Value, path: &[String]) -> Result<Option<i64>, String> {
    nested(object, path, "int64", Value::as_i64)
}

/// The value at a path, if all of it is there; `Err` when something else stands there.
fn nested<T>(
    object: &Value,
    path: &[String],
    wanted: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>, String> {
    let go_type = |value: &Value| match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    let complain = |depth: usize, value: &Value, wanted: &str| {
        let at = path[..depth].join(".");
        let shown = crate::patch::go_value(value);
        format!(".{at} accessor error: {shown} is of the type {}, expected {wanted}", go_type(value))
    };
    let mut at = object;
    for (depth, name) in path.iter().enumerate() {
        let Some(map) = at.as_object() else {
            return Err(complain(depth, at, "map[string]interface{}"));
        };
        match map.get(name) {
            Some(inner) => at = inner,
            None => return Ok(None),
        }
    }
    read(at).map(Some).ok_or_else(|| complain(path.len(), at, wanted))
}

/// Sets the value at a path, making the maps on the way; false when something else stands there.
fn put(object: &mut Value, path: &[String], value: Value) -> bool {
    let Some((last, parents)) = path.split_last() else { return false };
    let mut at = object;
    for name in parents {
        match at.object(name) {
            Some(inner) => at = inner,
            None => return false,
        }
    }
    at.put(last, value);
    at.is_object()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> ScaleRules {
        let paths = vec![("e/v1".to_owned(), Some(steps(".spec.n")))];
        ScaleRules::custom("e/v1", ".spec.n", ".status.n", ".status.sel", paths)
    }

    #[test]
    fn custom_scales() {
        let object = json!({"metadata":{"name":"x"},"spec":{"n":3},"status":{"sel":"a=b"}});
        let scale = rules().get(&object).unwrap();
        assert_eq!(
            (&scale["spec"], &scale["status"]),
            (&json!({"replicas":3}), &json!({"replicas":0,"selector":"a=b"}))
        );
        let mut asked = scale;
        asked["spec"]["replicas"] = 9.into();
        let after = rules().apply(&object, &asked, &Context::default()).unwrap();
        assert_eq!(after["spec"]["n"], 9);
        let absent = json!({"metadata":{"name":"x"},"spec":{}});
        assert_eq!(
            rules().get(&absent).unwrap_err().message,
            "Internal error occurred: the spec replicas field \".spec.n\" does not exist"
        );
        let current = rules().current(&absent).unwrap();
        assert_eq!(rules().apply(&absent, &current, &Context::default()).unwrap_err().code, 400);
    }

    #[test]
    fn malformed_replicas() {
        let mut errors = ErrorList::new();
        rules().check(&json!({"spec":{"n":-7},"status":{"n":"x","sel":5}}), true, &mut errors);
        let found: Vec<String> = errors.iter().map(crate::field::FieldError::message).collect();
        assert_eq!(
            found,
            [
                ".spec.n: Invalid value: -7: should be a non-negative integer",
                ".status.n: Invalid value: 0: .status.n accessor error: x is of the type string, expected int64",
                ".status.sel: Invalid value: \"\": .status.sel accessor error: 5 is of the type int64, expected string"
            ]
        );
    }

    #[test]
    fn builtin_scales() {
        let rules = ScaleRules::builtin("apps", "v1", "Deployment").unwrap();
        let deployment = json!({"metadata":{"name":"x"},"spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"},
            "matchExpressions":[{"key":"z","operator":"DoesNotExist"}]}}});
        let scale = rules.get(&deployment).unwrap();
        assert_eq!((&scale["spec"], &scale["status"]["selector"]), (&json!({}), &json!("a=b,!z")));
        let mut asked = scale;
        asked["spec"] = json!({"replicas":-1});
        let refused =
            rules.apply(&deployment, &asked, &Context { name: "x", ..Context::default() }).unwrap_err();
        assert_eq!(
            refused.message,
            "Scale.autoscaling \"x\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0"
        );
        assert!(ScaleRules::builtin("apps", "v1", "DaemonSet").is_none());
    }
}
