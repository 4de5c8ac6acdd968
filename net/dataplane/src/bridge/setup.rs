use std::net::IpAddr;

use ipnet::IpNet;

use super::names::{VETH_PREFIX, mac, veth};
use super::{BridgeConfig, rules};
use crate::ipam::{Ledger, gateway};
use crate::nft::{Batch, Family, Nftables};
use crate::rt::{Link, Route, Routing};
use crate::{NetError, Netns};

/// What VXLAN over IPv4 puts around a packet; 20 more over IPv6.
const TUNNEL_HEAD_BYTES: u32 = 50;
const TUNNEL_HEAD_V6_BYTES: u32 = 70;
/// When nothing says otherwise.
const ETHERNET_MTU: u32 = 1500;
/// IPv6 takes no less.
const LEAST_MTU: u32 = 1280;

/// A pod network that is set up: the sockets to the kernel and the ledger.
pub(super) struct Plane {
    pub(super) config: BridgeConfig,
    pub(super) ranges: Vec<IpNet>,
    pub(super) ledger: Ledger,
    pub(super) routing: Routing,
    pub(super) nft: Nftables,
    pub(super) bridge: Link,
    pub(super) mtu: u32,
}

impl Plane {
    pub(super) fn open(config: &BridgeConfig, ranges: Vec<IpNet>) -> Result<Self, NetError> {
        check(config, &ranges)?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_err(NetError::io("the machine's boot id"))?;
        let ledger = Ledger::open(&config.ledger, &ranges, boot.trim())?;
        let mut routing = Routing::open(&config.netns)?;
        let nft = Nftables::open(&config.netns)?;
        let mtu = match config.mtu {
            Some(mtu) => mtu,
            None => found_mtu(&mut routing, config)?,
        };
        let bridge = make_bridge(&mut routing, config, &ranges, mtu)?;
        let mut plane = Self { config: config.clone(), ranges, ledger, routing, nft, bridge, mtu };
        plane.set_parameters()?;
        plane.remove_strays()?;
        plane.rebuild_rules()?;
        Ok(plane)
    }

    pub(super) fn ranges(&self) -> &[IpNet] {
        &self.ranges
    }

    pub(super) fn remove(&mut self) -> Result<(), NetError> {
        let mut first_failure = Ok(());
        let mut note = |outcome: Result<(), NetError>| {
            if first_failure.is_ok() {
                first_failure = outcome;
            }
        };
        note(self.set_peers(Vec::new()));
        for link in self.routing.links()? {
            if link.master == Some(self.bridge.index) && link.name.starts_with(VETH_PREFIX) {
                note(self.routing.remove_link(&link.name));
            }
        }
        note(self.routing.remove_link(&self.config.tunnel_link));
        note(self.routing.remove_link(&self.config.bridge));
        for family in Family::BOTH {
            note(self.nft.remove_table(rules::table(family)));
        }
        first_failure
    }

    fn rebuild_rules(&mut self) -> Result<(), NetError> {
        let leases: Vec<_> = self.ledger.leases().values().collect();
        let mut batch = Batch::new();
        rules::rebuild(&mut batch, &self.config, &self.ranges, &leases);
        self.nft.commit(batch)
    }

    /// Cables without a lease are left over from an attach that a crash cut short.
    fn remove_strays(&mut self) -> Result<(), NetError> {
        let known: Vec<String> = self.ledger.leases().keys().map(|sandbox| veth(sandbox)).collect();
        for link in self.routing.links()? {
            let ours = link.master == Some(self.bridge.index) && link.name.starts_with(VETH_PREFIX);
            if ours && !known.contains(&link.name) {
                self.routing.remove_link(&link.name)?;
            }
        }
        Ok(())
    }

    fn set_parameters(&self) -> Result<(), NetError> {
        let bridge = &self.config.bridge;
        let v4 = |name: &str| format!("net/ipv4/conf/{bridge}/{name}");
        let mut wanted = vec![
            ("net/ipv4/ip_forward".to_owned(), "1"),
            // Pods are told to send everything to the node, also what is for their neighbours.
            (v4("send_redirects"), "0"),
            ("net/ipv4/conf/all/send_redirects".to_owned(), "0"),
            // Replies may come back another way than the route says: through the tunnel, or after a changed address.
            (v4("rp_filter"), "2"),
            // Ports of 127.0.0.1 lead to pods as well.
            (v4("route_localnet"), "1"),
        ];
        if self.ranges.iter().any(|range| range.addr().is_ipv6()) {
            wanted.push(("net/ipv6/conf/all/forwarding".to_owned(), "1"));
            wanted.push((format!("net/ipv6/conf/{bridge}/accept_dad"), "0"));
        }
        for (name, value) in &wanted {
            write_parameter(&self.config.netns, name, value)?;
        }
        Ok(())
    }
}

