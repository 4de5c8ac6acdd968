//! [`EndpointSliceController`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use trireme_schema::names::generated_name;
use trireme_schema::view::{Edit, View};

use super::endpoint::{self, SERVICES, pods_of, zone_of};
use super::hints::Preference;
use super::packing::{Identity, Packed, PortsKey, identity, pack, ports_key, recycle};
use super::slice::{self, MANAGED_BY, MANAGER, SERVICE_NAME, name_prefix, set_trigger};
use crate::controller::{Change, Controller, Look, Resource, resources};
use crate::key::Key;
use crate::owner::{controller_uid, is_deleting};
use crate::plan::{Plan, Propagation, Write};
use crate::suffix::Suffixes;
use crate::world::World;

const SLICES: Resource = Resource::new("discovery.k8s.io", "endpointslices");
const NODES: Resource = Resource::new("", "nodes");
/// Time until a pod whose node is not there is looked at again.
const NODE_PAUSE: Duration = Duration::from_secs(5);

static WATCHED: [Resource; 4] = [SERVICES, resources::PODS, SLICES, NODES];

/// See the module.
#[derive(Debug, Default)]
pub struct EndpointSliceController {}

/// The endpoints that one set of ports leads to.
#[derive(Default)]
struct Wanted {
    ports: Vec<Value>,
    endpoints: BTreeMap<Identity, Value>,
}

/// One look at a Service.
struct Sync<'a> {
    service: &'a Value,
    pods: Vec<Arc<Value>>,
    world: &'a dyn World,
    /// A pod's node is not there.
    node_missing: bool,
}

impl Sync<'_> {
    /// Endpoints of a family by their set of ports.
    fn wanted(&mut self, family: &str) -> BTreeMap<PortsKey, Wanted> {
        let mut wanted: BTreeMap<PortsKey, Wanted> = BTreeMap::new();
        for pod in self.pods.iter().filter(|pod| endpoint::may_belong(pod, true)) {
            let node_name = pod.at("spec").text("nodeName");
            let node = NODES.get(self.world, "", node_name);
            let anyhow = self.service.at("spec").is_true("publishNotReadyAddresses");
            if node.is_none() && !anyhow {
                self.node_missing = true;
                continue;
            }
            let Some(endpoint) = endpoint::endpoint(self.service, pod, node.as_deref(), family) else {
                continue;
            };
            let ports = endpoint::ports(self.service, pod);
            let group = wanted.entry(ports_key(&ports)).or_default();
            group.ports = ports;
            group.endpoints.insert(identity(&endpoint), endpoint);
        }
        wanted
    }

    fn family(&mut self, family: &str, existing: &[Arc<Value>]) -> Packed {
        let uid = self.service.at("metadata").text("uid");
        let mut packed = Packed::default();
        let mut by_ports: BTreeMap<PortsKey, Vec<Arc<Value>>> = BTreeMap::new();
        for slice in existing {
            if controller_uid(slice) == uid {
                by_ports.entry(ports_key(slice.list("ports"))).or_default().push(slice.clone());
            } else {
                packed.delete.push(slice.clone());
            }
        }
        let labels = slice::labels(self.service);
        for (key, Wanted { ports, endpoints }) in self.wanted(family) {
            let here = by_ports.remove(&key).unwrap_or_default();
            let empty = || slice::empty(self.service, family, &ports);
            let Packed { create, update, delete, unchanged } = pack(&here, endpoints, &labels, empty);
            packed.create.extend(create);
            packed.update.extend(update);
            packed.delete.extend(delete);
            packed.unchanged.extend(unchanged);
        }
        packed.delete.extend(by_ports.into_values().flatten());
        if existing.len() == packed.delete.len() && packed.create.is_empty() {
            self.placeholder(family, &mut packed);
        }
        packed
    }

    /// A Service without endpoints has a slice that says so.
    fn placeholder(&self, family: &str, packed: &mut Packed) {
        let uid = self.service.at("metadata").text("uid");
        let labels = slice::labels(self.service);
        let is_one = |slice: &Value| {
            slice.list("endpoints").is_empty()
                && slice.list("ports").is_empty()
                && controller_uid(slice) == uid
                && slice.at("metadata").map("labels") == Some(&labels)
        };
        match packed.delete.iter().position(|slice| is_one(slice)) {
            Some(at) => packed.unchanged.push(packed.delete.remove(at)),
            None => packed.create.push(slice::empty(self.service, family, &[])),
        }
    }

    fn writes(&self, mut packed: Packed, look: &Look<'_>) -> Vec<Write> {
        let preference = Preference::of(self.service);
        for slice in std::mem::take(&mut packed.unchanged) {
            let mut hinted = (*slice).clone();
            if preference.apply(&mut hinted) {
                packed.update.push(hinted);
            }
        }
        recycle(&mut packed);
        let moment = endpoint::changed_at(self.service, &self.pods);
        let metadata = self.service.at("metadata");
        let mut suffixes = Suffixes::new(metadata.text("uid"), look.now);
        let base = name_prefix(metadata.text("name"));
        let mut writes = Vec::new();
        for mut object in packed.create.into_iter().filter(|_| !is_deleting(self.service)) {
            preference.apply(&mut object);
            set_trigger(&mut object, &moment);
            object["metadata"].put("generateName", base.as_str());
            object["metadata"].put("name", generated_name(&base, &suffixes.draw()));
            writes.push(Write::Create { resource: SLICES, object });
        }
        for mut object in packed.update {
            preference.apply(&mut object);
            set_trigger(&mut object, &moment);
            writes.push(Write::Update { resource: SLICES, subresource: "", object });
        }
        let deletes = packed.delete.iter().map(|slice| {
            let metadata = slice.at("metadata");
            Write::Delete {
                resource: SLICES,
                namespace: metadata.text("namespace").to_owned(),
                name: metadata.text("name").to_owned(),
                uid: metadata.text("uid").to_owned(),
                resource_version: None,
                propagation: Propagation::Background,
            }
        });
        writes.extend(deletes);
        writes
    }
}

