//! Aggregated discovery (KEP-3352): `/api` and `/apis` with every resource inside.

use serde_json::{Value, json};
use trireme_schema::kinds::Subresource;

use super::catalogue::{Catalogue, Group, Version};
use super::legacy::ordered_subresources;
use super::served_kind::ServedKind;
use crate::document::Document;

/// The version of apidiscovery.k8s.io in which the answer is given. Both have the same fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregatedVersion {
    /// `v2`, since 1.30.
    V2,
    /// `v2beta1`, until 1.34 upstream; kubectl 1.27 to 1.29 ask for it.
    V2Beta1,
}

impl AggregatedVersion {
    /// As in `apiVersion`.
    pub fn name(self) -> &'static str {
        match self {
            AggregatedVersion::V2 => "v2",
            AggregatedVersion::V2Beta1 => "v2beta1",
        }
    }

    /// `Content-Type` of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            AggregatedVersion::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            AggregatedVersion::V2Beta1 => {
                "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
            }
        }
    }
}

impl Catalogue {
    /// The aggregated answer to `/api`: the core group.
    pub fn aggregated_core(&self, version: AggregatedVersion) -> Document {
        self.aggregated(version, |g| g.name.is_empty())
    }

    /// The aggregated answer to `/apis`: every other group.
    pub fn aggregated_groups(&self, version: AggregatedVersion) -> Document {
        self.aggregated(version, |g| !g.name.is_empty())
    }

    fn aggregated(&self, version: AggregatedVersion, wanted: impl Fn(&Group) -> bool) -> Document {
        let items: Vec<Value> = self.groups.iter().filter(|g| wanted(g)).map(group).collect();
        let value = json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": format!("apidiscovery.k8s.io/{}", version.name()),
            "metadata": {},
            "items": items,
        });
        Document::json(&value, version.content_type())
    }
}

fn group(group: &Group) -> Value {
    let mut metadata = json!({ "creationTimestamp": null });
    if !group.name.is_empty() {
        metadata["name"] = group.name.clone().into();
    }
    json!({ "metadata": metadata, "versions": group.versions.iter().map(version).collect::<Vec<_>>() })
}

fn version(version: &Version) -> Value {
    json!({
        "version": version.name,
        "freshness": "Current",
        "resources": version.kinds.iter().map(resource).collect::<Vec<_>>(),
    })
}

fn resource(served: &ServedKind) -> Value {
    let kind = &served.kind;
    let mut body = json!({
        "resource": kind.plural,
        "responseKind": own_kind(served, &kind.kind),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": kind.verbs,
    });
    if !kind.short_names.is_empty() {
        body["shortNames"] = json!(kind.short_names);
    }
    if !kind.categories.is_empty() {
        body["categories"] = json!(kind.categories);
    }
    let subresources: Vec<Value> =
        ordered_subresources(served).into_iter().map(|s| subresource(served, s)).collect();
    if !subresources.is_empty() {
        body["subresources"] = subresources.into();
    }
    body
}

fn subresource(served: &ServedKind, subresource: &Subresource) -> Value {
    let own = subresource.version.is_empty()
        || (subresource.group == served.kind.group && subresource.version == served.kind.version);
    let response = if own {
        own_kind(served, &subresource.kind)
    } else {
        json!({ "group": subresource.group, "version": subresource.version, "kind": subresource.kind })
    };
    json!({ "subresource": subresource.name, "responseKind": response, "verbs": subresource.verbs })
}

/// A kind of the resource's own group and version: named in full for custom kinds only.
fn own_kind(served: &ServedKind, kind: &str) -> Value {
    let (group, version) =
        if served.custom { (served.kind.group.as_str(), served.kind.version.as_str()) } else { ("", "") };
    json!({ "group": group, "version": version, "kind": kind })
}
