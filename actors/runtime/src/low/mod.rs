//! The kernel's side of containers: system calls, namespaces, mounts, capabilities, filters.
//!
//! Everything that runs between fork and exec lives here. It runs in a forked copy of a single-threaded process, so
//! ordinary code, allocation included, is safe there; it must leave by exec or `sys::leave`, never by returning into
//! the parent's loop. `unsafe` stands in [`sys`] and [`device_filter`] alone.

pub(crate) mod capability;
pub(crate) mod cgroup;
mod cgroup_limits;
mod cgroup_use;
#[allow(
    unsafe_code,
    reason = "the bpf system call has no safe wrapper; its one buffer lives as long as the call"
)]
pub(crate) mod device_filter;
pub(crate) mod enter;
pub(crate) mod init;
pub(crate) mod mounts;
pub(crate) mod pause;
pub(crate) mod rootfs;
pub(crate) mod seccomp;
pub(crate) mod seccomp_default;
#[allow(unsafe_code, reason = "system calls without safe wrappers; each says why its arguments are valid")]
pub(crate) mod sys;
pub(crate) mod terminal;
pub(crate) mod user;
