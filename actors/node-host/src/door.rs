//! [`NodeDoor`]: where the cluster's servers come in to a node that only dials out.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use trireme_bus::{ByteStream, Handling, Inbound, Service, StreamTaker};
use trireme_kernel::{ActorPath, CallError, codec};
use trireme_kubelet::KubeletHttp;

use crate::dialer::CALLER;

/// The name under which streams to a node are asked for. For servers alone: who gets one was judged by the API server.
pub const DIAL: &str = "stream.node.dial";

/// Where a stream leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    /// To the kubelet's HTTP API.
    Kubelet,
    /// To an address that is reached from the node.
    Address(SocketAddr),
}

/// Whom streams to a node are asked from.
pub(crate) fn kubelet_path(node: &str) -> ActorPath {
    format!("/node/{node}/kubelet").parse().expect("a node's name makes a path")
}

/// Answers the bus: calls go on to what stood there before, streams to the node's kubelet once it is there.
pub struct NodeDoor {
    behind: Arc<dyn Service>,
    path: ActorPath,
    kubelet: OnceLock<KubeletHttp>,
}

impl NodeDoor {
    /// In front of `behind`, for the node of this name.
    pub fn new(node: &str, behind: Arc<dyn Service>) -> Arc<Self> {
        Arc::new(Self { behind, path: kubelet_path(node), kubelet: OnceLock::new() })
    }

    /// From now on streams lead to this kubelet.
    pub fn open_to(&self, kubelet: KubeletHttp) {
        // A process has one node; a second kubelet of it would be a clone.
        let _same = self.kubelet.set(kubelet);
    }
}

impl Service for NodeDoor {
    fn call(&self, request: Inbound) -> Handling {
        self.behind.call(request)
    }

    fn open(&self, request: Inbound) -> BoxFuture<'static, Result<StreamTaker, CallError>> {
        if &*request.name != DIAL || *request.path != *self.path.as_str() {
            return self.behind.open(request);
        }
        let path = self.path.clone();
        let Some(kubelet) = self.kubelet.get().cloned() else {
            return std::future::ready(Err(CallError::NoSuchActor { path })).boxed();
        };
        async move {
            match codec::decode::<Target>(&request.body) {
                Ok(Target::Kubelet) => Ok(to_kubelet(kubelet)),
                Ok(Target::Address(address)) => match TcpStream::connect(address).await {
                    Ok(socket) => Ok(to_socket(socket)),
                    Err(error) => Err(CallError::Unreachable { path, reason: format!("{address}: {error}") }),
                },
                Err(error) => Err(CallError::Malformed { path, reason: error.to_string() }),
            }
        }
        .boxed()
    }
}

fn to_kubelet(kubelet: KubeletHttp) -> StreamTaker {
    Box::new(move |stream: ByteStream| {
        async move {
            if let Err(error) = kubelet.serve(stream, CALLER.to_owned()).await {
                tracing::debug!(%error, "a stream between API server and kubelet broke");
            }
        }
        .boxed()
    })
}

fn to_socket(mut socket: TcpStream) -> StreamTaker {
    Box::new(move |mut stream: ByteStream| {
        async move {
            if let Err(error) = copy_bidirectional(&mut stream, &mut socket).await {
                tracing::debug!(%error, "a stream to an address behind the node broke");
            }
        }
        .boxed()
    })
}
