//! The admission and allocation that every recorded case expects.

use serde_json::{Value, json};
use trireme_schema::request::{Target, keep_allocated};

/// ServiceAccount, Priority, DefaultTolerationSeconds, StorageObjectInUseProtection, TaintNodesByCondition.
pub(super) fn admit_create(object: &mut Value, target: &Target<'_>) {
    match (target.group, target.kind) {
        ("", "Pod") => admit_pod(object),
        ("", "PersistentVolume") => push(object, "kubernetes.io/pv-protection"),
        ("", "PersistentVolumeClaim") => push(object, "kubernetes.io/pvc-protection"),
        ("", "Node") => {
            let taint = json!({"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"});
            let mut taints = object["spec"]["taints"].as_array().cloned().unwrap_or_default();
            if !taints.contains(&taint) {
                taints.push(taint);
            }
            object["spec"]["taints"] = taints.into();
        }
        ("certificates.k8s.io", _) => {
            object["spec"]["username"] = "golden-admin".into();
            object["spec"]["groups"] = json!(["system:masters", "system:authenticated"]);
            object["spec"]["uid"] = "uid-admin".into();
        }
        ("", "Service") => service_families(object),
        _ => {}
    }
}

pub(super) fn admit_update(old: &Value, new: &mut Value, target: &Target<'_>) {
    if (target.group, target.kind) == ("", "Service") {
        keep_allocated(old, new);
        service_families(new);
        allocate(new, target);
    }
    if (target.group, target.kind) == ("", "Pod") && new["spec"].is_object() {
        add_tolerations(&mut new["spec"]);
    }
}

fn push(object: &mut Value, finalizer: &str) {
    let mut list = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    if !list.contains(&json!(finalizer)) {
        list.push(finalizer.into());
    }
    object["metadata"]["finalizers"] = list.into();
}

fn admit_pod(pod: &mut Value) {
    let spec = &mut pod["spec"];
    if !spec.is_object() {
        return;
    }
    if spec.get("serviceAccountName").is_none() {
        spec["serviceAccountName"] = "default".into();
        spec["serviceAccount"] = "default".into();
    }
    if spec.get("automountServiceAccountToken") != Some(&json!(false)) {
        mount_token(spec);
    }
    add_tolerations(spec);
    if spec.get("priority").is_none() {
        spec["priority"] = 0.into();
    }
    if spec.get("preemptionPolicy").is_none() {
        spec["preemptionPolicy"] = "PreemptLowerPriority".into();
    }
}

fn add_tolerations(spec: &mut Value) {
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let covered = tolerations.iter().any(|t| {
            let effect = t.get("effect").is_none_or(|e| e == "NoExecute");
            let named = t.get("key").is_none_or(|k| k == key);
            effect && named
        });
        if !covered {
            tolerations.push(
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}),
            );
        }
    }
    spec["tolerations"] = tolerations.into();
}

fn mount_token(spec: &mut Value) {
    const PLACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let mount = json!({"name": "kube-api-access-abcde", "mountPath": PLACE, "readOnly": true});
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
            if mounts.iter().any(|m| m["mountPath"] == PLACE) {
                continue;
            }
            let mut mounts = mounts;
            mounts.push(mount.clone());
            container["volumeMounts"] = mounts.into();
            mounted = true;
        }
    }
    for list in ["initContainers", "containers"] {
        if spec[list].is_null() {
            spec.as_object_mut().map(|m| if list == "initContainers" { m.remove(list) } else { None });
        }
    }
    if !mounted {
        return;
    }
    let volume = json!({"name": "kube-api-access-abcde", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
        {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}]}}]}});
    let mut volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
    volumes.push(volume);
    spec["volumes"] = volumes.into();
}

/// Address families of a cluster with IPv4 alone.
fn service_families(service: &mut Value) {
    let spec = &mut service["spec"];
    if !spec.is_object() || spec["type"] == "ExternalName" {
        return;
    }
    if spec.get("clusterIP").is_some() && spec.get("clusterIPs").is_none() {
        spec["clusterIPs"] = json!([spec["clusterIP"]]);
    }
}

pub(super) fn allocate(object: &mut Value, target: &Target<'_>) {
    if (target.group, target.kind) != ("", "Service") {
        return;
    }
    let spec = &mut object["spec"];
    let kind = spec["type"].as_str().unwrap_or("").to_owned();
    if kind == "ExternalName" {
        return;
    }
    if spec.get("clusterIP").is_none() {
        spec["clusterIP"] = "10.96.7.7".into();
        spec["clusterIPs"] = json!(["10.96.7.7"]);
    }
    for (name, value) in [("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))] {
        if spec.get(name).is_none() {
            spec[name] = value;
        }
    }
    let ports = kind == "NodePort"
        || (kind == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"] != json!(false));
    if ports {
        for (i, port) in spec["ports"].as_array_mut().into_iter().flatten().enumerate() {
            if port.get("nodePort").is_none() {
                port["nodePort"] = (30_100 + i).into();
            }
        }
    }
    if kind == "LoadBalancer"
        && spec["externalTrafficPolicy"] == "Local"
        && spec.get("healthCheckNodePort").is_none()
    {
        spec["healthCheckNodePort"] = 31_000.into();
    }
}
