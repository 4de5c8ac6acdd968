//! One Service with its slices into its share of the rules.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use crate::compiler::NodeView;
use crate::health::HealthCheck;
use crate::rules::{Backend, Family, Front, Gate, NodeFront, Pool, Target, Wall};
use crate::select::{Selection, select};
use crate::service::{Service, ServicePort};
use crate::slice::{Endpoint, Slice};

/// Numbers of pools, gates and walls. None is given twice: what the kernel remembers of an old pool (whom a client was
/// sent to) never reaches a new one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    last: u32,
}

impl Numbers {
    fn take(&mut self) -> u32 {
        self.last =
            self.last.checked_add(1).expect("four thousand million changes of ports end with a restart");
        self.last
    }
}

/// What a number stands for within a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Role {
    kind: Kind,
    family: Family,
    port: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Cluster,
    Local,
    Gate,
    Wall,
}

/// A Service's share of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Compiled {
    numbers: BTreeMap<Role, u32>,
    pub(crate) pools: BTreeMap<u32, Pool>,
    pub(crate) gates: BTreeMap<u32, Gate>,
    pub(crate) walls: BTreeMap<u32, Wall>,
    pub(crate) fronts: BTreeMap<Front, Target>,
    pub(crate) node_fronts: BTreeMap<NodeFront, Target>,
    pub(crate) guarded: BTreeMap<Front, u32>,
    pub(crate) addresses: BTreeMap<IpAddr, ()>,
    pub(crate) selves: BTreeMap<IpAddr, ()>,
    pub(crate) health: Option<HealthCheck>,
}

/// What one port of one family comes to.
struct Ways {
    internal: Target,
    external: Target,
}

impl Compiled {
    pub(crate) fn new(
        service: &Service,
        slices: &BTreeMap<String, Slice>,
        node: &NodeView,
        before: &Self,
        numbers: &mut Numbers,
    ) -> Self {
        let mut compiled = Self::default();
        let mut local_ready = BTreeSet::new();
        for port in &service.ports {
            for family in families(service) {
                let endpoints = endpoints_of(slices, port, family);
                let of_node = endpoints.iter().filter(|(endpoint, _)| endpoint.node == node.name);
                let ready = of_node.filter(|(endpoint, _)| endpoint.ready);
                local_ready.extend(ready.map(|(endpoint, _)| endpoint.address));
                let mut work = Work { compiled: &mut compiled, before, numbers };
                let ways = work.port(service, port, family, &endpoints, node);
                work.arrivals(service, port, family, &ways, node);
            }
        }
        let here = |address: &&IpAddr| !node.answered_here.contains(address);
        compiled.addresses =
            service.cluster_addresses.iter().filter(here).map(|address| (*address, ())).collect();
        compiled.health = service.health_port.map(|port| HealthCheck {
            port,
            service: service.key.clone(),
            local_endpoints: local_ready.len(),
        });
        compiled
    }
}

struct Work<'a> {
    compiled: &'a mut Compiled,
    before: &'a Compiled,
    numbers: &'a mut Numbers,
}

