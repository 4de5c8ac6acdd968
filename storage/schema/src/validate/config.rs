//! Validation of ConfigMap and Secret.

use serde_json::Value;

use super::util::IMMUTABLE;
use crate::field::{ErrorList, Path};
use crate::limits::CONFIG_DATA_BYTES;
use crate::names;
use crate::view::{View, same};

fn keys(object: &Value, field: &str, errors: &mut ErrorList) -> usize {
    let path = Path::new(field);
    let mut total_bytes = 0;
    for (key, value) in object.map(field).into_iter().flatten() {
        super::util::complain(&path.key(key), key, names::check_config_key(key), errors);
        let text = value.as_str().unwrap_or("");
        total_bytes += if field == "data" && object.text("kind") == "ConfigMap" {
            text.len()
        } else {
            text.len() / 4 * 3
        };
    }
    total_bytes
}

pub(super) fn config_map(object: &Value, errors: &mut ErrorList) {
    let mut total_bytes = keys(object, "data", errors);
    let path = Path::new("data");
    for key in object.map("data").into_iter().flatten().map(|(k, _)| k) {
        if object.map("binaryData").is_some_and(|b| b.contains_key(key)) {
            errors.invalid_str(&path.key(key), key, "duplicate of key present in binaryData");
        }
    }
    total_bytes += keys(object, "binaryData", errors);
    if total_bytes > CONFIG_DATA_BYTES {
        errors.too_long(&Path::new("[]"), CONFIG_DATA_BYTES);
    }
}

fn frozen(old: &Value, new: &Value, fields: &[&str], errors: &mut ErrorList) {
    const TEXT: &str = "field is immutable when `immutable` is set";
    if !old.is_true("immutable") {
        return;
    }
    if !new.is_true("immutable") {
        errors.forbidden(&Path::new("immutable"), TEXT);
    }
    for field in fields {
        if !same(old.at(field), new.at(field)) {
            errors.forbidden(&Path::new(field), TEXT);
        }
    }
}

pub(super) fn config_map_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    frozen(old, new, &["data", "binaryData"], errors);
}

pub(super) fn secret_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    if old.text("type") != new.text("type") {
        errors.invalid(&Path::new("type"), new.at("type"), IMMUTABLE);
    }
    frozen(old, new, &["data"], errors);
}

pub(super) fn secret(object: &Value, errors: &mut ErrorList) {
    let path = Path::new("data");
    if keys(object, "data", errors) > CONFIG_DATA_BYTES {
        errors.too_long(&path, CONFIG_DATA_BYTES);
    }
    let has = |key: &str| object.map("data").is_some_and(|d| d.contains_key(key));
    let mut need = |key: &str| {
        if !has(key) {
            errors.required(&path.key(key), "");
        }
    };
    match object.text("type") {
        "kubernetes.io/tls" => ["tls.crt", "tls.key"].into_iter().for_each(&mut need),
        "kubernetes.io/ssh-auth" => need("ssh-privatekey"),
        "kubernetes.io/basic-auth" => {
            if !has("username") && !has("password") {
                need("username");
                need("password");
            }
        }
        "kubernetes.io/dockercfg" => docker(object, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => docker(object, ".dockerconfigjson", errors),
        "kubernetes.io/service-account-token" => {
            let name = "kubernetes.io/service-account.name";
            if object.at("metadata").at("annotations").text(name).is_empty() {
                let annotations = Path::new("metadata");
                let annotations = annotations.child("annotations");
                errors.required(&annotations.key(name), "");
            }
        }
        _ => {}
    }
}

fn docker(object: &Value, key: &str, errors: &mut ErrorList) {
    let path = Path::new("data");
    match object.at("data").at(key).as_str() {
        None => errors.required(&path.key(key), ""),
        Some(text) => {
            if let Err(error) = crate::json::parse(&decode_base64(text)) {
                errors.invalid_str(&path.key(key), "<secret contents redacted>", error.to_string());
            }
        }
    }
}

/// Bytes of a checked base64 text.
pub(super) fn decode_base64(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0u32, 0u32);
    for c in text.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        word = (word << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((word >> bits & 0xff) as u8);
        }
    }
    out
}
