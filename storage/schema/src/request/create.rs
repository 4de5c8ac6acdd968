//! Creating objects.

use serde_json::{Value, json};

use super::strategy::{Generation, reset_fields, strategy};
use super::target::{Context, Target};
use crate::apply::{Writer, update_managers};
use crate::names::generated_name;
use crate::status::{Failure, Status};
use crate::types::settle;
use crate::view::{Edit, View};

/// Checks that the body's namespace is the request's, sets it, and records field ownership. Before admission.
///
/// # Errors
/// 400 when the namespaces differ.
pub fn begin_create(object: &mut Value, target: &Target<'_>, context: &Context<'_>) -> Result<(), Failure> {
    place(object, target, context)?;
    if let Some(metadata) = object.object("metadata") {
        metadata.put("creationTimestamp", Value::Null);
        for name in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            metadata.remove(name);
        }
    }
    if context.subresource.is_empty() {
        own(&target.empty(), object, target, context);
    }
    Ok(())
}

/// Puts the object into the request's namespace.
///
/// # Errors
/// 400 when the object names another namespace.
pub fn place(object: &mut Value, target: &Target<'_>, context: &Context<'_>) -> Result<(), Failure> {
    let Some(metadata) = object.object("metadata") else { return Ok(()) };
    let given = metadata.text("namespace");
    if target.namespaced {
        if !given.is_empty() && given != context.namespace {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        metadata.put("namespace", context.namespace);
    } else {
        metadata.remove("namespace");
    }
    Ok(())
}

/// Records which fields `new` changes against `live`.
pub(super) fn own(live: &Value, new: &mut Value, target: &Target<'_>, context: &Context<'_>) {
    let reset = reset_fields(target.group, target.kind, target.has_status(), context.subresource);
    let api_version = target.api_version();
    let writer = Writer {
        manager: context.manager,
        api_version: &api_version,
        subresource: context.subresource,
        time: context.time,
        reset: &reset,
    };
    update_managers(live, new, target.of, &writer);
}

/// Fills in system metadata and the first status, and validates. After mutating admission.
///
/// # Errors
/// 422 with every finding.
pub fn finish_create(object: &mut Value, target: &Target<'_>, context: &Context<'_>) -> Result<(), Failure> {
    let rules = strategy(target.group, target.kind);
    if !object.at("metadata").text("resourceVersion").is_empty() {
        return Err(Status::plain(500, "resourceVersion should not be set on objects to be created"));
    }
    if let Some(metadata) = object.object("metadata") {
        metadata.put("creationTimestamp", context.time);
        metadata.put("uid", context.uid);
        for name in
            ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "resourceVersion"]
        {
            metadata.remove(name);
        }
        if metadata.text("name").is_empty() && !metadata.text("generateName").is_empty() {
            let name = generated_name(metadata.text("generateName"), context.suffix);
            metadata.put("name", name);
        }
        match rules.generation {
            Generation::Fields(_) | Generation::ContentAndLabels => metadata.put("generation", 1),
            Generation::None | Generation::FieldsFromZero(_) if target.custom => {
                metadata.put("generation", 1)
            }
            Generation::None | Generation::FieldsFromZero(_) => {}
        }
    }
    if target.custom {
        return finish_custom(object, target);
    }
    prepare(object, target, context);
    let errors = crate::validate::validate_create(target.group, target.version, target.kind, object);
    if errors.is_empty() {
        settle(object, target.of);
        return Ok(());
    }
    let name = object.at("metadata").text("name");
    Err(Status::invalid(error_group(target), target.kind, name, &errors))
}

/// A custom object's own preparations and checks.
fn finish_custom(object: &mut Value, target: &Target<'_>) -> Result<(), Failure> {
    let Some(custom) = target.schema else { return Ok(()) };
    dedupe_owners(object);
    if custom.status {
        object.remove("status");
    }
    let errors = custom.validate_create(object);
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(target.group, object.text("kind"), object.at("metadata").text("name"), &errors))
}

/// The group that errors name: events are one kind in two groups.
pub(super) fn error_group<'a>(target: &Target<'a>) -> &'a str {
    if target.kind == "Event" { "" } else { target.group }
}

fn reset_status(object: &mut Value, target: &Target<'_>) {
    match target.empty().remove("status") {
        Some(status) => object.put("status", status),
        None => {
            object.remove("status");
        }
    }
}

/// The kind's own preparations: first status, generated labels.
fn prepare(object: &mut Value, target: &Target<'_>, context: &Context<'_>) {
    dedupe_owners(object);
    if strategy(target.group, target.kind).status && (target.group, target.kind) != ("", "Node") {
        reset_status(object, target);
    }
    match (target.group, target.kind) {
        ("", "Pod") => {
            let class = crate::defaults::qos_class(object);
            object.put("status", json!({"phase": "Pending", "qosClass": class}));
            if !object.at("spec").list("schedulingGates").is_empty() {
                let text = "Scheduling is blocked due to non-empty scheduling gates";
                let condition = json!({"type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                    "message": text, "lastProbeTime": null, "lastTransitionTime": null});
                if let Some(status) = object.object("status") {
                    status.put("conditions", json!([condition]));
                }
            }
        }
        ("", "Namespace") => {
            object.put("status", json!({"phase": "Active"}));
            let Some(spec) = object.object("spec") else { return };
            let mut finalizers = spec.list("finalizers").to_vec();
            if !finalizers.contains(&json!("kubernetes")) {
                finalizers.push("kubernetes".into());
            }
            spec.put("finalizers", finalizers);
            crate::defaults::apply_defaults("", "v1", "Namespace", object);
        }
        ("", "PersistentVolume") => object.put("status", json!({"phase": "Pending"})),
        ("", "PersistentVolumeClaim") => {
            object.put("status", json!({"phase": "Pending"}));
            data_sources(object);
        }
        ("", "Node") => {
            if let Some(spec) = object.object("spec") {
                spec.remove("configSource");
            }
        }
        ("apps", "DaemonSet") => {
            if let Some(annotations) = object.object("metadata").and_then(|m| m.object("annotations")) {
                annotations.put(crate::defaults::TEMPLATE_GENERATION, "1");
            }
        }
        ("batch", "Job") => {
            crate::defaults::generate_job_selector(object, context.uid);
        }
        ("discovery.k8s.io", "EndpointSlice") => {
            for endpoint in object.items("endpoints") {
                endpoint.remove("deprecatedTopology");
            }
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            if let Some(status) = object.object("status") {
                status.put("storedVersions", Value::Array(Vec::new()));
            }
            crate::custom::status::note_stored_version(object);
        }
        _ => {}
    }
}

/// The two ways to name a claim's data source agree, unless the newer one reaches into another namespace.
fn data_sources(object: &mut Value) {
    let Some(spec) = object.object("spec") else { return };
    let (old, new) = (spec.at("dataSource").clone(), spec.at("dataSourceRef").clone());
    if !old.is_null() && new.is_null() {
        spec.put("dataSourceRef", old);
    } else if old.is_null() && !new.is_null() && new.text("namespace").is_empty() {
        spec.put("dataSource", new);
    }
}

/// Owners that are listed twice count once.
pub(super) fn dedupe_owners(object: &mut Value) {
    let owners = object.at("metadata").list("ownerReferences");
    let mut kept: Vec<Value> = Vec::with_capacity(owners.len());
    for owner in owners {
        if !kept.contains(owner) {
            kept.push(owner.clone());
        }
    }
    if kept.len() != owners.len()
        && let Some(metadata) = object.object("metadata")
    {
        metadata.put("ownerReferences", kept);
    }
}
