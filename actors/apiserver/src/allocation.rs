//! Addresses and ports of Services, given in the transaction that writes the Service.
//!
//! A cluster address is held by its IPAddress object, a node port by a record of its own: the transaction creates them
//! under the guard that they do not exist, so that two Services never get the same, and nothing leaks. Choosing is
//! random among the free; a taken choice is chosen anew by the next attempt.

use serde_json::{Value, json};
use trireme_mvcc::{Key, Operation};
use trireme_schema::field::{ErrorList, Path};
use trireme_schema::names::generated_name;
use trireme_schema::request::Target;
use trireme_schema::status::{Failure, Status};
use trireme_schema::view::{Edit, View};

use crate::failures::WriteError;
use crate::records::{Commit, ROOT, ResourceKey, encode};
use crate::scope::Scope;
use crate::service_needs::{ip_address, own_addresses, own_ports, wants_ports};
use crate::verbs::Writing;

/// Node ports, first and last.
const NODE_PORTS: std::ops::RangeInclusive<i64> = 30_000..=32_767;
/// Dry runs show port numbers behind this one, as upstream's.
const DRY_RUN_PORT: i64 = 32_768;
/// Draws of an address or port before the range counts as full.
const DRAWS: usize = 2_000;

fn is_service(scope: &Scope) -> bool {
    (scope.kind.group.as_str(), scope.kind.kind.as_str()) == ("", "Service")
}

fn addresses() -> ResourceKey {
    ResourceKey {
        group: "networking.k8s.io".to_owned(),
        resource: "ipaddresses".to_owned(),
        namespaced: false,
    }
}

fn port_key(port: i64) -> Key {
    Key::from(format!("{ROOT}~allocations/nodeports/{port}").as_str())
}

/// Gives a new Service its addresses and ports.
pub(crate) async fn for_create(
    writing: &Writing<'_>,
    object: &mut Value,
    commit: &mut Commit,
) -> Result<(), WriteError> {
    if !is_service(writing.scope) {
        return Ok(());
    }
    Plan { writing, old: None }.settle(object, commit).await
}

/// Gives a changed Service what it lacks and takes back what it no longer has.
pub(crate) async fn for_update(
    writing: &Writing<'_>,
    old: &Value,
    new: &mut Value,
    commit: &mut Commit,
) -> Result<(), WriteError> {
    if !is_service(writing.scope) || !writing.scope.info.subresource.is_empty() {
        return Ok(());
    }
    Plan { writing, old: Some(old) }.settle(new, commit).await
}

/// Takes back what a deleted Service had.
pub(crate) fn for_delete(scope: &Scope, object: &Value, commit: &mut Commit) {
    if !is_service(scope) {
        return;
    }
    for address in own_addresses(object) {
        release(commit, addresses().key("", &address));
    }
    for port in own_ports(object) {
        release(commit, port_key(port));
    }
}

/// Absent only when it was never recorded: deleting nothing changes nothing.
fn release(commit: &mut Commit, key: Key) {
    commit.operations.push(Operation::Delete { key });
}

struct Plan<'a> {
    writing: &'a Writing<'a>,
    old: Option<&'a Value>,
}

