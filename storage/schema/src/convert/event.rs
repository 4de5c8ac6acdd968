//! Events of core/v1 (the hub) and of events.k8s.io/v1: one kind under two names for some fields.

use serde_json::Value;

use super::rename;

/// Names in core/v1 and in events.k8s.io/v1.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// To core/v1.
pub(super) fn to_core(event: &mut Value) {
    rename(event, &NAMES.map(|(core, new)| (new, core)));
}

/// From core/v1.
pub(super) fn from_core(event: &mut Value) {
    rename(event, &NAMES);
}
