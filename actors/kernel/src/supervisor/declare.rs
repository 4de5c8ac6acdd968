use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use trireme_core::supervision::{ChildId, ChildPolicy, SupervisorInput};

use super::shell::Shell;
use super::{ChildError, SupervisorShared};
use crate::core_host::CoreHost;
use crate::incarnation::launch;
use crate::mailbox::Mailbox;
use crate::report::ActorKind;
use crate::shared::Shared;
use crate::slot::{ExitSink, Notes, Slot, SlotMeta};
use crate::spec::{ActorSpec, Birth, SupervisorSpec};
use crate::{ActorPath, Behaviour};

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
            slot_of(*self, path, child, under.kernel(), sink, Some(Arc::downgrade(under)), None)
        })
    }
}

impl Declare for SupervisorSpec {
    fn declare(self: Box<Self>, under: &Arc<SupervisorShared>) -> Result<(), ChildError> {
        let SupervisorSpec { name, policy, children_policy, children } = *self;
        let path = under.path.join(&name)?;
        let shared = SupervisorShared::new(path.clone(), children_policy, under.kernel());
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
    policy: ChildPolicy,
    child: ChildId,
    sink: Arc<dyn ExitSink>,
    under: Option<Weak<SupervisorShared>>,
) -> Arc<Slot<SupervisorInput>> {
    let own = Arc::downgrade(shared);
    let factory = move |birth: &Birth| {
        let shared = own.upgrade().expect("a supervisor's slot keeps its shared part alive");
        let (core, effects) = shared.core(birth);
        CoreHost::with_effects(core, Shell::new(shared), effects)
    };
    let mut spec = ActorSpec::new(String::new(), factory);
    spec.policy = policy;
    let slot =
        slot_of(spec, shared.path.clone(), child, shared.kernel(), sink, under, Some(Arc::clone(shared)));
    shared.place_in(&slot);
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
