//! Rolling updates of DaemonSets.

use std::sync::Arc;

use serde_json::Value;
use trireme_schema::int_or_string::IntOrString;
use trireme_schema::view::View;

use super::pods::{Daemons, NewPod};
use crate::owner::is_deleting;
use crate::pods::is_finished;

/// How far an update may go at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) surge: usize,
    pub(super) unavailable: usize,
}

impl Bounds {
    /// Reads a set. Percentages are of the nodes that are to have a pod, rounded up; both zero would never move, so
    /// that then one pod may be unavailable.
    pub(super) fn of(set: &Value, desired: usize) -> Self {
        let rolling = set.at("spec").at("updateStrategy").at("rollingUpdate");
        let total = i64::try_from(desired).unwrap_or(i64::MAX);
        let scaled = |name: &str| {
            let value = IntOrString::of(rolling.at(name)).and_then(|value| value.scaled(total, true));
            usize::try_from(value.unwrap_or(0)).unwrap_or(0)
        };
        let (surge, mut unavailable) = (scaled("maxSurge"), scaled("maxUnavailable"));
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        Self { surge, unavailable }
    }
}

/// Whether a set makes the new pod before the old one goes.
pub(super) fn surges(set: &Value) -> bool {
    let rolling = set.at("spec").at("updateStrategy").at("rollingUpdate");
    set.at("spec").at("updateStrategy").text("type") != "OnDelete"
        && IntOrString::of(rolling.at("maxSurge")).is_some_and(|value| value.scaled(100, true) != Some(0))
}

/// The pods of a node: the one of the present template and the one of an earlier; `None` when there are several.
fn pair(daemons: &Daemons<'_>, pods: &[Arc<Value>]) -> Option<[Option<Arc<Value>>; 2]> {
    let mut out = [None, None];
    for pod in pods.iter().filter(|pod| !is_deleting(pod) && !is_finished(pod)) {
        let place = &mut out[usize::from(!daemons.is_updated(pod))];
        if place.is_some() {
            return None;
        }
        *place = Some(pod.clone());
    }
    Some(out)
}

impl Daemons<'_> {
    /// Moves nodes on to the present template.
    pub(super) fn roll(&mut self) {
        let desired = self.wishes.values().filter(|wish| wish.run).count();
        let bounds = Bounds::of(self.set, desired);
        if bounds.surge == 0 {
            self.replace(bounds.unavailable);
        } else {
            self.surge(bounds.surge);
        }
    }

    /// Deletes old pods: those that do not serve anyway, and as many of the others as may be missing.
    fn replace(&mut self, most: usize) {
        // Nodes without any pod are not in the map but miss one as well.
        let bare =
            self.wishes.iter().filter(|(node, wish)| wish.run && !self.pods.contains_key(*node)).count();
        let mut unavailable = bare;
        let (mut broken, mut serving) = (Vec::new(), Vec::new());
        for (node, pods) in &self.pods {
            if !self.wishes.get(node).is_some_and(|wish| wish.stay) {
                continue;
            }
            match pair(self, pods) {
                Some([Some(new), None]) => unavailable += usize::from(!self.is_available(&new)),
                Some([None, Some(old)]) if self.is_available(&old) => serving.push(old),
                Some([None, Some(old)]) => {
                    unavailable += 1;
                    broken.push(old);
                }
                _ => unavailable += 1,
            }
        }
        let left = most.saturating_sub(unavailable);
        self.leaving.extend(broken);
        self.leaving.extend(serving.into_iter().take(left));
    }

    /// Makes new pods beside old ones, and deletes the old one where the new one serves.
    fn surge(&mut self, most: usize) {
        let mut surging = 0;
        let (mut broken, mut serving) = (Vec::new(), Vec::new());
        let mut done = Vec::new();
        for (node, pods) in &self.pods {
            let Some(wish) = self.wishes.get(node) else { continue };
            match pair(self, pods) {
                None => surging += 1,
                Some([None, Some(old)]) if wish.run => {
                    let place = if self.is_available(&old) { &mut serving } else { &mut broken };
                    place.push(NewPod { node: node.clone(), failures: 0 });
                }
                Some([Some(new), Some(old)]) => {
                    if self.is_available(&new) {
                        done.push(old);
                    } else {
                        surging += 1;
                    }
                }
                _ => {}
            }
        }
        let left = most.saturating_sub(surging);
        self.leaving.extend(done);
        self.fresh.extend(broken);
        self.fresh.extend(serving.into_iter().take(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn percentages_are_rounded_up_and_something_always_moves() {
        let bounds = |surge: Value, unavailable: Value| {
            let rolling = json!({"maxSurge": surge, "maxUnavailable": unavailable});
            let bounds = Bounds::of(&json!({"spec": {"updateStrategy": {"rollingUpdate": rolling}}}), 10);
            (bounds.surge, bounds.unavailable)
        };
        assert_eq!(bounds(json!(0), json!("15%")), (0, 2));
        assert_eq!(bounds(json!("25%"), json!(0)), (3, 0));
        assert_eq!(bounds(json!(0), json!(0)), (0, 1));
    }
}
