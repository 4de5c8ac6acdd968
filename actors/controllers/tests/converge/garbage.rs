//! The garbage collector.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trireme_controllers::{Controller, GarbageCollector, Propagation, Resource};

use crate::kit::{Cluster, Runner, seeds};

const THINGS: Resource = Resource::new("", "configmaps");

fn runner(seed: u64) -> Runner {
    let controllers: Vec<Box<dyn Controller>> = vec![Box::new(GarbageCollector::default())];
    let mut runner = Runner::new(seed, controllers);
    runner.collects_garbage = false;
    runner
}

fn make(runner: &mut Runner, name: &str, owners: &[&Arc<Value>], blocking: bool) -> Arc<Value> {
    let references: Vec<Value> = owners
        .iter()
        .map(|owner| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "blockOwnerDeletion": blocking,
                "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            })
        })
        .collect();
    let mut object = json!({"metadata": {"name": name, "namespace": "d"}});
    if !references.is_empty() {
        object["metadata"]["ownerReferences"] = json!(references);
    }
    let moment = runner.moment();
    runner.cluster.create(&THINGS, object, moment).expect("names are new");
    find(runner, name).expect("it was made just now")
}

fn find(runner: &Runner, name: &str) -> Option<Arc<Value>> {
    runner.cluster.find(&THINGS, "d", name)
}

fn remove(runner: &mut Runner, name: &str, how: Propagation) {
    let (object, moment) = (find(runner, name).expect("it is there"), runner.moment());
    runner.cluster.delete_with(&THINGS, &object, how, moment);
}

fn names(cluster: &Cluster) -> Vec<String> {
    let all = cluster.state.all(&THINGS);
    all.iter().map(|object| object["metadata"]["name"].as_str().expect("named").to_owned()).collect()
}

/// Random graphs: in the end exactly those are left that somebody who is left owns, or nobody ever owned.
#[test]
fn nothing_goes_while_an_owner_stays_and_nothing_stays_without() {
    seeds(1_000, |seed| {
        let mut runner = runner(seed);
        let mut owners_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let count = runner.rng.between(4, 14);
        for number in 0..count {
            let wanted = runner.rng.below(3).min(number);
            let mut owners: Vec<String> =
                (0..wanted).map(|_| format!("x{}", runner.rng.below(number))).collect();
            owners.sort();
            owners.dedup();
            let found: Vec<Arc<Value>> = owners.iter().filter_map(|name| find(&runner, name)).collect();
            let refs: Vec<&Arc<Value>> = found.iter().collect();
            let blocking = runner.rng.chance(1, 2);
            make(&mut runner, &format!("x{number}"), &refs, blocking);
            owners_of.insert(format!("x{number}"), owners);
        }
        let mut gone: Vec<String> = Vec::new();
        for _ in 0..runner.rng.between(1, 3) {
            let name = format!("x{}", runner.rng.below(count));
            if !gone.contains(&name) && find(&runner, &name).is_some() {
                let how =
                    if runner.rng.chance(1, 2) { Propagation::Foreground } else { Propagation::Background };
                remove(&mut runner, &name, how);
                gone.push(name);
            }
            for _ in 0..runner.rng.below(60) {
                runner.step(true);
            }
        }
        runner.rest();
        // What must be gone, by the definition: deleted, or owned by those only who are gone.
        let mut expected: Vec<String> = Vec::new();
        for number in 0..count {
            let name = format!("x{number}");
            let owners = &owners_of[&name];
            let lost = !owners.is_empty() && owners.iter().all(|owner| !expected.contains(owner));
            if !gone.contains(&name) && !lost {
                expected.push(name);
            }
        }
        let mut left = names(&runner.cluster);
        left.sort_by_key(|name| name[1..].parse::<u64>().expect("x and a number"));
        assert_eq!(left, expected, "owners: {owners_of:?}, deleted: {gone:?}");
        for object in runner.cluster.state.all(&THINGS) {
            for reference in object["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
                let name = reference["name"].as_str().expect("named").to_owned();
                assert!(expected.contains(&name), "{object} refers to {name}, which is gone");
            }
        }
    });
}

#[test]
fn in_the_foreground_dependents_go_first() {
    seeds(250, |seed| {
        let mut runner = runner(seed);
        let owner = make(&mut runner, "owner", &[], false);
        let child = make(&mut runner, "child", &[&owner], true);
        make(&mut runner, "grandchild", &[&child], true);
        runner.laws.push(Box::new(|cluster| {
            let left = names(cluster);
            let has = |name: &str| left.iter().any(|other| other == name);
            assert!(has("owner") || !has("child"), "{left:?}");
            assert!(has("child") || !has("grandchild"), "{left:?}");
        }));
        remove(&mut runner, "owner", Propagation::Foreground);
        runner.rest();
        assert!(names(&runner.cluster).is_empty());
    });
}

/// Rings of owners, each of which keeps the next from going first; some owners are deleted by hand, in any way.
#[test]
fn rings_of_owners_go_however_they_are_deleted() {
    seeds(500, |seed| {
        let mut runner = runner(seed);
        let count = runner.rng.between(1, 5);
        let ring: Vec<String> = (0..count).map(|number| format!("r-{number}")).collect();
        for name in &ring {
            make(&mut runner, name, &[], false);
        }
        for (at, name) in ring.iter().enumerate() {
            let owner = find(&runner, &ring[(at + 1) % ring.len()]).expect("it was made just now");
            let mut object = (*find(&runner, name).expect("it was made just now")).clone();
            object["metadata"]["ownerReferences"] = json!([{
                "apiVersion": "v1", "kind": "ConfigMap", "blockOwnerDeletion": true,
                "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"],
            }]);
            runner.cluster.update(&THINGS, "", &object).expect("the latest");
        }
        let hit = runner.rng.between(1, count);
        for name in ring.iter().take(usize::try_from(hit).expect("few")) {
            let how = if runner.rng.chance(3, 4) { Propagation::Foreground } else { Propagation::Background };
            if find(&runner, name).is_some() {
                remove(&mut runner, name, how);
            }
            for _ in 0..runner.rng.below(40) {
                runner.step(true);
            }
        }
        runner.rest();
        assert_eq!(names(&runner.cluster), [""; 0]);
    });
}

#[test]
fn orphans_stay_and_forget_their_owner() {
    seeds(250, |seed| {
        let mut runner = runner(seed);
        let owner = make(&mut runner, "owner", &[], false);
        let other = make(&mut runner, "other", &[], false);
        make(&mut runner, "child", &[&owner], true);
        make(&mut runner, "shared", &[&owner, &other], true);
        remove(&mut runner, "owner", Propagation::Orphan);
        for _ in 0..runner.rng.below(50) {
            runner.step(true);
        }
        runner.rest();
        assert_eq!(names(&runner.cluster), ["child", "other", "shared"]);
        assert!(find(&runner, "child").unwrap()["metadata"]["ownerReferences"].is_null());
        let left = &find(&runner, "shared").unwrap()["metadata"]["ownerReferences"];
        assert_eq!(left.as_array().unwrap().len(), 1);
        assert_eq!(left[0]["name"], "other");
    });
}

#[test]
fn an_owner_in_another_namespace_is_no_owner() {
    let mut runner = runner(1);
    let stranger = json!({"metadata": {"name": "owner", "namespace": "other"}});
    let moment = runner.moment();
    runner.cluster.create(&THINGS, stranger, moment).unwrap();
    let owner = runner.cluster.find(&THINGS, "other", "owner").unwrap();
    make(&mut runner, "child", &[&owner], false);
    runner.rest();
    assert_eq!(names(&runner.cluster), ["owner"]);
}
