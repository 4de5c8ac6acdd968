use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::{Mutex, MutexGuard};
use trireme_core::Core;
use trireme_core::supervision::{
    ChildId, ExitReason, Incarnation, Seen, SupervisorCore, SupervisorEffect, SupervisorInput,
    SupervisorPolicy,
};

use super::{ChildError, MAX_CHILDREN};
use crate::ActorPath;
use crate::mailbox::Control;
use crate::shared::Shared;
use crate::slot::{AnySlot, ExitSink, Slot};
use crate::spec::Birth;

/// What a supervisor's slot keeps over its incarnations.
pub(crate) struct SupervisorShared {
    pub(crate) path: ActorPath,
    policy: SupervisorPolicy,
    kernel: Arc<Shared>,
    declared: Mutex<Declared>,
    /// The last incarnation whose core was told of the children. Held while an effect is carried out, never
    /// while code of others runs.
    acting: Mutex<Incarnation>,
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
    /// A restart was asked for and its start is still to come.
    restarting: bool,
}

impl Declared {
    fn named(&mut self, name: &str) -> Option<(ChildId, &mut Child)> {
        let id = *self.by_name.get(name)?;
        self.children.get_mut(&id).map(|child| (id, child))
    }
}

impl SupervisorShared {
    pub(crate) fn new(path: ActorPath, policy: SupervisorPolicy, kernel: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            path,
            policy,
            kernel: Arc::clone(kernel),
            declared: Mutex::default(),
            acting: Mutex::default(),
            slot: OnceLock::new(),
        })
    }

    pub(crate) fn kernel(&self) -> &Arc<Shared> {
        &self.kernel
    }

    /// Notes the slot that hosts the supervisor, once.
    pub(super) fn place_in(&self, slot: &Arc<Slot<SupervisorInput>>) {
        let _once = self.slot.set(Arc::downgrade(slot));
    }

    pub(super) fn post(&self, input: SupervisorInput) {
        if let Some(slot) = self.slot.get().and_then(Weak::upgrade) {
            slot.post(Control::Report(input));
        }
    }

    /// Declares a child and tells the supervisor.
    pub(super) fn insert<I: Send + 'static>(
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
            declared
                .children
                .insert(child, Child { name: name.clone(), slot, removing: false, restarting: false });
            policy
        };
        declared.next += 1;
        declared.by_name.insert(name, child);
        // Under the lock: the core takes ids in rising order only.
        self.post(SupervisorInput::AddChild { child, policy, seen: Seen::default() });
        Ok(())
    }

    /// The core of a new incarnation, told of everything declared, and what it asked for meanwhile.
    pub(super) fn core(&self, birth: &Birth) -> (SupervisorCore, Vec<SupervisorEffect>) {
        let mut core = SupervisorCore::new(self.policy, birth.seed);
        let mut effects = Vec::new();
        let mut acting = self.acting.lock();
        *acting = birth.incarnation;
        let mut declared = self.declared.lock();
        for (child, entry) in &mut declared.children {
            entry.restarting = false;
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

    /// The names of all children, in the order of their start.
    pub(super) fn names(&self) -> Vec<String> {
        self.declared.lock().children.values().map(|child| child.name.clone()).collect()
    }

    /// Has the child of that name forgotten once it is down, also by later incarnations of the supervisor.
    pub(super) fn begin_removal(&self, name: &str) -> Option<Arc<dyn AnySlot>> {
        let mut declared = self.declared.lock();
        let (child, entry) = declared.named(name)?;
        if !std::mem::replace(&mut entry.removing, true) {
            let slot = Arc::clone(&entry.slot);
            self.post(SupervisorInput::RemoveChild { child });
            return Some(slot);
        }
        Some(Arc::clone(&entry.slot))
    }

    /// Has the child of that name stopped and started again; false when there is none. A request that waits is
    /// not repeated: its start is still to come.
    pub(super) fn begin_restart(&self, name: &str) -> bool {
        let mut declared = self.declared.lock();
        let Some((child, entry)) = declared.named(name) else { return false };
        if !std::mem::replace(&mut entry.restarting, true) {
            self.post(SupervisorInput::RestartChild { child });
        }
        true
    }

    /// The slot of a child that is about to be started, which is what a request to restart it waits for.
    pub(super) fn begin_start(&self, child: ChildId) -> Option<Arc<dyn AnySlot>> {
        let mut declared = self.declared.lock();
        let entry = declared.children.get_mut(&child)?;
        entry.restarting = false;
        Some(Arc::clone(&entry.slot))
    }

    /// The right to act on children, while it is held; `None` for an incarnation of the supervisor that was
    /// replaced, whatever it still means to do.
    pub(super) fn acting(&self, incarnation: Incarnation) -> Option<MutexGuard<'_, Incarnation>> {
        Some(self.acting.lock()).filter(|acting| **acting == incarnation)
    }

    pub(super) fn slot_of(&self, child: ChildId) -> Option<Arc<dyn AnySlot>> {
        self.declared.lock().children.get(&child).map(|entry| Arc::clone(&entry.slot))
    }

    /// Drops a child that is down; its slot is still to be closed by [`close_slot`].
    pub(super) fn forget(&self, child: ChildId) -> Option<Arc<dyn AnySlot>> {
        let mut declared = self.declared.lock();
        let entry = declared.children.remove(&child)?;
        declared.by_name.remove(&entry.name);
        Some(entry.slot)
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

impl ExitSink for SupervisorShared {
    fn started(&self, child: ChildId, incarnation: Incarnation) {
        self.post(SupervisorInput::Started { child, incarnation });
    }

    fn exited(&self, child: ChildId, incarnation: Incarnation, reason: ExitReason) {
        self.post(SupervisorInput::Exited { child, incarnation, reason });
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
