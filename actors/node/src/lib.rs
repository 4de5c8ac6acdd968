//! The contract between the rooms of a node: what the kubelet asks of a container runtime and of a pod network.
//!
//! The shapes follow the Container Runtime Interface (CRI v1), so that a runtime behind a socket can stand where the
//! built-in one stands, and the Container Network Interface for the network. No room of the node knows another one but
//! through these traits: the kubelet names no image format, the runtime no API object, the network no container.
//!
//! Deliberate absences: nothing here decides or does anything; user namespaces, devices by CDI and checkpoints join
//! with the rooms that need them.

mod container;
mod error;
mod feed;
mod image;
mod io;
mod network;
mod runtime;
mod sandbox;
mod stats;

pub use container::{
    ContainerConfig, ContainerId, ContainerState, ContainerStatus, DeviceMount, EnvVar, IdMapping, Mount,
    Propagation, Resources, Seccomp, SecurityContext,
};
pub use error::{RuntimeError, RuntimeErrorKind};
pub use feed::{Feed, FeedEvent, FeedKind};
pub use image::{Image, ImageFilesystem, PullCredentials, PullImage};
pub use io::{BoxedIo, ExecOutcome, ExecRequest, Io, Streams, TerminalSize};
pub use network::{HostPort, NetworkRequest, PodAddresses, PodNetwork};
pub use runtime::{Answer, Runtime, RuntimeCondition, RuntimeEvent, RuntimeEventKind, RuntimeFeatures};
pub use sandbox::{Dns, Namespaces, SandboxConfig, SandboxId, SandboxState, SandboxStatus};
pub use stats::{ContainerStats, SandboxStats};
