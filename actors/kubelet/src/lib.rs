//! The kubelet: what runs pods on a node.
//!
//! Decisions are made in `trireme-kubelet-core`; here they are carried out. Below the supervisor `kubelet`:
//! - `source`: which pods this node is to run;
//! - `pod/<uid>`: one worker for each pod;
//! - `node`, `lease`: the Node object and its heartbeat;
//! - `housekeeping`: pressure, limits, garbage, logs;
//! - `events`: writes Events.
//!
//! # Laws
//! - Nothing here is truth: any actor can be killed at any moment; containers go on, and the next incarnation learns what
//!   runs from the runtime and what is wanted from the API.
//! - What is not built (CSI and other volume kinds, block volumes, HTTPS probes, device plug-ins) is refused by name.
//!
//! # Limits
//! Operations of a pod: `worker::OPS_IN_FLIGHT_LIMIT`. Pulls, event queues, mailboxes, retries and reads: named constants
//! beside their use.

mod api;
mod clock;
mod config;
mod events;
mod housekeeping;
mod kubelet;
mod lister;
mod node;
mod ops;
mod pod_actor;
mod probes;
mod server;
mod shared;
mod source;
mod static_pods;
mod tasks;
mod volumes;

pub use api::{ApiError, NodeApi, PatchKind, Place, Resource, WatchEvent};
pub use config::KubeletConfig;
pub use kubelet::Kubelet;
pub use server::{AllowAll, Asked, Authorizer, KubeletHttp};
