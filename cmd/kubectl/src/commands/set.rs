//! `set`: one aspect of objects, mostly of their pod templates.
//!
//! Each change is made on a copy of the live object; what differs goes to the server as a strategic merge patch.

use std::process::ExitCode;

use serde_json::{Map, Value};

use super::found::{Found, Query};
use super::set_env;
use crate::arguments::{DryRun, Set, SetObjects};
use crate::error::{Failures, KubectlError};
use crate::output::Reporter;
use crate::session::Session;

/// A change of an object, in place.
pub(super) type Change<'a> = dyn Fn(&mut Value) -> Result<(), KubectlError> + 'a;

pub(super) async fn run(session: &Session, set: &Set) -> Result<ExitCode, KubectlError> {
    match set {
        Set::Env(env) => set_env::run(session, env).await?,
        Set::Image { objects } => {
            let (about, pairs) = apart(&objects.words, |word| word.contains('='));
            let images = images(&pairs)?;
            write(session, objects, &about, "image updated", &|object| set_images(object, &images)).await?;
        }
        Set::Resources { objects, containers, limits, requests } => {
            if limits.is_empty() && requests.is_empty() {
                return Err(KubectlError::usage(
                    "you must specify an update to requests or limits (in the form of --requests/--limits)",
                ));
            }
            let (limits, requests) = (amounts(limits)?, amounts(requests)?);
            write(session, objects, &objects.words, "resource requirements updated", &|object| {
                set_resources(object, containers, &limits, &requests)
            })
            .await?;
        }
        Set::Selector { objects, resource_version } => {
            let (about, selector) = last(&objects.words, "selector is required")?;
            let selector = selector_map(&selector)?;
            write(session, objects, &about, "selector updated", &|object| {
                set_selector(object, &selector, resource_version.as_deref())
            })
            .await?;
        }
        Set::Serviceaccount { objects } => {
            let (about, account) = last(&objects.words, "serviceaccount is required")?;
            write(session, objects, &about, "serviceaccount updated", &|object| {
                let spec = pod_spec(object)?;
                spec["serviceAccountName"] = account.clone().into();
                spec["serviceAccount"] = account.clone().into();
                Ok(())
            })
            .await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Words about objects, and those that are changes.
pub(super) fn apart(words: &[String], is_change: impl Fn(&str) -> bool) -> (Vec<String>, Vec<String>) {
    words.iter().cloned().partition(|word| !is_change(word))
}

fn last(words: &[String], missing: &str) -> Result<(Vec<String>, String), KubectlError> {
    let (last, about) = words.split_last().ok_or_else(|| KubectlError::usage(missing))?;
    Ok((about.to_vec(), last.clone()))
}

/// Changes the objects; those that are as wanted already are passed over in silence, as upstream does.
pub(super) async fn write(
    session: &Session,
    objects: &SetObjects,
    about: &[String],
    verb: &str,
    change: &Change<'_>,
) -> Result<(), KubectlError> {
    if about.is_empty() && objects.files.filename.is_empty() {
        return Err(KubectlError::usage(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>",
        ));
    }
    let reporter = Reporter::new(&objects.writing.printing, objects.writing.dry.dry_run)?;
    let mut failures = Failures::default();
    let query = Query::of(about, &objects.files).selector(objects.selector.as_deref()).all(objects.all);
    for one in query.find(session, &mut failures).await? {
        let _ = failures.note(write_one(session, objects, &one, verb, change, &reporter).await);
    }
    failures.finish()
}

async fn write_one(
    session: &Session,
    objects: &SetObjects,
    one: &Found,
    verb: &str,
    change: &Change<'_>,
    reporter: &Reporter,
) -> Result<(), KubectlError> {
    let live = session.get(&one.kind, &one.namespace, &one.name).await?;
    let mut wanted = live.clone();
    change(&mut wanted)?;
    if wanted == live {
        return Ok(());
    }
    let kind = &one.kind;
    let of = trireme_schema::types::lookup(&kind.group, &kind.version, &kind.kind).ok_or_else(|| {
        KubectlError::usage(format!("strategic merge patch is not supported for {}", kind.full()))
    })?;
    let after = if reporter.dry_run == DryRun::Client {
        wanted
    } else {
        let patch = trireme_schema::patch::three_way_patch(&live, &wanted, &live, of);
        let query = objects.writing.query("kubectl-set");
        session.patch(&one.path(), "application/strategic-merge-patch+json", &patch, &query).await?
    };
    reporter.report(kind, after, verb)
}

/// The pod's spec in an object.
pub(super) fn pod_spec(object: &mut Value) -> Result<&mut Value, KubectlError> {
    let path = match object["kind"].as_str().unwrap_or_default() {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    };
    let missing = KubectlError::usage(format!(
        "the object is not a pod or does not have a pod template: {}",
        object["kind"].as_str().unwrap_or_default()
    ));
    object.pointer_mut(path).filter(|spec| spec["containers"].is_array()).ok_or(missing)
}

/// The containers whose names fit a pattern (`*` at an end stands for anything), of the lists named.
pub(super) fn containers<'a>(spec: &'a mut Value, lists: &'a [&str], pattern: &'a str) -> Vec<&'a mut Value> {
    let Some(spec) = spec.as_object_mut() else { return Vec::new() };
    let mut found = Vec::new();
    for (_, list) in spec.iter_mut().filter(|(name, _)| lists.contains(&name.as_str())) {
        let all = list.as_array_mut().into_iter().flatten();
        found.extend(
            all.filter(|container| container["name"].as_str().is_some_and(|name| fits(name, pattern))),
        );
    }
    found
}

fn fits(name: &str, pattern: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(_), Some("")) => true,
        (Some(_), Some(start)) => name.contains(start.trim_start_matches('*')),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}

