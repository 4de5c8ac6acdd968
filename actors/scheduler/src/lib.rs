//! trireme-scheduler: where pods run, as pure decisions.
//!
//! Role: the core of `/cluster/scheduler`, an actor of the leader's scope. Its shell tells it what the applied log says
//! ([`Input`]) and carries out what it asks for ([`Effect`]): bindings, conditions, evictions, events, questions to
//! extenders. Bindings that one turn decides are one transaction.
//!
//! **How it decides.** Upstream's framework: PreEnqueue (gates), QueueSort, PreFilter, Filter, PostFilter (preemption),
//! PreScore, Score with normalisation, Reserve (the ledger), Permit (no plugin waits, so a decision is final), PreBind
//! (nothing to prepare: volumes are not bound here), Bind, PostBind (events). The plugins are upstream's, with their
//! names, order, weights, words and arguments.
//!
//! **How it is fast.** A ledger of typed nodes and pods is changed one object at a time. Affinity and spreading are
//! counted as pods come and go ([`census`]), so that Filter and Score look numbers up. Plugins that have nothing to say
//! about a pod do not run. As upstream, the search ends when enough nodes fit, and goes on there with the next pod.
//!
//! # Laws
//! - A node is never given more than it offers, and no required constraint is broken at the moment of the decision: an
//!   assumed pod counts from then on.
//! - Nothing is lost: a pod is in exactly one lane of the queue, or on its way. What refused it is remembered, and what
//!   may help it wakes it; after five minutes it is tried anyway.
//! - It owns no truth: killed at any moment, another is fed from the store and goes on.
//! - No clock, randomness but its seed, I/O, threads or hash-ordered iteration.
//!
//! Deliberately absent: choosing volumes for claims that wait for a consumer, dynamic resource claims, gangs of pods.

mod budget;
mod census;
mod config;
mod diagnosis;
mod effect;
mod input;
mod labels;
mod ledger;
mod names;
mod node;
mod plugins;
mod pod;
mod queue;
mod record;
mod resources;
mod scheduler;
mod taints;
mod tally;
mod topology;
mod volumes;
mod workloads;

pub use config::{ConfigError, Extender, SchedulerConfig};
pub use effect::{Effect, PodRef};
pub use input::{BindFailure, Input, Watched};
pub use queue::Depths;
pub use record::{CandidateScore, DecisionRecord, ReasonCount, Verdict};
pub use scheduler::{NOTE_LIMIT_BYTES, Scheduler};
