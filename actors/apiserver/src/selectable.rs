//! [`Selection`]: which objects a list, watch or collection delete is about.

use serde_json::Value;
use trireme_schema::selector::{FieldRequirement, FieldSelector, LabelSelector};
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::View;

use crate::catalogue::ServedKind;

const PODS: &[&str] = &[
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork",
    "status.phase",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];
const EVENTS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];
const EVENTS_V1: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

/// The fields that selectors on a built-in kind may name besides name and namespace.
pub(crate) fn builtin(group: &str, resource: &str) -> &'static [&'static str] {
    match (group, resource) {
        ("", "pods") => PODS,
        ("", "events") => EVENTS,
        ("events.k8s.io", "events") => EVENTS_V1,
        ("", "nodes") => &["spec.unschedulable"],
        ("", "namespaces") => &["status.phase", "name"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "replicationcontrollers") | ("apps", "replicasets") => &["status.replicas"],
        ("batch", "jobs") => &["status.successful"],
        ("certificates.k8s.io", "certificatesigningrequests" | "clustertrustbundles") => &["spec.signerName"],
        ("networking.k8s.io", "servicecidrs" | "ipaddresses") => &[],
        ("resource.k8s.io", "resourceslices") => &["spec.nodeName", "spec.driver"],
        _ => &[],
    }
}

/// Kinds whose refusals of unknown fields have their own words.
fn has_own_conversion(kind: &ServedKind) -> bool {
    !kind.custom
        && match (kind.group.as_str(), kind.plural.as_str()) {
            ("", "services") => false,
            _ => !kind.rules.selectable_fields().is_empty(),
        }
}

/// Labels and fields that must match.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    labels: LabelSelector,
    fields: Vec<FieldRequirement>,
    custom: bool,
}

impl Selection {
    /// Reads `labelSelector` and `fieldSelector`.
    ///
    /// # Errors
    /// 400 for malformed selectors and for fields that the kind does not offer.
    pub(crate) fn parse(kind: &ServedKind, labels: &str, fields: &str) -> Result<Self, Failure> {
        let labels = LabelSelector::parse(labels).map_err(|e| Status::bad_request(e.to_string()))?;
        let fields = FieldSelector::parse(fields).map_err(|e| Status::bad_request(e.to_string()))?;
        let offered = kind.rules.selectable_fields();
        let mut own = Vec::with_capacity(fields.requirements().len());
        for requirement in fields.requirements() {
            let field = requirement.field.as_str();
            let meta = field == "metadata.name" || (field == "metadata.namespace" && kind.namespaced);
            if !meta && !offered.contains(&field) {
                return Err(Status::bad_request(unknown(kind, field)));
            }
            own.push(FieldRequirement { field: stored_field(kind, field), ..requirement.clone() });
        }
        Ok(Self { labels, fields: own, custom: kind.custom })
    }

    /// Every object matches.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_empty()
    }

    /// The one name that can match, if a field says so.
    pub(crate) fn name(&self) -> Option<&str> {
        self.required("metadata.name")
    }

    /// The one namespace that can match, if a field says so.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.required("metadata.namespace")
    }

    fn required(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|r| r.equal && r.field == field).map(|r| r.value.as_str())
    }

    /// Only name and namespace are asked for, which the key tells.
    pub(crate) fn is_by_key(&self) -> bool {
        self.labels.is_everything()
            && self.fields.iter().all(|r| matches!(r.field.as_str(), "metadata.name" | "metadata.namespace"))
    }

    /// Whether the key's namespace and name match. Only for [`Selection::is_by_key`].
    pub(crate) fn matches_key(&self, namespace: &str, name: &str) -> bool {
        self.fields.iter().all(|r| {
            let own = if r.field == "metadata.name" { name } else { namespace };
            (own == r.value) == r.equal
        })
    }

    /// Whether an object in its stored version matches.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object.at("metadata").map("labels"))
            && self.fields.iter().all(|r| (self.text(object, &r.field) == r.value) == r.equal)
    }

    fn text(&self, object: &Value, field: &str) -> String {
        let value = field.split('.').fold(object, |value, name| value.at(name));
        match (field, value) {
            ("source", _) if !self.custom => {
                let source = object.at("source").text("component");
                let fallback = object.text("reportingComponent");
                if source.is_empty() { fallback } else { source }.to_owned()
            }
            ("name", Value::Null) if !self.custom => object.at("metadata").text("name").to_owned(),
            ("status.podIPs", _) if !self.custom => object.at("status").text("podIP").to_owned(),
            ("spec.unschedulable" | "spec.hostNetwork", Value::Null) if !self.custom => "false".to_owned(),
            ("status.successful", _) if !self.custom => {
                object.at("status").int("succeeded").unwrap_or(0).to_string()
            }
            ("status.replicas", Value::Null) if !self.custom => "0".to_owned(),
            (_, Value::Null) => String::new(),
            (_, Value::String(text)) => text.clone(),
            (_, other) => other.to_string(),
        }
    }
}

fn unknown(kind: &ServedKind, field: &str) -> String {
    if kind.custom {
        return format!("field label not supported: {field}");
    }
    if has_own_conversion(kind) {
        return format!("field label not supported: {field}");
    }
    format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
}

/// The field's place in the stored version.
fn stored_field(kind: &ServedKind, field: &str) -> String {
    if kind.group == "events.k8s.io" {
        if let Some(rest) = field.strip_prefix("regarding.") {
            return format!("involvedObject.{rest}");
        }
        if field == "reportingController" {
            return "reportingComponent".to_owned();
        }
    }
    field.to_owned()
}
