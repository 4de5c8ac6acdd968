//! What a pod worker asks for.

use std::time::Duration;

use serde_json::Value;
use trireme_core::OpId;
use trireme_node::{ContainerId, SandboxId};

use crate::probe::ProbeKind;

/// An operation whose end comes back as [`super::PodInput::OpDone`].
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Read the pod's sandboxes and containers. Gives `Observed`.
    Observe,
    /// Make the pod's folders, mount its volumes, or bring them up to date. Gives `Done`.
    PrepareVolumes,
    /// Make and start a sandbox. Gives `Sandbox`.
    RunSandbox {
        /// Counts sandboxes of the pod from 0.
        attempt: u32,
    },
    /// Have the container's image here, by its pull policy. Gives `Image`.
    EnsureImage {
        /// Which container.
        container: String,
    },
    /// Make and start a container and run its postStart hook. Gives `Start`.
    StartContainer {
        /// Which container.
        container: String,
        /// Counts starts from 0.
        attempt: u32,
        /// The sandbox to start it in.
        sandbox: SandboxId,
        /// Image id.
        image: String,
    },
    /// Run the preStop hook, then stop. Both within `grace`. Gives `Stopped`.
    StopContainer {
        /// Its name.
        container: String,
        /// Which one.
        id: ContainerId,
        /// For hook and signal together.
        grace: Duration,
    },
    /// Remove an ended container. Gives `Done`.
    RemoveContainer {
        /// Which one.
        id: ContainerId,
    },
    /// Change the limits of a running container and of the pod. Gives `Done`.
    Resize {
        /// Its name.
        container: String,
        /// Which one.
        id: ContainerId,
    },
    /// Stop a sandbox and all in it. Gives `Done`.
    StopSandbox {
        /// Which one.
        id: SandboxId,
    },
    /// Remove a sandbox and its containers. Gives `Done`.
    RemoveSandbox {
        /// Which one.
        id: SandboxId,
    },
    /// Run a probe once. Gives `Probe`.
    Probe {
        /// Its name.
        container: String,
        /// Which one.
        id: ContainerId,
        /// Which probe.
        kind: ProbeKind,
    },
    /// Patch the pod's status: a strategic merge patch without the uid guard. Gives `Done`.
    WriteStatus(Box<Value>),
    /// Unmount the pod's volumes. Gives `Done`.
    ReleaseVolumes,
    /// Remove the pod's folders and logs. Gives `Done`.
    RemoveFolders,
    /// Delete the pod in the API, with grace 0 and its uid as guard. Gives `Done`.
    DeletePod,
}

impl Op {
    /// Its name, for messages and traces.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::PrepareVolumes => "prepare volumes",
            Self::RunSandbox { .. } => "run sandbox",
            Self::EnsureImage { .. } => "ensure image",
            Self::StartContainer { .. } => "start container",
            Self::StopContainer { .. } => "stop container",
            Self::RemoveContainer { .. } => "remove container",
            Self::Resize { .. } => "resize container",
            Self::StopSandbox { .. } => "stop sandbox",
            Self::RemoveSandbox { .. } => "remove sandbox",
            Self::Probe { .. } => "probe",
            Self::WriteStatus(_) => "write status",
            Self::ReleaseVolumes => "release volumes",
            Self::RemoveFolders => "remove folders",
            Self::DeletePod => "delete pod",
        }
    }
}

/// What a pod worker asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum PodEffect {
    /// Carry out an operation.
    Start(OpId, Op),
    /// Give an operation up; its end is not wanted any more.
    Abort(OpId),
    /// Tell about it as an event.
    Event {
        /// `Warning`, else `Normal`.
        warning: bool,
        /// CamelCase word.
        reason: &'static str,
        /// Text.
        message: String,
        /// `spec.containers{x}` when it is about one container.
        field_path: Option<String>,
    },
    /// Nothing of the pod is left here: the worker may end.
    Finished,
}
