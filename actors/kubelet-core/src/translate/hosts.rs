//! The pod's /etc/hosts.

use serde_json::Value;
use trireme_schema::view::View;

use super::NodeFacts;
use super::sandbox::hostname;

const HEADER: &str = "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n";
const HOST_HEADER: &str = "# Kubernetes-managed hosts file (host network).\n";

/// The file's content, for a pod with these addresses.
pub fn hosts_file(pod: &Value, facts: &NodeFacts, pod_ips: &[String]) -> String {
    let mut text = String::new();
    if pod.at("spec").is_true("hostNetwork") {
        text.push_str(HOST_HEADER);
        text.push_str(&facts.hosts_file);
    } else {
        text.push_str(HEADER);
        let name = hostname(pod, &facts.cluster_domain).unwrap_or_default();
        let domain = domain(pod, facts);
        for ip in pod_ips {
            match &domain {
                Some(domain) => text.push_str(&format!("{ip}\t{}.{domain}\t{}\n", name.short, name.short)),
                None => text.push_str(&format!("{ip}\t{}\n", name.short)),
            }
        }
    }
    let aliases = pod.at("spec").list("hostAliases");
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let names: Vec<&str> = alias.list("hostnames").iter().filter_map(Value::as_str).collect();
            text.push_str(&format!("{}\t{}\n", alias.text("ip"), names.join("\t")));
        }
    }
    text
}

fn domain(pod: &Value, facts: &NodeFacts) -> Option<String> {
    let subdomain = pod.at("spec").text("subdomain");
    let namespace = pod.at("metadata").text("namespace");
    (!subdomain.is_empty()).then(|| format!("{subdomain}.{namespace}.svc.{}", facts.cluster_domain))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn aliases_follow_the_pods_own_line() {
        let facts = NodeFacts { cluster_domain: "cluster.local".into(), ..NodeFacts::default() };
        let pod = json!({"metadata": {"name": "web", "namespace": "n"}, "spec": {"subdomain": "sub",
            "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["foo.local", "bar.local"]}]}});
        let text = hosts_file(&pod, &facts, &["10.1.0.7".into()]);
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        let end = "10.1.0.7\tweb.sub.n.svc.cluster.local\tweb\n\n# Entries added by HostAliases.\n\
127.0.0.1\tfoo.local\tbar.local\n";
        assert!(text.ends_with(end), "{text}");
    }
}
