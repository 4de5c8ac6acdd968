//! What controllers ask about pods.

use std::time::Duration;

use serde_json::Value;
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use crate::condition;
use crate::owner::is_deleting;

/// Neither finished nor on its way out.
pub(crate) fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && !is_deleting(pod)
}

/// All its containers have ended for good.
pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(pod.at("status").text("phase"), "Succeeded" | "Failed")
}

/// Its `Ready` condition is true.
pub(crate) fn is_ready(pod: &Value) -> bool {
    condition::is_true(pod, "Ready")
}

/// How long a ready pod must stay so to count as available; zero when it does. `None` for one that is not ready.
pub(crate) fn available_in(pod: &Value, min_ready_seconds: i64, now: Moment) -> Option<Duration> {
    if !is_ready(pod) {
        return None;
    }
    if min_ready_seconds <= 0 {
        return Some(Duration::ZERO);
    }
    let since = Moment::parse_time(condition::condition(pod, "Ready").text("lastTransitionTime")).ok()?;
    let left = since.unix_seconds().saturating_add(min_ready_seconds) - now.unix_seconds();
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}

/// Ready for long enough.
pub(crate) fn is_available(pod: &Value, min_ready_seconds: i64, now: Moment) -> bool {
    available_in(pod, min_ready_seconds, now) == Some(Duration::ZERO)
}

/// When a finished pod finished: when its last container did, or else what its conditions or its creation say.
pub(crate) fn finished_at(pod: &Value) -> Option<Moment> {
    let status = pod.at("status");
    let containers = status.list("containerStatuses").iter().chain(status.list("initContainerStatuses"));
    let ended = containers.filter_map(|container| {
        let state = container.at("state").at("terminated");
        Moment::parse_time(state.text("finishedAt")).ok()
    });
    let moment = |text: &str| Moment::parse_time(text).ok();
    ended
        .max()
        .or_else(|| moment(condition::condition(pod, "Ready").text("lastTransitionTime")))
        .or_else(|| moment(pod.at("metadata").text("deletionTimestamp")))
        .or_else(|| moment(status.text("startTime")))
        .or_else(|| moment(pod.at("metadata").text("creationTimestamp")))
}
