//! Links between peers: each direction on its own.

use std::collections::BTreeMap;
use std::time::Duration;

use trireme_core::Rng;

use crate::PeerId;

/// What a link does to messages. Messages may overtake each other unless `in_order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSettings {
    /// Shortest way.
    pub latency_min: Duration,
    /// Longest way.
    pub latency_max: Duration,
    /// Messages lost, of a thousand.
    pub loss_per_mille: u16,
    /// Messages that arrive twice, of a thousand.
    pub duplicate_per_mille: u16,
    /// Whether a message waits for those sent before it, as on one stream.
    pub in_order: bool,
}

impl Default for LinkSettings {
    fn default() -> Self {
        LinkSettings {
            latency_min: Duration::from_micros(100),
            latency_max: Duration::from_millis(3),
            loss_per_mille: 5,
            duplicate_per_mille: 5,
            in_order: false,
        }
    }
}

/// All links.
#[derive(Debug)]
pub(crate) struct Network {
    link: LinkSettings,
    /// How many faults cut each direction now.
    cuts: BTreeMap<(PeerId, PeerId), u32>,
    /// How many faults make all links lossy now, and by how much.
    extra_loss_per_mille: Vec<u16>,
    rng: Rng,
}

impl Network {
    pub(crate) fn new(link: LinkSettings, rng: Rng) -> Network {
        Network { link, cuts: BTreeMap::new(), extra_loss_per_mille: Vec::new(), rng }
    }

    /// How long each copy of a message takes; none if it is lost.
    ///
    /// Draws the same amount of chance whatever happens, so that one fault less does not change all the rest.
    pub(crate) fn route(&mut self, from: PeerId, to: PeerId) -> Vec<Duration> {
        let (lost, twice) = (self.rng.below(1_000), self.rng.below(1_000));
        let ways = [self.latency(), self.latency()];
        let extra: u64 = self.extra_loss_per_mille.iter().map(|loss| u64::from(*loss)).sum();
        if self.is_cut(from, to) || lost < u64::from(self.link.loss_per_mille) + extra {
            return Vec::new();
        }
        let copies = if twice < u64::from(self.link.duplicate_per_mille) { 2 } else { 1 };
        ways[..copies].to_vec()
    }

    pub(crate) fn in_order(&self) -> bool {
        self.link.in_order
    }

    pub(crate) fn is_cut(&self, from: PeerId, to: PeerId) -> bool {
        self.cuts.get(&(from, to)).is_some_and(|count| *count > 0)
    }

    pub(crate) fn cut(&mut self, from: PeerId, to: PeerId) {
        *self.cuts.entry((from, to)).or_default() += 1;
    }

    pub(crate) fn heal(&mut self, from: PeerId, to: PeerId) {
        let count = self.cuts.entry((from, to)).or_default();
        *count = count.saturating_sub(1);
    }

    pub(crate) fn add_loss(&mut self, per_mille: u16) {
        self.extra_loss_per_mille.push(per_mille);
    }

    pub(crate) fn remove_loss(&mut self, per_mille: u16) {
        if let Some(at) = self.extra_loss_per_mille.iter().position(|loss| *loss == per_mille) {
            self.extra_loss_per_mille.remove(at);
        }
    }

    fn latency(&mut self) -> Duration {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.rng.between(nanos(self.link.latency_min), nanos(self.link.latency_max)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_one_way_and_counted() {
        let link = LinkSettings { loss_per_mille: 0, duplicate_per_mille: 0, ..LinkSettings::default() };
        let mut network = Network::new(link, Rng::new(1));
        network.cut(0, 1);
        network.cut(0, 1);
        network.heal(0, 1);
        assert!(network.route(0, 1).is_empty());
        assert_eq!(network.route(1, 0).len(), 1);
        network.heal(0, 1);
        assert_eq!(network.route(0, 1).len(), 1);
    }

    #[test]
    fn loss_and_duplication_have_their_rates() {
        let link = LinkSettings { loss_per_mille: 100, duplicate_per_mille: 100, ..LinkSettings::default() };
        let mut network = Network::new(link, Rng::new(2));
        let copies: Vec<usize> = (0..10_000).map(|_| network.route(0, 1).len()).collect();
        let count = |wanted| copies.iter().filter(|copies| **copies == wanted).count();
        assert!((800..1_200).contains(&count(0)), "{} lost", count(0));
        assert!((700..1_100).contains(&count(2)), "{} doubled", count(2));
    }
}
