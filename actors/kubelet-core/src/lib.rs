//! What a node decides about its pods, free of clocks, threads and I/O.
//!
//! [`worker::PodWorker`] leads one pod from its start to its end. [`translate`] turns a pod into what the runtime is asked
//! for. [`admit`] says whether this node takes a pod, [`evict`] which pod goes when the node runs out of something,
//! [`garbage`] which images and containers nobody needs.
//!
//! The shell `trireme-kubelet` carries out what is decided here.
//!
//! Deliberately absent: any clock, randomness, hash-ordered iteration or I/O; device plug-ins, CPU and topology managers,
//! user namespaces and dynamic resources, which belong to later rooms.

pub mod admit;
pub mod backoff;
pub mod evict;
pub mod garbage;
pub mod pod;
pub mod probe;
pub mod resources;
pub mod translate;
pub mod worker;
