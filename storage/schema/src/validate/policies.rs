//! Validation of admission policies and their bindings.
//!
//! Deliberate absence: expressions are not compiled here; names, presence and combinations are checked.

use serde_json::Value;

use super::util::{complain, label_selector, strings};
use super::webhook::rule;
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

const SPEC: Path<'static> = Path::new("spec");
/// Conditions of one policy.
const MATCH_CONDITIONS: usize = 64;
const REASONS: [&str; 4] = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];

fn failure_policy(spec: &Value, errors: &mut ErrorList) {
    let at = SPEC.child("failurePolicy");
    match spec.at("failurePolicy").as_str() {
        None => errors.required(&at, ""),
        Some("Fail" | "Ignore") => {}
        Some(other) => errors.not_supported(&at, other, &["Fail", "Ignore"]),
    }
}

fn param_kind(kind: &Value, errors: &mut ErrorList) {
    let at = SPEC.child("paramKind");
    if kind.is_null() {
        return;
    }
    let version = kind.text("apiVersion");
    if version.is_empty() {
        errors.required(&at.child("apiVersion"), "");
    } else if crate::kinds::parse_api_version(version).is_none_or(|(_, v)| v.is_empty()) {
        let why = format!("unexpected GroupVersion string: {version}");
        errors.invalid_str(&at.child("apiVersion"), version, why);
    }
    let name = kind.text("kind");
    if name.is_empty() {
        errors.required(&at.child("kind"), "");
    } else {
        let complaints = names::check_dns1035_label(&name.to_lowercase());
        if !complaints.is_empty() {
            let why = format!("may have mixed case, but should otherwise match: {}", complaints.join(","));
            errors.invalid_str(&at.child("kind"), name, why);
        }
    }
}

fn named_rules(rules: &[Value], list: &Path<'_>, errors: &mut ErrorList) {
    for (i, one) in rules.iter().enumerate() {
        let at = list.index(i);
        let mut seen: Vec<&str> = Vec::new();
        let resource_names = at.child("resourceNames");
        for (j, name) in strings(one.list("resourceNames")).into_iter().enumerate() {
            complain(&resource_names.index(j), name, names::check_path_segment(name, false), errors);
            if seen.contains(&name) {
                errors.duplicate(&resource_names.index(j), &name.into());
            }
            seen.push(name);
        }
        rule(one, &at, errors);
    }
}

fn match_resources(resources: &Value, path: &Path<'_>, needs_rules: bool, errors: &mut ErrorList) {
    match resources.at("matchPolicy").as_str() {
        None => errors.required(&path.child("matchPolicy"), ""),
        Some("Exact" | "Equivalent") => {}
        Some(other) => errors.not_supported(&path.child("matchPolicy"), other, &["Equivalent", "Exact"]),
    }
    for name in ["namespaceSelector", "objectSelector"] {
        if resources.has(name) {
            label_selector(resources.at(name), &path.child(name), errors);
        } else {
            errors.required(&path.child(name), "");
        }
    }
    named_rules(resources.list("resourceRules"), &path.child("resourceRules"), errors);
    named_rules(resources.list("excludeResourceRules"), &path.child("excludeResourceRules"), errors);
    if needs_rules && resources.list("resourceRules").is_empty() {
        errors.required(&path.child("resourceRules"), "");
    }
}

fn match_conditions(spec: &Value, errors: &mut ErrorList) {
    let list = SPEC.child("matchConditions");
    let conditions = spec.list("matchConditions");
    if conditions.len() > MATCH_CONDITIONS {
        errors.too_many(&list, conditions.len(), MATCH_CONDITIONS);
    }
    named_expressions(conditions, &list, errors);
}

/// Items with a unique qualified name and an expression.
fn named_expressions(items: &[Value], list: &Path<'_>, errors: &mut ErrorList) {
    let mut seen: Vec<&str> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let at = list.index(i);
        let name = item.text("name");
        if item.text("expression").trim().is_empty() {
            errors.required(&at.child("expression"), "");
        }
        if name.is_empty() {
            errors.required(&at.child("name"), "");
        } else {
            complain(&at.child("name"), name, names::check_qualified_name(name), errors);
            if seen.contains(&name) {
                errors.duplicate(&at.child("name"), &name.into());
            }
        }
        seen.push(name);
    }
}

fn variables(spec: &Value, errors: &mut ErrorList) {
    let list = SPEC.child("variables");
    let mut seen: Vec<&str> = Vec::new();
    for (i, variable) in spec.list("variables").iter().enumerate() {
        let at = list.index(i);
        let name = variable.text("name");
        if name.is_empty() {
            errors.required(&at.child("name"), "name is not specified");
        } else if !names::check_c_identifier(name).is_empty() {
            errors.invalid_str(&at.child("name"), name, "name is not a valid CEL identifier");
        }
        if seen.contains(&name) {
            errors.duplicate(&at.child("name"), &name.into());
        }
        seen.push(name);
        if variable.text("expression").trim().is_empty() {
            errors.required(&at.child("expression"), "expression is not specified");
        }
    }
}

