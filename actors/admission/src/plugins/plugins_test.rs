//! The smaller plugins, a few rules each.

use serde_json::{Value, json};

use crate::config::{ChainConfig, NamespaceTolerations, NodeSelectors};
use crate::testing::{Ask, Bench, NAMESPACE, pod};

/// A request for `CN=system:node:n1, O=system:nodes`.
const NODE_REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIc01JR1NBZ0VBTURBeEZUQVRCZ05WQkFvTURITjVjM1JsYlRwdWIyUmxjekVYTUJVR0ExVUVBd3dPYzNsegpkR1Z0T201dlpHVTZiakV3V1RBVEJnY3Foa2pPUFFJQkJnZ3Foa2pPUFFNQkJ3TkNBQVJGQ1dSM3VvSlU2NkN3CjVLSTZ3bFF6aGRzemZTS281ZlAyUGRwLzhPdWhOc0VseTVxME43RnNwek43bldpRmkyNisrYWFVVEhibFlqWFMKSGc4SHhnT0RvQUF3Q2dZSUtvWkl6ajBFQXdJRFNRQXdSZ0loQUxsOXE0MXArSFFVWXRpMk1IZVdKeWhFa2lMOApYWkZXYmUwR0I5U1hwbVBFQWlFQXZuWVZ0SVFpdXZSK3JOV3pxYkRWdWhaQ05TVEQ2Rit3V2U1Q3BDM0czbFU9Ci0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
/// A request for `CN=root, O=system:masters`.
const MASTER_REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIa01JR0tBZ0VBTUNneEZ6QVZCZ05WQkFvTURuTjVjM1JsYlRwdFlYTjBaWEp6TVEwd0N3WURWUVFEREFSeQpiMjkwTUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFMng0b01MaEM5a3k4eUllZkl6Vk9yeHJvCk4rUHJkSVV3TWxpek1FQVRaei9sWWsweko0UnZudDlNSXFGNFZTelVPMngvWmt2a1htUThGU09nWXAvOE1xQUEKTUFvR0NDcUdTTTQ5QkFNQ0Ewa0FNRVlDSVFEVlpNenZ6UDFqYjRIU3c1NjRmb0pEajIycVgvYVUvNEdHQ2hWbQovanl4bmdJaEFOU3dOeVJIbklnZnI0RDdzRjBkYXBFZ3JsM09HRFVnaElld3Fza1NaS1FlCi0tLS0tRU5EIENFUlRJRklDQVRFIFJFUVVFU1QtLS0tLQo=";
const CERTIFICATES: &str = "certificates.k8s.io";
const REQUESTS: &str = "certificatesigningrequests";

