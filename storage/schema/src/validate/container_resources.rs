//! Validation of requests and limits.

use serde_json::Value;

use super::util::{complain, quantity};
use crate::Quantity;
use crate::field::{ErrorList, Path};
use crate::names;
use crate::view::View;

fn standard(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

fn native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource name of a container and its amount.
fn resource(name: &str, value: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    complain(path, name, names::check_qualified_name(name), errors);
    if !name.contains('/') {
        let known = standard(name) || matches!(name, "storage" | "pods" | "services");
        if !known && names::check_qualified_name(name).is_empty() {
            errors.invalid_str(path, name, "must be a standard resource type or fully qualified");
        }
        if !standard(name) {
            errors.invalid_str(path, name, "must be a standard resource for containers");
        }
    }
    let Some(amount) = quantity(value) else { return };
    if amount.is_negative() {
        errors.invalid(path, value, super::util::NOT_NEGATIVE);
    }
    if name.contains('/') && !amount.is_exact_at(0) {
        errors.invalid_text(path, "resource.Quantity", "must be an integer");
    }
    if let Some(size) = name.strip_prefix("hugepages-").and_then(|s| s.parse::<Quantity>().ok()) {
        let (size, total) = (size.value(), amount.value());
        if size > 0 && total % size != 0 {
            let text = format!("{} is not positive integer multiple of {name}", amount.canonical());
            errors.invalid(path, value, text);
        }
    }
}

pub(super) fn resources(resources: &Value, path: &Path<'_>, errors: &mut ErrorList) {
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    let (mut huge, mut plain) = (false, false);
    for (name, value) in resources.map("limits").into_iter().flatten() {
        resource(name, value, &limits_path.key(name), errors);
        huge |= name.starts_with("hugepages-");
        plain |= matches!(name.as_str(), "cpu" | "memory");
    }
    for (name, value) in resources.map("requests").into_iter().flatten() {
        resource(name, value, &requests_path.key(name), errors);
        huge |= name.starts_with("hugepages-");
        plain |= matches!(name.as_str(), "cpu" | "memory");
        let overcommit = native(name) && !name.starts_with("hugepages-");
        let limit = resources.at("limits").at(name);
        match (quantity(value), quantity(limit)) {
            (Some(request), Some(limit_amount)) => {
                if request > limit_amount && overcommit {
                    let text =
                        format!("must be less than or equal to {name} limit of {}", limit_amount.canonical());
                    errors.invalid(&requests_path, value, text);
                } else if request != limit_amount && !overcommit {
                    let text = format!("must be equal to {name} limit of {}", limit_amount.canonical());
                    errors.invalid(&requests_path, value, text);
                }
            }
            (Some(_), None) if !overcommit => {
                errors.required(&limits_path, "Limit must be set for non overcommitable resources");
            }
            _ => {}
        }
    }
    if huge && !plain {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
}
