//! [`Priority`]: a pod's priority and preemption policy come from its PriorityClass, and one class is the default.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use crate::plugin::{Plugin, World};
use crate::refuse::forbidden;
use crate::request::{Operation, Request, Verdict};

const GROUP: &str = "scheduling.k8s.io";
const RESOURCE: &str = "priorityclasses";
/// Where no class says otherwise.
const PREEMPT: &str = "PreemptLowerPriority";

/// The plugin.
pub(crate) struct Priority;

impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, operation: Operation) -> bool {
        operation != Operation::Connect
    }

    fn admit(&self, request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
        if !request.is_whole("", "pods") {
            return Ok(());
        }
        match request.operation {
            Operation::Create => create(request, world),
            Operation::Update => {
                keep(request);
                Ok(())
            }
            Operation::Delete | Operation::Connect => Ok(()),
        }
    }

    fn validate(&self, request: &Request<'_>, world: &World<'_>, _: &mut Verdict) -> Result<(), Failure> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        let class = request.new_object();
        if !writes || !request.is_whole(GROUP, RESOURCE) || !class.is_true("globalDefault") {
            return Ok(());
        }
        let Some(other) = default_class(world) else { return Ok(()) };
        let other = other.at("metadata").text("name");
        if request.operation == Operation::Create || other != class.at("metadata").text("name") {
            let why =
                format!("PriorityClass {other} is already marked as default. Only one default can exist");
            return Err(forbidden(request, why));
        }
        Ok(())
    }
}

/// What the class of a new pod gives it, against what the pod asks for itself.
fn create(request: &mut Request<'_>, world: &World<'_>) -> Result<(), Failure> {
    let spec = request.new_object().at("spec");
    let wanted = spec.text("priorityClassName").to_owned();
    let class = if wanted.is_empty() {
        default_class(world)
    } else {
        let class = world.objects.get(GROUP, RESOURCE, "", &wanted);
        let missing = || forbidden(request, format!("no PriorityClass with name {wanted} was found"));
        Some(class.ok_or_else(missing)?)
    };
    let priority = class.as_ref().and_then(|class| class.int("value")).unwrap_or(0);
    let policy = class.as_ref().map_or(PREEMPT, |class| class.text("preemptionPolicy"));
    if let Some(given) = spec.int("priority").filter(|&given| given != priority) {
        return Err(forbidden(
            request,
            format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission \
                 controller computed {priority} from the given PriorityClass name"
            ),
        ));
    }
    let given = spec.text("preemptionPolicy");
    if !policy.is_empty() && !given.is_empty() && given != policy {
        return Err(forbidden(
            request,
            format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority \
                 admission controller computed {policy} from the given PriorityClass name"
            ),
        ));
    }
    if let Some(spec) = request.object.as_mut().and_then(|pod| pod.object("spec")) {
        if let Some(class) = class.as_ref().filter(|_| wanted.is_empty()) {
            spec.put("priorityClassName", class.at("metadata").text("name"));
        }
        spec.put("priority", priority);
        if !policy.is_empty() {
            spec.put("preemptionPolicy", policy);
        }
    }
    Ok(())
}

/// Updates that leave out what was computed on create keep it.
fn keep(request: &mut Request<'_>) {
    let old = request.old_object().at("spec").clone();
    let Some(spec) = request.object.as_mut().and_then(|pod| pod.object("spec")) else { return };
    for name in ["priority", "preemptionPolicy"] {
        if old.has(name) {
            spec.default(name, old.at(name).clone());
        }
    }
}

/// The global default; with several (made while the plugin was off), the one of least value.
fn default_class(world: &World<'_>) -> Option<Arc<Value>> {
    let classes = world.objects.list(GROUP, RESOURCE, None);
    let defaults = classes.into_iter().filter(|class| class.is_true("globalDefault"));
    defaults.min_by_key(|class| class.int("value").unwrap_or(0))
}
