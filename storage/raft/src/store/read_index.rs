//! Linearizable reads in batches: while one round to the quorum is under way, the reads that come meanwhile wait
//! for the next round together.

use std::sync::Weak;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::error::StoreError;
use super::member::Inner;
use crate::rt;

/// Reads that may wait; more is an error to the caller.
const QUEUE_READS: usize = 65_536;
/// Time for one round before its reads are told so.
const ROUND_TIMEOUT: Duration = Duration::from_secs(5);

type Read = oneshot::Sender<Result<u64, StoreError>>;

/// Where reads queue up.
pub(super) struct ReadQueue(mpsc::Sender<Read>);

impl ReadQueue {
    pub(super) fn new() -> (Self, mpsc::Receiver<Read>) {
        let (sender, receiver) = mpsc::channel(QUEUE_READS);
        (Self(sender), receiver)
    }

    pub(super) async fn read(&self) -> Result<u64, StoreError> {
        let (answer, wait) = oneshot::channel();
        let full = |_| StoreError::Unavailable { waited_ms: 0, why: "too many reads are waiting".to_owned() };
        self.0.try_send(answer).map_err(full)?;
        wait.await.unwrap_or_else(|_| Err(StoreError::Stopped { why: "the store was closed".to_owned() }))
    }
}

/// Runs until the store is gone.
pub(super) async fn run(store: Weak<Inner>, mut queue: mpsc::Receiver<Read>) {
    while let Some(first) = queue.recv().await {
        let mut batch = vec![first];
        while let Ok(more) = queue.try_recv() {
            batch.push(more);
        }
        let Some(inner) = store.upgrade() else { return };
        let round = async {
            let index = inner.confirm_index(ROUND_TIMEOUT).await?;
            inner.shared.wait_applied(index).await;
            Ok(index)
        };
        let result = rt::timeout(ROUND_TIMEOUT, round).await.unwrap_or_else(|_| {
            let waited_ms = u64::try_from(ROUND_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
            Err(StoreError::Unavailable { waited_ms, why: "the read round timed out".to_owned() })
        });
        for read in batch {
            if read.send(result.clone()).is_err() {
                tracing::trace!("a reader gave up");
            }
        }
    }
}
