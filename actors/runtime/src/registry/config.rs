//! [`Registries`]: `registries.yaml` as k3s reads it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use regex::Regex;
use rustls_pki_types::CertificateDer;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::ClientConfig;
use trireme_node::{PullCredentials, RuntimeError};

use crate::fail::{OrFail, Outcome, invalid, unavailable, unsupported};
use crate::image::Reference;
use crate::image::reference::DEFAULT_REGISTRY;

/// Blobs fetched at once, over all images.
const FETCHES_LIMIT: usize = 3;
/// Where Linux systems keep their list of certificate authorities.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    mirrors: BTreeMap<String, Mirror>,
    #[serde(default)]
    configs: BTreeMap<String, HostConfig>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mirror {
    #[serde(default, alias = "endpoints")]
    endpoint: Vec<String>,
    #[serde(default)]
    rewrite: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostConfig {
    #[serde(default)]
    auth: Option<HostAuth>,
    #[serde(default)]
    tls: Option<HostTls>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostAuth {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    /// base64 of `user:password`.
    #[serde(default)]
    auth: String,
    #[serde(default, alias = "identitytoken")]
    identity_token: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostTls {
    #[serde(default)]
    ca_file: Option<PathBuf>,
    #[serde(default)]
    cert_file: Option<PathBuf>,
    #[serde(default)]
    key_file: Option<PathBuf>,
    #[serde(default)]
    insecure_skip_verify: bool,
}

/// A server that may have an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) tls: bool,
    /// Host and optional port.
    pub(crate) host: String,
    /// Path in front of `/v2`.
    pub(crate) path: String,
    /// The repository there.
    pub(crate) repository: String,
    /// The registry that a mirror stands for.
    pub(crate) stands_for: Option<String>,
}

/// Mirrors, credentials and authorities of registries; and the limits that all fetching shares.
#[derive(Clone, Debug)]
pub struct Registries {
    file: File,
    pub(crate) fetches: Arc<Semaphore>,
    /// TLS configurations by authority file.
    known: Arc<Mutex<BTreeMap<Option<PathBuf>, Arc<ClientConfig>>>>,
}

impl Default for Registries {
    fn default() -> Self {
        Self::new(File::default())
    }
}

impl Registries {
    fn new(file: File) -> Self {
        Self { file, fetches: Arc::new(Semaphore::new(FETCHES_LIMIT)), known: Arc::default() }
    }

    /// Reads a `registries.yaml`.
    ///
    /// # Errors
    /// `Invalid` with the line when it is damaged, `Unsupported` naming what is not built.
    pub fn load(path: &Path) -> Result<Self, RuntimeError> {
        let text = fs::read_to_string(path).or_fail(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).map_err(|error| crate::image::files::prefix(error, &path.display().to_string()))
    }

    /// Reads the text of a `registries.yaml`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(text: &str) -> Result<Self, RuntimeError> {
        let document =
            trireme_schema::yaml::parse(text.as_bytes()).map_err(|error| invalid(error.to_string()))?;
        if let Some(repeated) = document.duplicates.first() {
            return Err(invalid(repeated));
        }
        let file: Option<File> =
            serde_json::from_value(document.value).map_err(|error| invalid(error.to_string()))?;
        let file = file.unwrap_or_default();
        for (host, config) in &file.configs {
            let Some(tls) = &config.tls else { continue };
            if tls.insecure_skip_verify {
                let text = format!(
                    "configs.\"{host}\".tls.insecure_skip_verify is not built; name the authority in tls.ca_file, or use an http:// endpoint"
                );
                return Err(unsupported(text));
            }
            if tls.cert_file.is_some() || tls.key_file.is_some() {
                return Err(unsupported(format!(
                    "configs.\"{host}\".tls: client certificates are not built"
                )));
            }
        }
        for (name, mirror) in &file.mirrors {
            for pattern in mirror.rewrite.keys() {
                Regex::new(pattern)
                    .map_err(|error| invalid(format!("mirrors.\"{name}\".rewrite: {error}")))?;
            }
            for endpoint in &mirror.endpoint {
                split(endpoint)
                    .ok_or_else(|| invalid(format!("mirrors.\"{name}\": \"{endpoint}\" is no URL")))?;
            }
        }
        Ok(Self::new(file))
    }

    /// Where an image may be had, in the order to try.
    pub(crate) fn endpoints(&self, reference: &Reference) -> Vec<Endpoint> {
        let mirror = self.file.mirrors.get(&reference.registry).or_else(|| self.file.mirrors.get("*"));
        let mut all = Vec::new();
        if let Some(mirror) = mirror {
            let mut repository = reference.repository.clone();
            for (pattern, by) in &mirror.rewrite {
                let pattern = Regex::new(pattern).expect("checked when it was read");
                if pattern.is_match(&repository) {
                    repository = pattern.replace(&repository, by.as_str()).into_owned();
                    break;
                }
            }
            for (tls, host, path) in mirror.endpoint.iter().filter_map(|endpoint| split(endpoint)) {
                let stands_for = (host != reference.registry).then(|| reference.registry.clone());
                all.push(Endpoint { tls, host, path, repository: repository.clone(), stands_for });
            }
        }
        let host = match reference.registry.as_str() {
            DEFAULT_REGISTRY => "registry-1.docker.io".to_owned(),
            other => other.to_owned(),
        };
        // One of this machine speaks plain HTTP, as with every client.
        let tls = !is_local(&host);
        let own = Endpoint {
            tls,
            host,
            path: String::new(),
            repository: reference.repository.clone(),
            stands_for: None,
        };
        if all.iter().all(|known| known.host != own.host) {
            all.push(own);
        }
        all
    }

    /// Credentials for an endpoint, in the order to try: the request's own, the configuration's, none.
    pub(crate) fn credentials(
        &self,
        reference: &Reference,
        endpoint: &Endpoint,
        own: &[PullCredentials],
    ) -> Vec<Option<PullCredentials>> {
        let mut all: Vec<_> = own.iter().filter(|one| is_for(one, reference)).cloned().map(Some).collect();
        let config =
            self.file.configs.get(&endpoint.host).or_else(|| self.file.configs.get(&reference.registry));
        all.extend(config.and_then(|config| config.auth.as_ref()).map(|auth| Some(auth.credentials())));
        all.push(None);
        all
    }

    /// TLS towards a host.
    pub(crate) fn tls(&self, host: &str) -> Outcome<Arc<ClientConfig>> {
        let own = self.file.configs.get(host).and_then(|config| config.tls.as_ref());
        let file = own.and_then(|tls| tls.ca_file.clone());
        if let Some(known) = self.known.lock().get(&file) {
            return Ok(known.clone());
        }
        let made = trust(file.as_deref())?;
        self.known.lock().insert(file, made.clone());
        Ok(made)
    }
}

impl HostAuth {
    fn credentials(&self) -> PullCredentials {
        let decoded = STANDARD.decode(self.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (username, password) = match pair {
            Some((username, password)) if self.username.is_empty() => {
                (username.to_owned(), password.to_owned())
            }
            _ => (self.username.clone(), self.password.clone()),
        };
        PullCredentials {
            registry: String::new(),
            username,
            password,
            identity_token: self.identity_token.clone(),
        }
    }
}

/// Whether credentials of a docker configuration are for an image: host and path prefix.
fn is_for(credentials: &PullCredentials, reference: &Reference) -> bool {
    let registry = credentials.registry.as_str();
    let registry =
        registry.strip_prefix("https://").or_else(|| registry.strip_prefix("http://")).unwrap_or(registry);
    let registry = registry.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
    let (host, path) = registry.split_once('/').unwrap_or((registry, ""));
    let host =
        if matches!(host, "index.docker.io" | "registry-1.docker.io") { DEFAULT_REGISTRY } else { host };
    let under = path.is_empty()
        || reference.repository == path
        || reference.repository.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    registry.is_empty() || (host == reference.registry && under)
}

fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name == "localhost" || name == "[::1]" || name.starts_with("127.")
}

fn split(endpoint: &str) -> Option<(bool, String, String)> {
    let (tls, rest) = match (endpoint.strip_prefix("http://"), endpoint.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => (true, endpoint),
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_matches('/').trim_end_matches("v2").trim_end_matches('/');
    let well_formed = !host.is_empty() && !host.contains([' ', '@']);
    well_formed
        .then(|| (tls, host.to_owned(), if path.is_empty() { String::new() } else { format!("/{path}") }))
}

fn trust(file: Option<&Path>) -> Outcome<Arc<ClientConfig>> {
    let set = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let system = SYSTEM_AUTHORITIES.iter().map(PathBuf::from).find(|path| path.exists());
    let path = file.map(Path::to_owned).or(set).or(system).ok_or_else(|| {
        unavailable(
            "this machine has no list of certificate authorities; name one in registries.yaml (tls.ca_file)",
        )
    })?;
    let bytes = fs::read(&path).or_fail(|| format!("cannot read {}", path.display()))?;
    let parts = pem::parse_many(&bytes).map_err(|error| invalid(format!("{}: {error}", path.display())))?;
    let certificates = parts.into_iter().filter(|part| part.tag() == "CERTIFICATE");
    let roots: Vec<CertificateDer<'static>> =
        certificates.map(|part| CertificateDer::from(part.into_contents())).collect();
    if let Ok(config) = trireme_pki::https_client(&roots, None) {
        return Ok(config);
    }
    // A system's list may hold one that nobody can read: do without it.
    let good: Vec<_> = roots
        .into_iter()
        .filter(|root| trireme_pki::https_client(std::slice::from_ref(root), None).is_ok())
        .collect();
    trireme_pki::https_client(&good, None).map_err(|error| invalid(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_k3s_is_read() {
        let text = r#"
mirrors:
  docker.io:
    endpoint: ["https://mirror.test:5000/v2", "http://plain.test/cache"]
    rewrite: {"^library/(.*)": "mine/$1"}
  "*":
    endpoint: ["https://all.test"]
configs:
  "mirror.test:5000":
    auth: {username: u, password: p}
  "b.test":
    auth: {auth: "dTpw"}
"#;
        let registries = Registries::parse(text).unwrap();
        let hosts = |name: &str| {
            let endpoints = registries.endpoints(&Reference::parse(name).unwrap());
            endpoints
                .iter()
                .map(|one| format!("{} {}{} {}", one.tls, one.host, one.path, one.repository))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            hosts("busybox"),
            [
                "true mirror.test:5000 mine/busybox",
                "false plain.test/cache mine/busybox",
                "true registry-1.docker.io library/busybox"
            ]
        );
        assert_eq!(hosts("b.test/x"), ["true all.test x", "true b.test x"]);
        assert_eq!(hosts("localhost:5000/x")[1], "false localhost:5000 x");
        let reference = Reference::parse("b.test/x").unwrap();
        let found = registries.credentials(&reference, &registries.endpoints(&reference)[1], &[]);
        assert_eq!(
            found[0].as_ref().map(|one| (one.username.as_str(), one.password.as_str())),
            Some(("u", "p"))
        );
        assert_eq!(found[1], None);
        assert!(Registries::parse("").is_ok());
        for (bad, want) in [
            ("mirrorz: {}", "mirrorz"),
            ("mirrors: {a: {}}\nmirrors: {}", "already set"),
            ("configs: {a: {tls: {insecure_skip_verify: true}}}", "insecure_skip_verify is not built"),
            ("mirrors: {a: {rewrite: {'(': x}}}", "rewrite"),
        ] {
            let error = Registries::parse(bad).unwrap_err();
            assert!(error.message.contains(want), "{error}");
        }
    }

    #[test]
    fn credentials_are_shown_only_to_their_registry() {
        let reference = Reference::parse("docker.io/team/app").unwrap();
        let of = |registry: &str| {
            is_for(&PullCredentials { registry: registry.into(), ..Default::default() }, &reference)
        };
        assert!(of("https://index.docker.io/v1/") && of("docker.io") && of("docker.io/team"));
        assert!(!of("docker.io/tea") && !of("evil.test") && !of("docker.io.evil.test"));
    }
}
