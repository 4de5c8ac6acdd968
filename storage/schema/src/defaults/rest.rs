//! Defaults of the smaller groups.

use serde_json::{Value, json};

use crate::view::{Edit, View};

pub(super) fn autoscaler(object: &mut Value, version: &str) {
    let Some(spec) = object.object("spec") else { return };
    spec.default("minReplicas", 1);
    if version == "v1" {
        spec.default("targetCPUUtilizationPercentage", 80);
        return;
    }
    if spec.list("metrics").is_empty() {
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu",
            "target": {"type": "Utilization", "averageUtilization": 80}}});
        spec.put("metrics", json!([cpu]));
    }
    let Some(behavior) = spec.get_some("behavior") else { return };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    if let Some(up) = behavior.object("scaleUp") {
        up.default("selectPolicy", "Max");
        up.default("stabilizationWindowSeconds", 0);
        if !up.has("policies") {
            up.put("policies", json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, percent.clone()]));
        }
    }
    if let Some(down) = behavior.object("scaleDown") {
        down.default("selectPolicy", "Max");
        if !down.has("policies") {
            down.put("policies", json!([percent]));
        }
    }
}

pub(super) fn network_policy(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    if spec.list("policyTypes").is_empty() {
        let egress = !spec.list("egress").is_empty();
        spec.put("policyTypes", if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
    }
    for direction in ["ingress", "egress"] {
        for rule in spec.items(direction) {
            for port in rule.items("ports") {
                port.default("protocol", "TCP");
            }
        }
    }
}

pub(super) fn ingress_class(object: &mut Value) {
    if let Some(parameters) = object.get_some("spec").and_then(|s| s.get_some("parameters")) {
        parameters.default("scope", "Cluster");
    }
}

pub(super) fn endpoint_slice(object: &mut Value) {
    for port in object.items("ports") {
        port.default("name", "");
        port.default("protocol", "TCP");
    }
}

pub(super) fn role_binding(object: &mut Value) {
    const RBAC: &str = "rbac.authorization.k8s.io";
    if let Some(role) = object.object("roleRef") {
        role.default_text("apiGroup", RBAC);
    }
    for subject in object.items("subjects") {
        if matches!(subject.text("kind"), "User" | "Group") {
            subject.default_text("apiGroup", RBAC);
        }
    }
}

pub(super) fn storage_class(object: &mut Value) {
    object.default("reclaimPolicy", "Delete");
    object.default("volumeBindingMode", "Immediate");
}

pub(super) fn csi_driver(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    spec.default("attachRequired", true);
    spec.default("podInfoOnMount", false);
    spec.default("storageCapacity", false);
    spec.default("fsGroupPolicy", "ReadWriteOnceWithFSType");
    if spec.list("volumeLifecycleModes").is_empty() {
        spec.put("volumeLifecycleModes", json!(["Persistent"]));
    }
    spec.default("requiresRepublish", false);
    spec.default("seLinuxMount", false);
}

pub(super) fn priority_class(object: &mut Value) {
    object.default("preemptionPolicy", "PreemptLowerPriority");
}

pub(super) fn webhooks(object: &mut Value, mutating: bool) {
    for hook in object.items("webhooks") {
        hook.default("failurePolicy", "Fail");
        hook.default("matchPolicy", "Equivalent");
        hook.default("namespaceSelector", json!({}));
        hook.default("objectSelector", json!({}));
        hook.default("timeoutSeconds", 10);
        if mutating {
            hook.default("reinvocationPolicy", "Never");
        }
        if let Some(service) = hook.get_some("clientConfig").and_then(|c| c.get_some("service")) {
            service.default("port", 443);
        }
        for rule in hook.items("rules") {
            rule.default("scope", "*");
        }
    }
}

fn match_resources(holder: &mut Value) {
    holder.default("matchPolicy", "Equivalent");
    holder.default("namespaceSelector", json!({}));
    holder.default("objectSelector", json!({}));
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in holder.items(list) {
            rule.default("scope", "*");
        }
    }
}

pub(super) fn admission_policy(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    spec.default("failurePolicy", "Fail");
    if let Some(constraints) = spec.get_some("matchConstraints") {
        match_resources(constraints);
    }
}

pub(super) fn admission_policy_binding(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    if let Some(resources) = spec.get_some("matchResources") {
        match_resources(resources);
    }
}

pub(super) fn flow_schema(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    if spec.int("matchingPrecedence").unwrap_or(0) == 0 {
        spec.put("matchingPrecedence", 1000);
    }
}

pub(super) fn priority_level(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    if let Some(exempt) = spec.get_some("exempt") {
        exempt.default("nominalConcurrencyShares", 0);
        exempt.default("lendablePercent", 0);
    }
    if let Some(limited) = spec.get_some("limited") {
        limited.default("nominalConcurrencyShares", 30);
        limited.default("lendablePercent", 0);
        if let Some(queuing) = limited.get_some("limitResponse").and_then(|r| r.get_some("queuing")) {
            for (name, value) in [("handSize", 8), ("queues", 64), ("queueLengthLimit", 50)] {
                if queuing.int(name).unwrap_or(0) == 0 {
                    queuing.put(name, value);
                }
            }
        }
    }
}

pub(super) fn api_service(object: &mut Value) {
    if let Some(service) = object.get_some("spec").and_then(|s| s.get_some("service")) {
        service.default("port", 443);
    }
}

pub(super) fn custom_resource_definition(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    if let Some(names) = spec.object("names") {
        let kind = names.text("kind").to_owned();
        names.default_text("singular", &kind.to_lowercase());
        if !kind.is_empty() {
            names.default_text("listKind", &format!("{kind}List"));
        }
    }
    if let Some(conversion) = spec.object("conversion") {
        conversion.default_text("strategy", "None");
        let service = conversion.get_some("webhook").and_then(|w| w.get_some("clientConfig"));
        if let Some(service) = service.and_then(|c| c.get_some("service")) {
            service.default("port", 443);
        }
    }
}

pub(super) fn token_request(object: &mut Value) {
    if let Some(spec) = object.object("spec") {
        spec.default("expirationSeconds", 3600);
    }
}
