//! [`Feed`]: the cluster's objects as the network rooms of a node follow them.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use serde_json::Value;

/// Kinds that the proxy and the cluster's DNS follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedKind {
    /// v1 Services of all namespaces.
    Services,
    /// discovery.k8s.io/v1 EndpointSlices of all namespaces.
    EndpointSlices,
    /// v1 Nodes.
    Nodes,
}

impl FeedKind {
    /// API group, version and plural name; the group of core kinds is empty.
    pub fn resource(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Services => ("", "v1", "services"),
            Self::EndpointSlices => ("discovery.k8s.io", "v1", "endpointslices"),
            Self::Nodes => ("", "v1", "nodes"),
        }
    }
}

/// What a feed tells. Events that only mark progress are left out.
#[derive(Clone, Debug)]
pub enum FeedEvent {
    /// All objects, at the start and whenever the feed could not go on from where it was. Replaces all before.
    Resync(Vec<Arc<Value>>),
    /// An object that is new or changed.
    Set(Arc<Value>),
    /// An object that is gone; its last state.
    Gone(Arc<Value>),
}

/// Follows objects for as long as the stream is held: it reconnects and resumes by itself.
pub trait Feed: Send + Sync + 'static {
    /// A stream that begins with [`FeedEvent::Resync`].
    fn follow(&self, kind: FeedKind) -> BoxStream<'static, FeedEvent>;
}
