//! Finding pods by the names people give.

use serde_json::Value;

use crate::error::KubectlError;
use crate::session::Session;
use crate::target;

/// The pods that `POD`, `TYPE/NAME` or a selector stand for; workloads stand for the pods they select.
pub(super) async fn find(
    session: &Session,
    word: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<Value>, KubectlError> {
    let catalogue = session.catalogue().await?;
    let pods = catalogue.find("pods")?;
    if let Some(selector) = selector {
        return session.list(pods, Some(&session.namespace), &[("labelSelector", selector)]).await;
    }
    let word = word.ok_or_else(|| KubectlError::usage("expected 'POD' or 'TYPE/NAME'"))?;
    let (kind, name) = target::one(&[word.to_owned()], Some("pods"), catalogue)?;
    let object = session.get(&kind, &session.namespace, &name).await?;
    if kind.plural == "pods" && kind.group.is_empty() {
        return Ok(vec![object]);
    }
    let selector = selector_of(&object)
        .ok_or_else(|| KubectlError::usage(format!("cannot attach to {}: it selects no pods", kind.kind)))?;
    let found = session.list(pods, Some(&session.namespace), &[("labelSelector", &selector)]).await?;
    if found.is_empty() {
        return Err(KubectlError::usage(format!(
            "no pods of {word} were found in the namespace {}",
            session.namespace
        )));
    }
    Ok(found)
}

/// The pod that a command takes when several are meant: one that runs and is ready, else one that runs, else the first.
pub(super) fn best(found: &[Value]) -> Option<&Value> {
    let rank = |pod: &Value| {
        let runs = pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let ready = conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
        (!runs, !ready)
    };
    found.iter().min_by_key(|pod| rank(pod))
}

/// The pods of a workload or service, as a selector's text.
pub(super) fn selector_of(object: &Value) -> Option<String> {
    let selector = &object["spec"]["selector"];
    let labels = if selector["matchLabels"].is_object() || selector["matchExpressions"].is_array() {
        &selector["matchLabels"]
    } else {
        selector
    };
    let mut terms: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for rule in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = rule["key"].as_str()?;
        let values: Vec<&str> =
            rule["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match rule["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

/// The container that is meant when none is named: the annotated one, else the first; told on standard error when there
/// is a choice.
pub(super) fn default_container(pod: &Value, quiet: bool) -> String {
    let names: Vec<&str> = containers(pod, "containers");
    let annotated = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str();
    if let Some(name) = annotated.filter(|name| names.contains(name)) {
        return name.to_owned();
    }
    let first = names.first().copied().unwrap_or_default();
    let all: Vec<&str> = names.iter().copied().chain(containers(pod, "initContainers")).collect();
    if all.len() > 1 && !quiet {
        eprintln!("Defaulted container \"{first}\" out of: {}", all.join(", "));
    }
    first.to_owned()
}

/// Names of a pod's containers of a list.
pub(super) fn containers<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    pod["spec"][list]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|container| container["name"].as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_that_serves_is_taken() {
        let pod = |phase: &str, ready: &str| json!({"status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}});
        let found = [pod("Pending", "False"), pod("Running", "False"), pod("Running", "True")];
        assert_eq!(best(&found), Some(&found[2]));
        assert_eq!(best(&found[..2]), Some(&found[1]));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn selectors_of_workloads_and_services() {
        let service = json!({"spec": {"selector": {"a": "b"}}});
        assert_eq!(selector_of(&service).as_deref(), Some("a=b"));
        let deployment = json!({"spec": {"selector": {"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "t", "operator": "In", "values": ["x", "y"]}, {"key": "u", "operator": "DoesNotExist"}]}}});
        assert_eq!(selector_of(&deployment).as_deref(), Some("a=b,t in (x,y),!u"));
        assert_eq!(selector_of(&json!({"spec": {}})), None);
    }
}
