//! The status of CustomResourceDefinitions: which names are accepted, whether the kind is served, and the way it
//! goes when the definition is deleted. Upstream spreads this over several controllers; their conditions, reasons and
//! texts are kept.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::definition::{Approval, approval_of, is_protected};
use crate::view::{Edit, View};

/// The finalizer that holds a deleted definition until its objects are gone.
pub const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// How far the deletion of a definition's objects has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Termination {
    /// The definition was marked.
    Pending,
    /// Objects are being deleted.
    InProgress,
    /// The definition never served anything.
    NeverEstablished,
    /// All objects are gone.
    Completed,
    /// It went wrong, and will be tried again.
    Failed(String),
}

/// Whether a condition of a definition is true.
pub fn is_true(definition: &Value, condition: &str) -> bool {
    find(definition, condition).is_some_and(|c| c.text("status") == "True")
}

fn find<'a>(definition: &'a Value, condition: &str) -> Option<&'a Value> {
    definition.at("status").list("conditions").iter().find(|c| c.text("type") == condition)
}

/// Adds the storage version to `status.storedVersions`.
pub(crate) fn note_stored_version(definition: &mut Value) {
    let versions = definition.at("spec").list("versions");
    let Some(name) = versions.iter().find(|v| v.is_true("storage")).map(|v| v.at("name").clone()) else {
        return;
    };
    let mut stored = definition.at("status").list("storedVersions").to_vec();
    if stored.contains(&name) {
        return;
    }
    stored.push(name);
    if let Some(status) = definition.object("status") {
        status.put("storedVersions", stored);
    }
}

/// Settles the names of `definition` against the other definitions: the definition with accepted names and the
/// conditions `NamesAccepted`, `Established` and, for protected groups, `KubernetesAPIApprovalPolicyConformant`.
/// `None` when nothing changes. `now` is a `metav1.Time`.
///
/// Whoever deletes or renames a definition settles the others of its group again.
pub fn settle(definition: &Value, others: &[&Value], now: &str) -> Option<Value> {
    let group = definition.at("spec").text("group");
    let own = definition.at("metadata").text("name");
    let rivals = others
        .iter()
        .filter(|o| o.at("spec").text("group") == group && o.at("metadata").text("name") != own)
        .map(|o| o.at("status").at("acceptedNames"));
    let taken = Taken::by(rivals);
    let (names, complaint) = accept(definition, &taken);
    let mut out = definition.clone();
    if let Some(status) = out.object("status") {
        status.put("acceptedNames", names);
    }
    let (status, reason, message) = match complaint {
        Some((reason, message)) => ("False", reason, message),
        None => ("True", "NoConflicts", "no conflicts found".to_owned()),
    };
    set_condition(&mut out, "NamesAccepted", status, reason, &message, now);
    if status == "True" && !is_true(definition, "Established") {
        let message = "the initial names have been accepted";
        set_condition(&mut out, "Established", "True", "InitialNamesAccepted", message, now);
    } else if find(definition, "Established").is_none() {
        let message = "not all names are accepted";
        set_condition(&mut out, "Established", "False", "NotAccepted", message, now);
    }
    approval(&mut out, now);
    (out != *definition).then_some(out)
}

/// Names that other definitions of the group hold.
struct Taken {
    resources: BTreeSet<String>,
    kinds: BTreeSet<String>,
}

impl Taken {
    fn by<'a>(names: impl Iterator<Item = &'a Value>) -> Taken {
        let mut out = Taken { resources: BTreeSet::new(), kinds: BTreeSet::new() };
        for names in names {
            out.resources.extend(["plural", "singular"].map(|n| names.text(n).to_owned()));
            let short = names.list("shortNames").iter().filter_map(Value::as_str);
            out.resources.extend(short.map(str::to_owned));
            out.kinds.extend(["kind", "listKind"].map(|n| names.text(n).to_owned()));
        }
        out.resources.remove("");
        out.kinds.remove("");
        out
    }
}

