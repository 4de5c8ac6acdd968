use std::net::IpAddr;

use ipnet::IpNet;

use super::names::{mac, tunnel_end};
use super::setup::{Plane, write_parameter};
use super::{Peer, Tunnel};
use crate::NetError;
use crate::rt::{Forwarding, Link, Route};

/// What the kernel shall know of other nodes.
#[derive(Default)]
struct Wanted {
    routes: Vec<Route>,
    neighbours: Vec<(IpAddr, [u8; 6])>,
    forwardings: Vec<Forwarding>,
}

impl Plane {
    pub(super) fn set_peers(&mut self, peers: Vec<Peer>) -> Result<(), NetError> {
        let (mut wanted, mut first_failure) = (Wanted::default(), Ok(()));
        for peer in peers {
            if let Err(error) = self.plan_peer(&peer, &mut wanted)
                && first_failure.is_ok()
            {
                first_failure = Err(error);
            }
        }
        // Entries before routes: a packet never finds a way without an end.
        self.write_tunnel(&wanted)?;
        self.write_routes(&wanted)?;
        first_failure
    }

    fn plan_peer(&mut self, peer: &Peer, wanted: &mut Wanted) -> Result<(), NetError> {
        let end = mac("tunnel", &peer.pod_cidrs);
        for range in &peer.pod_cidrs {
            let Some(address) = self.address_of(peer, *range) else {
                return Err(NetError::Invalid(format!("node {} has pods {range} but no address", peer.name)));
            };
            let direct = match self.config.tunnel {
                Tunnel::Always => None,
                Tunnel::Auto | Tunnel::Never => self.on_one_segment(address, *range)?,
            };
            if let Some(route) = direct {
                wanted.routes.push(route);
                continue;
            }
            if self.config.tunnel == Tunnel::Never {
                return Err(NetError::Invalid(format!(
                    "node {} ({address}) is behind a router and tunnels are off: allow them, or route {range} there",
                    peer.name
                )));
            }
            let tunnel = self.tunnel(address)?;
            let via = tunnel_end(*range, end);
            wanted.routes.push(Route {
                destination: *range,
                via: Some(via),
                link: tunnel.index,
                source: None,
            });
            wanted.neighbours.push((via, end));
            let forwarding = Forwarding { mac: end, machine: address };
            if !wanted.forwardings.contains(&forwarding) {
                wanted.forwardings.push(forwarding);
            }
        }
        Ok(())
    }

    /// A peer's address of the range's family, else any: a tunnel carries both families.
    fn address_of(&self, peer: &Peer, range: IpNet) -> Option<IpAddr> {
        let same = |address: &&IpAddr| address.is_ipv4() == range.addr().is_ipv4();
        let usable = |address: &&IpAddr| {
            self.config.node_addresses.iter().any(|own| own.is_ipv4() == address.is_ipv4())
                || self.config.node_addresses.is_empty()
        };
        let found = peer.addresses.iter().find(same).filter(usable);
        found.or_else(|| peer.addresses.iter().find(usable)).copied()
    }

    /// The route by the node itself, when it is a neighbour on a link and of the same family.
    fn on_one_segment(&mut self, address: IpAddr, range: IpNet) -> Result<Option<Route>, NetError> {
        if address.is_ipv4() != range.addr().is_ipv4() {
            return Ok(None);
        }
        let hop = self.routing.next_hop(address)?;
        let neighbour = hop.filter(|hop| hop.via.is_none() && hop.link != self.bridge.index);
        Ok(neighbour.map(|hop| Route {
            destination: range,
            via: Some(address),
            link: hop.link,
            source: None,
        }))
    }

    fn tunnel(&mut self, machine: IpAddr) -> Result<Link, NetError> {
        if let Some(link) = self.routing.link(&self.config.tunnel_link)?
            && link.up
            && link.kind == "vxlan"
        {
            return Ok(link);
        }
        let own = self.config.node_addresses.iter().find(|own| own.is_ipv4() == machine.is_ipv4()).copied();
        let own = match own {
            Some(own) => Some(own),
            None => self.routing.next_hop(machine)?.and_then(|hop| hop.source),
        };
        let Some(own) = own else {
            return Err(NetError::Invalid(format!("no address of this node to tunnel to {machine} from")));
        };
        let (end, id) = (mac("tunnel", &self.ranges), (self.config.vxlan_id, self.config.vxlan_port));
        let link = self.routing.ensure_vxlan(&self.config.tunnel_link, id, own, end, self.mtu)?;
        for (name, value) in [("rp_filter", "2"), ("send_redirects", "0")] {
            let name = format!("net/ipv4/conf/{}/{name}", self.config.tunnel_link);
            write_parameter(&self.config.netns, &name, value)?;
        }
        for range in self.ranges.clone().into_iter().filter(|range| range.addr().is_ipv4()) {
            self.routing.add_address(&link, IpNet::from(tunnel_end(range, end)))?;
        }
        self.routing.set_up(link.index)?;
        self.routing.must_link(&self.config.tunnel_link)
    }

    fn write_tunnel(&mut self, wanted: &Wanted) -> Result<(), NetError> {
        let Some(tunnel) = self.routing.link(&self.config.tunnel_link)? else { return Ok(()) };
        let forwardings = self.routing.forwardings(tunnel.index)?;
        for stale in forwardings.iter().filter(|entry| !wanted.forwardings.contains(entry)) {
            self.routing.remove_forwarding(tunnel.index, *stale)?;
        }
        for entry in wanted.forwardings.iter().filter(|entry| !forwardings.contains(entry)) {
            self.routing.set_forwarding(tunnel.index, *entry)?;
        }
        let neighbours = self.routing.neighbours(tunnel.index)?;
        for stale in neighbours.iter().filter(|entry| !wanted.neighbours.contains(entry)) {
            self.routing.remove_neighbour(tunnel.index, stale.0)?;
        }
        for (address, mac) in wanted.neighbours.iter().filter(|entry| !neighbours.contains(entry)) {
            self.routing.set_neighbour(tunnel.index, *address, *mac)?;
        }
        Ok(())
    }

    fn write_routes(&mut self, wanted: &Wanted) -> Result<(), NetError> {
        let own = self.routing.own_routes()?;
        // Routes to Services lie on the bridge and are no peer's.
        let of_peers = own.iter().filter(|route| route.link != self.bridge.index);
        for stale in of_peers.clone().filter(|route| !wanted.routes.contains(route)) {
            let replaced = wanted.routes.iter().any(|route| route.destination == stale.destination);
            // IPv4 replaces in place, without a moment in between; IPv6 would keep both.
            if !replaced || stale.destination.addr().is_ipv6() {
                self.routing.remove_route(*stale)?;
            }
        }
        let known: Vec<Route> = of_peers.copied().collect();
        for route in wanted.routes.iter().filter(|route| !known.contains(route)) {
            self.routing.set_route(*route)?;
        }
        Ok(())
    }
}
