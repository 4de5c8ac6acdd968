//! [`Shared`]: what the actors of one kubelet have in common. Caches and handles only: every actor can be killed, and the
//! truth is in the API, in the runtime and on the disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch};
use trireme_kernel::Address;
use trireme_kubelet_core::admit::Rejection;
use trireme_kubelet_core::pod;
use trireme_kubelet_core::translate::NodeFacts;
use trireme_kubelet_core::worker::Ending;
use trireme_node::{Runtime, RuntimeError};
use trireme_schema::view::View;

use crate::api::NodeApi;
use crate::config::KubeletConfig;
use crate::events::{Event, Events};
use crate::lister::Lister;
use crate::pod_actor::PodMessage;
use crate::volumes::{TokenCache, Volumes};

/// Images pulled at a time.
const PULLS_LIMIT: usize = 4;
/// Longest a read of the machine or of the runtime may take before it counts as failed.
pub(crate) const RUNTIME_LIMIT: Duration = Duration::from_secs(120);

/// A pod as the kubelet knows it.
#[derive(Clone, Default)]
pub(crate) struct PodEntry {
    pub(crate) pod: Arc<Value>,
    /// Gone from the API (or its file is gone).
    pub(crate) removed: bool,
    pub(crate) rejection: Option<Rejection>,
    pub(crate) ending: Option<Ending>,
    /// Its worker.
    pub(crate) address: Option<Address<PodMessage>>,
    /// The mirror's uid, for static pods.
    pub(crate) mirror_uid: Option<String>,
    /// What its worker wrote last.
    pub(crate) status: Option<Arc<Value>>,
}

impl PodEntry {
    /// It takes room on the node.
    pub(crate) fn is_active(&self) -> bool {
        let phase = self.phase().to_owned();
        self.rejection.is_none() && !pod::is_terminal_phase(&phase)
    }

    pub(crate) fn phase(&self) -> &str {
        let own = self.status.as_ref().map(|status| status.text("phase")).unwrap_or_default();
        if own.is_empty() { self.pod.at("status").text("phase") } else { own }
    }

    /// The pod with the status its worker wrote last.
    pub(crate) fn with_status(&self) -> Value {
        let mut object = Value::clone(&self.pod);
        if let Some(Value::Object(status)) = self.status.as_deref() {
            if !object.at("status").is_object() {
                object["status"] = Value::Object(serde_json::Map::new());
            }
            for (name, value) in status {
                object["status"][name] = value.clone();
            }
        }
        object
    }
}

/// Services by namespace and name.
pub(crate) type ServiceMap = BTreeMap<(String, String), Arc<Value>>;

/// What the actors of one kubelet have in common.
pub(crate) struct Shared {
    pub(crate) config: KubeletConfig,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) api: Arc<dyn NodeApi>,
    pub(crate) events: Events,
    pub(crate) event_queue: Arc<tokio::sync::Mutex<mpsc::Receiver<Event>>>,
    pub(crate) lister: Lister,
    /// By uid.
    pub(crate) pods: Mutex<BTreeMap<String, PodEntry>>,
    pub(crate) facts: RwLock<Arc<NodeFacts>>,
    /// The Node object as it was last seen; `None` before it is registered.
    pub(crate) node: watch::Sender<Option<Arc<Value>>>,
    /// Conditions under pressure.
    pub(crate) pressure: Mutex<Vec<&'static str>>,
    /// Services by namespace and name; `None` before the first list.
    pub(crate) services: watch::Sender<Option<ServiceMap>>,
    pub(crate) volumes: Volumes,
    pub(crate) tokens: TokenCache,
    pub(crate) pulls: Semaphore,
    /// The node is going down: no pod is taken any more.
    pub(crate) shutting_down: watch::Sender<bool>,
}

impl Shared {
    pub(crate) fn new(config: KubeletConfig, runtime: Arc<dyn Runtime>, api: Arc<dyn NodeApi>) -> Arc<Self> {
        let (events, receiver) = Events::channel();
        let facts = crate::node::facts(&config);
        let volumes = Volumes::new(config.data_dir.join("pods"));
        Arc::new(Self {
            lister: Lister::new(Arc::clone(&runtime)),
            config,
            runtime,
            api,
            events,
            event_queue: Arc::new(tokio::sync::Mutex::new(receiver)),
            pods: Mutex::new(BTreeMap::new()),
            facts: RwLock::new(Arc::new(facts)),
            node: watch::Sender::new(None),
            pressure: Mutex::new(Vec::new()),
            services: watch::Sender::new(None),
            volumes,
            tokens: TokenCache::default(),
            pulls: Semaphore::new(PULLS_LIMIT),
            shutting_down: watch::Sender::new(false),
        })
    }

    pub(crate) fn entry(&self, uid: &str) -> Option<PodEntry> {
        self.pods.lock().get(uid).cloned()
    }

    pub(crate) fn entries(&self) -> Vec<PodEntry> {
        self.pods.lock().values().cloned().collect()
    }

    pub(crate) fn facts(&self) -> Arc<NodeFacts> {
        Arc::clone(&self.facts.read())
    }

    /// `trireme` of `trireme://0.1.0`.
    pub(crate) fn runtime_scheme(&self) -> String {
        let version = self.runtime.version();
        version.split_once("://").map_or(version.as_str(), |(scheme, _)| scheme).to_owned()
    }

    /// Wakes the worker of a pod.
    pub(crate) fn poke(&self, uid: &str, message: PodMessage) {
        let address = self.pods.lock().get(uid).and_then(|entry| entry.address.clone());
        if let Some(address) = address
            && let Err(error) = address.send(message)
        {
            // A full mailbox holds a wake-up already; a worker that is gone starts from the entry.
            tracing::debug!(%error, uid, "a pod worker was not woken");
        }
    }

    /// Ends a pod for a reason of the node.
    pub(crate) fn end_pod(&self, uid: &str, ending: Ending) {
        if let Some(entry) = self.pods.lock().get_mut(uid) {
            entry.ending.get_or_insert(ending);
        }
        self.poke(uid, PodMessage::Sync);
    }
}

/// Bounds a call of the runtime.
pub(crate) async fn within<T>(
    limit: Duration,
    what: &str,
    call: impl Future<Output = Result<T, RuntimeError>>,
) -> Result<T, RuntimeError> {
    let outcome = tokio::time::timeout(limit, call).await;
    outcome.unwrap_or_else(|_| {
        let message = format!("{what}: no answer within {} s", limit.as_secs());
        Err(RuntimeError::new(trireme_node::RuntimeErrorKind::DeadlineExceeded, message))
    })
}
