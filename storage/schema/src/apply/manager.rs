//! Recording who changed what ([`update_managers`]) and applying configurations ([`apply`]).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thiserror::Error;

use super::compare::{Comparison, compare};
use super::extract::{check_declared, field_set, is_trackable};
use super::managed::{Managed, ManagerId, Operation, Owned};
use super::merge::merge;
use super::remove::remove_items;
use super::set::Set;
use crate::status::{Cause, Failure, Status};
use crate::types::TypeRef;
use crate::view::{Edit, View};

/// Who writes, through what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// Field manager: the parameter, or the first part of the user agent.
    pub manager: &'a str,
    /// Group and version of the request, as `apps/v1`.
    pub api_version: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Now, as `metav1.Time`.
    pub time: &'a str,
    /// Fields that writes through this endpoint cannot change (`status`, or everything but it).
    pub reset: &'a Set,
}

impl Writer<'_> {
    fn id(&self, operation: Operation) -> ManagerId {
        ManagerId {
            operation,
            name: self.manager.to_owned(),
            api_version: if operation == Operation::Apply {
                String::new()
            } else {
                self.api_version.to_owned()
            },
            subresource: self.subresource.to_owned(),
        }
    }
}

/// Why an apply request fails. Conflicts may be retried with force; the others not with the same body.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ApplyError {
    /// The configuration is malformed (400).
    #[error("{0}")]
    Malformed(String),
    /// The configuration does not fit the type; upstream answers 500.
    #[error("{0}")]
    Untyped(String),
    /// Other managers own fields with other values (409): manager as printed, and path.
    #[error("{} fields are owned by others", .0.len())]
    Conflicts(Vec<(String, String)>),
}

impl ApplyError {
    /// The answer upstream gives.
    pub fn to_status(&self) -> Failure {
        match self {
            ApplyError::Malformed(message) => Status::bad_request(message.clone()),
            ApplyError::Untyped(message) => Status::plain(500, message.clone()),
            ApplyError::Conflicts(conflicts) => {
                let cause = |(manager, path): &(String, String)| Cause {
                    reason: "FieldManagerConflict".to_owned(),
                    message: format!("conflict with {manager}"),
                    field: path.clone(),
                };
                Status::apply_conflict(conflicts.iter().map(cause).collect(), conflict_message(conflicts))
            }
        }
    }
}

