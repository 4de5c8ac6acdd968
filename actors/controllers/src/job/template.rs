//! The pods that a Job makes.

use serde_json::{Value, json};
use trireme_schema::names::generated_name;
use trireme_schema::view::{Edit, View};

use crate::owner::controller_reference;
use crate::pod_template::pod_of;

/// The finalizer of pods whose end is not counted yet.
pub(super) const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// Annotation and label with a pod's completion index.
pub(super) const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// Annotation: failures of the index before this pod that count.
pub(super) const INDEX_FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// Annotation: failures of the index before this pod that were ignored.
pub(super) const INDEX_IGNORED: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

/// A completion index, and the failures it has had when back-off is counted per index: counted and ignored ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexedPod {
    pub(super) index: i64,
    pub(super) failures: Option<(i64, i64)>,
}

/// A pod of a job.
pub(super) fn new_pod(job: &Value, indexed: Option<IndexedPod>, suffix: &str) -> Value {
    let metadata = job.at("metadata");
    let reference = controller_reference("batch/v1", "Job", job);
    let mut pod = pod_of(job.at("spec").at("template"), metadata.text("namespace"), &reference);
    let mut base = format!("{}-", metadata.text("name"));
    let mut finalizers = pod.at("metadata").list("finalizers").to_vec();
    finalizers.push(json!(TRACKING));
    pod["metadata"].put("finalizers", finalizers);
    if let Some(IndexedPod { index, failures }) = indexed {
        base = format!("{}-{index}-", metadata.text("name"));
        pod["metadata"]["annotations"].put(INDEX, index.to_string());
        pod["metadata"]["labels"].put(INDEX, index.to_string());
        if let Some((counted, ignored)) = failures {
            pod["metadata"]["annotations"].put(INDEX_FAILURES, counted.to_string());
            if ignored > 0 {
                pod["metadata"]["annotations"].put(INDEX_IGNORED, ignored.to_string());
            }
        }
        let name = metadata.text("name");
        pod["spec"].put("hostname", format!("{name}-{index}"));
        for list in ["initContainers", "containers"] {
            pod["spec"].items(list).for_each(tell_index);
        }
    }
    pod["metadata"].put("name", generated_name(&base, suffix));
    pod["metadata"].put("generateName", base);
    pod
}

fn tell_index(container: &mut Value) {
    let mut variables = container.list("env").to_vec();
    if variables.iter().any(|variable| variable.text("name") == INDEX_VARIABLE) {
        return;
    }
    let path = format!("metadata.labels['{INDEX}']");
    variables.push(json!({"name": INDEX_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": path}}}));
    container.put("env", variables);
}

/// A pod's end is not counted yet.
pub(super) fn is_tracked(pod: &Value) -> bool {
    pod.at("metadata").list("finalizers").iter().any(|finalizer| finalizer == TRACKING)
}

/// The pod with or without the finalizer.
pub(super) fn tracked(pod: &Value, tracked: bool) -> Value {
    let mut pod = pod.clone();
    let mut finalizers = pod.at("metadata").list("finalizers").to_vec();
    finalizers.retain(|finalizer| finalizer != TRACKING);
    if tracked {
        finalizers.push(json!(TRACKING));
    }
    if finalizers.is_empty() {
        pod["metadata"].remove("finalizers");
    } else {
        pod["metadata"].put("finalizers", finalizers);
    }
    pod
}

/// A pod's completion index, if it has one that is below `completions`.
pub(super) fn index_of(pod: &Value, completions: i64) -> Option<i64> {
    let index = pod.at("metadata").at("annotations").text(INDEX).parse::<i64>().ok()?;
    (0..completions).contains(&index).then_some(index)
}

/// Failures of its index before a pod: counted and ignored ones.
pub(super) fn failures_of(pod: &Value) -> (i64, i64) {
    let annotations = pod.at("metadata").at("annotations");
    let number = |name: &str| annotations.text(name).parse::<i64>().unwrap_or(0);
    (number(INDEX_FAILURES), number(INDEX_IGNORED))
}
