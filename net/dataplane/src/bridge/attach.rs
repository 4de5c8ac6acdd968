use std::net::IpAddr;
use std::os::fd::AsFd;

use ipnet::IpNet;
use trireme_node::{NetworkRequest, PodAddresses};

use super::names::veth;
use super::rules;
use super::setup::{Plane, single, write_parameter};
use crate::ipam::{Lease, Published, gateway};
use crate::nft::{Batch, Family};
use crate::rt::{Link, Route, Routing};
use crate::{Conntrack, NetError, Netns};

/// The interface as pods know it.
const POD_LINK: &str = "eth0";

impl Plane {
    /// Gives a sandbox its place. Half-done work of an earlier attempt is finished or made anew.
    pub(super) fn attach(&mut self, request: &NetworkRequest) -> Result<PodAddresses, NetError> {
        let ports: Vec<_> = request.host_ports.iter().map(Published::new).collect::<Result<_, _>>()?;
        let pod = format!("{}/{}", request.pod.0, request.pod.1);
        let before = self.ledger.leases().get(&request.sandbox).cloned();
        let lease = self.ledger.take(&request.sandbox, pod, ports)?;
        let attached = self.wire(request, &lease, before.as_ref());
        if let Err(error) = attached {
            // A sandbox that had its place keeps it; a new one leaves nothing behind.
            if before.is_none() {
                let _ = self.detach(&request.sandbox);
            }
            return Err(error);
        }
        Ok(PodAddresses { addresses: lease.addresses })
    }

    fn wire(
        &mut self,
        request: &NetworkRequest,
        lease: &Lease,
        before: Option<&Lease>,
    ) -> Result<(), NetError> {
        let netns = Netns::at(&request.netns);
        let mut inside = Routing::open(&netns)?;
        let name = veth(&request.sandbox);
        let cable = self.plug_in(&name, &netns, &mut inside)?;
        self.routing.set_hairpin(cable.index)?;
        self.routing.set_up(cable.index)?;
        let link = inside.must_link(POD_LINK)?;
        address_pod(&mut inside, &netns, &link, &self.ranges, lease)?;
        shape(&mut self.routing, cable.index, request.ingress_bandwidth)?;
        shape(&mut inside, link.index, request.egress_bandwidth)?;
        self.publish(lease, before)
    }

    /// The node's end of the cable; both ends stand afterwards.
    fn plug_in(&mut self, name: &str, netns: &Netns, inside: &mut Routing) -> Result<Link, NetError> {
        if let Some(cable) = self.routing.link(name)? {
            let whole = inside.link(POD_LINK)?.is_some_and(|link| link.kind == "veth");
            if whole && cable.master == Some(self.bridge.index) {
                return Ok(cable);
            }
            self.routing.remove_link(name)?;
        }
        let file = netns.open().map_err(NetError::io("network namespace of the sandbox"))?;
        self.routing.make_veth(name, (POD_LINK, file.as_fd()), self.mtu, self.bridge.index)?;
        self.routing.must_link(name)
    }

    /// Tells the kernel of the pod's ports. What is there already may be told again; what an earlier attempt told and
    /// holds no more goes first, if it ever came so far.
    fn publish(&mut self, lease: &Lease, before: Option<&Lease>) -> Result<(), NetError> {
        if let Some(before) = before.filter(|before| *before != lease) {
            self.withdraw(before)?;
        }
        let mut batch = Batch::new();
        rules::add(&mut batch, lease);
        self.nft.commit(batch)?;
        forget_datagrams(&self.config.netns, lease)
    }

    /// Removes a lease's elements, if they were ever added.
    fn withdraw(&mut self, lease: &Lease) -> Result<(), NetError> {
        let mut batch = Batch::new();
        rules::remove(&mut batch, lease);
        match self.nft.commit(batch) {
            // The attempt that should have added them did not come so far; batches are all or nothing.
            Err(error) if error.is_missing() => Ok(()),
            other => other,
        }
    }

    pub(super) fn detach(&mut self, sandbox: &str) -> Result<(), NetError> {
        self.routing.remove_link(&veth(sandbox))?;
        if let Some(lease) = self.ledger.leases().get(sandbox).cloned() {
            self.withdraw(&lease)?;
        }
        self.ledger.free(sandbox)?;
        Ok(())
    }

    pub(super) fn keep_only(&mut self, sandboxes: &[String]) -> Result<(), NetError> {
        let gone: Vec<String> =
            self.ledger.leases().keys().filter(|known| !sandboxes.contains(known)).cloned().collect();
        gone.iter().try_for_each(|sandbox| self.detach(sandbox))
    }
}

/// Loopback, addresses, and one way out: by the node.
fn address_pod(
    inside: &mut Routing,
    netns: &Netns,
    link: &Link,
    ranges: &[IpNet],
    lease: &Lease,
) -> Result<(), NetError> {
    let loopback = inside.must_link("lo")?;
    inside.set_up(loopback.index)?;
    if lease.addresses.iter().any(IpAddr::is_ipv6) {
        for (name, value) in [("accept_dad", "0"), ("accept_ra", "0"), ("accept_redirects", "0")] {
            write_parameter(netns, &format!("net/ipv6/conf/{POD_LINK}/{name}"), value)?;
        }
    }
    inside.set_up(link.index)?;
    for (range, address) in ranges.iter().zip(&lease.addresses) {
        let node = gateway(*range);
        inside.add_address(link, single(*address))?;
        let route = |destination, via| Route { destination, via, link: link.index, source: None };
        inside.set_route(route(single(node), None))?;
        let everywhere = if node.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        inside.set_route(route(everywhere.parse().expect("constants"), Some(node)))?;
    }
    Ok(())
}

fn shape(routing: &mut Routing, link: u32, bits: Option<u64>) -> Result<(), NetError> {
    match bits {
        Some(bits) => routing.set_rate(link, bits),
        None => routing.clear_rate(link),
    }
}

/// Conversations with a UDP port of the node go on to whoever had the port before, unless they are forgotten.
fn forget_datagrams(netns: &Netns, lease: &Lease) -> Result<(), NetError> {
    const UDP: u8 = 17;
    let ports: Vec<u16> =
        lease.ports.iter().filter(|port| port.protocol == UDP).map(|port| port.host_port).collect();
    if ports.is_empty() {
        return Ok(());
    }
    let mut conntrack = Conntrack::open(netns)?;
    for family in Family::BOTH {
        conntrack.forget(family, |flow| {
            let elsewhere = !lease.addresses.contains(&flow.answering.0);
            flow.protocol == UDP && ports.contains(&flow.asked.1) && elsewhere
        })?;
    }
    Ok(())
}
