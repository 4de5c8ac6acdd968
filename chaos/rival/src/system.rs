//! [`System`]: what both rivals can do, as the load sees it.

use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

/// A running cluster of one kind.
pub(crate) trait System: Send + Sync {
    /// How the table calls it.
    fn name(&self) -> &'static str;
    /// Its processes.
    fn pids(&self) -> Vec<u32>;
    /// A new connection to the member that leads now.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Session>>>;
}

/// One connection. Calls on it run side by side.
pub(crate) trait Session: Send + Sync {
    /// Writes one key; returns when it is acknowledged.
    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> BoxFuture<'a, Result<()>>;
    /// Reads one key linearizably; gives the value's length.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<usize>>>;
    /// Opens watches of everything below `prefix`; returns when all stand. Arrivals go to `arrivals` as long as the
    /// result lives.
    fn watch<'a>(
        &'a self,
        prefix: &'a str,
        watchers: usize,
        arrivals: &'static Arrivals,
    ) -> BoxFuture<'a, Result<Watching>>;
}

/// Keeps watches open; the tasks end with it.
pub(crate) struct Watching {
    pub(crate) _open: tokio::task::JoinSet<()>,
}

/// What arrived and when: the key and the moment.
#[derive(Default)]
pub(crate) struct Arrivals(Mutex<Vec<(Box<[u8]>, Instant)>>);

impl Arrivals {
    pub(crate) fn note(&self, key: &[u8]) {
        let now = Instant::now();
        self.0.lock().push((key.into(), now));
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().len()
    }

    pub(crate) fn take(&self) -> Vec<(Box<[u8]>, Instant)> {
        std::mem::take(&mut self.0.lock())
    }
}
