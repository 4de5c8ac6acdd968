//! [`Evaluator`]: which names in a quota are about a kind of object, and how much of each an object consumes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use trireme_schema::Quantity;
use trireme_schema::quantity::Format;
use trireme_schema::time::Moment;
use trireme_schema::view::View;

use crate::request::{Operation, Request};
use crate::resources::{Amounts, Side, add, amounts, is_extended, is_native, of_pod, raise};

/// Names about pods.
const POD_NAMES: [&str; 11] = [
    "count/pods",
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
];
/// Names that each container must ask for where a quota has them.
const DEMANDED: [&str; 6] =
    ["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
const SERVICE_NAMES: [&str; 4] =
    ["count/services", "services", "services.nodeports", "services.loadbalancers"];
const CLAIM_NAMES: [&str; 3] = ["count/persistentvolumeclaims", "persistentvolumeclaims", "requests.storage"];
const CLASS_SUFFIXES: [&str; 2] =
    [".storageclass.storage.k8s.io/persistentvolumeclaims", ".storageclass.storage.k8s.io/requests.storage"];
const DEVICE_SUFFIX: &str = ".deviceclass.resource.k8s.io/devices";
/// Kinds that had names of their own before `count/`.
const OLD_NAMES: [&str; 4] = ["configmaps", "secrets", "resourcequotas", "replicationcontrollers"];
/// Devices that a request for all of a node's may get at most.
const ALL_DEVICES: i64 = 32;

/// How objects of a kind are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evaluator {
    Pods,
    Services,
    Claims,
    ResourceClaims,
    /// By number alone.
    Others,
}

impl Evaluator {
    pub(super) fn of(request: &Request<'_>) -> Self {
        match (request.group, request.resource) {
            ("", "pods") => Self::Pods,
            ("", "services") => Self::Services,
            ("", "persistentvolumeclaims") => Self::Claims,
            ("resource.k8s.io", "resourceclaims") => Self::ResourceClaims,
            _ => Self::Others,
        }
    }

    /// Whether such a request can raise the usage.
    pub(super) fn handles(self, request: &Request<'_>) -> bool {
        let create = request.operation == Operation::Create;
        match self {
            Self::Pods => create || request.subresource == "resize",
            Self::Others => create,
            Self::Services | Self::Claims | Self::ResourceClaims => true,
        }
    }

    /// Those of a quota's names that are about such objects.
    pub(super) fn pertinent(self, request: &Request<'_>, hard: &Amounts) -> Vec<String> {
        let counted = count_name(request);
        let about = |name: &str| match self {
            Self::Pods => {
                POD_NAMES.contains(&name)
                    || name.starts_with("hugepages-")
                    || name.starts_with("requests.hugepages-")
                    || (!is_native(name) && name.starts_with("requests."))
            }
            Self::Services => SERVICE_NAMES.contains(&name),
            Self::Claims => {
                CLAIM_NAMES.contains(&name) || CLASS_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
            }
            Self::ResourceClaims => name == counted || name.ends_with(DEVICE_SUFFIX),
            Self::Others => name == counted || (is_old(request) && name == request.resource),
        };
        hard.keys().filter(|name| about(name)).cloned().collect()
    }

    /// What is missing in an object that a quota with these names must know.
    pub(super) fn missing(self, object: &Value, names: &[String]) -> Option<String> {
        if self != Self::Pods {
            return None;
        }
        let demanded: Vec<&str> =
            DEMANDED.into_iter().filter(|demanded| names.iter().any(|name| name == demanded)).collect();
        let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let spec = object.at("spec");
        for container in spec.list("containers").iter().chain(spec.list("initContainers")) {
            let resources = container.at("resources");
            let own = compute(&amounts(resources.at("requests")), &amounts(resources.at("limits")));
            for name in demanded.iter().filter(|name| !own.contains_key(**name)) {
                missing.entry(name).or_default().insert(container.text("name"));
            }
        }
        let told = missing.into_iter().map(|(name, containers)| {
            format!("{name} for: {}", containers.into_iter().collect::<Vec<_>>().join(","))
        });
        let told = told.collect::<Vec<_>>().join("; ");
        (!told.is_empty()).then(|| format!("must specify {told}"))
    }

    /// What an object consumes.
    pub(super) fn usage(self, request: &Request<'_>, object: &Value) -> Amounts {
        let mut usage = Amounts::from([(count_name(request), number(1))]);
        match self {
            Self::Pods => {
                if !is_over(object, request.now) {
                    let requests = of_pod(object, Side::Requests);
                    add(&mut usage, &compute(&requests, &of_pod(object, Side::Limits)));
                }
            }
            Self::Services => add(&mut usage, &of_service(object.at("spec"))),
            Self::Claims => add(&mut usage, &of_claim(object)),
            Self::ResourceClaims => add(&mut usage, &of_devices(object.at("spec").at("devices"))),
            Self::Others => {
                if is_old(request) {
                    usage.insert(request.resource.to_owned(), number(1));
                }
            }
        }
        usage
    }
}

