//! Validation of the conversion between versions.

use serde_json::Value;

use crate::field::{ErrorList, Path};
use crate::names;
use crate::validate::webhook_client;
use crate::view::View;

pub(super) fn validate(conversion: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if conversion.is_null() {
        return;
    }
    let webhook = conversion.at("webhook");
    let (client_path, versions_path) =
        (path.child("webhookClientConfig"), path.child("conversionReviewVersions"));
    match conversion.text("strategy") {
        "Webhook" => {
            if webhook.has("clientConfig") {
                webhook_client(webhook.at("clientConfig"), &client_path, errors);
            } else {
                errors.required(&client_path, "required when strategy is set to Webhook");
            }
            review_versions(webhook.list("conversionReviewVersions"), &versions_path, errors);
            return;
        }
        "None" => {}
        "" => errors.required(&path.child("strategy"), ""),
        other => errors.not_supported(&path.child("strategy"), other, &["None", "Webhook"]),
    }
    const UNUSED: &str = "should not be set when strategy is not set to Webhook";
    if webhook.has("clientConfig") {
        errors.forbidden(&client_path, UNUSED);
    }
    if !webhook.list("conversionReviewVersions").is_empty() {
        errors.forbidden(&versions_path, UNUSED);
    }
}

fn review_versions(versions: &[Value], path: &Path<'_>, errors: &mut ErrorList) {
    if versions.is_empty() {
        errors.required(path, "");
        return;
    }
    let texts: Vec<&str> = versions.iter().filter_map(Value::as_str).collect();
    for (i, version) in texts.iter().enumerate() {
        if texts[..i].contains(version) {
            errors.invalid_str(&path.index(i), version, "duplicate version");
            continue;
        }
        for why in names::check_dns1035_label(version) {
            errors.invalid_str(&path.index(i), version, why);
        }
    }
    if !texts.iter().any(|v| matches!(*v, "v1" | "v1beta1")) {
        errors.invalid(path, &Value::from(texts), "must include at least one of v1, v1beta1");
    }
}
