//! Who a pod of a StatefulSet is: its ordinal, name, host name and storage.

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

use super::claims::claim_name;
use crate::condition;
use crate::history;
use crate::owner::{controller_reference, is_deleting};
use crate::pod_template::pod_of;

/// The label with the name of the revision that a pod was made from.
pub(super) const REVISION_LABEL: &str = "controller-revision-hash";
const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The ordinals that a set asks for: the first, and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordinals {
    pub(super) start: i64,
    pub(super) count: i64,
}

impl Ordinals {
    pub(super) fn of(set: &Value) -> Self {
        let spec = set.at("spec");
        let start = spec.at("ordinals").int("start").unwrap_or(0);
        Self { start, count: spec.int("replicas").unwrap_or(1).max(0) }
    }

    pub(super) fn contain(self, ordinal: i64) -> bool {
        (self.start..self.start.saturating_add(self.count)).contains(&ordinal)
    }
}

/// The ordinal in the name of a pod of this set; `None` for a pod that is not one of its.
pub(super) fn ordinal(set: &Value, pod: &Value) -> Option<i64> {
    let (parent, number) = pod.at("metadata").text("name").rsplit_once('-')?;
    let digits = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    let number =
        number.parse::<i32>().ok().filter(|_| digits && parent == set.at("metadata").text("name"))?;
    Some(i64::from(number))
}

/// A pod's name.
pub(super) fn pod_name(set: &Value, ordinal: i64) -> String {
    format!("{}-{ordinal}", set.at("metadata").text("name"))
}

/// The pod of an ordinal, made from a revision.
pub(super) fn new_pod(set: &Value, revision: &Value, ordinal: i64) -> Value {
    let reference = controller_reference("apps/v1", "StatefulSet", set);
    let template = history::template_of(revision);
    let mut pod = pod_of(&template, set.at("metadata").text("namespace"), &reference);
    let name = pod_name(set, ordinal);
    pod["spec"].put("hostname", name.as_str());
    let service = set.at("spec").text("serviceName");
    if !service.is_empty() {
        pod["spec"].put("subdomain", service);
    }
    let mut pod = with_identity(set, &pod, ordinal);
    pod["metadata"]["labels"].put(REVISION_LABEL, history::name(revision));
    with_storage(set, &pod, ordinal)
}

/// The revision that a pod was made from.
pub(super) fn revision_of(pod: &Value) -> &str {
    pod.at("metadata").at("labels").text(REVISION_LABEL)
}

/// Whether a pod says who it is and holds its claims.
pub(super) fn is_itself(set: &Value, pod: &Value, ordinal: i64) -> bool {
    let metadata = pod.at("metadata");
    metadata.at("labels").text(NAME_LABEL) == metadata.text("name") && storage_matches(set, pod, ordinal)
}

/// The pod with the identity and storage that belong to its ordinal.
pub(super) fn mended(set: &Value, pod: &Value, ordinal: i64) -> Value {
    let pod = with_identity(set, pod, ordinal);
    if storage_matches(set, &pod, ordinal) { pod } else { with_storage(set, &pod, ordinal) }
}

fn with_identity(set: &Value, pod: &Value, ordinal: i64) -> Value {
    let mut pod = pod.clone();
    let name = pod_name(set, ordinal);
    pod["metadata"].put("name", name.as_str());
    if let Some(labels) = pod["metadata"].object("labels") {
        labels.put(NAME_LABEL, name);
        labels.put(INDEX_LABEL, ordinal.to_string());
    }
    pod
}

fn storage_matches(set: &Value, pod: &Value, ordinal: i64) -> bool {
    let volumes = pod.at("spec").list("volumes");
    set.at("spec").list("volumeClaimTemplates").iter().all(|template| {
        let (volume, claim) = (template.at("metadata").text("name"), claim_name(set, template, ordinal));
        volumes.iter().any(|other| {
            other.text("name") == volume && other.at("persistentVolumeClaim").text("claimName") == claim
        })
    })
}

/// The claims come first, and take the place of volumes of the same names.
fn with_storage(set: &Value, pod: &Value, ordinal: i64) -> Value {
    let mut pod = pod.clone();
    let templates = set.at("spec").list("volumeClaimTemplates");
    if templates.is_empty() {
        return pod;
    }
    let mut volumes: Vec<Value> = templates
        .iter()
        .map(|template| {
            let claim = claim_name(set, template, ordinal);
            json!({
                "name": template.at("metadata").text("name"), "persistentVolumeClaim": {"claimName": claim},
            })
        })
        .collect();
    let taken = |name: &str| templates.iter().any(|template| template.at("metadata").text("name") == name);
    let others = pod.at("spec").list("volumes").iter().filter(|volume| !taken(volume.text("name"))).cloned();
    volumes.extend(others.collect::<Vec<_>>());
    pod["spec"].put("volumes", volumes);
    pod
}

/// Running, and its `Ready` condition is true.
pub(super) fn is_running_and_ready(pod: &Value) -> bool {
    pod.at("status").text("phase") == "Running" && condition::is_true(pod, "Ready")
}

/// Stored, and not on its way out.
pub(super) fn is_here(pod: &Value) -> bool {
    !pod.at("status").text("phase").is_empty() && !is_deleting(pod)
}
