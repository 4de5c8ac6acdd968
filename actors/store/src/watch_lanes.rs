//! [`WatchLanes`]: the watches of this process, many to a task.
//!
//! A write wakes every watch that it concerns. As tasks of their own, two hundred watches of one prefix were two hundred
//! turns of the scheduler, and each event left in a packet of its own: the connection's writer ran after the first
//! event, before the second was there. A lane is one task that runs all watches of some connections. It is woken once,
//! publishes to all of them in one turn, and what is for one connection leaves together.
//!
//! Watches of one connection share a lane. A watch that panics ends alone. Lanes end when the process drops its
//! publishers and their last watch is over.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::watch_memo::WatchMemo;

/// Lanes of a process: enough that publishing uses several cores.
const LANES: usize = 4;
/// New watches that may wait for a lane.
const NEW_WATCHES: usize = 16_384;

/// A lane has as many new watches waiting as it takes.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{NEW_WATCHES} new watches wait to be served here already")]
pub(crate) struct LaneFull;

/// See the module.
pub(crate) struct WatchLanes {
    lanes: Vec<Lane>,
}

struct Lane {
    watches: mpsc::Sender<BoxFuture<'static, ()>>,
    /// What the lane encoded last. Nobody else waits for the lock.
    memo: Arc<Mutex<WatchMemo>>,
}

impl WatchLanes {
    /// Starts the lanes on the I/O runtime.
    pub(crate) fn start(io: &Handle) -> Self {
        let lane = |_| {
            let (watches, queue) = mpsc::channel(NEW_WATCHES);
            // All watches of a lane together would use up a task's turn.
            io.spawn(tokio::task::unconstrained(run(queue)));
            Lane { watches, memo: Arc::default() }
        };
        Self { lanes: (0..LANES).map(lane).collect() }
    }

    /// Runs a watch until it ends.
    ///
    /// # Errors
    /// The lane does not keep up with new watches; this one was not begun.
    pub(crate) fn add<F: Future<Output = ()> + Send + 'static>(
        &self,
        connection: u64,
        watch: impl FnOnce(Arc<Mutex<WatchMemo>>) -> F,
    ) -> Result<(), LaneFull> {
        let count = u64::try_from(self.lanes.len()).expect("a few lanes");
        let at = usize::try_from(connection % count).expect("a few lanes");
        let lane = &self.lanes[at];
        let room = lane.watches.try_reserve().map_err(|_| LaneFull)?;
        let served = AssertUnwindSafe(watch(Arc::clone(&lane.memo))).catch_unwind();
        room.send(
            served
                .map(|ended| {
                    if ended.is_err() {
                        tracing::error!("a watch panicked; its subscriber is told that it ended");
                    }
                })
                .boxed(),
        );
        Ok(())
    }
}

async fn run(mut queue: mpsc::Receiver<BoxFuture<'static, ()>>) {
    let mut open = FuturesUnordered::new();
    let mut closed = false;
    while !(closed && open.is_empty()) {
        tokio::select! {
            biased;
            watch = queue.recv(), if !closed => match watch {
                Some(watch) => open.push(watch),
                None => closed = true,
            },
            Some(()) = open.next(), if !open.is_empty() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::sync::oneshot;

    #[tokio::test]
    async fn watches_of_a_lane_run_side_by_side_and_a_panic_ends_one_of_them() {
        let lanes = WatchLanes::start(&Handle::current());
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        lanes
            .add(7, |_| async move {
                gone.await.unwrap();
                tell.send(()).unwrap();
            })
            .unwrap();
        lanes.add(7, |_| async { panic!("planted") }).unwrap();
        lanes.add(7, |_| async move { go.send(()).unwrap() }).unwrap();
        told.await.expect("the first watch goes on while others come and go");
    }

    #[tokio::test]
    async fn a_lane_that_is_given_up_still_ends_its_watches() {
        let lanes = WatchLanes::start(&Handle::current());
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        lanes
            .add(1, |_| async move {
                gone.await.unwrap();
                tell.send(()).unwrap();
            })
            .unwrap();
        drop(lanes);
        tokio::task::yield_now().await;
        go.send(()).unwrap();
        told.await.unwrap();
    }
}
