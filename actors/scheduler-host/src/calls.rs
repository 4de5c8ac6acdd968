//! What the scheduler answers.

use serde::{Deserialize, Serialize};
use trireme_kernel::Call;

/// What was decided about a pod, and why? For administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Call for ExplainPod {
    type Answer = PodExplained;
    const NAME: &'static str = "scheduler.explain-pod";
}

/// The last decision about a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodExplained {
    /// For people; `None` when nothing was decided about such a pod in this reign.
    pub text: Option<String>,
    /// A `trireme_scheduler::DecisionRecord` as JSON.
    pub json: Option<String>,
}
