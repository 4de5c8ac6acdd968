//! Role bindings, certificates, API services and admission.

use serde_json::Value;
use trireme_schema::view::View;

use super::super::duration::human_duration;
use super::text::{condition, or, selector};
use super::{Scene, name};

pub(super) fn role_binding(object: &Value, scene: &Scene) -> Vec<Value> {
    let role = object.at("roleRef");
    let subjects = |kind: &str, namespaced: bool| -> Value {
        let of_kind = object.list("subjects").iter().filter(|s| s.text("kind") == kind);
        let names: Vec<String> = of_kind
            .map(|s| match namespaced {
                true if s.text("namespace").is_empty() => s.text("name").to_owned(),
                true => format!("{}/{}", s.text("namespace"), s.text("name")),
                false => s.text("name").to_owned(),
            })
            .collect();
        names.join(", ").into()
    };
    vec![
        name(object),
        format!("{}/{}", role.text("kind"), role.text("name")).into(),
        scene.age(object),
        subjects("User", false),
        subjects("Group", false),
        subjects("ServiceAccount", true),
    ]
}

pub(super) fn signing_request(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    let duration = spec.int("expirationSeconds").map_or_else(|| "<none>".to_owned(), human_duration);
    vec![
        name(object),
        scene.age(object),
        or(spec.text("signerName"), "<none>").into(),
        spec.text("username").into(),
        duration.into(),
        request_state(object.at("status")).into(),
    ]
}

/// A denial outweighs an approval.
fn request_state(status: &Value) -> String {
    let has = |of_type: &str| condition(status.list("conditions"), of_type).is_some();
    let decided = match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (false, true) => "Approved",
        (false, false) => "Pending",
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    let issued = if status.text("certificate").is_empty() { "" } else { ",Issued" };
    format!("{decided}{failed}{issued}")
}

pub(super) fn trust_bundle(object: &Value, _: &Scene) -> Vec<Value> {
    vec![name(object), or(object.at("spec").text("signerName"), "<none>").into()]
}

pub(super) fn api_service(object: &Value, scene: &Scene) -> Vec<Value> {
    let service = match object.at("spec").at("service") {
        Value::Null => "Local".to_owned(),
        reference => format!("{}/{}", reference.text("namespace"), reference.text("name")),
    };
    let available = match condition(object.at("status").list("conditions"), "Available") {
        None => "Unknown".to_owned(),
        Some(c) if c.text("status") == "True" => "True".to_owned(),
        Some(c) => format!("{} ({})", c.text("status"), c.text("reason")),
    };
    vec![name(object), service.into(), available.into(), scene.age(object)]
}

pub(super) fn webhooks(object: &Value, scene: &Scene) -> Vec<Value> {
    vec![name(object), object.list("webhooks").len().into(), scene.age(object)]
}

pub(super) fn admission_policy(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    let rules = if object.text("kind") == "MutatingAdmissionPolicy" { "mutations" } else { "validations" };
    let parameters = match spec.at("paramKind") {
        Value::Null => "<unset>".to_owned(),
        kind => format!("{}/{}", kind.text("apiVersion"), kind.text("kind")),
    };
    vec![name(object), spec.list(rules).len().into(), parameters.into(), scene.age(object)]
}

pub(super) fn admission_binding(object: &Value, scene: &Scene) -> Vec<Value> {
    let spec = object.at("spec");
    let reference = spec.at("paramRef");
    let parameters = if !reference.text("name").is_empty() {
        format!("{}/{}", or(reference.text("namespace"), "*"), reference.text("name"))
    } else if reference.has("selector") {
        selector(reference.at("selector"))
    } else {
        "<unset>".to_owned()
    };
    vec![name(object), spec.text("policyName").into(), parameters.into(), scene.age(object)]
}