fn constraints(spec: &Value, errors: &mut ErrorList) {
    let at = SPEC.child("matchConstraints");
    if spec.has("matchConstraints") {
        match_resources(spec.at("matchConstraints"), &at, true, errors);
    } else {
        errors.required(&at, "");
    }
}

/// A ValidatingAdmissionPolicy.
pub(super) fn validating(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    failure_policy(spec, errors);
    param_kind(spec.at("paramKind"), errors);
    constraints(spec, errors);
    match_conditions(spec, errors);
    variables(spec, errors);
    let (validations, annotations) = (spec.list("validations"), spec.list("auditAnnotations"));
    if validations.is_empty() && annotations.is_empty() {
        let why = "validations or auditAnnotations must contain at least one item";
        errors.required(&SPEC.child("validations"), why);
        errors.required(&SPEC.child("auditAnnotations"), why);
        return;
    }
    let list = SPEC.child("validations");
    for (i, one) in validations.iter().enumerate() {
        validation(one, &list.index(i), errors);
    }
    audit_annotations(object, annotations, errors);
}

fn validation(one: &Value, at: &Path<'_>, errors: &mut ErrorList) {
    let (expression, message) = (one.text("expression").trim(), one.text("message"));
    let lines = |text: &str| text.contains(['\n', '\r']);
    if expression.is_empty() {
        errors.required(&at.child("expression"), "expression is not specified");
    }
    let trimmed = message.trim();
    if !message.is_empty() && trimmed.is_empty() {
        errors.invalid_str(&at.child("message"), message, "message must be non-empty if specified");
    } else if lines(trimmed) {
        errors.invalid_str(&at.child("message"), message, "message must not contain line breaks");
    } else if lines(expression) && trimmed.is_empty() {
        let why = "message must be specified if expression contains line breaks";
        errors.required(&at.child("message"), why);
    }
    let text = one.text("messageExpression");
    if !text.is_empty() && text.trim().is_empty() {
        let why = "must be non-empty if specified";
        errors.invalid_str(&at.child("messageExpression"), text, why);
    }
    if let Some(reason) = one.at("reason").as_str().filter(|r| !REASONS.contains(r)) {
        errors.not_supported(&at.child("reason"), reason, &REASONS);
    }
}

fn audit_annotations(object: &Value, annotations: &[Value], errors: &mut ErrorList) {
    /// Annotations of one policy, and the length of an expression in bytes.
    const MOST: usize = 20;
    const EXPRESSION_BYTES: usize = 5 * 1024;
    let list = SPEC.child("auditAnnotations");
    if annotations.len() > MOST {
        let why = format!("must not have more than {MOST} auditAnnotations");
        errors.invalid(&list, object.at("spec").at("auditAnnotations"), why);
    }
    let mut seen: Vec<&str> = Vec::new();
    for (i, one) in annotations.iter().enumerate() {
        let at = list.index(i);
        let key = one.text("key");
        if key.is_empty() {
            errors.required(&at.child("key"), "");
        } else {
            let whole = format!("{}/{key}", object.at("metadata").text("name"));
            let complaints = names::check_qualified_name(&whole);
            if !complaints.is_empty() {
                errors.invalid_str(&at.child("key"), key, complaints.join(","));
            }
        }
        if seen.contains(&key) {
            errors.duplicate(&at.child("key"), &key.into());
        }
        seen.push(key);
        let text = one.text("valueExpression");
        if text.trim().is_empty() {
            errors.required(&at.child("valueExpression"), "valueExpression is not specified");
        } else if text.len() > EXPRESSION_BYTES {
            let why = format!("must not exceed {EXPRESSION_BYTES} bytes in length");
            errors.required(&at.child("valueExpression"), why);
        }
    }
}

/// A MutatingAdmissionPolicy.
pub(super) fn mutating(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    failure_policy(spec, errors);
    param_kind(spec.at("paramKind"), errors);
    constraints(spec, errors);
    match_conditions(spec, errors);
    variables(spec, errors);
    let list = SPEC.child("mutations");
    if spec.list("mutations").is_empty() {
        errors.required(&list, "mutations must contain at least one item");
    }
    for (i, mutation) in spec.list("mutations").iter().enumerate() {
        let at = list.index(i);
        let (kind, mine, other) = match mutation.text("patchType") {
            "" => {
                errors.required(&at.child("patchType"), "");
                continue;
            }
            kind @ "ApplyConfiguration" => (kind, "applyConfiguration", "jsonPatch"),
            kind @ "JSONPatch" => (kind, "jsonPatch", "applyConfiguration"),
            kind => {
                errors.not_supported(&at.child("patchType"), kind, &["ApplyConfiguration", "JSONPatch"]);
                continue;
            }
        };
        if !mutation.has(mine) {
            errors.required(&at.child(mine), format!("must be specified when patchType is {kind}"));
        } else if mutation.at(mine).text("expression").trim().is_empty() {
            let inner = at.child(mine);
            errors.required(&inner.child("expression"), "expression is not specified");
        }
        if mutation.has(other) {
            errors.invalid_text(
                &at.child(other),
                "{}",
                format!("may not be specified when patchType is {kind}"),
            );
        }
    }
    let policy = spec.text("reinvocationPolicy");
    let at = SPEC.child("reinvocationPolicy");
    match policy {
        "" => errors.required(&at, ""),
        "Never" | "IfNeeded" => {}
        other => errors.not_supported(&at, other, &["IfNeeded", "Never"]),
    }
}

