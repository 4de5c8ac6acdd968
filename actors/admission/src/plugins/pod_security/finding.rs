//! [`Finding`]: what one check has against a pod; and the words for it.

use serde_json::Value;
use trireme_schema::view::View;

use crate::pod::containers;
use crate::refuse::quoted;

/// A pod, or the template of one.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) metadata: &'a Value,
    pub(super) spec: &'a Value,
}

impl<'a> Subject<'a> {
    pub(super) fn of(pod: &'a Value) -> Self {
        Self { metadata: pod.at("metadata"), spec: pod.at("spec") }
    }

    pub(super) fn security(&self) -> &'a Value {
        self.spec.at("securityContext")
    }

    pub(super) fn containers(&self) -> impl Iterator<Item = &'a Value> + use<'a> {
        containers(self.spec)
    }

    /// Names of the containers that `bad` picks.
    pub(super) fn names(&self, bad: impl Fn(&Value) -> bool) -> Vec<&'a str> {
        self.containers().filter(|container| bad(container)).map(|container| container.text("name")).collect()
    }

    pub(super) fn is_windows(&self) -> bool {
        self.spec.at("os").text("name") == "windows"
    }

    /// The pod has a user namespace of its own.
    pub(super) fn is_user_namespaced(&self) -> bool {
        self.spec.at("hostUsers") == &Value::Bool(false)
    }
}

/// What one check has against a pod.
pub(super) struct Finding {
    pub(super) reason: String,
    pub(super) detail: String,
}

impl Finding {
    pub(super) fn new(reason: impl Into<String>, detail: impl Into<String>) -> Option<Self> {
        Some(Self { reason: reason.into(), detail: detail.into() })
    }
}

/// `container "a"` or `containers "a", "b"`
pub(super) fn containers_named(names: &[&str]) -> String {
    format!("{} {}", plural("container", names.len()), quoted(names))
}

/// The word with an `s` unless there is one of it.
pub(super) fn plural(word: &str, count: usize) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

/// `pod and containers "a"`: who sets something.
pub(super) fn setters(pod: bool, names: &[&str]) -> String {
    match (pod, names.is_empty()) {
        (true, true) => "pod".to_owned(),
        (true, false) => format!("pod and {}", containers_named(names)),
        (false, _) => containers_named(names),
    }
}
