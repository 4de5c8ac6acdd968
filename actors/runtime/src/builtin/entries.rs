//! [`State`]: what the runtime knows, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Mutex as Gate;
use trireme_node::{ContainerStatus, RuntimeError, SandboxStatus};

use super::records::{ContainerEntry, ContainerRecord, Phase, SandboxRecord};
use super::shim_client::ShimClient;
use crate::fail::{Outcome, not_found};

/// A sandbox in memory.
#[derive(Debug)]
pub(crate) struct SandboxEntry {
    pub(crate) record: SandboxRecord,
    /// Orders what changes it.
    pub(crate) gate: Arc<Gate<()>>,
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) sandboxes: BTreeMap<String, SandboxEntry>,
    pub(crate) containers: BTreeMap<String, ContainerEntry>,
}

impl State {
    pub(crate) fn sandbox(&self, id: &str) -> Outcome<&SandboxRecord> {
        let found = self.sandboxes.get(id).map(|entry| &entry.record);
        found.ok_or_else(|| not_found(format!("sandbox {id} is not here")))
    }

    pub(crate) fn container(&self, id: &str) -> Outcome<&ContainerEntry> {
        self.containers.get(id).ok_or_else(|| not_found(format!("container {id} is not here")))
    }

    /// A container, its sandbox' record and shim.
    pub(crate) fn whole(&self, id: &str) -> Outcome<(ContainerRecord, SandboxRecord, ShimClient)> {
        let container = self.container(id)?.record.clone();
        let sandbox = self.sandbox(&container.sandbox)?.clone();
        let shim = ShimClient::new(&sandbox.socket);
        Ok((container, sandbox, shim))
    }

    pub(crate) fn gate(&self, sandbox: &str) -> Option<Arc<Gate<()>>> {
        self.sandboxes.get(sandbox).map(|entry| entry.gate.clone())
    }

    pub(crate) fn set_phase(&mut self, id: &str, phase: Phase) -> Option<SandboxRecord> {
        let entry = self.sandboxes.get_mut(id)?;
        entry.record.phase = phase;
        Some(entry.record.clone())
    }

    pub(crate) fn containers_of(&self, sandbox: &str) -> Vec<String> {
        let own = self.containers.values().filter(|entry| entry.record.sandbox == sandbox);
        own.map(|entry| entry.record.id.clone()).collect()
    }

    pub(crate) fn sandbox_statuses(&self) -> Vec<SandboxStatus> {
        let whole = self.sandboxes.values().filter(|entry| entry.record.phase != Phase::Creating);
        whole.map(|entry| entry.record.status()).collect()
    }

    pub(crate) fn container_status(&self, id: &str) -> Result<ContainerStatus, RuntimeError> {
        let entry = self.container(id)?;
        Ok(entry.status(self.sandbox(&entry.record.sandbox)?))
    }

    pub(crate) fn container_statuses(&self) -> Vec<ContainerStatus> {
        self.containers.keys().filter_map(|id| self.container_status(id).ok()).collect()
    }

    /// Layers that containers stand on, by folder name.
    pub(crate) fn layers_in_use(&self) -> BTreeSet<String> {
        self.containers.values().flat_map(|entry| entry.record.layers.iter().cloned()).collect()
    }
}
