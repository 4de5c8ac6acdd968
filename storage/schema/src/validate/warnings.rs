//! Warnings about objects that are valid but probably not what their sender meant.

use serde_json::Value;

use crate::field::Path;
use crate::names;
use crate::view::View;

/// Volume sources that no longer work or soon will not, with the text about them.
const DEPRECATED: [(&str, &str); 9] = [
    ("photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("gitRepo", "deprecated in v1.11"),
    ("scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("flocker", "deprecated in v1.22, non-functional in v1.25+"),
    ("storageos", "deprecated in v1.22, non-functional in v1.25+"),
    ("quobyte", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

/// The warnings for a new object of a built-in kind; on updates, upstream gives them when the generation rose.
pub fn warnings(group: &str, kind: &str, object: &Value) -> Vec<String> {
    let mut out = Vec::new();
    owners(object, &mut out);
    let spec = object.at("spec");
    let template = Path::new("spec");
    let template = template.child("template");
    match (group, kind) {
        ("", "Pod") => {
            dns_label(
                object,
                "this is used in the Pod's hostname, which can result in surprising behavior",
                &mut out,
            );
            pod_spec(spec, &Path::new("spec"), &mut out);
        }
        ("apps", "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet")
        | ("", "ReplicationController") => {
            if kind != "DaemonSet" && kind != "StatefulSet" {
                let text = "this is used in Pod names and hostnames, which can result in surprising behavior";
                dns_label(object, text, &mut out);
            }
            pod_spec(spec.at("template").at("spec"), &template.child("spec"), &mut out);
        }
        ("batch", "Job") => {
            if spec.int("completions").is_some_and(|c| c > 100_000)
                && spec.int("parallelism").is_some_and(|p| p > 10_000)
                && spec.text("completionMode") == "Indexed"
            {
                out.push("spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail".to_owned());
            }
            pod_spec(spec.at("template").at("spec"), &template.child("spec"), &mut out);
        }
        ("batch", "CronJob") => {
            if spec.text("schedule").contains("TZ") {
                out.push("CRON_TZ or TZ used in spec.spec.schedule is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".to_owned());
            }
        }
        ("", "PersistentVolume") => {
            for (name, text) in DEPRECATED {
                if spec.has(name) {
                    out.push(format!("spec.{name}: {text}"));
                }
            }
        }
        ("networking.k8s.io", "Ingress") => {
            if object.at("metadata").at("annotations").has("kubernetes.io/ingress.class") {
                out.push("annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead".to_owned());
            }
        }
        _ => {}
    }
    out
}

fn owners(object: &Value, out: &mut Vec<String>) {
    let owners = object.at("metadata").list("ownerReferences");
    let mut twice: Vec<&str> = Vec::new();
    for (i, owner) in owners.iter().enumerate() {
        let uid = owner.text("uid");
        if owners[..i].iter().any(|o| o.text("uid") == uid) && !twice.contains(&uid) {
            twice.push(uid);
        }
    }
    if !twice.is_empty() {
        out.push(format!(
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            twice.join(", ")
        ));
    }
}

fn dns_label(object: &Value, use_of_name: &str, out: &mut Vec<String>) {
    let name = object.at("metadata").text("name");
    let complaints = names::check_dns1123_label(name);
    if !name.is_empty() && !complaints.is_empty() {
        out.push(format!(
            "metadata.name: {use_of_name}; a DNS label is recommended: [{}]",
            complaints.join(" ")
        ));
    }
}

fn pod_spec(spec: &Value, path: &Path<'_>, out: &mut Vec<String>) {
    let list = path.child("volumes");
    for (i, volume) in spec.list("volumes").iter().enumerate() {
        for (name, text) in DEPRECATED {
            if volume.has(name) {
                out.push(format!("{}.{name}: {text}", list.index(i)));
            }
        }
    }
    let list = path.child("imagePullSecrets");
    for (i, secret) in spec.list("imagePullSecrets").iter().enumerate() {
        if secret.text("name").is_empty() {
            out.push(format!("{}.name: invalid empty name \"\"", list.index(i)));
        }
    }
    null_selectors(spec, path, out);
}

fn null_selectors(spec: &Value, path: &Path<'_>, out: &mut Vec<String>) {
    const TEXT: &str = "a null labelSelector results in matching no pod";
    let list = path.child("topologySpreadConstraints");
    for (i, constraint) in spec.list("topologySpreadConstraints").iter().enumerate() {
        if !constraint.has("labelSelector") {
            out.push(format!("{}.labelSelector: {TEXT}", list.index(i)));
        }
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        let affinity = spec.at("affinity").at(kind);
        for (field, inner) in [
            ("requiredDuringSchedulingIgnoredDuringExecution", ""),
            ("preferredDuringSchedulingIgnoredDuringExecution", "podAffinityTerm"),
        ] {
            for (i, term) in affinity.list(field).iter().enumerate() {
                let (term, inner) = if inner.is_empty() {
                    (term, String::new())
                } else {
                    (term.at(inner), format!(".{inner}"))
                };
                if !term.has("labelSelector") {
                    out.push(format!("{path}.affinity.{kind}.{field}[{i}]{inner}.labelSelector: {TEXT}"));
                }
            }
        }
    }
}