fn named(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

fn marked(name: &str, created: &str, annotation: &str) -> Value {
    json!({"metadata": {"name": name, "creationTimestamp": created, "annotations": {annotation: "true"}}})
}

#[test]
fn namespaces_that_are_missing_going_or_immortal() {
    let mut bench = Bench::of("NamespaceLifecycle");
    let create = Ask::create("", "configmaps", named("x"));
    assert_eq!(bench.refusal(&create), "");
    let immortal = bench.ask(&Ask::delete("", "namespaces", "kube-system")).unwrap_err();
    assert_eq!(immortal, "namespaces \"kube-system\" is forbidden: this namespace may not be deleted");
    assert!(bench.ask(&Ask::delete("", "namespaces", "other")).is_ok());
    bench.objects.put(
        "",
        "namespaces",
        json!({"metadata": {"name": NAMESPACE}, "status": {"phase": "Terminating"}}),
    );
    let why = "unable to create new content in namespace ns because it is being terminated";
    assert_eq!(bench.refusal(&create), why);
    assert_eq!(bench.refusal(&Ask::update("", "configmaps", named("x"), named("x"))), "");
    bench.objects.remove("", "namespaces", "", NAMESPACE);
    assert_eq!(bench.refusal(&create), "namespaces \"ns\" not found");
    assert_eq!(
        bench.refusal(&Ask::update("", "configmaps", named("x"), named("x"))),
        "namespaces \"ns\" not found"
    );
    assert_eq!(bench.refusal(&Ask::delete("", "configmaps", "x")), "");
    let review = Ask::create("authorization.k8s.io", "localsubjectaccessreviews", json!({}));
    assert_eq!(bench.refusal(&review), "");
}

#[test]
fn priorities_come_from_classes() {
    let mut bench = Bench::of("Priority");
    let made = |bench: &Bench, spec: Value| bench.ask(&Ask::create("", "pods", pod(spec))).unwrap().0;
    let plain = made(&bench, json!({}));
    assert_eq!(
        (&plain["spec"]["priority"], &plain["spec"]["preemptionPolicy"]),
        (&json!(0), &json!("PreemptLowerPriority"))
    );
    let class = |name: &str, value: i64, default: bool| json!({"metadata": {"name": name}, "value": value, "globalDefault": default, "preemptionPolicy": "Never"});
    for (name, value) in [("high", 9), ("low", 5)] {
        bench.put_global("scheduling.k8s.io", "priorityclasses", class(name, value, true));
    }
    let spec = made(&bench, json!({}))["spec"].clone();
    assert_eq!((&spec["priorityClassName"], &spec["priority"]), (&json!("low"), &json!(5)));
    assert_eq!(made(&bench, json!({"priorityClassName": "high"}))["spec"]["priority"], 9);
    let refusal = |spec: Value| bench.refusal(&Ask::create("", "pods", pod(spec)));
    assert_eq!(refusal(json!({"priorityClassName": "none"})), "no PriorityClass with name none was found");
    assert!(
        refusal(json!({"preemptionPolicy": "PreemptLowerPriority"}))
            .starts_with("the string value of PreemptionPolicy")
    );
    let second = Ask::create("scheduling.k8s.io", "priorityclasses", class("x", 1, true));
    assert!(bench.refusal(&second).starts_with("PriorityClass low is already marked as default"));
    let same =
        Ask::update("scheduling.k8s.io", "priorityclasses", class("low", 5, true), class("low", 5, true));
    assert_eq!(bench.refusal(&same), "");
    // An update that leaves out what was computed keeps it.
    let old = made(&bench, json!({"priorityClassName": "high"}));
    let kept = bench.ask(&Ask::update("", "pods", old, pod(json!({})))).unwrap().0;
    assert_eq!(kept["spec"]["priority"], 9);
}

#[test]
fn tolerations_by_default() {
    let config = ChainConfig { not_ready_seconds: 7, ..ChainConfig::default() };
    let bench = Bench::with("DefaultTolerationSeconds", &config);
    let tolerations = |given: Value| {
        let made = bench.ask(&Ask::create("", "pods", pod(json!({"tolerations": given})))).unwrap().0;
        let list = made["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|one| format!("{}:{}", one["key"], one["tolerationSeconds"]))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let both = "\"node.kubernetes.io/not-ready\":7 \"node.kubernetes.io/unreachable\":300";
    assert_eq!(tolerations(json!([])), both);
    assert_eq!(tolerations(json!([{"operator": "Exists"}])), "null:null");
    let other = json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]);
    assert_eq!(tolerations(other), format!("\"node.kubernetes.io/unreachable\":null {both}"));
}

#[test]
fn service_accounts_and_their_tokens() {
    let mut bench = Bench::of("ServiceAccount");
    let ask = Ask::create("", "pods", pod(json!({})));
    let why = "error looking up service account ns/default: serviceaccount \"default\" not found";
    assert_eq!(bench.refusal(&ask), why);
    bench.put(
        "",
        "serviceaccounts",
        json!({"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "p"}]}),
    );
    let made = bench.ask(&ask).unwrap().0;
    let spec = &made["spec"];
    assert_eq!(
        (&spec["serviceAccountName"], &spec["serviceAccount"]),
        (&json!("default"), &json!("default"))
    );
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "p"}]));
    let volume = spec["volumes"][0]["name"].as_str().unwrap();
    assert_eq!(volume.len(), "kube-api-access-".len() + 5);
    assert_eq!(spec["containers"][0]["volumeMounts"][0]["name"], volume);
    assert_eq!(spec["volumes"][0]["projected"]["sources"].as_array().unwrap().len(), 3);
    // The same request gives the same name, another one another.
    assert_eq!(bench.ask(&ask).unwrap().0, made);
    let mut other = pod(json!({}));
    other["metadata"]["name"] = "y".into();
    assert_ne!(bench.ask(&Ask::create("", "pods", other)).unwrap().0["spec"]["volumes"][0]["name"], volume);
    let without = pod(json!({"automountServiceAccountToken": false}));
    assert!(bench.ask(&Ask::create("", "pods", without)).unwrap().0["spec"]["volumes"].is_null());
}

