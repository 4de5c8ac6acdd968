//! Streams into containers: exec, attach, port-forward.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};

/// A byte stream in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Any [`Io`].
pub type BoxedIo = Box<dyn Io>;

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Asks for a program in a running container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Wants standard input.
    pub stdin: bool,
    /// Wants standard output.
    pub stdout: bool,
    /// Wants standard error (never with a terminal).
    pub stderr: bool,
    /// A terminal.
    pub tty: bool,
}

/// A program's streams. Absent ones were not asked for. Dropping them all ends an exec'd program with SIGHUP/SIGKILL;
/// it detaches from an attached one.
pub struct Streams {
    /// To the program; closing it ends its input.
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    /// From the program.
    pub stdout: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// From the program.
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// Resizes the terminal.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
    /// Its exit code, once it ended and all its output was handed over.
    pub exit: oneshot::Receiver<Result<i32, crate::error::RuntimeError>>,
}

/// What a short program said (probes, hooks).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutcome {
    /// Exit code.
    pub exit_code: i32,
    /// At most 16 KiB are kept.
    pub stdout: Vec<u8>,
    /// At most 16 KiB are kept.
    pub stderr: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}
