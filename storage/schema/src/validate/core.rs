//! Validation of Node, LimitRange and ResourceQuota.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::util::{IMMUTABLE, NOT_NEGATIVE, complain, parse_cidr, quantity, strings};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{View, same};

const SPEC: Path<'static> = Path::new("spec");

pub(super) fn node(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let meta = Path::new("metadata");
    // Upstream names taints as if they were metadata.
    super::pod::taints(spec.list("taints"), &meta.child("taints"), errors);
    let status = Path::new("status");
    for list in ["capacity", "allocatable"] {
        let at = status.child(list);
        for (name, value) in object.at("status").map(list).into_iter().flatten() {
            if quantity(value).is_some_and(|q| q.is_negative()) {
                errors.invalid(&at.child(name), value, NOT_NEGATIVE);
            }
        }
    }
    let cidrs = spec.list("podCIDRs");
    let path = SPEC.child("podCIDRs");
    let mut seen = BTreeSet::new();
    for (i, cidr) in cidrs.iter().enumerate() {
        let text = cidr.as_str().unwrap_or("");
        if parse_cidr(text).is_none() {
            errors.invalid(&path.index(i), &json!([cidr]), "must be valid CIDR");
        }
        if !seen.insert(text) {
            errors.duplicate(&path.index(i), cidr);
        }
    }
    if cidrs.len() > 1 {
        let families: Vec<bool> =
            strings(cidrs).iter().filter_map(|c| parse_cidr(c)).map(|c| c.0.is_ipv4()).collect();
        let dual = families.len() == 2 && families[0] != families[1];
        if !dual || cidrs.len() > 2 {
            errors.invalid(
                &path,
                spec.at("podCIDRs"),
                "may specify no more than one CIDR for each IP family",
            );
        }
    }
}

pub(super) fn node_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec"), new.at("spec"));
    if !before.list("podCIDRs").is_empty() && !same(before.at("podCIDRs"), after.at("podCIDRs")) {
        errors.forbidden(
            &SPEC.child("podCIDRs"),
            "node updates may not change podCIDR except from \"\" to valid",
        );
    }
    if !before.text("providerID").is_empty() && before.text("providerID") != after.text("providerID") {
        errors.forbidden(
            &SPEC.child("providerID"),
            "node updates may not change providerID except from \"\" to valid",
        );
    }
}

pub(super) fn namespace(object: &Value, errors: &mut ErrorList) {
    let path = SPEC.child("finalizers");
    for finalizer in strings(object.at("spec").list("finalizers")) {
        complain(&path, finalizer, names::check_qualified_name(finalizer), errors);
        if !finalizer.contains('/') && !matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion") {
            let text = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid_str(&path, finalizer, text);
        }
    }
}

