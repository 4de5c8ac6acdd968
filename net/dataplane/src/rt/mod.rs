//! [`Routing`]: links, addresses, routes, neighbours and queues of one network namespace, over rtnetlink.
//!
//! Every method may be repeated: making what is there and removing what is gone succeed.

mod link;
mod neighbour;
mod queue;
mod route;

use std::net::IpAddr;

pub use link::Link;
pub use neighbour::Forwarding;
pub use route::{NextHop, Route};

use crate::netlink::{NetlinkSocket, Protocol};
use crate::{NetError, Netns};

/// The number under which our routes are told from others' (`proto 84` in `ip route`).
pub const ROUTE_PROTOCOL: u8 = 84;

/// rtnetlink in one namespace.
pub struct Routing {
    socket: NetlinkSocket,
}

impl Routing {
    /// Opens it.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn open(netns: &Netns) -> Result<Self, NetError> {
        Ok(Self { socket: NetlinkSocket::open(Protocol::Route, netns)? })
    }
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const AF_BRIDGE: u8 = 7;

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// "Gone already" is what a removal wants.
fn gone_is_fine(outcome: Result<(), NetError>) -> Result<(), NetError> {
    match outcome {
        Err(error) if error.is_missing() => Ok(()),
        other => other,
    }
}
