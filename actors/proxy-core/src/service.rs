use core::net::IpAddr;
use std::fmt;

use ipnet::IpNet;
use serde_json::Value;

use crate::json::{address, list, port, text, texts};
use crate::rules::Protocol;

/// Seconds that a client keeps its backend unless the Service says otherwise.
const AFFINITY_DEFAULT_S: u32 = 10_800;

/// A Service by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ServiceKey {
    /// Of an object's metadata.
    pub fn of(object: &Value) -> Self {
        let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Name; empty when there is only one.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Port.
    pub port: u16,
    /// Port of every node.
    pub node_port: Option<u16>,
}

/// A Service, as far as packets are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Which.
    pub key: ServiceKey,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// Its own addresses.
    pub cluster_addresses: Vec<IpAddr>,
    /// `externalIPs`.
    pub external_addresses: Vec<IpAddr>,
    /// Addresses of its load balancer, unless packets come through a proxy.
    pub balancer_addresses: Vec<IpAddr>,
    /// `loadBalancerSourceRanges`; empty: everybody.
    pub source_ranges: Vec<IpNet>,
    /// `sessionAffinity: ClientIP`, in seconds.
    pub affinity_s: Option<u32>,
    /// `internalTrafficPolicy: Local`.
    pub internal_local: bool,
    /// `externalTrafficPolicy: Local`.
    pub external_local: bool,
    /// `healthCheckNodePort`.
    pub health_port: Option<u16>,
}

impl Service {
    /// Reads a `v1` Service; `None` when no proxy has anything to do for it (headless, ExternalName, another proxy's).
    pub fn read(object: &Value) -> Option<Self> {
        let labels = object.pointer("/metadata/labels");
        let other_proxy =
            labels.is_some_and(|labels| labels.get("service.kubernetes.io/service-proxy-name").is_some());
        let kind = text(object, "/spec/type");
        let first = text(object, "/spec/clusterIP");
        if other_proxy || kind == "ExternalName" || first.is_empty() || first == "None" {
            return None;
        }
        let mut cluster_addresses: Vec<IpAddr> =
            texts(object, "/spec/clusterIPs").filter_map(address).collect();
        if cluster_addresses.is_empty() {
            cluster_addresses.extend(address(first));
        }
        let balancer = list(object, "/status/loadBalancer/ingress").iter();
        let balancer = balancer.filter(|ingress| text(ingress, "/ipMode") != "Proxy");
        let balancer_addresses: Vec<IpAddr> = balancer
            .filter_map(|ingress| address(text(ingress, "/ip")))
            .filter(|_| kind == "LoadBalancer")
            .collect();
        let external_local = text(object, "/spec/externalTrafficPolicy") == "Local";
        Some(Self {
            key: ServiceKey::of(object),
            ports: list(object, "/spec/ports").iter().filter_map(read_port).collect(),
            cluster_addresses,
            external_addresses: texts(object, "/spec/externalIPs").filter_map(address).collect(),
            balancer_addresses,
            source_ranges: texts(object, "/spec/loadBalancerSourceRanges")
                .filter_map(|range| range.trim().parse().ok())
                .collect(),
            affinity_s: affinity(object),
            internal_local: text(object, "/spec/internalTrafficPolicy") == "Local",
            external_local,
            health_port: port(object, "/spec/healthCheckNodePort").filter(|_| external_local),
        })
    }
}

fn affinity(object: &Value) -> Option<u32> {
    if text(object, "/spec/sessionAffinity") != "ClientIP" {
        return None;
    }
    let seconds =
        object.pointer("/spec/sessionAffinityConfig/clientIP/timeoutSeconds").and_then(Value::as_u64);
    Some(seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(AFFINITY_DEFAULT_S))
}

fn read_port(value: &Value) -> Option<ServicePort> {
    Some(ServicePort {
        name: text(value, "/name").to_owned(),
        protocol: Protocol::named(text(value, "/protocol"))?,
        port: port(value, "/port")?,
        node_port: port(value, "/nodePort"),
    })
}
