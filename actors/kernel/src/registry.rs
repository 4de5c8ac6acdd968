use std::any::type_name;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use thiserror::Error;

use crate::address::Address;
use crate::call_table::malformed;
use crate::path::Owner;
use crate::report::{ActorReport, KernelReport};
use crate::shared::Shared;
use crate::slot::{AnySlot, Slot};
use crate::supervisor::SupervisorRef;
use crate::{ActorPath, Call, CallError, CallOptions, Caller, Remote, RemoteCall, codec, metrics};

/// Finds actors by path, here or on another machine. Cheap to clone.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

/// Why there is no address for a path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LookupError {
    /// No actor lives there on this machine.
    #[error("{0}: no such actor here")]
    NoSuchActor(ActorPath),
    /// The actor takes other inputs.
    #[error("{path}: does not take inputs of type {asked}")]
    OtherInput {
        /// The path.
        path: ActorPath,
        /// The type asked for.
        asked: &'static str,
    },
}

impl Registry {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The machine this registry belongs to.
    pub fn machine(&self) -> &str {
        &self.shared.machine
    }

    /// The address of an actor on this machine.
    ///
    /// # Errors
    /// When there is none, or it takes other inputs.
    pub fn address<I: Send + 'static>(&self, path: &ActorPath) -> Result<Address<I>, LookupError> {
        let slot = self.slot(path).ok_or_else(|| LookupError::NoSuchActor(path.clone()))?;
        match slot.as_any().downcast::<Slot<I>>() {
            Ok(slot) => Ok(Address::new(slot)),
            Err(_) => Err(LookupError::OtherInput { path: path.clone(), asked: type_name::<I>() }),
        }
    }

    /// A supervisor on this machine.
    pub fn supervisor(&self, path: &ActorPath) -> Option<SupervisorRef> {
        self.slot(path)?.meta().supervises.clone().map(SupervisorRef::new)
    }

    /// Calls an actor: here when the path is this machine's, else through [`Remote`]. `/cluster/..` is
    /// tried here first. Needs a tokio runtime with time.
    ///
    /// # Errors
    /// Every way in which no answer can come, see [`CallError`].
    pub async fn call<C: Call>(
        &self,
        to: &ActorPath,
        call: C,
        options: CallOptions,
    ) -> Result<C::Answer, CallError> {
        if let Some(slot) = self.here(to) {
            let answer = slot.meta().calls.call(Arc::clone(&slot), &Caller::local(), call, options.deadline);
            drop(slot);
            return answer.await;
        }
        let remote = match to.owner() {
            Owner::Here => None,
            Owner::Machine(machine) if machine == self.shared.machine => None,
            Owner::Machine(_) | Owner::Leader => self.shared.remote.read().clone(),
        };
        let Some(remote) = remote else { return Err(CallError::NoSuchActor { path: to.clone() }) };
        let body = codec::encode(&call).map_err(|error| malformed(to.clone(), C::NAME, &error))?;
        let CallOptions { deadline, key, class } = options;
        let sent = remote.call(RemoteCall { path: to.clone(), name: C::NAME, body, deadline, key, class });
        // The remote keeps the deadline itself; this is for one that does not.
        let answer = tokio::time::timeout(deadline, sent)
            .await
            .map_err(|_| CallError::DeadlineExceeded { path: to.clone(), waited: deadline })??;
        codec::decode(&answer).map_err(|error| malformed(to.clone(), C::NAME, &error))
    }

    /// Sets the way to other machines.
    pub fn set_remote(&self, remote: Arc<dyn Remote>) {
        *self.shared.remote.write() = Some(remote);
    }

    /// Forgets the way to other machines: calls there fail as `NoSuchActor`.
    pub fn clear_remote(&self) {
        *self.shared.remote.write() = None;
    }

    /// Carries out a call that came from another machine. What `caller` may do is for the bus to decide
    /// before; the actor learns the caller where its table asks for it.
    pub fn serve(
        &self,
        caller: &Caller,
        path: &ActorPath,
        name: &str,
        body: &Bytes,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, CallError>> {
        match self.here(path) {
            Some(slot) => slot.meta().calls.serve(Arc::clone(&slot), caller, name, body, deadline),
            None => std::future::ready(Err(CallError::NoSuchActor { path: path.clone() })).boxed(),
        }
    }

    /// What the actors at and below `prefix` say of themselves, ordered by path.
    pub fn report(&self, prefix: &ActorPath) -> Vec<ActorReport> {
        self.within(prefix).iter().map(|slot| slot.report()).collect()
    }

    /// What the kernel holds in all.
    pub fn kernel_report(&self) -> KernelReport {
        let gauges = &self.shared.gauges;
        let read = |figure: &AtomicU64| figure.load(Ordering::Acquire);
        KernelReport {
            live: read(&gauges.live),
            io_tasks: read(&gauges.io_tasks),
            timers: read(&gauges.timers),
            arbiters: self.shared.arbiters.all().len() as u64,
            arbiters_abandoned: read(&gauges.arbiters_abandoned),
            watchdog_wakes: read(&gauges.watchdog_wakes),
        }
    }

    /// Lets every actor alive at and below `prefix` pass its fault point once, so that a fault just armed also
    /// reaches actors to which nobody sends anything. Without a live fault rule nothing happens. How many were
    /// poked.
    pub fn poke(&self, prefix: &ActorPath) -> usize {
        if self.shared.faults.is_idle() {
            return 0;
        }
        let slots = self.within(prefix);
        let alive = slots.iter().filter_map(|slot| Some((slot, slot.meta().alive()?)));
        alive.map(|(slot, incarnation)| slot.poke(incarnation)).count()
    }

    /// Ends an actor's living incarnation without asking it; its supervisor decides what follows. False when
    /// none is alive there.
    pub fn kill(&self, path: &ActorPath) -> bool {
        let Some(slot) = self.slot(path) else { return false };
        let alive = slot.meta().alive();
        if let Some(incarnation) = alive {
            slot.kill(incarnation);
        }
        alive.is_some()
    }

    /// Every actor's figures and the kernel's as OpenMetrics text, see [`metrics`].
    pub fn metrics_text(&self) -> String {
        metrics::text(&self.report(&ActorPath::root()), &self.kernel_report())
    }

    fn within(&self, prefix: &ActorPath) -> Vec<Arc<dyn AnySlot>> {
        let slots = self.shared.slots.read();
        if prefix.as_str() == "/" {
            return slots.values().cloned().collect();
        }
        let below = format!("{prefix}/");
        let own = slots.get(prefix).into_iter();
        let rest = slots
            .range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded))
            .take_while(|(path, _)| path.as_str().starts_with(&below));
        own.chain(rest.map(|(_, slot)| slot)).cloned().collect()
    }

    fn slot(&self, path: &ActorPath) -> Option<Arc<dyn AnySlot>> {
        self.shared.slots.read().get(path).cloned()
    }

    /// The slot of a path that this machine may answer for.
    fn here(&self, path: &ActorPath) -> Option<Arc<dyn AnySlot>> {
        match path.owner() {
            Owner::Machine(machine) if machine != self.shared.machine => None,
            _ => self.slot(path),
        }
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("machine", &self.shared.machine).finish_non_exhaustive()
    }
}
