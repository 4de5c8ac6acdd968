//! The standards, check by check and version by version.

use serde_json::{Value, json};

use crate::config::{ChainConfig, PodSecurityConfig};
use crate::testing::{Ask, Bench, NAMESPACE, pod};

fn labelled(bench: &mut Bench, labels: Value) {
    bench.objects.put("", "namespaces", json!({"metadata": {"name": NAMESPACE, "labels": labels}}));
}

fn bench(enforce: &str, version: &str) -> Bench {
    let mut bench = Bench::of("PodSecurity");
    let labels = json!({
        "pod-security.kubernetes.io/enforce": enforce, "pod-security.kubernetes.io/enforce-version": version,
    });
    labelled(&mut bench, labels);
    bench
}

/// What the standard has against a pod with such a spec: the text behind the standard's name.
fn verdict(enforce: &str, version: &str, spec: Value) -> String {
    let refusal = bench(enforce, version).refusal(&Ask::create("", "pods", pod(spec)));
    refusal.split_once("\": ").map_or(String::new(), |(_, found)| found.to_owned())
}

fn container(security: Value) -> Value {
    json!({"containers": [{"name": "c", "image": "i", "securityContext": security}]})
}

/// A spec that the restricted standard allows, with changes.
fn hardened(change: impl Fn(&mut Value)) -> Value {
    let mut spec = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "image": "i", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        }}],
    });
    change(&mut spec);
    spec
}

#[test]
fn baseline_checks() {
    let probe = |probe: Value| json!({"containers": [{"name": "c", "image": "i", "livenessProbe": probe}]});
    let cases = [
        (json!({}), ""),
        (json!({"hostPID": true, "hostIPC": true}), "host namespaces (hostPID=true, hostIPC=true)"),
        (
            json!({"volumes": [{"name": "v", "hostPath": {}}, {"name": "w", "hostPath": {}}]}),
            "hostPath volumes (volumes \"v\", \"w\")",
        ),
        (
            json!({"containers": [
                {"name": "c", "ports": [{"hostPort": 9}, {"hostPort": 80}, {"hostPort": 0}]}, {"name": "d", "ports": [{"hostPort": 80}]},
            ]}),
            "hostPorts (containers \"c\", \"d\" use hostPorts 80, 9)",
        ),
        (
            probe(json!({"httpGet": {"host": "127.0.0.1"}})),
            "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"127.0.0.1\")",
        ),
        (
            container(json!({"capabilities": {"add": ["SYS_TIME", "CHOWN", "NET_RAW"]}})),
            "non-default capabilities (container \"c\" must not include \"NET_RAW\", \"SYS_TIME\" in securityContext.capabilities.add)",
        ),
        (
            container(json!({"privileged": true})),
            "privileged (container \"c\" must not set securityContext.privileged=true)",
        ),
        (
            container(json!({"procMount": "Unmasked"})),
            "procMount (container \"c\" must not set securityContext.procMount to \"Unmasked\")",
        ),
        (
            json!({"securityContext": {"seLinuxOptions": {"type": "t", "user": "u"}}}),
            "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"t\"; user may not be set)",
        ),
        (
            json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}]}}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}),
            "forbidden AppArmor profile (pod must not set AppArmor profile type to \"Unconfined\")",
        ),
        (
            json!({"securityContext": {"windowsOptions": {"hostProcess": true}}, "hostNetwork": true}),
            "host namespaces (hostNetwork=true), hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
        (
            container(json!({"seccompProfile": {"type": "Unconfined"}})),
            "seccompProfile (container \"c\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
    ];
    for (spec, wanted) in cases {
        assert_eq!(verdict("baseline", "latest", spec.clone()), wanted, "{spec}");
        assert_eq!(verdict("privileged", "latest", spec), "");
    }
}

#[test]
fn restricted_checks() {
    let on_container = |field: &str, value: Value| {
        hardened(|spec| spec["containers"][0]["securityContext"][field] = value.clone())
    };
    let cases = [
        (hardened(|_| {}), ""),
        (
            on_container("allowPrivilegeEscalation", Value::Null),
            "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false)",
        ),
        (
            on_container("capabilities", json!({"add": ["CHOWN", "NET_BIND_SERVICE"]})),
            "unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]; container \"c\" must not include \"CHOWN\" in securityContext.capabilities.add)",
        ),
        (
            hardened(|spec| {
                spec["volumes"] = json!([{"name": "a", "nfs": {}}, {"name": "b", "secret": {}}, {"name": "d", "hostPath": {}}]);
            }),
            "restricted volume types (volumes \"a\", \"d\" use restricted volume types \"hostPath\", \"nfs\")",
        ),
        (
            hardened(|spec| spec["securityContext"]["runAsNonRoot"] = Value::Null),
            "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)",
        ),
        (
            on_container("runAsNonRoot", false.into()),
            "runAsNonRoot != true (container \"c\" must not set securityContext.runAsNonRoot=false)",
        ),
        (on_container("runAsUser", 0.into()), "runAsUser=0 (container \"c\" must not set runAsUser=0)"),
        (
            hardened(|spec| spec["securityContext"]["seccompProfile"] = Value::Null),
            "seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
        ),
    ];
    for (spec, wanted) in cases {
        assert_eq!(verdict("restricted", "latest", spec.clone()), wanted, "{spec}");
    }
}

