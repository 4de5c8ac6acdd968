//! The legacy documents: `/`, `/api`, `/apis`, `/apis/<group>`, and the resource list of one group and version.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use trireme_schema::kinds::Subresource;

use super::catalogue::{Catalogue, Group};
use super::served_kind::ServedKind;

/// Paths outside the API groups that every server has; health checks and other paths come from the caller.
const FIXED_PATHS: [&str; 9] = [
    "/.well-known/openid-configuration",
    "/apis/",
    "/metrics",
    "/metrics/slis",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/",
    "/openid/v1/jwks",
    "/version",
];

impl Catalogue {
    /// The answer to `/`: all paths served, sorted. `extra` adds the health checks and whatever else is served.
    pub fn root_paths<'a>(&self, extra: impl IntoIterator<Item = &'a str>) -> Value {
        let mut paths: BTreeSet<String> = FIXED_PATHS.iter().map(|&p| p.to_owned()).collect();
        paths.extend(extra.into_iter().map(str::to_owned));
        for group in &self.groups {
            let base =
                if group.name.is_empty() { "/api".to_owned() } else { format!("/apis/{}", group.name) };
            paths.extend(group.versions.iter().map(|v| format!("{base}/{}", v.name)));
            paths.insert(base);
        }
        paths.insert("/apis".to_owned());
        json!({ "paths": paths })
    }

    /// The answer to `/api`. `server_address` is `host:port` as in-cluster clients reach the server.
    pub fn api_versions(&self, server_address: &str) -> Value {
        let versions: Vec<&str> =
            self.group("").map(|g| g.versions.iter().map(|v| v.name.as_str()).collect()).unwrap_or_default();
        json!({
            "kind": "APIVersions",
            "versions": versions,
            "serverAddressByClientCIDRs": [{ "clientCIDR": "0.0.0.0/0", "serverAddress": server_address }],
        })
    }

    /// The answer to `/apis`.
    pub fn api_group_list(&self) -> Value {
        let groups: Vec<Value> =
            self.groups.iter().filter(|g| !g.name.is_empty()).map(|g| Value::Object(group_body(g))).collect();
        json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
    }

    /// The answer to `/apis/<group>`; `None` when the group is not served.
    pub fn api_group(&self, name: &str) -> Option<Value> {
        let mut body = group_body(self.group(name).filter(|g| !g.name.is_empty())?);
        body.insert("kind".to_owned(), "APIGroup".into());
        body.insert("apiVersion".to_owned(), "v1".into());
        Some(Value::Object(body))
    }

    /// The answer to `/api/<version>` and `/apis/<group>/<version>`; `None` when it is not served.
    pub fn api_resource_list(&self, group: &str, version: &str) -> Option<Value> {
        let kinds = &self.version(group, version)?.kinds;
        let mut resources = Vec::new();
        for served in kinds {
            resources.push(resource(served));
            resources.extend(ordered_subresources(served).into_iter().map(|s| subresource(served, s)));
        }
        let mut body = Map::new();
        body.insert("kind".to_owned(), "APIResourceList".into());
        if !group.is_empty() {
            body.insert("apiVersion".to_owned(), "v1".into());
        }
        body.insert("groupVersion".to_owned(), trireme_schema::kinds::api_version(group, version).into());
        body.insert("resources".to_owned(), resources.into());
        Some(Value::Object(body))
    }
}

/// By name, as clients get them.
pub(super) fn ordered_subresources(served: &ServedKind) -> Vec<&Subresource> {
    let mut ordered: Vec<&Subresource> = served.kind.subresources.iter().collect();
    ordered.sort_by(|a, b| a.name.cmp(&b.name));
    ordered
}

fn group_body(group: &Group) -> Map<String, Value> {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|v| json!({ "groupVersion": group.group_version(&v.name), "version": v.name }))
        .collect();
    let mut body = Map::new();
    body.insert("name".to_owned(), group.name.clone().into());
    body.insert("preferredVersion".to_owned(), versions.first().cloned().unwrap_or(Value::Null));
    body.insert("versions".to_owned(), versions.into());
    body
}

fn resource(served: &ServedKind) -> Value {
    let kind = &served.kind;
    let mut body = json!({
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        body["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        body["categories"] = json!(kind.categories);
    }
    if let Some(hash) = served.storage_version_hash() {
        body["storageVersionHash"] = hash.into();
    }
    body
}

fn subresource(served: &ServedKind, subresource: &Subresource) -> Value {
    let kind = &served.kind;
    let mut body = json!({
        "name": format!("{}/{}", kind.plural, subresource.name),
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": subresource.kind,
        "verbs": subresource.verbs,
    });
    let own = subresource.group == kind.group && subresource.version == kind.version;
    if !subresource.version.is_empty() && !own {
        body["group"] = subresource.group.clone().into();
        body["version"] = subresource.version.clone().into();
    }
    body
}
