//! What a pod worker receives.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_core::OpId;
use trireme_node::{ContainerStatus, SandboxStatus};

use crate::probe::ProbeOutcome;

/// The runtime's view of one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Its sandboxes.
    pub sandboxes: Vec<SandboxStatus>,
    /// Its containers.
    pub containers: Vec<ContainerStatus>,
}

/// The pod must end although nobody deleted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// `status.reason`, such as `Evicted`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
    /// Overrides the pod's own grace.
    pub grace: Option<Duration>,
    /// Adds the `DisruptionTarget` condition (reason `TerminationByKubelet`).
    pub disruption: bool,
}

/// Why a container could not be brought up: the waiting reason and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// `ErrImagePull`, `CreateContainerConfigError`, `RunContainerError`, ...
    pub reason: &'static str,
    /// Text.
    pub message: String,
}

/// How a container's start ended.
#[derive(Clone, Debug, PartialEq)]
pub enum StartOutcome {
    /// It runs (or ran).
    Started(Box<ContainerStatus>),
    /// It does not; a container that was made and ended is given as well.
    Failed(Trouble, Option<Box<ContainerStatus>>),
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum OpOutcome {
    /// What the runtime holds, or why that is unknown.
    Observed(Result<Observation, String>),
    /// Volumes, clean-ups, removals, writes: done, or why not.
    Done(Result<(), String>),
    /// The sandbox was made.
    Sandbox(Result<Box<SandboxStatus>, String>),
    /// An image is there (its id), or why not.
    Image(Result<String, Trouble>),
    /// A container was started, or not.
    Start(StartOutcome),
    /// A container was stopped; as it is now, if it is known.
    Stopped(Result<Option<Box<ContainerStatus>>, String>),
    /// A probe's result.
    Probe(ProbeOutcome),
}

/// What a pod worker receives.
#[derive(Clone, Debug, PartialEq)]
pub enum PodInput {
    /// The pod as it is wanted now; the latest wins.
    Desired(Arc<Value>),
    /// It is gone from the API (or its file is gone): end it and forget it.
    Removed,
    /// This node does not take it.
    Reject {
        /// `OutOfcpu`, `NodeAffinity`, ...
        reason: String,
        /// Text.
        message: String,
    },
    /// End it: eviction, node shutdown, preemption.
    End(Ending),
    /// Something of this pod changed in the runtime.
    Changed,
    /// A volume's source changed: bring volumes up to date.
    RefreshVolumes,
    /// What the API held of the pod's status is lost (a mirror was deleted): write it again.
    StatusLost,
    /// An operation ended.
    OpDone(OpId, OpOutcome),
}