#[test]
fn debuggers_see_only_the_accounts_secrets() {
    let mut bench = Bench::of("ServiceAccount");
    let annotations = json!({"kubernetes.io/enforce-mountable-secrets": "true"});
    bench.put("", "serviceaccounts", json!({"metadata": {"name": "s", "annotations": annotations}}));
    let mut debugged = pod(json!({"serviceAccountName": "s"}));
    debugged["spec"]["ephemeralContainers"] =
        json!([{"name": "d", "envFrom": [{"secretRef": {"name": "k"}}]}]);
    let ask = Ask::update("", "pods", pod(json!({})), debugged).sub("ephemeralcontainers");
    let why = "ephemeral container d with envFrom referencing secret.secretName=\"k\" is not allowed because service \
               account s does not reference that secret";
    assert_eq!(bench.refusal(&ask), why);
}

#[test]
fn limits_of_pods_and_resizes() {
    let mut bench = Bench::of("LimitRanger");
    let limits = json!([
        {"type": "Pod", "max": {"cpu": "1"}}, {"type": "Container", "min": {"cpu": "100m"}, "defaultRequest": {"cpu": "200m"}},
    ]);
    bench.put("", "limitranges", json!({"metadata": {"name": "l"}, "spec": {"limits": limits}}));
    let with = |cpu: &str| {
        pod(
            json!({"containers": [{"name": "c", "resources": {"limits": {"cpu": cpu}, "requests": {"cpu": cpu}}}]}),
        )
    };
    let many = "[maximum cpu usage per Pod is 1, but limit is 2]";
    assert_eq!(bench.refusal(&Ask::create("", "pods", with("2"))), many.trim_matches(['[', ']']));
    let few = "minimum cpu usage per Container is 100m, but request is 50m";
    assert_eq!(bench.refusal(&Ask::create("", "pods", with("50m"))), few);
    let unlimited = "maximum cpu usage per Pod is 1.  No limit is specified";
    assert_eq!(bench.refusal(&Ask::create("", "pods", pod(json!({})))), unlimited);
    let resize = Ask::update("", "pods", with("1"), with("2")).sub("resize");
    assert_eq!(bench.refusal(&resize), "maximum cpu usage per Pod is 1, but limit is 2");
    assert_eq!(bench.refusal(&Ask::update("", "pods", with("1"), with("2"))), "");
    let mut going = with("2");
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(bench.refusal(&Ask::update("", "pods", going.clone(), going).sub("resize")), "");
}

#[test]
fn the_newest_default_class_counts() {
    let mut bench = Bench::of("DefaultStorageClass");
    let annotation = "storageclass.kubernetes.io/is-default-class";
    for (name, created) in
        [("b", "2026-01-02T00:00:00Z"), ("a", "2026-01-02T00:00:00Z"), ("z", "2026-01-01T00:00:00Z")]
    {
        bench.put_global("storage.k8s.io", "storageclasses", marked(name, created, annotation));
    }
    let claim =
        |spec: Value| bench.ask(&Ask::create("", "persistentvolumeclaims", json!({"spec": spec}))).unwrap().0;
    assert_eq!(claim(json!({}))["spec"]["storageClassName"], "a");
    assert_eq!(claim(json!({"storageClassName": ""}))["spec"]["storageClassName"], "");
    let mut bench = Bench::of("DefaultIngressClass");
    let annotation = "ingressclass.kubernetes.io/is-default-class";
    bench.put_global("networking.k8s.io", "ingressclasses", marked("i", "2026-01-02T00:00:00Z", annotation));
    let ask = Ask::create("networking.k8s.io", "ingresses", json!({"spec": {}}));
    assert_eq!(bench.ask(&ask).unwrap().0["spec"]["ingressClassName"], "i");
}