/// A binding of either kind of policy.
pub(super) fn binding(object: &Value, validating: bool, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let policy = spec.text("policyName");
    if policy.is_empty() {
        errors.required(&SPEC.child("policyName"), "");
    } else {
        complain(&SPEC.child("policyName"), policy, names::check_dns1123_subdomain(policy), errors);
    }
    param_ref(spec.at("paramRef"), errors);
    if spec.has("matchResources") {
        match_resources(spec.at("matchResources"), &SPEC.child("matchResources"), false, errors);
    }
    if validating {
        actions(spec, errors);
    }
}

fn param_ref(reference: &Value, errors: &mut ErrorList) {
    if reference.is_null() {
        return;
    }
    let at = SPEC.child("paramRef");
    let name = reference.text("name");
    if !name.is_empty() {
        complain(&at.child("name"), name, names::check_path_segment(name, false), errors);
        if reference.has("selector") {
            errors.forbidden(&at.child("name"), "name and selector are mutually exclusive");
        }
    }
    if reference.has("selector") {
        label_selector(reference.at("selector"), &at.child("selector"), errors);
        if !name.is_empty() {
            errors.forbidden(&at.child("selector"), "name and selector are mutually exclusive");
        }
    } else if name.is_empty() {
        errors.required(&at, "one of name or selector must be specified");
    }
    match reference.at("parameterNotFoundAction").as_str() {
        None | Some("") => errors.required(&at.child("parameterNotFoundAction"), ""),
        Some("Allow" | "Deny") => {}
        Some(other) => {
            errors.not_supported(&at.child("parameterNotFoundAction"), other, &["Allow", "Deny"]);
        }
    }
}

fn actions(spec: &Value, errors: &mut ErrorList) {
    const ACTIONS: [&str; 3] = ["Audit", "Deny", "Warn"];
    let list = SPEC.child("validationActions");
    let all = strings(spec.list("validationActions"));
    if all.is_empty() {
        errors.required(&list, "");
    }
    for (i, action) in all.iter().enumerate() {
        if !ACTIONS.contains(action) {
            errors.not_supported(&list.index(i), action, &ACTIONS);
        }
        if all[..i].contains(action) {
            errors.duplicate(&list.index(i), &(*action).into());
        }
    }
    if all.contains(&"Deny") && all.contains(&"Warn") {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.invalid(&list, spec.at("validationActions"), why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(check: fn(&Value, &mut ErrorList), object: Value) -> Vec<String> {
        let mut errors = ErrorList::new();
        check(&object, &mut errors);
        errors.iter().map(crate::field::FieldError::message).collect()
    }

    fn policy() -> Value {
        json!({"metadata":{"name":"p"},"spec":{"failurePolicy":"Fail","matchConstraints":{
            "matchPolicy":"Equivalent","namespaceSelector":{},"objectSelector":{},"resourceRules":[{
                "apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"],"scope":"*"}]},
            "validations":[{"expression":"true"}]}})
    }

    #[test]
    fn policies() {
        assert_eq!(found(validating, policy()), [""; 0]);
        let mut bad = policy();
        bad["spec"]["validations"] = json!([{"expression":" ","reason":"x"}]);
        bad["spec"]["variables"] = json!([{"name":"a-b","expression":"1"}]);
        bad["spec"].as_object_mut().unwrap().remove("failurePolicy");
        assert_eq!(
            found(validating, bad),
            [
                "spec.failurePolicy: Required value",
                "spec.variables[0].name: Invalid value: \"a-b\": name is not a valid CEL identifier",
                "spec.validations[0].expression: Required value: expression is not specified",
                "spec.validations[0].reason: Unsupported value: \"x\": supported values: \"Forbidden\", \"Invalid\", \"RequestEntityTooLarge\", \"Unauthorized\""
            ]
        );
        let mut mutation = policy();
        mutation["spec"]["mutations"] = json!([{"patchType":"JSONPatch"}]);
        mutation["spec"]["reinvocationPolicy"] = json!("Never");
        assert_eq!(
            found(mutating, mutation),
            ["spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch"]
        );
    }

    #[test]
    fn bindings() {
        let both = json!({"spec":{"policyName":"p","validationActions":["Deny","Warn"]}});
        assert!(
            found(|o, e| binding(o, true, e), both.clone())[0]
                .contains("must not contain both Deny and Warn")
        );
        assert_eq!(found(|o, e| binding(o, false, e), both), [""; 0]);
        let reference = json!({"spec":{"policyName":"p","paramRef":{}}});
        assert_eq!(
            found(|o, e| binding(o, false, e), reference),
            [
                "spec.paramRef: Required value: one of name or selector must be specified",
                "spec.paramRef.parameterNotFoundAction: Required value"
            ]
        );
    }
}
