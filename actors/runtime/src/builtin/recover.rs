//! Finding again what an earlier process left: living sandboxes are met, half-made ones taken away.

use std::collections::BTreeSet;
use std::path::Path;

use trireme_node::RuntimeError;

use super::Builtin;
use super::entries::SandboxEntry;
use super::records::{ContainerEntry, ContainerRecord, Phase, SandboxRecord, load};
use super::sandbox::{is_id, remove_orphan};
use super::shim_client::ShimClient;
use crate::fail::{Outcome, unavailable};
use crate::image::files::{clear_and_remove, listing};

impl Builtin {
    pub(super) async fn recover(&self) -> Outcome<()> {
        let mut found = Vec::new();
        for (folder, name) in listing(&self.layout.pods) {
            if !is_id(&name) {
                continue;
            }
            match load::<SandboxRecord>(&folder.join("sandbox.json")) {
                Some(record) => found.push(record),
                None => remove_orphan(&folder),
            }
        }
        for record in &found {
            self.load_containers(record);
            let entry = SandboxEntry { record: record.clone(), gate: Default::default() };
            self.state.lock().sandboxes.insert(record.id.clone(), entry);
        }
        for record in &found {
            match record.phase {
                Phase::Creating => {
                    tracing::info!(sandbox = %record.id, "a half-made sandbox is taken away");
                    self.take_down(record).await;
                    self.state.lock().sandboxes.remove(&record.id);
                }
                Phase::Ready => self.meet_again(record).await,
                Phase::Stopped => self.settle_all(record),
            }
        }
        let alive = self.state.lock().sandboxes.values().map(|entry| entry.record.id.clone()).collect();
        if let Err(error) = self.config.network.keep_only(alive).await {
            tracing::warn!(%error, "the pod network could not be told which sandboxes live");
        }
        Ok(())
    }

    fn load_containers(&self, sandbox: &SandboxRecord) {
        for (folder, _) in listing(&self.layout.sandbox(&sandbox.id).join("containers")) {
            let Some(record) = load::<ContainerRecord>(&folder.join("container.json")) else {
                clear_and_remove(&folder);
                continue;
            };
            let id = record.id.clone();
            let mut entry = ContainerEntry::new(record);
            let (start, exit) = self.layout.life(&sandbox.id, &id);
            entry.start = start;
            if let Some(exit) = exit {
                entry.set_exit(exit);
            }
            self.state.lock().containers.insert(id, entry);
        }
    }

    async fn meet_again(&self, record: &SandboxRecord) {
        let shim = ShimClient::new(&record.socket);
        match self.meet(&record.id, &shim).await {
            Ok(stream) => self.follow(&record.id, Some(stream)),
            Err(_) if shim.is_gone().await => self.shim_lost(&record.id),
            Err(error) => {
                tracing::warn!(sandbox = %record.id, %error, "a shim does not answer yet");
                self.follow(&record.id, None);
            }
        }
    }

    fn settle_all(&self, record: &SandboxRecord) {
        let containers = self.state.lock().containers_of(&record.id);
        for id in containers {
            self.settle_lost(&record.id, &id);
        }
        self.pause_exited(&record.id);
    }
}

/// Layers, by folder name, that containers of a runtime on this data folder stand on, whether it runs or not.
///
/// # Errors
/// A record that cannot be read: then nobody knows, and nothing may be collected.
pub fn layers_in_use(data_dir: &Path) -> Result<BTreeSet<String>, RuntimeError> {
    let mut all = BTreeSet::new();
    for (pod, _) in listing(&data_dir.join("pods")) {
        for (container, _) in listing(&pod.join("containers")) {
            let path = container.join("container.json");
            if !path.exists() {
                continue;
            }
            let record: Option<ContainerRecord> = load(&path);
            let record = record.ok_or_else(|| unavailable(format!("{} cannot be read", path.display())))?;
            all.extend(record.layers);
        }
    }
    Ok(all)
}