#[test]
fn storage_is_protected_and_grows_only_where_it_can() {
    let bench = Bench::of("StorageObjectInUseProtection");
    let finalizers = |group: &str, resource: &str| {
        bench.ask(&Ask::create(group, resource, named("x"))).unwrap().0["metadata"]["finalizers"].clone()
    };
    assert_eq!(finalizers("", "persistentvolumes"), json!(["kubernetes.io/pv-protection"]));
    assert_eq!(
        finalizers("storage.k8s.io", "volumeattributesclasses"),
        json!(["kubernetes.io/vac-protection"])
    );
    assert_eq!(finalizers("", "configmaps"), Value::Null);
    let mut bench = Bench::of("PersistentVolumeClaimResize");
    let class = |name: &str, grows: bool| json!({"metadata": {"name": name}, "allowVolumeExpansion": grows});
    bench.put_global("storage.k8s.io", "storageclasses", class("yes", true));
    bench.put_global("storage.k8s.io", "storageclasses", class("no", false));
    let claim = |class: &str, size: &str, phase: &str| {
        let spec = json!({"storageClassName": class, "resources": {"requests": {"storage": size}}});
        json!({"spec": spec, "status": {"phase": phase}})
    };
    let resize = |class: &str, to: &str, phase: &str| {
        let (old, new) = (claim(class, "2Gi", phase), claim(class, to, phase));
        bench.refusal(&Ask::update("", "persistentvolumeclaims", old, new))
    };
    assert_eq!(resize("yes", "3Gi", "Bound"), "");
    assert_eq!(resize("no", "1Gi", "Bound"), "");
    assert_eq!(resize("yes", "3Gi", "Pending"), "Only bound persistent volume claims can be expanded");
    assert!(resize("no", "3Gi", "Bound").starts_with("only dynamically provisioned pvc can be resized"));
}

#[test]
fn runtime_classes_give_overhead_and_place() {
    let mut bench = Bench::of("RuntimeClass");
    let class = json!({
        "metadata": {"name": "vm"}, "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "vm", "operator": "Exists"}]},
    });
    bench.put_global("node.k8s.io", "runtimeclasses", class);
    let ask = |spec: Value| Ask::create("", "pods", pod(spec));
    let made = bench.ask(&ask(json!({"runtimeClassName": "vm", "nodeSelector": {"c": "d"}}))).unwrap().0;
    assert_eq!(made["spec"]["overhead"], json!({"cpu": "250m"}));
    assert_eq!(made["spec"]["nodeSelector"], json!({"a": "b", "c": "d"}));
    assert_eq!(made["spec"]["tolerations"], json!([{"key": "vm", "operator": "Exists"}]));
    let same = ask(json!({"runtimeClassName": "vm", "overhead": {"cpu": "0.25"}}));
    assert_eq!(bench.refusal(&same), "");
    let other = ask(json!({"runtimeClassName": "vm", "overhead": {"cpu": "1"}}));
    assert_eq!(
        bench.refusal(&other),
        "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
    );
    let none = ask(json!({"overhead": {"cpu": "1"}}));
    assert_eq!(
        bench.refusal(&none),
        "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
    );
}

#[test]
fn certificates_are_their_signers_business() {
    let request = |signer: &str, certificate: &str| json!({"spec": {"signerName": signer}, "status": {"certificate": certificate}});
    let mut bench = Bench::of("CertificateApproval");
    let approve =
        Ask::update(CERTIFICATES, REQUESTS, request("a.io/s", ""), request("a.io/s", "")).sub("approval");
    assert_eq!(bench.refusal(&approve), "user not permitted to approve requests with signerName \"a.io/s\"");
    bench.allowed.push("approve signers a.io/*".to_owned());
    assert_eq!(bench.refusal(&approve), "");
    let mut bench = Bench::of("CertificateSigning");
    let sign =
        Ask::update(CERTIFICATES, REQUESTS, request("a.io/s", ""), request("a.io/s", "x")).sub("status");
    assert_eq!(bench.refusal(&sign), "user not permitted to sign requests with signerName \"a.io/s\"");
    let unchanged =
        Ask::update(CERTIFICATES, REQUESTS, request("a.io/s", "x"), request("a.io/s", "x")).sub("status");
    assert_eq!(bench.refusal(&unchanged), "");
    bench.allowed.push("sign signers a.io/s".to_owned());
    assert_eq!(bench.refusal(&sign), "");
    let bench = Bench::of("ClusterTrustBundleAttest");
    let bundle = |signer: &str| {
        Ask::create(CERTIFICATES, "clustertrustbundles", json!({"spec": {"signerName": signer}}))
    };
    assert_eq!(bench.refusal(&bundle("a.io/s")), "user not permitted to attest for signerName \"a.io/s\"");
    assert_eq!(bench.refusal(&bundle("")), "");
}

