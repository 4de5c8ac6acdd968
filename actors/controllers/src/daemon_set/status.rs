//! What a DaemonSet says of its pods.

use serde_json::{Value, json};
use trireme_schema::view::{Edit, View};

use super::pods::Daemons;
use crate::pods::is_ready;

impl Daemons<'_> {
    /// The whole status.
    pub(super) fn status(&self, collisions: i64) -> Value {
        let (mut desired, mut current, mut misscheduled) = (0, 0, 0);
        let (mut ready, mut available, mut updated) = (0, 0, 0);
        for (node, wish) in &self.wishes {
            let pods = self.pods.get(node).map_or(&[][..], Vec::as_slice);
            if !wish.run {
                misscheduled += i64::from(!pods.is_empty());
                continue;
            }
            desired += 1;
            let Some(pod) = pods.first() else { continue };
            current += 1;
            ready += i64::from(is_ready(pod));
            available += i64::from(self.is_available(pod));
            updated += i64::from(self.is_updated(pod));
        }
        let mut status = json!({
            "currentNumberScheduled": current,
            "numberMisscheduled": misscheduled,
            "desiredNumberScheduled": desired,
            "numberReady": ready,
            "observedGeneration": self.set.at("metadata").at("generation"),
        });
        let some = [
            ("updatedNumberScheduled", updated),
            ("numberAvailable", available),
            ("numberUnavailable", desired - available),
            ("collisionCount", collisions),
        ];
        for (name, count) in some.into_iter().filter(|(_, count)| *count > 0) {
            status.put(name, count);
        }
        if self.set.at("status").has("conditions") {
            status.put("conditions", self.set.at("status").at("conditions").clone());
        }
        status
    }
}
