//! What every Trireme process runs, whatever else it does: the cluster's book, certificate renewal, the fault desk
//! and the inspector.
//!
//! Knows the kernel, the bus and identities; knows nothing of Kubernetes, of storage or of the command line.

mod admin;
mod client;
pub mod cluster;
mod fault_desk;
mod files;
mod inspector;
mod peer_events;
mod random;
mod renewal;

pub use admin::{Admin, AdminError};
pub use client::{Client, ConnectError, guest_bus, machine_path};
pub use fault_desk::{ArmFault, DeskInput, FaultDesk, HealFaults, ListFaults};
pub use files::write_whole;
pub use inspector::{
    Inspect, Inspector, InspectorInput, MACHINE_DEADLINE, MachineTree, Metrics, inspector_path,
};
pub use random::random_u64;
pub use renewal::{Renewal, RenewalInput, RenewalParts};
