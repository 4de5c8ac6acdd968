//! Validation of Ingress, NetworkPolicy, EndpointSlice and Endpoints.

use serde_json::Value;

use super::probe::port as port_or_name;
use super::util::{IMMUTABLE, complain, label_selector, parse_cidr, parse_ip, required, strings};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

const SPEC: Path<'static> = Path::new("spec");

pub(super) fn ingress(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    if spec.list("rules").is_empty() && !spec.has("defaultBackend") {
        errors.invalid(&SPEC, spec, "either `defaultBackend` or `rules` must be specified");
    }
    if spec.has("defaultBackend") {
        backend(spec.at("defaultBackend"), &SPEC.child("defaultBackend"), errors);
    }
    let rules = SPEC.child("rules");
    for (i, rule) in spec.list("rules").iter().enumerate() {
        let at = rules.index(i);
        host(rule.text("host"), &at.child("host"), errors);
        let http = at.child("http");
        let paths = http.child("paths");
        if rule.has("http") && rule.at("http").list("paths").is_empty() {
            errors.required(&paths, "");
        }
        for (j, path) in rule.at("http").list("paths").iter().enumerate() {
            http_path(path, &paths.index(j), errors);
        }
    }
    let list = SPEC.child("tls");
    for (i, tls) in spec.list("tls").iter().enumerate() {
        let item = list.index(i);
        let hosts = item.child("hosts");
        for (j, name) in strings(tls.list("hosts")).iter().enumerate() {
            let rule = if name.contains('*') {
                names::check_wildcard_subdomain
            } else {
                names::check_dns1123_subdomain
            };
            complain(&hosts.index(j), name, rule(name), errors);
        }
        let secret = tls.text("secretName");
        if !secret.is_empty() {
            complain(&item.child("secretName"), secret, names::check_dns1123_subdomain(secret), errors);
        }
    }
    let class = spec.text("ingressClassName");
    if spec.has("ingressClassName") {
        complain(&SPEC.child("ingressClassName"), class, names::check_dns1123_subdomain(class), errors);
    }
}

fn host(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if name.is_empty() {
        return;
    }
    if parse_ip(name).is_some() {
        errors.invalid_str(path, name, "must be a DNS name, not an IP address");
    } else if name.contains('*') {
        complain(path, name, names::check_wildcard_subdomain(name), errors);
    } else {
        complain(path, name, names::check_dns1123_subdomain(name), errors);
    }
}

fn http_path(path: &Value, at: &Path<'_>, errors: &mut ErrorList) {
    let value = path.text("path");
    match path.text("pathType") {
        "Exact" | "Prefix" => {
            if !value.starts_with('/') {
                errors.invalid_str(&at.child("path"), value, "must be an absolute path");
            }
            for bad in ["//", "/./", "/../", "%2f", "%2F"] {
                if value.contains(bad) {
                    errors.invalid_str(&at.child("path"), value, format!("must not contain '{bad}'"));
                }
            }
            for bad in ["/..", "/."] {
                if value.ends_with(bad) {
                    errors.invalid_str(&at.child("path"), value, format!("cannot end with '{bad}'"));
                }
            }
        }
        "ImplementationSpecific" => {
            if !value.is_empty() && !value.starts_with('/') {
                errors.invalid_str(&at.child("path"), value, "must be an absolute path");
            }
        }
        _ if !path.has("pathType") => errors.required(&at.child("pathType"), "pathType must be specified"),
        other => {
            let choices = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.not_supported(&at.child("pathType"), other, &choices);
        }
    }
    backend(path.at("backend"), &at.child("backend"), errors);
}

fn backend(backend: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    match (backend.has("service"), backend.has("resource")) {
        (true, true) => errors.invalid_str(path, "", "cannot set both resource and service backends"),
        (false, false) => errors.invalid_str(path, "", "resource or service backend is required"),
        (false, true) => {
            let at = path.child("resource");
            for name in ["kind", "name"] {
                required(backend.at("resource"), name, &at, errors);
            }
        }
        (true, false) => {
            let service = backend.at("service");
            let at = path.child("service");
            let name = service.text("name");
            if name.is_empty() {
                errors.required(&at.child("name"), "");
            } else {
                complain(&at.child("name"), name, names::check_dns1035_label(name), errors);
            }
            let port = service.at("port");
            let place = at.child("port");
            match (port.text("name"), port.int("number").unwrap_or(0)) {
                ("", 0) => errors.required(path, "port name or number is required"),
                ("", number) => {
                    if let Some(text) = names::check_port_number(number) {
                        errors.invalid(&place.child("number"), port.at("number"), text);
                    }
                }
                (name, 0) => complain(&place.child("name"), name, names::check_port_name(name), errors),
                _ => errors.invalid_str(path, "", "cannot set both port name & port number"),
            }
        }
    }
}

