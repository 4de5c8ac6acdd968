//! The pod's resolv.conf by its DNS policy.

use serde_json::Value;
use trireme_node::Dns;
use trireme_schema::view::View;

use super::NodeFacts;
use crate::pod;

/// Most name servers in a resolv.conf.
const SERVERS_LIMIT: usize = 3;
/// Most search domains.
const SEARCHES_LIMIT: usize = 32;
/// Most letters of all search domains.
const SEARCHES_LIMIT_CHARS: usize = 2_048;

/// The node's own resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostResolver {
    /// Addresses.
    pub servers: Vec<String>,
    /// Search domains.
    pub searches: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

/// Reads a resolv.conf.
pub fn parse_resolv_conf(text: &str) -> HostResolver {
    let mut resolver = HostResolver::default();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or("").split_whitespace();
        match words.next() {
            Some("nameserver") => resolver.servers.extend(words.next().map(str::to_owned)),
            Some("search") => resolver.searches = words.map(str::to_owned).collect(),
            Some("options") => resolver.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    resolver
}

/// The pod's resolver, and whether the cluster's DNS was asked for but is not configured.
pub fn dns(pod: &Value, facts: &NodeFacts) -> (Dns, bool) {
    let spec = pod.at("spec");
    let host_network = spec.is_true("hostNetwork");
    let policy = match spec.text("dnsPolicy") {
        "" => "ClusterFirst",
        policy => policy,
    };
    let host = &facts.resolver;
    let of_host = || Dns {
        servers: host.servers.clone(),
        searches: host.searches.clone(),
        options: host.options.clone(),
    };
    let wants_cluster = policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !host_network);
    let missing = wants_cluster && facts.cluster_dns.is_empty();
    let mut dns = if policy == "None" {
        Dns::default()
    } else if wants_cluster && !missing {
        let (namespace, domain) = (pod::namespace(pod), &facts.cluster_domain);
        let own = [format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
        let searches = own.into_iter().chain(host.searches.iter().cloned()).collect();
        Dns { servers: facts.cluster_dns.clone(), searches, options: vec!["ndots:5".into()] }
    } else {
        of_host()
    };
    let config = spec.at("dnsConfig");
    let texts = |name: &str| {
        config.list(name).iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    append(&mut dns.servers, texts("nameservers"));
    append(&mut dns.searches, texts("searches"));
    for option in config.list("options") {
        let (name, value) = (option.text("name"), option.text("value"));
        dns.options.retain(|known| known.split(':').next() != Some(name));
        dns.options.push(if value.is_empty() { name.to_owned() } else { format!("{name}:{value}") });
    }
    dns.servers.truncate(SERVERS_LIMIT);
    dns.searches.truncate(SEARCHES_LIMIT);
    while dns.searches.join(" ").len() > SEARCHES_LIMIT_CHARS {
        dns.searches.pop();
    }
    (dns, missing)
}

fn append(list: &mut Vec<String>, more: Vec<String>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies() {
        let facts = NodeFacts {
            cluster_dns: vec!["10.96.0.10".into()],
            cluster_domain: "cluster.local".into(),
            resolver: parse_resolv_conf("nameserver 1.1.1.1\nsearch corp\noptions ndots:2 rotate\n"),
            ..NodeFacts::default()
        };
        let pod = |spec: Value| json!({"metadata": {"namespace": "n"}, "spec": spec});
        let (own, _) =
            dns(&pod(json!({"dnsConfig": {"options": [{"name": "ndots", "value": "1"}]}})), &facts);
        assert_eq!(own.servers, ["10.96.0.10"]);
        assert_eq!(own.searches, ["n.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp"]);
        assert_eq!(own.options, ["ndots:1"]);
        let (host, _) = dns(&pod(json!({"hostNetwork": true})), &facts);
        assert_eq!((host.servers[0].as_str(), host.options.len()), ("1.1.1.1", 2));
        let none = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["9.9.9.9"]}});
        assert_eq!(dns(&pod(none), &facts).0.servers, ["9.9.9.9"]);
        let bare = NodeFacts::default();
        assert!(dns(&pod(json!({})), &bare).1);
    }
}
