//! Validation of probes and lifecycle hooks.

use serde_json::Value;

use super::util::{complain, not_negative};
use crate::field::{ErrorList, Path};
use crate::int_or_string::IntOrString;
use crate::names;
use crate::view::View;

/// A port of a handler: a number in range or a port's name.
pub(super) fn port(value: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    match IntOrString::of(value) {
        Some(IntOrString::Text(name)) => complain(path, name, names::check_port_name(name), errors),
        Some(IntOrString::Int(number)) => {
            if let Some(text) = names::check_port_number(number) {
                errors.invalid(path, value, text);
            }
        }
        None => {}
    }
}

pub(super) fn handler(owner: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let mut found = 0;
    for name in ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] {
        if !owner.has(name) {
            continue;
        }
        let at = path.child(name);
        found += 1;
        if found > 1 {
            errors.forbidden(&at, "may not specify more than 1 handler type");
            continue;
        }
        let inner = owner.at(name);
        match name {
            "exec" => {
                if inner.list("command").is_empty() {
                    errors.required(&at.child("command"), "");
                }
            }
            "httpGet" => {
                if inner.text("path").is_empty() {
                    errors.required(&at.child("path"), "");
                }
                port(inner.at("port"), &at.child("port"), errors);
                if !matches!(inner.text("scheme"), "HTTP" | "HTTPS") {
                    errors.not_supported(&at.child("scheme"), inner.text("scheme"), &["HTTP", "HTTPS"]);
                }
                for header in inner.list("httpHeaders") {
                    let name = header.text("name");
                    complain(&at.child("httpHeaders"), name, names::check_http_header_name(name), errors);
                }
            }
            "tcpSocket" | "grpc" => port(inner.at("port"), &at.child("port"), errors),
            _ => {}
        }
    }
    if found == 0 {
        errors.required(path, "must specify a handler type");
    }
}

pub(super) fn lifecycle(lifecycle: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    for hook in ["postStart", "preStop"] {
        if lifecycle.has(hook) {
            handler(lifecycle.at(hook), &path.child(hook), errors);
        }
    }
}

pub(super) fn probes(container: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let probe = container.at(name);
        if probe.is_null() {
            continue;
        }
        let at = path.child(name);
        handler(probe, &at, errors);
        for field in
            ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"]
        {
            not_negative(probe, field, &at, errors);
        }
        if let Some(grace) = probe.int("terminationGracePeriodSeconds") {
            let field = at.child("terminationGracePeriodSeconds");
            let value = probe.at("terminationGracePeriodSeconds");
            if name == "readinessProbe" {
                errors.invalid(&field, value, "must not be set for readinessProbes");
            } else if grace <= 0 {
                errors.invalid(&field, value, "must be greater than 0");
            }
        }
        if name != "readinessProbe" && probe.int("successThreshold").is_some_and(|t| t != 1) {
            errors.invalid(&at.child("successThreshold"), probe.at("successThreshold"), "must be 1");
        }
    }
}
