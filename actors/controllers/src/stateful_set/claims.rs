//! The volume claims of pods, and whose they are (`persistentVolumeClaimRetentionPolicy`).

use std::sync::Arc;

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

use super::identity::{Ordinals, pod_name};
use crate::controller::resources;
use crate::owner::{controller_of, controller_reference, is_deleting};
use crate::world::World;

/// What a look at the claims of one pod finds.
#[derive(Debug, Default)]
pub(super) struct PodClaims {
    /// Those that are there.
    pub(super) present: Vec<Arc<Value>>,
    /// Those that are to be made.
    pub(super) missing: Vec<Value>,
}

/// The name of a claim.
pub(super) fn claim_name(set: &Value, template: &Value, ordinal: i64) -> String {
    let (claim, set) = (template.at("metadata").text("name"), set.at("metadata").text("name"));
    format!("{claim}-{set}-{ordinal}")
}

impl PodClaims {
    /// The claims of an ordinal.
    pub(super) fn of(set: &Value, ordinal: i64, world: &dyn World) -> Self {
        let namespace = set.at("metadata").text("namespace");
        let mut out = Self::default();
        for template in set.at("spec").list("volumeClaimTemplates") {
            let name = claim_name(set, template, ordinal);
            match resources::VOLUME_CLAIMS.get(world, namespace, &name) {
                Some(claim) => out.present.push(claim),
                None => out.missing.push(new_claim(set, template, &name)),
            }
        }
        out
    }

    /// A claim that belongs to an earlier pod of the same name: it is about to go.
    pub(super) fn is_stale(&self, set: &Value, ordinal: i64, pod_uid: &str) -> bool {
        let name = pod_name(set, ordinal);
        let refers = |reference: &Value| {
            reference.text("kind") == "Pod"
                && reference.text("name") == name
                && reference.text("uid") != pod_uid
        };
        self.present.iter().any(|claim| claim.at("metadata").list("ownerReferences").iter().any(refers))
    }

    /// The name of one that is on its way out.
    pub(super) fn leaving(&self) -> Option<&str> {
        let leaving = self.present.iter().find(|claim| is_deleting(claim));
        leaving.map(|claim| claim.at("metadata").text("name"))
    }
}

fn new_claim(set: &Value, template: &Value, name: &str) -> Value {
    let mut claim = template.clone();
    claim.put("apiVersion", "v1");
    claim.put("kind", "PersistentVolumeClaim");
    claim.remove("status");
    let selected = set.at("spec").at("selector").map("matchLabels");
    let metadata = claim.object("metadata").expect("validation asks for the template's name");
    metadata.put("name", name);
    metadata.put("namespace", set.at("metadata").text("namespace"));
    metadata.remove("creationTimestamp");
    if let Some(labels) = metadata.object("labels") {
        for (key, value) in selected.into_iter().flatten() {
            labels.put(key, value.clone());
        }
    }
    claim
}

/// Who shall own a claim.
#[derive(Debug, PartialEq, Eq)]
enum Keeper {
    Nobody,
    Set,
    Pod,
}

fn keeper(set: &Value, ordinal: i64) -> Keeper {
    let policy = set.at("spec").at("persistentVolumeClaimRetentionPolicy");
    let condemned = !Ordinals::of(set).contain(ordinal);
    match (policy.text("whenScaled") == "Delete", policy.text("whenDeleted") == "Delete") {
        (true, _) if condemned => Keeper::Pod,
        (_, true) => Keeper::Set,
        _ => Keeper::Nobody,
    }
}

/// A claim with the references that the retention policy asks for; `None` when it has them. A claim that something
/// else controls is an error: the policy cannot hold for it.
pub(super) fn retained(
    set: &Value,
    pod: &Value,
    ordinal: i64,
    claim: &Value,
) -> Result<Option<Value>, String> {
    let (set_uid, pod_uid) = (set.at("metadata").text("uid"), pod.at("metadata").text("uid"));
    let keeper = keeper(set, ordinal);
    if let Some(other) = controller_of(claim) {
        let uid = other.text("uid");
        if uid != set_uid && uid != pod_uid {
            let name = claim.at("metadata").text("name");
            if keeper == Keeper::Nobody {
                return Ok(None);
            }
            return Err(format!(
                "PersistentVolumeClaim {name} has a conflicting OwnerReference that acts as a manging controller, the \
                 retention policy is ignored for this claim"
            ));
        }
    }
    let mut references = claim.at("metadata").list("ownerReferences").to_vec();
    let before = references.clone();
    let wanted = match keeper {
        Keeper::Nobody => None,
        Keeper::Set => Some(controller_reference("apps/v1", "StatefulSet", set)),
        Keeper::Pod => Some(controller_reference("v1", "Pod", pod)),
    };
    let keeps =
        |reference: &Value| wanted.as_ref().is_some_and(|wanted| wanted.text("uid") == reference.text("uid"));
    references.retain(|reference| {
        let ours = reference.text("uid") == set_uid || reference.text("uid") == pod_uid;
        !ours || keeps(reference)
    });
    if let Some(wanted) = wanted.as_ref().filter(|_| !references.iter().any(keeps)) {
        references.push(wanted.clone());
    }
    if references == before {
        return Ok(None);
    }
    let mut claim = claim.clone();
    claim["metadata"].put("ownerReferences", json!(references));
    Ok(Some(claim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(scaled: &str, deleted: &str) -> Value {
        json!({
            "metadata": {"name": "web", "namespace": "d", "uid": "s"},
            "spec": {"replicas": 1, "persistentVolumeClaimRetentionPolicy": {
                "whenScaled": scaled, "whenDeleted": deleted,
            }},
        })
    }

    /// Kinds of the owners that a claim gets for an ordinal that stays and one that goes.
    fn owners(set: &Value, references: &Value) -> [Vec<String>; 2] {
        let pod = json!({"metadata": {"name": "web-0", "uid": "p"}});
        let claim = json!({"metadata": {"name": "c", "ownerReferences": references}});
        [0, 1].map(|ordinal| {
            let claim = retained(set, &pod, ordinal, &claim).unwrap().unwrap_or(claim.clone());
            let list = claim.at("metadata").list("ownerReferences").iter();
            list.map(|reference| reference.text("kind").to_owned()).collect()
        })
    }

    #[test]
    fn the_policy_says_who_owns_a_claim() {
        let none: Vec<String> = vec![];
        let (of_set, of_pod) = (vec!["StatefulSet".to_owned()], vec!["Pod".to_owned()]);
        for has in [
            json!([]),
            json!([{"kind": "StatefulSet", "uid": "s"}]),
            json!([{"kind": "Pod", "uid": "p", "controller": true}]),
        ] {
            assert_eq!(owners(&set("Retain", "Retain"), &has), [none.clone(), none.clone()]);
            assert_eq!(owners(&set("Retain", "Delete"), &has), [of_set.clone(), of_set.clone()]);
            assert_eq!(owners(&set("Delete", "Retain"), &has), [none.clone(), of_pod.clone()]);
            assert_eq!(owners(&set("Delete", "Delete"), &has), [of_set.clone(), of_pod.clone()]);
        }
    }

    #[test]
    fn a_claim_of_another_controller_is_left_alone() {
        let claim = json!({"metadata": {"name": "c", "ownerReferences": [{"kind": "X", "uid": "x", "controller": true}]}});
        assert!(retained(&set("Delete", "Delete"), &json!({}), 0, &claim).is_err());
        assert_eq!(retained(&set("Retain", "Retain"), &json!({}), 0, &claim), Ok(None));
    }
}
