//! Validation of rbac.authorization.k8s.io.

use serde_json::Value;

use super::util::{complain, label_selector};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{View, same};

const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn role(object: &Value, namespaced: bool, errors: &mut ErrorList) {
    let rules = Path::new("rules");
    for (i, rule) in object.list("rules").iter().enumerate() {
        policy_rule(rule, namespaced, &rules.index(i), errors);
    }
    let aggregation = Path::new("aggregationRule");
    let list = aggregation.child("clusterRoleSelectors");
    if object.has("aggregationRule") {
        let selectors = object.at("aggregationRule").list("clusterRoleSelectors");
        if selectors.is_empty() {
            errors.required(&list, "at least one clusterRoleSelector required if aggregationRule is non-nil");
        }
        for (i, selector) in selectors.iter().enumerate() {
            let at = list.index(i);
            label_selector(selector, &at, errors);
            if crate::selector::LabelSelector::from_object(selector).is_err() {
                errors.invalid_str(&at, "null", "invalid label selector.");
            }
        }
    }
}

fn policy_rule(rule: &Value, namespaced: bool, path: &Path<'_>, errors: &mut ErrorList) {
    if rule.list("verbs").is_empty() {
        errors.required(&path.child("verbs"), "verbs must contain at least one value");
    }
    let urls = rule.list("nonResourceURLs");
    let (groups, resources) = (rule.list("apiGroups"), rule.list("resources"));
    if !urls.is_empty() {
        if namespaced {
            let text = "namespaced rules cannot apply to non-resource URLs";
            errors.invalid(&path.child("nonResourceURLs"), rule.at("nonResourceURLs"), text);
        }
        if !groups.is_empty() || !resources.is_empty() || !rule.list("resourceNames").is_empty() {
            let text = "rules cannot apply to both regular resources and non-resource URLs";
            errors.invalid(&path.child("nonResourceURLs"), rule.at("nonResourceURLs"), text);
        }
        return;
    }
    if groups.is_empty() {
        errors.required(&path.child("apiGroups"), "resource rules must supply at least one api group");
    }
    if resources.is_empty() {
        errors.required(&path.child("resources"), "resource rules must supply at least one resource");
    }
}

pub(super) fn role_binding(object: &Value, namespaced: bool, errors: &mut ErrorList) {
    let role = object.at("roleRef");
    let path = Path::new("roleRef");
    if role.text("apiGroup") != RBAC {
        errors.not_supported(&path.child("apiGroup"), role.text("apiGroup"), &[RBAC]);
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&role.text("kind")) {
        errors.not_supported(&path.child("kind"), role.text("kind"), kinds);
    }
    let name = role.text("name");
    if name.is_empty() {
        errors.required(&path.child("name"), "");
    } else {
        complain(&path.child("name"), name, names::check_path_segment(name, false), errors);
    }
    let subjects = Path::new("subjects");
    for (i, subject) in object.list("subjects").iter().enumerate() {
        let at = subjects.index(i);
        let name = subject.text("name");
        if name.is_empty() {
            errors.required(&at.child("name"), "");
        }
        let group = subject.text("apiGroup");
        match subject.text("kind") {
            "ServiceAccount" => {
                if !name.is_empty() {
                    complain(&at.child("name"), name, names::check_dns1123_subdomain(name), errors);
                }
                if !group.is_empty() {
                    errors.not_supported(&at.child("apiGroup"), group, &[""]);
                }
                if !namespaced && subject.text("namespace").is_empty() {
                    errors.required(&at.child("namespace"), "");
                }
            }
            "User" | "Group" => {
                if group != RBAC {
                    errors.not_supported(&at.child("apiGroup"), group, &[RBAC]);
                }
            }
            other => errors.not_supported(&at.child("kind"), other, &["ServiceAccount", "User", "Group"]),
        }
    }
}

pub(super) fn role_ref_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if !same(old.at("roleRef"), new.at("roleRef")) {
        errors.invalid(&Path::new("roleRef"), new.at("roleRef"), "cannot change roleRef");
    }
}
