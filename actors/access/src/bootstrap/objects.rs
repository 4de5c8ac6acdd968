//! [`initial_objects`]: every object of a fresh cluster.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use trireme_schema::view::View;

use crate::known::RBAC_GROUP;
use crate::rbac::PolicyRule;

/// An object the server makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Initial {
    /// API group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Plural resource.
    pub resource: &'static str,
    /// The object, with apiVersion, kind, metadata and content; not defaulted.
    pub object: Value,
}

impl Initial {
    /// Namespace, or empty.
    pub fn namespace(&self) -> &str {
        self.object.at("metadata").text("namespace")
    }

    /// Name.
    pub fn name(&self) -> &str {
        self.object.at("metadata").text("name")
    }
}

static RBAC: LazyLock<Value> = LazyLock::new(|| read(include_str!("../../data/rbac.json")));
static NEWER: LazyLock<Value> = LazyLock::new(|| read(include_str!("../../data/rbac-newer.json")));
static OTHER: LazyLock<Value> = LazyLock::new(|| read(include_str!("../../data/other.json")));

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("the data files are JSON, which a test reads")
}

/// Metadata fields of an entry in the data files; the rest is the object's content.
const METADATA: [&str; 4] = ["name", "namespace", "labels", "annotations"];

type Resource = (&'static str, &'static str, &'static str, &'static str);

const CLUSTER_ROLES: Resource = (RBAC_GROUP, "v1", "clusterroles", "ClusterRole");
const CLUSTER_ROLE_BINDINGS: Resource = (RBAC_GROUP, "v1", "clusterrolebindings", "ClusterRoleBinding");
const ROLES: Resource = (RBAC_GROUP, "v1", "roles", "Role");
const ROLE_BINDINGS: Resource = (RBAC_GROUP, "v1", "rolebindings", "RoleBinding");
const NAMESPACES: Resource = ("", "v1", "namespaces", "Namespace");
const PRIORITY_CLASSES: Resource = ("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass");
const FLOW_SCHEMAS: Resource = ("flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "FlowSchema");
const PRIORITY_LEVELS: Resource =
    ("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations", "PriorityLevelConfiguration");
const API_SERVICES: Resource = ("apiregistration.k8s.io", "v1", "apiservices", "APIService");

/// Namespaces that always are.
const SYSTEM_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

fn made(resource: Resource, entry: &Value) -> Initial {
    let (group, version, resource, kind) = resource;
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let (mut object, mut metadata) = (Map::new(), Map::new());
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), kind.into());
    for (field, value) in entry.as_object().into_iter().flatten() {
        let place = if METADATA.contains(&field.as_str()) { &mut metadata } else { &mut object };
        place.insert(field.clone(), value.clone());
    }
    object.insert("metadata".to_owned(), metadata.into());
    Initial { group, version, resource, object: object.into() }
}

fn cluster_role(entry: &Value) -> Initial {
    let mut out = made(CLUSTER_ROLES, entry);
    let added = NEWER.list("extend").iter().filter(|more| more.text("name") == entry.text("name"));
    let added: Vec<Value> = added.flat_map(|more| more.list("rules")).cloned().collect();
    if let Some(Value::Array(rules)) = out.object.get_mut("rules") {
        rules.extend(added);
    }
    out
}

fn flow_control(resource: Resource, entry: &Value) -> Initial {
    let mut out = made(resource, entry);
    out.object["metadata"]["annotations"] = json!({super::reconcile_flow::AUTOUPDATE: "true"});
    out
}

fn api_service(entry: &Value, now: &str) -> Initial {
    let mut out = made(API_SERVICES, entry);
    out.object["status"] = json!({"conditions": [{
        "type": "Available", "status": "True", "reason": "Local",
        "message": "Local APIServices are always available", "lastTransitionTime": now,
    }]});
    out
}

/// Everything a fresh cluster holds, in the order to make it: namespaces first. `now` is a `metav1.Time`.
pub fn initial_objects(now: &str) -> Vec<Initial> {
    let mut out: Vec<Initial> =
        SYSTEM_NAMESPACES.iter().map(|name| made(NAMESPACES, &json!({"name": name}))).collect();
    for file in [&*RBAC, &*NEWER] {
        out.extend(file.list("clusterroles").iter().map(cluster_role));
    }
    for (name, resource) in
        [("clusterrolebindings", CLUSTER_ROLE_BINDINGS), ("roles", ROLES), ("rolebindings", ROLE_BINDINGS)]
    {
        for file in [&*RBAC, &*NEWER] {
            out.extend(file.list(name).iter().map(|entry| made(resource, entry)));
        }
    }
    let other = |name| OTHER.list(name).iter();
    out.extend(other("priorityclasses").map(|entry| made(PRIORITY_CLASSES, entry)));
    out.extend(other("prioritylevelconfigurations").map(|entry| flow_control(PRIORITY_LEVELS, entry)));
    out.extend(other("flowschemas").map(|entry| flow_control(FLOW_SCHEMAS, entry)));
    out.extend(other("apiservices").map(|entry| api_service(entry, now)));
    out
}

/// What every node agent may do besides what its pods need: the rules of `system:node`.
pub fn node_rules() -> Vec<PolicyRule> {
    let roles = RBAC.list("clusterroles").iter();
    roles
        .filter(|role| role.text("name") == "system:node")
        .flat_map(|role| PolicyRule::of_role(&cluster_role(role).object))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_object_is_there_once_and_in_order() {
        let objects = initial_objects("2001-01-01T00:00:00Z");
        let keys: BTreeSet<_> = objects
            .iter()
            .map(|o| (o.group, o.resource, o.namespace().to_owned(), o.name().to_owned()))
            .collect();
        assert_eq!(keys.len(), objects.len());
        assert_eq!(objects.iter().filter(|o| o.resource == "clusterroles").count(), 62 + 6);
        assert_eq!(objects[0].resource, "namespaces");
        for (group, resource) in
            [("scheduling.k8s.io", "priorityclasses"), ("apiregistration.k8s.io", "apiservices")]
        {
            assert!(objects.iter().any(|o| o.group == group && o.resource == resource), "{resource}");
        }
        for binding in objects.iter().filter(|o| o.resource.ends_with("bindings")) {
            let role = binding.object.at("roleRef");
            let (resource, namespace) = match role.text("kind") {
                "Role" => ("roles", binding.namespace()),
                _ => ("clusterroles", ""),
            };
            let found = objects.iter().any(|o| {
                o.resource == resource && o.namespace() == namespace && o.name() == role.text("name")
            });
            assert!(found, "the role of {}", binding.name());
        }
    }

    #[test]
    fn nodes_may_post_events_and_not_delete_nodes() {
        let rules = node_rules();
        let has = |verb: &str, resource: &str| {
            rules
                .iter()
                .any(|r| r.verbs.iter().any(|v| v == verb) && r.resources.iter().any(|x| x == resource))
        };
        assert!(has("create", "events"));
        assert!(has("get", "resourceclaims"));
        assert!(!has("delete", "nodes"));
    }
}
