//! [`ClusterClock`]: `/cluster/clock`, carries the leader's clock into the log so that leases end.
//!
//! Proposes `Tick` entries only while leases exist; without any it sleeps until one is granted, and the log stays
//! quiet. Log time stands still while there are no leases and while no leader is up, so a failover never ends a
//! lease early; between two ticks it lags, so a lease may end up to one tick before its full time.

use std::time::Duration;

use trireme_core::Tick;
use trireme_kernel::{ActorSpec, Behaviour, Context, StartError};
use trireme_mvcc::{Answer, Entry, Proposal, Refusal, State};
use trireme_raft::store::{Committed, Store, StoreError};

use super::Reign;

/// Time between two ticks while there are leases.
const TICK: Duration = Duration::from_millis(250);
/// How long one tick may take to be carried out.
const TICK_LIMIT: Duration = Duration::from_secs(2);
/// Time between two looks for the first lease, when writes are flowing.
const LOOK: Duration = Duration::from_millis(50);

/// What the clock receives.
#[derive(Debug)]
pub enum ClockInput {
    /// There are leases.
    Leases,
    /// A tick was carried out, or not.
    Ticked(Result<Committed, StoreError>),
}

/// How log time follows this machine's clock: pure.
#[derive(Debug, Default)]
struct LogTime {
    anchor: Option<(Tick, u64)>,
}

impl LogTime {
    /// Leases exist from now on; log time goes on from where it stands.
    fn run(&mut self, now: Tick, log_time_ms: u64) {
        self.anchor.get_or_insert((now, log_time_ms));
    }

    /// No leases: log time stands.
    fn stand(&mut self) {
        self.anchor = None;
    }

    /// Log time now; `None` while it stands.
    fn at(&self, now: Tick) -> Option<u64> {
        let (since, log_time_ms) = self.anchor?;
        let passed = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
        Some(log_time_ms.saturating_add(passed))
    }
}

/// See the module.
pub struct ClusterClock {
    reign: Reign,
    time: LogTime,
    /// A later term has begun: nothing this one says counts.
    over: bool,
}

impl ClusterClock {
    /// The actor called `clock` of one reign.
    pub fn spec(reign: &Reign) -> ActorSpec<Self> {
        let reign = reign.clone();
        ActorSpec::new("clock", move |_| Self { reign: reign.clone(), time: LogTime::default(), over: false })
    }

    /// Waits for the first lease.
    fn wait(&mut self, cx: &mut Context<Self>) {
        self.time.stand();
        cx.disarm();
        let store = self.reign.store().clone();
        let waiting = cx.spawn_io(async move {
            loop {
                let (applied, leases) = store.read(|state| (state.applied_index(), state.sizes().leases));
                if leases > 0 {
                    return ClockInput::Leases;
                }
                store.wait_applied(applied + 1).await;
                tokio::time::sleep(LOOK).await;
            }
        });
        waiting.expect("there is one task at a time, far below the limit");
    }

    fn tick(&mut self, cx: &mut Context<Self>) {
        let Some(log_time_ms) = self.time.at(cx.now()) else { return };
        let reign = self.reign.clone();
        let ticking = cx.spawn_io(async move {
            ClockInput::Ticked(reign.propose(Proposal::new(Entry::Tick { log_time_ms }), TICK_LIMIT).await)
        });
        ticking.expect("there is one task at a time, far below the limit");
    }

    fn ticked(&mut self, outcome: Result<Committed, StoreError>, cx: &mut Context<Self>) {
        match outcome.map(|committed| committed.outcome) {
            Ok(Ok(Answer::Ticked { more: true, .. })) => return self.tick(cx),
            Ok(Err(Refusal::FencedOldTerm { .. })) => {
                self.over = true;
                return cx.disarm();
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a tick of the log's clock is late"),
        }
        if self.reign.store().read(State::next_lease_end_ms).is_none() {
            return self.wait(cx);
        }
        cx.arm(cx.now() + TICK);
    }
}

impl Behaviour for ClusterClock {
    type Input = ClockInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        self.wait(cx);
        Ok(())
    }

    fn handle(&mut self, input: ClockInput, cx: &mut Context<Self>) {
        match input {
            ClockInput::Leases => {
                self.time.run(cx.now(), self.reign.store().read(State::log_time_ms));
                cx.arm(cx.now() + TICK);
            }
            ClockInput::Ticked(outcome) => self.ticked(outcome, cx),
        }
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        self.tick(cx);
    }

    fn state_name(&self) -> &'static str {
        match (&self.over, &self.time.anchor) {
            (true, _) => "over",
            (_, Some(_)) => "ticking",
            (_, None) => "idle",
        }
    }

    fn label(input: &ClockInput) -> &'static str {
        match input {
            ClockInput::Leases => "leases",
            ClockInput::Ticked(_) => "ticked",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_time_goes_on_from_where_it_stood_and_only_with_leases() {
        let mut time = LogTime::default();
        assert_eq!(time.at(Tick::from_millis(5_000)), None);
        time.run(Tick::from_millis(5_000), 700);
        assert_eq!(time.at(Tick::from_millis(5_250)), Some(950));
        // Seeing leases again does not set it back.
        time.run(Tick::from_millis(6_000), 700);
        assert_eq!(time.at(Tick::from_millis(6_000)), Some(1_700));
        time.stand();
        time.run(Tick::from_millis(90_000), 1_700);
        assert_eq!(time.at(Tick::from_millis(90_001)), Some(1_701));
    }
}