/// The Service that one of our slices is of.
fn key_of_slice(slice: &Value) -> Option<Key> {
    let metadata = slice.at("metadata");
    let name = metadata.at("labels").text(SERVICE_NAME);
    let ours = metadata.at("labels").text(MANAGED_BY) == MANAGER && !name.is_empty();
    ours.then(|| Key::new(metadata.text("namespace"), name))
}

/// A node that changes its zone takes its pods along.
fn keys_of_node(change: &Change, world: &dyn World) -> Vec<Key> {
    let (Some(old), Some(new)) = (&change.old, &change.new) else { return Vec::new() };
    if zone_of(old) == zone_of(new) {
        return Vec::new();
    }
    let name = new.at("metadata").text("name");
    let pods = resources::PODS.list(world, None);
    let here = pods.into_iter().filter(|pod| pod.at("spec").text("nodeName") == name);
    let keys = here.flat_map(|pod| {
        endpoint::services_of_pod(&Change { resource: resources::PODS, old: None, new: Some(pod) }, world)
    });
    keys.collect()
}

impl Controller for EndpointSliceController {
    fn name(&self) -> &'static str {
        "endpointslice-controller"
    }

    fn event_source(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn resources(&self) -> &'static [Resource] {
        &WATCHED
    }

    fn keys(&self, change: &Change, world: &dyn World) -> Vec<Key> {
        let versions = || change.old.iter().chain(&change.new);
        let mut keys: Vec<Key> = if change.resource == resources::PODS {
            endpoint::services_of_pod(change, world)
        } else if change.resource == NODES {
            keys_of_node(change, world)
        } else if change.resource == SLICES {
            versions().filter_map(|slice| key_of_slice(slice)).collect()
        } else {
            let key = |service: &Arc<Value>| {
                let metadata = service.at("metadata");
                Key::new(metadata.text("namespace"), metadata.text("name"))
            };
            versions().map(key).collect()
        };
        keys.sort();
        keys.dedup();
        keys
    }

    fn reconcile(&self, look: &Look<'_>) -> Plan {
        let Key { namespace, name } = look.key;
        let found = SERVICES.get(look.world, namespace, name);
        // The slices of a Service that is gone go with their owner.
        let Some(service) = found.filter(|service| endpoint::is_selected(service)) else {
            return Plan::settled();
        };
        let pods = pods_of(&service, look.world);
        let mut sync = Sync { service: &service, pods, world: look.world, node_missing: false };
        let families: Vec<&str> =
            service.at("spec").list("ipFamilies").iter().filter_map(Value::as_str).collect();
        let mut all = SLICES.list(look.world, Some(namespace));
        all.retain(|slice| key_of_slice(slice).as_ref() == Some(look.key) && !is_deleting(slice));
        let mut packed = Packed::default();
        for family in &families {
            let here: Vec<Arc<Value>> =
                all.iter().filter(|slice| slice.text("addressType") == *family).cloned().collect();
            let Packed { create, update, delete, unchanged } = sync.family(family, &here);
            packed.create.extend(create);
            packed.update.extend(update);
            packed.delete.extend(delete);
            packed.unchanged.extend(unchanged);
        }
        packed.delete.extend(all.into_iter().filter(|slice| !families.contains(&slice.text("addressType"))));
        let again_after = sync.node_missing.then_some(NODE_PAUSE);
        Plan { writes: sync.writes(packed, look), again_after }
    }
}
