//! [`Rhythm`]: when a snapshot is worth taking.
//!
//! A snapshot writes the whole state, to let the log be purged. Taken after a fixed number of entries, a large state
//! under many small writes is written over and over. So it also waits until the log has grown by as much as the
//! state holds: then snapshots cost no more than the log does, and the log is no longer than the state and a rest.

use std::sync::Weak;

use tokio::sync::mpsc;

use super::member::Inner;

/// However large the state is, a snapshot is taken after so many times the configured entries: bounds how long a
/// replay of the log takes.
const LATEST_AFTER: u64 = 8;

/// Counts what was applied since the last snapshot.
pub(super) struct Rhythm {
    /// Least entries between two snapshots.
    entries: u64,
    since: Since,
    /// Asked for at this many entries, again at more: a request may be lost when one is being taken.
    next: u64,
    due: mpsc::Sender<()>,
}

#[derive(Default)]
struct Since {
    entries: u64,
    bytes: u64,
}

impl Rhythm {
    /// With `since` entries applied since the last snapshot, as far as is known. Each message of the receiver asks
    /// for one.
    pub(super) fn new(entries: u64, since: u64) -> (Self, mpsc::Receiver<()>) {
        let (due, asked) = mpsc::channel(1);
        (Self { entries, since: Since { entries: since, bytes: 0 }, next: entries, due }, asked)
    }

    /// More was applied: entries, and what they take in the log. `state_bytes` is what the state holds now.
    pub(super) fn applied(&mut self, entries: u64, bytes: u64, state_bytes: u64) {
        self.since.entries += entries;
        self.since.bytes += bytes;
        let latest = self.entries.saturating_mul(LATEST_AFTER);
        let worth = self.since.bytes >= state_bytes || self.since.entries >= latest;
        if worth && self.since.entries >= self.next {
            self.next = self.since.entries + self.entries;
            // One request waits already, or nobody listens: the store is ending.
            let _waiting = self.due.try_send(());
        }
    }

    /// A snapshot of what is applied now is being taken, or has come.
    pub(super) fn taken(&mut self) {
        self.since = Since::default();
        self.next = self.entries;
    }
}

/// Takes the snapshots that are due, until the store is gone.
pub(super) async fn run(store: Weak<Inner>, mut due: mpsc::Receiver<()>) {
    while due.recv().await.is_some() {
        let Some(inner) = store.upgrade() else { return };
        if let Err(error) = inner.raft.trigger().snapshot().await {
            tracing::debug!(%error, "no snapshot is taken: the store is ending");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_due_when_the_log_has_grown_by_the_state() {
        let (mut rhythm, mut due) = Rhythm::new(100, 0);
        rhythm.applied(99, 5_000, 1_000);
        assert!(due.try_recv().is_err(), "too few entries");
        rhythm.applied(1, 0, 10_000);
        assert!(due.try_recv().is_err(), "the state is larger than what was logged");
        rhythm.applied(1, 5_000, 10_000);
        assert!(due.try_recv().is_ok());
        rhythm.applied(50, 5_000, 10_000);
        assert!(due.try_recv().is_err(), "asked already");
        rhythm.applied(50, 0, 10_000);
        assert!(due.try_recv().is_ok(), "asked again, since none was taken");
        rhythm.taken();
        rhythm.applied(799, 10, 10_000);
        assert!(due.try_recv().is_err());
        rhythm.applied(1, 10, 10_000);
        assert!(due.try_recv().is_ok(), "at the latest");
    }

    #[test]
    fn what_was_applied_before_a_restart_counts() {
        let (mut rhythm, mut due) = Rhythm::new(100, 90);
        rhythm.applied(10, 1_000, 100);
        assert!(due.try_recv().is_ok());
    }
}