impl Plan<'_> {
    async fn settle(&self, object: &mut Value, commit: &mut Commit) -> Result<(), WriteError> {
        let (had_addresses, had_ports) = match self.old {
            Some(old) => (own_addresses(old), own_ports(old)),
            None => (Vec::new(), Vec::new()),
        };
        let external = object.at("spec").text("type") == "ExternalName";
        if !external {
            self.addresses(object, &had_addresses, commit).await?;
            self.ports(object, &had_ports, commit).await?;
        }
        let (addresses_now, ports_now) = (own_addresses(object), own_ports(object));
        for address in had_addresses.iter().filter(|address| !addresses_now.contains(address)) {
            release(commit, addresses().key("", address));
        }
        for port in had_ports.iter().filter(|port| !ports_now.contains(port)) {
            release(commit, port_key(*port));
        }
        if self.writing.scope.dry_run() {
            *commit = Commit::default();
        }
        Ok(())
    }

    async fn addresses(
        &self,
        object: &mut Value,
        had: &[String],
        commit: &mut Commit,
    ) -> Result<(), WriteError> {
        let asked = own_addresses(object);
        let headless = object.at("spec").text("clusterIP") == "None";
        let context = self.writing.context();
        let name = match object.at("metadata").text("name") {
            "" => generated_name(object.at("metadata").text("generateName"), context.suffix),
            given => given.to_owned(),
        };
        let namespace = self.writing.scope.namespace().to_owned();
        self.check_families(object)?;
        let Some(spec) = object.get_some("spec") else { return Ok(()) };
        if !headless && asked.is_empty() {
            let address = self.free_address().await?;
            spec.put("clusterIP", address.clone());
            spec.put("clusterIPs", vec![address]);
        }
        let with_selector = spec.map("selector").is_some_and(|s| !s.is_empty());
        if !spec.has("ipFamilies") {
            let wanted = spec.text("ipFamilyPolicy");
            let dual = headless && !with_selector && matches!(wanted, "" | "RequireDualStack");
            let families: Vec<&str> = if dual { vec!["IPv4", "IPv6"] } else { vec!["IPv4"] };
            spec.put("ipFamilies", families);
            spec.default("ipFamilyPolicy", if dual { "RequireDualStack" } else { "SingleStack" });
        }
        let several = spec.list("ipFamilies").len() > 1 || spec.list("clusterIPs").len() > 1;
        if !several {
            spec.default("ipFamilyPolicy", "SingleStack");
        }
        for address in own_addresses(object).iter().filter(|address| !had.contains(address)) {
            if address.parse::<std::net::IpAddr>().is_err() {
                // Validation says what is wrong with it.
                continue;
            }
            if had.is_empty() {
                self.check_address(object, address).await?;
            }
            let held = ip_address(address, &namespace, &name, self.writing);
            commit.create(addresses().key("", address), encode(&held));
        }
        Ok(())
    }

    /// This cluster has one family of addresses.
    fn check_families(&self, service: &Value) -> Result<(), WriteError> {
        let spec = service.at("spec");
        let headless = spec.text("clusterIP") == "None";
        let free = headless && spec.map("selector").is_none_or(serde_json::Map::is_empty);
        let own = if self.writing.server.config.service_cidr.is_ipv4() { "IPv4" } else { "IPv6" };
        let mut errors = ErrorList::new();
        let path = Path::new("spec");
        let (families, policy, addresses) =
            (path.child("ipFamilies"), path.child("ipFamilyPolicy"), path.child("clusterIPs"));
        // Combinations that make no sense anywhere are for validation to refuse.
        let alone = spec.list("ipFamilies").len() <= 1 && spec.list("clusterIPs").len() <= 1;
        if !free && alone {
            for (index, family) in spec.list("ipFamilies").iter().enumerate() {
                if family.as_str().is_some_and(|family| family != own && matches!(family, "IPv4" | "IPv6")) {
                    errors.invalid(&families.index(index), family, "not configured on this cluster");
                }
            }
            if spec.text("ipFamilyPolicy") == "RequireDualStack" && errors.is_empty() {
                let why = "Cluster is not configured for dual-stack services";
                errors.invalid_str(&policy, "RequireDualStack", why);
            }
        }
        for (index, address) in own_addresses(service).iter().enumerate() {
            let other =
                address.parse::<std::net::IpAddr>().is_ok_and(|parsed| parsed.is_ipv4() != (own == "IPv4"));
            if other && errors.is_empty() {
                errors.invalid_str(
                    &addresses.index(index),
                    address,
                    "may not be IPs of a family that is not configured",
                );
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(self.invalid(service, &errors).into()) }
    }

    async fn free_address(&self) -> Result<String, WriteError> {
        let server = self.writing.server;
        for _ in 0..DRAWS {
            let Some(address) = server.config.service_cidr.draw((server.config.random)()) else { break };
            let text = address.to_string();
            if server.records.get(&addresses().key("", &text)).await?.is_none() {
                return Ok(text);
            }
        }
        Err(Status::internal("failed to allocate a serviceIP: range is full").into())
    }

    async fn check_address(&self, service: &Value, address: &str) -> Result<(), WriteError> {
        let server = self.writing.server;
        let why = match address.parse() {
            Ok(parsed) if server.config.service_cidr.contains(parsed) => {
                match server.records.get(&addresses().key("", address)).await? {
                    None => return Ok(()),
                    Some(_) => "provided IP is already allocated".to_owned(),
                }
            }
            _ => format!(
                "the provided IP ({address}) is not in the valid range. The range of valid IPs is {}",
                server.config.service_cidr
            ),
        };
        let mut errors = ErrorList::new();
        let shown =
            service.at("spec").list("clusterIPs").iter().map(|v| v.to_string()).collect::<Vec<_>>().join(",");
        let path = Path::new("spec");
        errors.invalid_text(
            &path.child("clusterIPs"),
            format!("[]string{{{shown}}}"),
            format!("failed to allocate IP {address}: {why}"),
        );
        Err(self.invalid(service, &errors).into())
    }

    async fn ports(&self, object: &mut Value, had: &[i64], commit: &mut Commit) -> Result<(), WriteError> {
        let wants = wants_ports(object.at("spec"));
        let mut taken: Vec<i64> = Vec::new();
        let mut claimed: Vec<(i64, String)> = Vec::new();
        let count = object.at("spec").list("ports").len();
        for index in 0..count {
            let port = &object.at("spec").list("ports")[index];
            let asked = port.int("nodePort").unwrap_or(0);
            let protocol = port.text("protocol").to_owned();
            let same = self.sibling(object, index);
            if asked != 0 {
                if claimed.contains(&(asked, protocol.clone())) {
                    return Err(self.port_taken(object, asked, index));
                }
                claimed.push((asked, protocol));
                self.take_port(object, asked, index, had, &mut taken, commit).await?;
            } else if wants {
                let chosen = match same {
                    Some(port) => port,
                    None => self.free_port(&taken).await?,
                };
                if let Some(item) = object.get_some("spec").and_then(|spec| spec.items("ports").nth(index)) {
                    item.put("nodePort", chosen);
                }
                self.take_port(object, chosen, index, had, &mut taken, commit).await?;
            }
        }
        let spec = object.at("spec");
        let local = spec.text("type") == "LoadBalancer" && spec.text("externalTrafficPolicy") == "Local";
        if local {
            let port = match spec.int("healthCheckNodePort").unwrap_or(0) {
                0 => self.free_port(&taken).await?,
                asked => asked,
            };
            if let Some(spec) = object.get_some("spec") {
                spec.put("healthCheckNodePort", port);
            }
            self.take_port(object, port, usize::MAX, had, &mut taken, commit).await?;
        }
        Ok(())
    }

    /// A port of the same number and another protocol shares its node port.
    fn sibling(&self, object: &Value, index: usize) -> Option<i64> {
        let ports = object.at("spec").list("ports");
        let own = &ports[index];
        ports[..index]
            .iter()
            .find(|other| {
                other.int("port") == own.int("port") && other.text("protocol") != own.text("protocol")
            })
            .and_then(|other| other.int("nodePort"))
    }

    async fn take_port(
        &self,
        service: &Value,
        port: i64,
        index: usize,
        had: &[i64],
        taken: &mut Vec<i64>,
        commit: &mut Commit,
    ) -> Result<(), WriteError> {
        if taken.contains(&port) {
            return Ok(());
        }
        taken.push(port);
        if had.contains(&port) || (self.writing.scope.dry_run() && port > DRY_RUN_PORT) {
            return Ok(());
        }
        if index == usize::MAX && !NODE_PORTS.contains(&port) {
            return Err(Status::internal(&format!(
                "failed to allocate requested HealthCheck NodePort {port}: provided port is not in the valid range. \
                 The range of valid ports is {}-{}",
                NODE_PORTS.start(),
                NODE_PORTS.end()
            ))
            .into());
        }
        let spec = Path::new("spec");
        let (ports, health) = (spec.child("ports"), spec.child("healthCheckNodePort"));
        let item = ports.index(index);
        let own = item.child("nodePort");
        let path = if index == usize::MAX { health } else { own };
        let mut errors = ErrorList::new();
        if !NODE_PORTS.contains(&port) {
            errors.invalid_text(
                &path,
                port.to_string(),
                format!(
                    "provided port is not in the valid range. The range of valid ports is {}-{}",
                    NODE_PORTS.start(),
                    NODE_PORTS.end()
                ),
            );
        } else if self.port_is_taken(port).await? {
            errors.invalid_text(&path, port.to_string(), "provided port is already allocated");
        }
        if !errors.is_empty() {
            return Err(self.invalid(service, &errors).into());
        }
        let owner =
            json!({"namespace": self.writing.scope.namespace(), "name": service.at("metadata").text("name")});
        commit.create(port_key(port), owner.to_string().into());
        Ok(())
    }

    fn port_taken(&self, service: &Value, port: i64, index: usize) -> WriteError {
        let (spec, mut errors) = (Path::new("spec"), ErrorList::new());
        let ports = spec.child("ports");
        let item = ports.index(index);
        errors.invalid_text(&item.child("nodePort"), port.to_string(), "provided port is already allocated");
        self.invalid(service, &errors).into()
    }

    async fn port_is_taken(&self, port: i64) -> Result<bool, WriteError> {
        let key = port_key(port);
        Ok(self.writing.server.records.exists(&key).await?)
    }

    async fn free_port(&self, taken: &[i64]) -> Result<i64, WriteError> {
        let server = self.writing.server;
        if self.writing.scope.dry_run() {
            // Nothing is allocated: a number behind the range stands for one.
            let last = taken.iter().copied().max().unwrap_or(DRY_RUN_PORT);
            return Ok(last.max(DRY_RUN_PORT) + 1);
        }
        let span = u64::try_from(NODE_PORTS.end() - NODE_PORTS.start() + 1).unwrap_or(1);
        for _ in 0..DRAWS {
            let step = i64::try_from((server.config.random)() % span).unwrap_or(0);
            let port = NODE_PORTS.start() + step;
            if !taken.contains(&port) && !self.port_is_taken(port).await? {
                return Ok(port);
            }
        }
        Err(Status::internal("failed to allocate a nodePort: range is full").into())
    }

    fn invalid(&self, service: &Value, errors: &ErrorList) -> Failure {
        let target: Target<'_> = self.writing.scope.kind.rules.target();
        Status::invalid(target.group, target.kind, service.at("metadata").text("name"), errors)
    }
}
