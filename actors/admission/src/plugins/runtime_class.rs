//! [`RuntimeClass`]: a pod with a runtime class carries the class's overhead and runs where the class does.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use super::tolerations;
use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};
use crate::resources::amounts;

const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

/// The plugin.
pub(crate) struct RuntimeClass;

impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation == Operation::Create
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        if !request.is_whole("", "pods") {
            return Ok(());
        }
        let Some(class) = class(request, world)? else { return Ok(()) };
        set_overhead(request, &class)?;
        schedule(request, class.at("scheduling"))
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        if !request.is_whole("", "pods") {
            return Ok(());
        }
        let class = class(request, world)?;
        let given = amounts(request.new_object().at("spec").at("overhead"));
        match class.filter(|class| class.has("overhead")) {
            Some(class) if given != amounts(class.at("overhead").at("podFixed")) => {
                Err(forbidden(request, MISMATCH))
            }
            None if !given.is_empty() => {
                let why =
                    "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
                Err(forbidden(request, why))
            }
            _ => Ok(()),
        }
    }
}

/// The pod's class, if it names one.
fn class(request: &Request<'_>, world: &World<'_>) -> Result<Option<Arc<Value>>, Failure> {
    let spec = request.new_object().at("spec");
    if !spec.has("runtimeClassName") {
        return Ok(None);
    }
    let name = spec.text("runtimeClassName");
    let class = world.objects.get("node.k8s.io", "runtimeclasses", "", name);
    let missing = || forbidden(request, format!("pod rejected: RuntimeClass {name:?} not found"));
    class.ok_or_else(missing).map(Some)
}

fn set_overhead(request: &mut Request<'_>, class: &Value) -> Result<(), Failure> {
    if !class.has("overhead") {
        return Ok(());
    }
    let fixed = class.at("overhead").at("podFixed");
    let given = amounts(request.new_object().at("spec").at("overhead"));
    if !given.is_empty() && given != amounts(fixed) {
        return Err(forbidden(request, MISMATCH));
    }
    let spec = request.object.as_mut().and_then(|pod| pod.object("spec"));
    if let Some(spec) = spec.filter(|_| !fixed.is_null()) {
        spec.put("overhead", fixed.clone());
    }
    Ok(())
}

/// Selector and tolerations of the class, merged into the pod's.
fn schedule(request: &mut Request<'_>, scheduling: &Value) -> Result<(), Failure> {
    let own = request.new_object().at("spec");
    let mut selector = own.map("nodeSelector").cloned().unwrap_or_default();
    for (key, value) in scheduling.map("nodeSelector").into_iter().flatten() {
        if let Some(other) = selector.get(key).filter(|other| *other != value) {
            let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
            let why = format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {}; pod.spec.nodeSelector[{key}] = {}",
                text(value),
                text(other)
            );
            return Err(forbidden(request, why));
        }
        selector.insert(key.clone(), value.clone());
    }
    let further = scheduling.list("tolerations");
    let merged = (!further.is_empty()).then(|| tolerations::merge(own.list("tolerations"), further));
    if let Some(spec) = request.object.as_mut().and_then(|pod| pod.object("spec")) {
        if !selector.is_empty() {
            spec.put("nodeSelector", Value::Object(selector));
        }
        if let Some(merged) = merged {
            spec.put("tolerations", merged);
        }
    }
    Ok(())
}
