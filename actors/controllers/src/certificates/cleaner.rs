//! [`CertificateCleaner`].

use std::time::Duration;

use serde_json::Value;
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::condition;
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Propagation};
use crate::world::World;
use crate::writes::delete;

static WATCHED: [Resource; 1] = [resources::SIGNING_REQUESTS];

/// How long requests stay that are settled, as upstream.
const SETTLED: i64 = 3_600;
/// How long requests stay that nobody judges, as upstream.
const PENDING: i64 = 24 * 3_600;

/// Deletes requests that have served.
#[derive(Debug, Default)]
pub struct CertificateCleaner {}

/// When a request has served. One that is approved and signed stays as long: the certificate is its owner's by then.
fn end(request: &Value) -> Option<i64> {
    let seconds = |text: &str| Moment::parse_time(text).ok().map(Moment::unix_seconds);
    let settled = ["Approved", "Denied", "Failed"].into_iter().filter_map(|kind| {
        let said = condition(request, kind)?;
        seconds(said.text("lastUpdateTime")).or_else(|| seconds(said.text("lastTransitionTime")))
    });
    let settled = settled.min().map(|said| said.saturating_add(SETTLED));
    let created = || seconds(request.at("metadata").text("creationTimestamp"));
    settled.or_else(|| created().map(|created| created.saturating_add(PENDING)))
}

impl Controller for CertificateCleaner {
    fn name(&self) -> &'static str {
        "certificatesigningrequest-cleaner-controller"
    }

    fn identity(&self) -> &'static str {
        "certificate-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let request = change.new.as_deref().map(|request| request.at("metadata"));
        request.map(|request| Key::new("", request.text("name"))).into_iter().collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let found = resources::SIGNING_REQUESTS.get(look.world, "", &look.key.name);
        let Some(request) = found.filter(|request| !is_deleting(request)) else { return Plan::settled() };
        let Some(end) = end(&request) else { return Plan::settled() };
        match u64::try_from(end - look.now.unix_seconds()) {
            Ok(left @ 1..) => Plan { writes: Vec::new(), again_after: Some(Duration::from_secs(left)) },
            _ => Plan::one(delete(&resources::SIGNING_REQUESTS, &request, Propagation::Background)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestWorld;
    use serde_json::json;

    #[test]
    fn requests_stay_an_hour_when_settled_and_a_day_when_not() {
        let left = |condition: Option<&str>, now: i64| {
            let at = Moment::from_unix(1_000, 0).to_time();
            let conditions: Vec<Value> =
                condition.iter().map(|kind| json!({"type": kind, "lastUpdateTime": at})).collect();
            let mut world = TestWorld::default();
            let metadata = json!({"name": "r", "uid": "u", "creationTimestamp": at});
            world.put(
                &resources::SIGNING_REQUESTS,
                json!({"metadata": metadata, "status": {"conditions": conditions}}),
            );
            let (key, now) = (Key::new("", "r"), Moment::from_unix(now, 0));
            let look = Look { now, key: &key, world: &world, refused: None };
            let plan = CertificateCleaner::default().reconcile(&look);
            assert_eq!(plan.writes.is_empty(), plan.again_after.is_some());
            plan.again_after.map(|left| left.as_secs())
        };
        assert_eq!(left(None, 1_000), Some(86_400));
        assert_eq!(left(None, 90_000), None);
        for kind in ["Approved", "Denied", "Failed"] {
            assert_eq!(left(Some(kind), 1_600), Some(3_000));
            assert_eq!(left(Some(kind), 4_600), None);
        }
    }
}
