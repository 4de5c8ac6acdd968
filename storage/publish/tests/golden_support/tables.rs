//! The objects of a case, as the writes before a Table leave them, and the Tables of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trireme_publish::partial::{partial_list, partial_object};
use trireme_publish::table::{Header, IncludeObject, Release, TableFormat, TableOptions};
use trireme_schema::defaults::apply_defaults;
use trireme_schema::kinds;
use trireme_schema::patch::apply_merge_patch;
use trireme_schema::time::Moment;

/// Objects by collection path and name.
pub(crate) struct Objects {
    release: Release,
    objects: BTreeMap<(String, String), Value>,
    columns: Value,
    /// A write that is not imitated came before: Tables of this case cannot be judged.
    spoiled: bool,
}

impl Objects {
    pub(crate) fn new(release: Release) -> Self {
        Objects { release, objects: BTreeMap::new(), columns: Value::Null, spoiled: false }
    }

    /// Takes a write; what defaulting and storing add is imitated as far as cells show it.
    pub(crate) fn write(&mut self, step: &Value) {
        let path = step["path"].as_str().unwrap_or("").to_owned();
        let status = step["expect"]["status"].as_u64().unwrap_or(0);
        match step["method"].as_str() {
            _ if status >= 300 => {}
            Some("POST") if path.ends_with("/customresourcedefinitions") => {
                self.columns = step["body"]["spec"]["versions"][0]["additionalPrinterColumns"].clone();
            }
            Some("POST") if step["body"].is_object() => self.create(path, step["body"].clone()),
            Some("PATCH") if step["contentType"] == "application/merge-patch+json" => {
                let path = path.trim_end_matches("/status");
                let (collection, name) = path.rsplit_once('/').unwrap_or(("", path));
                match self.objects.get_mut(&(collection.to_owned(), name.to_owned())) {
                    Some(object) => apply_merge_patch(object, &step["body"]),
                    None => self.spoiled = true,
                }
            }
            Some("GET") | None => {}
            Some(_) => self.spoiled = true,
        }
    }

    fn create(&mut self, collection: String, mut object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap_or("").to_owned();
        // Only nodes are created with a status.
        if let Some(map) = object.as_object_mut().filter(|_| !collection.ends_with("/nodes")) {
            map.remove("status");
        }
        object["metadata"]["creationTimestamp"] = "2024-01-01T00:00:00Z".into();
        for field in ["managedFields", "uid", "resourceVersion"] {
            object["metadata"][field] = "$".into();
        }
        if let Some(kind) = route(&collection) {
            apply_defaults(&kind.group, &kind.version, &kind.kind, &mut object);
            store_as_upstream(&kind.kind, &mut object);
        }
        self.objects.insert((collection, name), object);
    }

    /// The Table or partial metadata that a step asks for; `None` when it cannot be told here.
    pub(crate) fn show(&self, step: &Value) -> Option<Value> {
        let query = step["query"].as_str().map_or_else(|| step["query"].clone(), one_query);
        let wanted = step["expect"]["body"].is_object() || step["extract"].is_array();
        let simple = query.get("watch").is_none() && query.get("limit").is_none();
        if self.spoiled || !wanted || !simple || step["method"] != "GET" || step["expect"]["status"] != 200 {
            return None;
        }
        let path = step["path"].as_str()?;
        let (kind, name) = match (route(path), path.rsplit_once('/')?) {
            (Some(kind), _) => (Some(kind), None),
            (None, (collection, name)) => match route(collection) {
                Some(kind) => (Some(kind), Some(name)),
                None if path.ends_with("/widgets") => (None, None),
                None => (None, Some(name)),
            },
        };
        let collection = if name.is_some() { path.rsplit_once('/')?.0 } else { path };
        let mut chosen: Vec<&Value> =
            self.objects.iter().filter(|((c, _), _)| c == collection).map(|(_, object)| object).collect();
        if let Some(name) = name {
            chosen = vec![self.objects.get(&(collection.to_owned(), name.to_owned()))?];
        }
        let accept = step["accept"].as_str()?;
        let version =
            if accept.starts_with("application/json;as=Table;v=v1beta1") { "v1beta1" } else { "v1" };
        let list_metadata = json!({ "resourceVersion": "1" });
        if accept.contains("as=PartialObjectMetadataList") {
            return Some(partial_list(chosen, &list_metadata, version));
        }
        if accept.contains("as=PartialObjectMetadata") {
            return Some(partial_object(chosen.first()?, version));
        }
        let format = match kind {
            Some(kind) => TableFormat::built_in(&kind.group, &kind.version, &kind.kind, self.release),
            None => TableFormat::custom(&self.columns),
        };
        let options = TableOptions {
            include: IncludeObject::parse(query["includeObject"].as_str().unwrap_or("")).ok()?,
            version,
            now: Moment::parse_time("2024-01-01T00:00:05Z").expect("a time"),
            header: Header::Full,
        };
        Some(match name {
            Some(_) => format.single(chosen.first()?, &options),
            None => format.list(chosen, &list_metadata, &options),
        })
    }
}

/// What creating adds beside defaults, where a cell shows it.
fn store_as_upstream(kind: &str, object: &mut Value) {
    match kind {
        "Pod" => {
            object["status"]["phase"] = "Pending".into();
            if object["spec"]["schedulingGates"].is_array() {
                object["status"]["conditions"] =
                    json!([{"type": "PodScheduled", "reason": "SchedulingGated"}]);
            }
        }
        "PersistentVolumeClaim" | "PersistentVolume" => object["status"] = json!({"phase": "Pending"}),
        "Service" => object["spec"]["clusterIPs"] = json!(["10.0.0.1"]),
        "Secret" => {
            let plain = object["stringData"].as_object().cloned().unwrap_or_default();
            for (name, value) in plain {
                object["data"][name] = value;
            }
        }
        "Job" if object["spec"]["selector"].is_null() => {
            object["spec"]["selector"] = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "$"}});
        }
        _ => {}
    }
}

fn one_query(text: &str) -> Value {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    Value::Object(pairs.map(|(k, v)| (k.to_owned(), v.into())).collect())
}

/// The built-in kind whose collection a path is.
fn route(path: &str) -> Option<&'static kinds::Kind> {
    let mut parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let group = match parts.remove(0) {
        "api" => "",
        "apis" if !parts.is_empty() => parts.remove(0),
        _ => return None,
    };
    if parts.get(1) == Some(&"namespaces") && parts.len() > 3 {
        parts.drain(1..3);
    }
    match parts[..] {
        [version, plural] => kinds::by_resource(group, version, plural),
        _ => None,
    }
}