#[test]
fn certificate_requests_are_read() {
    let ask = |signer: &str, request: &str| {
        Ask::create(CERTIFICATES, REQUESTS, json!({"spec": {"signerName": signer, "request": request}}))
    };
    let bench = Bench::of("CertificateSubjectRestriction");
    let client = "kubernetes.io/kube-apiserver-client";
    let why = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
    assert_eq!(bench.refusal(&ask(client, MASTER_REQUEST)), why);
    assert_eq!(bench.refusal(&ask(client, NODE_REQUEST)), "");
    assert_eq!(bench.refusal(&ask("a.io/s", MASTER_REQUEST)), "");
    assert!(bench.refusal(&ask(client, "bm8=")).starts_with("unable to parse csr: "));
    let mut bench = Bench::of("NodeRestriction");
    let kubelet = "kubernetes.io/kubelet-serving";
    for (node, why) in [("n1", ""), ("n2", "can only create a node CSR with CN=system:node:n2")] {
        bench.user = trireme_access::User::internal(&format!("system:node:{node}"), &["system:nodes"]);
        assert_eq!(bench.refusal(&ask(kubelet, NODE_REQUEST)), why);
    }
}

#[test]
fn images_are_always_pulled() {
    let bench = Bench::of("AlwaysPullImages");
    let made = bench
        .ask(&Ask::create("", "pods", pod(json!({"volumes": [{"image": {"reference": "i"}}]}))))
        .unwrap()
        .0;
    assert_eq!(made["spec"]["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(made["spec"]["volumes"][0]["image"]["pullPolicy"], "Always");
    // An update that brings no further image leaves the pod as it is.
    let kept = bench.ask(&Ask::update("", "pods", pod(json!({})), pod(json!({})))).unwrap().0;
    assert!(kept["spec"]["containers"][0]["imagePullPolicy"].is_null());
}

#[test]
fn tolerations_of_namespaces_and_of_special_resources() {
    let any = json!({"key": "a", "operator": "Exists"});
    let tolerations = NamespaceTolerations { default: vec![any.clone()], whitelist: vec![any.clone()] };
    let mut bench =
        Bench::with("PodTolerationRestriction", &ChainConfig { tolerations, ..ChainConfig::default() });
    let made = bench.ask(&Ask::create("", "pods", pod(json!({})))).unwrap().0;
    assert_eq!(made["spec"]["tolerations"], json!([any]));
    let other = Ask::create("", "pods", pod(json!({"tolerations": [{"key": "b", "operator": "Exists"}]})));
    assert!(bench.refusal(&other).starts_with("pod tolerations (possibly merged"));
    let annotations = json!({"scheduler.alpha.kubernetes.io/tolerationsWhitelist": "[]"});
    bench.objects.put("", "namespaces", json!({"metadata": {"name": NAMESPACE, "annotations": annotations}}));
    assert_eq!(bench.refusal(&other), "");
    let bench = Bench::of("ExtendedResourceToleration");
    let containers = json!([{"name": "c", "resources": {"requests": {"example.com/gpu": "1", "cpu": "1"}}}]);
    let made = bench.ask(&Ask::create("", "pods", pod(json!({"containers": containers})))).unwrap().0;
    assert_eq!(
        made["spec"]["tolerations"],
        json!([{"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"}])
    );
}

#[test]
fn node_selectors_of_namespaces() {
    let node_selectors = NodeSelectors {
        cluster_default: "env=test".to_owned(),
        by_namespace: [(NAMESPACE.to_owned(), "env=test,disk=ssd".to_owned())].into(),
    };
    let bench = Bench::with("PodNodeSelector", &ChainConfig { node_selectors, ..ChainConfig::default() });
    let ask = |selector: Value| Ask::create("", "pods", pod(json!({"nodeSelector": selector})));
    let made = bench.ask(&ask(json!({"disk": "ssd"}))).unwrap().0;
    assert_eq!(made["spec"]["nodeSelector"], json!({"env": "test", "disk": "ssd"}));
    let why = "pod node label selector conflicts with its namespace node label selector";
    assert_eq!(bench.refusal(&ask(json!({"env": "prod"}))), why);
    let why = "pod node label selector labels conflict with its namespace whitelist";
    assert_eq!(bench.refusal(&ask(json!({"disk": "hdd"}))), why);
}

#[test]
fn owners_and_what_they_block() {
    let mut bench = Bench::of("OwnerReferencesPermissionEnforcement");
    let owned = |blocks: bool| {
        let owner = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "u", "blockOwnerDeletion": blocks});
        json!({"metadata": {"name": "x", "ownerReferences": [owner]}})
    };
    assert_eq!(bench.refusal(&Ask::create("", "configmaps", owned(false))), "");
    let update = Ask::update("", "configmaps", named("x"), owned(false));
    let why = "cannot set an ownerRef on a resource you can't delete: by list, <nil>";
    assert_eq!(bench.refusal(&update), why);
    bench.allowed.push("delete configmaps x".to_owned());
    assert_eq!(bench.refusal(&update), "");
    let blocks = Ask::create("", "configmaps", owned(true));
    assert!(
        bench.refusal(&blocks).starts_with("cannot set blockOwnerDeletion if an ownerReference refers to")
    );
    bench.allowed.push("update deployments d".to_owned());
    assert_eq!(bench.refusal(&blocks), "");
    let mut unknown = owned(true);
    unknown["metadata"]["ownerReferences"][0]["kind"] = "Nothing".into();
    let refusal = bench.refusal(&Ask::create("", "configmaps", unknown));
    assert!(refusal.contains("cannot find RESTMapping for APIVersion apps/v1 Kind Nothing"), "{refusal}");
}