/// The names that are accepted, and what stands against the others.
fn accept(definition: &Value, taken: &Taken) -> (Value, Option<(&'static str, String)>) {
    let wanted = definition.at("spec").at("names");
    let mut names = definition.at("status").at("acceptedNames").clone();
    if !names.is_object() {
        names = json!({"kind": "", "plural": ""});
    }
    let before = names.clone();
    let mut complaint = None;
    for (name, reason, used) in [
        ("plural", "PluralConflict", &taken.resources),
        ("singular", "SingularConflict", &taken.resources),
        ("kind", "KindConflict", &taken.kinds),
        ("listKind", "ListKindConflict", &taken.kinds),
    ] {
        let text = wanted.text(name);
        if text != before.text(name) && used.contains(text) {
            complaint = Some((reason, format!("\"{text}\" is already in use")));
        } else if !text.is_empty() {
            names.put(name, text);
        }
        if name == "singular"
            && let Some(why) = short_names(wanted, &before, taken, &mut names)
        {
            complaint = Some(("ShortNamesConflict", why));
        }
    }
    match wanted.list("categories") {
        [] => {
            names.remove("categories");
        }
        categories => names.put("categories", categories.to_vec()),
    }
    (names, complaint)
}

/// Short names are accepted all or none; says which are taken.
fn short_names(wanted: &Value, before: &Value, taken: &Taken, names: &mut Value) -> Option<String> {
    let held = before.list("shortNames");
    let asked = wanted.list("shortNames");
    let clashes: Vec<String> = asked
        .iter()
        .filter(|n| !held.contains(n))
        .filter_map(Value::as_str)
        .filter(|n| taken.resources.contains(*n))
        .map(|n| format!("\"{n}\" is already in use"))
        .collect();
    match &clashes[..] {
        [] if asked.is_empty() => {
            names.remove("shortNames");
            None
        }
        [] => {
            names.put("shortNames", asked.to_vec());
            None
        }
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

fn approval(definition: &mut Value, now: &str) {
    if !is_protected(definition.at("spec").text("group")) {
        return;
    }
    let (state, message) = approval_of(definition);
    let (status, reason) = match state {
        Approval::Invalid => ("False", "InvalidAnnotation"),
        Approval::Missing => ("False", "MissingAnnotation"),
        Approval::Approved => ("True", "ApprovedAnnotation"),
        Approval::Bypassed => ("False", "UnapprovedAnnotation"),
    };
    set_condition(definition, "KubernetesAPIApprovalPolicyConformant", status, reason, &message, now);
}

/// Marks a definition that is being deleted: the finalizer on first sight, and the condition `Terminating`. With
/// [`Termination::Completed`] or [`Termination::NeverEstablished`] the finalizer goes.
pub fn terminate(definition: &mut Value, stage: &Termination, now: &str) {
    let (status, reason, message) = match stage {
        Termination::Pending => (
            "True",
            "InstanceDeletionPending",
            "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        ),
        Termination::InProgress => {
            ("True", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
        }
        Termination::NeverEstablished => ("False", "NeverEstablished", "resource was never established"),
        Termination::Completed => ("False", "InstanceDeletionCompleted", "removed all instances"),
        Termination::Failed(why) => ("True", "InstanceDeletionFailed", why.as_str()),
    };
    set_condition(definition, "Terminating", status, reason, message, now);
    let Some(metadata) = definition.object("metadata") else { return };
    let mut finalizers = metadata.list("finalizers").to_vec();
    let held = finalizers.iter().any(|f| f.as_str() == Some(CLEANUP_FINALIZER));
    match stage {
        Termination::Pending if !held => finalizers.push(CLEANUP_FINALIZER.into()),
        Termination::Completed | Termination::NeverEstablished => {
            finalizers.retain(|f| f.as_str() != Some(CLEANUP_FINALIZER));
        }
        _ => {}
    }
    if finalizers.is_empty() {
        metadata.remove("finalizers");
    } else {
        metadata.put("finalizers", finalizers);
    }
}

/// Sets a condition; its time moves only with its status.
fn set_condition(definition: &mut Value, name: &str, status: &str, reason: &str, message: &str, now: &str) {
    let mut conditions = definition.at("status").list("conditions").to_vec();
    let mut fresh = json!({"type": name, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": now});
    match conditions.iter_mut().find(|c| c.text("type") == name) {
        Some(old) => {
            if old.text("status") == status && old.has("lastTransitionTime") {
                fresh.put("lastTransitionTime", old.at("lastTransitionTime").clone());
            }
            if old.has("observedGeneration") {
                fresh.put("observedGeneration", old.at("observedGeneration").clone());
            }
            *old = fresh;
        }
        None => conditions.push(fresh),
    }
    if let Some(status) = definition.object("status") {
        status.put("conditions", conditions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn widget(plural: &str) -> Value {
        json!({"metadata":{"name":format!("{plural}.e.com")},
            "spec":{"group":"e.com","names":{"plural":plural,"singular":plural,"kind":"Widget","listKind":"WidgetList"},
                "versions":[{"name":"v1","storage":true}]},
            "status":{"acceptedNames":{"kind":"","plural":""},"conditions":null,"storedVersions":[]}})
    }

    #[test]
    fn names_are_accepted_once() {
        let first = settle(&widget("widgets"), &[], "t1").unwrap();
        assert!(is_true(&first, "NamesAccepted") && is_true(&first, "Established"));
        assert_eq!(first["status"]["acceptedNames"]["listKind"], "WidgetList");
        let order: Vec<&str> = first["status"].list("conditions").iter().map(|c| c.text("type")).collect();
        assert_eq!(order, ["NamesAccepted", "Established"]);
        assert_eq!(settle(&first, &[&first], "t2"), None, "settled names stay");
        let second = settle(&widget("gadgets"), &[&first], "t1").unwrap();
        assert_eq!(second["status"]["conditions"][0]["reason"], "ListKindConflict");
        assert_eq!(second["status"]["acceptedNames"]["plural"], "gadgets");
        assert!(!is_true(&second, "Established"));
        let freed = settle(&second, &[], "t2").unwrap();
        assert!(is_true(&freed, "Established"));
        assert_eq!(freed["status"]["acceptedNames"]["kind"], "Widget");
        assert_eq!(freed["status"]["conditions"][0]["lastTransitionTime"], "t2");
    }

    #[test]
    fn an_established_kind_stays_so() {
        let first = settle(&widget("widgets"), &[], "t1").unwrap();
        let mut renamed = first.clone();
        renamed["spec"]["names"]["shortNames"] = json!(["g"]);
        let mut rival = settle(&widget("gadgets"), &[], "t1").unwrap();
        rival["status"]["acceptedNames"]["shortNames"] = json!(["g"]);
        let after = settle(&renamed, &[&rival], "t2").unwrap();
        assert!(!is_true(&after, "NamesAccepted") && is_true(&after, "Established"));
    }

    #[test]
    fn termination() {
        let mut definition = widget("widgets");
        terminate(&mut definition, &Termination::Pending, "t1");
        assert_eq!(definition["metadata"]["finalizers"], json!([CLEANUP_FINALIZER]));
        terminate(&mut definition, &Termination::Completed, "t2");
        assert_eq!(definition["metadata"].get("finalizers"), None);
        assert_eq!(find(&definition, "Terminating").unwrap().text("reason"), "InstanceDeletionCompleted");
    }

    #[test]
    fn stored_versions_only_grow() {
        let mut definition = widget("widgets");
        note_stored_version(&mut definition);
        definition["spec"]["versions"] = json!([{"name":"v1"},{"name":"v2","storage":true}]);
        note_stored_version(&mut definition);
        note_stored_version(&mut definition);
        assert_eq!(definition["status"]["storedVersions"], json!(["v1", "v2"]));
    }
}
