//! The replicated store over real processes on loopback.

mod actors_killed;
mod backup;
mod disk;
mod failover;
mod kit;
mod lost_data;
mod measure;
mod membership;
mod scope;
mod watches;
mod writer;
