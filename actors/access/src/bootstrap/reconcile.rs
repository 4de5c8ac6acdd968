//! [`reconcile`]: what to write at a start so that the initial objects are as they should be.

use trireme_schema::objects::Objects;

use super::objects::{Initial, initial_objects};
use super::{reconcile_flow, reconcile_rbac};

/// A write to make. The object carries the resourceVersion it was computed from, so that a write that lost a race
/// fails and can be computed again.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The object is not there.
    Create(Initial),
    /// The object lacks something.
    Update(Initial),
    /// A binding refers to another role, which cannot be changed: delete it and create this one.
    Recreate(Initial),
    /// A flow control object of an older version that nobody took over.
    Delete(Initial),
}

impl Step {
    /// The object it is about.
    pub fn object(&self) -> &Initial {
        match self {
            Self::Create(object) | Self::Update(object) | Self::Recreate(object) | Self::Delete(object) => {
                object
            }
        }
    }
}

/// The writes that bring the cluster to what a start wants, in order. What an administrator marked with
/// `rbac.authorization.kubernetes.io/autoupdate: "false"` stays; what they added stays; what they took away comes back.
/// `now` is a `metav1.Time`.
pub fn reconcile(objects: &dyn Objects, now: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for wanted in initial_objects(now) {
        let Some(found) = objects.get(wanted.group, wanted.resource, wanted.namespace(), wanted.name())
        else {
            steps.push(Step::Create(wanted));
            continue;
        };
        steps.extend(match wanted.resource {
            "clusterroles" | "roles" => reconcile_rbac::role(&found, wanted),
            "clusterrolebindings" | "rolebindings" => reconcile_rbac::binding(&found, wanted),
            "flowschemas" | "prioritylevelconfigurations" => reconcile_flow::update(&found, wanted),
            _ => None,
        });
    }
    steps.extend(reconcile_flow::obsolete(objects, now));
    steps
}

#[cfg(test)]
#[path = "reconcile_test.rs"]
mod tests;
