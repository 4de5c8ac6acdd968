//! Controllers bring the cluster to what is asked for, whatever is killed, late or in conflict on the way.

mod cluster_level;
mod cron_jobs;
mod daemon_sets;
mod deployments;
mod endpoints;
mod garbage;
mod jobs;
mod kit;
mod namespaces;
mod per_namespace;
mod replica_sets;
mod stateful_sets;
