//! [`NodeApi`]: the Kubernetes API as the node's identity reaches it.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use serde_json::Value;
use thiserror::Error;
use trireme_node::Answer;

/// A kind of objects. The group of core kinds is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// API group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Plural name.
    pub plural: &'static str,
}

impl Resource {
    /// v1 pods.
    pub const PODS: Self = Self::core("pods");
    /// v1 nodes.
    pub const NODES: Self = Self::core("nodes");
    /// v1 events.
    pub const EVENTS: Self = Self::core("events");
    /// v1 configmaps.
    pub const CONFIG_MAPS: Self = Self::core("configmaps");
    /// v1 secrets.
    pub const SECRETS: Self = Self::core("secrets");
    /// v1 services.
    pub const SERVICES: Self = Self::core("services");
    /// v1 persistentvolumes.
    pub const VOLUMES: Self = Self::core("persistentvolumes");
    /// v1 persistentvolumeclaims.
    pub const CLAIMS: Self = Self::core("persistentvolumeclaims");
    /// v1 serviceaccounts, for tokens.
    pub const SERVICE_ACCOUNTS: Self = Self::core("serviceaccounts");
    /// coordination.k8s.io/v1 leases.
    pub const LEASES: Self = Self { group: "coordination.k8s.io", version: "v1", plural: "leases" };

    const fn core(plural: &'static str) -> Self {
        Self { group: "", version: "v1", plural }
    }
}

/// An object's place. The namespace is empty for cluster-scoped kinds, the subresource for the object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Kind.
    pub resource: Resource,
    /// Namespace.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// Such as `status`.
    pub subresource: &'a str,
}

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/merge-patch+json`
    Merge,
    /// `application/strategic-merge-patch+json`
    Strategic,
}

impl PatchKind {
    /// Its content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
        }
    }
}

/// A refusal or failure of the API.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status; 0 when no answer came.
    pub code: u16,
    /// `NotFound`, `Conflict`, ...
    pub reason: String,
    /// Text for people.
    pub message: String,
}

impl ApiError {
    /// There is no such object.
    pub fn is_not_found(&self) -> bool {
        self.code == 404
    }

    /// Another version or uid is there.
    pub fn is_conflict(&self) -> bool {
        self.code == 409
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.code == 0 || self.code == 409 || self.code == 429 || self.code >= 500
    }
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    /// The whole list, at the start and whenever the watch could not go on from where it was. Replaces all before.
    Resync(Vec<Arc<Value>>),
    /// A new object, or one that now matches.
    Added(Arc<Value>),
    /// A changed object.
    Modified(Arc<Value>),
    /// An object that is gone, or no longer matches; its last state.
    Deleted(Arc<Value>),
    /// Nothing changed up to here.
    Bookmark,
}

/// The API, as `system:node:<name>`. In the process of a server it is a call; on agents it is HTTPS.
pub trait NodeApi: Send + Sync + 'static {
    /// One object.
    fn get<'a>(&'a self, place: Place<'a>) -> Answer<'a, Result<Value, ApiError>>;

    /// All objects of a namespace (empty: of the cluster) that match a field selector (empty: all).
    fn list<'a>(
        &'a self,
        resource: Resource,
        namespace: &'a str,
        field_selector: &'a str,
    ) -> Answer<'a, Result<Vec<Value>, ApiError>>;

    /// Makes an object; `place.name` is empty, or the parent's name with a subresource (`serviceaccounts/x/token`).
    fn create<'a>(&'a self, place: Place<'a>, object: Value) -> Answer<'a, Result<Value, ApiError>>;

    /// Replaces an object or a subresource.
    fn update<'a>(&'a self, place: Place<'a>, object: Value) -> Answer<'a, Result<Value, ApiError>>;

    /// Patches an object or a subresource.
    fn patch<'a>(
        &'a self,
        place: Place<'a>,
        kind: PatchKind,
        patch: Value,
    ) -> Answer<'a, Result<Value, ApiError>>;

    /// Deletes an object; `options` is a `DeleteOptions`.
    fn delete<'a>(&'a self, place: Place<'a>, options: Value) -> Answer<'a, Result<(), ApiError>>;

    /// Lists and then watches, for ever: it reconnects and resumes by itself, and begins with a [`WatchEvent::Resync`].
    fn watch(&self, resource: Resource, field_selector: &str) -> BoxStream<'static, WatchEvent>;

    /// A token of a service account: `request` is a `TokenRequest`, the answer too.
    fn create_token<'a>(
        &'a self,
        namespace: &'a str,
        service_account: &'a str,
        request: Value,
    ) -> Answer<'a, Result<Value, ApiError>> {
        let place = Place {
            resource: Resource::SERVICE_ACCOUNTS,
            namespace,
            name: service_account,
            subresource: "token",
        };
        self.create(place, request)
    }
}