fn conflict_message(conflicts: &[(String, String)]) -> String {
    if let [(manager, path)] = conflicts {
        return format!("Apply failed with 1 conflict: conflict with {manager}: {path}");
    }
    let mut by_manager: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (manager, path) in conflicts {
        by_manager.entry(manager).or_default().push(path);
    }
    let mut lines = Vec::new();
    for (manager, paths) in by_manager {
        lines.push(format!("conflicts with {manager}:"));
        lines.extend(paths.into_iter().map(|p| format!("- {p}")));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

/// Paths that nobody owns: identity and what the server sets.
fn stripped() -> Set {
    let mut set = Set::new();
    for names in [&["apiVersion"][..], &["kind"], &["metadata"]] {
        set.insert_fields(names);
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        set.insert_fields(&["metadata", name]);
    }
    set
}

fn managed_of(object: &Value) -> Option<Managed> {
    Managed::from_value(object.at("metadata").at("managedFields")).ok()
}

fn set_managed(object: &mut Value, managed: &Managed) {
    if let Some(metadata) = object.object("metadata") {
        if managed.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.put("managedFields", managed.to_value());
        }
    }
}

fn without_managed(object: &Value) -> Value {
    let mut out = object.clone();
    if let Some(metadata) = out.get_some("metadata") {
        metadata.remove("managedFields");
    }
    out
}

/// Records in `new` which fields a create, update or patch changed. `live` is the object before the write; for a
/// create it is the kind's empty object (see [`crate::types`]), without a UID.
///
/// Never fails: managed fields that cannot be read are dropped, as upstream does.
pub fn update_managers(live: &Value, new: &mut Value, of: TypeRef<'_>, writer: &Writer<'_>) {
    let sent = new.at("metadata").at("managedFields").clone();
    let reset_asked =
        sent.as_array().is_some_and(|a| a.len() == 1 && a[0].as_object().is_some_and(|m| m.is_empty()));
    let live_managed = || managed_of(live).unwrap_or_default();
    let mut managed = if !writer.subresource.is_empty() {
        live_managed()
    } else if reset_asked {
        Managed::default()
    } else {
        match Managed::from_value(&sent) {
            Ok(managed) if !managed.is_empty() => managed,
            _ => live_managed(),
        }
    };
    if managed.is_empty() && !live.at("metadata").text("uid").is_empty() {
        set_managed(new, &managed);
        return;
    }
    if let Some(metadata) = new.get_some("metadata") {
        metadata.remove("managedFields");
    }
    if !is_trackable(new, of) {
        return;
    }
    let bare_live = without_managed(live);
    let changes = compare(&bare_live, new, of);
    track(&mut managed, &changes, writer);
    set_managed(new, &managed);
}

fn track(managed: &mut Managed, changes: &Comparison, writer: &Writer<'_>) {
    let touched = changes.modified.union(&changes.added).recursive_difference(writer.reset);
    let removed = changes.removed.recursive_difference(writer.reset);
    take_from_others(managed, None, &touched, &removed);
    let gained = touched.difference(&stripped());
    if !gained.is_empty() {
        let id = writer.id(Operation::Update);
        let set = match managed.0.get(&id) {
            Some(owned) => owned.set.union(&gained),
            None => gained,
        };
        let owned =
            Owned { set, api_version: writer.api_version.to_owned(), time: Some(writer.time.to_owned()) };
        managed.0.insert(id, owned);
    }
    managed.cap_updaters();
}

/// Takes changed and removed paths from every manager but `keep`.
fn take_from_others(managed: &mut Managed, keep: Option<&ManagerId>, touched: &Set, removed: &Set) {
    for (id, owned) in &mut managed.0 {
        if Some(id) == keep {
            continue;
        }
        let lost = owned.set.intersection(touched);
        if !lost.is_empty() {
            owned.set = owned.set.difference(&lost);
        }
        if !removed.is_empty() {
            owned.set = owned.set.recursive_difference(removed);
        }
    }
    managed.0.retain(|_, owned| !owned.set.is_empty());
}

/// The outcome of an apply: the object to go on with, its managed fields up to date.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The merged object, not yet decoded against the type nor defaulted.
    pub object: Value,
    /// Nothing changed but ownership.
    pub unchanged: bool,
}

/// Applies a configuration to the live object (`None` when it is to be created; then the kind's empty object serves
/// as live, as `empty`).
///
/// # Errors
/// [`ApplyError`].
pub fn apply(
    live: Option<&Value>,
    empty: &Value,
    config: &Value,
    of: TypeRef<'_>,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Applied, ApplyError> {
    if config.at("metadata").as_object().is_some_and(|m| m.get("managedFields").is_some_and(|v| !v.is_null()))
    {
        return Err(ApplyError::Malformed("metadata.managedFields must be nil".to_owned()));
    }
    check_declared(config, of).map_err(|complaint| {
        ApplyError::Untyped(format!(
            "failed to create typed patch object ({}): {complaint}",
            describe(config)
        ))
    })?;
    let live_full = live.unwrap_or(empty);
    let mut managed = managed_of(live_full).unwrap_or_default();
    let bare_live = without_managed(live_full);
    if managed.is_empty() {
        adopt_unmanaged(&mut managed, empty, &bare_live, of, writer);
    }
    let id = writer.id(Operation::Apply);
    let last = managed.0.get(&id).cloned();
    let set = field_set(config, of).recursive_difference(writer.reset);
    let api_version = writer.api_version.to_owned();
    let time = last.as_ref().and_then(|l| l.time.clone());
    managed.0.insert(id.clone(), Owned { set, api_version, time });
    let mut object = merge(&bare_live, config, of);
    if let Some(last) = &last {
        object = prune(&object, &managed, &last.set, of);
    }
    let changes = compare(&bare_live, &object, of);
    resolve(&mut managed, &id, &changes, force)?;
    if let Some(owned) = managed.0.get_mut(&id) {
        owned.set = owned.set.difference(&stripped());
        if !changes.is_same() {
            owned.time = Some(writer.time.to_owned());
        }
    }
    managed.0.retain(|_, owned| !owned.set.is_empty());
    let unchanged = changes.is_same();
    if unchanged {
        object = bare_live;
    }
    if writer.manager == "kubectl" {
        sync_last_applied(&mut object, config);
    }
    set_managed(&mut object, &managed);
    Ok(Applied { object, unchanged })
}

