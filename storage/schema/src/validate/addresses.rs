//! Validation of the cluster's address bookkeeping: IPAddress, ServiceCIDR.

use serde_json::Value;

use super::util::{IMMUTABLE, complain, parse_cidr, parse_ip, required};
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::{View, same};

const SPEC: Path<'static> = Path::new("spec");

/// An IPAddress: its name is an address in canonical form, its parent a namespaced reference.
pub(super) fn ip_address(object: &Value, errors: &mut ErrorList) {
    let name = object.at("metadata").text("name");
    let canonical = parse_ip(name).is_some_and(|ip| ip.to_string() == name);
    if !name.is_empty() && !canonical {
        let why = if parse_ip(name).is_some() {
            "not a valid IP address in canonical format"
        } else {
            "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        };
        errors.invalid_str(&Path::new("metadata").child("name"), name, why);
    }
    let parent = object.at("spec").at("parentRef");
    let at = SPEC.child("parentRef");
    if parent.is_null() {
        errors.required(&at, "");
        return;
    }
    let group = parent.text("group");
    if !group.is_empty() {
        complain(&at.child("group"), group, names::check_dns1123_subdomain(group), errors);
    }
    for (field, needed) in [("resource", true), ("name", true), ("namespace", false)] {
        let value = parent.text(field);
        if needed && !required(parent, field, &at, errors) {
            continue;
        }
        if !value.is_empty() {
            complain(&at.child(field), value, names::check_path_segment(value, false), errors);
        }
    }
}

pub(super) fn ip_address_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec").at("parentRef"), new.at("spec").at("parentRef"));
    if !same(before, after) {
        errors.invalid(&SPEC.child("parentRef"), after, IMMUTABLE);
    }
}

/// A ServiceCIDR: one block per family, two at most, in canonical form.
pub(super) fn service_cidr(object: &Value, errors: &mut ErrorList) {
    let blocks = object.at("spec").list("cidrs");
    let list = SPEC.child("cidrs");
    if blocks.is_empty() {
        errors.required(&list, "at least one CIDR required");
        return;
    }
    if blocks.len() > 2 {
        errors.invalid(&list, object.at("spec").at("cidrs"), "may only hold up to 2 values");
        return;
    }
    let mut families = Vec::new();
    for (i, block) in blocks.iter().enumerate() {
        let text = block.as_str().unwrap_or("");
        let at = list.index(i);
        let Some((address, bits)) = parse_cidr(text) else {
            let why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
            errors.invalid_str(&at, text, why);
            continue;
        };
        families.push(address.is_ipv4());
        if format!("{address}/{bits}") != text || !is_network(address, bits) {
            errors.invalid_str(&at, text, "must be in canonical form");
        }
    }
    if families.len() == 2 && families[0] == families[1] {
        let why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.invalid(&list, object.at("spec").at("cidrs"), why);
    }
}

/// No bit beyond the prefix is set.
fn is_network(address: core::net::IpAddr, bits: u8) -> bool {
    match address {
        core::net::IpAddr::V4(ip) => u32::from(ip).checked_shl(u32::from(bits)).unwrap_or(0) == 0,
        core::net::IpAddr::V6(ip) => u128::from(ip).checked_shl(u32::from(bits)).unwrap_or(0) == 0,
    }
}

/// A second family may be added; what is there stays.
pub(super) fn service_cidr_update(old: &Value, new: &Value, errors: &mut ErrorList) {
    let (before, after) = (old.at("spec").list("cidrs"), new.at("spec").list("cidrs"));
    if before == after {
        return;
    }
    let list = SPEC.child("cidrs");
    match (before, after) {
        ([kept], [first, _]) if kept == first => {}
        ([_], [first, _]) => errors.invalid(&list.index(0), first, IMMUTABLE),
        _ => errors.invalid(&list, new.at("spec").at("cidrs"), IMMUTABLE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(check: fn(&Value, &mut ErrorList), object: Value) -> Vec<String> {
        let mut errors = ErrorList::new();
        check(&object, &mut errors);
        errors.iter().map(crate::field::FieldError::message).collect()
    }

    #[test]
    fn blocks() {
        let of = |cidrs: Value| found(service_cidr, json!({"spec":{"cidrs":cidrs}}));
        assert_eq!(of(json!(["10.0.0.0/24", "2001:db8::/64"])), [""; 0]);
        assert_eq!(of(json!([])), ["spec.cidrs: Required value: at least one CIDR required"]);
        assert!(of(json!(["10.0.0.1/24"]))[0].ends_with("must be in canonical form"));
        assert!(
            of(json!(["10.0.0.0/24", "10.1.0.0/24"]))[0].contains("no more than one IP for each IP family")
        );
        assert!(of(json!(["x"]))[0].contains("must be a valid CIDR value"));
    }

    #[test]
    fn addresses() {
        let parent = json!({"parentRef":{"resource":"services","name":"a","namespace":"b"}});
        let of = |name: &str| found(ip_address, json!({"metadata":{"name":name},"spec":parent}));
        assert_eq!(of("10.0.0.1"), [""; 0]);
        assert!(of("2001:DB8::1")[0].ends_with("not a valid IP address in canonical format"));
        let bare = found(ip_address, json!({"metadata":{"name":"10.0.0.1"},"spec":{}}));
        assert_eq!(bare, ["spec.parentRef: Required value"]);
    }
}
