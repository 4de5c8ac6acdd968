//! Conditions of a Job.

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

/// How a job ends: what it says before its pods are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// It succeeded.
    pub(super) success: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Ending {
    pub(super) fn failure(reason: &str, message: &str) -> Self {
        Self { success: false, reason: reason.to_owned(), message: message.to_owned() }
    }

    pub(super) fn success(reason: &str, message: &str) -> Self {
        Self { success: true, reason: reason.to_owned(), message: message.to_owned() }
    }

    /// What a job says of its ending so far.
    pub(super) fn said(job: &Value) -> Option<Self> {
        let found = |kind: &str, success| {
            let condition =
                find(job.at("status"), kind).filter(|condition| condition.text("status") == "True")?;
            let (reason, message) =
                (condition.text("reason").to_owned(), condition.text("message").to_owned());
            Some(Self { success, reason, message })
        };
        found("SuccessCriteriaMet", true).or_else(|| found("FailureTarget", false))
    }

    /// Says it, first or for good.
    pub(super) fn say(&self, status: &mut Value, for_good: bool, now: Moment) {
        let kind = match (self.success, for_good) {
            (true, false) => "SuccessCriteriaMet",
            (true, true) => "Complete",
            (false, false) => "FailureTarget",
            (false, true) => "Failed",
        };
        set(status, kind, "True", &self.reason, &self.message, now);
    }
}

/// The condition of a type in a status.
pub(super) fn find<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status.list("conditions").iter().find(|condition| condition.text("type") == kind)
}

/// Sets a condition; true when its status or its words changed. One that would be false for the first time is not
/// added.
pub(super) fn set(
    status: &mut Value,
    kind: &str,
    value: &str,
    reason: &str,
    message: &str,
    now: Moment,
) -> bool {
    let old = find(status, kind);
    let same = |old: &Value| {
        old.text("status") == value && old.text("reason") == reason && old.text("message") == message
    };
    if old.map_or(value == "False", same) {
        return false;
    }
    let new = json!({
        "type": kind, "status": value, "reason": reason, "message": message,
        "lastProbeTime": now.to_time(), "lastTransitionTime": now.to_time(),
    });
    let mut conditions = status.list("conditions").to_vec();
    match conditions.iter_mut().find(|condition| condition.text("type") == kind) {
        Some(place) => *place = new,
        None => conditions.push(new),
    }
    status.put("conditions", conditions);
    true
}

/// The condition by which a job is finished: `Complete` or `Failed`.
pub(crate) fn finished_condition(job: &Value) -> Option<&Value> {
    ["Complete", "Failed"]
        .into_iter()
        .find_map(|kind| find(job.at("status"), kind).filter(|condition| condition.text("status") == "True"))
}
