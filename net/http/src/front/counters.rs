//! What happened at the front, for metrics and tests.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// A reading of the front's counters. All but `open` count since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counts! {
    /// Connections accepted.
    accepted,
    /// Connections open now, handshaking and upgraded ones included.
    open,
    /// TLS handshakes that failed.
    handshakes_failed,
    /// TLS handshakes that took too long.
    handshakes_slow,
    /// Requests that reached the handler.
    requests,
    /// Requests that the client abandoned.
    abandoned,
    /// Requests refused by the front: target or headers beyond a limit.
    refused,
    /// Connections cut because a request's head came too slowly.
    cut_header_slow,
    /// Connections cut because the client took nothing of its answer.
    cut_write_stalled,
    /// Connections cut because of too many abandoned requests.
    cut_resets,
    /// Connections cut because they did not end after being told to go.
    cut_lingering,
    /// Connections told to go because they had no requests.
    idle_closed,
    /// Connections told to go by the chance of GOAWAY.
    goaway_chosen,
    /// Connections that changed their protocol.
    upgraded,
    /// Connections that ended with a protocol or transport error.
    broken,
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
