//! [`EndpointSliceMirroringController`].

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use trireme_schema::names::generated_name;
use trireme_schema::view::{Edit, View, same};

use super::ADDRESSES_PER_SUBSET;
use super::mirror::{MANAGER, Mirror, Place, annotations, labels, slice};
use crate::controller::{Change, Controller, Look, Resource};
use crate::endpoint_slice::{MANAGED_BY, SERVICE_NAME, has_selector, name_prefix, ports_key};
use crate::key::Key;
use crate::owner::is_deleting;
use crate::plan::{Plan, Propagation, Write};
use crate::suffix::Suffixes;
use crate::world::World;

const SERVICES: Resource = Resource::new("", "services");
const ENDPOINTS: Resource = Resource::new("", "endpoints");
const SLICES: Resource = Resource::new("discovery.k8s.io", "endpointslices");
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
const ELECTION: &str = "control-plane.alpha.kubernetes.io/leader";

static WATCHED: [Resource; 3] = [ENDPOINTS, SERVICES, SLICES];

/// See the module.
#[derive(Debug, Default)]
pub struct EndpointSliceMirroringController {}

/// The Endpoints that one of our slices mirrors.
fn key_of_slice(slice: &Value) -> Option<Key> {
    let metadata = slice.at("metadata");
    let name = metadata.at("labels").text(SERVICE_NAME);
    let ours = metadata.at("labels").text(MANAGED_BY) == MANAGER && !name.is_empty();
    ours.then(|| Key::new(metadata.text("namespace"), name))
}

/// Whether the object is mirrored, its Service apart.
fn is_mirrored(endpoints: &Value) -> bool {
    let metadata = endpoints.at("metadata");
    metadata.at("labels").text(SKIP) != "true" && !metadata.at("annotations").has(ELECTION)
}

fn delete(slice: &Value) -> Write {
    let metadata = slice.at("metadata");
    Write::Delete {
        resource: SLICES,
        namespace: metadata.text("namespace").to_owned(),
        name: metadata.text("name").to_owned(),
        uid: metadata.text("uid").to_owned(),
        resource_version: None,
        propagation: Propagation::Background,
    }
}

/// Whether a slice says what it is to say.
fn is_right(slice: &Value, endpoints: &Value, wanted: &[Value]) -> bool {
    let metadata = slice.at("metadata");
    let says = |list: &[Value]| {
        let mut list = list.to_vec();
        list.sort_by_key(Value::to_string);
        list
    };
    let plain: Vec<Value> = slice.list("endpoints").to_vec();
    metadata.map("labels") == Some(&labels(endpoints))
        && metadata.map("annotations").cloned().unwrap_or_default() == annotations(endpoints)
        && same(&Value::Array(says(&plain)), &Value::Array(says(wanted)))
}

fn warn(endpoints: &Value, mirror: &Mirror, writes: &mut Vec<Write>) {
    let mut say = |reason, message| {
        writes.push(Write::Event { about: endpoints.clone(), kind: "Warning", reason, message });
    };
    if mirror.invalid > 0 {
        let count = mirror.invalid;
        say(
            "InvalidIPAddress",
            format!("Skipped {count} invalid IP addresses when mirroring to EndpointSlices"),
        );
    }
    if mirror.surplus > 0 {
        let skipped = mirror.surplus + mirror.invalid;
        let message = format!(
            "A max of {ADDRESSES_PER_SUBSET} addresses can be mirrored to EndpointSlices per Endpoints subset. \
             {skipped} addresses were skipped"
        );
        say("TooManyAddressesToMirror", message);
    }
}

fn mirror(endpoints: &Value, existing: Vec<Arc<Value>>, look: &Look<'_>) -> Vec<Write> {
    let mirror = Mirror::of(endpoints);
    let mut here: BTreeMap<Place, Vec<Arc<Value>>> = BTreeMap::new();
    for slice in existing {
        let family = if slice.text("addressType") == "IPv6" { "IPv6" } else { "IPv4" };
        here.entry((family, ports_key(slice.list("ports")))).or_default().push(slice);
    }
    let (mut creates, mut updates) = (Vec::new(), Vec::new());
    for (place, (ports, wanted)) in &mirror.slices {
        let wanted: Vec<Value> = wanted.values().cloned().collect();
        let mut slices = here.remove(place).unwrap_or_default().into_iter();
        let made = slice(endpoints, place.0, ports, wanted.clone());
        match slices.next() {
            None => creates.push(made),
            Some(first) if is_right(&first, endpoints, &wanted) => {}
            Some(first) => updates.push(over(&first, made)),
        }
        here.insert(place.clone(), slices.collect());
    }
    let mut surplus: Vec<Arc<Value>> = here.into_values().flatten().collect();
    // A slice that would go is used again.
    creates.retain(|made| {
        let family = made.text("addressType");
        let Some(at) = surplus.iter().position(|slice| slice.text("addressType") == family) else {
            return true;
        };
        updates.push(over(&surplus.remove(at), made.clone()));
        false
    });
    let mut writes = Vec::new();
    if !creates.is_empty() || !updates.is_empty() {
        warn(endpoints, &mirror, &mut writes);
    }
    let metadata = endpoints.at("metadata");
    let mut suffixes = Suffixes::new(metadata.text("uid"), look.now);
    let base = name_prefix(metadata.text("name"));
    for mut object in creates.into_iter().filter(|_| !is_deleting(endpoints)) {
        object["metadata"].put("generateName", base.as_str());
        object["metadata"].put("name", generated_name(&base, &suffixes.draw()));
        writes.push(Write::Create { resource: SLICES, object });
    }
    writes.extend(updates.into_iter().map(|object| Write::Update {
        resource: SLICES,
        subresource: "",
        object,
    }));
    writes.extend(surplus.iter().map(|slice| delete(slice)));
    writes
}

/// What was made, in the place of a slice that is there.
fn over(there: &Value, made: Value) -> Value {
    let mut object = there.clone();
    for name in ["endpoints", "ports"] {
        object.put(name, made.at(name).clone());
    }
    for name in ["labels", "annotations"] {
        match made.at("metadata").at(name) {
            Value::Null => drop(object["metadata"].remove(name)),
            value => object["metadata"].put(name, value.clone()),
        }
    }
    object
}

impl Controller for EndpointSliceMirroringController {
    fn name(&self) -> &'static str {
        "endpointslicemirroring-controller"
    }

    fn event_source(&self) -> &'static str {
        "endpoint-slice-mirroring-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, _: &dyn World) -> Vec<Key> {
        let versions = || change.old.iter().chain(&change.new);
        if change.resource == SLICES {
            return versions().filter_map(|slice| key_of_slice(slice)).collect();
        }
        let key = |object: &Arc<Value>| {
            Key::new(object.at("metadata").text("namespace"), object.at("metadata").text("name"))
        };
        versions().take(1).map(key).collect()
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Key { namespace, name } = look.key;
        let mut existing = SLICES.list(look.world, Some(namespace));
        existing.retain(|slice| key_of_slice(slice).as_ref() == Some(look.key) && !is_deleting(slice));
        let endpoints = ENDPOINTS.get(look.world, namespace, name).filter(|endpoints| is_mirrored(endpoints));
        let service = SERVICES.get(look.world, namespace, name).filter(|service| !has_selector(service));
        let writes = match endpoints.zip(service) {
            Some((endpoints, _)) => mirror(&endpoints, existing, look),
            None => existing.iter().map(|slice| delete(slice)).collect(),
        };
        Plan { writes, again_after: None }
    }
}
