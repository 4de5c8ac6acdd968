//! [`Lister`]: the runtime's sandboxes and containers, listed once for all pods that ask at the same time.

use std::sync::Arc;

use tokio::sync::Mutex;
use trireme_kubelet_core::worker::Observation;
use trireme_node::{ContainerStatus, Runtime, RuntimeError, SandboxStatus};

use crate::shared::{RUNTIME_LIMIT, within};

/// Everything the runtime holds.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) sandboxes: Vec<SandboxStatus>,
    pub(crate) containers: Vec<ContainerStatus>,
}

impl Snapshot {
    /// What belongs to one pod.
    pub(crate) fn of_pod(&self, uid: &str) -> Observation {
        let sandboxes: Vec<_> = self.sandboxes.iter().filter(|own| own.config.uid == uid).cloned().collect();
        let inside = |container: &&ContainerStatus| {
            sandboxes.iter().any(|sandbox| sandbox.id == container.sandbox)
                || container.config.labels.get("io.kubernetes.pod.uid").is_some_and(|own| own == uid)
        };
        let containers = self.containers.iter().filter(inside).cloned().collect();
        Observation { sandboxes, containers }
    }
}

/// Lists for whoever asks; a list that began after the question answers it.
pub(crate) struct Lister {
    runtime: Arc<dyn Runtime>,
    /// Number of the last list and what it gave.
    last: Mutex<(u64, Arc<Snapshot>)>,
    asked: std::sync::atomic::AtomicU64,
}

impl Lister {
    pub(crate) fn new(runtime: Arc<dyn Runtime>) -> Self {
        Self { runtime, last: Mutex::new((0, Arc::default())), asked: std::sync::atomic::AtomicU64::new(0) }
    }

    /// What the runtime holds now.
    pub(crate) async fn snapshot(&self) -> Result<Arc<Snapshot>, RuntimeError> {
        use std::sync::atomic::Ordering;
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut last = self.last.lock().await;
        if last.0 >= ticket {
            return Ok(Arc::clone(&last.1));
        }
        // Everybody who has asked by now is answered by this list.
        let covers = self.asked.load(Ordering::Acquire);
        let sandboxes = within(RUNTIME_LIMIT, "list sandboxes", self.runtime.sandboxes()).await?;
        let containers = within(RUNTIME_LIMIT, "list containers", self.runtime.containers()).await?;
        *last = (covers, Arc::new(Snapshot { sandboxes, containers }));
        Ok(Arc::clone(&last.1))
    }
}
