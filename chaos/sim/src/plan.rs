//! Which faults strike when.

use std::fmt;
use std::time::Duration;

use trireme_core::{Rng, Tick};

use crate::PeerId;

/// A fault that begins, and ends by itself, so that taking one away leaves the others whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    /// When it begins.
    pub at: Tick,
    /// How long it lasts.
    pub lasts: Duration,
    /// What happens.
    pub fault: Fault,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A peer loses power, and starts again at the end.
    Down {
        /// The peer.
        peer: PeerId,
    },
    /// All peers lose power at once, and start again at the end.
    Blackout,
    /// A peer stands still (as by SIGSTOP); what comes meanwhile is handled at the end, late.
    Paused {
        /// The peer.
        peer: PeerId,
    },
    /// Nothing gets through in one direction.
    Cut {
        /// The sender.
        from: PeerId,
        /// The receiver.
        to: PeerId,
    },
    /// One side does not hear the other, in either direction.
    Split {
        /// The one side; everyone else is the other.
        side: Vec<PeerId>,
    },
    /// Each peer hears its two neighbours only, by number: every majority is another one.
    Ring,
    /// All links lose more.
    Lossy {
        /// Messages lost in addition, of a thousand.
        per_mille: u16,
    },
    /// Each sync of a peer takes this much longer.
    SlowSync {
        /// The peer.
        peer: PeerId,
        /// How much longer.
        by: Duration,
    },
    /// Each sync of a peer fails.
    FailingSync {
        /// The peer.
        peer: PeerId,
    },
    /// A peer's clock jumps ahead once, at the beginning.
    ClockJump {
        /// The peer.
        peer: PeerId,
        /// How far.
        by: Duration,
    },
}

/// The faults of a run, in order of their beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The episodes; they may overlap.
    pub episodes: Vec<Episode>,
}

/// How many faults of which kinds a plan has. A weight of zero leaves a kind out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSettings {
    /// How many episodes there are, at most.
    pub episodes: u32,
    /// The longest episode.
    pub longest: Duration,
    /// The end of the run that stays free of faults, so that the peers can recover.
    pub calm: Duration,
    /// Weight of [`Fault::Down`].
    pub down: u32,
    /// Weight of [`Fault::Paused`].
    pub paused: u32,
    /// Weight of [`Fault::Cut`].
    pub cut: u32,
    /// Weight of [`Fault::Split`].
    pub split: u32,
    /// Weight of [`Fault::Lossy`].
    pub lossy: u32,
    /// Weight of [`Fault::SlowSync`].
    pub slow_sync: u32,
    /// Weight of [`Fault::FailingSync`].
    pub failing_sync: u32,
    /// Weight of [`Fault::ClockJump`].
    pub clock_jump: u32,
    /// Weight of [`Fault::Ring`].
    pub ring: u32,
    /// Weight of [`Fault::Blackout`].
    pub blackout: u32,
}

impl Default for PlanSettings {
    fn default() -> Self {
        PlanSettings {
            episodes: 12,
            longest: Duration::from_secs(3),
            calm: Duration::from_secs(5),
            down: 4,
            paused: 2,
            cut: 2,
            split: 2,
            lossy: 1,
            slow_sync: 1,
            failing_sync: 1,
            clock_jump: 1,
            ring: 0,
            blackout: 0,
        }
    }
}

impl Plan {
    /// Draws a plan for so many peers and a run of `length`.
    pub fn draw(settings: &PlanSettings, peers: u32, length: Duration, rng: &mut Rng) -> Plan {
        let end = nanos(length.saturating_sub(settings.calm));
        let count = rng.between(0, u64::from(settings.episodes));
        let mut episodes = Vec::new();
        for _ in 0..count {
            let Some(fault) = draw_fault(settings, peers, rng) else { break };
            let at = rng.below(end);
            let lasts = rng.between(1, nanos(settings.longest)).min(end - at);
            episodes.push(Episode { at: Tick::from_nanos(at), lasts: Duration::from_nanos(lasts), fault });
        }
        episodes.sort_by_key(|episode| episode.at);
        Plan { episodes }
    }
}

fn draw_fault(settings: &PlanSettings, peers: u32, rng: &mut Rng) -> Option<Fault> {
    let weights = [
        settings.down,
        settings.paused,
        settings.cut,
        settings.split,
        settings.lossy,
        settings.slow_sync,
        settings.failing_sync,
        settings.clock_jump,
        settings.ring,
        settings.blackout,
    ];
    let mut roll = rng.below(weights.iter().map(|weight| u64::from(*weight)).sum());
    let peer = draw_peer(peers, rng);
    let kind = weights.iter().position(|weight| {
        let weight = u64::from(*weight);
        let hit = roll < weight;
        roll = roll.saturating_sub(weight);
        hit
    })?;
    Some(match kind {
        0 => Fault::Down { peer },
        1 => Fault::Paused { peer },
        2 => Fault::Cut { from: peer, to: draw_peer(peers, rng) },
        3 => Fault::Split { side: (0..peers).filter(|_| rng.chance(1, 2)).collect() },
        4 => Fault::Lossy { per_mille: u16::try_from(rng.between(50, 500)).expect("at most 500") },
        5 => Fault::SlowSync { peer, by: Duration::from_millis(rng.between(20, 2_000)) },
        6 => Fault::FailingSync { peer },
        7 => Fault::ClockJump { peer, by: Duration::from_millis(rng.between(10, 10_000)) },
        8 => Fault::Ring,
        _ => Fault::Blackout,
    })
}

fn draw_peer(peers: u32, rng: &mut Rng) -> PeerId {
    PeerId::try_from(rng.below(u64::from(peers))).expect("below a 32-bit number")
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.episodes.is_empty() {
            return f.write_str("no faults");
        }
        for (index, episode) in self.episodes.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(f, "{line_end}{} for {:?}: {:?}", episode.at, episode.lasts, episode.fault)?;
        }
        Ok(())
    }
}
