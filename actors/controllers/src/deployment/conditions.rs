//! Conditions of a Deployment: they say when they were last updated, besides when they changed.

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

use crate::condition::Says;

/// The condition of a type in a status.
pub(super) fn find<'a>(status: &'a Value, kind: &str) -> &'a Value {
    status.list("conditions").iter().find(|condition| condition.text("type") == kind).unwrap_or(&Value::Null)
}

/// Sets a condition unless it says the same status and reason already.
pub(super) fn set(status: &mut Value, says: Says<'_>, now: Moment) {
    let old = find(status, says.kind);
    if old.text("status") != says.status || old.text("reason") != says.reason {
        renew(status, says, now);
    }
}

/// Sets a condition and says that it was updated now.
pub(super) fn renew(status: &mut Value, says: Says<'_>, now: Moment) {
    let Says { kind, status: value, reason, message } = says;
    let old = find(status, kind);
    let since = if old.text("status") == value { old.text("lastTransitionTime") } else { "" };
    let since = if since.is_empty() { now.to_time() } else { since.to_owned() };
    let new = json!({
        "type": kind, "status": value, "reason": reason, "message": message,
        "lastUpdateTime": now.to_time(), "lastTransitionTime": since,
    });
    let mut conditions = status.list("conditions").to_vec();
    conditions.retain(|condition| condition.text("type") != kind);
    conditions.push(new);
    status.put("conditions", conditions);
}
