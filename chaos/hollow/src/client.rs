//! The API as a hollow fleet uses it.

use std::collections::BTreeSet;

use futures_util::Stream;
use http::Request;
use kube::Client;
use kube::core::WatchEvent;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::pod::{PodKey, PodView};

/// Pods of one page of a list.
const PAGE: u32 = 5_000;
/// Only pods that are bound to some node.
const BOUND: &str = "fieldSelector=spec.nodeName%21%3D";

/// Requests of one client.
#[derive(Clone)]
pub(crate) struct Api(pub(crate) Client);

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    items: Vec<PodView>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    next: Option<String>,
}

/// What was listed, and where a watch goes on.
pub(crate) struct Listed {
    pub(crate) pods: Vec<PodView>,
    pub(crate) there: BTreeSet<PodKey>,
    pub(crate) version: String,
}

impl Api {
    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<T, kube::Error> {
        let mut request = Request::builder().method(method).uri(path);
        let bytes = match body {
            Some((kind, value)) => {
                request = request.header("Content-Type", kind);
                value.to_string().into_bytes()
            }
            None => Vec::new(),
        };
        self.0.request(request.body(bytes).map_err(kube::Error::HttpError)?).await
    }

    pub(crate) async fn list(&self) -> Result<Listed, kube::Error> {
        let (mut pods, mut next) = (Vec::new(), String::new());
        loop {
            let more = if next.is_empty() { String::new() } else { format!("&continue={next}") };
            let page: List =
                self.ask("GET", &format!("/api/v1/pods?{BOUND}&limit={PAGE}{more}"), None).await?;
            pods.extend(page.items);
            next = page.metadata.next.unwrap_or_default();
            if next.is_empty() {
                let there = pods.iter().map(PodView::key).collect();
                return Ok(Listed { pods, there, version: page.metadata.resource_version });
            }
        }
    }

    pub(crate) async fn watch(
        &self,
        version: &str,
    ) -> Result<impl Stream<Item = Result<WatchEvent<PodView>, kube::Error>> + use<>, kube::Error> {
        let path =
            format!("/api/v1/pods?{BOUND}&watch=true&allowWatchBookmarks=true&resourceVersion={version}");
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        self.0.request_events(request).await
    }

    pub(crate) async fn patch_status(
        &self,
        (namespace, name): &PodKey,
        patch: &Value,
    ) -> Result<(), kube::Error> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/status");
        let body = Some(("application/strategic-merge-patch+json", patch));
        self.ask::<serde::de::IgnoredAny>("PATCH", &path, body).await.map(drop)
    }

    pub(crate) async fn delete(&self, (namespace, name): &PodKey, uid: &str) -> Result<(), kube::Error> {
        let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        self.ask::<serde::de::IgnoredAny>("DELETE", &path, Some(("application/json", &options)))
            .await
            .map(drop)
    }

    /// Creates an object, or gives the one that is there.
    pub(crate) async fn ensure(&self, collection: &str, object: &Value) -> Result<Value, kube::Error> {
        let created = self.ask("POST", collection, Some(("application/json", object))).await;
        match created {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                self.ask("GET", &format!("{collection}/{name}"), None).await
            }
            created => created,
        }
    }

    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> Result<(), kube::Error> {
        let body = Some(("application/strategic-merge-patch+json", patch));
        self.ask::<serde::de::IgnoredAny>("PATCH", path, body).await.map(drop)
    }
}
