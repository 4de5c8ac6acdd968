//! nf_tables over netlink: [`Batch`] collects changes, [`Nftables`] commits them all or not at all and reads back.
//!
//! Numbers and layouts are those of the kernel's `linux/netfilter/nf_tables.h`.

mod batch;
mod expression;
mod rule;
mod set;
mod tables;

pub use batch::{Batch, Hook, HookType};
pub use expression::{Expression, Register, Verdict};
pub use rule::Rule;
pub use set::{Element, Field, Set, SetKind};
pub use tables::{Counter, Nftables};

/// The family of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }

    /// The family of an address.
    pub fn of(address: std::net::IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];
}

/// A table, by family and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Family.
    pub family: Family,
    /// Name.
    pub name: &'static str,
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let family = if self.family == Family::V4 { "ip" } else { "ip6" };
        write!(f, "{family} {}", self.name)
    }
}
