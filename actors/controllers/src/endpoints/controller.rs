//! [`EndpointsController`].

use std::sync::Arc;

use serde_json::{Map, Value, json};
use trireme_schema::view::{Edit, View, same};

use super::subsets::Subsets;
use crate::controller::{Change, Controller, Look, Refusable, Resource, resources};
use crate::endpoint_slice::{
    TRIGGER_TIME, changed_at, find_port, hostname, is_headless, is_selected, may_belong, services_of_pod,
};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Propagation, Write};
use crate::pods::is_ready;
use trireme_schema::selector::LabelSelector;

use crate::world::World;

const SERVICES: Resource = Resource::new("", "services");
const ENDPOINTS: Resource = Resource::new("", "endpoints");
const HEADLESS: &str = "service.kubernetes.io/headless";
/// Label on every object that this controller made.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const NAME: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

static WATCHED: [Resource; 3] = [SERVICES, ENDPOINTS, resources::PODS];

/// See the module.
#[derive(Debug, Default)]
pub struct EndpointsController {}

/// A pod as an address of a Service's first family; `None` when it has none there.
fn address(service: &Value, pod: &Value) -> Option<Value> {
    let family = service.at("spec").list("ipFamilies").first().and_then(Value::as_str).unwrap_or("IPv4");
    let wanted = |ip: &&str| !ip.is_empty() && ip.contains(':') == (family == "IPv6");
    let ip = pod.at("status").list("podIPs").iter().map(|address| address.text("ip")).find(wanted)?;
    let metadata = pod.at("metadata");
    let mut address = json!({
        "ip": ip,
        "targetRef": {
            "kind": "Pod", "namespace": metadata.text("namespace"), "name": metadata.text("name"),
            "uid": metadata.text("uid"),
        },
    });
    let node = pod.at("spec").text("nodeName");
    if !node.is_empty() {
        address.put("nodeName", node);
    }
    if let Some(name) = hostname(service, pod) {
        address.put("hostname", name);
    }
    Some(address)
}

/// What the object of a Service is to say, and whether it had to leave something out.
fn subsets(service: &Value, pods: &[Arc<Value>]) -> (Value, bool) {
    let spec = service.at("spec");
    let anyhow = spec.is_true("publishNotReadyAddresses");
    let mut subsets = Subsets::default();
    for pod in pods.iter().filter(|pod| may_belong(pod, anyhow)) {
        let Some(address) = address(service, pod) else { continue };
        let ready = anyhow || is_ready(pod);
        if spec.list("ports").is_empty() && spec.text("clusterIP") == "None" {
            subsets.add(None, &address, ready);
        }
        for port in spec.list("ports") {
            let Some(number) = find_port(pod, port) else { continue };
            let protocol = if port.has("protocol") { port.text("protocol") } else { "TCP" };
            let mut own = json!({"port": number, "protocol": protocol});
            for name in ["name", "appProtocol"] {
                if !port.text(name).is_empty() {
                    own.put(name, port.text(name));
                }
            }
            subsets.add(Some(own), &address, ready);
        }
    }
    subsets.finish()
}

fn labels(service: &Value) -> Map<String, Value> {
    let mut labels = service.at("metadata").map("labels").cloned().unwrap_or_default();
    labels.remove(HEADLESS);
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), "".into());
    }
    labels.insert(MANAGED_BY.to_owned(), NAME.into());
    labels
}

/// Puts what the object says right; `None` when it is.
fn corrected(service: &Value, pods: &[Arc<Value>], old: &Value) -> Option<Value> {
    let (subsets, truncated) = subsets(service, pods);
    let labels = labels(service);
    let annotations = old.at("metadata").at("annotations");
    let right = same(old.at("subsets"), &subsets)
        && old.at("metadata").map("labels") == Some(&labels)
        && annotations.has(OVER_CAPACITY) == truncated;
    if right && !old.at("metadata").text("uid").is_empty() {
        return None;
    }
    let mut new = old.clone();
    new.put("subsets", subsets);
    let moment = changed_at(service, pods);
    let before = annotations.text(TRIGGER_TIME).to_owned();
    new["metadata"].put("labels", labels);
    if let Some(annotations) = new["metadata"].object("annotations") {
        if moment > before {
            annotations.put(TRIGGER_TIME, moment);
        } else {
            annotations.remove(TRIGGER_TIME);
        }
        if truncated {
            annotations.put(OVER_CAPACITY, "truncated");
        } else {
            annotations.remove(OVER_CAPACITY);
        }
    }
    Some(new)
}

impl Controller for EndpointsController {
    fn name(&self) -> &'static str {
        NAME
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        if change.resource == resources::PODS {
            return services_of_pod(change, world);
        }
        let object = change.new.as_ref().or(change.old.as_ref()).expect("a change has an object");
        let metadata = object.at("metadata");
        vec![Key::new(metadata.text("namespace"), metadata.text("name"))]
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Key { namespace, name } = look.key;
        let there = ENDPOINTS.get(look.world, namespace, name);
        let Some(service) = SERVICES.get(look.world, namespace, name) else {
            return there.map_or_else(Plan::settled, |there| leftover(&there));
        };
        if !is_selected(&service) || is_deleting(&service) {
            return Plan::settled();
        }
        let Ok(selector) = LabelSelector::from_map(service.at("spec").map("selector")) else {
            return Plan::settled();
        };
        let mut pods = resources::PODS.list(look.world, Some(namespace));
        pods.retain(|pod| selector.matches(pod.at("metadata").map("labels")));
        let old = there.as_deref().cloned().unwrap_or_else(|| {
            json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name, "namespace": namespace}})
        });
        let Some(object) = corrected(&service, &pods, &old) else { return Plan::settled() };
        let mut plan = Plan::settled();
        if let Some(refused) = look.refused.filter(|refused| refused.write != Refusable::Delete) {
            let (reason, message) = match refused.write {
                Refusable::Create => (
                    "FailedToCreateEndpoint",
                    format!("Failed to create endpoint for service {namespace}/{name}"),
                ),
                _ => ("FailedToUpdateEndpoint", format!("Failed to update endpoint {namespace}/{name}")),
            };
            let message = format!("{message}: {}", refused.message);
            plan.writes.push(Write::Event { about: object.clone(), kind: "Warning", reason, message });
        }
        plan.writes.push(match there {
            None => Write::Create { resource: ENDPOINTS, object },
            Some(_) => Write::Update { resource: ENDPOINTS, subresource: "", object },
        });
        plan
    }
}

/// What this controller made for a Service that is gone goes; what others made stays.
fn leftover(endpoints: &Value) -> Plan {
    let metadata = endpoints.at("metadata");
    if metadata.at("labels").text(MANAGED_BY) != NAME || is_deleting(endpoints) {
        return Plan::settled();
    }
    Plan::one(Write::Delete {
        resource: ENDPOINTS,
        namespace: metadata.text("namespace").to_owned(),
        name: metadata.text("name").to_owned(),
        uid: metadata.text("uid").to_owned(),
        resource_version: None,
        propagation: Propagation::Background,
    })
}
