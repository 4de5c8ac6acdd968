//! Defaults of the workload kinds.

use serde_json::{Value, json};

use super::pod::default_template_field;
use crate::view::{Edit, View};

pub(super) fn deployment(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    spec.default("replicas", 1);
    if let Some(strategy) = spec.object("strategy") {
        strategy.default_text("type", "RollingUpdate");
        if strategy.text("type") == "RollingUpdate"
            && let Some(rolling) = strategy.object("rollingUpdate")
        {
            rolling.default("maxUnavailable", "25%");
            rolling.default("maxSurge", "25%");
        }
    }
    spec.default("revisionHistoryLimit", 10);
    spec.default("progressDeadlineSeconds", 600);
    default_template_field(spec, "template");
}

pub(super) fn replica_set(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    spec.default("replicas", 1);
    default_template_field(spec, "template");
}

pub(super) fn replication_controller(object: &mut Value) {
    let labels = object.below(&["spec", "template", "metadata", "labels"]).clone();
    if labels.as_object().is_some_and(|l| !l.is_empty()) {
        if let Some(spec) = object.object("spec") {
            spec.default("selector", labels.clone());
        }
        if let Some(metadata) = object.object("metadata") {
            metadata.default("labels", labels);
        }
    }
    replica_set(object);
}

pub(super) fn stateful_set(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    spec.default_text("podManagementPolicy", "OrderedReady");
    if let Some(strategy) = spec.object("updateStrategy") {
        strategy.default_text("type", "RollingUpdate");
        if strategy.text("type") == "RollingUpdate"
            && let Some(rolling) = strategy.object("rollingUpdate")
        {
            rolling.default("partition", 0);
        }
    }
    if let Some(policy) = spec.object("persistentVolumeClaimRetentionPolicy") {
        policy.default_text("whenDeleted", "Retain");
        policy.default_text("whenScaled", "Retain");
    }
    spec.default("replicas", 1);
    spec.default("revisionHistoryLimit", 10);
    for claim in spec.items("volumeClaimTemplates") {
        super::core::persistent_volume_claim(claim);
        claim.default_text("apiVersion", "v1");
        claim.default_text("kind", "PersistentVolumeClaim");
    }
    default_template_field(spec, "template");
}

/// Annotation in which a DaemonSet counts the changes of its template.
pub(crate) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

pub(super) fn daemon_set(object: &mut Value) {
    if let Some(annotations) = object.object("metadata").and_then(|m| m.object("annotations")) {
        annotations.default(TEMPLATE_GENERATION, "0");
    }
    let Some(spec) = object.object("spec") else { return };
    if let Some(strategy) = spec.object("updateStrategy") {
        strategy.default_text("type", "RollingUpdate");
        if strategy.text("type") == "RollingUpdate"
            && let Some(rolling) = strategy.object("rollingUpdate")
        {
            rolling.default("maxUnavailable", json!(1));
            rolling.default("maxSurge", json!(0));
        }
    }
    spec.default("revisionHistoryLimit", 10);
    default_template_field(spec, "template");
}
