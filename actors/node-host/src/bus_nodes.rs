//! [`BusNodes`]: how a server's API reaches the nodes of the cluster.

use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::RwLock;
use trireme_apiserver::{DialError, NodeDialer, NodeDialing};
use trireme_bus::{Bus, IdentityKind, Peer};
use trireme_kernel::{CallError, CallOptions, Class, codec};

use crate::dialer::LocalNode;
use crate::door::{DIAL, Target, kubelet_path};

/// How long a node may take to open a stream.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// How long a node that is not connected is waited for: a link that broke is made again within this.
const LINK_LIMIT: Duration = Duration::from_secs(3);

/// Nodes of other machines, by a stream over the session that each keeps to every server; and the node of this process,
/// if it has one.
pub struct BusNodes {
    bus: Bus,
    own: RwLock<Option<LocalNode>>,
}

impl BusNodes {
    /// Over this bus.
    pub fn new(bus: Bus) -> Self {
        Self { bus, own: RwLock::new(None) }
    }

    /// This process has a node of its own.
    pub fn set_own(&self, node: LocalNode) {
        *self.own.write() = Some(node);
    }

    fn own(&self, node: &str) -> Option<LocalNode> {
        self.own.read().clone().filter(|own| own.name() == node)
    }

    async fn peer(&self, node: &str) -> Option<Peer> {
        // Before the look, so that nothing that happens between is missed.
        let mut events = self.bus.events();
        let wait = async {
            loop {
                if let Some(peer) = self.bus.peer(IdentityKind::Node, node) {
                    return Some(peer);
                }
                if let Err(tokio::sync::broadcast::error::RecvError::Closed) = events.recv().await {
                    return None;
                }
            }
        };
        tokio::time::timeout(LINK_LIMIT, wait).await.ok().flatten()
    }

    async fn open(
        &self,
        node: &str,
        target: Target,
    ) -> Result<Box<dyn trireme_apiserver::NodeIo>, DialError> {
        let absent = |why: String| DialError::Absent { node: node.to_owned(), why };
        let unreachable = |why: String| DialError::Unreachable { node: node.to_owned(), why };
        let Some(peer) = self.peer(node).await else {
            return Err(absent("it has no connection to this server".to_owned()));
        };
        let body = codec::encode(&target).map_err(|error| unreachable(error.to_string()))?;
        let options = CallOptions::within(OPEN_LIMIT).with_class(Class::Bulk);
        match peer.open(&kubelet_path(node), DIAL, body, options).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(CallError::NoSuchActor { .. }) => Err(absent("no kubelet runs there".to_owned())),
            Err(error) => Err(unreachable(error.to_string())),
        }
    }
}

impl NodeDialer for BusNodes {
    fn dial<'a>(&'a self, node: &'a str) -> NodeDialing<'a> {
        Box::pin(async move {
            match self.own(node) {
                Some(own) => own.dial(node).await,
                None => self.open(node, Target::Kubelet).await,
            }
        })
    }

    fn dial_address<'a>(&'a self, node: &'a str, address: SocketAddr) -> NodeDialing<'a> {
        Box::pin(async move {
            match self.own(node) {
                Some(own) => own.dial_address(node, address).await,
                None => self.open(node, Target::Address(address)).await,
            }
        })
    }
}
