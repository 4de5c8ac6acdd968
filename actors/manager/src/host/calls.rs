//! What a controller's actor answers: why a key has not settled.

use serde::{Deserialize, Serialize};
use trireme_kernel::Call;

/// Asks a controller about one key, or about all that have not settled. For administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainKeys {
    /// `namespace/name`, or the name alone for cluster-scoped kinds; `None` asks for all.
    pub key: Option<String>,
}

/// Most keys in one answer; those that failed most often come first.
pub const EXPLAINED_KEYS: usize = 200;

impl Call for ExplainKeys {
    type Answer = QueueReport;
    const NAME: &'static str = "controller.explain-keys";
}

/// A controller's queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueReport {
    /// What the controller does: `waiting`, `beginning`, `idle`, `working`, `over`.
    pub state: String,
    /// Keys that have not settled.
    pub unsettled: u64,
    /// Those that were asked for, at most [`EXPLAINED_KEYS`].
    pub keys: Vec<KeyExplained>,
}

/// Where one key stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyExplained {
    /// Which.
    pub key: String,
    /// `ready`, `in-flight`, `in-flight-changed`, `waiting`.
    pub state: String,
    /// For how long it has been so, in milliseconds.
    pub for_ms: u64,
    /// When it is looked at again, in milliseconds from now; for `waiting`.
    pub due_ms: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
    /// The last one's text.
    pub last_error: Option<String>,
}
