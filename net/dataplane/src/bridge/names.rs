//! Names and hardware addresses that follow from what they stand for, so that nodes need not tell each other.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use sha2::{Digest, Sha256};

/// Begins the names of the node's ends of virtual cables.
pub(crate) const VETH_PREFIX: &str = "tv";

/// The node's end of a sandbox' cable: 13 bytes of the 15 that a name may have.
pub(crate) fn veth(sandbox: &str) -> String {
    let digest = Sha256::digest(sandbox.as_bytes());
    let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{VETH_PREFIX}{}", &hex[..11])
}

/// The hardware address of a node's bridge or tunnel end, from its first range.
pub(crate) fn mac(role: &str, ranges: &[IpNet]) -> [u8; 6] {
    let first = ranges.first().map(ToString::to_string).unwrap_or_default();
    let digest = Sha256::digest(format!("{role} {first}").as_bytes());
    // Locally administered, for one machine.
    [0x0e, digest[0], digest[1], digest[2], digest[3], digest[4]]
}

/// The address that stands for a tunnel end in routes: a range's first address for IPv4, link-local for IPv6.
pub(crate) fn tunnel_end(range: IpNet, mac: [u8; 6]) -> IpAddr {
    match range.network() {
        IpAddr::V4(first) => IpAddr::V4(first),
        IpAddr::V6(_) => {
            let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
            let mine =
                [pair(mac[0] ^ 2, mac[1]), pair(mac[2], 0xff), pair(0xfe, mac[3]), pair(mac[4], mac[5])];
            IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, mine[0], mine[1], mine[2], mine[3]))
        }
    }
}