#[test]
fn nodes_zones_services_and_the_rest() {
    let made = Bench::of("TaintNodesByCondition").ask(&Ask::create("", "nodes", named("n"))).unwrap().0;
    assert_eq!(
        made["spec"]["taints"],
        json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}])
    );
    let mut bench = Bench::of("PodTopologyLabels");
    let labels = json!({"topology.kubernetes.io/zone": "z", "other": "o"});
    bench.put_global("", "nodes", json!({"metadata": {"name": "n", "labels": labels}}));
    let binding = json!({"metadata": {"name": "x"}, "target": {"kind": "Node", "name": "n"}});
    let bound = bench.ask(&Ask::create("", "pods", binding).sub("binding")).unwrap().0;
    assert_eq!(bound["metadata"]["labels"], json!({"topology.kubernetes.io/zone": "z"}));
    let bench = Bench::of("DenyServiceExternalIPs");
    let service = |addresses: Value| json!({"spec": {"externalIPs": addresses}});
    let kept = Ask::update("", "services", service(json!(["1.1.1.1"])), service(json!(["1.1.1.1"])));
    assert_eq!(bench.refusal(&kept), "");
    let taken = Ask::update("", "services", service(json!(["1.1.1.1"])), service(json!(["2.2.2.2"])));
    assert_eq!(bench.refusal(&taken), "Use of external IPs is denied by admission control");
    let term = json!({"topologyKey": "zone"});
    let affinity = json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
    let apart = Ask::create("", "pods", pod(json!({"affinity": affinity})));
    assert!(Bench::of("LimitPodHardAntiAffinityTopology").refusal(&apart).contains("TopologyKey zone"));
    let ask = Ask::create("", "configmaps", named("x"));
    assert_eq!(Bench::of("AlwaysDeny").refusal(&ask), "admission control is denying all modifications");
    assert_eq!(Bench::of("AlwaysAdmit").refusal(&ask), "");
    let mut bench = Bench::of("NamespaceExists");
    bench.objects.remove("", "namespaces", "", NAMESPACE);
    assert_eq!(bench.refusal(&ask), "namespaces \"ns\" not found");
}
