//! How the API server reaches nodes: [`NodeDialer`], which whoever knows the way gives it.
//!
//! What nodes serve is spoken in plain HTTP/1.1 on the streams that it opens; who may dial a node, and how the stream is
//! protected, is the dialer's business. Deliberately absent: reuse of streams, and retries.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::RwLock;
use thiserror::Error;
use trireme_http::proxy::{Backend, Dialing};
use trireme_schema::status::{Failure, Status};

/// A stream to a node.
pub use trireme_http::proxy::BackendIo as NodeIo;

/// Why a stream to a node did not come about. Nothing was sent: it may be tried again, except where it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DialError {
    /// The node is not connected to this cluster's servers.
    #[error("node {node:?} is not connected: {why}; see `trireme actors` for the machines that are")]
    Absent {
        /// Its name.
        node: String,
        /// What is known.
        why: String,
    },
    /// The node, or what is behind it, did not take the connection.
    #[error("node {node:?} does not answer: {why}")]
    Unreachable {
        /// Its name.
        node: String,
        /// The transport's words.
        why: String,
    },
}

impl DialError {
    /// Whether another attempt may succeed without anything being mended first.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// A stream on its way.
pub type NodeDialing<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn NodeIo>, DialError>> + Send + 'a>>;

/// Opens byte streams to nodes.
pub trait NodeDialer: Send + Sync {
    /// To the HTTP server of the node's kubelet, which has upstream's paths: `/containerLogs`, `/exec`, `/attach`,
    /// `/portForward`, and whatever `nodes/proxy` asks for.
    fn dial<'a>(&'a self, node: &'a str) -> NodeDialing<'a>;

    /// To an address that is reached from the node, such as a pod's.
    fn dial_address<'a>(&'a self, node: &'a str, address: SocketAddr) -> NodeDialing<'a>;
}

/// The dialer of a server, once there is one.
#[derive(Default)]
pub(crate) struct Nodes(RwLock<Option<Arc<dyn NodeDialer>>>);

impl Nodes {
    /// From now on nodes are reached through `dialer`.
    pub(crate) fn set(&self, dialer: Arc<dyn NodeDialer>) {
        *self.0.write() = Some(dialer);
    }

    /// The dialer.
    ///
    /// # Errors
    /// 503 when none was given: no node component runs in this cluster.
    pub(crate) fn dialer(&self, what: &str) -> Result<Arc<dyn NodeDialer>, Failure> {
        self.0.read().clone().ok_or_else(|| {
            Status::unavailable(format!(
                "{what} is served by nodes, and no node component runs behind this API server; start one with \
                 --components node"
            ))
        })
    }
}

/// Where a forwarded request goes.
pub(crate) struct NodeBackend {
    pub(crate) dialer: Arc<dyn NodeDialer>,
    pub(crate) node: String,
    /// An address behind the node; the kubelet when there is none.
    pub(crate) address: Option<SocketAddr>,
}

impl Backend for NodeBackend {
    fn dial(&self) -> Dialing<'_> {
        Box::pin(async move {
            let opened = match self.address {
                None => self.dialer.dial(&self.node).await,
                Some(address) => self.dialer.dial_address(&self.node, address).await,
            };
            opened.map_err(io::Error::other)
        })
    }
}
