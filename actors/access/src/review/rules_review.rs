//! SelfSubjectRulesReview.

use serde_json::{Map, Value, json};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use crate::attributes::Authorizer;
use crate::user::User;

/// Lists what a user may do in the namespace that the spec names. The answer's `spec` is empty, as upstream's.
///
/// # Errors
/// 400 without a namespace.
pub fn self_subject_rules_review(
    object: &Value,
    user: &User,
    authorizer: &dyn Authorizer,
) -> Result<Value, Failure> {
    let namespace = object.at("spec").text("namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let rules = authorizer.rules_for(user, namespace);
    let with = |fields: &[(&str, &Vec<String>)]| {
        let mut map = Map::new();
        for (name, list) in fields {
            if !list.is_empty() || *name == "verbs" {
                map.insert((*name).to_owned(), (*list).clone().into());
            }
        }
        Value::Object(map)
    };
    let resources = rules.resources.iter().map(|rule| {
        with(&[
            ("verbs", &rule.verbs),
            ("apiGroups", &rule.api_groups),
            ("resources", &rule.resources),
            ("resourceNames", &rule.resource_names),
        ])
    });
    let non_resources = rules.non_resources.iter();
    let non_resources = non_resources
        .map(|rule| with(&[("verbs", &rule.verbs), ("nonResourceURLs", &rule.non_resource_urls)]));
    let mut status = json!({
        "resourceRules": resources.collect::<Vec<_>>(),
        "nonResourceRules": non_resources.collect::<Vec<_>>(),
        "incomplete": rules.incomplete,
    });
    if !rules.evaluation_error.is_empty() {
        status["evaluationError"] = rules.evaluation_error.into();
    }
    Ok(json!({
        "apiVersion": object.at("apiVersion"), "kind": object.at("kind"),
        "metadata": {"creationTimestamp": null}, "spec": {}, "status": status,
    }))
}
