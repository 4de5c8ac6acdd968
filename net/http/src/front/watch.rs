//! When a connection has to go: a pure core.
//!
//! It is told what happens on a connection and answers two questions: what is the verdict now, and when to ask next.
//! Invariants: a connection with a request in flight is never idle; only a write that makes no progress at all stalls;
//! a verdict, once given, stays.

use std::time::Duration;

use trireme_core::Tick;

use crate::limits::Limits;

/// What to do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Tell it to go (GOAWAY, or close after the current request).
    Close,
    /// End it at once.
    Cut(Cut),
}

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The head of a request came too slowly.
    HeaderSlow,
    /// The client takes nothing.
    WriteStalled,
    /// Too many abandoned requests.
    Resets,
    /// Told to go, has no requests, and is still here.
    Lingering,
}

/// The times that count, taken from [`Limits`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spans {
    header_read: Duration,
    idle: Duration,
    write_stall: Duration,
    close: Duration,
    resets: u32,
    reset_window: Duration,
}

impl From<&Limits> for Spans {
    fn from(limits: &Limits) -> Self {
        Self {
            header_read: limits.header_read,
            idle: limits.idle,
            write_stall: limits.write_stall,
            close: limits.close,
            resets: limits.resets,
            reset_window: limits.reset_window,
        }
    }
}

/// State of one connection. About 100 bytes.
#[derive(Debug)]
pub(crate) struct ConnectionWatch {
    spans: Spans,
    /// HTTP/1.1: bytes without a request in flight are the head of one. HTTP/2 also sends pings and the like.
    bytes_are_head: bool,
    in_flight: u32,
    quiet_since: Tick,
    head_since: Option<Tick>,
    stalled_since: Option<Tick>,
    told_to_go_since: Option<Tick>,
    window_since: Tick,
    resets_in_window: u32,
    flooded: bool,
}

impl ConnectionWatch {
    pub(crate) fn new(spans: Spans, bytes_are_head: bool, now: Tick) -> Self {
        Self {
            spans,
            bytes_are_head,
            in_flight: 0,
            quiet_since: now,
            head_since: None,
            stalled_since: None,
            told_to_go_since: None,
            window_since: now,
            resets_in_window: 0,
            flooded: false,
        }
    }

    pub(crate) fn bytes_read(&mut self, now: Tick) {
        if self.bytes_are_head && self.in_flight == 0 {
            self.head_since.get_or_insert(now);
        }
    }

    pub(crate) fn write_blocked(&mut self, now: Tick) {
        self.stalled_since.get_or_insert(now);
    }

    pub(crate) fn write_progressed(&mut self) {
        self.stalled_since = None;
    }

    pub(crate) fn request_began(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
        self.head_since = None;
    }

    pub(crate) fn request_ended(&mut self, now: Tick, abandoned: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.quiet_since = now;
        if let Some(since) = &mut self.told_to_go_since {
            *since = now;
        }
        if !abandoned {
            return;
        }
        if now.since(self.window_since) > self.spans.reset_window {
            self.window_since = now;
            self.resets_in_window = 0;
        }
        self.resets_in_window = self.resets_in_window.saturating_add(1);
        self.flooded |= self.resets_in_window > self.spans.resets;
    }

    pub(crate) fn told_to_go(&mut self, now: Tick) {
        self.told_to_go_since.get_or_insert(now);
    }

    pub(crate) fn verdict(&self, now: Tick) -> Option<Verdict> {
        if self.flooded {
            return Some(Verdict::Cut(Cut::Resets));
        }
        let due = |since: Option<Tick>, span| since.is_some_and(|since| now >= since + span);
        if due(self.stalled_since, self.spans.write_stall) {
            return Some(Verdict::Cut(Cut::WriteStalled));
        }
        if due(self.head_since, self.spans.header_read) {
            return Some(Verdict::Cut(Cut::HeaderSlow));
        }
        if self.in_flight > 0 {
            return None;
        }
        if self.told_to_go_since.is_some() {
            return due(self.told_to_go_since, self.spans.close).then_some(Verdict::Cut(Cut::Lingering));
        }
        due(Some(self.quiet_since), self.spans.idle).then_some(Verdict::Close)
    }

    /// When the verdict can change without anything happening.
    pub(crate) fn deadline(&self) -> Tick {
        let idle = match (self.in_flight, self.told_to_go_since) {
            (0, Some(since)) => Some(since + self.spans.close),
            (0, None) => Some(self.quiet_since + self.spans.idle),
            _ => None,
        };
        let head = self.head_since.map(|since| since + self.spans.header_read);
        let stall = self.stalled_since.map(|since| since + self.spans.write_stall);
        [idle, head, stall].into_iter().flatten().min().unwrap_or(Tick::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Tick {
        Tick::from_millis(seconds * 1000)
    }

    fn watch(bytes_are_head: bool) -> ConnectionWatch {
        let limits = Limits { resets: 3, ..Limits::default() };
        ConnectionWatch::new(Spans::from(&limits), bytes_are_head, at(0))
    }

    #[test]
    fn a_quiet_connection_is_told_to_go_and_then_cut() {
        let mut watch = watch(true);
        assert_eq!((watch.verdict(at(89)), watch.deadline()), (None, at(90)));
        assert_eq!(watch.verdict(at(90)), Some(Verdict::Close));
        watch.told_to_go(at(90));
        assert_eq!((watch.verdict(at(99)), watch.deadline()), (None, at(100)));
        assert_eq!(watch.verdict(at(100)), Some(Verdict::Cut(Cut::Lingering)));
    }

    #[test]
    fn a_request_in_flight_keeps_the_connection() {
        let mut watch = watch(true);
        watch.request_began();
        assert_eq!((watch.verdict(at(9000)), watch.deadline()), (None, Tick::MAX));
        watch.told_to_go(at(9000));
        assert_eq!(watch.verdict(at(9999)), None);
        watch.request_ended(at(9999), false);
        assert_eq!(watch.deadline(), at(10_009));
    }

    #[test]
    fn a_head_that_drips_is_cut_however_often_it_drips() {
        let mut watch = watch(true);
        (10..42).for_each(|second| watch.bytes_read(at(second)));
        assert_eq!(watch.deadline(), at(42));
        assert_eq!(watch.verdict(at(41)), None);
        assert_eq!(watch.verdict(at(42)), Some(Verdict::Cut(Cut::HeaderSlow)));
        watch.request_began();
        assert_eq!(watch.verdict(at(42)), None);
        let mut http2 = self::watch(false);
        http2.bytes_read(at(10));
        assert_eq!(http2.deadline(), at(90), "pings are no head");
    }

    #[test]
    fn only_a_write_without_any_progress_stalls() {
        let mut watch = watch(true);
        watch.request_began();
        watch.write_blocked(at(10));
        watch.write_blocked(at(50));
        assert_eq!(watch.deadline(), at(70));
        watch.write_progressed();
        assert_eq!((watch.verdict(at(80)), watch.deadline()), (None, Tick::MAX));
        watch.write_blocked(at(80));
        assert_eq!(watch.verdict(at(140)), Some(Verdict::Cut(Cut::WriteStalled)));
    }

    #[test]
    fn abandoned_requests_count_within_a_window() {
        let mut watch = watch(false);
        for second in [0, 1, 2, 20, 21, 22] {
            watch.request_began();
            watch.request_ended(at(second), true);
            assert_eq!(watch.verdict(at(second)), None);
        }
        watch.request_began();
        watch.request_ended(at(23), true);
        assert_eq!(watch.verdict(at(24)), Some(Verdict::Cut(Cut::Resets)));
    }
}
