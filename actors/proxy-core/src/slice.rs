use core::net::IpAddr;

use serde_json::Value;

use crate::json::{address, list, port, text};
use crate::rules::Protocol;
use crate::service::ServiceKey;

/// A port of the endpoints of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePort {
    /// The Service port's name.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Port of the endpoint.
    pub port: u16,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address.
    pub address: IpAddr,
    /// Takes new connections.
    pub ready: bool,
    /// Answers, also while it terminates.
    pub serving: bool,
    /// Is being deleted.
    pub terminating: bool,
    /// Its node.
    pub node: String,
    /// Zones whose clients should prefer it.
    pub zone_hints: Vec<String>,
    /// Nodes whose clients should prefer it.
    pub node_hints: Vec<String>,
}

/// An EndpointSlice of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Its Service.
    pub service: ServiceKey,
    /// Ports.
    pub ports: Vec<SlicePort>,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
}

impl Slice {
    /// Reads a `discovery.k8s.io/v1` EndpointSlice; `None` when it belongs to no Service or holds names.
    pub fn read(object: &Value) -> Option<Self> {
        let label = |name: &str| object.pointer("/metadata/labels").and_then(|labels| labels.get(name));
        let name = label("kubernetes.io/service-name")?.as_str()?.to_owned();
        if text(object, "/addressType") == "FQDN" {
            return None;
        }
        let namespace = text(object, "/metadata/namespace").to_owned();
        Some(Self {
            service: ServiceKey { namespace, name },
            ports: list(object, "/ports").iter().filter_map(read_port).collect(),
            endpoints: list(object, "/endpoints").iter().filter_map(read_endpoint).collect(),
        })
    }
}

fn read_port(value: &Value) -> Option<SlicePort> {
    Some(SlicePort {
        name: text(value, "/name").to_owned(),
        protocol: Protocol::named(text(value, "/protocol"))?,
        port: port(value, "/port")?,
    })
}

fn read_endpoint(value: &Value) -> Option<Endpoint> {
    let condition =
        |name: &str| value.pointer("/conditions").and_then(|all| all.get(name)).and_then(Value::as_bool);
    // Unknown means ready, and serving is as ready as it is when nobody says more.
    let ready = condition("ready").unwrap_or(true);
    let hints =
        |pointer: &str| list(value, pointer).iter().map(|hint| text(hint, "/name").to_owned()).collect();
    Some(Endpoint {
        // All addresses of an endpoint lead to the same place; consumers use the first.
        address: list(value, "/addresses").first().and_then(Value::as_str).and_then(address)?,
        ready,
        serving: condition("serving").unwrap_or(ready),
        terminating: condition("terminating").unwrap_or(false),
        node: text(value, "/nodeName").to_owned(),
        zone_hints: hints("/hints/forZones"),
        node_hints: hints("/hints/forNodes"),
    })
}
