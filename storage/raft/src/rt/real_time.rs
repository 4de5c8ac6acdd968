//! tokio, as it is.

use std::future::Future;
use std::io;

pub(crate) use tokio::time::{Instant, sleep, timeout};

// The crate that the deprecation points to has no other use here.
#[allow(deprecated)]
pub(crate) use openraft::impls::TokioRuntime as Runtime;

/// A task that ends with its handle.
pub(crate) struct Task(tokio::task::JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts a task that runs until it is done.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// Runs work that may block, on a thread for that.
///
/// # Errors
/// The work panicked, or the process is ending.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Runs long work that may block, on a thread of its own that comes after those that acknowledge.
///
/// # Errors
/// There is no such thread, or the work panicked.
pub(crate) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (tell, wait) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("raft-snapshot".to_owned()).spawn(move || {
        crate::priority::step_back();
        // Whoever asked may be gone.
        drop(tell.send(work()));
    })?;
    wait.await.map_err(|_| io::Error::other("the work on a thread of its own panicked"))
}

/// Whether this thread is in a world of its own time, where tasks stand in for threads.
pub(crate) const fn is_virtual() -> bool {
    false
}

/// What a sync takes in a world of its own time: nothing here, where it takes what it takes.
pub(crate) async fn before_sync() {}
