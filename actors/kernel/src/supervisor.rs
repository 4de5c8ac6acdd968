//! Supervisors: actors that host a [`SupervisorCore`] and start, stop and restart slots as it says.
//!
//! What a supervisor supervises is declared in [`SupervisorShared`], which lives with its slot: children
//! survive the supervisor's own restart. When a supervisor ends in any other way than by an orderly stop, its
//! slot kills what is alive below; its next incarnation waits for that and starts everything again.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use trireme_core::Core;
use trireme_core::supervision::{
    ChildId, ExitReason, Incarnation, Seen, SupervisorCore, SupervisorEffect, SupervisorInput,
    SupervisorPolicy,
};

use crate::address::Address;
use crate::call_table::CallTable;
use crate::core_host::{CoreHost, Perform};
use crate::incarnation::launch;
use crate::mailbox::{Control, Mailbox};
use crate::path::PathError;
use crate::report::ActorKind;
use crate::shared::Shared;
use crate::slot::{AnySlot, ExitSink, Notes, Slot, SlotMeta};
use crate::spec::{ActorSpec, Birth, SupervisorSpec};
use crate::{ActorPath, Behaviour, Context, StartError};

/// Most children a supervisor may have.
pub const MAX_CHILDREN: usize = 200_000;

/// What a supervisor's slot keeps over its incarnations.
pub(crate) struct SupervisorShared {
    pub(crate) path: ActorPath,
    policy: SupervisorPolicy,
    kernel: Arc<Shared>,
    declared: Mutex<Declared>,
    slot: OnceLock<Weak<Slot<SupervisorInput>>>,
}

#[derive(Default)]
struct Declared {
    next: u64,
    children: BTreeMap<ChildId, Child>,
    by_name: BTreeMap<String, ChildId>,
    closed: bool,
}

struct Child {
    name: String,
    slot: Arc<dyn AnySlot>,
    removing: bool,
}

/// Why a child was not added, removed or restarted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChildError {
    /// The name makes no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// An actor of that path exists, or is still stopping.
    #[error("{0}: exists already; remove it and wait until it is gone")]
    Exists(ActorPath),
    /// The supervisor has [`MAX_CHILDREN`] children.
    #[error("{path}: has {limit} children, the most there may be")]
    Full {
        /// The supervisor.
        path: ActorPath,
        /// Its limit.
        limit: usize,
    },
    /// The supervisor itself was removed or its kernel shut down.
    #[error("{0}: the supervisor was stopped")]
    Stopped(ActorPath),
    /// The supervisor has no such child.
    #[error("{path}: has no child {name:?}")]
    Unknown {
        /// The supervisor.
        path: ActorPath,
        /// The name asked for.
        name: String,
    },
    /// The child is stopping, but was not gone in time.
    #[error("{path}: not gone within {waited:?}; it is still being stopped")]
    DeadlineExceeded {
        /// The child.
        path: ActorPath,
        /// How long the caller waited.
        waited: Duration,
    },
}

/// The way to a supervisor: adds, removes and restarts children at run time. Cheap to clone.
#[derive(Clone)]
pub struct SupervisorRef {
    shared: Arc<SupervisorShared>,
}

impl SupervisorRef {
    pub(crate) fn new(shared: Arc<SupervisorShared>) -> Self {
        Self { shared }
    }

    /// The supervisor's path.
    pub fn path(&self) -> &ActorPath {
        &self.shared.path
    }

    /// Declares a child; the supervisor starts it in the background. The address is good at once.
    ///
    /// # Errors
    /// When the name is malformed or taken, or the supervisor is full or stopped.
    pub fn add<B: Behaviour>(&self, spec: ActorSpec<B>) -> Result<Address<B::Input>, ChildError> {
        let path = self.shared.path.join(&spec.name)?;
        Box::new(spec).declare(&self.shared)?;
        let slot = self.shared.kernel.slots.read().get(&path).cloned();
        let slot = slot.and_then(|slot| slot.as_any().downcast::<Slot<B::Input>>().ok());
        slot.map(Address::new).ok_or(ChildError::Stopped(path))
    }

    /// Declares a supervisor as a child.
    ///
    /// # Errors
    /// As [`SupervisorRef::add`], for any of the names in it.
    pub fn add_supervisor(&self, spec: SupervisorSpec) -> Result<SupervisorRef, ChildError> {
        let path = self.shared.path.join(&spec.name)?;
        Box::new(spec).declare(&self.shared)?;
        let slot = self.shared.kernel.slots.read().get(&path).cloned();
        let shared = slot.and_then(|slot| slot.meta().supervises.clone());
        shared.map(SupervisorRef::new).ok_or(ChildError::Stopped(path))
    }

