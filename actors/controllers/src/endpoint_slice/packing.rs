//! Packing: which endpoints go into which slices, with as few of them rewritten as possible.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};
use trireme_schema::view::{Edit, View, same};

use super::ENDPOINTS_PER_SLICE;

/// What makes two endpoints one: addresses, host name, namespace and name of the pod.
pub(super) type Identity = (String, String, String, String);

/// A set of ports in a defined order: name, protocol, number, application protocol.
pub(crate) type PortsKey = Vec<(String, String, Option<i64>, String)>;

/// The identity of an endpoint.
pub(super) fn identity(endpoint: &Value) -> Identity {
    let addresses: Vec<&str> = endpoint.list("addresses").iter().filter_map(Value::as_str).collect();
    let target = endpoint.at("targetRef");
    (
        addresses.join(","),
        endpoint.text("hostname").to_owned(),
        target.text("namespace").to_owned(),
        target.text("name").to_owned(),
    )
}

/// The key of a list of ports, whatever its order.
pub(crate) fn ports_key(ports: &[Value]) -> PortsKey {
    let text = |port: &Value, name: &str| port.text(name).to_owned();
    let key = |port: &Value| {
        (text(port, "name"), text(port, "protocol"), port.int("port"), text(port, "appProtocol"))
    };
    let mut key: PortsKey = ports.iter().map(key).collect();
    key.sort();
    key
}

/// Whether an endpoint in a slice says what is wanted of it, its hints apart.
fn says_the_same(there: &Value, wanted: &Value) -> bool {
    let equal = |name: &str| same(there.at(name), wanted.at(name));
    let target = |endpoint: &Value| {
        let mut target = endpoint.at("targetRef").clone();
        target.remove("resourceVersion");
        target
    };
    ["nodeName", "zone", "conditions"].iter().all(|name| equal(name)) && same(&target(there), &target(wanted))
}

/// What is to become of slices.
#[derive(Debug, Default)]
pub(super) struct Packed {
    /// New slices, without a name.
    pub(super) create: Vec<Value>,
    /// Changed ones.
    pub(super) update: Vec<Value>,
    /// Those that nothing is left of.
    pub(super) delete: Vec<Arc<Value>>,
    /// Those that stay as they are.
    pub(super) unchanged: Vec<Arc<Value>>,
}

/// Packs the wanted endpoints of one family and one set of ports. `existing` are the Service's slices of both; `empty`
/// makes a new one.
pub(super) fn pack(
    existing: &[Arc<Value>],
    mut wanted: BTreeMap<Identity, Value>,
    labels: &Map<String, Value>,
    empty: impl Fn() -> Value,
) -> Packed {
    let mut packed = Packed::default();
    let mut changed: Vec<Value> = Vec::new();
    for slice in existing {
        match keep(slice, &mut wanted, labels) {
            Kept::Unchanged => packed.unchanged.push(slice.clone()),
            Kept::Nothing => packed.delete.push(slice.clone()),
            Kept::Changed(slice) => changed.push(slice),
        }
    }
    // Those that are written anyway take in what is new, the fullest first.
    changed.sort_by_key(|slice| std::cmp::Reverse(slice.list("endpoints").len()));
    for slice in &mut changed {
        fill(slice, &mut wanted);
    }
    while !wanted.is_empty() {
        let mut slice = match snuggest(&packed.unchanged, wanted.len()) {
            Some(at) => (*packed.unchanged.remove(at)).clone(),
            None => empty(),
        };
        fill(&mut slice, &mut wanted);
        if slice.at("metadata").text("name").is_empty() {
            packed.create.push(slice);
        } else {
            changed.push(slice);
        }
    }
    packed.update = changed;
    packed
}

enum Kept {
    Unchanged,
    Changed(Value),
    /// None of its endpoints is wanted.
    Nothing,
}

/// Takes the endpoints of a slice out of the wanted ones.
fn keep(slice: &Arc<Value>, wanted: &mut BTreeMap<Identity, Value>, labels: &Map<String, Value>) -> Kept {
    let before = slice.list("endpoints");
    let mut kept = Vec::with_capacity(before.len());
    let mut updated = false;
    for endpoint in before {
        let Some(mut want) = wanted.remove(&identity(endpoint)) else { continue };
        if says_the_same(endpoint, &want) {
            kept.push(endpoint.clone());
            continue;
        }
        updated = true;
        if endpoint.has("hints") {
            want.put("hints", endpoint.at("hints").clone());
        }
        kept.push(want);
    }
    if kept.is_empty() && !before.is_empty() {
        return Kept::Nothing;
    }
    let relabelled = slice.at("metadata").map("labels") != Some(labels);
    if !updated && kept.len() == before.len() && !relabelled {
        return Kept::Unchanged;
    }
    let mut slice = (**slice).clone();
    slice.put("endpoints", kept);
    slice["metadata"].put("labels", labels.clone());
    Kept::Changed(slice)
}

fn fill(slice: &mut Value, wanted: &mut BTreeMap<Identity, Value>) {
    let mut endpoints = slice.list("endpoints").to_vec();
    while endpoints.len() < ENDPOINTS_PER_SLICE
        && let Some((_, endpoint)) = wanted.pop_first()
    {
        endpoints.push(endpoint);
    }
    slice.put("endpoints", endpoints);
}

