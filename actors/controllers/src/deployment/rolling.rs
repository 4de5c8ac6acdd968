//! Rolling updates and recreation: how many replicas each set is to have next.

use super::numbers::Numbers;
use super::set::Set;

/// One step of a rolling update: the new set grows as far as surge allows, or else the old ones shrink as far as
/// availability allows. True when something moved.
pub(super) fn roll(new: &mut Set, old: &mut [Set], numbers: Numbers) -> bool {
    grow(new, old, numbers) || shrink(new, old, numbers)
}

/// One step of a recreation; `old_pods` says whether pods of old sets are still there. True when something moved.
pub(super) fn recreate(new: &mut Set, old: &mut [Set], numbers: Numbers, old_pods: bool) -> bool {
    let mut moved = false;
    for set in old.iter_mut().filter(|set| set.replicas > 0) {
        set.replicas = 0;
        moved = true;
    }
    if moved || old_pods || new.replicas == numbers.replicas {
        return moved;
    }
    new.replicas = numbers.replicas;
    true
}

/// Replicas of the new set, given those of all.
pub(super) fn new_replicas(new: i64, total: i64, numbers: Numbers) -> i64 {
    if numbers.recreate {
        return numbers.replicas;
    }
    let room = numbers.most() - total;
    if room <= 0 { new } else { new + room.min(numbers.replicas - new).max(0) }
}

fn grow(new: &mut Set, old: &[Set], numbers: Numbers) -> bool {
    let before = new.replicas;
    new.replicas = if before > numbers.replicas {
        numbers.replicas
    } else {
        // Pods that are still to be deleted take up places: upstream overshoots here.
        let total: i64 = new.occupied(numbers) + old.iter().map(|set| set.occupied(numbers)).sum::<i64>();
        new_replicas(before, total, numbers)
    };
    new.replicas != before
}

fn shrink(new: &Set, old: &mut [Set], numbers: Numbers) -> bool {
    let old_replicas: i64 = old.iter().map(|set| set.replicas).sum();
    if old_replicas == 0 {
        return false;
    }
    // New pods that are not available yet will need what the old ones leave.
    let coming = new.replicas - new.available();
    let spare = old_replicas + new.replicas - numbers.fewest_available() - coming;
    if spare <= 0 {
        return false;
    }
    old.sort_by_key(Set::age_key);
    let unhealthy = take(old, spare, |set| set.replicas - set.available());
    let available: i64 = new.available() + old.iter().map(Set::available).sum::<i64>();
    let healthy = take(old, available - numbers.fewest_available(), |set| set.replicas);
    unhealthy + healthy > 0
}

/// Takes up to `most` replicas away, from each set at most what `from` says; gives how many.
fn take(sets: &mut [Set], most: i64, from: impl Fn(&Set) -> i64) -> i64 {
    let mut left = most.max(0);
    for set in sets.iter_mut() {
        let part = from(set).clamp(0, left);
        set.replicas -= part;
        left -= part;
    }
    most.max(0) - left
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn set(name: &str, replicas: i64, available: i64) -> Set {
        let object = json!({
            "metadata": {"name": name},
            "spec": {"replicas": replicas},
        });
        Set::with_pods(Arc::new(object), replicas, available)
    }

    const NUMBERS: Numbers = Numbers { replicas: 10, max_surge: 3, max_unavailable: 2, recreate: false };

    fn step(new: (i64, i64), old: &[(i64, i64)]) -> (i64, Vec<i64>) {
        let mut new = set("new", new.0, new.1);
        let mut old: Vec<Set> =
            old.iter().enumerate().map(|(n, (r, a))| set(&format!("old{n}"), *r, *a)).collect();
        roll(&mut new, &mut old, NUMBERS);
        (new.replicas, old.iter().map(|set| set.replicas).collect())
    }

    #[test]
    fn surge_first_then_what_availability_leaves() {
        assert_eq!(step((0, 0), &[(10, 10)]), (3, vec![10]));
        assert_eq!(step((3, 0), &[(10, 10)]), (3, vec![8]));
        assert_eq!(step((3, 0), &[(8, 8)]), (5, vec![8]));
        assert_eq!(step((5, 5), &[(8, 8)]), (5, vec![3]));
        assert_eq!(step((5, 0), &[(8, 8)]), (5, vec![8]), "the new ones are not there yet");
    }

    #[test]
    fn a_set_whose_controller_has_not_seen_its_size_leaves_no_room() {
        let sized = |observed: i64| {
            let object = json!({
                "metadata": {"name": "old", "generation": 3},
                "spec": {"replicas": 8},
                "status": {"observedGeneration": observed},
            });
            let (mut new, mut old) = (set("new", 3, 3), [Set::with_pods(Arc::new(object), 8, 8)]);
            (grow(&mut new, &old, NUMBERS), new.replicas, shrink(&new, &mut old, NUMBERS))
        };
        assert_eq!(sized(2), (false, 3, true));
        assert_eq!(sized(3), (true, 5, true));
    }

    #[test]
    fn unhealthy_old_pods_go_first() {
        assert_eq!(step((3, 0), &[(5, 5), (5, 2)]), (3, vec![5, 3]));
        assert_eq!(step((3, 3), &[(5, 0), (5, 5)]), (3, vec![0, 5]));
    }

    #[test]
    fn a_new_set_that_is_too_large_shrinks_at_once() {
        assert_eq!(step((12, 12), &[]), (10, vec![]));
    }

    #[test]
    fn recreation_waits_for_the_old_pods() {
        let numbers = Numbers { recreate: true, ..NUMBERS };
        let (mut new, mut old) = (set("new", 0, 0), [set("old", 4, 4)]);
        assert!(recreate(&mut new, &mut old, numbers, true));
        assert_eq!((new.replicas, old[0].replicas), (0, 0));
        assert!(!recreate(&mut new, &mut old, numbers, true));
        assert!(recreate(&mut new, &mut old, numbers, false));
        assert_eq!(new.replicas, 10);
    }
}
