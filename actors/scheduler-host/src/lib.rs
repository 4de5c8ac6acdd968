//! trireme-scheduler-host: the shell of the scheduler.
//!
//! **Place in the supervision tree.** `/cluster/scheduler` ([`SchedulerActor`]), permanent, made for one reign, beside the
//! feed and the recorder of events of trireme-manager, both of which it uses.
//!
//! **Laws.** It tells the core what the applied log says, in its order, and carries out what the core asks for, through
//! the API's pipeline as `system:kube-scheduler` and under the reign's term. Bindings that are decided together are one
//! transaction; while it is on its way the next gathers. A new incarnation begins when nothing of the old one is on its
//! way, with what is stored then: an assumed pod is never forgotten.
//!
//! **Deliberately absent.** Decisions (trireme-scheduler). Extenders over HTTPS: refused at the start.

mod actor;
mod binder;
mod calls;
mod extenders;
mod pending;
mod settings;
mod sides;
mod ways;

pub use actor::{SchedulerActor, SchedulerInput};
pub use calls::{ExplainPod, PodExplained};
pub use settings::{SchedulerSettings, SettingsError};
