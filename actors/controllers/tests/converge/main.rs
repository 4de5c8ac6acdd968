//! Controllers bring the cluster to what is asked for, whatever is killed, late or in conflict on the way.

mod deployments;
mod endpoints;
mod garbage;
mod kit;
mod namespaces;
mod per_namespace;
mod replica_sets;
mod stateful_sets;
