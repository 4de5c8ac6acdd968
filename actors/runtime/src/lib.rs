//! The built-in container runtime: images, overlay snapshots, pod sandboxes, containers, logs and streams, without any
//! helper program.

mod disk;
mod fail;
pub mod image;
mod low;
mod shim;

pub use shim::run_shim;
