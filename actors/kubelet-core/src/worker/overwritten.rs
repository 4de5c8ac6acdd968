//! What others wrote over the worker's status.

use serde_json::Value;
use trireme_schema::view::View;

use super::state::PodWorker;

impl PodWorker {
    /// Somebody else says whether the pod is ready, as the node lifecycle does while the node is silent; here it is known.
    /// True once for each version of the pod: after a write the API goes on to show the old one for a while.
    pub(super) fn is_overwritten(&self) -> bool {
        let ready = |status: &Value| {
            let mut conditions = status.list("conditions").iter();
            let ready = conditions.find(|condition| condition.text("type") == "Ready");
            ready.map(|condition| condition.text("status").to_owned())
        };
        let said = ready(self.pod.at("status"));
        let differs = said.is_some() && self.written.as_ref().is_some_and(|written| ready(written) != said);
        differs && self.righted.as_deref() != Some(self.version())
    }

    /// The version of the pod that the API showed last.
    pub(super) fn version(&self) -> &str {
        self.pod.at("metadata").text("resourceVersion")
    }
}
