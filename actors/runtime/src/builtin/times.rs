//! [`Times`]: where the time of a start goes, for who logs `trireme_runtime::times=debug`.

use tokio::time::Instant;

/// Notes how long each step of something took.
pub(super) struct Times {
    pod: String,
    since: Instant,
}

impl Times {
    pub(super) fn start(pod: &str) -> Self {
        Self { pod: pod.to_owned(), since: Instant::now() }
    }

    /// A step is done; the next one begins.
    pub(super) fn note(&mut self, what: &'static str) {
        let micros = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(target: "trireme_runtime::times", uid = self.pod, what, micros, "done");
        self.since = Instant::now();
    }
}
