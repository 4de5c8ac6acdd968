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
