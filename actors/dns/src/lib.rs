//! The cluster's DNS, on every node.
//!
//! Role: [`Dns`] answers pods under the cluster's domain from an index that follows Services and EndpointSlices, and
//! passes everything else on to the machine's own resolvers, with a cache. Each node answers its own pods at the
//! address of the cluster's DNS Service, which it holds on the pod network's bridge; no query crosses the network to
//! be resolved inside the cluster.
//!
//! Place in the supervision tree: `/node/<name>/dns`, permanent. An incarnation begins with an empty index and answers
//! SERVFAIL under the cluster's domain until both kinds were listed, never "no such name".
//!
//! # Invariants
//! - Names under the domain follow the specification "Kubernetes DNS-Based Service Discovery" 1.1.0 and CoreDNS where it
//!   is silent (reverse names, SRV at a Service's own name). NXDOMAIN and empty answers carry the domain's SOA.
//! - Nothing grows without bound: queries and connections in flight, the cache, tries of resolvers.
//! - An answer that does not fit a datagram is marked truncated and empty; the client asks again over TCP.
//!
//! # Deliberately absent
//! Zone transfers, dynamic updates, DNSSEC signing; checking that a pod behind `a-b-c-d.ns.pod` exists (CoreDNS'
//! `pods insecure`).

mod answer;
mod cache;
mod config;
mod dns;
mod index;
mod resolver;
mod server;
mod upstream;

pub use config::{DnsConfig, Upstream};
pub use dns::{Dns, DnsInput};
pub use index::{Index, Record, Srv};
pub use resolver::Resolver;
