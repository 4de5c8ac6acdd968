//! Subsets: addresses that share their ports.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use trireme_schema::view::View;

use super::ADDRESSES;
use crate::endpoint_slice::{PortsKey, ports_key};

/// Addresses in a defined order: IP and uid, whether ready, and the address itself as text.
type Group = BTreeMap<(String, String), (bool, Value)>;

/// Addresses by port.
#[derive(Debug, Default)]
pub(super) struct Subsets {
    /// By the port's key; the empty key stands for no port.
    by_port: BTreeMap<PortsKey, (Vec<Value>, Group)>,
}

fn ip_and_uid(address: &Value) -> (String, String) {
    (address.text("ip").to_owned(), address.at("targetRef").text("uid").to_owned())
}

impl Subsets {
    /// Adds one address under one port, or under none.
    pub(super) fn add(&mut self, port: Option<Value>, address: &Value, ready: bool) {
        let ports: Vec<Value> = port.into_iter().collect();
        let (_, group) = self.by_port.entry(ports_key(&ports)).or_insert_with(|| (ports, Group::new()));
        let there = group.entry(ip_and_uid(address)).or_insert_with(|| (true, address.clone()));
        // Who is ready and is not, is not.
        there.0 &= ready;
    }

    /// As `subsets` of an object, and whether some addresses had to be left out.
    pub(super) fn finish(self) -> (Value, bool) {
        // Ports with the same addresses become one subset.
        // Addresses (IP, uid, whether ready) to the ports that they share.
        type Shared = BTreeMap<Vec<(String, String, bool)>, (Vec<Value>, Group)>;
        let mut merged = Shared::new();
        for (ports, group) in self.by_port.into_values() {
            let key = group.iter().map(|((ip, uid), (ready, _))| (ip.clone(), uid.clone(), *ready)).collect();
            let (all, _) = merged.entry(key).or_insert_with(|| (Vec::new(), group));
            all.extend(ports);
        }
        let mut subsets: Vec<(Vec<Value>, Group)> = merged.into_values().collect();
        subsets.sort_by_key(|(ports, _)| ports_key(ports));
        let truncated = truncate(&mut subsets);
        let subsets: Vec<Value> = subsets.into_iter().map(|(ports, group)| subset(ports, group)).collect();
        (Value::Array(subsets), truncated)
    }
}

fn subset(mut ports: Vec<Value>, group: Group) -> Value {
    ports.sort_by_key(|port| ports_key(std::slice::from_ref(port)));
    let (ready, not_ready): (Vec<_>, Vec<_>) = group.into_values().partition(|(ready, _)| *ready);
    let mut subset = json!({});
    let lists = [("addresses", ready), ("notReadyAddresses", not_ready)];
    for (name, list) in lists {
        let list: Vec<Value> = list.into_iter().map(|(_, address)| address).collect();
        if !list.is_empty() {
            subset[name] = list.into();
        }
    }
    if !ports.is_empty() {
        subset["ports"] = ports.into();
    }
    subset
}

/// Keeps at most [`ADDRESSES`], ready ones first, each subset its share.
fn truncate(subsets: &mut [(Vec<Value>, Group)]) -> bool {
    let count = |wanted: bool, subsets: &[(Vec<Value>, Group)]| {
        subsets.iter().flat_map(|(_, group)| group.values()).filter(|(ready, _)| *ready == wanted).count()
    };
    let (ready, not_ready) = (count(true, subsets), count(false, subsets));
    if ready + not_ready <= ADDRESSES {
        return false;
    }
    let cut_ready = ready > ADDRESSES;
    let (room, total) = if cut_ready { (ADDRESSES, ready) } else { (ADDRESSES - ready, not_ready) };
    let mut left = room;
    for (_, group) in subsets {
        let mine = group.values().filter(|(is_ready, _)| *is_ready == cut_ready).count();
        let mut share = (mine * room).div_ceil(total).min(left);
        left -= share;
        let mut kept = BTreeSet::new();
        for (key, (is_ready, _)) in group.iter() {
            if *is_ready != cut_ready {
                // Those that are not ready go before a ready one does.
                if *is_ready {
                    kept.insert(key.clone());
                }
            } else if share > 0 {
                share -= 1;
                kept.insert(key.clone());
            }
        }
        group.retain(|key, _| kept.contains(key));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: usize) -> Value {
        json!({"ip": format!("10.0.{}.{}", number / 250, number % 250), "targetRef": {"uid": number.to_string()}})
    }

    fn port(number: u64) -> Option<Value> {
        Some(json!({"name": number.to_string(), "port": number, "protocol": "TCP"}))
    }

    #[test]
    fn ports_with_the_same_addresses_share_a_subset() {
        let mut subsets = Subsets::default();
        for number in 0..2 {
            subsets.add(port(80), &address(number), number == 0);
            subsets.add(port(443), &address(number), number == 0);
        }
        subsets.add(port(9), &address(0), true);
        let (subsets, truncated) = subsets.finish();
        assert!(!truncated);
        assert_eq!(subsets.as_array().unwrap().len(), 2);
        let shared =
            subsets.as_array().unwrap().iter().find(|subset| subset.list("ports").len() == 2).unwrap();
        assert_eq!((shared.list("addresses").len(), shared.list("notReadyAddresses").len()), (1, 1));
    }

    #[test]
    fn too_many_lose_those_that_are_not_ready_first() {
        let mut subsets = Subsets::default();
        for number in 0..1200 {
            subsets.add(port(80), &address(number), number < 900);
        }
        let (made, truncated) = subsets.finish();
        assert!(truncated);
        assert_eq!((made[0].list("addresses").len(), made[0].list("notReadyAddresses").len()), (900, 100));
        let mut subsets = Subsets::default();
        for number in 0..2400 {
            subsets.add(port(if number % 2 == 0 { 80 } else { 81 }), &address(number), true);
        }
        let (made, _) = subsets.finish();
        assert_eq!(made[0].list("addresses").len() + made[1].list("addresses").len(), ADDRESSES);
    }
}
