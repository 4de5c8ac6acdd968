//! Jobs: pods that run until so many have succeeded.
//!
//! Laws: no success or failure is counted twice or forgotten, whatever is killed when: a finished pod keeps its
//! finalizer until its uid stands in the status (`uncountedTerminatedPods`), and the uid stays until the finalizer is
//! gone. Never more active pods than `parallelism` and what is missing of `completions`. A job says `FailureTarget` or
//! `SuccessCriteriaMet` first and `Failed` or `Complete` once none of its pods runs.
//!
//! The back-off of failed pods is read from the pods themselves, so that it survives a change of leader.
//!
//! Source: upstream's job controller; KEP-2307 (tracking), KEP-2214 (indexed), KEP-3329 (failure policy), KEP-3850
//! (back-off per index), KEP-3939 (replacement policy), KEP-3998 (success policy), KEP-4368 (managed by).

pub(crate) mod conditions;
mod controller;
mod count;
mod indexes;
mod manage;
mod policy;
mod sync;
mod template;
mod ttl;

pub use controller::JobController;
pub use ttl::TtlAfterFinishedController;
