//! Calling a shim.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;
use trireme_node::{RuntimeError, RuntimeErrorKind};

use crate::fail::{Outcome, unavailable};
use crate::shim::protocol::{Call, FailureKind, Reply, Request, VERSION, receive, send};

/// How long a shim may take to answer; starting a container mounts and may wait for a busy disk.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// A shim, by its socket.
#[derive(Clone, Debug)]
pub(crate) struct ShimClient {
    socket: PathBuf,
}

impl ShimClient {
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// A connection with the call made and its reply read; streams or events may follow.
    ///
    /// # Errors
    /// `Unavailable` when there is no shim, else what it answered.
    pub(crate) async fn open(&self, request: Request) -> Outcome<(UnixStream, Reply)> {
        let talk = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            send(&mut stream, &Call { version: VERSION, request }).await?;
            let reply: Reply = receive(&mut stream).await?;
            Ok::<_, io::Error>((stream, reply))
        };
        match timeout(ANSWER_LIMIT, talk).await {
            Ok(Ok((_, Reply::Failed(failure)))) => {
                let kind = match failure.kind {
                    FailureKind::NotFound => RuntimeErrorKind::NotFound,
                    FailureKind::Invalid => RuntimeErrorKind::Invalid,
                    FailureKind::CannotStart => RuntimeErrorKind::CannotStart,
                    FailureKind::Unavailable => RuntimeErrorKind::Unavailable,
                };
                Err(RuntimeError::new(kind, failure.message))
            }
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                Err(unavailable(format!("the sandbox' shim at {} is gone: {error}", self.socket.display())))
            }
            Err(_) => Err(RuntimeError::new(
                RuntimeErrorKind::DeadlineExceeded,
                format!(
                    "the sandbox' shim at {} did not answer within {ANSWER_LIMIT:?}",
                    self.socket.display()
                ),
            )),
        }
    }

    /// A call without anything to follow.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn call(&self, request: Request) -> Outcome<Reply> {
        self.open(request).await.map(|(_, reply)| reply)
    }

    /// Whether nobody listens at its socket any more.
    pub(crate) async fn is_gone(&self) -> bool {
        let Err(error) = UnixStream::connect(&self.socket).await else { return false };
        matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
    }
}
