//! Hints: which zones and nodes an endpoint is meant for (`spec.trafficDistribution`, KEP-2433 and KEP-3015).

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

/// Whom traffic prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Preference {
    /// Nobody.
    None,
    /// Endpoints of the same zone.
    SameZone,
    /// Endpoints of the same node, then of the same zone.
    SameNode,
}

impl Preference {
    /// What a Service asks for.
    pub(super) fn of(service: &Value) -> Self {
        match service.at("spec").text("trafficDistribution") {
            "PreferClose" | "PreferSameZone" => Self::SameZone,
            "PreferSameNode" => Self::SameNode,
            _ => Self::None,
        }
    }

    /// Puts the hints of a slice's endpoints right; false when they are. Those of endpoints that are not ready stay.
    pub(super) fn apply(self, slice: &mut Value) -> bool {
        let mut changed = false;
        for endpoint in slice.items("endpoints") {
            let ready = endpoint.at("conditions").is_true("ready");
            let hints = match self {
                Self::None => Value::Null,
                _ if !ready => continue,
                preference => preference.hints(endpoint),
            };
            if *endpoint.at("hints") == hints {
                continue;
            }
            changed = true;
            match hints {
                Value::Null => drop(endpoint.remove("hints")),
                hints => endpoint.put("hints", hints),
            }
        }
        changed
    }

    fn hints(self, endpoint: &Value) -> Value {
        let mut hints = json!({});
        if endpoint.has("zone") {
            hints.put("forZones", json!([{"name": endpoint.text("zone")}]));
        }
        if self == Self::SameNode && endpoint.has("nodeName") {
            hints.put("forNodes", json!([{"name": endpoint.text("nodeName")}]));
        }
        if hints == json!({}) { Value::Null } else { hints }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_come_change_and_go() {
        let mut slice = json!({"endpoints": [
            {"conditions": {"ready": true}, "zone": "a", "nodeName": "n"},
            {"conditions": {"ready": false}, "zone": "b"},
            {"conditions": {"ready": true}},
        ]});
        assert!(!Preference::None.apply(&mut slice));
        assert!(Preference::SameZone.apply(&mut slice) && !Preference::SameZone.apply(&mut slice));
        assert_eq!(slice["endpoints"][0]["hints"], json!({"forZones": [{"name": "a"}]}));
        assert!(slice["endpoints"][1].get("hints").is_none() && slice["endpoints"][2].get("hints").is_none());
        assert!(Preference::SameNode.apply(&mut slice));
        assert_eq!(slice["endpoints"][0]["hints"]["forNodes"], json!([{"name": "n"}]));
        assert!(Preference::None.apply(&mut slice) && slice["endpoints"][0].get("hints").is_none());
    }
}
