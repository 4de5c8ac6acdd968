use parking_lot::RwLock;
use serde_json::{Value, json};
use trireme_schema::objects::MemoryObjects;

use super::super::escalation::{Escalation, check_write};
use super::*;
use crate::bootstrap::initial_objects;

/// Objects that a test changes below an authorizer.
#[derive(Default)]
struct Shared(RwLock<MemoryObjects>);

impl Objects for Shared {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.0.read().get(group, resource, namespace, name)
    }
    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        self.0.read().list(group, resource, namespace)
    }
    fn revision(&self, group: &str, resource: &str) -> u64 {
        self.0.read().revision(group, resource)
    }
}

impl Shared {
    fn put(&self, resource: &str, object: Value) {
        self.0.write().put(RBAC_GROUP, resource, object);
    }

    fn bind(&self, namespace: &str, role: &str, subject: Value) {
        self.put(
            "rolebindings",
            json!({"metadata":{"namespace":namespace,"name":"b"},
            "roleRef":{"kind":"Role","name":role},"subjects":[subject]}),
        );
    }
}

fn fresh() -> (Arc<Shared>, Rbac) {
    let shared = Arc::new(Shared::default());
    for initial in initial_objects("2001-01-01T00:00:00Z") {
        shared.0.write().put(initial.group, initial.resource, initial.object);
    }
    let rbac = Rbac::new(shared.clone());
    (shared, rbac)
}

fn user(name: &str, groups: &[&str]) -> Arc<User> {
    Arc::new(User::internal(name, groups))
}

fn pods(user: &Arc<User>, verb: &str, namespace: &str) -> Attributes {
    Attributes::resource(user, verb, "", "v1", "pods").within(namespace)
}

fn pod_role(namespace: &str) -> Value {
    json!({"metadata":{"namespace":namespace,"name":"r"},
        "rules":[{"verbs":["get","list"],"apiGroups":[""],"resources":["pods"]}]})
}

#[test]
fn a_role_binding_counts_in_its_namespace_only() {
    let (objects, rbac) = fresh();
    let alice = user("alice", &["devs"]);
    let nothing = Decision::NoOpinion { reason: String::new() };
    assert_eq!(rbac.authorize(&pods(&alice, "get", "a")), nothing);
    objects.put("roles", pod_role("a"));
    objects.bind("a", "r", json!({"kind":"User","name":"alice"}));
    let reason = "RBAC: allowed by RoleBinding \"b/a\" of Role \"r\" to User \"alice\"".to_owned();
    assert_eq!(rbac.authorize(&pods(&alice, "get", "a")), Decision::Allow { reason });
    for (verb, namespace) in [("get", "b"), ("get", ""), ("delete", "a")] {
        assert_eq!(rbac.authorize(&pods(&alice, verb, namespace)), nothing, "{verb} in {namespace:?}");
    }
    objects.0.write().remove(RBAC_GROUP, "rolebindings", "a", "b");
    assert_eq!(rbac.authorize(&pods(&alice, "get", "a")), nothing);
}

#[test]
fn groups_and_service_accounts_are_bound() {
    let (objects, rbac) = fresh();
    objects.put("roles", pod_role("a"));
    objects.bind("a", "r", json!({"kind":"Group","name":"devs"}));
    assert!(rbac.authorize(&pods(&user("x", &["devs"]), "get", "a")).allowed());
    assert!(!rbac.authorize(&pods(&user("devs", &[]), "get", "a")).allowed());
    objects.bind("a", "r", json!({"kind":"ServiceAccount","name":"s"}));
    let reason = "RBAC: allowed by RoleBinding \"b/a\" of Role \"r\" to ServiceAccount \"s/a\"".to_owned();
    let account = user("system:serviceaccount:a:s", &[]);
    assert_eq!(rbac.authorize(&pods(&account, "get", "a")), Decision::Allow { reason });
    assert!(!rbac.authorize(&pods(&user("system:serviceaccount:b:s", &[]), "get", "a")).allowed());
}

#[test]
fn a_missing_role_is_told() {
    let (objects, rbac) = fresh();
    objects.bind("a", "gone", json!({"kind":"User","name":"alice"}));
    let reason = "RBAC: role.rbac.authorization.k8s.io \"gone\" not found".to_owned();
    let alice = user("alice", &[]);
    assert_eq!(rbac.authorize(&pods(&alice, "get", "a")), Decision::NoOpinion { reason });
    assert!(!rbac.rules_for(&alice, "a").evaluation_error.is_empty());
}