/// The kind (group, plural) that a quota's name is about; `None` for a name that nothing is counted under.
pub(super) fn kind_of_name(name: &str) -> Option<(String, String)> {
    if let Some(counted) = name.strip_prefix("count/") {
        let (resource, group) = counted.split_once('.').unwrap_or((counted, ""));
        return Some((group.to_owned(), resource.to_owned()));
    }
    let (group, resource) = if SERVICE_NAMES.contains(&name) {
        ("", "services")
    } else if CLAIM_NAMES.contains(&name) || CLASS_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        ("", "persistentvolumeclaims")
    } else if name.ends_with(DEVICE_SUFFIX) {
        ("resource.k8s.io", "resourceclaims")
    } else if OLD_NAMES.contains(&name) {
        ("", name)
    } else if POD_NAMES.contains(&name) || name.starts_with("hugepages-") || name.starts_with("requests.") {
        ("", "pods")
    } else {
        return None;
    };
    Some((group.to_owned(), resource.to_owned()))
}

fn number(count: i64) -> Quantity {
    Quantity::from_i64(count, Format::DecimalSi)
}

/// `count/deployments.apps`
fn count_name(request: &Request<'_>) -> String {
    let dot = if request.group.is_empty() { "" } else { "." };
    format!("count/{}{dot}{}", request.resource, request.group)
}

fn is_old(request: &Request<'_>) -> bool {
    request.group.is_empty() && OLD_NAMES.contains(&request.resource)
}

/// A pod that has ended, or whose time to end has passed, holds nothing any more.
fn is_over(pod: &Value, now: &str) -> bool {
    let metadata = pod.at("metadata");
    if ["Failed", "Succeeded"].contains(&pod.at("status").text("phase")) {
        return true;
    }
    let seconds = |text: &str| Moment::parse_time(text).ok().map(Moment::unix_seconds);
    let grace = metadata.int("deletionGracePeriodSeconds");
    let parts = (seconds(metadata.text("deletionTimestamp")), grace, seconds(now));
    matches!(parts, (Some(deleted), Some(grace), Some(now)) if now > deleted.saturating_add(grace))
}

/// Names of a quota from names of resources.
fn compute(requests: &Amounts, limits: &Amounts) -> Amounts {
    let mut usage = Amounts::from([("pods".to_owned(), number(1))]);
    for name in ["cpu", "memory", "ephemeral-storage"] {
        if let Some(request) = requests.get(name) {
            usage.insert(name.to_owned(), *request);
            usage.insert(format!("requests.{name}"), *request);
        }
        if let Some(limit) = limits.get(name) {
            usage.insert(format!("limits.{name}"), *limit);
        }
    }
    for (name, request) in requests {
        if name.starts_with("hugepages-") {
            usage.insert(name.clone(), *request);
            usage.insert(format!("requests.{name}"), *request);
        } else if is_extended(name) {
            usage.insert(format!("requests.{name}"), *request);
        }
    }
    usage
}

fn of_service(spec: &Value) -> Amounts {
    let ports = spec.list("ports");
    let kind = spec.text("type");
    let allocates = spec.at("allocateLoadBalancerNodePorts") != &Value::Bool(false);
    let taken = match kind {
        "NodePort" => ports.len(),
        "LoadBalancer" if allocates => ports.len(),
        "LoadBalancer" => ports.iter().filter(|port| port.int("nodePort").unwrap_or(0) != 0).count(),
        _ => 0,
    };
    Amounts::from([
        ("services".to_owned(), number(1)),
        ("services.nodeports".to_owned(), number(i64::try_from(taken).unwrap_or(i64::MAX))),
        ("services.loadbalancers".to_owned(), number(i64::from(kind == "LoadBalancer"))),
    ])
}

fn of_claim(claim: &Value) -> Amounts {
    let mut usage = Amounts::from([("persistentvolumeclaims".to_owned(), number(1))]);
    // While a claim grows it counts with what it has got already, when that is more.
    let mut storage = amounts(claim.below(&["spec", "resources", "requests"]));
    raise(&mut storage, &amounts(claim.at("status").at("allocatedResources")));
    if let Some(size) = storage.get("storage") {
        usage.insert("requests.storage".to_owned(), *size);
    }
    let class = crate::plugins::persistent_volume_claim_resize::class(claim);
    if !class.is_empty() {
        for name in ["persistentvolumeclaims", "requests.storage"] {
            if let Some(amount) = usage.get(name).copied() {
                usage.insert(format!("{class}.storageclass.storage.k8s.io/{name}"), amount);
            }
        }
    }
    usage
}

/// Devices by class; of several alternatives the largest counts.
fn of_devices(devices: &Value) -> Amounts {
    let one = |request: &Value| -> Amounts {
        let class = request.text("deviceClassName");
        let count = match request.text("allocationMode") {
            "All" => ALL_DEVICES,
            _ => request.int("count").unwrap_or(1),
        };
        if class.is_empty() {
            Amounts::new()
        } else {
            Amounts::from([(format!("{class}{DEVICE_SUFFIX}"), number(count))])
        }
    };
    let mut usage = Amounts::new();
    for request in devices.list("requests") {
        let mut most = one(request);
        raise(&mut most, &one(request.at("exactly")));
        for alternative in request.list("firstAvailable") {
            raise(&mut most, &one(alternative));
        }
        add(&mut usage, &most);
    }
    usage
}
