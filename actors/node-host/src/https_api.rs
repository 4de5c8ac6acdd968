//! [`HttpsApi`]: the API as the node's rooms ask for it, over HTTPS.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt};
use http::Method;
use serde_json::Value;
use trireme_client::{Ask, ClientError, ListWatch, Rest, Seen};
use trireme_kubelet::{ApiError, NodeApi, PatchKind, Place, Resource, WatchEvent};
use trireme_node::{Answer, Feed, FeedEvent, FeedKind};

/// Pause before a watch that was refused for good is begun anew: permissions may come.
const REFUSED_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// The API under the node's own identity. Clones share connections.
#[derive(Clone)]
pub struct HttpsApi {
    rest: Rest,
}

impl HttpsApi {
    /// Over a connection that shows the node's certificate.
    pub fn new(rest: Rest) -> Self {
        Self { rest }
    }

    /// Asks, and once more when the connection broke: for what may be done twice. The server may be another one then.
    async fn ask_again(&self, ask: &Ask<'_>) -> Result<Value, ClientError> {
        match self.rest.json(ask).await {
            Err(ClientError::Unreachable { .. }) => self.rest.json(ask).await,
            answered => answered,
        }
    }

    fn follow_path(&self, path: String, field_selector: &str) -> BoxStream<'static, Seen> {
        let selectors: Vec<(&str, &str)> = match field_selector {
            "" => Vec::new(),
            text => vec![("fieldSelector", text)],
        };
        let watch = ListWatch::new(self.rest.clone(), &path, &selectors);
        stream::unfold(watch, |mut watch| async move {
            loop {
                match watch.next().await {
                    Ok(seen) => return Some((seen, watch)),
                    Err(error) => {
                        tracing::debug!(%error, "a watch is refused; it is tried again");
                        tokio::time::sleep(REFUSED_PAUSE).await;
                    }
                }
            }
        })
        .boxed()
    }
}

impl NodeApi for HttpsApi {
    fn get<'a>(&'a self, place: Place<'a>) -> Answer<'a, Result<Value, ApiError>> {
        Box::pin(async move { self.ask_again(&Ask::get(&path(place))).await.map_err(refused) })
    }

    fn list<'a>(
        &'a self,
        resource: Resource,
        namespace: &'a str,
        field_selector: &'a str,
    ) -> Answer<'a, Result<Vec<Value>, ApiError>> {
        Box::pin(async move {
            let path = path(Place { resource, namespace, name: "", subresource: "" });
            let query = [("fieldSelector", field_selector)];
            let query = if field_selector.is_empty() { &query[..0] } else { &query[..] };
            let mut list = self.ask_again(&Ask::get(&path).with(query)).await.map_err(refused)?;
            Ok(match list["items"].take() {
                Value::Array(items) => items,
                _ => Vec::new(),
            })
        })
    }

    fn create<'a>(&'a self, place: Place<'a>, object: Value) -> Answer<'a, Result<Value, ApiError>> {
        Box::pin(async move {
            self.rest.json(&Ask::send(Method::POST, &path(place), &object)).await.map_err(refused)
        })
    }

    fn update<'a>(&'a self, place: Place<'a>, object: Value) -> Answer<'a, Result<Value, ApiError>> {
        Box::pin(async move {
            self.rest.json(&Ask::send(Method::PUT, &path(place), &object)).await.map_err(refused)
        })
    }

    fn patch<'a>(
        &'a self,
        place: Place<'a>,
        kind: PatchKind,
        patch: Value,
    ) -> Answer<'a, Result<Value, ApiError>> {
        Box::pin(async move {
            let body = Some((kind.content_type(), patch.to_string().into_bytes()));
            let path = path(place);
            let ask =
                Ask { method: Method::PATCH, path: &path, query: &[], accept: "application/json", body };
            // Both kinds of patches say what shall be, not what shall change.
            self.ask_again(&ask).await.map_err(refused)
        })
    }

    fn delete<'a>(&'a self, place: Place<'a>, options: Value) -> Answer<'a, Result<(), ApiError>> {
        Box::pin(async move {
            let asked = self.rest.json(&Ask::send(Method::DELETE, &path(place), &options)).await;
            asked.map(drop).map_err(refused)
        })
    }

    fn watch(&self, resource: Resource, field_selector: &str) -> BoxStream<'static, WatchEvent> {
        let path = path(Place { resource, namespace: "", name: "", subresource: "" });
        let news = self.follow_path(path, field_selector);
        news.map(|seen| match seen {
            Seen::All(objects) => WatchEvent::Resync(objects.into_iter().map(Arc::new).collect()),
            Seen::Is(object) => WatchEvent::Modified(Arc::new(object)),
            Seen::Gone(object) => WatchEvent::Deleted(Arc::new(object)),
        })
        .boxed()
    }
}

impl Feed for HttpsApi {
    fn follow(&self, kind: FeedKind) -> BoxStream<'static, FeedEvent> {
        let (group, version, plural) = kind.resource();
        let news = self.follow_path(collection(group, version, "", plural), "");
        news.map(|seen| match seen {
            Seen::All(objects) => FeedEvent::Resync(objects.into_iter().map(Arc::new).collect()),
            Seen::Is(object) => FeedEvent::Set(Arc::new(object)),
            Seen::Gone(object) => FeedEvent::Gone(Arc::new(object)),
        })
        .boxed()
    }
}

fn path(place: Place<'_>) -> String {
    let Place { resource, namespace, name, subresource } = place;
    let mut path = collection(resource.group, resource.version, namespace, resource.plural);
    for part in [name, subresource].into_iter().filter(|part| !part.is_empty()) {
        path.push('/');
        path.push_str(part);
    }
    path
}

fn collection(group: &str, version: &str, namespace: &str, plural: &str) -> String {
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    if namespace.is_empty() {
        format!("{root}/{plural}")
    } else {
        format!("{root}/namespaces/{namespace}/{plural}")
    }
}

fn refused(error: ClientError) -> ApiError {
    match error {
        ClientError::Refused(refusal) => {
            ApiError { code: refusal.code, reason: refusal.reason, message: refusal.message }
        }
        other => ApiError { code: 0, reason: "Unavailable".to_owned(), message: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let place = Place { resource: Resource::PODS, namespace: "n", name: "p", subresource: "status" };
        assert_eq!(path(place), "/api/v1/namespaces/n/pods/p/status");
        let leases =
            Place { resource: Resource::LEASES, namespace: "kube-node-lease", name: "n1", subresource: "" };
        assert_eq!(path(leases), "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1");
        let nodes = Place { resource: Resource::NODES, namespace: "", name: "", subresource: "" };
        assert_eq!(path(nodes), "/api/v1/nodes");
    }
}
