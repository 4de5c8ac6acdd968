//! How long a request may take: `?timeout=`, up to the server's own limit.

use std::time::Duration;

use trireme_schema::status::{Failure, Status};
use trireme_schema::time::parse_duration_nanos;

use crate::query::Query;
use crate::request_info::RequestInfo;

/// The time that a short request has. Lists may also say it in `timeoutSeconds`.
///
/// # Errors
/// 400 for what is no duration.
pub(crate) fn allowed(info: &RequestInfo, query: &Query, limit: Duration) -> Result<Duration, Failure> {
    let seconds = query.text("timeoutSeconds").parse::<u64>().ok().filter(|seconds| *seconds > 0);
    let limit = match seconds {
        Some(seconds) if info.verb == "list" => limit.min(Duration::from_secs(seconds)),
        _ => limit,
    };
    let text = query.text("timeout");
    if text.is_empty() {
        return Ok(limit);
    }
    let nanos = parse_duration_nanos(text).ok_or_else(|| {
        let why = format!("invalid timeout specified in the request URL - time: invalid duration {text:?}");
        Status::bad_request(why)
    })?;
    // Zero and less say nothing, as upstream.
    let asked = u64::try_from(nanos).map_or(limit, Duration::from_nanos);
    Ok(if asked.is_zero() { limit } else { asked.min(limit) })
}

/// 504: the time is over; what the request did is unknown.
pub(crate) fn over() -> Failure {
    Status::timeout("request did not complete within requested timeout - context deadline exceeded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_may_ask_for_less_than_the_limit() {
        let ask = |text: &str| {
            let query = Query::parse(text);
            allowed(&RequestInfo::parse("GET", "/api/v1/pods", &query), &query, Duration::from_secs(60))
        };
        assert_eq!(ask("timeoutSeconds=7").unwrap(), Duration::from_secs(7));
        assert_eq!(ask("").unwrap(), Duration::from_secs(60));
        assert_eq!(ask("timeout=5s").unwrap(), Duration::from_secs(5));
        assert_eq!(ask("timeout=5m").unwrap(), Duration::from_secs(60));
        assert_eq!(ask("timeout=0s").unwrap(), Duration::from_secs(60));
        assert_eq!(ask("timeout=soon").unwrap_err().code, 400);
    }
}
