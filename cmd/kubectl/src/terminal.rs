//! The terminal that the command runs in.

use std::io::stdin;

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// A terminal whose keys go to the program as they are; what it was comes back with the drop.
pub(crate) struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// `None` when standard input is no terminal.
    pub(crate) fn enter() -> Option<Self> {
        if !isatty(stdin()) {
            return None;
        }
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Flush, &raw).ok()?;
        Some(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that went away needs nothing back.
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &self.before);
    }
}

/// The terminal's size (columns, rows): now, and whenever it changes.
pub(crate) fn sizes() -> mpsc::Receiver<(u16, u16)> {
    let (send, receive) = mpsc::channel(4);
    tokio::spawn(async move {
        let Ok(mut changed) = signal(SignalKind::window_change()) else { return };
        loop {
            let Ok(size) = tcgetwinsize(stdin()) else { return };
            if send.send((size.ws_col, size.ws_row)).await.is_err() || changed.recv().await.is_none() {
                return;
            }
        }
    });
    receive
}
