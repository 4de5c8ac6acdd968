//! [`TtlAfterFinishedController`].

use std::time::Duration;

use trireme_schema::time::Moment;
use trireme_schema::view::View;

use super::conditions::finished_condition;
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Propagation};
use crate::world::World;
use crate::writes::delete;

static WATCHED: [Resource; 1] = [resources::JOBS];

/// Deletes finished Jobs after their `ttlSecondsAfterFinished`, their pods first.
#[derive(Debug, Default)]
pub struct TtlAfterFinishedController {}

impl Controller for TtlAfterFinishedController {
    fn name(&self) -> &'static str {
        "ttl-after-finished-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let Some(job) = change.new.as_deref() else { return Vec::new() };
        let metadata = job.at("metadata");
        let due = job.at("spec").has("ttlSecondsAfterFinished") && finished_condition(job).is_some();
        due.then(|| Key::new(metadata.text("namespace"), metadata.text("name"))).into_iter().collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Some(job) = resources::JOBS.get(look.world, &look.key.namespace, &look.key.name) else {
            return Plan::settled();
        };
        let ttl = job.at("spec").int("ttlSecondsAfterFinished");
        let finished = finished_condition(&job)
            .and_then(|condition| Moment::parse_time(condition.text("lastTransitionTime")).ok());
        let (Some(ttl), Some(finished)) = (ttl, finished) else { return Plan::settled() };
        if is_deleting(&job) {
            return Plan::settled();
        }
        let left = finished.unix_seconds().saturating_add(ttl) - look.now.unix_seconds();
        match u64::try_from(left) {
            Ok(left @ 1..) => Plan { writes: Vec::new(), again_after: Some(Duration::from_secs(left)) },
            _ => Plan::one(delete(&resources::JOBS, &job, Propagation::Foreground)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Write;
    use serde_json::json;

    #[test]
    fn the_wait_begins_when_the_job_ends() {
        let job = json!({
            "metadata": {"name": "j", "namespace": "d", "uid": "u"},
            "spec": {"ttlSecondsAfterFinished": 10},
            "status": {"conditions": [
                {"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
            ]},
        });
        let mut world = crate::testing::TestWorld::default();
        world.put(&resources::JOBS, job);
        let key = Key::new("d", "j");
        let plan = |at: &str| {
            let now = Moment::parse_time(at).unwrap();
            let look = Look { now, key: &key, world: &world, refused: None };
            TtlAfterFinishedController::default().reconcile(&look)
        };
        let early = plan("2026-01-01T00:00:04Z");
        assert_eq!((early.writes.len(), early.again_after), (0, Some(Duration::from_secs(6))));
        let due = plan("2026-01-01T00:00:10Z");
        assert!(matches!(&due.writes[..], [Write::Delete { propagation: Propagation::Foreground, .. }]));
    }
}
