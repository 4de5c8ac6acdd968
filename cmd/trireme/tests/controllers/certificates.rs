//! CertificateSigningRequests, tokens of service accounts, bootstrap tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use serde_json::{Value, json};

use crate::ground::{Ground, condition};
use crate::kit::until;
use crate::run;

const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";

/// A key, as PEM, and the request for it, as base64 of PEM.
fn request(user: &str, group: &str, names: &[&str]) -> (String, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.distinguished_name.push(DnType::CommonName, user);
    let dns = |name: &&str| SanType::DnsName((*name).try_into().expect("a name"));
    params.subject_alt_names = names.iter().map(dns).collect();
    let key = KeyPair::generate().expect("a key");
    let pem = params.serialize_request(&key).expect("a request").pem().expect("PEM");
    (key.serialize_pem(), STANDARD.encode(pem))
}

fn asked(name: &str, signer: &str, request: &str, usages: &[&str]) -> Value {
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
        "spec": {"signerName": format!("kubernetes.io/{signer}"), "request": request, "usages": usages},
    })
}

async fn approve(ground: &Ground, name: &str) {
    if let Some(output) = ground.kubectl(&["certificate", "approve", name]) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let approved = json!({"status": {"conditions": [
        {"type": "Approved", "status": "True", "reason": "Test", "message": "approved"}]}});
    ground.merge(&format!("{REQUESTS}/{name}/approval"), approved).await;
}

async fn until_signed(ground: &Ground, name: &str) -> String {
    let signed = ground
        .until_object(&format!("{name} is signed"), &format!("{REQUESTS}/{name}"), |request| {
            request["status"]["certificate"].is_string()
        })
        .await;
    signed["status"]["certificate"].as_str().expect("text").to_owned()
}

/// Who the API takes the holder of these papers for. Each is base64 of PEM, or a bearer token.
async fn who(ground: &Ground, certificate: Option<(&str, &str)>, token: Option<&str>) -> Option<Value> {
    let mut file = Kubeconfig::read_from(ground.kubeconfig()).expect("a kubeconfig");
    let user: Value = match (certificate, token) {
        (Some((certificate, key)), _) => {
            json!({"client-certificate-data": certificate, "client-key-data": STANDARD.encode(key)})
        }
        (None, token) => json!({"token": token}),
    };
    file.auth_infos[0].auth_info = Some(serde_json::from_value(user).expect("a user"));
    let config =
        kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("it reads");
    let client = Client::try_from(config).expect("a client");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let request = http::Request::post("/apis/authentication.k8s.io/v1/selfsubjectreviews");
    let request =
        request.header("Content-Type", "application/json").body(review.into_bytes()).expect("a request");
    let answer = client.request::<Value>(request).await.ok()?;
    Some(answer["status"]["userInfo"].clone())
}

#[test]
fn a_certificate_is_signed_once_it_is_approved_and_opens_the_api() {
    run(async || {
        let ground = Ground::start(1).await;
        let (key, text) = request("jane", "dev", &[]);
        let object = asked("jane", "kube-apiserver-client", &text, &["client auth", "digital signature"]);
        ground.post(REQUESTS, object).await;
        // Another one, which fails, shows that the signer has looked.
        let (_, other) = request("jane", "dev", &[]);
        ground.post(REQUESTS, asked("wrong", "kube-apiserver-client", &other, &["server auth"])).await;
        approve(&ground, "wrong").await;
        let failed = ground
            .until_object("the signer refuses it", &format!("{REQUESTS}/wrong"), |request| {
                condition(request, "Failed")["status"] == "True"
            })
            .await;
        let said = condition(&failed, "Failed");
        assert_eq!(said["reason"], "SignerValidationFailure");
        assert_eq!(said["message"], "invalid usage for client certificate: server auth");
        let waiting = ground.get(&format!("{REQUESTS}/jane")).await.expect("it is there");
        assert!(waiting["status"]["certificate"].is_null(), "nobody approved it");
        approve(&ground, "jane").await;
        let certificate = until_signed(&ground, "jane").await;
        let known = who(&ground, Some((&certificate, &key)), None).await.expect("the API knows it");
        assert_eq!(known["username"], "jane");
        let groups = known["groups"].as_array().expect("groups");
        assert!(groups.iter().any(|group| group == "dev"), "{known}");
    });
}

