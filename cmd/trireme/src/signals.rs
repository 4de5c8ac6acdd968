//! Being told to stop: SIGINT, SIGTERM, or the end of standard input for a child of `trireme up`.

use std::os::fd::AsFd;

use anyhow::Context;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for a reason to stop.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    stdin: Option<Receiver>,
}

/// Listens for signals. Must be called within a runtime.
pub(crate) fn stop() -> anyhow::Result<Stop> {
    let listen = |kind| signal(kind).context("cannot listen for signals");
    Ok(Stop {
        interrupt: listen(SignalKind::interrupt())?,
        terminate: listen(SignalKind::terminate())?,
        stdin: None,
    })
}

impl Stop {
    /// Also stops at the end of standard input, which must be a pipe then.
    pub(crate) fn or_stdin_eof(mut self, watch: bool) -> anyhow::Result<Self> {
        if watch {
            let stdin =
                std::io::stdin().as_fd().try_clone_to_owned().context("cannot watch standard input")?;
            let pipe = Receiver::from_owned_fd(stdin)
                .context("--stop-on-stdin-eof needs a pipe as standard input")?;
            self.stdin = Some(pipe);
        }
        Ok(self)
    }

    /// The reason, once there is one.
    pub(crate) async fn recv(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            () = end_of(&mut self.stdin) => "end of standard input",
        }
    }
}

/// Never comes when there is nothing to watch.
async fn end_of(stdin: &mut Option<Receiver>) {
    let Some(stdin) = stdin else { return std::future::pending().await };
    let mut sink = [0; 256];
    while !matches!(stdin.read(&mut sink).await, Ok(0) | Err(_)) {}
}
