//! [`Session`]: a cluster, a namespace, and what the cluster serves.

use std::path::PathBuf;

use http::Method;
use serde_json::Value;
use tokio::sync::OnceCell;
use trireme_client::{Ask, Rest};

use crate::arguments::Connection;
use crate::catalogue::{Catalogue, Kind};
use crate::error::KubectlError;

/// Where a server leaves its own kubeconfig, for root and for others (below the home folder).
const SERVER_KUBECONFIGS: [&str; 2] =
    ["/var/lib/trireme/kubeconfig.yaml", ".local/share/trireme/kubeconfig.yaml"];

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
        let file = kubeconfig(connection)?;
        let rest = Rest::open(&file, connection.context.as_deref()).await?;
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
        let Value::Array(mut items) = list["items"].take() else { return Ok(Vec::new()) };
        for item in &mut items {
            item["apiVersion"] = kind.api_version().into();
            item["kind"] = kind.kind.clone().into();
        }
        Ok(items)
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

/// The kubeconfig: named, by `$KUBECONFIG`, the home folder's, or a server's of this machine.
fn kubeconfig(connection: &Connection) -> Result<PathBuf, KubectlError> {
    if let Some(file) = &connection.kubeconfig {
        return Ok(file.clone());
    }
    if let Some(listed) = std::env::var_os("KUBECONFIG").filter(|text| !text.is_empty()) {
        let first = std::env::split_paths(&listed).find(|path| path.exists());
        return first.ok_or_else(|| {
            KubectlError::usage(format!(
                "$KUBECONFIG names no file that is there: {}",
                listed.to_string_lossy()
            ))
        });
    }
    let home = std::env::home_dir().unwrap_or_default();
    let places = std::iter::once(home.join(".kube/config"))
        .chain(SERVER_KUBECONFIGS.iter().map(|place| home.join(place)));
    places.into_iter().find(|path| path.exists()).ok_or_else(|| {
        KubectlError::usage(
            "no kubeconfig: give --kubeconfig FILE, set $KUBECONFIG, or start a cluster with `trireme up --kubeconfig FILE`",
        )
    })
}