#[test]
fn kubelets_get_client_certificates_by_themselves_and_serving_ones_by_approval() {
    run(async || {
        let ground = Ground::start(1).await;
        // As kubeadm binds them.
        let automatic = |role: &str| format!("system:certificates.k8s.io:certificatesigningrequests:{role}");
        for (name, role, group) in [
            ("renewing", automatic("selfnodeclient"), "system:nodes"),
            ("joining", automatic("nodeclient"), "system:bootstrappers"),
            ("asking", "system:node-bootstrapper".to_owned(), "system:bootstrappers"),
            ("others", "system:node-bootstrapper".to_owned(), "dev"),
        ] {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
            });
            ground.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await;
        }
        let client = ["client auth", "digital signature"];
        let (key, text) = request("system:node:n1", "system:nodes", &[]);
        let object = asked("client", "kube-apiserver-client-kubelet", &text, &client);
        ground.post_as("system:node:n1", "system:nodes", REQUESTS, &object).await;
        let certificate = until_signed(&ground, "client").await;
        let approved = ground.get(&format!("{REQUESTS}/client")).await.expect("it is there");
        let said = condition(&approved, "Approved");
        assert_eq!(said["reason"], "AutoApproved");
        assert_eq!(
            said["message"],
            "Auto approving self kubelet client certificate after SubjectAccessReview."
        );
        let known = who(&ground, Some((&certificate, &key)), None).await.expect("the API knows it");
        assert_eq!(known["username"], "system:node:n1");

        let (_, text) = request("system:node:n1", "system:nodes", &["n1.example.com"]);
        let object = asked("serving", "kubelet-serving", &text, &["server auth", "digital signature"]);
        ground.post_as("system:node:n1", "system:nodes", REQUESTS, &object).await;
        // Who is no node gets no node's papers by itself.
        let (_, text) = request("system:node:n2", "system:nodes", &[]);
        let object = asked("foreign", "kube-apiserver-client-kubelet", &text, &client);
        ground.post_as("bob", "dev", REQUESTS, &object).await;
        let (_, text) = request("system:node:n3", "system:nodes", &[]);
        let object = asked("third", "kube-apiserver-client-kubelet", &text, &client);
        ground.post_as("system:bootstrap:abcdef", "system:bootstrappers", REQUESTS, &object).await;
        until_signed(&ground, "third").await;
        for name in ["serving", "foreign"] {
            let waiting = ground.get(&format!("{REQUESTS}/{name}")).await.expect("it is there");
            assert!(condition(&waiting, "Approved").is_null(), "{waiting}");
        }
        approve(&ground, "serving").await;
        let pem = STANDARD.decode(until_signed(&ground, "serving").await).expect("base64");
        assert!(pem.starts_with(b"-----BEGIN CERTIFICATE-----"));
    });
}

#[test]
fn a_secret_that_asks_for_a_token_is_filled_and_goes_with_its_account() {
    run(async || {
        let ground = Ground::start(1).await;
        let accounts = "/api/v1/namespaces/default/serviceaccounts";
        ground
            .post(
                accounts,
                json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}),
            )
            .await;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {"name": "robot-token", "annotations": {"kubernetes.io/service-account.name": "robot"}},
        });
        ground.post(SECRETS, secret).await;
        let path = format!("{SECRETS}/robot-token");
        let filled =
            ground.until_object("it is filled", &path, |secret| secret["data"]["token"].is_string()).await;
        let text = |name: &str| {
            let bytes = STANDARD.decode(filled["data"][name].as_str().expect("text")).expect("base64");
            String::from_utf8(bytes).expect("text")
        };
        assert_eq!(text("namespace"), "default");
        assert!(text("ca.crt").contains("BEGIN CERTIFICATE"));
        assert!(filled["metadata"]["annotations"]["kubernetes.io/service-account.uid"].is_string());
        let known = who(&ground, None, Some(&text("token"))).await.expect("the API knows it");
        assert_eq!(known["username"], "system:serviceaccount:default:robot");
        ground.delete(&format!("{accounts}/robot")).await;
        until("it goes with its account", || async { ground.get(&path).await.is_none().then_some(()) }).await;
        assert!(who(&ground, None, Some(&text("token"))).await.is_none(), "the token is worth nothing now");
    });
}

#[test]
fn bootstrap_tokens_sign_the_clusters_information_and_go_when_they_expire() {
    run(async || {
        let ground = Ground::start(1).await;
        let info = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-info"},
            "data": {"kubeconfig": "Hello from the other side. I must have called a thousand times."},
        });
        ground.post("/api/v1/namespaces/kube-public/configmaps", info).await;
        let secrets = "/api/v1/namespaces/kube-system/secrets";
        let token = |id: &str, more: Value| {
            let mut data = json!({"token-id": id, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true"});
            data.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
                "metadata": {"name": format!("bootstrap-token-{id}")}, "stringData": data,
            })
        };
        ground.post(secrets, token("abcdef", json!({}))).await;
        let path = "/api/v1/namespaces/kube-public/configmaps/cluster-info";
        let signed = ground
            .until_object("it is signed", path, |info| info["data"]["jws-kubeconfig-abcdef"].is_string())
            .await;
        let signature = signed["data"]["jws-kubeconfig-abcdef"].as_str().expect("text");
        assert_eq!(signature.split('.').map(str::is_empty).collect::<Vec<_>>(), [false, true, false]);
        ground.post(secrets, token("aaaaaa", json!({"expiration": "2020-01-01T00:00:00Z"}))).await;
        until("the one that has expired goes", || async {
            ground.get(&format!("{secrets}/bootstrap-token-aaaaaa")).await.is_none().then_some(())
        })
        .await;
        ground.delete(&format!("{secrets}/bootstrap-token-abcdef")).await;
        let bare = ground
            .until_object("its signature goes with the token", path, |info| {
                info["data"].as_object().is_some_and(|data| data.len() == 1)
            })
            .await;
        assert!(bare["data"]["kubeconfig"].is_string());
    });
}
