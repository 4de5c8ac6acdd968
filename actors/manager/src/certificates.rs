//! [`ClusterCertificates`]: what CertificateSigningRequests ask for, who may have it, and the cluster's signature.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use trireme_access::{Attributes, Decision, User};
use trireme_apiserver::Server;
use trireme_controllers::{Certificates, RequestFacts};
use trireme_pki::{ClientOrder, ClusterAuthority, RequestedCertificate, WallTime};
use trireme_schema::view::View;

/// Life of a certificate whose request does not say, as upstream's `--cluster-signing-duration`.
const LIFETIME: Duration = Duration::from_secs(365 * 86_400);
/// Shortest life that a request gets, as upstream.
const LIFETIME_LEAST: Duration = Duration::from_secs(600);
/// The group and the names of nodes.
const NODES: &str = "system:nodes";
const NODE: &str = "system:node:";

/// See the module.
pub struct ClusterCertificates {
    server: Arc<Server>,
    authority: Arc<ClusterAuthority>,
}

impl ClusterCertificates {
    /// Under this authority, asking this server's authorizer.
    pub fn new(server: Arc<Server>, authority: Arc<ClusterAuthority>) -> Self {
        Self { server, authority }
    }
}

fn decode(request: &str) -> Result<RequestedCertificate, String> {
    let pem = STANDARD.decode(request).map_err(|error| format!("spec.request is no base64: {error}"))?;
    RequestedCertificate::from_pem(&pem).map_err(|error| error.to_string())
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether a request is what its signer signs; the words are upstream's.
fn check(signer: &str, asked: &RequestedCertificate, usages: &BTreeSet<&str>) -> Result<(), String> {
    let exactly = |wanted: [&str; 3]| {
        let full = BTreeSet::from(wanted);
        let without_rsa: BTreeSet<&str> =
            full.iter().copied().filter(|usage| *usage != "key encipherment").collect();
        if *usages == full || *usages == without_rsa {
            return Ok(());
        }
        Err(format!("usages did not match [{}]", full.into_iter().collect::<Vec<_>>().join(" ")))
    };
    let of_node = || match asked.organizations == [NODES] {
        true => Ok(()),
        false => Err("subject organization is not system:nodes".to_owned()),
    };
    let named = || match asked.common_name.starts_with(NODE) {
        true => Ok(()),
        false => Err("subject common name does not begin with system:node:".to_owned()),
    };
    let without = |kind: &str, none: bool| match none {
        true => Ok(()),
        false => Err(format!("{kind} subjectAltNames are not allowed")),
    };
    match signer {
        "kubernetes.io/kube-apiserver-client" => {
            let allowed = ["digital signature", "key encipherment", "client auth"];
            if let Some(other) = usages.iter().find(|usage| !allowed.contains(usage)) {
                return Err(format!("invalid usage for client certificate: {other}"));
            }
            match usages.contains("client auth") {
                true => Ok(()),
                false => Err("missing required usage for client certificate: client auth".to_owned()),
            }
        }
        "kubernetes.io/kube-apiserver-client-kubelet" => {
            of_node()?;
            without("DNS", asked.dns_names.is_empty())?;
            without("Email", asked.emails.is_empty())?;
            without("IP", asked.ip_addresses.is_empty())?;
            without("URI", asked.uris.is_empty())?;
            named()?;
            exactly(["client auth", "digital signature", "key encipherment"])
        }
        "kubernetes.io/kubelet-serving" => {
            of_node()?;
            if asked.dns_names.is_empty() && asked.ip_addresses.is_empty() {
                return Err("DNS or IP subjectAltName is required".to_owned());
            }
            without("Email", asked.emails.is_empty())?;
            without("URI", asked.uris.is_empty())?;
            exactly(["digital signature", "key encipherment", "server auth"])?;
            named()
        }
        _ => Ok(()),
    }
}

impl Certificates for ClusterCertificates {
    fn read(&self, request: &str) -> Option<RequestFacts> {
        let asked = decode(request).ok()?;
        let addresses = asked.ip_addresses.iter().map(ToString::to_string);
        let names = asked.dns_names.iter().chain(&asked.emails).chain(&asked.uris).cloned();
        Some(RequestFacts {
            alternative_names: names.chain(addresses).collect(),
            common_name: asked.common_name,
            organizations: asked.organizations,
        })
    }

    fn may(&self, spec: &Value, subresource: &str) -> bool {
        let extra: BTreeMap<String, Vec<String>> = spec
            .at("extra")
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, list)| (name.clone(), texts(list)))
            .collect();
        let user = User {
            name: spec.text("username").to_owned(),
            uid: spec.text("uid").to_owned(),
            groups: texts(spec.at("groups")),
            extra,
        };
        let attributes = Attributes {
            user: Arc::new(user),
            verb: "create".to_owned(),
            group: "certificates.k8s.io".to_owned(),
            version: "*".to_owned(),
            resource: "certificatesigningrequests".to_owned(),
            subresource: subresource.to_owned(),
            resource_request: true,
            ..Attributes::default()
        };
        matches!(self.server.authorizer().authorize(&attributes), Decision::Allow { .. })
    }

    fn sign(&self, spec: &Value) -> Result<String, String> {
        let asked = decode(spec.text("request"))?;
        let usages: Vec<&str> = spec.list("usages").iter().filter_map(Value::as_str).collect();
        check(spec.text("signerName"), &asked, &usages.iter().copied().collect())?;
        let seconds = spec.int("expirationSeconds").and_then(|seconds| u64::try_from(seconds).ok());
        let lifetime = seconds.map_or(LIFETIME, |s| Duration::from_secs(s).clamp(LIFETIME_LEAST, LIFETIME));
        let order = ClientOrder { usages: &usages, lifetime, now: WallTime::now() };
        let pem = self.authority.sign_for_client(&asked, &order).map_err(|error| error.to_string())?;
        Ok(STANDARD.encode(pem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(
        signer: &str,
        edit: impl FnOnce(&mut RequestedCertificate),
        usages: &[&str],
    ) -> Option<String> {
        let mut asked = RequestedCertificate::default();
        "system:node:n1".clone_into(&mut asked.common_name);
        asked.organizations.push(NODES.to_owned());
        edit(&mut asked);
        check(&format!("kubernetes.io/{signer}"), &asked, &usages.iter().copied().collect()).err()
    }

    #[test]
    fn signers_sign_what_is_theirs_and_say_why_not() {
        let client = ["client auth", "digital signature"];
        let kubelet = "kube-apiserver-client-kubelet";
        assert_eq!(verdict(kubelet, |_| {}, &client), None);
        assert_eq!(verdict(kubelet, |_| {}, &["client auth", "digital signature", "key encipherment"]), None);
        let refused = verdict(kubelet, |asked| asked.organizations.clear(), &client);
        assert_eq!(refused.as_deref(), Some("subject organization is not system:nodes"));
        let refused = verdict(kubelet, |asked| asked.dns_names.push("a".to_owned()), &client);
        assert_eq!(refused.as_deref(), Some("DNS subjectAltNames are not allowed"));
        let refused = verdict(kubelet, |asked| "n1".clone_into(&mut asked.common_name), &client);
        assert_eq!(refused.as_deref(), Some("subject common name does not begin with system:node:"));
        let refused = verdict(kubelet, |_| {}, &["client auth"]);
        let wanted = "usages did not match [client auth digital signature key encipherment]";
        assert_eq!(refused.as_deref(), Some(wanted));

        let serving = ["server auth", "digital signature"];
        let named = |asked: &mut RequestedCertificate| asked.dns_names.push("n1".to_owned());
        assert_eq!(verdict("kubelet-serving", named, &serving), None);
        let refused = verdict("kubelet-serving", |_| {}, &serving);
        assert_eq!(refused.as_deref(), Some("DNS or IP subjectAltName is required"));

        assert_eq!(verdict("kube-apiserver-client", |_| {}, &["client auth"]), None);
        let refused = verdict("kube-apiserver-client", |_| {}, &["client auth", "server auth"]);
        assert_eq!(refused.as_deref(), Some("invalid usage for client certificate: server auth"));
        let refused = verdict("kube-apiserver-client", |_| {}, &["digital signature"]);
        assert_eq!(refused.as_deref(), Some("missing required usage for client certificate: client auth"));
    }
}
