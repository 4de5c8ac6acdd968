//! Controllers bring the cluster to what is asked for, whatever is killed, late or in conflict on the way.

mod deployments;
mod kit;
mod replica_sets;
