//! Controllers of pods, their revisions, and disruption budgets.

use serde_json::Value;
use trireme_schema::view::View;

use super::super::duration::{human_duration, moment, since};
use super::text::{containers, holds, labels, selector, whole};
use super::{Scene, name};

pub(super) fn pod_template(object: &Value, _: &Scene) -> Vec<Value> {
    let template = object.at("template");
    let [names, images] = containers(template.at("spec"));
    vec![name(object), names, images, labels(template.at("metadata").map("labels")).into()]
}

/// ReplicationController and ReplicaSet; they differ in the form of the selector.
pub(super) fn replicas(object: &Value, scene: &Scene) -> Vec<Value> {
    let (spec, status) = (object.at("spec"), object.at("status"));
    let [names, images] = containers(spec.at("template").at("spec"));
    let old_form = object.text("kind") == "ReplicationController";
    let selector = if old_form { labels(spec.map("selector")) } else { selector(spec.at("selector")) };
    vec![
        name(object),
        whole(spec, "replicas").into(),
        whole(status, "replicas").into(),
        whole(status, "readyReplicas").into(),
        scene.age(object),
        names,
        images,
        selector.into(),
    ]
}

pub(super) fn deployment(object: &Value, scene: &Scene) -> Vec<Value> {
    let (spec, status) = (object.at("spec"), object.at("status"));
    let [names, images] = containers(spec.at("template").at("spec"));
    let selector = match selector(spec.at("selector")).as_str() {
        "<none>" => String::new(),
        "<error>" => "<invalid>".to_owned(),
        text => text.to_owned(),
    };
    vec![
        name(object),
        format!("{}/{}", whole(status, "readyReplicas"), whole(spec, "replicas")).into(),
        whole(status, "updatedReplicas").into(),
        whole(status, "availableReplicas").into(),
        scene.age(object),
        names,
        images,
        selector.into(),
    ]
}

pub(super) fn daemon_set(object: &Value, scene: &Scene) -> Vec<Value> {
    let (spec, status) = (object.at("spec"), object.at("status"));
    let pod_spec = spec.at("template").at("spec");
    let [names, images] = containers(pod_spec);
    vec![
        name(object),
        whole(status, "desiredNumberScheduled").into(),
        whole(status, "currentNumberScheduled").into(),
        whole(status, "numberReady").into(),
        whole(status, "updatedNumberScheduled").into(),
        whole(status, "numberAvailable").into(),
        labels(pod_spec.map("nodeSelector")).into(),
        scene.age(object),
        names,
        images,
        selector(spec.at("selector")).into(),
    ]
}

pub(super) fn stateful_set(object: &Value, scene: &Scene) -> Vec<Value> {
    let (spec, status) = (object.at("spec"), object.at("status"));
    let [names, images] = containers(spec.at("template").at("spec"));
    vec![
        name(object),
        format!("{}/{}", whole(status, "readyReplicas"), whole(spec, "replicas")).into(),
        scene.age(object),
        names,
        images,
    ]
}

pub(super) fn controller_revision(object: &Value, scene: &Scene) -> Vec<Value> {
    let owners = object.at("metadata").list("ownerReferences");
    let controller = owners.iter().find(|o| o.is_true("controller")).map(|owner| {
        let group = owner.text("apiVersion").split_once('/').map_or("", |(group, _)| group);
        let dot = if group.is_empty() { "" } else { "." };
        format!("{}{dot}{group}/", owner.text("kind")).to_lowercase() + owner.text("name")
    });
    vec![
        name(object),
        controller.unwrap_or_else(|| "<none>".to_owned()).into(),
        whole(object, "revision").into(),
        scene.age(object),
    ]
}

pub(super) fn job(object: &Value, scene: &Scene) -> Vec<Value> {
    let (spec, status) = (object.at("spec"), object.at("status"));
    let succeeded = whole(status, "succeeded");
    let completions = match (spec.int("completions"), whole(spec, "parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism @ 2..) => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let duration = match (moment(status.at("startTime")), moment(status.at("completionTime"))) {
        (None, _) => String::new(),
        (Some(start), end) => human_duration(end.unwrap_or(scene.now).unix_seconds() - start.unix_seconds()),
    };
    let [names, images] = containers(spec.at("template").at("spec"));
    let mut cells = vec![name(object)];
    if scene.newer() {
        cells.push(job_status(object).into());
    }
    let selector = selector(spec.at("selector")).into();
    cells.extend([completions.into(), duration.into(), scene.age(object), names, images, selector]);
    cells
}

fn job_status(job: &Value) -> &'static str {
    let conditions = job.at("status").list("conditions");
    if holds(conditions, "Complete") {
        "Complete"
    } else if holds(conditions, "Failed") {
        "Failed"
    } else if job.at("metadata").has("deletionTimestamp") {
        "Terminating"
    } else if holds(conditions, "Suspended") {
        "Suspended"
    } else if holds(conditions, "FailureTarget") {
        "FailureTarget"
    } else {
        "Running"
    }
}

pub(super) fn cron_job(object: &Value, scene: &Scene) -> Vec<Value> {
    let (spec, status) = (object.at("spec"), object.at("status"));
    let job_spec = spec.at("jobTemplate").at("spec");
    let [names, images] = containers(job_spec.at("template").at("spec"));
    let last = match status.at("lastScheduleTime") {
        Value::Null => "<none>".to_owned(),
        time => since(time, scene.now),
    };
    let suspend = match spec.at("suspend") {
        Value::Bool(true) => "True",
        Value::Bool(false) => "False",
        _ => "<unset>",
    };
    let mut cells = vec![name(object), spec.text("schedule").into()];
    if scene.newer() {
        cells.push(spec.at("timeZone").as_str().unwrap_or("<none>").into());
    }
    cells.extend([
        suspend.into(),
        status.list("active").len().into(),
        last.into(),
        scene.age(object),
        names,
        images,
        selector(job_spec.at("selector")).into(),
    ]);
    cells
}

pub(super) fn disruption_budget(object: &Value, scene: &Scene) -> Vec<Value> {
    let bound = |field: &str| -> Value {
        match object.at("spec").at(field) {
            Value::Null => "N/A".into(),
            Value::Number(number) => number.to_string().into(),
            text => text.clone(),
        }
    };
    vec![
        name(object),
        bound("minAvailable"),
        bound("maxUnavailable"),
        whole(object.at("status"), "disruptionsAllowed").into(),
        scene.age(object),
    ]
}