/// The slice that has the least room of those with enough of it.
fn snuggest(slices: &[Arc<Value>], count: usize) -> Option<usize> {
    let room = |slice: &Arc<Value>| ENDPOINTS_PER_SLICE.checked_sub(slice.list("endpoints").len() + count);
    let fitting = slices.iter().enumerate().filter_map(|(at, slice)| room(slice).map(|left| (left, at)));
    fitting.min().map(|(_, at)| at).filter(|_| count < ENDPOINTS_PER_SLICE)
}

/// Makes updates of creates and deletes of the same family, so that fewer objects come and go.
pub(super) fn recycle(packed: &mut Packed) {
    let mut taken = BTreeSet::new();
    for create in std::mem::take(&mut packed.create) {
        let fits = |(at, old): &(usize, &Arc<Value>)| {
            !taken.contains(at) && old.text("addressType") == create.text("addressType")
        };
        let found = packed.delete.iter().enumerate().find(fits).map(|(at, old)| (at, old.clone()));
        let Some((at, old)) = found else {
            packed.create.push(create);
            continue;
        };
        taken.insert(at);
        let mut slice = (*old).clone();
        for name in ["endpoints", "ports"] {
            slice.put(name, create.at(name).clone());
        }
        slice["metadata"].put("labels", create.at("metadata").at("labels").clone());
        packed.update.push(slice);
    }
    let mut at = 0;
    packed.delete.retain(|_| {
        at += 1;
        !taken.contains(&(at - 1))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn endpoint(number: usize) -> Value {
        json!({
            "addresses": [format!("fd::{number:04x}")], "conditions": {"ready": true},
            "targetRef": {"namespace": "d", "name": format!("p{number:04}")},
        })
    }

    fn wanted(numbers: impl IntoIterator<Item = usize>) -> BTreeMap<Identity, Value> {
        numbers.into_iter().map(endpoint).map(|endpoint| (identity(&endpoint), endpoint)).collect()
    }

    fn labels() -> Map<String, Value> {
        json!({"a": "b"}).as_object().unwrap().clone()
    }

    fn empty() -> Value {
        json!({"metadata": {"labels": labels()}, "addressType": "IPv4", "endpoints": []})
    }

    fn named(slices: Vec<Value>) -> Vec<Arc<Value>> {
        let name = |(number, mut slice): (usize, Value)| {
            slice["metadata"]["name"] = format!("s{number}").into();
            Arc::new(slice)
        };
        slices.into_iter().enumerate().map(name).collect()
    }

    #[test]
    fn two_hundred_and_fifty_make_three_slices_and_one_change_rewrites_one() {
        let packed = pack(&[], wanted(0..250), &labels(), empty);
        let sizes: Vec<usize> = packed.create.iter().map(|slice| slice.list("endpoints").len()).collect();
        assert_eq!(sizes, [100, 100, 50]);
        let slices = named(packed.create);
        let same = pack(&slices, wanted(0..250), &labels(), empty);
        assert_eq!((same.unchanged.len(), same.update.len(), same.create.len()), (3, 0, 0));
        // One goes and another comes: one write.
        let mut numbers: Vec<usize> = (0..250).filter(|number| *number != 7).collect();
        numbers.push(300);
        let changed = pack(&slices, wanted(numbers), &labels(), empty);
        assert_eq!((changed.unchanged.len(), changed.update.len(), changed.create.len()), (2, 1, 0));
        assert_eq!(changed.update[0].list("endpoints").len(), 100);
    }

    #[test]
    fn new_ones_fill_the_snuggest_slice_and_empty_slices_go() {
        let slices = named(pack(&[], wanted(0..250), &labels(), empty).create);
        let more = pack(&slices, wanted(0..260), &labels(), empty);
        assert_eq!((more.update.len(), more.create.len()), (1, 0));
        assert_eq!(more.update[0].at("metadata").text("name"), "s2");
        let fewer = pack(&slices, wanted(0..100), &labels(), empty);
        assert_eq!((fewer.delete.len(), fewer.unchanged.len()), (2, 1));
    }

    #[test]
    fn a_change_of_labels_rewrites_and_of_a_resource_version_does_not() {
        let mut with_version = wanted(0..1);
        for endpoint in with_version.values_mut() {
            endpoint["targetRef"]["resourceVersion"] = "9".into();
        }
        let slices = named(pack(&[], with_version, &labels(), empty).create);
        assert_eq!(pack(&slices, wanted(0..1), &labels(), empty).unchanged.len(), 1);
        let other = json!({"a": "c"}).as_object().unwrap().clone();
        let relabelled = pack(&slices, wanted(0..1), &other, empty);
        assert_eq!(relabelled.update[0]["metadata"]["labels"], json!({"a": "c"}));
    }

    #[test]
    fn a_slice_that_would_go_is_used_again() {
        let old = named(vec![
            json!({"metadata": {}, "addressType": "IPv4", "endpoints": [endpoint(1)], "ports": []}),
        ]);
        let create = vec![empty(), json!({"metadata": {"labels": {}}, "addressType": "IPv6"})];
        let mut packed = Packed { create, delete: old, ..Packed::default() };
        recycle(&mut packed);
        assert_eq!((packed.create.len(), packed.update.len(), packed.delete.len()), (1, 1, 0));
        assert_eq!(packed.update[0].at("metadata").text("name"), "s0");
        assert_eq!(packed.create[0].text("addressType"), "IPv6");
    }
}
