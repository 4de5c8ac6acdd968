//! Validation of Endpoints and EndpointSlices.

use serde_json::Value;

use super::service::protocol;
use super::util::{IMMUTABLE, complain, parse_ip, strings};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{View, same};

pub(super) fn slice(object: &Value, errors: &mut ErrorList) {
    let kind = object.text("addressType");
    let path = Path::new("addressType");
    match kind {
        "IPv4" | "IPv6" | "FQDN" => {}
        "" => errors.required(&path, ""),
        other => errors.not_supported(&path, other, &["FQDN", "IPv4", "IPv6"]),
    }
    let endpoints = Path::new("endpoints");
    if object.list("endpoints").len() > 1000 {
        errors.too_many(&endpoints, object.list("endpoints").len(), 1000);
        return;
    }
    for (i, endpoint) in object.list("endpoints").iter().enumerate() {
        slice_endpoint(endpoint, kind, &endpoints.index(i), errors);
    }
    let ports = Path::new("ports");
    if object.list("ports").len() > 20_000 {
        errors.too_many(&ports, object.list("ports").len(), 20_000);
        return;
    }
    let mut seen = Vec::new();
    for (i, port) in object.list("ports").iter().enumerate() {
        let at = ports.index(i);
        let name = port.text("name");
        if !name.is_empty() {
            complain(&at.child("name"), name, names::check_dns1123_label(name), errors);
        }
        if seen.contains(&name) {
            errors.duplicate(&at.child("name"), port.at("name"));
        }
        seen.push(name);
        protocol(port, &at, errors);
        if port.has("appProtocol") {
            let application = port.text("appProtocol");
            complain(&at.child("appProtocol"), application, names::check_qualified_name(application), errors);
        }
    }
}

fn slice_endpoint(endpoint: &Value, kind: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let list = path.child("addresses");
    let addresses = strings(endpoint.list("addresses"));
    if addresses.is_empty() {
        errors.required(&list, "must contain at least 1 endpoint address");
    } else if addresses.len() > 100 {
        errors.too_many(&list, addresses.len(), 100);
    }
    for (i, address) in addresses.iter().enumerate() {
        let at = list.index(i);
        match kind {
            "IPv4" if !parse_ip(address).is_some_and(|a| a.is_ipv4()) => {
                errors.invalid_str(&at, address, "must be a valid IPv4 address");
            }
            "IPv6" if !parse_ip(address).is_some_and(|a| a.is_ipv6()) => {
                errors.invalid_str(&at, address, "must be a valid IPv6 address");
            }
            "IPv4" | "IPv6" => special_address(address, &at, errors),
            "FQDN" => complain(&at, address, names::check_dns1123_subdomain(address), errors),
            _ => {}
        }
    }
    if endpoint.has("nodeName") {
        let name = endpoint.text("nodeName");
        complain(&path.child("nodeName"), name, names::check_dns1123_subdomain(name), errors);
    }
    if endpoint.has("hostname") {
        let name = endpoint.text("hostname");
        complain(&path.child("hostname"), name, names::check_dns1123_label(name), errors);
    }
    let zones = endpoint.at("hints").list("forZones");
    if zones.len() > 8 {
        errors.too_many(&path.child("hints").child("forZones"), zones.len(), 8);
        return;
    }
    let hints = path.child("hints");
    let list = hints.child("forZones");
    let mut seen = Vec::new();
    for (i, zone) in zones.iter().enumerate() {
        let name = zone.text("name");
        complain(&list.index(i).child("name"), name, names::check_dns1123_label(name), errors);
        if seen.contains(&name) {
            errors.duplicate(&list.index(i), zone.at("name"));
        }
        seen.push(name);
    }
}

/// Addresses that no endpoint may have.
fn special_address(text: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(ip) = parse_ip(text) else { return };
    if ip.is_unspecified() {
        errors.invalid_str(path, text, format!("may not be unspecified ({text})"));
    }
    if ip.is_loopback() {
        errors.invalid_str(path, text, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    let (link_local, link_multicast) = match ip {
        core::net::IpAddr::V4(v4) => (v4.is_link_local(), v4.octets()[..3] == [224, 0, 0]),
        core::net::IpAddr::V6(v6) => {
            (v6.segments()[0] & 0xffc0 == 0xfe80, v6.segments()[0] & 0xff0f == 0xff02)
        }
    };
    if link_local {
        errors.invalid_str(path, text, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if link_multicast {
        errors.invalid_str(
            path,
            text,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        );
    }
}

pub(super) fn slice_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if !same(old.at("addressType"), new.at("addressType")) {
        errors.invalid(&Path::new("addressType"), new.at("addressType"), IMMUTABLE);
    }
}

pub(super) fn endpoints(object: &Value, errors: &mut ErrorList) {
    let subsets = Path::new("subsets");
    for (i, subset) in object.list("subsets").iter().enumerate() {
        let at = subsets.index(i);
        if subset.list("addresses").is_empty() && subset.list("notReadyAddresses").is_empty() {
            errors.required(&at, "must specify `addresses` or `notReadyAddresses`");
        }
        for name in ["addresses", "notReadyAddresses"] {
            let list = at.child(name);
            for (j, address) in subset.list(name).iter().enumerate() {
                endpoint_address(address, &list.index(j), errors);
            }
        }
        let ports = at.child("ports");
        let many = subset.list("ports").len() > 1;
        for (j, port) in subset.list("ports").iter().enumerate() {
            let at = ports.index(j);
            let name = port.text("name");
            if name.is_empty() {
                if many {
                    errors.required(&at.child("name"), "");
                }
            } else {
                complain(&at.child("name"), name, names::check_dns1123_label(name), errors);
            }
            if let Some(text) = names::check_port_number(port.int("port").unwrap_or(0)) {
                errors.invalid(&at.child("port"), port.at("port"), text);
            }
            protocol(port, &at, errors);
            if port.has("appProtocol") {
                let application = port.text("appProtocol");
                complain(
                    &at.child("appProtocol"),
                    application,
                    names::check_qualified_name(application),
                    errors,
                );
            }
        }
    }
}

fn endpoint_address(address: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let ip = address.text("ip");
    if parse_ip(ip).is_none() {
        errors.invalid_str(
            &path.child("ip"),
            ip,
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
        );
        errors.invalid_str(&path.child("ip"), ip, "must be a valid IP address");
    } else {
        special_address(ip, &path.child("ip"), errors);
    }
    let host = address.text("hostname");
    if !host.is_empty() {
        complain(&path.child("hostname"), host, names::check_dns1123_label(host), errors);
    }
    if address.has("nodeName") {
        let node = address.text("nodeName");
        complain(&path.child("nodeName"), node, names::check_dns1123_subdomain(node), errors);
    }
}
