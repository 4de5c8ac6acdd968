//! trireme-hollow: many nodes without containers, for scale runs and for tests that need pods to live and die.
//!
//! **Role.** [`Hollow`] registers nodes, keeps their leases, and walks the pods that are bound to them through their
//! phases, with delays and failures by [`Rules`] and by annotation. To the cluster it is a client like any other: it
//! speaks HTTPS, through the real node API, with the kubeconfig it is given.
//!
//! **Laws.** What a pod does next is decided by a pure core ([`Fleet`]); the shell carries it out. One watch for the pods
//! of all nodes. A pod's status is written once for each step, one write of a pod at a time. A pod is deleted only
//! under the uid that was seen.
//!
//! **Annotations of a pod** (durations as `250ms`, `5s`): `hollow.trireme.io/start-after`, `ready-after`, `exit-after`,
//! `exit-code`, `leave-after`, and `never-ready: "true"`. `exit-code.3` is for the pod of index 3 of a Job or StatefulSet,
//! `exit-code.hollow-1` for pods on that node. What is changed while a pod runs counts from then on.
//!
//! **Deliberately absent.** Containers, networks, volumes, probes; addresses of pods are made up.

mod behaviour;
mod client;
mod fleet;
mod hollow;
mod nodes;
mod pod;
mod status;

// Only its feature matters: the version of the types that kube is built with.
use k8s_openapi as _;

pub use behaviour::{Behaviour, Rules};
pub use fleet::{Fleet, FleetEffect, FleetInput};
pub use hollow::{Hollow, HollowConfig, HollowError, connect};
pub use nodes::NodePlan;
pub use pod::{PodKey, PodView};
