//! What others wrote over the worker's status.

use serde_json::Value;
use trireme_schema::view::View;

use super::effect::Op;
use super::state::PodWorker;

impl PodWorker {
    /// While the node was not heard of, the cluster called the pod not ready: the status that was written last is written
    /// again. Looked for with each version of the pod and with each list of the runtime that was not asked for.
    pub(super) fn heed_overwriting(&mut self) {
        let is_ready = |status: &Value, word: &str| {
            let mut ready = status.list("conditions").iter().filter(|own| own.text("type") == "Ready");
            ready.any(|own| own.text("status") == word)
        };
        let idle = !self.has_op(|op| matches!(op, Op::WriteStatus(_)));
        let ours = self.written.as_ref().is_some_and(|written| is_ready(written, "True"));
        if idle && ours && is_ready(self.pod.at("status"), "False") {
            self.written = None;
        }
    }
}
