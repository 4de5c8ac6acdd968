use std::future::Future;
use std::sync::Arc;

use thiserror::Error;
use tracing::Instrument;
use trireme_core::Tick;
use trireme_core::supervision::{ExitReason, Incarnation};

use crate::address::Address;
use crate::gauges::IoGuard;
use crate::mailbox::{Control, IoEnd};
use crate::panic_text::catch_async;
use crate::registry::Registry;
use crate::slot::Slot;
use crate::supervisor::SupervisorRef;
use crate::{ActorPath, Behaviour};

/// What an incarnation can do besides handling its input.
pub struct Context<B: Behaviour> {
    pub(crate) slot: Arc<Slot<B::Input>>,
    pub(crate) incarnation: Incarnation,
    pub(crate) now: Tick,
    pub(crate) armed: Option<Tick>,
    pub(crate) end: Option<End>,
    next_io: u64,
}

/// How an incarnation wants to end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) reason: ExitReason,
    pub(crate) error: Option<String>,
}

/// An I/O task of one incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IoId(u64);

/// Why an I/O task was not started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {limit} I/O tasks are in flight, the most its spec allows; wait for completions")]
pub struct IoLimit {
    /// The actor.
    pub path: ActorPath,
    /// Its limit.
    pub limit: usize,
}

impl<B: Behaviour> Context<B> {
    pub(crate) fn new(slot: Arc<Slot<B::Input>>, incarnation: Incarnation, now: Tick) -> Self {
        Self { slot, incarnation, now, armed: None, end: None, next_io: 0 }
    }

    /// The moment at which the current input is handled.
    pub fn now(&self) -> Tick {
        self.now
    }

    /// The actor's path.
    pub fn path(&self) -> &ActorPath {
        &self.slot.meta.path
    }

    /// Which life of the actor this is, 1 for the first.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The actor's own address.
    pub fn address(&self) -> Address<B::Input> {
        Address::new(Arc::clone(&self.slot))
    }

    /// The registry of the kernel the actor lives in.
    pub fn registry(&self) -> Registry {
        Registry::new(Arc::clone(&self.slot.meta.shared))
    }

    /// The supervisor the actor lives under; `None` for the root supervisor.
    pub fn parent(&self) -> Option<SupervisorRef> {
        let shared = self.slot.meta.supervised_by.as_ref()?.upgrade()?;
        Some(SupervisorRef::new(shared))
    }

    /// Runs `work` on the I/O runtime; what it gives comes back as an input of this incarnation, past the
    /// mailbox's capacity. Aborted when the incarnation ends; a panic in it ends the incarnation.
    ///
    /// # Errors
    /// [`IoLimit`] when as many tasks are in flight as the spec allows.
    pub fn spawn_io<F>(&mut self, work: F) -> Result<IoId, IoLimit>
    where
        F: Future<Output = B::Input> + Send + 'static,
    {
        self.spawn_ending(async move { IoEnd::Input(work.await) })
    }

    /// Runs `work` on the I/O runtime for as long as the incarnation lives; its end is not told. For loops
    /// that feed the actor's own [`Context::address`]. Limits, abort and panics as in [`Context::spawn_io`].
    ///
    /// # Errors
    /// [`IoLimit`] when as many tasks are in flight as the spec allows.
    pub fn spawn_task<F>(&mut self, work: F) -> Result<IoId, IoLimit>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.spawn_ending(async move {
            work.await;
            IoEnd::Nothing
        })
    }

    /// Aborts an I/O task; its completion will not come. Unknown and finished ids are ignored.
    pub fn abort_io(&mut self, id: IoId) {
        if let Some(task) = self.slot.meta.io.lock().remove(self.incarnation, id.0) {
            task.abort();
        }
    }

    /// Sets the actor's one timer; [`Behaviour::timer`] is called once `at` is reached. Replaces what was set.
    pub fn arm(&mut self, at: Tick) {
        self.armed = Some(at);
    }

    /// Clears the timer.
    pub fn disarm(&mut self) {
        self.armed = None;
    }

    /// Ends the incarnation normally after the current input.
    pub fn stop(&mut self) {
        self.end_with(ExitReason::Normal, None);
    }

    /// Ends the incarnation as failed after the current input; the supervisor decides what follows.
    pub fn fail(&mut self, error: impl Into<String>) {
        self.end_with(ExitReason::Failed, Some(error.into()));
    }

    pub(crate) fn end_with(&mut self, reason: ExitReason, error: Option<String>) {
        if self.end.is_none() {
            self.end = Some(End { reason, error });
        }
    }

    fn spawn_ending<F>(&mut self, work: F) -> Result<IoId, IoLimit>
    where
        F: Future<Output = IoEnd<B::Input>> + Send + 'static,
    {
        let meta = &self.slot.meta;
        if meta.io.lock().len() >= meta.io_limit {
            return Err(IoLimit { path: meta.path.clone(), limit: meta.io_limit });
        }
        let id = self.next_io;
        self.next_io += 1;
        let guard = IoGuard::new(&meta.shared.gauges);
        let slot = Arc::clone(&self.slot);
        let incarnation = self.incarnation;
        let work = async move {
            let _guard = guard;
            let end = catch_async(work).await.unwrap_or_else(IoEnd::Panicked);
            slot.post(Control::IoEnded { incarnation, id, end });
        };
        // What the task logs carries the actor's path as well.
        let task = meta.shared.io.spawn(work.in_current_span());
        meta.io.lock().insert(incarnation, id, task.abort_handle());
        Ok(IoId(id))
    }

    /// Notes a completion; false when the task is unknown (aborted meanwhile).
    pub(crate) fn io_ended(&mut self, id: u64) -> bool {
        self.slot.meta.io.lock().remove(self.incarnation, id).is_some()
    }

    pub(crate) fn abort_all_io(&mut self) {
        self.slot.meta.io.lock().close(self.incarnation);
    }
}