    /// Begins to stop a child with its grace and to forget it; its path is free once that is done.
    ///
    /// # Errors
    /// When there is no such child.
    pub fn remove(&self, name: &str) -> Result<(), ChildError> {
        let child = {
            let mut declared = self.shared.declared.lock();
            let id = *declared.by_name.get(name).ok_or_else(|| self.unknown(name))?;
            if let Some(child) = declared.children.get_mut(&id) {
                child.removing = true;
            }
            id
        };
        self.shared.post(SupervisorInput::RemoveChild { child });
        Ok(())
    }

    /// Removes a child and waits up to `deadline` until it is gone.
    ///
    /// # Errors
    /// When there is no such child, or it was not gone in time (it is still being stopped then).
    pub async fn remove_and_wait(&self, name: &str, deadline: Duration) -> Result<(), ChildError> {
        let slot = self.child(name).ok_or_else(|| self.unknown(name))?;
        let mut closed = pin!(slot.meta().closed.notified());
        closed.as_mut().enable();
        match self.remove(name) {
            Ok(()) => {}
            Err(ChildError::Unknown { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        let gone = tokio::time::timeout(deadline, closed).await;
        gone.map_err(|_| ChildError::DeadlineExceeded { path: slot.meta().path.clone(), waited: deadline })
    }

    /// Stops a child with its grace and starts it again, with those the strategy ties to it.
    ///
    /// # Errors
    /// When there is no such child.
    pub fn restart(&self, name: &str) -> Result<(), ChildError> {
        let child = self.shared.declared.lock().by_name.get(name).copied();
        let child = child.ok_or_else(|| self.unknown(name))?;
        self.shared.post(SupervisorInput::RestartChild { child });
        Ok(())
    }

    /// The names of the children, in the order of their start.
    pub fn children(&self) -> Vec<String> {
        self.shared.declared.lock().children.values().map(|child| child.name.clone()).collect()
    }

    fn child(&self, name: &str) -> Option<Arc<dyn AnySlot>> {
        let declared = self.shared.declared.lock();
        let id = declared.by_name.get(name)?;
        declared.children.get(id).map(|child| Arc::clone(&child.slot))
    }

    fn unknown(&self, name: &str) -> ChildError {
        ChildError::Unknown { path: self.shared.path.clone(), name: name.to_owned() }
    }
}

/// A spec of any kind of child.
pub(crate) trait Declare: Send {
    fn declare(self: Box<Self>, under: &Arc<SupervisorShared>) -> Result<(), ChildError>;
}

impl<B: Behaviour> Declare for ActorSpec<B> {
    fn declare(self: Box<Self>, under: &Arc<SupervisorShared>) -> Result<(), ChildError> {
        let path = under.path.join(&self.name)?;
        let name = self.name.clone();
        under.insert(name, path.clone(), |child| {
            let sink: Arc<dyn ExitSink> = Arc::clone(under) as _;
            slot_of(*self, path, child, &under.kernel, sink, Some(Arc::downgrade(under)), None)
        })
    }
}

impl Declare for SupervisorSpec {
    fn declare(self: Box<Self>, under: &Arc<SupervisorShared>) -> Result<(), ChildError> {
        let SupervisorSpec { name, policy, children_policy, children } = *self;
        let path = under.path.join(&name)?;
        let shared = SupervisorShared::new(path.clone(), children_policy, &under.kernel);
        for child in children {
            if let Err(error) = child.declare(&shared) {
                shared.close_all();
                return Err(error);
            }
        }
        let kept = Arc::clone(&shared);
        let declared = under.insert(name, path.clone(), move |child| {
            let sink: Arc<dyn ExitSink> = Arc::clone(under) as _;
            supervisor_slot(&kept, policy, child, sink, Some(Arc::downgrade(under)))
        });
        declared.inspect_err(|_| shared.close_all())
    }
}

/// The slot of a supervisor, root or not.
pub(crate) fn supervisor_slot(
    shared: &Arc<SupervisorShared>,
    policy: trireme_core::supervision::ChildPolicy,
    child: ChildId,
    sink: Arc<dyn ExitSink>,
    under: Option<Weak<SupervisorShared>>,
) -> Arc<Slot<SupervisorInput>> {
    let own = Arc::downgrade(shared);
    let factory = move |birth: &Birth| {
        let shared = own.upgrade().expect("a supervisor's slot keeps its shared part alive");
        let (core, effects) = shared.core(birth);
        CoreHost::with_effects(core, Shell { shared }, effects)
    };
    let mut spec = ActorSpec::new(String::new(), factory);
    spec.policy = policy;
    let slot =
        slot_of(spec, shared.path.clone(), child, &shared.kernel, sink, under, Some(Arc::clone(shared)));
    let _once = shared.slot.set(Arc::downgrade(&slot));
    slot
}

fn slot_of<B: Behaviour>(
    spec: ActorSpec<B>,
    path: ActorPath,
    child: ChildId,
    kernel: &Arc<Shared>,
    parent: Arc<dyn ExitSink>,
    supervised_by: Option<Weak<SupervisorShared>>,
    supervises: Option<Arc<SupervisorShared>>,
) -> Arc<Slot<B::Input>> {
    let ActorSpec { policy, mailbox, io_limit, calls, factory, .. } = spec;
    let calls: CallTable = calls;
    Arc::new(Slot {
        meta: SlotMeta {
            id: kernel.next_slot.fetch_add(1, Ordering::Relaxed),
            path,
            kind: if supervises.is_some() { ActorKind::Supervisor } else { ActorKind::Actor },
            child,
            policy,
            capacity: mailbox,
            io_limit,
            shared: Arc::clone(kernel),
            parent,
            supervises,
            supervised_by,
            calls,
            live: Mutex::new(None),
            last_incarnation: 0.into(),
            finished: false.into(),
            kill_asked: false.into(),
            io: Mutex::default(),
            notes: Mutex::new(Notes::new(kernel.clock.now())),
            fenced: tokio::sync::Notify::new(),
            fence_mark: 0.into(),
            closed: tokio::sync::Notify::new(),
        },
        mailbox: Mutex::new(Mailbox::new()),
        room: tokio::sync::Notify::new(),
        launch: Box::new(move |slot, incarnation, arbiter| launch::<B>(slot, incarnation, arbiter, &factory)),
    })
}

impl SupervisorShared {
    pub(crate) fn new(path: ActorPath, policy: SupervisorPolicy, kernel: &Arc<Shared>) -> Arc<Self> {
        let declared = Mutex::new(Declared::default());
        Arc::new(Self { path, policy, kernel: Arc::clone(kernel), declared, slot: OnceLock::new() })
    }

    fn post(&self, input: SupervisorInput) {
        if let Some(slot) = self.slot.get().and_then(Weak::upgrade) {
            slot.post(Control::Report(input));
        }
    }

    fn insert<I: Send + 'static>(
        &self,
        name: String,
        path: ActorPath,
        make: impl FnOnce(ChildId) -> Arc<Slot<I>>,
    ) -> Result<(), ChildError> {
        let mut declared = self.declared.lock();
        if declared.closed {
            return Err(ChildError::Stopped(self.path.clone()));
        }
        if declared.children.len() >= MAX_CHILDREN {
            return Err(ChildError::Full { path: self.path.clone(), limit: MAX_CHILDREN });
        }
        let child = ChildId(declared.next);
        let policy = {
            let mut slots = self.kernel.slots.write();
            if slots.contains_key(&path) {
                return Err(ChildError::Exists(path));
            }
            let slot = make(child);
            let policy = slot.meta.policy;
            slots.insert(path, slot.clone());
            declared.children.insert(child, Child { name: name.clone(), slot, removing: false });
            policy
        };
        declared.next += 1;
        declared.by_name.insert(name, child);
        // Under the lock: the core takes ids in rising order only.
        self.post(SupervisorInput::AddChild { child, policy, seen: Seen::default() });
        Ok(())
    }

    /// The core of a new incarnation, told of everything declared, and what it asked for meanwhile.
    fn core(&self, birth: &Birth) -> (SupervisorCore, Vec<SupervisorEffect>) {
        let mut core = SupervisorCore::new(self.policy, birth.seed);
        let mut effects = Vec::new();
        let declared = self.declared.lock();
        for (child, entry) in &declared.children {
            let meta = entry.slot.meta();
            let last = Incarnation(meta.last_incarnation.load(Ordering::Acquire));
            let alive = meta.alive() == Some(last);
            let seen = Seen { last, alive, finished: meta.finished.load(Ordering::Acquire) };
            let input = SupervisorInput::AddChild { child: *child, policy: meta.policy, seen };
            core.step(birth.now, input, &mut effects);
            if entry.removing {
                core.step(birth.now, SupervisorInput::RemoveChild { child: *child }, &mut effects);
            }
        }
        (core, effects)
    }

    fn slot_of(&self, child: ChildId) -> Option<Arc<dyn AnySlot>> {
        self.declared.lock().children.get(&child).map(|entry| Arc::clone(&entry.slot))
    }

    fn forget(&self, child: ChildId) {
        let entry = {
            let mut declared = self.declared.lock();
            let Some(entry) = declared.children.remove(&child) else { return };
            declared.by_name.remove(&entry.name);
            entry
        };
        close_slot(&self.kernel, &entry.slot);
    }

    /// Closes every slot below, and lets no more be declared.
    pub(crate) fn close_all(&self) {
        let children = {
            let mut declared = self.declared.lock();
            declared.closed = true;
            declared.by_name.clear();
            std::mem::take(&mut declared.children)
        };
        for entry in children.into_values() {
            close_slot(&self.kernel, &entry.slot);
        }
    }

    /// Kills whatever is alive directly below; what is below that follows by itself.
    pub(crate) fn kill_children(&self) {
        let slots: Vec<_> =
            self.declared.lock().children.values().map(|entry| Arc::clone(&entry.slot)).collect();
        for slot in slots.iter().rev() {
            if let Some(incarnation) = slot.meta().alive() {
                slot.kill(incarnation);
            }
        }
    }
}

/// Ends a slot for good, with everything below it.
pub(crate) fn close_slot(kernel: &Shared, slot: &Arc<dyn AnySlot>) {
    if let Some(below) = &slot.meta().supervises {
        below.close_all();
    }
    kernel.slots.write().remove(&slot.meta().path);
    slot.close();
}

impl ExitSink for SupervisorShared {
    fn started(&self, child: ChildId, incarnation: Incarnation) {
        self.post(SupervisorInput::Started { child, incarnation });
    }

    fn exited(&self, child: ChildId, incarnation: Incarnation, reason: ExitReason) {
        self.post(SupervisorInput::Exited { child, incarnation, reason });
    }
}

/// Carries out what a [`SupervisorCore`] decides.
pub(crate) struct Shell {
    shared: Arc<SupervisorShared>,
}

impl Perform<SupervisorCore> for Shell {
    fn perform(&mut self, effect: SupervisorEffect, cx: &mut Context<CoreHost<SupervisorCore, Self>>) {
        match effect {
            SupervisorEffect::Start { child, incarnation } => {
                if let Some(slot) = self.shared.slot_of(child) {
                    slot.start(incarnation);
                }
            }
            SupervisorEffect::Stop { child, incarnation, grace } => {
                if let Some(slot) = self.shared.slot_of(child) {
                    slot.stop(incarnation, grace);
                }
            }
            SupervisorEffect::Kill { child, incarnation } => {
                if let Some(slot) = self.shared.slot_of(child) {
                    slot.kill(incarnation);
                }
            }
            SupervisorEffect::Restarting { child, reason, delay, exceeded } => {
                if let Some(slot) = self.shared.slot_of(child) {
                    tracing::warn!(actor = %slot.meta().path, ?reason, ?delay, exceeded, "restarting actor");
                }
            }
            SupervisorEffect::ChildFinished { child } => {
                if let Some(slot) = self.shared.slot_of(child) {
                    slot.meta().finished.store(true, Ordering::Release);
                    slot.meta().notes.lock().enter("finished", cx.now());
                }
            }
            SupervisorEffect::Removed { child } => self.shared.forget(child),
            SupervisorEffect::Escalate { child } => {
                let path = self.shared.slot_of(child).map(|slot| slot.meta().path.to_string());
                let path = path.unwrap_or_else(|| "a removed child".to_owned());
                cx.end_with(ExitReason::Escalated, Some(format!("{path} failed too often")));
            }
            SupervisorEffect::Finished => cx.stop(),
        }
    }

    fn started(
        &mut self,
        cx: &mut Context<CoreHost<SupervisorCore, Self>>,
    ) -> Result<Option<SupervisorInput>, StartError> {
        let _ = cx;
        Ok(Some(SupervisorInput::Start))
    }

    fn stopping(&mut self, _grace: Duration) -> Option<SupervisorInput> {
        Some(SupervisorInput::Shutdown)
    }

    fn state_name(&self, core: &SupervisorCore) -> &'static str {
        core.state_name()
    }

    fn label(input: &SupervisorInput) -> &'static str {
        match input {
            SupervisorInput::Start => "start",
            SupervisorInput::AddChild { .. } => "add-child",
            SupervisorInput::RemoveChild { .. } => "remove-child",
            SupervisorInput::RestartChild { .. } => "restart-child",
            SupervisorInput::Started { .. } => "child-started",
            SupervisorInput::Exited { .. } => "child-exited",
            SupervisorInput::Shutdown => "shutdown",
        }
    }
}
