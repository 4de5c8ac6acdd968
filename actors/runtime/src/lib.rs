//! The built-in container runtime: images, overlay snapshots, pod sandboxes, containers, logs and streams, without any
//! helper program.
//!
//! - [`image`]: the store, importing and building; also for commands beside a running node.
//! - [`registry`]: fetching and pushing images.
//! - [`Builtin`]: implements [`trireme_node::Runtime`].
//! - [`run_shim`]: what `trireme shim` does, one small process per pod.
//!
//! Linux alone, root alone. Deciding about pods is the kubelet's; addresses come from a [`trireme_node::PodNetwork`].

mod builtin;
mod disk;
mod fail;
pub mod image;
mod low;
pub mod registry;
mod shim;

pub use builtin::{Builtin, BuiltinConfig, layers_in_use};
pub use registry::Registries;
pub use shim::run_shim;
