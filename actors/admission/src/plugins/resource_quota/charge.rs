//! What a request adds to the usage of each quota it falls under, or which quota it would exceed.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::status::Failure;
use trireme_schema::view::{Edit, View};

use super::evaluator::Evaluator;
use super::scope;
use crate::config::LimitedResource;
use crate::refuse::forbidden;
use crate::request::{Operation, Request, SideWrite};
use crate::resources::{Amounts, add, amounts, only, text, to_json};

/// A quota that the request falls under.
struct Charge<'a> {
    quota: &'a Value,
    /// The names in it that are about such objects.
    names: Vec<String>,
    delta: Amounts,
}

/// The quotas with their new usage; the refusal when one is exceeded or cannot be judged.
pub(super) fn plan(
    request: &Request<'_>,
    quotas: &[Arc<Value>],
    limited: &[LimitedResource],
) -> Result<Vec<SideWrite>, Failure> {
    let evaluator = Evaluator::of(request);
    if !evaluator.handles(request) {
        return Ok(Vec::new());
    }
    let object = request.new_object();
    let usage = evaluator.usage(request, object);
    let charges = pertinent(request, evaluator, quotas, &usage)?;
    let negative: Vec<&str> =
        usage.iter().filter(|(_, amount)| amount.is_negative()).map(|(name, _)| name.as_str()).collect();
    if !negative.is_empty() {
        let why = format!("quota usage is negative for resource(s): {}", negative.join(","));
        return Err(forbidden(request, why));
    }
    let idle = if charges.is_empty() {
        delta(request, evaluator, &usage).is_empty()
    } else {
        charges.iter().all(|charge| charge.delta.is_empty())
    };
    if idle {
        return Ok(Vec::new());
    }
    check_limited(request, evaluator, quotas, limited, &usage, &charges)?;
    let charged = charges.iter().filter(|charge| !charge.delta.is_empty());
    charged.filter_map(|charge| book(request, charge).transpose()).collect()
}

/// The quotas that the object falls under, and what each is to be charged with.
fn pertinent<'a>(
    request: &Request<'_>,
    evaluator: Evaluator,
    quotas: &'a [Arc<Value>],
    usage: &Amounts,
) -> Result<Vec<Charge<'a>>, Failure> {
    let mut charges = Vec::new();
    for quota in quotas.iter().map(AsRef::as_ref) {
        let names = evaluator.pertinent(request, &amounts(quota.at("status").at("hard")));
        let requirements = scope::of_quota(quota);
        let covers = |object: &Value| requirements.iter().all(|one| scope::matches(evaluator, object, one));
        if names.is_empty() || !covers(request.new_object()) {
            continue;
        }
        let name = quota.at("metadata").text("name");
        if let Some(missing) = evaluator.missing(request.new_object(), &names) {
            return Err(forbidden(request, format!("failed quota: {name}: {missing}")));
        }
        let used = amounts(quota.at("status").at("used"));
        if names.iter().any(|name| !used.contains_key(name)) {
            let names = names.join(",");
            return Err(forbidden(request, format!("status unknown for quota: {name}, resources: {names}")));
        }
        let update = request.operation == Operation::Update;
        // An object that comes under the quota by the update is charged as a whole.
        let delta = if update && covers(request.old_object()) {
            delta(request, evaluator, usage)
        } else {
            without_zeros(usage.clone())
        };
        charges.push(Charge { quota, names, delta });
    }
    Ok(charges)
}

/// What the request consumes besides what the object did before; never less than nothing.
fn delta(request: &Request<'_>, evaluator: Evaluator, usage: &Amounts) -> Amounts {
    let mut delta = usage.clone();
    if request.operation == Operation::Update {
        let before = evaluator.usage(request, request.old_object());
        for (name, amount) in &mut delta {
            if let Some(before) = before.get(name) {
                *amount = amount.minus(before);
            }
        }
        delta.retain(|_, amount| !amount.is_negative());
    }
    without_zeros(delta)
}

fn without_zeros(mut usage: Amounts) -> Amounts {
    usage.retain(|_, amount| !amount.is_zero());
    usage
}

/// What may be consumed only under a quota must be under one.
fn check_limited(
    request: &Request<'_>,
    evaluator: Evaluator,
    quotas: &[Arc<Value>],
    limited: &[LimitedResource],
    usage: &Amounts,
    charges: &[Charge<'_>],
) -> Result<(), Failure> {
    let object = request.new_object();
    let covered: BTreeSet<&str> =
        charges.iter().flat_map(|charge| charge.names.iter().map(String::as_str)).collect();
    let own = || limited.iter().filter(|rule| request.is(&rule.group, &rule.resource));
    let bare: BTreeSet<&str> = own()
        .flat_map(|rule| {
            let named = |name: &&String| rule.match_contains.iter().any(|part| name.contains(part.as_str()));
            usage.iter().filter(|(_, amount)| !amount.is_zero()).map(|(name, _)| name).filter(named)
        })
        .map(String::as_str)
        .filter(|name| !covered.contains(name))
        .collect();
    if !bare.is_empty() {
        let names = bare.into_iter().collect::<Vec<_>>().join(",");
        return Err(forbidden(request, format!("insufficient quota to consume: {names}")));
    }
    let matching: Vec<Value> = quotas
        .iter()
        .flat_map(|quota| scope::of_quota(quota))
        .filter(|one| scope::matches(evaluator, object, one))
        .collect();
    let covers =
        |wanted: &Value| matching.iter().any(|one| one.text("scopeName") == wanted.text("scopeName"));
    let scopes = limited.iter().flat_map(|rule| &rule.match_scopes);
    let open: Vec<String> = scopes
        .filter(|one| scope::matches(evaluator, object, one) && !covers(one))
        .map(|one| {
            let values: Vec<&str> = one.list("values").iter().filter_map(Value::as_str).collect();
            format!("{{{} {} [{}]}}", one.text("scopeName"), one.text("operator"), values.join(" "))
        })
        .collect();
    if open.is_empty() {
        return Ok(());
    }
    let why = format!("insufficient quota to match these scopes: [{}]", open.join(" "));
    Err(forbidden(request, why))
}

/// The quota with the request's usage added; `None` when nothing of it is counted.
fn book(request: &Request<'_>, charge: &Charge<'_>) -> Result<Option<SideWrite>, Failure> {
    let status = charge.quota.at("status");
    let (hard, used) = (amounts(status.at("hard")), amounts(status.at("used")));
    let requested = only(&charge.delta, &hard.keys().collect::<Vec<_>>());
    if requested.is_empty() {
        return Ok(None);
    }
    let mut after = used.clone();
    add(&mut after, &requested);
    let exceeded: Vec<&String> = requested
        .keys()
        .filter(|name| after.get(*name).zip(hard.get(*name)).is_some_and(|(after, hard)| after > hard))
        .collect();
    let metadata = charge.quota.at("metadata");
    let name = metadata.text("name");
    if !exceeded.is_empty() {
        let why = format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            text(&only(&requested, &exceeded)),
            text(&only(&used, &exceeded)),
            text(&only(&hard, &exceeded))
        );
        return Err(forbidden(request, why));
    }
    let mut object = charge.quota.clone();
    if let Some(status) = object.object("status") {
        status.put("used", to_json(&after));
    }
    Ok(Some(SideWrite {
        group: String::new(),
        resource: "resourcequotas".to_owned(),
        namespace: request.namespace.to_owned(),
        name: name.to_owned(),
        object,
        expected_resource_version: metadata.text("resourceVersion").to_owned(),
    }))
}
