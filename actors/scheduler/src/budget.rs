//! [`Budget`]: a PodDisruptionBudget as preemption sees it.

use serde_json::Value;
use trireme_schema::view::View;

use crate::labels::{Labels, Selector};
use crate::names::{Names, Sym};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    pub(crate) namespace: Sym,
    selector: Selector,
    /// `status.disruptionsAllowed`.
    pub(crate) allowed: i64,
    /// Pods whose disruption is already counted.
    disrupted: Vec<String>,
}

impl Budget {
    /// From a PodDisruptionBudget.
    pub(crate) fn read(names: &mut Names, object: &Value) -> Self {
        let status = object.at("status");
        let disrupted = status.map("disruptedPods").into_iter().flatten().map(|(name, _)| name.clone());
        Self {
            namespace: names.of(object.at("metadata").text("namespace")),
            selector: Selector::read(names, object.below(&["spec", "selector"])),
            allowed: status.int("disruptionsAllowed").unwrap_or(0),
            disrupted: disrupted.collect(),
        }
    }

    /// Whether disrupting a pod is charged to this budget.
    pub(crate) fn covers(&self, names: &Names, namespace: Sym, labels: &Labels, name: &str) -> bool {
        // An empty selector, like none, covers no pod.
        namespace == self.namespace
            && !labels.is_empty()
            && !self.selector.is_everything()
            && self.selector.matches(names, labels)
            && !self.disrupted.iter().any(|own| own == name)
    }
}
