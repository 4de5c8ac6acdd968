use std::cell::Cell;

use tokio::sync::oneshot;

thread_local! {
    /// True while a handler runs on this thread.
    static HANDLING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a handler: a reply it lets go of was dropped by it, not lost with its incarnation.
pub(crate) fn handling<T>(work: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            HANDLING.set(self.0);
        }
    }
    let _restore = Restore(HANDLING.replace(true));
    work()
}

/// The right to answer one request, exactly once.
///
/// Dropped without an answer, the caller learns it: `Restarted` when the incarnation ended, `NoAnswer`
/// when the actor just let go of it.
#[must_use = "a reply that is dropped answers with an error"]
#[derive(Debug)]
pub struct Reply<T> {
    answer: Option<oneshot::Sender<Outcome<T>>>,
}

/// What travels back to the caller.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    Answer(T),
    Refused(String),
    Denied(String),
    /// A handler let go of the reply.
    Dropped,
    /// The handler that held the reply panicked.
    Panicked,
}

impl<T> Reply<T> {
    pub(crate) fn new() -> (Self, oneshot::Receiver<Outcome<T>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { answer: Some(sender) }, receiver)
    }

    /// Answers. A caller that is gone does not matter.
    pub fn answer(mut self, value: T) {
        self.send(Outcome::Answer(value));
    }

    /// Says no; the caller gets `CallError::Refused` with this reason.
    pub fn refuse(mut self, reason: impl Into<String>) {
        self.send(Outcome::Refused(reason.into()));
    }

    /// Says that the caller may not; the caller gets `CallError::Denied` with this reason.
    pub fn deny(mut self, reason: impl Into<String>) {
        self.send(Outcome::Denied(reason.into()));
    }

    /// True when nobody waits for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.answer.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn send(&mut self, outcome: Outcome<T>) {
        if let Some(answer) = self.answer.take() {
            let _gone = answer.send(outcome);
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.send(Outcome::Panicked);
        } else if HANDLING.get() {
            self.send(Outcome::Dropped);
        }
    }
}
