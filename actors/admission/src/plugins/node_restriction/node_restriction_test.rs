//! What a node may and may not write.

use serde_json::{Value, json};

use crate::config::ChainConfig;
use crate::testing::{Ask, Bench, pod};
use trireme_access::User;

fn bench() -> Bench {
    let mut bench = Bench::of("NodeRestriction");
    bench.user = User::internal("system:node:n1", &["system:nodes", "system:authenticated"]);
    bench.put_global("", "nodes", json!({"metadata": {"name": "n1", "uid": "node-uid"}}));
    let mut mine = bound("n1");
    mine["metadata"] = json!({"name": "mine", "uid": "pod-uid"});
    mine["spec"]["volumes"] =
        json!([{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"audience": "vault"}}]}}]);
    bench.put("", "pods", mine);
    let mut other = bound("n2");
    other["metadata"] = json!({"name": "other", "uid": "other-uid"});
    bench.put("", "pods", other);
    bench
}

fn bound(node: &str) -> Value {
    pod(json!({"nodeName": node}))
}

fn mirror() -> Value {
    let mut pod = bound("n1");
    pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    pod["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "node-uid", "controller": true}]);
    pod
}

#[test]
fn others_than_nodes_are_not_restricted() {
    let mut bench = bench();
    let ask = Ask::create("", "nodes", json!({"metadata": {"name": "n9"}}));
    assert_eq!(bench.refusal(&ask), "node \"n1\" is not allowed to modify node \"n9\"");
    bench.user = User::internal("system:node:n1", &["devs"]);
    assert!(bench.ask(&ask).is_ok());
    bench.user = User::internal("system:node:", &["system:nodes"]);
    assert_eq!(bench.refusal(&ask), "could not determine node from user \"system:node:\"");
}

#[test]
fn mirror_pods() {
    let bench = bench();
    let refusal = |change: &dyn Fn(&mut Value)| {
        let mut pod = mirror();
        change(&mut pod);
        bench.refusal(&Ask::create("", "pods", pod))
    };
    assert_eq!(refusal(&|_| {}), "");
    type Change<'a> = &'a dyn Fn(&mut Value);
    let cases: [(&str, Change<'_>); 13] = [
        (
            "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only create mirror pods",
            &|pod| pod["metadata"]["annotations"] = Value::Null,
        ),
        ("node \"n1\" can only create pods with spec.nodeName set to itself", &|pod| {
            pod["spec"]["nodeName"] = "n2".into();
        }),
        ("node \"n1\" can only create pods with an owner reference set to itself", &|pod| {
            pod["metadata"]["ownerReferences"] = json!([]);
        }),
        ("node \"n1\" can only create pods with an owner reference set to itself", &|pod| {
            pod["metadata"]["ownerReferences"][0]["name"] = "n2".into();
        }),
        ("node \"n1\" can only create pods with a single owner reference set to itself", &|pod| {
            pod["metadata"]["ownerReferences"] = json!([{}, {}]);
        }),
        ("node \"n1\" can only create pods with a controller owner reference set to itself", &|pod| {
            pod["metadata"]["ownerReferences"][0]["controller"] = false.into();
        }),
        ("node \"n1\" must not set blockOwnerDeletion on an owner reference", &|pod| {
            pod["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = true.into();
        }),
        ("node n1 UID mismatch: expected wrong got node-uid", &|pod| {
            pod["metadata"]["ownerReferences"][0]["uid"] = "wrong".into();
        }),
        ("node \"n1\" can not create pods that reference a service account", &|pod| {
            pod["spec"]["serviceAccountName"] = "s".into();
        }),
        ("node \"n1\" can not create pods that reference secrets", &|pod| {
            pod["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "s"}}]);
        }),
        ("node \"n1\" can not create pods that reference configmaps", &|pod| {
            pod["spec"]["volumes"] = json!([{"projected": {"sources": [{"configMap": {"name": "s"}}]}}]);
        }),
        ("node \"n1\" can not create pods that reference persistentvolumeclaims", &|pod| {
            pod["spec"]["volumes"] = json!([{"persistentVolumeClaim": {"claimName": "s"}}]);
        }),
        ("node \"n1\" can not create pods that reference resourceclaims", &|pod| {
            pod["spec"]["resourceClaims"] = json!([{"name": "s"}]);
        }),
    ];
    for (wanted, change) in cases {
        assert_eq!(refusal(change), wanted);
    }
}

#[test]
fn pods_of_other_nodes_are_not_touched() {
    let bench = bench();
    assert_eq!(bench.refusal(&Ask::delete("", "pods", "mine")), "");
    let why = "node \"n1\" can only delete pods with spec.nodeName set to itself";
    assert_eq!(bench.refusal(&Ask::delete("", "pods", "other")), why);
    let evict = |name: &'static str| Ask::create("", "pods", json!({})).sub("eviction").named(name);
    assert_eq!(bench.refusal(&evict("mine")), "");
    assert_eq!(
        bench.refusal(&evict("other")),
        "node n1 can only evict pods with spec.nodeName set to itself"
    );
    assert_eq!(bench.refusal(&evict("gone")), "pod \"gone\" not found");
    let status = |old: Value, new: Value| bench.refusal(&Ask::update("", "pods", old, new).sub("status"));
    assert_eq!(status(bound("n1"), bound("n1")), "");
    let why = "node \"n1\" can only update pod status for pods with spec.nodeName set to itself";
    assert_eq!(status(bound("n2"), bound("n2")), why);
    let mut labelled = bound("n1");
    labelled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(status(bound("n1"), labelled), "node \"n1\" cannot update labels through pod status");
    let update = Ask::update("", "pods", bound("n1"), bound("n1"));
    let why = "unexpected operation \"UPDATE\", node \"n1\" can only create and delete mirror pods";
    assert_eq!(bench.refusal(&update), why);
    let exec = Ask::create("", "pods", json!({})).sub("binding").named("mine");
    let why = "unexpected pod subresource \"binding\", only 'status' and 'eviction' are allowed";
    assert_eq!(bench.refusal(&exec), why);
}

#[test]
fn its_own_node_object() {
    let bench = bench();
    let node = |labels: Value| json!({"metadata": {"name": "n1", "labels": labels}, "spec": {}});
    let create = |labels: Value| bench.refusal(&Ask::create("", "nodes", node(labels)));
    assert_eq!(create(json!({"kubernetes.io/hostname": "n1", "a": "b", "x.node.kubernetes.io/y": "z"})), "");
    let why = "node \"n1\" is not allowed to set the following labels: \
               node-restriction.kubernetes.io/a, node-role.kubernetes.io/control-plane";
    let labels =
        json!({"node-role.kubernetes.io/control-plane": "", "node-restriction.kubernetes.io/a": "b"});
    assert_eq!(create(labels), why);
    let update = |old: Value, new: Value| bench.refusal(&Ask::update("", "nodes", old, new).named("n1"));
    assert_eq!(update(node(json!({})), node(json!({"a": "b"}))), "");
    let why = "is not allowed to modify labels: node-restriction.kubernetes.io/a";
    assert_eq!(update(node(json!({"node-restriction.kubernetes.io/a": "b"})), node(json!({}))), why);
    let mut tainted = node(json!({}));
    tainted["spec"]["taints"] = json!([{"key": "k", "effect": "NoSchedule"}]);
    assert_eq!(update(tainted, node(json!({}))), "node \"n1\" is not allowed to modify taints");
    let mut owned = node(json!({}));
    owned["metadata"]["ownerReferences"] = json!([{"name": "o"}]);
    assert_eq!(update(node(json!({})), owned), "node \"n1\" is not allowed to modify ownerReferences");
    assert!(bench.refusal(&Ask::delete("", "nodes", "n2")).starts_with("node \"n1\" is not allowed"));
}

#[test]
fn tokens_of_its_pods() {
    let mut bench = bench();
    let ask = |name: &str, uid: &str, audiences: Value| {
        let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid});
        let object = json!({"spec": {"boundObjectRef": bound, "audiences": audiences}});
        Ask::create("", "serviceaccounts", object).sub("token").named("default")
    };
    assert_eq!(bench.refusal(&ask("mine", "pod-uid", json!(["vault"]))), "");
    assert_eq!(bench.refusal(&ask("", "pod-uid", json!([]))), "node requested token not bound to a pod");
    let why = "node requested token with a pod binding without a uid";
    assert_eq!(bench.refusal(&ask("mine", "", json!([]))), why);
    assert!(
        bench
            .refusal(&ask("mine", "old", json!([])))
            .starts_with("the UID in the bound object reference (old)")
    );
    let why = "node requested token bound to a pod scheduled on a different node";
    assert_eq!(bench.refusal(&ask("other", "other-uid", json!([]))), why);
    let why = "audience \"bank\" not found in pod spec volume, system:node:n1 is not authorized to request tokens \
               for this audience";
    assert_eq!(bench.refusal(&ask("mine", "pod-uid", json!(["bank"]))), why);
    bench.allowed.push("request-serviceaccounts-token-audience bank default".to_owned());
    assert_eq!(bench.refusal(&ask("mine", "pod-uid", json!(["bank"]))), "");
    let why = "node may only request 0 or 1 audiences";
    assert_eq!(bench.refusal(&ask("mine", "pod-uid", json!(["vault", "bank"]))), why);
}

#[test]
fn a_request_with_the_second_phase_alone_is_judged() {
    let bench = bench();
    let ask = Ask::create("", "serviceaccounts", json!({"spec": {}})).sub("token").named("default");
    let refusal = bench.validate(&ask).unwrap_err();
    assert!(refusal.ends_with("node requested token not bound to a pod"), "{refusal}");
}

#[test]
fn the_api_servers_own_audience_is_that_of_pods_that_name_none() {
    let config = ChainConfig { api_audiences: vec!["https://api".to_owned()], ..ChainConfig::default() };
    let mut bench = Bench::with("NodeRestriction", &config);
    bench.user = User::internal("system:node:n1", &["system:nodes"]);
    let mut mine = bound("n1");
    mine["metadata"] = json!({"name": "mine", "uid": "pod-uid"});
    mine["spec"]["volumes"] = json!([{"projected": {"sources": [{"serviceAccountToken": {}}]}}]);
    bench.put("", "pods", mine);
    let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": "mine", "uid": "pod-uid"});
    for audiences in [json!([]), json!(["https://api"])] {
        let object = json!({"spec": {"boundObjectRef": bound, "audiences": audiences}});
        let ask = Ask::create("", "serviceaccounts", object).sub("token").named("default");
        assert_eq!(bench.refusal(&ask), "");
    }
}

#[test]
fn leases_csi_nodes_slices_and_claims() {
    let mut bench = bench();
    let named = |name: &str| json!({"metadata": {"name": name}});
    let why = "can only access leases in the \"kube-node-lease\" system namespace";
    assert_eq!(bench.refusal(&Ask::create("coordination.k8s.io", "leases", named("n1"))), why);
    let csi = |name: &str| bench.refusal(&Ask::create("storage.k8s.io", "csinodes", named(name)));
    assert_eq!(csi("n1"), "");
    assert_eq!(csi("n2"), "can only access CSINode with the same name as the requesting node");
    let slice =
        |node: &str| Ask::create("resource.k8s.io", "resourceslices", json!({"spec": {"nodeName": node}}));
    assert_eq!(bench.refusal(&slice("n1")), "");
    let why = "can only create ResourceSlice with the same NodeName as the requesting node";
    assert_eq!(bench.refusal(&slice("n2")), why);
    let claim = |class: &str, capacity: &str| json!({"spec": {"storageClassName": class}, "status": {"capacity": {"storage": capacity}}});
    let status = |old: Value, new: Value| {
        bench.refusal(&Ask::update("", "persistentvolumeclaims", old, new).sub("status"))
    };
    assert_eq!(status(claim("a", "1"), claim("a", "2")), "");
    assert!(
        status(claim("a", "1"), claim("b", "1")).starts_with("node \"n1\" is not allowed to update fields")
    );
    let whole = Ask::update("", "persistentvolumeclaims", claim("a", "1"), claim("a", "1"));
    assert_eq!(bench.refusal(&whole), "may only update PVC status");
    bench.user = User::internal("system:kube-scheduler", &[]);
    assert_eq!(bench.refusal(&whole), "");
}