#[test]
fn everybody_may_look_around() {
    let (_, rbac) = fresh();
    let alice = user("alice", &["system:authenticated"]);
    let reason =
        "RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \"system:discovery\" to \
                  Group \"system:authenticated\""
            .to_owned();
    assert_eq!(rbac.authorize(&Attributes::path(&alice, "get", "/apis")), Decision::Allow { reason });
    assert!(!rbac.authorize(&Attributes::path(&alice, "get", "/metrics")).allowed());
    let rules = rbac.rules_for(&alice, "a");
    assert_eq!((rules.resources.len(), rules.non_resources.len(), rules.incomplete), (2, 2, false));
}

fn write(
    (_, rbac): &(Arc<Shared>, Rbac),
    user: &Arc<User>,
    resource: &str,
    old: Option<&Value>,
    new: &Value,
) -> Result<(), String> {
    let name = old.map(|old| old["metadata"]["name"].as_str().unwrap().to_owned()).unwrap_or_default();
    let namespace = if resource.starts_with("cluster") { "" } else { "a" };
    let escalation = Escalation { rbac, authorizer: rbac, user, resource, namespace, name: &name };
    check_write(&escalation, old, new).map_err(|failure| failure.message)
}

fn role(name: &str, rule: &Value) -> Value {
    json!({"metadata":{"namespace":"a","name":name},"rules":[rule]})
}

#[test]
fn nobody_grants_what_they_do_not_hold() {
    let world = fresh();
    world.0.put("roles", pod_role("a"));
    world.0.bind("a", "r", json!({"kind":"User","name":"alice"}));
    let alice = user("alice", &["devs"]);
    let held = json!({"verbs":["get"],"apiGroups":[""],"resources":["pods"]});
    let more = json!({"verbs":["delete"],"apiGroups":[""],"resources":["pods"]});
    assert_eq!(write(&world, &alice, "roles", None, &role("x", &held)), Ok(()));
    let refusal = "roles.rbac.authorization.k8s.io \"x\" is forbidden: user \"alice\" (groups=[\"devs\"]) is attempting \
                   to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], \
                   Verbs:[\"delete\"]}";
    assert_eq!(write(&world, &alice, "roles", None, &role("x", &more)), Err(refusal.to_owned()));
    // Labels may change on a role that is beyond one; its rules may not.
    let mut labelled = role("x", &more);
    labelled["metadata"]["labels"] = json!({"a":"b"});
    assert_eq!(write(&world, &alice, "roles", Some(&role("x", &more)), &labelled), Ok(()));
    assert!(write(&world, &alice, "roles", Some(&role("x", &held)), &role("x", &more)).is_err());
    assert_eq!(write(&world, &user("root", &["system:masters"]), "roles", None, &role("x", &more)), Ok(()));
}

#[test]
fn bindings_need_the_role_or_the_verb() {
    let world = fresh();
    let alice = user("alice", &[]);
    let binding = |kind: &str, name: &str| {
        json!({"metadata":{"namespace":"a","name":"y"},"roleRef":{"kind":kind,"name":name},
            "subjects":[{"kind":"User","name":"bob"}]})
    };
    let admin = binding("ClusterRole", "cluster-admin");
    assert!(
        write(&world, &alice, "rolebindings", None, &admin).unwrap_err().contains("{NonResourceURLs:[\"*\"]")
    );
    let missing = write(&world, &alice, "rolebindings", None, &binding("Role", "nope"));
    assert_eq!(missing, Err("roles.rbac.authorization.k8s.io \"nope\" not found".to_owned()));
    world.0.put(
        "roles",
        json!({"metadata":{"namespace":"a","name":"r"},"rules":[{"verbs":["bind"],
        "apiGroups":[RBAC_GROUP],"resources":["clusterroles"],"resourceNames":["cluster-admin"]}]}),
    );
    world.0.bind("a", "r", json!({"kind":"User","name":"alice"}));
    assert_eq!(write(&world, &alice, "rolebindings", None, &admin), Ok(()));
    assert!(write(&world, &alice, "clusterrolebindings", None, &admin).is_err());
}

#[test]
fn aggregation_is_for_cluster_admins() {
    let world = fresh();
    let sum = json!({"metadata":{"name":"w"},"rules":[],
        "aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"a":"b"}}]}});
    let refusal = "clusterroles.rbac.authorization.k8s.io \"w\" is forbidden: must have cluster-admin privileges to use \
                   the aggregationRule";
    assert_eq!(write(&world, &user("alice", &[]), "clusterroles", None, &sum), Err(refusal.to_owned()));
}
