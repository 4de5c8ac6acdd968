//! [`Session`]: a cluster, a namespace, and what the cluster serves.

use http::Method;
use serde_json::Value;
use tokio::sync::OnceCell;
use trireme_client::{Ask, Rest};

use crate::arguments::Connection;
use crate::catalogue::{Catalogue, Kind};
use crate::error::KubectlError;
use crate::kubeconfig;

/// One run of the command.
pub(crate) struct Session {
    pub(crate) rest: Rest,
    /// The namespace that the command speaks of.
    pub(crate) namespace: String,
    /// Whether it was named on the command line.
    pub(crate) namespace_given: bool,
    catalogue: OnceCell<Catalogue>,
}

impl Session {
    pub(crate) async fn open(connection: &Connection) -> Result<Self, KubectlError> {
        let settings = kubeconfig::settings(connection).await?;
        let mut rest = Rest::connect(settings)?.with_warnings(|text| eprintln!("Warning: {text}"));
        if let Some(limit) = connection.request_timeout.filter(|limit| !limit.is_zero()) {
            rest = rest.with_limit(limit);
        }
        let namespace = connection.namespace.clone().unwrap_or_else(|| rest.namespace().to_owned());
        let namespace_given = connection.namespace.is_some();
        Ok(Self { rest, namespace, namespace_given, catalogue: OnceCell::new() })
    }

    /// What the cluster serves; asked for once.
    pub(crate) async fn catalogue(&self) -> Result<&Catalogue, KubectlError> {
        self.catalogue.get_or_try_init(|| Catalogue::read(&self.rest)).await
    }

    /// Path of a kind's collection in a namespace; `None` means all namespaces.
    pub(crate) fn collection(kind: &Kind, namespace: Option<&str>) -> String {
        let root = if kind.group.is_empty() {
            format!("/api/{}", kind.version)
        } else {
            format!("/apis/{}/{}", kind.group, kind.version)
        };
        match namespace.filter(|_| kind.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", kind.plural),
            None => format!("{root}/{}", kind.plural),
        }
    }

    /// Path of an object.
    pub(crate) fn object(kind: &Kind, namespace: &str, name: &str) -> String {
        format!("{}/{name}", Self::collection(kind, Some(namespace)))
    }

    /// The namespace of an object that says it is in `own`; another than the one named on the command line is refused.
    pub(crate) fn namespace_of(&self, kind: &Kind, own: &str) -> Result<String, KubectlError> {
        if !kind.namespaced {
            return Ok(String::new());
        }
        if own.is_empty() {
            return Ok(self.namespace.clone());
        }
        if self.namespace_given && own != self.namespace {
            return Err(KubectlError::usage(format!(
                "the namespace from the provided object \"{own}\" does not match the namespace \"{}\". You must pass \
                 '--namespace={own}' to perform this operation.",
                self.namespace
            )));
        }
        Ok(own.to_owned())
    }

    pub(crate) async fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Value, KubectlError> {
        Ok(self.rest.json(&Ask::get(&Self::object(kind, namespace, name))).await?)
    }

    /// The items of a list, each with its type.
    pub(crate) async fn list(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        query: &[(&str, &str)],
    ) -> Result<Vec<Value>, KubectlError> {
        let mut list = self.rest.json(&Ask::get(&Self::collection(kind, namespace)).with(query)).await?;
        let Value::Array(items) = list["items"].take() else { return Ok(Vec::new()) };
        Ok(items.into_iter().map(|item| kind.typed(item)).collect())
    }

    pub(crate) async fn patch(
        &self,
        path: &str,
        content_type: &str,
        patch: &Value,
        query: &[(&str, &str)],
    ) -> Result<Value, KubectlError> {
        let body = Some((content_type, patch.to_string().into_bytes()));
        let ask = Ask { method: Method::PATCH, path, query, accept: "application/json", body };
        Ok(self.rest.json(&ask).await?)
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        object: &Value,
        query: &[(&str, &str)],
    ) -> Result<Value, KubectlError> {
        Ok(self.rest.json(&Ask::send(method, path, object).with(query)).await?)
    }
}
