//! Updating objects.

use serde_json::Value;

use super::create::{dedupe_owners, error_group, own, place};
use super::service;
use super::strategy::{Generation, strategy};
use super::target::{Context, Target};
use crate::defaults::TEMPLATE_GENERATION;
use crate::field::{ErrorList, Path};
use crate::status::{Failure, Status};
use crate::types::settle;
use crate::view::{Edit, View, same};

/// Checks name and namespace against the path and records field ownership. Before admission.
///
/// # Errors
/// 400 when name or namespace differ from the path.
pub fn begin_update(
    old: &Value,
    new: &mut Value,
    target: &Target<'_>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    check_name(new, context)?;
    place(new, target, context)?;
    own(old, new, target, context);
    Ok(())
}

/// Checks the object's name against the path.
///
/// # Errors
/// 400 when it is missing or another one.
pub fn check_name(new: &Value, context: &Context<'_>) -> Result<(), Failure> {
    let name = new.at("metadata").text("name");
    if name.is_empty() {
        let url = context.name;
        return Err(Status::bad_request(format!(
            "the name of the object ({url} based on URL) was undeterminable: name must be provided"
        )));
    }
    if name != context.name {
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            context.name
        )));
    }
    Ok(())
}

/// Checks the UID of an object sent with PUT, which names the object that may be replaced.
///
/// # Errors
/// 409 when the stored object is another one.
pub fn check_uid(
    old: &Value,
    new: &Value,
    target: &Target<'_>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let (sent, stored) = (new.at("metadata").text("uid"), old.at("metadata").text("uid"));
    if sent.is_empty() || sent == stored {
        return Ok(());
    }
    Err(precondition(sent, stored, target, context))
}

fn precondition(sent: &str, stored: &str, target: &Target<'_>, context: &Context<'_>) -> Failure {
    let path = format!("/registry/{}/{}/{}", target.resource, context.namespace, context.name);
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {sent}, UID in object meta: {stored}"
    );
    Status::conflict(target.group, target.resource, context.name, &why)
}

/// Checks the version that an update carries against the stored object.
///
/// # Errors
/// 409 when the object is another one or has changed, 422 when the kind demands a version and none came.
pub fn check_version(old: &Value, new: &Value, target: &Target<'_>) -> Result<(), Failure> {
    let (before, after) = (old.at("metadata"), new.at("metadata"));
    let name = before.text("name");
    let sent = after.text("resourceVersion");
    let unconditional = !target.custom && strategy(target.group, target.kind).unconditional_update;
    if matches!(sent, "" | "0") {
        if unconditional {
            return Ok(());
        }
        let mut errors = ErrorList::new();
        let path = Path::new("metadata");
        errors.invalid_text(&path.child("resourceVersion"), "0x0", "must be specified for an update");
        return Err(Status::invalid(target.group, target.resource, name, &errors));
    }
    if sent != before.text("resourceVersion") {
        return Err(Status::modified(target.group, target.resource, name));
    }
    Ok(())
}

fn keep(metadata: &mut Value, old: &Value, name: &str) {
    match old.at(name) {
        Value::Null => {
            metadata.remove(name);
        }
        value => metadata.put(name, value.clone()),
    }
}

/// Restores what an update cannot change, raises the generation, and validates. After mutating admission.
///
/// The caller compares resourceVersions (see [`crate::resource_version::permits`]).
///
/// # Errors
/// 409 when the UIDs differ, 422 with every finding.
pub fn finish_update(
    old: &Value,
    new: &mut Value,
    target: &Target<'_>,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let rules = strategy(target.group, target.kind);
    let old_meta = old.at("metadata");
    if let Some(metadata) = new.object("metadata") {
        keep(metadata, old_meta, "generation");
        if metadata.text("uid").is_empty() {
            keep(metadata, old_meta, "uid");
        }
        keep(metadata, old_meta, "creationTimestamp");
        if metadata.text("resourceVersion").is_empty() {
            keep(metadata, old_meta, "resourceVersion");
        }
        if old_meta.has("deletionTimestamp") {
            keep(metadata, old_meta, "deletionTimestamp");
        }
        if old_meta.has("deletionGracePeriodSeconds") && !metadata.has("deletionGracePeriodSeconds") {
            keep(metadata, old_meta, "deletionGracePeriodSeconds");
        }
        metadata.remove("selfLink");
    }
    prepare(old, new, target, context);
    raise_generation(old, new, &rules.generation, target, context);
    if (target.group, target.kind) == ("discovery.k8s.io", "EndpointSlice") {
        for endpoint in new.items("endpoints") {
            endpoint.remove("deprecatedTopology");
        }
    }
    keep_times(old, new);
    if let Some(custom) = target.schema {
        let errors = match context.subresource {
            "status" => custom.validate_status_update(old, new),
            _ => custom.validate_update(old, new),
        };
        return finding(&errors, new, target);
    }
    let errors = match context.subresource {
        "" => crate::validate::validate_update(target.group, target.version, target.kind, old, new),
        "status" => crate::validate::validate_status_update(target.group, target.kind, old, new),
        name => crate::validate::validate_subresource_update(target.group, target.kind, name, old, new),
    };
    finding(&errors, new, target)?;
    settle(new, target.of);
    keep_times(old, new);
    Ok(())
}