pub(super) fn ingress_class(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    let controller = spec.text("controller");
    let path = SPEC.child("controller");
    if controller.is_empty() {
        errors.required(&path, "");
    } else {
        if controller.len() > 250 {
            errors.too_long(&path, 250);
        }
        complain(&path, controller, names::check_domain_prefixed_path(controller), errors);
    }
    let parameters = spec.at("parameters");
    if parameters.is_null() {
        return;
    }
    let path = SPEC.child("parameters");
    for name in ["kind", "name"] {
        if parameters.text(name).is_empty() {
            errors.required(&path.child(name), format!("{name} is required"));
        }
    }
    let namespace = parameters.text("namespace");
    match parameters.text("scope") {
        "Namespace" => {
            if namespace.is_empty() {
                errors.required(&path.child("namespace"), "`parameters.scope` is set to 'Namespace'");
            } else {
                complain(&path.child("namespace"), namespace, names::check_dns1123_label(namespace), errors);
            }
        }
        "Cluster" => {
            if parameters.has("namespace") {
                errors.forbidden(&path.child("namespace"), "`parameters.scope` is set to 'Cluster'");
            }
        }
        other => errors.not_supported(&path.child("scope"), other, &["Cluster", "Namespace"]),
    }
}

pub(super) fn ingress_class_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if old.at("spec").at("controller") != new.at("spec").at("controller") {
        errors.invalid(&SPEC.child("controller"), new.at("spec").at("controller"), IMMUTABLE);
    }
}

pub(super) fn network_policy(object: &Value, errors: &mut ErrorList) {
    let spec = object.at("spec");
    label_selector(spec.at("podSelector"), &SPEC.child("podSelector"), errors);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        let list = SPEC.child(direction);
        for (i, rule) in spec.list(direction).iter().enumerate() {
            let at = list.index(i);
            let ports = at.child("ports");
            for (j, port) in rule.list("ports").iter().enumerate() {
                policy_port(port, &ports.index(j), errors);
            }
            let all = at.child(peers);
            for (j, peer) in rule.list(peers).iter().enumerate() {
                policy_peer(peer, &all.index(j), errors);
            }
        }
    }
    let types = SPEC.child("policyTypes");
    let list = strings(spec.list("policyTypes"));
    if list.len() > 2 {
        errors.invalid_text(&types, "[]networking.PolicyType", "may not specify more than two policyTypes");
        return;
    }
    for (i, kind) in list.iter().enumerate() {
        if !matches!(*kind, "Ingress" | "Egress") {
            errors.not_supported(&types.index(i), kind, &["Ingress", "Egress"]);
        }
    }
}

fn policy_port(port: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let kind = port.text("protocol");
    if port.has("protocol") && !matches!(kind, "TCP" | "UDP" | "SCTP") {
        errors.not_supported(&path.child("protocol"), kind, &["TCP", "UDP", "SCTP"]);
    }
    let value = port.at("port");
    let end = port.at("endPort");
    if !value.is_null() {
        port_or_name(value, &path.child("port"), errors);
    }
    let Some(last) = end.as_i64() else { return };
    match value.as_i64() {
        Some(first) => {
            if last < first {
                errors.invalid(&path.child("endPort"), value, "must be greater than or equal to `port`");
            }
            if let Some(text) = names::check_port_number(last) {
                errors.invalid(&path.child("endPort"), end, text);
            }
        }
        None if value.is_null() => {
            errors.invalid(&path.child("endPort"), end, "may not be specified when `port` is not specified");
        }
        None => {
            errors.invalid(&path.child("endPort"), end, "may not be specified when `port` is non-numeric")
        }
    }
}

fn policy_peer(peer: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let mut peers = 0;
    for name in ["podSelector", "namespaceSelector"] {
        if peer.has(name) {
            peers += 1;
            label_selector(peer.at(name), &path.child(name), errors);
        }
    }
    let block = peer.at("ipBlock");
    if !block.is_null() {
        let at = path.child("ipBlock");
        ip_block(block, &at, errors);
        if peers > 0 {
            errors.forbidden(path, "may not specify both ipBlock and another peer");
        }
    } else if peers == 0 {
        errors.required(path, "must specify a peer");
    }
}

fn ip_block(block: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let text = block.text("cidr");
    if text.is_empty() {
        errors.required(&path.child("cidr"), "");
        return;
    }
    let Some(outer) = parse_cidr(text) else {
        errors.invalid_str(&path.child("cidr"), text, "not a valid CIDR");
        return;
    };
    let list = path.child("except");
    for (i, except) in strings(block.list("except")).iter().enumerate() {
        match parse_cidr(except) {
            None => errors.invalid_str(&list.index(i), except, "not a valid CIDR"),
            Some(inner) if !strictly_inside(inner, outer) => {
                errors.invalid_str(&list.index(i), except, "must be a strict subset of `cidr`");
            }
            Some(_) => {}
        }
    }
}

fn strictly_inside(inner: (core::net::IpAddr, u8), outer: (core::net::IpAddr, u8)) -> bool {
    use core::net::IpAddr::{V4, V6};
    let (a, b, width) = match (inner.0, outer.0) {
        (V4(a), V4(b)) => (u128::from(u32::from(a)), u128::from(u32::from(b)), 32),
        (V6(a), V6(b)) => (u128::from(a), u128::from(b), 128),
        _ => return false,
    };
    let shift = width - u32::from(outer.1);
    let same_net = shift >= 128 || a >> shift == b >> shift;
    inner.1 > outer.1 && same_net
}
