//! What the mirror of an Endpoints object is.

use core::net::IpAddr;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use trireme_schema::view::{Edit, View};

use super::ADDRESSES_PER_SUBSET;
use crate::endpoint_slice::{MANAGED_BY, PortsKey, SERVICE_NAME, TRIGGER_TIME, ports_key};
use crate::owner::controller_reference;

/// What this controller writes into the label of who looks after a slice.
pub(super) const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Family and ports of a slice.
pub(super) type Place = (&'static str, PortsKey);

/// The mirror of an Endpoints object.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    /// Ports and endpoints of each slice.
    pub(super) slices: BTreeMap<Place, (Vec<Value>, BTreeMap<String, Value>)>,
    /// Addresses that are none.
    pub(super) invalid: usize,
    /// Addresses beyond what one subset's mirror holds.
    pub(super) surplus: usize,
}

impl Mirror {
    /// Of an Endpoints object.
    pub(super) fn of(endpoints: &Value) -> Self {
        let mut mirror = Self::default();
        for subset in endpoints.list("subsets") {
            mirror.add(subset);
        }
        mirror.slices.retain(|_, (_, endpoints)| !endpoints.is_empty());
        mirror
    }

    fn add(&mut self, subset: &Value) {
        let ports: Vec<Value> = subset.list("ports").iter().map(port).collect();
        let key = ports_key(&ports);
        let ready = subset.list("addresses").iter().map(|address| (address, true));
        let all = ready.chain(subset.list("notReadyAddresses").iter().map(|address| (address, false)));
        let mut added = 0;
        for (address, ready) in all {
            if added >= ADDRESSES_PER_SUBSET {
                self.surplus += 1;
                continue;
            }
            let Ok(ip) = address.text("ip").parse::<IpAddr>() else {
                self.invalid += 1;
                continue;
            };
            added += 1;
            let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
            let (_, endpoints) =
                self.slices.entry((family, key.clone())).or_insert_with(|| (ports.clone(), BTreeMap::new()));
            let endpoint = endpoint(address, &ip, ready);
            let target = address.at("targetRef");
            let identity = format!(
                "{ip}|{}|{}|{}",
                address.text("hostname"),
                target.text("namespace"),
                target.text("name")
            );
            endpoints.insert(identity, endpoint);
        }
    }
}

fn port(port: &Value) -> Value {
    let mut out =
        json!({"name": port.text("name"), "port": port.at("port"), "protocol": port.text("protocol")});
    if port.has("appProtocol") {
        out.put("appProtocol", port.at("appProtocol").clone());
    }
    out
}

fn endpoint(address: &Value, ip: &IpAddr, ready: bool) -> Value {
    let mut out = json!({"addresses": [ip.to_string()], "conditions": {"ready": ready}});
    for name in ["targetRef", "nodeName", "hostname"] {
        if address.has(name) {
            out.put(name, address.at(name).clone());
        }
    }
    out
}

/// Labels of the slices: those of the Endpoints and the controller's own.
pub(super) fn labels(endpoints: &Value) -> Map<String, Value> {
    let mut labels = endpoints.at("metadata").map("labels").cloned().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), endpoints.at("metadata").text("name").into());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    labels
}

/// Annotations of the slices: those of the Endpoints, but for what is about the Endpoints only.
pub(super) fn annotations(endpoints: &Value) -> Map<String, Value> {
    let mut annotations = endpoints.at("metadata").map("annotations").cloned().unwrap_or_default();
    annotations.retain(|name, _| !matches!(name.as_str(), TRIGGER_TIME | LAST_APPLIED));
    annotations
}

/// A slice without a name.
pub(super) fn slice(endpoints: &Value, family: &str, ports: &[Value], list: Vec<Value>) -> Value {
    let mut metadata = json!({
        "namespace": endpoints.at("metadata").text("namespace"), "labels": labels(endpoints),
        "ownerReferences": [controller_reference("v1", "Endpoints", endpoints)],
    });
    let annotations = annotations(endpoints);
    if !annotations.is_empty() {
        metadata.put("annotations", annotations);
    }
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": family, "endpoints": list, "ports": ports,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_part_and_what_is_no_address_is_counted() {
        let mut addresses: Vec<Value> =
            (0..1100).map(|n| json!({"ip": format!("10.1.{}.{}", n / 250, n % 250)})).collect();
        addresses.insert(0, json!({"ip": "fd::1", "nodeName": "n"}));
        addresses.insert(0, json!({"ip": "nonsense"}));
        let endpoints = json!({"subsets": [
            {"addresses": addresses, "ports": [{"port": 80, "protocol": "TCP"}]},
            {"notReadyAddresses": [{"ip": "10.9.9.9"}], "ports": [{"port": 81, "protocol": "TCP"}]},
        ]});
        let mirror = Mirror::of(&endpoints);
        assert_eq!((mirror.slices.len(), mirror.invalid, mirror.surplus), (3, 1, 101));
        let total: usize = mirror.slices.values().map(|(_, endpoints)| endpoints.len()).sum();
        assert_eq!(total, 1001);
        let late = mirror.slices.values().find(|(ports, _)| ports[0]["port"] == 81).unwrap();
        assert_eq!(late.1.values().next().unwrap()["conditions"]["ready"], false);
    }
}
