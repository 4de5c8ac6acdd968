//! `expose`: a service in front of a workload, a pod or another service.

use http::Method;
use serde_json::{Map, Value, json};

use super::found::Query;
use crate::arguments::{DryRun, Expose};
use crate::error::{Failures, KubectlError};
use crate::output::Reporter;
use crate::session::Session;

/// Longest name of a service, in bytes.
const NAME_BYTES: usize = 63;

const EXPOSABLE: [&str; 5] =
    ["replicationcontrollers", "services", "pods", "deployments.apps", "replicasets.apps"];

pub(super) async fn run(session: &Session, expose: &Expose) -> Result<(), KubectlError> {
    let reporter = Reporter::new(&expose.writing.printing, expose.writing.dry.dry_run)?;
    let mut failures = Failures::default();
    let services = session.catalogue().await?.find("services")?.clone();
    for one in Query::of(&expose.words, &expose.files).find(session, &mut failures).await? {
        if !EXPOSABLE.contains(&one.kind.full().as_str()) {
            return Err(KubectlError::usage(format!(
                "cannot expose a {}",
                shown(&one.kind.kind, &one.kind.group)
            )));
        }
        let object = one.live(session).await?;
        let service = service(expose, &object)?;
        let made = if reporter.dry_run == DryRun::Client {
            service
        } else {
            let collection = Session::collection(&services, Some(&one.namespace));
            session.send(Method::POST, &collection, &service, &expose.writing.query("kubectl-expose")).await?
        };
        reporter.report(&services, made, "exposed")?;
    }
    failures.finish()
}

fn shown(kind: &str, group: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

/// The service that the flags and the object describe.
fn service(expose: &Expose, object: &Value) -> Result<Value, KubectlError> {
    let own = object["metadata"]["name"].as_str().unwrap_or_default();
    let name: String = expose.name.clone().unwrap_or_else(|| own.chars().take(NAME_BYTES).collect());
    let selector = match &expose.selector {
        Some(text) => pairs(text, "selector")?,
        None => selector_of(object).map_err(|why| {
            KubectlError::usage(format!(
                "couldn't retrieve selectors via --selector flag or introspection: {why}"
            ))
        })?,
    };
    let labels = match &expose.labels {
        Some(text) => pairs(text, "label")?,
        None => object["metadata"]["labels"].as_object().cloned().unwrap_or_default(),
    };
    let mut metadata = json!({"name": name});
    if !labels.is_empty() {
        metadata["labels"] = Value::Object(labels);
    }
    let mut spec = json!({"ports": ports(expose, object)?, "selector": selector});
    for (field, value) in [
        ("type", expose.of_type.as_ref().map(|text| json!(text))),
        ("externalIPs", expose.external_ip.as_ref().map(|address| json!([address]))),
        ("loadBalancerIP", expose.load_balancer_ip.as_ref().map(|address| json!(address))),
        ("clusterIP", expose.cluster_ip.as_ref().map(|address| json!(address))),
        ("sessionAffinity", expose.session_affinity.as_ref().map(|affinity| json!(affinity))),
    ] {
        if let Some(value) = value {
            spec[field] = value;
        }
    }
    if let Some(affinity) = expose.session_affinity.as_deref().filter(|a| !["None", "ClientIP"].contains(a)) {
        return Err(KubectlError::usage(format!("unknown session affinity: {affinity}")));
    }
    Ok(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec,
        "status": {"loadBalancer": {}}}))
}

/// The service's ports: of the flag, else those of the object.
fn ports(expose: &Expose, object: &Value) -> Result<Vec<Value>, KubectlError> {
    let there = ports_of(object);
    let given: Vec<u64> = match &expose.port {
        Some(text) => text
            .split(',')
            .map(|port| port.parse().map_err(|_| KubectlError::usage(format!("invalid port {port}"))))
            .collect::<Result<_, _>>()?,
        None => there.iter().map(|(port, _)| *port).collect(),
    };
    if given.is_empty() {
        return Err(KubectlError::usage("couldn't find port via --port flag or introspection"));
    }
    let several = given.len() > 1;
    let mut ports = Vec::new();
    for (at, port) in given.iter().enumerate() {
        let known: Vec<&String> =
            there.iter().filter(|(known, _)| known == port).map(|(_, protocol)| protocol).collect();
        // A port that the object has in two protocols is exposed in both.
        let protocols: Vec<String> = match &expose.protocol {
            Some(protocol) => vec![protocol.clone()],
            None if known.is_empty() || expose.port.is_none() => {
                vec![
                    there
                        .get(at)
                        .filter(|_| expose.port.is_none())
                        .map_or("TCP".to_owned(), |(_, p)| p.clone()),
                ]
            }
            None => known.into_iter().cloned().collect(),
        };
        for protocol in protocols {
            let mut entry = json!({"port": port, "protocol": protocol, "targetPort": port});
            if let Some(target) = &expose.target_port {
                entry["targetPort"] =
                    target.parse::<u16>().map_or_else(|_| json!(target), |number| json!(number));
            }
            ports.push(entry);
        }
    }
    if several || ports.len() > 1 {
        for (at, port) in ports.iter_mut().enumerate() {
            port["name"] = format!("port-{}", at + 1).into();
        }
    }
    Ok(ports)
}