impl Work<'_> {
    fn number(&mut self, kind: Kind, family: Family, port: &ServicePort) -> u32 {
        let role = Role { kind, family, port: format!("{}/{:?}/{}", port.name, port.protocol, port.port) };
        let number = self.before.numbers.get(&role).copied().unwrap_or_else(|| self.numbers.take());
        self.compiled.numbers.insert(role, number);
        number
    }

    /// Pools and gate of a port.
    fn port(
        &mut self,
        service: &Service,
        port: &ServicePort,
        family: Family,
        endpoints: &[(&Endpoint, u16)],
        node: &NodeView,
    ) -> Ways {
        let all: Vec<&Endpoint> = endpoints.iter().map(|(endpoint, _)| *endpoint).collect();
        let selection = select(&all, node);
        let external = has_external(service, port);
        let wants_local = service.internal_local || (external && service.external_local);
        let wants_cluster = !service.internal_local || external;
        let cluster = wants_cluster
            .then(|| {
                self.pool(Kind::Cluster, service, port, family, &backends(&selection.cluster, endpoints))
            })
            .flatten();
        let local = wants_local
            .then(|| self.pool(Kind::Local, service, port, family, &backends(&selection.local, endpoints)))
            .flatten();
        let of_node =
            endpoints.iter().filter(|(endpoint, _)| endpoint.node == node.name && !node.name.is_empty());
        self.compiled.selves.extend(of_node.map(|(endpoint, _)| (endpoint.address, ())));
        let nobody = if selection.any { Target::Drop } else { Target::Reject };
        let internal = if service.internal_local { local } else { cluster }.map_or(nobody, Target::Pool);
        let external = match external {
            true => self.gate(service, port, family, (cluster, local), &selection),
            false => nobody,
        };
        Ways { internal, external }
    }

    fn pool(
        &mut self,
        kind: Kind,
        service: &Service,
        port: &ServicePort,
        family: Family,
        wanted: &BTreeSet<Backend>,
    ) -> Option<u32> {
        if wanted.is_empty() {
            return None;
        }
        let number = self.number(kind, family, port);
        let places = self.before.pools.get(&number).map(|pool| pool.backends.as_slice()).unwrap_or_default();
        let whose = if kind == Kind::Local { " (local)" } else { "" };
        let pool = Pool {
            family,
            protocol: port.protocol,
            affinity_s: service.affinity_s,
            backends: arrange(places, wanted),
            comment: format!("{}:{}{whose}", service.key, port_name(port)),
        };
        self.compiled.pools.insert(number, pool);
        Some(number)
    }

    fn gate(
        &mut self,
        service: &Service,
        port: &ServicePort,
        family: Family,
        (cluster, local): (Option<u32>, Option<u32>),
        selection: &Selection<'_>,
    ) -> Target {
        if cluster.is_none() && local.is_none() {
            return if selection.any { Target::Drop } else { Target::Reject };
        }
        let number = self.number(Kind::Gate, family, port);
        let gate = Gate {
            family,
            local_only: service.external_local,
            cluster,
            local: local.filter(|_| service.external_local),
            comment: format!("{}:{} from outside", service.key, port_name(port)),
        };
        self.compiled.gates.insert(number, gate);
        Target::Gate(number)
    }

    /// The addresses and ports at which packets of a port arrive.
    fn arrivals(
        &mut self,
        service: &Service,
        port: &ServicePort,
        family: Family,
        ways: &Ways,
        node: &NodeView,
    ) {
        let usable =
            |address: &&IpAddr| Family::of(**address) == family && !node.answered_here.contains(address);
        let front = |address: IpAddr| Front { address, protocol: port.protocol, port: port.port };
        let outside = service.external_addresses.iter().chain(&service.balancer_addresses).filter(usable);
        self.compiled.fronts.extend(outside.map(|address| (front(*address), ways.external)));
        let inside = service.cluster_addresses.iter().filter(usable);
        self.compiled.fronts.extend(inside.map(|address| (front(*address), ways.internal)));
        if let Some(node_port) = port.node_port {
            let at = NodeFront { family, protocol: port.protocol, port: node_port };
            self.compiled.node_fronts.insert(at, ways.external);
        }
        if !service.source_ranges.is_empty() {
            let guarded: Vec<Front> =
                service.balancer_addresses.iter().filter(usable).map(|address| front(*address)).collect();
            if !guarded.is_empty() {
                let number = self.number(Kind::Wall, family, port);
                let of_family = |range: &&ipnet::IpNet| Family::of(range.addr()) == family;
                let allowed = service.source_ranges.iter().filter(of_family).copied().collect();
                self.compiled.walls.insert(number, Wall { family, allowed });
                self.compiled.guarded.extend(guarded.into_iter().map(|front| (front, number)));
            }
        }
    }
}

fn port_name(port: &ServicePort) -> String {
    if port.name.is_empty() { port.port.to_string() } else { port.name.clone() }
}

fn families(service: &Service) -> Vec<Family> {
    let all = service.cluster_addresses.iter();
    let all = all.chain(&service.external_addresses).chain(&service.balancer_addresses);
    let found: BTreeSet<Family> = all.map(|address| Family::of(*address)).collect();
    found.into_iter().collect()
}

fn has_external(service: &Service, port: &ServicePort) -> bool {
    port.node_port.is_some()
        || !service.external_addresses.is_empty()
        || !service.balancer_addresses.is_empty()
}

/// Endpoints of a port and family with the port's number there. An address that stands in two slices, while it moves
/// from one to the other, counts once: where it is ready, else in the first slice by name.
fn endpoints_of<'a>(
    slices: &'a BTreeMap<String, Slice>,
    port: &ServicePort,
    family: Family,
) -> Vec<(&'a Endpoint, u16)> {
    let mut found: BTreeMap<Backend, &Endpoint> = BTreeMap::new();
    for slice in slices.values() {
        let same = slice.ports.iter().find(|of| of.name == port.name && of.protocol == port.protocol);
        let Some(number) = same.map(|of| of.port) else { continue };
        let of_family = slice.endpoints.iter().filter(|endpoint| Family::of(endpoint.address) == family);
        for endpoint in of_family {
            let known = found.entry(Backend { address: endpoint.address, port: number }).or_insert(endpoint);
            if endpoint.ready && !known.ready {
                *known = endpoint;
            }
        }
    }
    found.into_iter().map(|(backend, endpoint)| (endpoint, backend.port)).collect()
}

fn backends(chosen: &[&Endpoint], endpoints: &[(&Endpoint, u16)]) -> BTreeSet<Backend> {
    let chosen: BTreeSet<*const Endpoint> =
        chosen.iter().map(|endpoint| core::ptr::from_ref(*endpoint)).collect();
    let kept = endpoints.iter().filter(|(endpoint, _)| chosen.contains(&core::ptr::from_ref(*endpoint)));
    kept.map(|(endpoint, port)| Backend { address: endpoint.address, port: *port }).collect()
}

/// Gives backends their places: those that stay keep theirs, new ones fill the gaps, and when the pool shrinks those
/// from the end fill them.
fn arrange(before: &[Backend], wanted: &BTreeSet<Backend>) -> Vec<Backend> {
    let mut places: Vec<Option<Backend>> = before
        .iter()
        .take(wanted.len())
        .map(|backend| wanted.contains(backend).then_some(*backend))
        .collect();
    places.resize(wanted.len(), None);
    let placed: BTreeSet<Backend> = places.iter().flatten().copied().collect();
    let mut waiting = wanted.difference(&placed).copied();
    let filled: Vec<Backend> = places
        .into_iter()
        .map(|place| place.or_else(|| waiting.next()).expect("as many places as backends"))
        .collect();
    assert!(waiting.next().is_none(), "every backend has a place");
    filled
}
