//! What happens to the sets when the Deployment's own size changes: in the middle of a roll-out each set grows or
//! shrinks in proportion, so that a bad new template does not gain from it.

use super::numbers::Numbers;
use super::set::{DESIRED, MAX, Set};

/// Whether the size asked for differs from the one that an active set was scaled for.
pub(super) fn size_changed(sets: &[&Set], numbers: Numbers) -> bool {
    let active = sets.iter().filter(|set| set.replicas > 0);
    active
        .filter_map(|set| set.annotation(DESIRED).parse::<i64>().ok())
        .any(|desired| desired != numbers.replicas)
}

/// Scales the sets to the asked size. `status_replicas` stands in for sets that do not say what they were scaled for.
pub(super) fn scale(new: Option<&mut Set>, old: &mut [Set], numbers: Numbers, status_replicas: i64) {
    let is_new = new.is_some();
    // The new set is the last, so that it stays known by its place.
    let mut sets: Vec<&mut Set> = old.iter_mut().chain(new).collect();
    let active: Vec<usize> = (0..sets.len()).filter(|&index| sets[index].replicas > 0).collect();
    let latest = if is_new {
        sets.len().checked_sub(1)
    } else {
        (0..sets.len()).max_by_key(|&index| sets[index].age_key())
    };
    if active.len() <= 1 {
        if let Some(only) = active.first().copied().or(latest) {
            sets[only].replicas = numbers.replicas;
        }
        return;
    }
    let last = sets.len() - 1;
    if is_new && saturated(sets[last], numbers) {
        for set in &mut sets[..last] {
            set.replicas = 0;
        }
        return;
    }
    if !numbers.recreate {
        in_proportion(&mut sets, active, numbers, status_replicas);
    }
}

/// The new set is complete.
fn saturated(new: &Set, numbers: Numbers) -> bool {
    new.replicas == numbers.replicas
        && new.annotation(DESIRED).parse() == Ok(numbers.replicas)
        && new.available() == numbers.replicas
}

fn in_proportion(sets: &mut [&mut Set], mut active: Vec<usize>, numbers: Numbers, status_replicas: i64) {
    let total: i64 = active.iter().map(|&index| sets[index].replicas).sum();
    let allowed = if numbers.replicas > 0 { numbers.most() } else { 0 };
    let to_add = allowed - total;
    if to_add == 0 {
        return;
    }
    // The largest gets what rounding leaves; of equals the newer when growing, the older when shrinking.
    active.sort_by(|&a, &b| {
        let by_age = sets[a].age_key().cmp(&sets[b].age_key());
        let by_age = if to_add > 0 { by_age.reverse() } else { by_age };
        sets[b].replicas.cmp(&sets[a].replicas).then(by_age)
    });
    let mut added = 0;
    for &index in &active {
        let part = fraction(sets[index], numbers, status_replicas);
        let left = to_add - added;
        let part = if to_add > 0 { part.clamp(0, left.max(0)) } else { part.clamp(left.min(0), 0) };
        sets[index].replicas += part;
        added += part;
    }
    let first = active[0];
    sets[first].replicas = (sets[first].replicas + to_add - added).max(0);
}

/// By how much a set changes when the whole changes.
fn fraction(set: &Set, numbers: Numbers, status_replicas: i64) -> i64 {
    if numbers.replicas == 0 {
        return -set.replicas;
    }
    let before = set.annotation(MAX).parse::<i64>().ok().filter(|max| *max > 0).unwrap_or(status_replicas);
    if before <= 0 {
        return 0;
    }
    // Rounded to the nearest, halves away from zero.
    let product = set.replicas * numbers.most();
    (2 * product + before) / (2 * before) - set.replicas
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    fn set(name: &str, replicas: i64, scaled_for: i64) -> Set {
        let object = json!({
            "metadata": {"name": name, "creationTimestamp": name, "annotations": {
                DESIRED: scaled_for.to_string(), MAX: scaled_for.to_string(),
            }},
            "spec": {"replicas": replicas},
        });
        Set::with_pods(Arc::new(object), replicas, 0)
    }

    fn scaled(new: i64, old: &[i64], before: i64, replicas: i64) -> (i64, Vec<i64>) {
        let numbers = Numbers { replicas, max_surge: 0, max_unavailable: 1, recreate: false };
        let mut new = set("z", new, before);
        let mut old: Vec<Set> =
            old.iter().enumerate().map(|(n, replicas)| set(&n.to_string(), *replicas, before)).collect();
        assert!(size_changed(&[&new], numbers) || before == replicas || new.replicas == 0);
        scale(Some(&mut new), &mut old, numbers, before);
        (new.replicas, old.iter().map(|set| set.replicas).collect())
    }

    #[test]
    fn sets_grow_and_shrink_in_proportion() {
        assert_eq!(scaled(5, &[5], 10, 20), (10, vec![10]));
        assert_eq!(scaled(2, &[8], 10, 5), (1, vec![4]));
        assert_eq!(scaled(3, &[3, 4], 10, 11), (3, vec![3, 5]));
        assert_eq!(scaled(3, &[7], 10, 0), (0, vec![0]));
    }

    #[test]
    fn a_single_active_set_takes_it_all() {
        assert_eq!(scaled(10, &[0], 10, 4), (4, vec![0]));
        assert_eq!(scaled(0, &[10], 10, 12), (0, vec![12]));
        assert_eq!(scaled(0, &[0], 10, 3), (3, vec![0]));
    }
}