fn finding(errors: &ErrorList, new: &Value, target: &Target<'_>) -> Result<(), Failure> {
    if errors.is_empty() {
        return Ok(());
    }
    // A custom object may say that it is of another kind, which is then one of the findings.
    let kind = if target.custom { new.text("kind") } else { target.kind };
    Err(Status::invalid(error_group(target), kind, new.at("metadata").text("name"), errors))
}

/// What the subresource cannot change is taken from the old object.
fn prepare(old: &Value, new: &mut Value, target: &Target<'_>, context: &Context<'_>) {
    let keep_field = |new: &mut Value, name: &str| match old.at(name) {
        Value::Null => {
            new.remove(name);
        }
        value => new.put(name, value.clone()),
    };
    match context.subresource {
        "" => {
            if target.has_status() {
                keep_field(new, "status");
            }
            dedupe_owners(new);
            match (target.group, target.kind) {
                ("", "Service") => service::keep_allocated(old, new),
                ("apps", "DaemonSet") => count_template(old, new),
                ("", "Namespace") => keep_field(new, "spec"),
                ("", "Secret") if new.text("type").is_empty() => keep_field(new, "type"),
                ("certificates.k8s.io", "CertificateSigningRequest") => keep_field(new, "spec"),
                ("apiextensions.k8s.io", "CustomResourceDefinition") => {
                    crate::custom::status::note_stored_version(new);
                }
                _ => {}
            }
        }
        "status" => {
            if target.custom {
                let managed = new.at("metadata").at("managedFields").clone();
                let status = new.remove("status");
                *new = old.clone();
                match status {
                    Some(status) => new.put("status", status),
                    None => {
                        new.remove("status");
                    }
                }
                if let Some(metadata) = new.object("metadata") {
                    metadata.put("managedFields", managed);
                }
                return;
            }
            keep_field(new, "spec");
            if (target.group, target.kind) == ("storage.k8s.io", "VolumeAttachment") {
                let managed = new.at("metadata").at("managedFields").clone();
                keep_field(new, "metadata");
                if let Some(metadata) = new.object("metadata") {
                    metadata.put("managedFields", managed);
                }
                return;
            }
            if let Some(metadata) = new.object("metadata") {
                match (target.group, target.kind) {
                    ("", "Pod") => {
                        keep(metadata, old.at("metadata"), "ownerReferences");
                        keep(metadata, old.at("metadata"), "deletionTimestamp");
                    }
                    ("apps", "Deployment") => keep(metadata, old.at("metadata"), "labels"),
                    _ => {}
                }
            }
        }
        name => super::subresource::prepare(old, new, target.group, target.kind, name),
    }
}

fn raise_generation(
    old: &Value,
    new: &mut Value,
    rule: &Generation,
    target: &Target<'_>,
    context: &Context<'_>,
) {
    if context.subresource == "status" {
        return;
    }
    let content = |new: &Value| {
        let except = |o: &Value| {
            let mut o = o.clone();
            o.remove("metadata");
            if !target.custom {
                o.remove("status");
            }
            o
        };
        !same(&except(old), &except(new))
    };
    let changed = match rule {
        _ if target.custom => content(new),
        Generation::None => false,
        Generation::Fields(names) | Generation::FieldsFromZero(names) => {
            let field =
                |object: &'_ Value, name: &str| name.split('.').fold(object.clone(), |v, n| v.at(n).clone());
            names.iter().any(|name| !same(&field(old, name), &field(new, name)))
        }
        Generation::ContentAndLabels => {
            content(new) || !same(old.at("metadata").at("labels"), new.at("metadata").at("labels"))
        }
    };
    if changed {
        let next = old.at("metadata").int("generation").unwrap_or(0) + 1;
        if let Some(metadata) = new.object("metadata") {
            metadata.put("generation", next);
        }
    }
}

/// A write that changes nothing keeps the times of field ownership, and so writes nothing.
fn keep_times(old: &Value, new: &mut Value) {
    let without_times = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object.object("metadata") {
            metadata.items("managedFields").for_each(|entry| {
                entry.remove("time");
            });
            metadata.remove("resourceVersion");
        }
        object
    };
    if old.at("metadata").at("managedFields") != new.at("metadata").at("managedFields")
        && without_times(old) == without_times(new)
    {
        let managed = old.at("metadata").at("managedFields").clone();
        if let Some(metadata) = new.object("metadata") {
            metadata.put("managedFields", managed);
        }
    }
}

/// Counts changes of a DaemonSet's template.
fn count_template(old: &Value, new: &mut Value) {
    let counted =
        old.below(&["metadata", "annotations"]).text(TEMPLATE_GENERATION).parse::<i64>().unwrap_or(0);
    let changed = !same(old.at("spec").at("template"), new.at("spec").at("template"));
    if let Some(annotations) = new.object("metadata").and_then(|m| m.object("annotations")) {
        annotations.put(TEMPLATE_GENERATION, (counted + i64::from(changed)).to_string());
    }
}

/// The answer to an update of an object that is not there.
pub fn missing(object: &Value, target: &Target<'_>, context: &Context<'_>) -> Failure {
    let uid = object.at("metadata").text("uid");
    if uid.is_empty() {
        return Status::not_found(target.group, target.resource, context.name);
    }
    precondition(uid, "", target, context)
}