/// Writes a kernel parameter; one that the kernel does not have is needed by nobody.
pub(super) fn write_parameter(netns: &Netns, name: &str, value: &str) -> Result<(), NetError> {
    let what = format!("kernel parameter {} = {value}", name.replace('/', "."));
    netns.write_sysctl(name, value).map_err(NetError::io(what))?;
    Ok(())
}

/// A network of one address.
pub(super) fn single(address: IpAddr) -> IpNet {
    IpNet::from(address)
}

fn make_bridge(
    routing: &mut Routing,
    config: &BridgeConfig,
    ranges: &[IpNet],
    mtu: u32,
) -> Result<Link, NetError> {
    let bridge = routing.ensure_bridge(&config.bridge, mac("bridge", ranges), mtu)?;
    let wanted: Vec<IpNet> = ranges
        .iter()
        .map(|range| IpNet::new(gateway(*range), range.prefix_len()).expect("the range's own length"))
        .collect();
    for stale in routing.addresses(bridge.index)?.into_iter().filter(|address| !wanted.contains(address)) {
        let of_dns = stale.prefix_len() == stale.max_prefix_len();
        // Single addresses belong to whoever serves on the bridge, such as the cluster's DNS.
        if !of_dns {
            routing.remove_address(&bridge, stale)?;
        }
    }
    for address in wanted {
        routing.add_address(&bridge, address)?;
    }
    routing.set_up(bridge.index)?;
    for destination in &config.service_cidrs {
        let same_family = |range: &&IpNet| range.addr().is_ipv4() == destination.addr().is_ipv4();
        if let Some(range) = ranges.iter().find(same_family) {
            let source = Some(gateway(*range));
            routing.set_route(Route { destination: *destination, via: None, link: bridge.index, source })?;
        }
    }
    routing.must_link(&config.bridge)
}

/// The MTU of the link to the default gateway, less the tunnel's head where a tunnel may be used.
fn found_mtu(routing: &mut Routing, config: &BridgeConfig) -> Result<u32, NetError> {
    // Nothing is sent there: any address that only the default route covers will do.
    let (somewhere, somewhere_v6): (IpAddr, IpAddr) =
        ([1, 1, 1, 1].into(), [0x2606, 0x4700, 0, 0, 0, 0, 0, 0x1111].into());
    let hop = match routing.next_hop(somewhere)? {
        Some(hop) => Some(hop),
        None => routing.next_hop(somewhere_v6)?,
    };
    let links = routing.links()?;
    let of_hop = hop.and_then(|hop| links.iter().find(|link| link.index == hop.link)).map(|link| link.mtu);
    let head = match config.tunnel {
        super::Tunnel::Never => 0,
        _ if config.node_addresses.iter().any(IpAddr::is_ipv6) => TUNNEL_HEAD_V6_BYTES,
        _ => TUNNEL_HEAD_BYTES,
    };
    Ok(of_hop.unwrap_or(ETHERNET_MTU).min(65_535).saturating_sub(head).max(LEAST_MTU))
}

fn check(config: &BridgeConfig, ranges: &[IpNet]) -> Result<(), NetError> {
    const NAME_LIMIT_BYTES: usize = 15;
    for name in [&config.bridge, &config.tunnel_link] {
        if name.is_empty() || name.len() > NAME_LIMIT_BYTES || name.contains(['/', ' ']) {
            return Err(NetError::Invalid(format!("{name:?} cannot be the name of a link (1 to 15 bytes)")));
        }
    }
    if ranges.is_empty() || ranges.len() > 2 {
        return Err(NetError::Invalid(format!(
            "a node has one pod CIDR or one of each family, not {}",
            ranges.len()
        )));
    }
    if let [first, second] = ranges
        && first.addr().is_ipv4() == second.addr().is_ipv4()
    {
        return Err(NetError::Invalid(format!(
            "pod CIDRs {first} and {second} are of one family; one of each, please"
        )));
    }
    for range in ranges {
        if range.prefix_len() + 2 > range.max_prefix_len() {
            return Err(NetError::Invalid(format!("pod CIDR {range} has no room for pods: make it larger")));
        }
    }
    Ok(())
}
