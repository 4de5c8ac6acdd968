//! Healing of flow control objects: the mandatory ones are forced, the suggested ones follow unless taken over.

use serde_json::Value;
use trireme_schema::objects::Objects;
use trireme_schema::view::{Edit, View, same};

use super::objects::{Initial, initial_objects};
use super::reconcile::Step;

/// Annotation: `"true"` lets a start replace the spec, `"false"` says that somebody took the object over.
pub(super) const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
const GROUP: &str = "flowcontrol.apiserver.k8s.io";
const MANDATORY: [&str; 2] = ["catch-all", "exempt"];

fn annotation(object: &Value) -> &str {
    object.at("metadata").at("annotations").text(AUTOUPDATE)
}

fn follows(found: &Value) -> bool {
    match annotation(found) {
        "true" => true,
        "false" => false,
        // Never said: still as it was made.
        _ => found.at("metadata").int("generation").unwrap_or(0) == 1,
    }
}

fn annotate(object: &mut Value, value: &str) {
    if let Some(annotations) = object.object("metadata").and_then(|m| m.object("annotations")) {
        annotations.put(AUTOUPDATE, value);
    }
}

pub(super) fn update(found: &Value, wanted: Initial) -> Option<Step> {
    let mut object = found.clone();
    if MANDATORY.contains(&wanted.name()) || follows(found) {
        let mut spec = wanted.object.at("spec").clone();
        // Shares of the exempt level are the administrator's.
        if spec.text("type") == "Exempt" && found.at("spec").has("exempt") {
            spec.put("exempt", found.at("spec").at("exempt").clone());
        }
        if same(&with_defaults(&spec), &with_defaults(found.at("spec"))) && annotation(found) == "true" {
            return None;
        }
        object.put("spec", spec);
        annotate(&mut object, "true");
    } else if annotation(found) == "false" {
        return None;
    } else {
        annotate(&mut object, "false");
    }
    Some(Step::Update(Initial { object, ..wanted }))
}

/// A spec with the defaults that the stored one has and the data leaves out.
fn with_defaults(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for rule in spec.items("rules") {
        for resource in rule.items("resourceRules") {
            resource.default("clusterScope", false);
        }
    }
    spec
}

/// Objects that an older version made, that nobody took over, and that this version does not have.
pub(super) fn obsolete(objects: &dyn Objects, now: &str) -> Vec<Step> {
    let wanted = initial_objects(now);
    let mut out = Vec::new();
    for resource in ["flowschemas", "prioritylevelconfigurations"] {
        for found in objects.list(GROUP, resource, None) {
            let name = found.at("metadata").text("name");
            let known = wanted.iter().any(|own| own.resource == resource && own.name() == name);
            if !known && annotation(&found) == "true" {
                let object = (*found).clone();
                out.push(Step::Delete(Initial { group: GROUP, version: "v1", resource, object }));
            }
        }
    }
    out
}
