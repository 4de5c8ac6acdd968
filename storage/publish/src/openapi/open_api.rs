//! [`OpenApi`]: all documents of one set of kinds, each built when it is first asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde_json::{Value, json};

use super::custom::CustomKind;
use super::descriptions::Descriptions;
use super::fixed_paths::fixed_paths;
use super::gzip::Packed;
use super::operation::Paths;
use super::paths::{group_version_paths, type_name};
use super::schemas::Gvk;
use super::types::{META, list_type};
use super::v2::{self, V2Form};
use super::v3;
use crate::discovery::{Catalogue, ServedKind};
use crate::document::content_hash;

/// What the documents describe.
#[derive(Clone, Debug)]
pub struct OpenApiInput {
    /// Every kind served, built-in and custom.
    pub catalogue: Arc<Catalogue>,
    /// The served versions of custom kinds, with their schemas.
    pub custom: Vec<CustomKind>,
    /// The server's version, as `v1.35.0`.
    pub version: String,
}

/// The documents of one set of kinds. Make a new one when the set changes.
#[derive(Debug)]
pub struct OpenApi {
    input: OpenApiInput,
    /// By the path in the index: `api/v1`, `apis/apps/v1`, `version`.
    v3: BTreeMap<String, Slot>,
    v2_json: OnceLock<Arc<Packed>>,
    v2_protobuf: OnceLock<Arc<Packed>>,
}

#[derive(Debug)]
struct Slot {
    source: Source,
    document: OnceLock<Arc<Packed>>,
}

#[derive(Debug)]
enum Source {
    GroupVersion(String, String),
    Fixed(Paths),
}

impl OpenApi {
    /// Nothing is built yet.
    pub fn new(input: OpenApiInput) -> Self {
        let slot = |source| Slot { source, document: OnceLock::new() };
        let mut v3 = BTreeMap::new();
        let mut groups: Vec<&str> = Vec::new();
        for (group, version) in input.catalogue.group_versions() {
            let base = if group.is_empty() { "api".to_owned() } else { format!("apis/{group}") };
            v3.insert(
                format!("{base}/{version}"),
                slot(Source::GroupVersion(group.to_owned(), version.to_owned())),
            );
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
        for (index, paths) in fixed_paths(groups.into_iter()) {
            v3.insert(index, slot(Source::Fixed(paths)));
        }
        OpenApi { input, v3, v2_json: OnceLock::new(), v2_protobuf: OnceLock::new() }
    }

    /// The answer to `/openapi/v3`: every document with a hash that changes when the document does. It is taken over
    /// what the document is made from, so that the index builds none of them.
    pub fn v3_index(&self) -> Value {
        let entry = |path: &String, slot: &Slot| {
            let url = format!("/openapi/v3/{path}?hash={}", self.source_hash(&slot.source));
            (path.clone(), json!({ "serverRelativeURL": url }))
        };
        let paths: serde_json::Map<String, Value> = self.v3.iter().map(|(p, s)| entry(p, s)).collect();
        json!({ "paths": paths })
    }

    fn source_hash(&self, source: &Source) -> String {
        let made_from = match source {
            Source::GroupVersion(group, version) => {
                let schemas: Vec<(&Value, &Value)> =
                    self.custom(group, version).iter().map(|c| (&*c.schema, &c.selectable_fields)).collect();
                let kinds = self.input.catalogue.kinds(group, version);
                format!("{kinds:?} {}", json!(schemas))
            }
            Source::Fixed(paths) => format!("{paths:?}"),
        };
        let build = env!("CARGO_PKG_VERSION");
        content_hash(format!("{build} {} {made_from}", self.input.version).as_bytes())
    }

    fn custom(&self, group: &str, version: &str) -> Vec<&CustomKind> {
        let own = |c: &&CustomKind| c.served.kind.group == group && c.served.kind.version == version;
        self.input.custom.iter().filter(own).collect()
    }

    /// The document behind `/openapi/v3/<path>`; `None` when there is none (404).
    pub fn v3(&self, path: &str) -> Option<Arc<Packed>> {
        self.v3.get(path).map(|slot| self.document(slot))
    }

    /// The answer to `/openapi/v2`.
    pub fn v2(&self, form: V2Form) -> Arc<Packed> {
        let slot = match form {
            V2Form::Json => &self.v2_json,
            V2Form::Protobuf => &self.v2_protobuf,
        };
        let build = || {
            let mut paths = Paths::new();
            for slot in self.v3.values() {
                match &slot.source {
                    Source::GroupVersion(group, version) => paths.extend(self.paths(group, version)),
                    Source::Fixed(fixed) => paths.extend(fixed.clone()),
                }
            }
            let custom: Vec<&CustomKind> = self.input.custom.iter().collect();
            let texts = Descriptions::unpack();
            Arc::new(v2::document(form, &self.input.version, &paths, &custom, &self.kinds(), &texts))
        };
        slot.get_or_init(build).clone()
    }

    fn document(&self, slot: &Slot) -> Arc<Packed> {
        let build = || {
            let kinds = self.kinds();
            let texts = Descriptions::unpack();
            let packed = match &slot.source {
                Source::GroupVersion(group, version) => {
                    let custom = self.custom(group, version);
                    v3::document(&self.input.version, &self.paths(group, version), &custom, &kinds, &texts)
                }
                Source::Fixed(paths) => v3::document(&self.input.version, paths, &[], &kinds, &texts),
            };
            Arc::new(packed)
        };
        slot.document.get_or_init(build).clone()
    }

    fn paths(&self, group: &str, version: &str) -> Paths {
        group_version_paths(group, version, self.input.catalogue.kinds(group, version))
    }

    /// Which kinds the types are published as.
    fn kinds(&self) -> BTreeMap<String, Vec<Gvk>> {
        let mut out: BTreeMap<String, Vec<Gvk>> = BTreeMap::new();
        let gvk = |g: &str, v: &str, k: &str| (g.to_owned(), v.to_owned(), k.to_owned());
        let mut add = |name: String, kind: Gvk| {
            let known = out.entry(name).or_default();
            if !known.contains(&kind) {
                known.push(kind);
            }
        };
        for (group, version) in self.input.catalogue.group_versions() {
            for kind in ["DeleteOptions", "WatchEvent"] {
                add(format!("{META}{kind}"), gvk(group, version, kind));
            }
            for served in self.input.catalogue.kinds(group, version) {
                add_kinds(served, &mut add);
            }
        }
        for kind in ["Status", "APIVersions", "APIGroup", "APIGroupList", "APIResourceList"] {
            add(format!("{META}{kind}"), gvk("", "v1", kind));
        }
        out
    }
}

/// The types of a kind, of its list and of its subresources.
fn add_kinds(served: &ServedKind, add: &mut dyn FnMut(String, Gvk)) {
    let kind = &served.kind;
    let own = |name: &str| (kind.group.clone(), kind.version.clone(), name.to_owned());
    let name = type_name(served.custom, &kind.group, &kind.version, &kind.kind);
    if kind.verbs.iter().any(|v| v == "list") {
        add(list_type(&name), own(&format!("{}List", kind.kind)));
    }
    add(name, own(&kind.kind));
    for subresource in kind.subresources.iter().filter(|s| !s.version.is_empty()) {
        let (group, version, of) = (&subresource.group, &subresource.version, &subresource.kind);
        add(type_name(false, group, version, of), (group.clone(), version.clone(), of.clone()));
    }
}
