use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use trireme_dataplane::Netns;

/// Who answers for names outside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The name servers of a resolver file, read again every half minute.
    File(PathBuf),
    /// These servers.
    Servers(Vec<SocketAddr>),
    /// Nobody: such names get SERVFAIL.
    None,
}

/// What a node's DNS is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// The node's network namespace.
    pub netns: Netns,
    /// The cluster's domain, without dots around it.
    pub domain: String,
    /// Where it answers: the cluster IPs of the DNS Service.
    pub addresses: Vec<IpAddr>,
    /// Port, 53 for pods; 0 picks one (tests).
    pub port: u16,
    /// The link that gets the addresses; `None` when they are there already.
    pub link: Option<String>,
    /// Time to live of the cluster's own records, seconds; also of "no such name".
    pub ttl_s: u32,
    /// Names outside the cluster.
    pub upstream: Upstream,
}

impl DnsConfig {
    /// Defaults: `cluster.local`, 5 s, the machine's resolvers, addresses on the pod network's bridge.
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        Self {
            netns: Netns::Current,
            domain: "cluster.local".to_owned(),
            addresses,
            port: 53,
            link: Some("trireme0".to_owned()),
            ttl_s: 5,
            upstream: Upstream::File("/etc/resolv.conf".into()),
        }
    }
}
