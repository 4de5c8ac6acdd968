use serde_json::json;
use trireme_schema::objects::MemoryObjects;
use trireme_schema::selector::FieldSelector;

use super::*;

fn cluster() -> MemoryObjects {
    let mut objects = MemoryObjects::default();
    objects.put(
        "",
        "pods",
        json!({"metadata":{"namespace":"a","name":"p"},"spec":{
        "nodeName":"n1","serviceAccountName":"sa",
        "containers":[{"env":[{"valueFrom":{"secretKeyRef":{"name":"env"}}}],
            "envFrom":[{"configMapRef":{"name":"from"}}]}],
        "volumes":[{"secret":{"secretName":"s"}},{"projected":{"sources":[{"configMap":{"name":"c"}}]}},
            {"persistentVolumeClaim":{"claimName":"claim"}},{"name":"scratch","ephemeral":{}}]}}),
    );
    objects.put(
        "",
        "pods",
        json!({"metadata":{"namespace":"a","name":"mirror",
        "annotations":{"kubernetes.io/config.mirror":"x"}},"spec":{"nodeName":"n1",
        "volumes":[{"secret":{"secretName":"hidden"}}]}}),
    );
    objects.put(
        "",
        "persistentvolumes",
        json!({"metadata":{"name":"pv"},"spec":{
        "claimRef":{"namespace":"a","name":"claim"},
        "csi":{"nodeStageSecretRef":{"namespace":"vault","name":"stage"}}}}),
    );
    objects.put(
        "storage.k8s.io",
        "volumeattachments",
        json!({"metadata":{"name":"va"},"spec":{"nodeName":"n1"}}),
    );
    objects
}

fn node(name: &str) -> Arc<User> {
    Arc::new(User::internal(&format!("system:node:{name}"), &[NODES]))
}

fn authorizer(reads: NodeReads) -> NodeAuthorizer {
    NodeAuthorizer::new(Arc::new(cluster()), reads)
}

fn get(user: &Arc<User>, group: &str, resource: &str, namespace: &str, name: &str) -> Attributes {
    Attributes::resource(user, "get", group, "v1", resource).within(namespace).named(name)
}

#[test]
fn a_node_reads_what_its_pods_need() {
    let authorizer = authorizer(NodeReads::Own);
    let (n1, n2) = (node("n1"), node("n2"));
    for (group, resource, namespace, name) in [
        ("", "secrets", "a", "s"),
        ("", "secrets", "a", "env"),
        ("", "secrets", "vault", "stage"),
        ("", "configmaps", "a", "c"),
        ("", "configmaps", "a", "from"),
        ("", "persistentvolumeclaims", "a", "claim"),
        ("", "persistentvolumeclaims", "a", "p-scratch"),
        ("", "persistentvolumes", "", "pv"),
        ("storage.k8s.io", "volumeattachments", "", "va"),
        ("", "pods", "a", "p"),
        ("", "pods", "a", "mirror"),
    ] {
        let ask = get(&n1, group, resource, namespace, name);
        assert!(authorizer.authorize(&ask).allowed(), "{resource} {name}");
        let other = Attributes { user: n2.clone(), ..ask };
        let reason = "no relationship found between node 'n2' and this object".to_owned();
        assert_eq!(authorizer.authorize(&other), Decision::NoOpinion { reason }, "{resource} {name}");
    }
    assert!(!authorizer.authorize(&get(&n1, "", "secrets", "a", "hidden")).allowed());
    assert!(!authorizer.authorize(&get(&n1, "", "secrets", "b", "s")).allowed());
}

#[test]
fn tokens_only_for_accounts_of_its_pods() {
    let authorizer = authorizer(NodeReads::Own);
    let ask = |user: &Arc<User>, name: &str| {
        Attributes::resource(user, "create", "", "v1", "serviceaccounts").on("token").within("a").named(name)
    };
    assert!(authorizer.authorize(&ask(&node("n1"), "sa")).allowed());
    assert!(!authorizer.authorize(&ask(&node("n2"), "sa")).allowed());
    assert!(!authorizer.authorize(&ask(&node("n1"), "other")).allowed());
}

#[test]
fn a_pod_that_left_takes_the_permission_along() {
    use parking_lot::RwLock;
    struct Shared(RwLock<MemoryObjects>);
    impl Objects for Shared {
        fn get(
            &self,
            group: &str,
            resource: &str,
            namespace: &str,
            name: &str,
        ) -> Option<Arc<serde_json::Value>> {
            self.0.read().get(group, resource, namespace, name)
        }
        fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<serde_json::Value>> {
            self.0.read().list(group, resource, namespace)
        }
        fn revision(&self, group: &str, resource: &str) -> u64 {
            self.0.read().revision(group, resource)
        }
    }
    let shared = Arc::new(Shared(RwLock::new(cluster())));
    let authorizer = NodeAuthorizer::new(shared.clone(), NodeReads::Own);
    let ask = get(&node("n1"), "", "secrets", "a", "s");
    assert!(authorizer.authorize(&ask).allowed());
    shared.0.write().remove("", "pods", "a", "p");
    assert!(!authorizer.authorize(&ask).allowed());
    shared.0.write().put(
        "",
        "pods",
        json!({"metadata":{"namespace":"a","name":"q"},"spec":{"nodeName":"n1",
        "imagePullSecrets":[{"name":"s"}]}}),
    );
    assert!(authorizer.authorize(&ask).allowed());
}

#[test]
fn reads_of_pods_and_nodes_follow_the_feature() {
    let n1 = node("n1");
    let list = Attributes::resource(&n1, "list", "", "v1", "pods");
    let scoped =
        Attributes { field_selector: FieldSelector::parse("spec.nodeName=n1").unwrap(), ..list.clone() };
    let foreign =
        Attributes { field_selector: FieldSelector::parse("spec.nodeName=n2").unwrap(), ..list.clone() };
    let own = authorizer(NodeReads::Own);
    assert!(!own.authorize(&list).allowed());
    assert!(own.authorize(&scoped).allowed());
    assert!(!own.authorize(&foreign).allowed());
    assert!(own.authorize(&get(&n1, "", "nodes", "", "n1")).allowed());
    let reason = "node 'n1' cannot read 'n2', only its own Node object".to_owned();
    assert_eq!(own.authorize(&get(&n1, "", "nodes", "", "n2")), Decision::NoOpinion { reason });
    let all = authorizer(NodeReads::All);
    assert!(all.authorize(&list).allowed());
    assert!(all.authorize(&get(&n1, "", "nodes", "", "n2")).allowed());
    assert!(!all.authorize(&Attributes::resource(&n1, "delete", "", "v1", "nodes").named("n1")).allowed());
}

#[test]
fn leases_and_csi_nodes_are_its_own() {
    let authorizer = authorizer(NodeReads::Own);
    let n1 = node("n1");
    let lease = |namespace: &str, name: &str| get(&n1, "coordination.k8s.io", "leases", namespace, name);
    assert!(authorizer.authorize(&lease("kube-node-lease", "n1")).allowed());
    assert!(!authorizer.authorize(&lease("kube-node-lease", "n2")).allowed());
    assert!(!authorizer.authorize(&lease("default", "n1")).allowed());
    let reason = "unknown node for user \"system:node:\"".to_owned();
    let nameless = get(&node(""), "", "pods", "a", "p");
    assert_eq!(authorizer.authorize(&nameless), Decision::NoOpinion { reason });
    let person = get(&Arc::new(User::internal("alice", &[])), "", "secrets", "a", "s");
    assert_eq!(authorizer.authorize(&person), Decision::NoOpinion { reason: String::new() });
}
