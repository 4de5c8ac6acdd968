//! Ownership of the replicas of an object that is also written through its `scale` subresource: the two objects have
//! different fields for one thing, so owners are carried over by hand (upstream's `ScaleHandler`).

use serde_json::Value;

use super::managed::{Managed, Owned};
use super::set::Set;

/// Where a Scale keeps its replicas.
const SCALE_PATH: [&str; 2] = ["spec", "replicas"];
const SCALE_VERSION: &str = "autoscaling/v1";

/// Where each version of the parent keeps its replicas; a version without a scale has no path.
pub type ReplicaPaths = [(String, Option<Vec<String>>)];

fn set_of(path: &[String]) -> Set {
    let mut set = Set::new();
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    set.insert_fields(&names);
    set
}

fn scale_set() -> Set {
    let mut set = Set::new();
    set.insert_fields(&SCALE_PATH);
    set
}

fn path_of<'a>(paths: &'a ReplicaPaths, api_version: &str) -> Option<Option<&'a [String]>> {
    paths.iter().find(|(version, _)| version == api_version).map(|(_, path)| path.as_deref())
}

/// The `managedFields` of a Scale: those who own the parent's replicas.
pub fn scale_managers(parent: &Value, paths: &ReplicaPaths) -> Value {
    let mut out = Managed::default();
    for (id, owned) in Managed::from_value(parent).unwrap_or_default().iter() {
        let Some(Some(path)) = path_of(paths, &owned.api_version) else { continue };
        if !owned.set.intersection(&set_of(path)).is_empty() {
            let owned = Owned { set: scale_set(), api_version: SCALE_VERSION.to_owned(), ..owned.clone() };
            out.0.insert(id.clone(), owned);
        }
    }
    out.to_value()
}

/// The parent's `managedFields` after a write through `scale` at the parent's version `api_version`.
pub fn parent_managers(parent: &Value, scale: &Value, api_version: &str, paths: &ReplicaPaths) -> Value {
    let mut out = Managed::default();
    let scale = Managed::from_value(scale).unwrap_or_default();
    let same = |a: &super::ManagerId, b: &super::ManagerId| {
        (a.operation, &a.name, &a.subresource) == (b.operation, &b.name, &b.subresource)
    };
    for (id, owned) in Managed::from_value(parent).unwrap_or_default().iter() {
        let Some(path) = path_of(paths, &owned.api_version) else { continue };
        let replicas = path.map(set_of).unwrap_or_default();
        let owns = !owned.set.intersection(&replicas).is_empty();
        let mut owned = owned.clone();
        if owns && !scale.iter().any(|(other, _)| same(other, id)) {
            owned.set = owned.set.difference(&replicas);
            if owned.set.is_empty() {
                continue;
            }
        }
        out.0.insert(id.clone(), owned);
    }
    let Some(Some(path)) = path_of(paths, api_version) else { return out.to_value() };
    for (id, owned) in scale.iter() {
        let owns = !owned.set.intersection(&scale_set()).is_empty();
        if owns && !out.0.keys().any(|other| same(other, id)) {
            let mut id = id.clone();
            if !id.api_version.is_empty() {
                id.api_version = api_version.to_owned();
            }
            // Upstream loses the time on this way.
            out.0.insert(id, Owned { set: set_of(path), api_version: api_version.to_owned(), time: None });
        }
    }
    out.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn owners_of_replicas_are_carried_over_and_back() {
        let paths = [("apps/v1".to_owned(), Some(vec!["spec".to_owned(), "replicas".to_owned()]))];
        let parent = json!([{"apiVersion":"apps/v1","fieldsType":"FieldsV1","manager":"m","operation":"Update",
            "time":"2026-01-01T00:00:00Z","fieldsV1":{"f:spec":{"f:replicas":{},"f:paused":{}}}}]);
        let scale = scale_managers(&parent, &paths);
        assert_eq!(scale[0]["fieldsV1"], json!({"f:spec":{"f:replicas":{}}}));
        assert_eq!(scale[0]["apiVersion"], "autoscaling/v1");
        assert_eq!(parent_managers(&parent, &scale, "apps/v1", &paths), parent);
        let taken = json!([{"apiVersion":"autoscaling/v1","fieldsType":"FieldsV1","manager":"sc","operation":"Update",
            "subresource":"scale","time":"2026-01-02T00:00:00Z","fieldsV1":{"f:spec":{"f:replicas":{}}}}]);
        let after = parent_managers(&parent, &taken, "apps/v1", &paths);
        let of = |name: &str| {
            after.as_array().unwrap().iter().find(|e| e["manager"] == name).cloned().unwrap_or_default()
        };
        assert_eq!(of("m")["fieldsV1"], json!({"f:spec":{"f:paused":{}}}));
        assert_eq!(of("sc")["fieldsV1"], json!({"f:spec":{"f:replicas":{}}}));
        assert_eq!((&of("sc")["apiVersion"], &of("sc")["subresource"]), (&json!("apps/v1"), &json!("scale")));
    }
}