fn images(pairs: &[String]) -> Result<Vec<(String, String)>, KubectlError> {
    if pairs.is_empty() {
        return Err(KubectlError::usage("at least one image update is required"));
    }
    let read = |pair: &String| {
        let (name, image) = pair
            .split_once('=')
            .filter(|(name, image)| !name.is_empty() && !image.is_empty())
            .ok_or_else(|| KubectlError::usage(format!("invalid image update: {pair}")))?;
        Ok((name.to_owned(), image.to_owned()))
    };
    let images = pairs.iter().map(read).collect::<Result<Vec<_>, KubectlError>>()?;
    if images.len() > 1 && images.iter().any(|(name, _)| name == "*") {
        return Err(KubectlError::usage(
            "all containers are already specified by *, but saw more than one container_name=container_image pairs",
        ));
    }
    Ok(images)
}

fn set_images(object: &mut Value, images: &[(String, String)]) -> Result<(), KubectlError> {
    let spec = pod_spec(object)?;
    for (name, image) in images {
        let mut any = false;
        for container in containers(spec, &["initContainers", "containers"], "*") {
            if name == "*" || container["name"] == **name {
                container["image"] = image.clone().into();
                any = true;
            }
        }
        if !any {
            return Err(KubectlError::usage(format!("unable to find container named \"{name}\"")));
        }
    }
    Ok(())
}

/// `cpu=1,memory=2Gi`
fn amounts(text: &str) -> Result<Vec<(String, String)>, KubectlError> {
    let read = |term: &str| match term.split('=').collect::<Vec<_>>().as_slice() {
        [name, amount] if !name.is_empty() => Ok(((*name).to_owned(), (*amount).to_owned())),
        _ => Err(KubectlError::usage(format!("invalid argument syntax {term}, expected <resource>=<value>"))),
    };
    text.split(',').filter(|term| !term.is_empty()).map(read).collect()
}

fn set_resources(
    object: &mut Value,
    pattern: &str,
    limits: &[(String, String)],
    requests: &[(String, String)],
) -> Result<(), KubectlError> {
    let spec = pod_spec(object)?;
    let chosen = containers(spec, &["containers"], pattern);
    if chosen.is_empty() {
        return Err(KubectlError::usage(format!("unable to find container named {pattern}")));
    }
    for container in chosen {
        for (field, amounts) in [("limits", limits), ("requests", requests)] {
            for (name, amount) in amounts {
                container["resources"][field][name] = amount.clone().into();
            }
        }
    }
    Ok(())
}

