//! Images that nobody needs: which go when the disk fills, or when they were unused for long.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use trireme_core::Tick;
use trireme_node::Image;

/// When images go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImagePolicy {
    /// Above this percentage of the disk images are removed ...
    pub high_percent: u64,
    /// ... until this percentage is reached.
    pub low_percent: u64,
    /// An image is kept at least this long after it was first seen.
    pub minimum_age: Duration,
    /// An image that was unused this long goes in any case; `None`: never.
    pub maximum_age: Option<Duration>,
}

impl Default for ImagePolicy {
    fn default() -> Self {
        Self { high_percent: 85, low_percent: 80, minimum_age: Duration::from_secs(120), maximum_age: None }
    }
}

/// When images were first seen and last used. Ages start again with the kubelet, as upstream's do.
#[derive(Clone, Debug, Default)]
pub struct ImageLedger {
    seen: BTreeMap<String, (Tick, Tick)>,
}

impl ImageLedger {
    /// Notes which images are here and which are in use; gives those to remove, in order.
    ///
    /// `disk` is (used, capacity) of the images' filesystem in bytes.
    pub fn plan(
        &mut self,
        now: Tick,
        images: &[Image],
        in_use: &BTreeSet<String>,
        disk: (u64, u64),
        policy: ImagePolicy,
    ) -> Vec<String> {
        let present: BTreeSet<&str> = images.iter().map(|image| image.id.as_str()).collect();
        self.seen.retain(|id, _| present.contains(id.as_str()));
        for image in images {
            let entry = self.seen.entry(image.id.clone()).or_insert((now, now));
            if in_use.contains(&image.id) {
                entry.1 = now;
            }
        }
        let mut spare: Vec<_> = images
            .iter()
            .filter(|image| !image.pinned && !in_use.contains(&image.id))
            .map(|image| (self.seen[&image.id], image))
            .collect();
        spare.sort_by_key(|((first, last), image)| (*last, *first, image.id.clone()));
        let mut removed = Vec::new();
        let (used, capacity) = disk;
        let mut to_free = match capacity > 0 && used * 100 / capacity >= policy.high_percent {
            true => used.saturating_sub(capacity / 100 * policy.low_percent),
            false => 0,
        };
        for ((first, last), image) in spare {
            let old = policy.maximum_age.is_some_and(|age| now.since(last) > age);
            let full = to_free > 0 && now.since(first) >= policy.minimum_age;
            if old || full {
                to_free = to_free.saturating_sub(image.size);
                removed.push(image.id.clone());
            }
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_images_go_by_age_and_by_pressure() {
        let image = |id: &str| Image { id: id.into(), size: 10, ..Image::default() };
        let images = [image("a"), image("b"), image("c")];
        let in_use = BTreeSet::from(["b".to_owned()]);
        let mut ledger = ImageLedger::default();
        let policy = ImagePolicy { maximum_age: Some(Duration::from_secs(300)), ..ImagePolicy::default() };
        let at = |seconds: u64| Tick::from_millis(seconds * 1_000);
        assert!(ledger.plan(at(0), &images, &in_use, (10, 100), policy).is_empty());
        assert!(ledger.plan(at(60), &images, &in_use, (90, 100), policy).is_empty(), "too young");
        assert_eq!(ledger.plan(at(200), &images, &in_use, (90, 100), policy), ["a"]);
        assert_eq!(ledger.plan(at(301), &images, &in_use, (10, 100), policy), ["a", "c"]);
    }
}