/// Ports that an object tells, each with its protocol.
fn ports_of(object: &Value) -> Vec<(u64, String)> {
    let protocol = |port: &Value| port["protocol"].as_str().unwrap_or("TCP").to_owned();
    if object["kind"] == "Service" {
        let ports = object["spec"]["ports"].as_array().into_iter().flatten();
        return ports.filter_map(|port| Some((port["port"].as_u64()?, protocol(port)))).collect();
    }
    let spec = if object["kind"] == "Pod" { &object["spec"] } else { &object["spec"]["template"]["spec"] };
    let containers = spec["containers"].as_array().into_iter().flatten();
    containers
        .flat_map(|container| container["ports"].as_array().into_iter().flatten())
        .filter_map(|port| Some((port["containerPort"].as_u64()?, protocol(port))))
        .collect()
}

/// The pods behind an object, by equality alone.
fn selector_of(object: &Value) -> Result<Map<String, Value>, String> {
    let map = |value: &Value| value.as_object().filter(|map| !map.is_empty()).cloned();
    match object["kind"].as_str().unwrap_or_default() {
        "Pod" => {
            map(&object["metadata"]["labels"]).ok_or("the pod has no labels and cannot be exposed".to_owned())
        }
        "Service" => map(&object["spec"]["selector"]).ok_or("the service has no pod selector set".to_owned()),
        "ReplicationController" => map(&object["spec"]["selector"])
            .ok_or("the replication controller has no pod selector set".to_owned()),
        _ => {
            let selector = &object["spec"]["selector"];
            let expressions = selector["matchExpressions"].as_array().filter(|list| !list.is_empty());
            if let Some(expressions) = expressions {
                let shown = json!(expressions);
                return Err(format!(
                    "couldn't convert expressions - \"{shown}\" to map-based selector format"
                ));
            }
            map(&selector["matchLabels"])
                .ok_or("invalid deployment: no selectors, therefore cannot be exposed".to_owned())
        }
    }
}

/// `a=b,c=d`
fn pairs(text: &str, what: &str) -> Result<Map<String, Value>, KubectlError> {
    text.split(',')
        .map(|term| {
            let pair = term.split_once('=').filter(|(key, _)| !key.is_empty());
            let (key, value) =
                pair.ok_or_else(|| KubectlError::usage(format!("unexpected {what} spec: {term}")))?;
            Ok((key.to_owned(), value.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::Command;

    fn made(line: &str, object: &Value) -> Result<Value, KubectlError> {
        let parsed = crate::parse::parse(line.split(' ').map(str::to_owned).collect()).unwrap();
        let Command::Expose(expose) = parsed.command else { panic!("no expose") };
        service(&expose, object)
    }

    fn deployment() -> Value {
        json!({"kind": "Deployment", "metadata": {"name": "web", "labels": {"l": "m"}}, "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}]}]}}}})
    }

    #[test]
    fn a_service_is_made_of_what_the_object_tells() {
        let made = made("expose deploy web", &deployment()).unwrap();
        assert_eq!(made["metadata"], json!({"name": "web", "labels": {"l": "m"}}));
        assert_eq!(made["spec"]["selector"], json!({"app": "web"}));
        assert_eq!(
            made["spec"]["ports"],
            json!([{"name": "port-1", "port": 80, "protocol": "TCP", "targetPort": 80},
                {"name": "port-2", "port": 53, "protocol": "UDP", "targetPort": 53}])
        );
    }

    #[test]
    fn flags_come_first() {
        let line =
            "expose deploy web --port=8000 --target-port=http --name=x --type=NodePort --selector=a=b -l c=d";
        let made = made(line, &deployment()).unwrap();
        assert_eq!(made["metadata"], json!({"name": "x", "labels": {"c": "d"}}));
        assert_eq!(
            made["spec"],
            json!({"ports": [{"port": 8000, "protocol": "TCP", "targetPort": "http"}], "selector": {"a": "b"}, "type": "NodePort"})
        );
    }

    #[test]
    fn what_cannot_be_known_is_refused() {
        let bare = json!({"kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}}, "spec": {"containers": [{}]}});
        assert_eq!(
            made("expose pod p", &bare).unwrap_err().to_string(),
            "error: couldn't find port via --port flag or introspection"
        );
        let mut nameless = bare;
        nameless["metadata"]["labels"] = Value::Null;
        assert_eq!(
            made("expose pod p --port=1", &nameless).unwrap_err().to_string(),
            "error: couldn't retrieve selectors via --selector flag or introspection: the pod has no labels and cannot be exposed"
        );
    }
}
