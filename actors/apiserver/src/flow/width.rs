//! How many seats a request is wide: lists by the objects they look at, everything else one.
//!
//! The estimate is upstream's: one seat for each hundred objects that are processed, ten at most.

use crate::query::Query;
use crate::request_info::RequestInfo;

/// Objects per seat of a list.
const OBJECTS_PER_SEAT: u64 = 100;
/// Seats of the widest list.
const WIDEST_LIST: u32 = 10;

/// Seats of a request; `stored` counts the objects of its resource, and is asked only for lists.
pub(crate) fn width(info: &RequestInfo, query: &Query, stored: impl FnOnce() -> u64) -> u32 {
    let lists = match info.verb.as_str() {
        "list" => info.name.is_empty(),
        // A watch costs what its initial events cost, where it asked for them by name.
        "watch" => query.is_true("sendInitialEvents"),
        _ => false,
    };
    if !lists {
        return 1;
    }
    let stored = stored();
    let limit = query.text("limit").parse::<u64>().ok().filter(|limit| *limit > 0);
    let selects = !query.text("labelSelector").is_empty() || !query.text("fieldSelector").is_empty();
    let processed = match limit {
        Some(limit) if selects => stored.saturating_add(limit.min(stored)),
        Some(limit) => limit.min(stored).saturating_mul(2),
        None => stored,
    };
    let seats = processed.div_ceil(OBJECTS_PER_SEAT).clamp(1, u64::from(WIDEST_LIST));
    u32::try_from(seats).unwrap_or(WIDEST_LIST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_as_wide_as_what_they_look_at() {
        let ask = |target: &str, stored| {
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let query = Query::parse(query);
            width(&RequestInfo::parse("GET", path, &query), &query, || stored)
        };
        assert_eq!(ask("/api/v1/pods", 0), 1);
        assert_eq!(ask("/api/v1/pods", 350), 4);
        assert_eq!(ask("/api/v1/pods", 1_000_000), 10);
        assert_eq!(ask("/api/v1/pods?limit=100", 1_000_000), 2);
        assert_eq!(ask("/api/v1/pods?limit=100&labelSelector=a", 450), 6);
        assert_eq!(ask("/api/v1/pods?watch=1", 1_000_000), 1);
        assert_eq!(ask("/api/v1/pods?watch=1&sendInitialEvents=true", 350), 4);
        assert_eq!(ask("/api/v1/namespaces/n/pods/p", 1_000_000), 1);
    }
}
