//! Conditions in a status.

use serde_json::{Value, json};
use trireme_schema::time::Moment;
use trireme_schema::view::{Edit, View};

/// The condition of a type, or null.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let found =
        object.at("status").list("conditions").iter().find(|condition| condition.text("type") == kind);
    found.unwrap_or(&Value::Null)
}

/// Whether the condition of a type is `True`.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).text("status") == "True"
}

/// What a condition says, apart from its times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Says<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: &'a str,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

/// Sets a condition in a status. The transition time moves only when the condition's status changes; a condition that
/// says the same already is left as it is.
pub(crate) fn set(status: &mut Value, says: Says<'_>, now: Moment) {
    let Says { kind, status: value, reason, message } = says;
    let old = status.list("conditions").iter().find(|condition| condition.text("type") == kind).cloned();
    let mut since = now.to_time();
    if let Some(old) = old.filter(|old| old.text("status") == value) {
        if old.text("reason") == reason && old.text("message") == message {
            return;
        }
        old.text("lastTransitionTime").clone_into(&mut since);
    }
    let new = json!({
        "type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": since,
    });
    let mut conditions = status.list("conditions").to_vec();
    match conditions.iter_mut().find(|condition| condition.text("type") == kind) {
        Some(place) => *place = new,
        None => conditions.push(new),
    }
    status.put("conditions", conditions);
}

/// Takes a condition out of a status.
pub(crate) fn remove(status: &mut Value, kind: &str) {
    let rest: Vec<Value> = status
        .list("conditions")
        .iter()
        .filter(|condition| condition.text("type") != kind)
        .cloned()
        .collect();
    if rest.is_empty() {
        status.remove("conditions");
    } else {
        status.put("conditions", rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_follows_the_status_only() {
        let at = |seconds| Moment::from_unix(seconds, 0);
        let says = |status, reason| Says { kind: "Ready", status, reason, message: "" };
        let mut status = json!({});
        set(&mut status, says("True", "A"), at(1));
        let first = status.clone();
        set(&mut status, says("True", "A"), at(2));
        assert_eq!(status, first);
        set(&mut status, says("True", "B"), at(3));
        assert_eq!(status["conditions"][0]["lastTransitionTime"], at(1).to_time());
        set(&mut status, says("False", "B"), at(4));
        assert_eq!(status["conditions"][0]["lastTransitionTime"], at(4).to_time());
        remove(&mut status, "Ready");
        assert_eq!(status, json!({}));
    }
}