#[test]
fn versions_have_their_own_rules() {
    let reserved = json!({"securityContext": {"sysctls": [{"name": "net.ipv4.ip_local_reserved_ports"}]}});
    assert_ne!(verdict("baseline", "v1.26", reserved.clone()), "");
    assert_eq!(verdict("baseline", "v1.27", reserved), "");
    let engine = json!({"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}});
    assert_ne!(verdict("baseline", "v1.30", engine.clone()), "");
    assert_eq!(verdict("baseline", "v1.31", engine), "");
    // Before 1.22 no capabilities were demanded, but those of the baseline stayed forbidden.
    let adds = hardened(|spec| {
        spec["containers"][0]["securityContext"]["capabilities"] = json!({"add": ["SYS_TIME"]});
    });
    assert!(verdict("restricted", "v1.21", adds.clone()).starts_with("non-default capabilities"));
    assert!(verdict("restricted", "v1.22", adds).starts_with("unrestricted capabilities"));
    let root = hardened(|spec| {
        spec["hostUsers"] = false.into();
        spec["securityContext"]["runAsUser"] = 0.into();
    });
    assert_ne!(verdict("restricted", "v1.34", root.clone()), "");
    assert_eq!(verdict("restricted", "v1.35", root), "");
    let windows = hardened(|spec| {
        spec["os"] = json!({"name": "windows"});
        spec["containers"][0]["securityContext"] = Value::Null;
    });
    assert_ne!(verdict("restricted", "v1.24", windows.clone()), "");
    assert_eq!(verdict("restricted", "v1.25", windows), "");
    let host = json!({"containers": [{"name": "c", "lifecycle": {"preStop": {"tcpSocket": {"host": "h"}}}}]});
    assert_eq!(verdict("baseline", "v1.33", host.clone()), "");
    assert_ne!(verdict("baseline", "v1.34", host), "");
}

#[test]
fn updates_count_when_they_bring_images_or_debuggers() {
    let bench = bench("baseline", "latest");
    let bad = pod(container(json!({"privileged": true})));
    let refused = |new: Value, sub: &'static str| {
        !bench.refusal(&Ask::update("", "pods", bad.clone(), new).sub(sub)).is_empty()
    };
    assert!(!refused(bad.clone(), ""));
    let mut other = bad.clone();
    other["spec"]["containers"][0]["image"] = "j".into();
    assert!(refused(other.clone(), ""));
    assert!(!refused(other, "status"));
    let mut debugged = bad.clone();
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "d", "image": "i"}]);
    assert!(refused(debugged, "ephemeralcontainers"));
}

#[test]
fn templates_warn_and_are_never_refused() {
    let mut bench = bench("restricted", "latest");
    let template = json!({"spec": {"template": {"spec": {"hostPID": true, "containers": []}}}});
    let warnings =
        |bench: &Bench| bench.ask(&Ask::create("apps", "deployments", template.clone())).unwrap().1.warnings;
    assert!(warnings(&bench).is_empty());
    labelled(&mut bench, json!({"pod-security.kubernetes.io/warn": "baseline"}));
    assert_eq!(
        warnings(&bench),
        ["would violate PodSecurity \"baseline:latest\": host namespaces (hostPID=true)"]
    );
    let cron = json!({"spec": {"jobTemplate": template}});
    assert_eq!(bench.ask(&Ask::create("batch", "cronjobs", cron)).unwrap().1.warnings.len(), 1);
}

#[test]
fn namespaces_tell_about_their_pods() {
    let mut bench = Bench::of("PodSecurity");
    for name in ["b", "a", "c"] {
        let mut bad = pod(json!({"hostPID": true}));
        bad["metadata"]["name"] = name.into();
        bench.put("", "pods", bad);
    }
    let namespace = |labels: Value| json!({"metadata": {"name": NAMESPACE, "labels": labels}});
    let strict = json!({"pod-security.kubernetes.io/enforce": "baseline"});
    let ask = Ask::update("", "namespaces", namespace(json!({})), namespace(strict.clone()));
    let warnings = bench.ask(&ask).unwrap().1.warnings;
    let first =
        "existing pods in namespace \"ns\" violate the new PodSecurity enforce level \"baseline:latest\"";
    assert_eq!(warnings, [first, "a (and 2 other pods): host namespaces"]);
    let relaxed = Ask::update("", "namespaces", namespace(strict), namespace(json!({})));
    assert!(bench.ask(&relaxed).unwrap().1.warnings.is_empty());
    // A malformed label may stay as it is, but not be put on.
    let odd = json!({"pod-security.kubernetes.io/warn": "x"});
    let kept = Ask::update("", "namespaces", namespace(odd.clone()), namespace(odd.clone()));
    assert!(bench.ask(&kept).is_ok());
    let put = Ask::update("", "namespaces", namespace(json!({})), namespace(odd));
    assert!(bench.refusal(&put).contains("must be one of privileged, baseline, restricted"));
}

#[test]
fn exemptions_and_defaults() {
    let pod_security = PodSecurityConfig {
        defaults: [("enforce".to_owned(), "baseline".to_owned())].into(),
        exempt_users: vec!["root".to_owned()],
        exempt_runtime_classes: vec!["vm".to_owned()],
        ..PodSecurityConfig::default()
    };
    let mut config = ChainConfig { pod_security, ..ChainConfig::default() };
    let mut bench = Bench::with("PodSecurity", &config);
    let ask = Ask::create("", "pods", pod(json!({"hostPID": true})));
    assert!(bench.ask(&ask).is_err());
    assert!(
        bench.ask(&Ask::create("", "pods", pod(json!({"hostPID": true, "runtimeClassName": "vm"})))).is_ok()
    );
    bench.user.name = "root".to_owned();
    assert!(bench.ask(&ask).is_ok());
    config.pod_security.exempt_namespaces.push(NAMESPACE.to_owned());
    assert!(Bench::with("PodSecurity", &config).ask(&ask).is_ok());
    config.pod_security.defaults.insert("enforced".to_owned(), "baseline".to_owned());
    assert!(crate::Chain::upstream(&config).is_err());
}
