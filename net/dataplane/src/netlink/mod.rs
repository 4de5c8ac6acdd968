//! Netlink: one encoder, one decoder and one socket for all three families that the data plane speaks (routing,
//! nf_tables, conntrack). Requests are synchronous: the kernel has done the work when it answers.
//!
//! Deliberate absences: no events are followed; no typed message for every kind, since the data plane makes about
//! twenty requests in all and nf_tables has no typed crate that does not shell out or bind to C.

mod attributes;
mod message;
mod socket;

pub(crate) use attributes::{Attribute, attributes};
pub(crate) use message::{Message, flags};
pub(crate) use socket::{Answer, NetlinkSocket, Protocol};
