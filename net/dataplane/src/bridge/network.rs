use std::sync::Arc;

use futures_util::FutureExt;
use ipnet::IpNet;
use parking_lot::Mutex;
use trireme_node::{Answer, NetworkRequest, PodAddresses, PodNetwork, RuntimeError, RuntimeErrorKind};

use super::{BridgeConfig, Peer, setup::Plane};
use crate::NetError;

/// The built-in pod network.
///
/// Calls from many tasks are fine: they wait for each other on blocking threads, each for some milliseconds.
pub struct BridgeNetwork {
    shared: Arc<Shared>,
}

struct Shared {
    config: BridgeConfig,
    plane: Mutex<Option<Plane>>,
    /// Why it does not work; apart from the plane, so that asking never waits for the kernel.
    not_ready: Mutex<Option<String>>,
}

impl BridgeNetwork {
    /// Sets the node up: bridge, addresses, parameters, rules; leases of living sandboxes come back from the ledger.
    /// Without ranges it waits for [`Self::assign`].
    ///
    /// # Errors
    /// When the configuration makes no sense, or the kernel refuses; the text says what to do.
    pub fn open(config: BridgeConfig) -> Result<Arc<Self>, NetError> {
        let waiting = "the node has no pod CIDR yet: it is assigned when the node is registered";
        let shared = Shared {
            plane: Mutex::new(None),
            not_ready: Mutex::new(Some(waiting.to_owned())),
            config: config.clone(),
        };
        let network = Arc::new(Self { shared: Arc::new(shared) });
        if !config.pod_cidrs.is_empty() {
            network.assign(config.pod_cidrs)?;
        }
        Ok(network)
    }

    /// Gives the node its ranges, the primary family first; the same ones again change nothing.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn assign(&self, ranges: Vec<IpNet>) -> Result<(), NetError> {
        let mut plane = self.shared.plane.lock();
        if plane.as_ref().is_some_and(|plane| plane.ranges() == ranges) {
            return Ok(());
        }
        let opened = Plane::open(&self.shared.config, ranges);
        *self.shared.not_ready.lock() = opened.as_ref().err().map(ToString::to_string);
        *plane = Some(opened?);
        Ok(())
    }

    /// Leads packets for the pods of these nodes there, and forgets all other nodes.
    ///
    /// # Errors
    /// What the kernel refuses; the other peers are done nevertheless.
    pub fn set_peers(&self, peers: Vec<Peer>) -> Result<(), NetError> {
        let mut plane = self.shared.plane.lock();
        plane.as_mut().ok_or_else(|| self.waiting())?.set_peers(peers)
    }

    /// Takes everything away that this network made in the kernel: links, routes, rules. The ledger stays.
    ///
    /// # Errors
    /// What the kernel refuses; the rest is removed nevertheless.
    pub fn remove(&self) -> Result<(), NetError> {
        *self.shared.not_ready.lock() = Some("the pod network was removed".to_owned());
        match self.shared.plane.lock().take() {
            Some(mut plane) => plane.remove(),
            None => Ok(()),
        }
    }

    fn waiting(&self) -> NetError {
        NetError::Invalid(self.shared.not_ready.lock().clone().unwrap_or_default())
    }

    fn on_plane<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Plane) -> Result<T, NetError> + Send + 'static,
    ) -> Answer<'_, Result<T, RuntimeError>> {
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let mut plane = shared.plane.lock();
            let Some(plane) = plane.as_mut() else {
                let why = shared.not_ready.lock().clone().unwrap_or_default();
                return Err(RuntimeError::new(RuntimeErrorKind::Unavailable, format!("pod network: {why}")));
            };
            work(plane).map_err(RuntimeError::from)
        };
        async move {
            let done = tokio::task::spawn_blocking(work).await;
            done.unwrap_or_else(|error| {
                Err(RuntimeError::new(RuntimeErrorKind::Unavailable, format!("pod network: {error}")))
            })
        }
        .boxed()
    }
}

impl PodNetwork for BridgeNetwork {
    fn attach(&self, request: NetworkRequest) -> Answer<'_, Result<PodAddresses, RuntimeError>> {
        self.on_plane(move |plane| plane.attach(&request))
    }

    fn detach(&self, request: NetworkRequest) -> Answer<'_, Result<(), RuntimeError>> {
        self.on_plane(move |plane| plane.detach(&request.sandbox))
    }

    fn keep_only(&self, sandboxes: Vec<String>) -> Answer<'_, Result<(), RuntimeError>> {
        self.on_plane(move |plane| plane.keep_only(&sandboxes))
    }

    fn not_ready(&self) -> Option<String> {
        self.shared.not_ready.lock().clone()
    }
}
