//! Least and most amounts, and how far limits may exceed requests.

use serde_json::Value;
use trireme_schema::Quantity;
use trireme_schema::view::View;

use crate::resources::{Amounts, Side, amounts, of_pod as pod_amounts};

/// Largest value that upstream compares in thousandths.
const MAX_IN_MILLI: i64 = i64::MAX / 1000;

/// What a pod exceeds or falls short of.
pub(super) fn of_pod(pod: &Value, range: &Value) -> Vec<String> {
    let mut reasons = Vec::new();
    let spec = pod.at("spec");
    for limit in range.at("spec").list("limits") {
        match limit.text("type") {
            "Container" => {
                for container in spec.list("containers").iter().chain(spec.list("initContainers")) {
                    let resources = container.at("resources");
                    let held = (amounts(resources.at("requests")), amounts(resources.at("limits")));
                    judge("Container", limit, &held, &mut reasons);
                }
            }
            "Pod" => {
                let held = (pod_amounts(pod, Side::Requests), pod_amounts(pod, Side::Limits));
                judge("Pod", limit, &held, &mut reasons);
            }
            _ => {}
        }
    }
    reasons
}

/// What a claim exceeds or falls short of.
pub(super) fn of_claim(claim: &Value, range: &Value) -> Vec<String> {
    const WHAT: &str = "PersistentVolumeClaim";
    let mut reasons = Vec::new();
    let requests = amounts(claim.below(&["spec", "resources", "requests"]));
    for limit in range.at("spec").list("limits").iter().filter(|limit| limit.text("type") == WHAT) {
        for (name, bound) in amounts(limit.at("min")) {
            reasons.extend(below(WHAT, &name, bound, &requests, &Amounts::new()));
        }
        for (name, bound) in amounts(limit.at("max")) {
            let request = requests.get(&name);
            if request.is_none_or(|request| exceeds(*request, bound)) {
                let given = request
                    .map_or(".  No request is specified".to_owned(), |q| format!(", but request is {q}"));
                reasons.push(format!("maximum {name} usage per {WHAT} is {bound}{given}"));
            }
        }
    }
    reasons
}

fn judge(what: &str, limit: &Value, (requests, limits): &(Amounts, Amounts), reasons: &mut Vec<String>) {
    for (name, bound) in amounts(limit.at("min")) {
        reasons.extend(below(what, &name, bound, requests, limits));
    }
    for (name, bound) in amounts(limit.at("max")) {
        reasons.extend(above(what, &name, bound, requests, limits));
    }
    for (name, bound) in amounts(limit.at("maxLimitRequestRatio")) {
        reasons.extend(ratio(what, &name, bound, requests, limits));
    }
}

fn below(what: &str, name: &str, bound: Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let start = format!("minimum {name} usage per {what} is {bound}");
    let Some(&request) = requests.get(name) else {
        return Some(format!("{start}.  No request is specified"));
    };
    if exceeds(bound, request) {
        return Some(format!("{start}, but request is {request}"));
    }
    let limit = limits.get(name).filter(|limit| exceeds(bound, **limit))?;
    Some(format!("{start}, but limit is {limit}"))
}

fn above(what: &str, name: &str, bound: Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let start = format!("maximum {name} usage per {what} is {bound}");
    let Some(&limit) = limits.get(name) else { return Some(format!("{start}.  No limit is specified")) };
    if exceeds(limit, bound) {
        return Some(format!("{start}, but limit is {limit}"));
    }
    let request = requests.get(name).filter(|request| exceeds(**request, bound))?;
    Some(format!("{start}, but request is {request}"))
}

/// Compares thousandths where they fit, whole units (rounded up) otherwise.
fn exceeds(a: Quantity, b: Quantity) -> bool {
    if a.value() <= MAX_IN_MILLI && b.value() <= MAX_IN_MILLI {
        a.milli_value() > b.milli_value()
    } else {
        a.value() > b.value()
    }
}

#[expect(clippy::cast_precision_loss, reason = "upstream divides as floating point numbers, and prints them")]
fn ratio(what: &str, name: &str, bound: Quantity, requests: &Amounts, limits: &Amounts) -> Option<String> {
    let start = format!("{name} max limit to request ratio per {what} is {bound}");
    let amount = |list: &Amounts| list.get(name).copied().filter(|amount| !amount.is_zero());
    let Some(request) = amount(requests) else {
        return Some(format!("{start}, but no request is specified or request is 0"));
    };
    let Some(limit) = amount(limits) else {
        return Some(format!("{start}, but no limit is specified or limit is 0"));
    };
    let fine = [request, limit, bound].iter().all(|amount| amount.value() <= MAX_IN_MILLI);
    let number = |amount: Quantity| if fine { amount.milli_value() } else { amount.value() } as f64;
    let observed = number(limit) / number(request);
    let (scaled, most) = if bound.value() <= MAX_IN_MILLI {
        (observed * 1000.0, bound.milli_value() as f64)
    } else {
        (observed, bound.value() as f64)
    };
    (scaled > most).then(|| format!("{start}, but provided ratio is {observed:.6}"))
}