fn standard_container_resource(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

fn resource_name(name: &str, path: &Path<'_>, standard: Option<&str>, errors: &mut ErrorList) {
    complain(path, name, names::check_qualified_name(name), errors);
    if !name.contains('/')
        && let Some(what) = standard
    {
        let known = match what {
            "quota" => {
                const QUOTA: [&str; 16] = [
                    "cpu",
                    "memory",
                    "ephemeral-storage",
                    "requests.cpu",
                    "requests.memory",
                    "requests.storage",
                    "requests.ephemeral-storage",
                    "limits.cpu",
                    "limits.memory",
                    "limits.ephemeral-storage",
                    "pods",
                    "resourcequotas",
                    "services",
                    "replicationcontrollers",
                    "secrets",
                    "persistentvolumeclaims",
                ];
                QUOTA.contains(&name)
                    || matches!(name, "configmaps" | "services.nodeports" | "services.loadbalancers")
                    || name.contains("hugepages-")
                    || name.starts_with("count/")
            }
            "containers" => standard_container_resource(name),
            _ => standard_container_resource(name) || matches!(name, "storage" | "pods"),
        };
        if !known {
            errors.invalid_str(
                path,
                name,
                format!(
                    "must be a standard resource{}",
                    if what == "quota" { " for quota" } else { " for containers" }
                ),
            );
        }
    }
}

pub(super) fn limit_range(object: &Value, errors: &mut ErrorList) {
    let limits = SPEC.child("limits");
    let mut seen = BTreeSet::new();
    for (i, item) in object.at("spec").list("limits").iter().enumerate() {
        let path = limits.index(i);
        let kind = item.text("type");
        complain(&path.child("type"), kind, names::check_qualified_name(kind), errors);
        if !seen.insert(kind) {
            errors.duplicate(&path.child("type"), item.at("type"));
        }
        limit_item(item, kind, &path, errors);
    }
}

fn limit_item(item: &Value, kind: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let mut keys = BTreeSet::new();
    for list in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let at = path.child(list);
        if matches!(list, "default" | "defaultRequest") && kind == "Pod" {
            if item.map(list).is_some_and(|m| !m.is_empty()) {
                errors.forbidden(&at, "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for name in item.map(list).into_iter().flatten().map(|(k, _)| k) {
            let standard = matches!(kind, "Container" | "Pod").then_some("containers");
            resource_name(name, &at.key(name), standard, errors);
            keys.insert(name.as_str());
        }
    }
    if kind == "PersistentVolumeClaim" && !item.at("min").has("storage") && !item.at("max").has("storage") {
        let text = "either minimum or maximum storage value is required, but neither was provided";
        errors.required(&path.child("limits"), text);
    }
    for key in keys {
        let get = |list: &str| item.at(list).at(key);
        let over = |low: &Value, high: &Value| match (quantity(low), quantity(high)) {
            (Some(low), Some(high)) => low > high,
            _ => false,
        };
        let mut check = |low: &str, low_name: &str, high: &str, high_name: &str, field: &str| {
            let (a, b) = (get(low), get(high));
            if over(a, b) {
                let (a, b) = (a.as_str().unwrap_or(""), b.as_str().unwrap_or(""));
                let text = format!("{low_name} value {a} is greater than {high_name} value {b}");
                let at = path.child(field);
                errors.invalid_text(&at.key(key), "resource.Quantity", text);
            }
        };
        check("min", "min", "max", "max", "min");
        check("min", "min", "defaultRequest", "default request", "defaultRequest");
        check("defaultRequest", "default request", "max", "max", "defaultRequest");
        check("defaultRequest", "default request", "default", "default limit", "defaultRequest");
        check("min", "min", "default", "default", "default");
        check("default", "default", "max", "max", "default");
        let ratio = get("maxLimitRequestRatio");
        if let Some(value) = quantity(ratio) {
            let at = path.child("maxLimitRequestRatio");
            if value < crate::Quantity::from_i64(1, value.format()) {
                let text = format!("ratio {} is less than 1", ratio.as_str().unwrap_or(""));
                errors.invalid_text(&at.key(key), "resource.Quantity", text);
            }
        }
    }
}

const SCOPES: [&str; 6] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
];

/// The amounts of a quota's status.
pub(super) fn quota_status(object: &Value, errors: &mut ErrorList) {
    for list in ["hard", "used"] {
        amounts(object, "status", list, errors);
    }
}

fn amounts(object: &Value, root: &str, list: &str, errors: &mut ErrorList) {
    let root_path = Path::new(root);
    let at = root_path.child(list);
    for (name, value) in object.at(root).map(list).into_iter().flatten() {
        resource_name(name, &at.key(name), Some("quota"), errors);
        if quantity(value).is_some_and(|q| q.is_negative()) {
            errors.invalid(&at.key(name), value, NOT_NEGATIVE);
        }
    }
}

pub(super) fn quota(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    amounts(object, "spec", "hard", errors);
    quota_status(object, errors);
    let path = SPEC.child("scopes");
    let scopes = strings(spec.list("scopes"));
    if scopes.is_empty() {
        scope_selector(spec, errors);
        return;
    }
    let mut bad = |text: &str| errors.invalid_text(&path, "[]core.ResourceQuotaScope", text);
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            bad("unsupported scope");
        }
        for name in spec.map("hard").into_iter().flatten().map(|(k, _)| k.as_str()) {
            if SCOPES.contains(scope) && !scope_covers(scope, name) {
                bad("unsupported scope applied to resource");
            }
        }
    }
    for (a, b) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if scopes.contains(&a) && scopes.contains(&b) {
            bad("conflicting scopes");
        }
    }
    scope_selector(spec, errors);
}

fn scope_covers(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "CrossNamespacePodAffinity" => true,
        _ => {
            matches!(
                resource,
                "pods"
                    | "cpu"
                    | "memory"
                    | "requests.cpu"
                    | "requests.memory"
                    | "limits.cpu"
                    | "limits.memory"
            ) || resource.contains("ephemeral-storage")
                || resource.contains('/')
        }
    }
}

fn scope_selector(spec: &Value, errors: &mut ErrorList) {
    let selector = SPEC.child("scopeSelector");
    let path = selector.child("matchExpressions");
    for requirement in spec.at("scopeSelector").list("matchExpressions") {
        let (scope, operator) = (requirement.text("scopeName"), requirement.text("operator"));
        if !SCOPES.contains(&scope) {
            errors.invalid_str(&path.child("scopeName"), scope, "unsupported scope");
        }
        let at = path.child("operator");
        match operator {
            "In" | "NotIn" if requirement.list("values").is_empty() => {
                errors.required(
                    &path.child("values"),
                    "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
                );
            }
            "Exists" | "DoesNotExist" if !requirement.list("values").is_empty() => {
                errors.invalid(
                    &path.child("values"),
                    requirement.at("values"),
                    "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
                );
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.invalid_str(&at, other, "not a valid selector operator"),
        }
        if scope != "PriorityClass" && SCOPES.contains(&scope) {
            let text = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            if matches!(operator, "In" | "NotIn" | "DoesNotExist") {
                errors.invalid_str(&at, operator, text);
            }
        }
    }
}

pub(super) fn quota_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let sorted = |object: &Value| {
        let mut scopes: Vec<String> =
            strings(object.at("spec").list("scopes")).iter().map(|s| (*s).to_owned()).collect();
        scopes.sort();
        scopes
    };
    if sorted(old) != sorted(new) {
        errors.invalid_text(&SPEC.child("scopes"), "[]core.ResourceQuotaScope", IMMUTABLE);
    }
}
