//! [`FeedReader`]: changes in the order of the log, for one follower.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Notify;

use super::applied::Applied;

/// Changes that a follower may be behind before it has to begin anew.
pub const READER_CHANGES: usize = 65_536;
/// Changes handed out at once.
pub const READ_CHANGES: usize = 1024;

/// The follower missed changes: it has to look at everything anew. Its reader goes on from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("changes were missed: look at everything anew")]
pub struct Missed;

/// Whether a change concerns a follower.
pub(super) type Interest = Box<dyn Fn(&Applied) -> bool + Send + Sync>;

/// What waits for one follower.
pub(super) struct Queue {
    interest: Interest,
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Default)]
struct Waiting {
    changes: VecDeque<Arc<Applied>>,
    missed: bool,
}

impl Queue {
    pub(super) fn new(interest: Interest) -> Self {
        Self { interest, waiting: Mutex::default(), arrived: Notify::new() }
    }

    pub(super) fn offer(&self, changes: &[Arc<Applied>]) {
        let mut wanted = changes.iter().filter(|change| (self.interest)(change)).peekable();
        if wanted.peek().is_none() {
            return;
        }
        let mut waiting = self.waiting.lock();
        if !waiting.missed {
            waiting.changes.extend(wanted.cloned());
        }
        let full = waiting.changes.len() > READER_CHANGES;
        drop(waiting);
        if full {
            self.miss();
        }
        self.arrived.notify_one();
    }

    /// The changes are not to be had any more.
    pub(super) fn miss(&self) {
        *self.waiting.lock() = Waiting { changes: VecDeque::new(), missed: true };
        self.arrived.notify_one();
    }
}

/// One follower's place in the feed. Changes are kept for it until it is dropped.
pub struct FeedReader {
    pub(super) queue: Arc<Queue>,
}

impl FeedReader {
    /// Waits for changes; gives at most [`READ_CHANGES`] at once. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`Missed`], once, when the follower was too far behind or the feed began anew.
    pub async fn next(&mut self) -> Result<Vec<Arc<Applied>>, Missed> {
        loop {
            {
                let mut waiting = self.queue.waiting.lock();
                if std::mem::take(&mut waiting.missed) {
                    return Err(Missed);
                }
                if !waiting.changes.is_empty() {
                    let count = waiting.changes.len().min(READ_CHANGES);
                    return Ok(waiting.changes.drain(..count).collect());
                }
            }
            self.queue.arrived.notified().await;
        }
    }
}