/// Client-side appliers keep their configuration in an annotation; an apply by kubectl keeps it up to date, so that
/// one may go back and forth.
fn sync_last_applied(object: &mut Value, config: &Value) {
    const NAME: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let Some(annotations) = object.get_some("metadata").and_then(|m| m.get_some("annotations")) else {
        return;
    };
    if !annotations.has(NAME) {
        return;
    }
    let mut config = config.clone();
    if let Some(metadata) = config.get_some("metadata") {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_some("annotations") {
            annotations.remove(NAME);
        }
    }
    annotations.put(NAME, format!("{config}\n"));
}

/// Fields of an object that nobody tracked so far belong to `before-first-apply`.
fn adopt_unmanaged(managed: &mut Managed, empty: &Value, live: &Value, of: TypeRef<'_>, writer: &Writer<'_>) {
    if live == empty {
        return;
    }
    let before = Writer { manager: "before-first-apply", ..*writer };
    track(managed, &compare(empty, live, of), &before);
}

fn resolve(
    managed: &mut Managed,
    id: &ManagerId,
    changes: &Comparison,
    force: bool,
) -> Result<(), ApplyError> {
    let touched = changes.modified.union(&changes.added);
    if !force {
        let mut conflicts = Vec::new();
        for (other, owned) in &managed.0 {
            if other != id {
                let lost = owned.set.intersection(&touched);
                conflicts.extend(lost.paths().into_iter().map(|path| (describe_manager(other, owned), path)));
            }
        }
        if !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
    }
    take_from_others(managed, Some(id), &touched, &changes.removed);
    Ok(())
}

fn describe_manager(id: &ManagerId, owned: &Owned) -> String {
    let mut out = crate::field::quote(&id.name);
    if !id.subresource.is_empty() {
        out.push_str(&format!(" with subresource {}", crate::field::quote(&id.subresource)));
    }
    if id.operation == Operation::Update {
        out.push_str(&format!(" using {}", owned.api_version));
    }
    out
}

/// `namespace/name; group/version, Kind=K`
fn describe(config: &Value) -> String {
    let api_version = config.text("apiVersion");
    let version = if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") };
    let metadata = config.at("metadata");
    format!(
        "{}/{}; {version}, Kind={}",
        metadata.text("namespace"),
        metadata.text("name"),
        config.text("kind")
    )
}

/// Removes what this manager applied last time and does not any more, unless someone else owns it.
fn prune(merged: &Value, managed: &Managed, last: &Set, of: TypeRef<'_>) -> Value {
    if last.is_empty() {
        return merged.clone();
    }
    let named = |set: &Set| set.with_named_fields(Some(of));
    let pruned = remove_items(merged, &named(last), of);
    // Add back what anyone (this manager's new set included) still owns.
    let owned = managed.0.values().fold(Set::new(), |all, m| all.union(&m.set));
    let merged_set = named(&field_set(merged, of));
    let keep = named(&field_set(&pruned, of)).union(&named(&owned));
    let pruned = remove_items(merged, &merged_set.difference(&keep), of);
    // Add back what only went because its parent did.
    let gone = merged_set.difference(&named(&field_set(&pruned, of)));
    let out = remove_items(merged, &gone.intersection(&named(last)), of);
    if out.is_null() { json!({}) } else { out }
}

#[cfg(test)]
#[path = "manager_test.rs"]
mod tests;
