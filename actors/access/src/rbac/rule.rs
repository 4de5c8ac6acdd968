//! [`PolicyRule`]: one rule of a role, and what it lets pass.

use serde_json::{Map, Value};
use trireme_schema::view::View;

use crate::attributes::Attributes;

/// A rule of a Role or ClusterRole: every verb on every resource of every group, or on every path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRule {
    /// Verbs; `*` is any.
    pub verbs: Vec<String>,
    /// API groups; `*` is any.
    pub api_groups: Vec<String>,
    /// Resources as `pods`, `pods/log`, `*/scale`; `*` is any.
    pub resources: Vec<String>,
    /// Names the rule is limited to; empty for all.
    pub resource_names: Vec<String>,
    /// Paths, or prefixes that end in `*`.
    pub non_resource_urls: Vec<String>,
}

fn texts(value: &Value, field: &str) -> Vec<String> {
    value.list(field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|own| own == "*" || own == wanted)
}

impl PolicyRule {
    /// Reads `rbac/v1.PolicyRule`.
    pub fn from_value(value: &Value) -> Self {
        Self {
            verbs: texts(value, "verbs"),
            api_groups: texts(value, "apiGroups"),
            resources: texts(value, "resources"),
            resource_names: texts(value, "resourceNames"),
            non_resource_urls: texts(value, "nonResourceURLs"),
        }
    }

    /// The rules of a Role or ClusterRole object.
    pub fn of_role(role: &Value) -> Vec<Self> {
        role.list("rules").iter().map(Self::from_value).collect()
    }

    /// The wire form, without empty lists (verbs always).
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("verbs".to_owned(), self.verbs.clone().into());
        for (name, list) in [
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
        ] {
            if !list.is_empty() {
                map.insert(name.to_owned(), list.clone().into());
            }
        }
        Value::Object(map)
    }

    /// Whether the rule lets a request pass.
    pub fn allows(&self, attributes: &Attributes) -> bool {
        if !has(&self.verbs, &attributes.verb) {
            return false;
        }
        if !attributes.resource_request {
            return self.covers_path(&attributes.path);
        }
        has(&self.api_groups, &attributes.group)
            && self.covers_resource(&attributes.resource, &attributes.subresource)
            && (self.resource_names.is_empty() || self.resource_names.contains(&attributes.name))
    }

    fn covers_resource(&self, resource: &str, subresource: &str) -> bool {
        self.resources.iter().any(|own| {
            if own == "*" {
                return true;
            }
            match own.split_once('/') {
                None => subresource.is_empty() && own == resource,
                Some((parent, sub)) => {
                    !subresource.is_empty() && sub == subresource && (parent == resource || parent == "*")
                }
            }
        })
    }

    fn covers_path(&self, path: &str) -> bool {
        self.non_resource_urls.iter().any(|own| path_covers(own, path))
    }
}

/// Whether a path of a rule (`/a`, `/a/*`, `*`) covers another path.
pub(crate) fn path_covers(own: &str, path: &str) -> bool {
    own == path || (own.ends_with('*') && path.starts_with(own.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use serde_json::json;

    fn rule(value: Value) -> PolicyRule {
        PolicyRule::from_value(&value)
    }

    fn ask(verb: &str, group: &str, resource: &str, sub: &str, name: &str) -> Attributes {
        Attributes::resource(&Arc::default(), verb, group, "v1", resource).on(sub).named(name)
    }

    #[test]
    fn resources_and_subresources_are_apart() {
        let pods = rule(json!({"verbs":["get"],"apiGroups":[""],"resources":["pods"]}));
        assert!(pods.allows(&ask("get", "", "pods", "", "x")));
        assert!(!pods.allows(&ask("get", "", "pods", "log", "x")));
        assert!(!pods.allows(&ask("get", "apps", "pods", "", "x")));
        assert!(!pods.allows(&ask("list", "", "pods", "", "")));
        let scale = rule(json!({"verbs":["*"],"apiGroups":["*"],"resources":["*/scale"]}));
        assert!(scale.allows(&ask("get", "apps", "deployments", "scale", "x")));
        assert!(!scale.allows(&ask("get", "apps", "deployments", "", "x")));
        assert!(!scale.allows(&ask("get", "apps", "deployments", "status", "x")));
    }

    #[test]
    fn names_limit_a_rule() {
        let named =
            rule(json!({"verbs":["*"],"apiGroups":[""],"resources":["secrets"],"resourceNames":["a"]}));
        assert!(named.allows(&ask("get", "", "secrets", "", "a")));
        assert!(!named.allows(&ask("get", "", "secrets", "", "b")));
        assert!(!named.allows(&ask("list", "", "secrets", "", "")));
    }

    #[test]
    fn paths_are_exact_or_prefixes() {
        let paths = rule(json!({"verbs":["get"],"nonResourceURLs":["/healthz","/apis/*"]}));
        let path = |path: &str| Attributes::path(&Arc::default(), "get", path);
        assert!(paths.allows(&path("/healthz")));
        assert!(!paths.allows(&path("/healthz/")));
        assert!(paths.allows(&path("/apis/apps")));
        assert!(!paths.allows(&path("/apis")));
        assert!(!paths.allows(&ask("get", "", "pods", "", "x")));
    }
}
