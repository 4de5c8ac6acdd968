//! SubjectAccessReview, LocalSubjectAccessReview, SelfSubjectAccessReview.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use trireme_schema::field::{ErrorList, Path};
use trireme_schema::selector::FieldSelector;
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::{Edit, View, same};

use super::selectors;
use crate::attributes::{Attributes, Authorizer, Decision};
use crate::user::User;

const GROUP: &str = "authorization.k8s.io";

/// Answers whether the user that the spec names may do what it says.
///
/// # Errors
/// 422 for the spec or for metadata.
pub fn subject_access_review(object: Value, authorizer: &dyn Authorizer) -> Result<Value, Failure> {
    let mut errors = ErrorList::new();
    check_spec(object.at("spec"), true, &mut errors);
    check_metadata(&object, false, &mut errors);
    refuse(&errors)?;
    let user = Arc::new(user_of(object.at("spec")));
    Ok(answer(object, &user, authorizer))
}

/// The same within one namespace, which the object's metadata names.
///
/// # Errors
/// 422 for the spec or for metadata.
pub fn local_subject_access_review(object: Value, authorizer: &dyn Authorizer) -> Result<Value, Failure> {
    let mut errors = ErrorList::new();
    let spec = object.at("spec");
    check_spec(spec, true, &mut errors);
    check_metadata(&object, true, &mut errors);
    let root = Path::new("spec");
    let resource = spec.at("resourceAttributes");
    let namespace = resource.text("namespace");
    if resource.is_object() && namespace != object.at("metadata").text("namespace") {
        let path = root.child("resourceAttributes");
        errors.invalid_str(&path.child("namespace"), namespace, "must match metadata.namespace");
    }
    let other = spec.at("nonResourceAttributes");
    if other.is_object() {
        errors.invalid(&root.child("nonResourceAttributes"), other, "disallowed on this kind of request");
    }
    refuse(&errors)?;
    let user = Arc::new(user_of(object.at("spec")));
    Ok(answer(object, &user, authorizer))
}

/// Answers whether the asking user may do what the spec says.
///
/// # Errors
/// 422 for the spec or for metadata.
pub fn self_subject_access_review(
    object: Value,
    user: &Arc<User>,
    authorizer: &dyn Authorizer,
) -> Result<Value, Failure> {
    let mut errors = ErrorList::new();
    check_spec(object.at("spec"), false, &mut errors);
    check_metadata(&object, false, &mut errors);
    refuse(&errors)?;
    Ok(answer(object, user, authorizer))
}

fn refuse(errors: &ErrorList) -> Result<(), Failure> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(GROUP, "", "", errors)) }
}

fn check_spec(spec: &Value, names_user: bool, errors: &mut ErrorList) {
    let root = Path::new("spec");
    let (resource, other) = (spec.at("resourceAttributes"), spec.at("nonResourceAttributes"));
    match (resource.is_object(), other.is_object()) {
        (true, true) => {
            let path = root.child("nonResourceAttributes");
            errors.invalid(&path, other, "cannot be specified in combination with resourceAttributes");
        }
        (false, false) => {
            let why = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            errors.invalid_str(&root.child("resourceAttributes"), "null", why);
        }
        _ => {}
    }
    if names_user && spec.text("user").is_empty() && spec.list("groups").is_empty() {
        errors.invalid_str(&root.child("user"), "", "at least one of user or group must be specified");
    }
    let path = root.child("resourceAttributes");
    for name in ["fieldSelector", "labelSelector"] {
        if resource.has(name) {
            selectors::check(resource.at(name), name, &path.child(name), errors);
        }
    }
}

fn check_metadata(object: &Value, local: bool, errors: &mut ErrorList) {
    let metadata = object.at("metadata");
    let mut rest = metadata.as_object().cloned().unwrap_or_default();
    rest.remove("managedFields");
    if local {
        rest.remove("namespace");
    }
    if !same(&Value::Object(rest), &json!({})) {
        let why = if local { "must be empty except for namespace" } else { "must be empty" };
        errors.invalid(&Path::new("metadata"), metadata, why);
    }
}

fn user_of(spec: &Value) -> User {
    let texts = |list: &[Value]| list.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>();
    let extra = spec.map("extra").into_iter().flatten();
    let extra: BTreeMap<String, Vec<String>> = extra
        .map(|(key, values)| (key.to_ascii_lowercase(), texts(values.as_array().map_or(&[], Vec::as_slice))))
        .collect();
    User {
        name: spec.text("user").to_owned(),
        uid: spec.text("uid").to_owned(),
        groups: texts(spec.list("groups")),
        extra,
    }
}

fn attributes(spec: &Value, user: &Arc<User>) -> (Attributes, String) {
    let resource = spec.at("resourceAttributes");
    if !resource.is_object() {
        let other = spec.at("nonResourceAttributes");
        return (Attributes::path(user, other.text("verb"), other.text("path")), String::new());
    }
    let text = |name: &str| resource.text(name);
    let version = if text("version").is_empty() { "*" } else { text("version") };
    let (field_selector, error) = match selectors::field_selector(resource.at("fieldSelector")) {
        Ok(selector) => (selector, String::new()),
        Err(error) => (FieldSelector::default(), error),
    };
    let ask = Attributes::resource(user, text("verb"), text("group"), version, text("resource"));
    let ask = ask.within(text("namespace")).on(text("subresource")).named(text("name"));
    (Attributes { field_selector, ..ask }, error)
}

fn answer(mut object: Value, user: &Arc<User>, authorizer: &dyn Authorizer) -> Value {
    let (ask, error) = attributes(object.at("spec"), user);
    let decision = authorizer.authorize(&ask);
    let mut status = Map::new();
    status.insert("allowed".to_owned(), decision.allowed().into());
    if matches!(decision, Decision::Deny { .. }) {
        status.insert("denied".to_owned(), true.into());
    }
    let (Decision::Allow { reason } | Decision::Deny { reason } | Decision::NoOpinion { reason }) = decision;
    for (name, text) in [("reason", reason), ("evaluationError", error)] {
        if !text.is_empty() {
            status.insert(name.to_owned(), text.into());
        }
    }
    object.put("status", status);
    object
}

#[cfg(test)]
#[path = "access_review_test.rs"]
mod tests;
