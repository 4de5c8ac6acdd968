//! The actor kernel: supervised actors with bounded mailboxes, found by path, here or on another machine.
//!
//! It hosts deciding parts ([`trireme_core::Core`]) and does for them what they must not do themselves:
//! threads, clocks, I/O, restarts. It is built on actix, which is named nowhere else.
//!
//! # Shape
//! - A [`Kernel`] runs one tree. Its root supervisor has the path `/`; above it stands only the kernel's
//!   origin, which restarts the root for ever.
//! - An actor is a *slot* (path, mailbox, counters) that stays, and incarnations that come and go. An
//!   [`Address`] leads to the slot, so it survives restarts, and so does what waits in the mailbox.
//! - Incarnations are spread over arbiters, one thread each. I/O runs on one shared multi-thread runtime and
//!   comes back as inputs ([`Context::spawn_io`]).
//! - Supervisors are actors that host [`trireme_core::supervision::SupervisorCore`].
//!
//! # Laws it keeps
//! - A panic ends one incarnation, never its neighbours or the process.
//! - At most one incarnation of an actor takes inputs. One that is stuck is fenced: its arbiter is given up,
//!   its neighbours are started elsewhere, and whatever it does when it comes back has no effect on its slot.
//! - An input is delivered at most once. Whoever asked learns the outcome, or a typed error.
//! - With an incarnation end its timer and its I/O tasks; what they still deliver is dropped.
//! - Nothing wakes up while nothing happens.
//!
//! # Deliberately absent
//! The network (see [`Remote`]), Kubernetes, and any truth that would have to survive the process.

mod address;
mod arbiter;
mod behaviour;
mod call;
mod call_table;
mod clock;
pub mod codec;
mod context;
mod core_host;
mod gauges;
mod incarnation;
mod io_table;
mod kernel;
mod mailbox;
pub mod metrics;
mod origin;
mod panic_text;
mod path;
mod registry;
mod remote;
mod reply;
mod report;
mod shared;
mod slot;
mod spec;
mod supervisor;
mod watchdog;

pub use address::{Address, SendError};
pub use behaviour::{Behaviour, StartError, Stopping};
pub use call::{Call, CallError, CallOptions, Caller, Class, IdempotencyKey, Retry};
pub use context::{Context, IoId, IoLimit};
pub use core_host::{CoreHost, Perform};
pub use kernel::{Kernel, KernelConfig, KernelError};
pub use panic_text::install_panic_hook;
pub use path::{ActorPath, Owner, PathError};
pub use registry::{LookupError, Registry};
pub use remote::{Remote, RemoteCall};
pub use reply::Reply;
pub use report::{ActorKind, ActorReport, KernelReport, LAST_INPUTS, LastInput};
pub use spec::{ActorSpec, Birth, DEFAULT_IO_LIMIT, DEFAULT_MAILBOX, SupervisorSpec};
pub use supervisor::{ChildError, MAX_CHILDREN, SupervisorRef};
/// Supervision policies, as data.
pub use trireme_core::supervision;
pub use trireme_core::{Core, Tick};
