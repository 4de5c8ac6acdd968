//! [`LocalNode`]: how the API server of the same process reaches this node.

use std::net::SocketAddr;

use tokio::io::duplex;
use tokio::net::TcpStream;
use trireme_apiserver::{DialError, NodeDialer, NodeDialing};
use trireme_kubelet::KubeletHttp;

/// Bytes on their way in a stream between API server and kubelet.
const STREAM_BYTES: usize = 64 * 1024;
/// Who the kubelet is told is asking: the API server has judged the request already.
pub(crate) const CALLER: &str = "kube-apiserver";

/// The node of this process.
#[derive(Clone)]
pub struct LocalNode {
    name: String,
    http: KubeletHttp,
}

impl LocalNode {
    pub(crate) fn new(name: String, http: KubeletHttp) -> Self {
        Self { name, http }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn absent(&self, node: &str) -> DialError {
        let why = format!("this server reaches its own node {:?} only", self.name);
        DialError::Absent { node: node.to_owned(), why }
    }
}

impl NodeDialer for LocalNode {
    fn dial<'a>(&'a self, node: &'a str) -> NodeDialing<'a> {
        Box::pin(async move {
            if node != self.name {
                return Err(self.absent(node));
            }
            let (near, far) = duplex(STREAM_BYTES);
            let http = self.http.clone();
            tokio::spawn(async move {
                if let Err(error) = http.serve(far, CALLER.to_owned()).await {
                    tracing::debug!(%error, "a stream between API server and kubelet broke");
                }
            });
            Ok(Box::new(near) as _)
        })
    }

    fn dial_address<'a>(&'a self, node: &'a str, address: SocketAddr) -> NodeDialing<'a> {
        Box::pin(async move {
            if node != self.name {
                return Err(self.absent(node));
            }
            let stream = TcpStream::connect(address).await;
            match stream {
                Ok(stream) => Ok(Box::new(stream) as _),
                Err(error) => {
                    Err(DialError::Unreachable { node: node.to_owned(), why: format!("{address}: {error}") })
                }
            }
        })
    }
}
