//! The built-in pod network of a node.

mod attach;
mod config;
mod names;
mod network;
mod peers;
mod rules;
mod setup;

pub use config::{BridgeConfig, Peer, Tunnel};
pub use network::BridgeNetwork;
