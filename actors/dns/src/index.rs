//! [`Index`]: what names under the cluster's domain stand for. Pure: objects in, records out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::Value;

/// The version of the specification that the domain follows.
const SPECIFICATION: &str = "1.1.0";
/// Weights of one name's SRV records add up to about this.
const SRV_WEIGHT: u16 = 100;

type Id = (String, String);

/// A port at a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Srv {
    /// Port.
    pub port: u16,
    /// Weight.
    pub weight: u16,
    /// Name of the server, relative to the domain.
    pub target: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// All that stands at one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// A and AAAA.
    pub addresses: Vec<IpAddr>,
    /// CNAME: a name outside the index.
    pub alias: Option<String>,
    /// SRV.
    pub services: Vec<Srv>,
    /// TXT.
    pub text: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Cluster(Vec<IpAddr>),
    Headless { not_ready_too: bool },
    External(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Port {
    name: String,
    /// `tcp`, `udp`, `sctp`.
    protocol: String,
    number: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Service {
    kind: Kind,
    ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    addresses: Vec<IpAddr>,
    hostname: String,
    ready: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Slice {
    service: Id,
    ports: Vec<Port>,
    endpoints: Vec<Endpoint>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Index {
    services: BTreeMap<Id, Service>,
    slices: BTreeMap<Id, Slice>,
    slices_of: BTreeMap<Id, BTreeSet<String>>,
    services_at: BTreeMap<IpAddr, BTreeSet<Id>>,
    slices_at: BTreeMap<IpAddr, BTreeSet<Id>>,
    /// Where the cluster's DNS itself is found (`ns.dns`).
    own: Vec<IpAddr>,
}

impl Index {
    /// An empty index of a server at these addresses.
    pub fn new(own: Vec<IpAddr>) -> Self {
        Self { own, ..Self::default() }
    }

    /// A Service is new or changed.
    pub fn set_service(&mut self, object: &Value) {
        let id = id(object);
        self.remove_service(&id);
        let Some(service) = read_service(object) else { return };
        if let Kind::Cluster(addresses) = &service.kind {
            for address in addresses {
                self.services_at.entry(*address).or_default().insert(id.clone());
            }
        }
        self.services.insert(id, service);
    }

    /// A Service is gone, by namespace and name.
    pub fn remove_service(&mut self, id: &Id) {
        if let Some(Service { kind: Kind::Cluster(addresses), .. }) = self.services.remove(id) {
            addresses.iter().for_each(|address| leave(&mut self.services_at, address, id));
        }
    }

    /// An EndpointSlice is new or changed.
    pub fn set_slice(&mut self, object: &Value) {
        let id = id(object);
        self.remove_slice(&id);
        let Some(slice) = read_slice(object) else { return };
        for address in slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
            self.slices_at.entry(*address).or_default().insert(id.clone());
        }
        self.slices_of.entry(slice.service.clone()).or_default().insert(id.1.clone());
        self.slices.insert(id, slice);
    }

    /// An EndpointSlice is gone, by namespace and name.
    pub fn remove_slice(&mut self, id: &Id) {
        let Some(slice) = self.slices.remove(id) else { return };
        for address in slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
            leave(&mut self.slices_at, address, id);
        }
        leave(&mut self.slices_of, &slice.service, &id.1);
    }

    /// Forgets all Services but these.
    pub fn keep_services(&mut self, ids: &BTreeSet<Id>) {
        let gone: Vec<Id> = self.services.keys().filter(|id| !ids.contains(*id)).cloned().collect();
        gone.iter().for_each(|id| self.remove_service(id));
    }

    /// Forgets all slices but these.
    pub fn keep_slices(&mut self, ids: &BTreeSet<Id>) {
        let gone: Vec<Id> = self.slices.keys().filter(|id| !ids.contains(*id)).cloned().collect();
        gone.iter().for_each(|id| self.remove_slice(id));
    }

    /// What stands at a name, given as lower-case labels below the domain. An empty record means that the name exists;
    /// `None` that it does not.
    pub fn look_up(&self, labels: &[&str]) -> Option<Record> {
        match labels {
            [] | ["dns" | "svc" | "pod"] => Some(Record::default()),
            ["dns-version"] => Some(Record { text: Some(SPECIFICATION.to_owned()), ..Record::default() }),
            ["ns", "dns"] => Some(Record { addresses: self.own.clone(), ..Record::default() }),
            [namespace, "svc"] => {
                let first = ((*namespace).to_owned(), String::new());
                let known = self.services.range(first..).next().is_some_and(|(id, _)| id.0 == *namespace);
                known.then(Record::default)
            }
            [_, "pod"] => Some(Record::default()),
            [pod, _, "pod"] => {
                dashed(pod).map(|address| Record { addresses: vec![address], ..Record::default() })
            }
            [name, namespace, "svc"] => self.service(&((*namespace).to_owned(), (*name).to_owned())),
            [below, name, namespace, "svc"] => {
                self.below(below, &((*namespace).to_owned(), (*name).to_owned()))
            }
            [port, protocol, name, namespace, "svc"] => {
                let id = ((*namespace).to_owned(), (*name).to_owned());
                let (port, protocol) = (port.strip_prefix('_')?, protocol.strip_prefix('_')?);
                let services = self.srv(&id, |at| at.name == port && at.protocol == protocol);
                (!services.is_empty()).then(|| Record { services, ..Record::default() })
            }
            _ => None,
        }
    }

    /// Names of an address, relative to the domain.
    pub fn look_up_address(&self, address: IpAddr) -> Vec<String> {
        if let Some(services) = self.services_at.get(&address) {
            return services.iter().map(service_name).collect();
        }
        let slices = self.slices_at.get(&address).into_iter().flatten().filter_map(|id| self.slices.get(id));
        let mut names = BTreeSet::new();
        for slice in slices {
            let headless =
                self.services.get(&slice.service).is_some_and(|of| matches!(of.kind, Kind::Headless { .. }));
            let endpoints = slice.endpoints.iter().filter(|endpoint| endpoint.addresses.contains(&address));
            for endpoint in endpoints.filter(|_| headless) {
                names.insert(format!("{}.{}", host(endpoint, address), service_name(&slice.service)));
            }
        }
        names.into_iter().collect()
    }

    fn service(&self, id: &Id) -> Option<Record> {
        let service = self.services.get(id)?;
        let mut record = Record { services: self.srv(id, |_| true), ..Record::default() };
        match &service.kind {
            Kind::Cluster(addresses) => record.addresses.clone_from(addresses),
            Kind::External(name) => {
                record.alias = Some(name.clone());
            }
            Kind::Headless { .. } => {
                let all: BTreeSet<IpAddr> = self.endpoints(id).map(|(_, _, address)| address).collect();
                record.addresses = all.into_iter().collect();
                // Without one endpoint the name is not there: clients wait for it to appear.
                if record.addresses.is_empty() {
                    return None;
                }
            }
        }
        Some(record)
    }

    /// One label below a Service: a host of it, or the protocol of its ports.
    fn below(&self, label: &str, id: &Id) -> Option<Record> {
        if let Some(protocol) = label.strip_prefix('_') {
            let known = !self.srv(id, |port| port.protocol == protocol).is_empty();
            return known.then(Record::default);
        }
        let addresses: BTreeSet<IpAddr> = self
            .endpoints(id)
            .filter(|(_, endpoint, address)| host(endpoint, *address) == label)
            .map(|(_, _, address)| address)
            .collect();
        let addresses: Vec<IpAddr> = addresses.into_iter().collect();
        (!addresses.is_empty()).then(|| Record { addresses, ..Record::default() })
    }

    /// Endpoints that count, with their slice and each of their addresses.
    fn endpoints<'a>(&'a self, id: &'a Id) -> impl Iterator<Item = (&'a Slice, &'a Endpoint, IpAddr)> {
        let service = self.services.get(id);
        let all = matches!(service.map(|of| &of.kind), Some(Kind::Headless { not_ready_too: true }));
        let names = self.slices_of.get(id).into_iter().flatten().filter(move |_| service.is_some());
        let slices = names.filter_map(|name| self.slices.get(&(id.0.clone(), name.clone())));
        slices.flat_map(move |slice| {
            let counted = slice.endpoints.iter().filter(move |endpoint| endpoint.ready || all);
            counted.flat_map(move |endpoint| endpoint.addresses.iter().map(move |at| (slice, endpoint, *at)))
        })
    }

    fn srv(&self, id: &Id, wanted: impl Fn(&Port) -> bool) -> Vec<Srv> {
        let Some(service) = self.services.get(id) else { return Vec::new() };
        let mut found: Vec<Srv> = match &service.kind {
            Kind::External(_) => Vec::new(),
            Kind::Cluster(addresses) => {
                let (target, ports) = (service_name(id), service.ports.iter().filter(|port| wanted(port)));
                ports
                    .map(|port| Srv {
                        port: port.number,
                        weight: 0,
                        target: target.clone(),
                        addresses: addresses.clone(),
                    })
                    .collect()
            }
            Kind::Headless { .. } => {
                let mut by_target: BTreeMap<(String, u16), BTreeSet<IpAddr>> = BTreeMap::new();
                for (slice, endpoint, address) in self.endpoints(id) {
                    let target = format!("{}.{}", host(endpoint, address), service_name(id));
                    for port in slice.ports.iter().filter(|port| wanted(port)) {
                        by_target.entry((target.clone(), port.number)).or_default().insert(address);
                    }
                }
                let servers = by_target.into_iter();
                servers
                    .map(|((target, port), addresses)| Srv {
                        port,
                        weight: 0,
                        target,
                        addresses: addresses.into_iter().collect(),
                    })
                    .collect()
            }
        };
        let weight = SRV_WEIGHT / u16::try_from(found.len().max(1)).unwrap_or(SRV_WEIGHT);
        found.iter_mut().for_each(|srv| srv.weight = weight.max(1));
        found
    }
}

fn service_name(id: &Id) -> String {
    format!("{}.{}.svc", id.1, id.0)
}

/// An endpoint's own label: its hostname, else its address with dashes.
fn host(endpoint: &Endpoint, address: IpAddr) -> String {
    match endpoint.hostname.is_empty() {
        false => endpoint.hostname.clone(),
        true => address.to_string().replace(['.', ':'], "-"),
    }
}

/// `10-1-2-3` or `fd00--5`.
fn dashed(label: &str) -> Option<IpAddr> {
    let v4 = label.replace('-', ".").parse::<std::net::Ipv4Addr>().map(IpAddr::from);
    v4.or_else(|_| label.replace('-', ":").parse::<std::net::Ipv6Addr>().map(IpAddr::from)).ok()
}

fn leave<K: Ord, V: Ord>(map: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = map.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            map.remove(key);
        }
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

pub(crate) fn id(object: &Value) -> Id {
    (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned())
}

fn ports(object: &Value, pointer: &str) -> Vec<Port> {
    let number =
        |port: &Value| port.pointer("/port").and_then(Value::as_u64).and_then(|at| u16::try_from(at).ok());
    let protocol = |port: &Value| match text(port, "/protocol") {
        "" => "tcp".to_owned(),
        named => named.to_ascii_lowercase(),
    };
    let all = list(object, pointer);
    all.filter_map(|port| {
        let name = text(port, "/name").to_ascii_lowercase();
        Some(Port { name, protocol: protocol(port), number: number(port)? })
    })
    .collect()
}

fn read_service(object: &Value) -> Option<Service> {
    let ports = ports(object, "/spec/ports");
    if text(object, "/spec/type") == "ExternalName" {
        let name = text(object, "/spec/externalName").trim_end_matches('.').to_owned();
        return (!name.is_empty()).then_some(Service { kind: Kind::External(name), ports });
    }
    let first = text(object, "/spec/clusterIP");
    if first == "None" {
        let not_ready_too = object.pointer("/spec/publishNotReadyAddresses").and_then(Value::as_bool);
        return Some(Service {
            kind: Kind::Headless { not_ready_too: not_ready_too.unwrap_or(false) },
            ports,
        });
    }
    let mut addresses: Vec<IpAddr> =
        list(object, "/spec/clusterIPs").filter_map(Value::as_str).filter_map(|at| at.parse().ok()).collect();
    if addresses.is_empty() {
        addresses.extend(first.parse::<IpAddr>());
    }
    (!addresses.is_empty()).then_some(Service { kind: Kind::Cluster(addresses), ports })
}

fn read_slice(object: &Value) -> Option<Slice> {
    let labels = object.pointer("/metadata/labels")?;
    let service = labels.get("kubernetes.io/service-name")?.as_str()?.to_owned();
    let endpoints = list(object, "/endpoints").map(|endpoint| Endpoint {
        addresses: list(endpoint, "/addresses")
            .filter_map(Value::as_str)
            .filter_map(|at| at.parse().ok())
            .collect(),
        hostname: text(endpoint, "/hostname").to_ascii_lowercase(),
        ready: endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true),
    });
    Some(Slice {
        service: (text(object, "/metadata/namespace").to_owned(), service),
        ports: ports(object, "/ports"),
        endpoints: endpoints.collect(),
    })
}
