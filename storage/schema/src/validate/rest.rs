//! Validation of the smaller groups.

use serde_json::{Value, json};

use super::util::{
    IMMUTABLE, complain, label_selector, not_negative, number_or_percent, quantity, required, strings,
};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{View, same};

const SPEC: Path<'static> = Path::new("spec");
const RBAC: &str = "rbac.authorization.k8s.io";

pub(super) fn disruption_budget(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    if spec.has("minAvailable") && spec.has("maxUnavailable") {
        errors.invalid(&SPEC, spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for name in ["minAvailable", "maxUnavailable"] {
        let path = SPEC.child(name);
        number_or_percent(spec.at(name), &path, errors);
        super::util::at_most_hundred_percent(spec.at(name), &path, errors);
    }
    label_selector(spec.at("selector"), &SPEC.child("selector"), errors);
    let policy = spec.text("unhealthyPodEvictionPolicy");
    if spec.has("unhealthyPodEvictionPolicy") && !matches!(policy, "AlwaysAllow" | "IfHealthyBudget") {
        let choices = ["AlwaysAllow", "IfHealthyBudget"];
        errors.not_supported(&SPEC.child("unhealthyPodEvictionPolicy"), policy, &choices);
    }
}

pub(super) fn lease(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    if spec.int("leaseDurationSeconds").is_some_and(|d| d <= 0) {
        errors.invalid(
            &SPEC.child("leaseDurationSeconds"),
            spec.at("leaseDurationSeconds"),
            "must be greater than 0",
        );
    }
    not_negative(spec, "leaseTransitions", &SPEC, errors);
}

pub(super) fn priority_class(object: &Value, errors: &mut ErrorList) {
    const USER_MAXIMUM: i64 = 1_000_000_000;
    let name = object.at("metadata").text("name");
    let value = object.int("value").unwrap_or(0);
    if name.starts_with("system-") {
        if !matches!(name, "system-node-critical" | "system-cluster-critical") {
            let text = format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {name} is not a known system priority class"
            );
            errors.forbidden(&Path::new("metadata").child("name"), text);
        }
    } else if value > USER_MAXIMUM {
        let text = format!("maximum allowed value of a user defined priority is {USER_MAXIMUM}");
        errors.forbidden(&Path::new("value"), text);
    }
    let policy = object.text("preemptionPolicy");
    if object.has("preemptionPolicy") && !matches!(policy, "PreemptLowerPriority" | "Never") {
        errors.not_supported(&Path::new("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
}

pub(super) fn priority_class_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if old.at("value") != new.at("value") {
        errors.forbidden(&Path::new("value"), "may not be changed in an update.");
    }
    if old.at("preemptionPolicy") != new.at("preemptionPolicy") {
        errors.invalid(&Path::new("preemptionPolicy"), new.at("preemptionPolicy"), IMMUTABLE);
    }
}

pub(super) fn runtime_class(object: &Value, errors: &mut ErrorList) {
    let handler = object.text("handler");
    complain(&Path::new("handler"), handler, names::check_dns1123_label(handler), errors);
    let scheduling = Path::new("scheduling");
    let outer = scheduling.child("tolerations");
    let inner = outer.child("tolerations");
    super::pod::tolerations(object.at("scheduling").list("tolerations"), &inner, errors);
    super::util::labels(
        object.at("scheduling").map("nodeSelector"),
        &scheduling.child("nodeSelector"),
        errors,
    );
}

pub(super) fn runtime_class_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if old.at("handler") != new.at("handler") {
        errors.invalid(&Path::new("handler"), new.at("handler"), IMMUTABLE);
    }
}

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

/// Longest note, reason, action and instance of an event, in bytes.
const EVENT_LIMITS: [(&str, usize); 3] = [("reason", 128), ("action", 128), ("reportingInstance", 128)];

pub(super) fn event(group: &str, object: &Value, errors: &mut ErrorList) {
    let core = group.is_empty();
    let controller_field = if core { "reportingComponent" } else { "reportingController" };
    let about = if core { "involvedObject" } else { "regarding" };
    let namespace = object.at("metadata").text("namespace");
    let other = object.at(about).text("namespace");
    if core && !other.is_empty() && other != namespace {
        errors.invalid_str(
            &Path::new("involvedObject").child("namespace"),
            other,
            "does not match event.namespace",
        );
    }
    let fresh = object.has("eventTime");
    if core && !fresh {
        return;
    }
    if !fresh {
        errors.required(&Path::new("eventTime"), "");
    }
    let controller = object.text(controller_field);
    let path = Path::new("reportingController");
    if controller.is_empty() {
        errors.required(&path, "");
    }
    complain(&path, controller, names::check_qualified_name(controller), errors);
    for (name, limit) in EVENT_LIMITS {
        let text = object.text(name);
        if text.is_empty() {
            errors.required(&Path::new(name), "");
        } else if text.len() > limit {
            errors.invalid_str(&Path::new(name), "", format!("can have at most {limit} characters"));
        }
    }
    if core {
        return;
    }
    if object.text("note").len() > 1024 {
        errors.invalid_str(&Path::new("message"), "", "can have at most 1024 characters");
    }
    let kind = object.text("type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.invalid_str(&Path::new("type"), "", format!("has invalid value: {kind}"));
    }
    if object.has("series") && object.at("series").int("count").unwrap_or(0) < 2 {
        errors.invalid_str(&Path::new("series").child("count"), "", "should be at least 2");
    }
    for (field, shown) in [
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
    ] {
        if object.has(field) && object.at(field) != &json!(0) {
            errors.invalid_str(&Path::new(shown), "", "needs to be unset");
        }
    }
    if object.at("deprecatedSource").as_object().is_some_and(|s| !s.is_empty()) {
        errors.invalid_str(&Path::new("source"), "", "needs to be unset");
    }
}

pub(super) fn event_update(group: &str, old: &Value, new: &Value, errors: &mut ErrorList) {
    if group.is_empty() {
        return;
    }
    for (field, shown) in [
        ("regarding", "involvedObject"),
        ("reason", "reason"),
        ("note", "message"),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingController", "reportingController"),
        ("reportingInstance", "reportingInstance"),
    ] {
        if !same(old.at(field), new.at(field)) {
            errors.invalid(&Path::new(shown), new.at(field), IMMUTABLE);
        }
    }
}

pub(super) fn autoscaler(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let minimum = spec.int("minReplicas");
    let maximum = spec.int("maxReplicas").unwrap_or(0);
    let external = spec.list("metrics").iter().any(|m| matches!(m.text("type"), "Object" | "External"));
    if minimum.is_some_and(|m| m < i64::from(!external)) {
        let least = i64::from(!external);
        let text =
            format!("must be greater than or equal to {}", if minimum == Some(0) { 1 } else { least.max(1) });
        errors.invalid(&SPEC.child("minReplicas"), spec.at("minReplicas"), text);
    }
    if minimum == Some(0) && !external {
        let text = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.forbidden(&SPEC.child("metrics"), text);
    }
    if maximum < 1 {
        errors.invalid(&SPEC.child("maxReplicas"), spec.at("maxReplicas"), "must be greater than 0");
    }
    if minimum.is_some_and(|m| maximum < m) {
        let text = "must be greater than or equal to `minReplicas`";
        errors.invalid(&SPEC.child("maxReplicas"), spec.at("maxReplicas"), text);
    }
    let target = SPEC.child("scaleTargetRef");
    for name in ["kind", "name"] {
        let value = spec.at("scaleTargetRef").text(name);
        if value.is_empty() {
            errors.required(&target.child(name), "");
        } else {
            complain(&target.child(name), value, names::check_path_segment(value, false), errors);
        }
    }
    let metrics = SPEC.child("metrics");
    for (i, metric) in spec.list("metrics").iter().enumerate() {
        metric_spec(metric, &metrics.index(i), errors);
    }
    let behavior = SPEC.child("behavior");
    for direction in ["scaleUp", "scaleDown"] {
        if spec.at("behavior").has(direction) {
            scaling_rules(spec.at("behavior").at(direction), &behavior.child(direction), errors);
        }
    }
}

fn metric_spec(metric: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    const SOURCES: [(&str, &str); 5] = [
        ("Object", "object"),
        ("Pods", "pods"),
        ("Resource", "resource"),
        ("External", "external"),
        ("ContainerResource", "containerResource"),
    ];
    let kind = metric.text("type");
    if kind.is_empty() {
        errors.required(&path.child("type"), "must specify a metric source type");
    }
    let Some((_, wanted)) = SOURCES.iter().find(|(k, _)| *k == kind) else {
        if !kind.is_empty() {
            let choices = ["ContainerResource", "External", "Object", "Pods", "Resource"];
            errors.not_supported(&path.child("type"), kind, &choices);
        }
        return;
    };
    if !metric.has(wanted) {
        errors.required(&path.child(wanted), "must populate information for the given metric source");
    }
    for (_, other) in SOURCES {
        if other != *wanted && metric.has(other) {
            errors.forbidden(&path.child(other), "must populate the given metric source only");
        }
    }
    let source = metric.at(wanted);
    if source.is_null() {
        return;
    }
    let at = path.child(wanted);
    let target = source.at("target");
    let place = at.child("target");
    match *wanted {
        "resource" | "containerResource" => {
            if source.text("name").is_empty() {
                errors.required(&at.child("name"), "must specify a resource name");
            }
            if *wanted == "containerResource" && source.text("container").is_empty() {
                errors.required(&at.child("container"), "must specify a container");
            }
            let (utilization, average) = (target.has("averageUtilization"), target.has("averageValue"));
            if !utilization && !average {
                let text = "must set either a target raw value or a target utilization";
                errors.required(&place.child("averageUtilization"), text);
            } else if utilization && average {
                let text = "may not set both a target raw value and a target utilization";
                errors.forbidden(&place.child("averageValue"), text);
            }
            if target.int("averageUtilization").is_some_and(|u| u < 1) {
                errors.invalid(
                    &place.child("averageUtilization"),
                    target.at("averageUtilization"),
                    "must be greater than 0",
                );
            }
        }
        _ => {
            let name = source.at("metric").text("name");
            if name.is_empty() {
                errors.required(&at.child("metric").child("name"), "must specify a metric name");
            }
            let positive = |v: &Value| quantity(v).is_some_and(|q| !q.is_negative() && !q.is_zero());
            if *wanted == "pods" && !positive(target.at("averageValue")) {
                errors.required(&place.child("averageValue"), "must specify a positive target averageValue");
            } else if *wanted != "pods" && !target.has("value") && !target.has("averageValue") {
                let text = "must set either a target value for metric or a per-pod target";
                errors.required(&place.child("averageValue"), text);
            }
        }
    }
    if !matches!(target.text("type"), "Utilization" | "Value" | "AverageValue") {
        if target.text("type").is_empty() {
            errors.required(&place.child("type"), "must specify a metric target type");
        } else {
            let text = "must be either Utilization, Value, or AverageValue";
            errors.invalid_str(&place.child("type"), target.text("type"), text);
        }
    }
}

fn scaling_rules(rules: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let window = rules.at("stabilizationWindowSeconds");
    if let Some(seconds) = window.as_i64() {
        let at = path.child("stabilizationWindowSeconds");
        if seconds < 0 {
            errors.invalid(&at, window, "must be greater than or equal to zero");
        }
        if seconds > 3600 {
            errors.invalid(&at, window, "must be less than or equal to 3600");
        }
    }
    let policy = rules.text("selectPolicy");
    if rules.has("selectPolicy") && !matches!(policy, "Max" | "Min" | "Disabled") {
        errors.not_supported(&path.child("selectPolicy"), policy, &["Disabled", "Max", "Min"]);
    }
    let list = path.child("policies");
    if rules.list("policies").is_empty() {
        errors.required(&list, "must specify at least one Policy");
    }
    for (i, policy) in rules.list("policies").iter().enumerate() {
        let at = list.index(i);
        if !matches!(policy.text("type"), "Pods" | "Percent") {
            errors.not_supported(&at.child("type"), policy.text("type"), &["Percent", "Pods"]);
        }
        for name in ["value", "periodSeconds"] {
            if policy.int(name).unwrap_or(0) <= 0 {
                errors.invalid(&at.child(name), policy.at(name), "must be greater than zero");
            }
        }
        if policy.int("periodSeconds").is_some_and(|p| p > 1800) {
            errors.invalid(
                &at.child("periodSeconds"),
                policy.at("periodSeconds"),
                "must be less than or equal to 1800",
            );
        }
    }
}

pub(super) fn webhooks(object: &Value, mutating: bool, errors: &mut ErrorList) {
    let list = Path::new("webhooks");
    let mut seen = Vec::new();
    for (i, hook) in object.list("webhooks").iter().enumerate() {
        let at = list.index(i);
        let name = hook.text("name");
        super::webhook::webhook(hook, mutating, &at, errors);
        if !name.is_empty() && seen.contains(&name) {
            errors.duplicate(&at.child("name"), hook.at("name"));
        }
        seen.push(name);
    }
}

pub(super) fn signing_request(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let body = super::config::decode_base64(spec.text("request"));
    let text = String::from_utf8_lossy(&body);
    if !text.contains("-----BEGIN CERTIFICATE REQUEST-----") {
        let shown: Vec<String> = body.iter().map(|b| format!("0x{b:x}")).collect();
        let shown = format!("[]byte{{{}}}", shown.join(", "));
        errors.invalid_text(&SPEC.child("request"), shown, "PEM block type must be CERTIFICATE REQUEST");
    }
    let usages = SPEC.child("usages");
    let list = strings(spec.list("usages"));
    if list.is_empty() {
        errors.required(&usages, "usages must contain at least one value");
    }
    for (i, usage) in list.iter().enumerate() {
        if list[..i].contains(usage) {
            errors.duplicate(&usages.index(i), &json!(usage));
        }
    }
    signer_name(spec.text("signerName"), errors);
    if spec.int("expirationSeconds").is_some_and(|s| s < 600) {
        let text = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.invalid(&SPEC.child("expirationSeconds"), spec.at("expirationSeconds"), text);
    }
}

fn signer_name(name: &str, errors: &mut ErrorList) {
    let path = SPEC.child("signerName");
    if name.is_empty() {
        errors.required(&path, "");
        return;
    }
    let form = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        errors.invalid_str(&path, name, form);
        return;
    };
    if domain.is_empty() || rest.is_empty() {
        errors.invalid_str(&path, name, form);
    } else {
        complain(&path, domain, names::check_dns1123_subdomain(domain), errors);
        complain(&path, rest, names::check_dns1123_subdomain(rest), errors);
        if !domain.contains('.') {
            errors.invalid_str(
                &path,
                name,
                "should be a domain with at least two segments separated by dots",
            );
        }
    }
    if name == "kubernetes.io/legacy-unknown" {
        errors.invalid_str(&path, name, "the legacy signerName is not allowed via this API version");
    }
}

pub(super) fn flow_schema(object: &Value, errors: &mut ErrorList) {
    const VERBS: [&str; 9] =
        ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
    let spec = object.at("spec");
    let precedence = spec.int("matchingPrecedence").unwrap_or(0);
    let path = SPEC.child("matchingPrecedence");
    if precedence <= 0 {
        errors.invalid(&path, spec.at("matchingPrecedence"), "must be a positive value");
    }
    if precedence > 10_000 {
        errors.invalid(&path, spec.at("matchingPrecedence"), "must not be greater than 10000");
    }
    if spec.has("distinguisherMethod") {
        let kind = spec.at("distinguisherMethod").text("type");
        if !matches!(kind, "ByNamespace" | "ByUser") {
            let method = SPEC.child("distinguisherMethod");
            errors.not_supported(&method.child("type"), kind, &["ByNamespace", "ByUser"]);
        }
    }
    let level = SPEC.child("priorityLevelConfiguration");
    let name = spec.at("priorityLevelConfiguration").text("name");
    if name.is_empty() {
        errors.required(&level.child("name"), "must reference a priority level");
    } else {
        complain(&level.child("name"), name, names::check_dns1123_subdomain(name), errors);
    }
    let rules = SPEC.child("rules");
    for (i, rule) in spec.list("rules").iter().enumerate() {
        let at = rules.index(i);
        let subjects = at.child("subjects");
        if rule.list("subjects").is_empty() {
            errors.required(&subjects, "subjects must contain at least one value");
        }
        for (j, subject) in rule.list("subjects").iter().enumerate() {
            flow_subject(subject, &subjects.index(j), errors);
        }
        let (resources, urls) = (rule.list("resourceRules"), rule.list("nonResourceRules"));
        if resources.is_empty() && urls.is_empty() {
            errors.required(&at, "at least one of resourceRules and nonResourceRules has to be non-empty");
        }
        for (field, list) in [("resourceRules", resources), ("nonResourceRules", urls)] {
            let all = at.child(field);
            for (j, one) in list.iter().enumerate() {
                let at = all.index(j);
                let verbs = strings(one.list("verbs"));
                if verbs.is_empty() {
                    errors.required(&at.child("verbs"), "verbs must contain at least one value");
                } else if field == "resourceRules"
                    && !verbs.contains(&"*")
                    && verbs.iter().any(|v| !VERBS.contains(v))
                {
                    errors.not_supported_text(
                        &at.child("verbs"),
                        crate::field::bad_value(one.at("verbs")),
                        &VERBS,
                    );
                }
                let urls = at.child("nonResourceURLs");
                for (k, url) in strings(one.list("nonResourceURLs")).iter().enumerate() {
                    if *url != "*" && !url.starts_with('/') {
                        errors.invalid_str(&urls.index(k), url, "must start with slash");
                    }
                }
            }
        }
    }
    if object.at("metadata").text("name") == "exempt" && (precedence != 1 || name != "exempt") {
        errors.invalid(&SPEC, spec, "spec of 'exempt' must equal the fixed value");
    }
}

fn flow_subject(subject: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let kind = subject.text("kind");
    for (wanted, field) in [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")] {
        if kind == wanted {
            if !subject.has(field) {
                let text = format!("{field} is required when subject kind is '{wanted}'");
                errors.required(&path.child(field), text);
            } else {
                required(subject.at(field), "name", &path.child(field), errors);
            }
        } else if subject.has(field) && matches!(kind, "ServiceAccount" | "User" | "Group") {
            errors.forbidden(
                &path.child(field),
                format!("{field} is forbidden when subject kind is not '{wanted}'"),
            );
        }
    }
    if !matches!(kind, "ServiceAccount" | "User" | "Group") {
        errors.not_supported(&path.child("kind"), kind, &["Group", "ServiceAccount", "User"]);
    }
}

pub(super) fn priority_level(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let kind = spec.text("type");
    match kind {
        "Exempt" => {
            if spec.has("limited") {
                errors.forbidden(&SPEC.child("limited"), "must be nil if the type is not Limited");
            }
        }
        "Limited" => {
            if !spec.has("limited") {
                errors.required(&SPEC.child("limited"), "must not be empty when type is Limited");
                return;
            }
            let limited = spec.at("limited");
            let at = SPEC.child("limited");
            not_negative(limited, "nominalConcurrencyShares", &at, errors);
            let response = limited.at("limitResponse");
            let place = at.child("limitResponse");
            match response.text("type") {
                "Reject" => {
                    if response.has("queuing") {
                        errors.forbidden(
                            &place.child("queuing"),
                            "must be nil if limited.limitResponse.type is not Limited",
                        );
                    }
                }
                "Queue" => queuing(response.at("queuing"), &place.child("queuing"), errors),
                other => errors.not_supported(&place.child("type"), other, &["Queue", "Reject"]),
            }
        }
        other => errors.not_supported(&SPEC.child("type"), other, &["Exempt", "Limited"]),
    }
}

fn queuing(queuing: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    if queuing.is_null() {
        errors.required(path, "must not be empty if limited.limitResponse.type is Limited");
        return;
    }
    let (queues, hand) = (queuing.int("queues").unwrap_or(0), queuing.int("handSize").unwrap_or(0));
    for name in ["queueLengthLimit", "queues", "handSize"] {
        if queuing.int(name).unwrap_or(0) <= 0 {
            errors.invalid(&path.child(name), queuing.at(name), "must be positive");
        }
    }
    if queues > 10_000_000 {
        errors.invalid(&path.child("queues"), queuing.at("queues"), "must not be greater than 10000000");
    }
    if hand > queues {
        let text = format!("should not be greater than queues ({queues})");
        errors.invalid(&path.child("handSize"), queuing.at("handSize"), text);
    }
}

pub(super) fn api_service(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let (group, version) = (spec.text("group"), spec.text("version"));
    let expected = format!("{version}.{group}");
    let name = object.at("metadata").text("name");
    let meta = Path::new("metadata");
    if !name.is_empty() && name != expected.trim_end_matches('.') && name != expected {
        let text = format!("must be `spec.version+\".\"+spec.group`: {}", crate::field::quote(&expected));
        errors.invalid_str(&meta.child("name"), name, text);
    }
    if !group.is_empty() {
        complain(&SPEC.child("group"), group, names::check_dns1123_subdomain(group), errors);
    }
    complain(&SPEC.child("version"), version, names::check_dns1035_label(version), errors);
    let local = !spec.has("service");
    for (field, limit, shown) in [("groupPriorityMinimum", 20_000, 20_000), ("versionPriority", 1000, 1000)] {
        let value = spec.int(field).unwrap_or(0);
        if value <= 0 || value > limit {
            let text = format!("must be positive and less than {shown}");
            errors.invalid(&SPEC.child(field), spec.at(field), text);
        }
    }
    if local {
        if !spec.text("caBundle").is_empty() {
            let text = "local APIServices may not have a caBundle";
            errors.invalid_text(
                &SPEC.child("caBundle"),
                format!("{} bytes", spec.text("caBundle").len()),
                text,
            );
        }
        if spec.is_true("insecureSkipTLSVerify") {
            let text = "local APIServices may not have insecureSkipTLSVerify";
            errors.invalid(&SPEC.child("insecureSkipTLSVerify"), spec.at("insecureSkipTLSVerify"), text);
        }
        return;
    }
    let service = spec.at("service");
    let at = SPEC.child("service");
    required(service, "namespace", &at, errors);
    required(service, "name", &at, errors);
    if let Some(text) = names::check_port_number(service.int("port").unwrap_or(0)) {
        errors.invalid(&at.child("port"), service.at("port"), format!("port is not valid: {text}"));
    }
    if spec.is_true("insecureSkipTLSVerify") && !spec.text("caBundle").is_empty() {
        let text = "may not be true if caBundle is present";
        errors.invalid(&SPEC.child("insecureSkipTLSVerify"), spec.at("insecureSkipTLSVerify"), text);
    }
}
