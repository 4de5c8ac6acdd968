use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
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

impl SupervisorShared {
    pub(crate) fn new(path: ActorPath, policy: SupervisorPolicy, kernel: &Arc<Shared>) -> Arc<Self> {
        let declared = Mutex::new(Declared::default());
        Arc::new(Self { path, policy, kernel: Arc::clone(kernel), declared, slot: OnceLock::new() })
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
    pub(super) fn core(&self, birth: &Birth) -> (SupervisorCore, Vec<SupervisorEffect>) {
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

    /// The child of that name.
    pub(super) fn named(&self, name: &str) -> Option<(ChildId, Arc<dyn AnySlot>)> {
        let declared = self.declared.lock();
        let id = *declared.by_name.get(name)?;
        declared.children.get(&id).map(|child| (id, Arc::clone(&child.slot)))
    }

    /// The names of all children, in the order of their start.
    pub(super) fn names(&self) -> Vec<String> {
        self.declared.lock().children.values().map(|child| child.name.clone()).collect()
    }

    /// Marks the child of that name as one to be forgotten, also by later incarnations of the supervisor.
    pub(super) fn begin_removal(&self, name: &str) -> Option<(ChildId, Arc<dyn AnySlot>)> {
        let mut declared = self.declared.lock();
        let id = *declared.by_name.get(name)?;
        let child = declared.children.get_mut(&id)?;
        child.removing = true;
        Some((id, Arc::clone(&child.slot)))
    }

    pub(super) fn slot_of(&self, child: ChildId) -> Option<Arc<dyn AnySlot>> {
        self.declared.lock().children.get(&child).map(|entry| Arc::clone(&entry.slot))
    }

    /// Drops a child that is down, and closes its slot.
    pub(super) fn forget(&self, child: ChildId) {
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