fn selector_map(text: &str) -> Result<Map<String, Value>, KubectlError> {
    let read = |term: &str| {
        let pair = term.split_once("==").or_else(|| term.split_once('='));
        let (key, value) =
            pair.filter(|(key, _)| !key.is_empty() && !key.ends_with('!')).ok_or_else(|| {
                KubectlError::usage(format!(
                    "invalid selector: {term}, only equality-based requirements are supported"
                ))
            })?;
        Ok((key.to_owned(), value.into()))
    };
    text.split(',').map(read).collect()
}

fn set_selector(
    object: &mut Value,
    selector: &Map<String, Value>,
    version: Option<&str>,
) -> Result<(), KubectlError> {
    if object["kind"] != "Service" {
        return Err(KubectlError::usage("setting a selector is only supported for Services"));
    }
    if let Some(version) = version {
        let now = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if now != version {
            return Err(KubectlError::usage(format!("Expected resource version to be {version}, was {now}")));
        }
    }
    object["spec"]["selector"] = Value::Object(selector.clone());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Value {
        json!({"kind": "Deployment", "spec": {"template": {"spec": {
            "containers": [{"name": "web", "image": "a"}, {"name": "log", "image": "b"}],
            "initContainers": [{"name": "setup", "image": "c"}]}}}})
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn images_of_containers() {
        let (about, pairs) = apart(&words("deploy/x web=n:2 setup=s"), |word| word.contains('='));
        assert_eq!(about, ["deploy/x"]);
        let mut object = deployment();
        set_images(&mut object, &images(&pairs).unwrap()).unwrap();
        let spec = pod_spec(&mut object).unwrap();
        assert_eq!(spec["containers"][0]["image"], "n:2");
        assert_eq!(spec["containers"][1]["image"], "b");
        assert_eq!(spec["initContainers"][0]["image"], "s");
        let refused = set_images(&mut object, &images(&words("nope=x")).unwrap()).unwrap_err().to_string();
        assert_eq!(refused, "error: unable to find container named \"nope\"");
        set_images(&mut object, &images(&words("*=z")).unwrap()).unwrap();
        assert_eq!(pod_spec(&mut object).unwrap()["containers"][1]["image"], "z");
        assert!(images(&words("*=z a=b")).is_err() && images(&[]).is_err());
        assert!(set_images(&mut json!({"kind": "Service", "spec": {}}), &[]).is_err());
    }

    #[test]
    fn resources_of_chosen_containers() {
        let mut object = deployment();
        set_resources(&mut object, "we*", &amounts("cpu=1,memory=2Gi").unwrap(), &amounts("").unwrap())
            .unwrap();
        let spec = pod_spec(&mut object).unwrap();
        assert_eq!(spec["containers"][0]["resources"], json!({"limits": {"cpu": "1", "memory": "2Gi"}}));
        assert!(spec["containers"][1]["resources"].is_null());
        assert!(set_resources(&mut object, "nope", &[], &[]).is_err());
        assert!(amounts("cpu").is_err());
    }

    #[test]
    fn selectors_of_services_alone() {
        let mut service = json!({"kind": "Service", "metadata": {"resourceVersion": "7"}, "spec": {"selector": {"a": "b"}}});
        let selector = selector_map("c=d").unwrap();
        assert!(set_selector(&mut service, &selector, Some("6")).is_err());
        set_selector(&mut service, &selector, Some("7")).unwrap();
        assert_eq!(service["spec"]["selector"], json!({"c": "d"}));
        assert!(set_selector(&mut deployment(), &selector, None).is_err());
        assert!(selector_map("a!=b").is_err() && selector_map("a").is_err());
    }

    #[test]
    fn patterns() {
        assert!(fits("web", "*") && fits("web", "w*") && fits("web", "*b") && fits("web", "*e*"));
        assert!(!fits("web", "we") && !fits("web", "b*"));
    }
}
