use super::*;
use crate::testing::TestWorld;
use trireme_schema::time::Moment;

const NOW: i64 = 1_767_225_600;

fn node(name: &str, ready: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": name, "creationTimestamp": Moment::from_unix(NOW - 1_000, 0).to_time()},
        "spec": {}, "status": {"conditions": [{"type": "Ready", "status": ready}]},
    })
}

fn lease(name: &str, renewed: Moment, noted: Option<i64>) -> Value {
    let noted = noted.map(|noted| json!([{"time": Moment::from_unix(noted, 0).to_time()}]));
    json!({
        "metadata": {"name": name, "namespace": "kube-node-lease", "managedFields": noted},
        "spec": {"renewTime": renewed.to_micro_time()},
    })
}

fn plan(world: &TestWorld, name: &str) -> Plan {
    let (key, now) = (Key::new("", name), Moment::from_unix(NOW, 0));
    NodeLifecycleController::default().reconcile(&Look { now, key: &key, world, refused: None })
}

fn updated(plan: &Plan, wanted: &str) -> Option<Value> {
    plan.writes.iter().find_map(|write| match write {
        Write::Update { object, subresource, resource }
            if *subresource == wanted && *resource == resources::NODES =>
        {
            Some(object.clone())
        }
        _ => None,
    })
}

#[test]
fn a_node_that_beats_is_looked_at_when_the_next_beat_is_overdue() {
    let mut world = TestWorld::default();
    world.put(&resources::NODES, node("a", "True"));
    world.put(&resources::LEASES, lease("a", Moment::from_unix(NOW - 1, 0), Some(NOW - 1)));
    let plan = plan(&world, "a");
    assert_eq!((plan.writes.len(), plan.again_after), (0, Some(Duration::from_millis(1_500))));
}

#[test]
fn a_node_that_says_that_it_beats_slowly_is_waited_for() {
    for (seconds, left) in [(3, Some(1_500)), (10, Some(8_500)), (3_600, Some(39_000)), (1, Some(1_500))] {
        let mut world = TestWorld::default();
        world.put(&resources::NODES, node("a", "True"));
        let mut lease = lease("a", Moment::from_unix(NOW - 1, 0), None);
        lease["spec"]["leaseDurationSeconds"] = json!(seconds);
        world.put(&resources::LEASES, lease);
        assert_eq!(plan(&world, "a").again_after, left.map(Duration::from_millis), "{seconds}");
    }
}

#[test]
fn a_silent_node_is_unknown_within_three_seconds() {
    let mut world = TestWorld::default();
    world.put(&resources::NODES, node("a", "True"));
    world.put(&resources::LEASES, lease("a", Moment::from_unix(NOW - 3, 1), Some(NOW - 3)));
    let plan = plan(&world, "a");
    let written = updated(&plan, "status").expect("its conditions change");
    let ready = condition(&written, "Ready");
    assert_eq!((ready.text("status"), ready.text("reason")), ("Unknown", "NodeStatusUnknown"));
    assert_eq!(condition(&written, "DiskPressure").text("reason"), "NodeStatusNeverUpdated");
    assert!(plan.writes.iter().any(|write| matches!(write, Write::Event { reason: "NodeNotReady", .. })));
}

#[test]
fn a_node_whose_clock_is_off_is_not_lost() {
    for renewed in [NOW - 500, NOW + 500] {
        let mut world = TestWorld::default();
        world.put(&resources::NODES, node("a", "True"));
        world.put(&resources::LEASES, lease("a", Moment::from_unix(renewed, 0), Some(NOW - 1)));
        assert!(plan(&world, "a").writes.is_empty());
        // And it is not thought alive for ever either.
        world.put(&resources::LEASES, lease("a", Moment::from_unix(renewed, 0), Some(NOW - 10)));
        assert!(!plan(&world, "a").writes.is_empty());
    }
}

#[test]
fn taints_follow_and_pods_are_not_ready_unless_all_nodes_are_lost() {
    let lost = |other: &str| {
        let mut world = TestWorld::default();
        let mut silent = node("a", "True");
        silent["status"]["conditions"] = json!(silenced(&silent, Moment::from_unix(NOW - 5, 0)));
        world.put(&resources::NODES, silent);
        world.put(&resources::NODES, node("b", other));
        let ready = json!([{"type": "Ready", "status": "True"}]);
        let pod = json!({
            "metadata": {"name": "p", "namespace": "d"}, "spec": {"nodeName": "a"}, "status": {"conditions": ready},
        });
        world.put(&resources::PODS, pod);
        plan(&world, "a")
    };
    let effects = |plan: &Plan| -> Vec<String> {
        let node = updated(plan, "").expect("it is tainted");
        node["spec"]["taints"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t["effect"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(effects(&lost("True")), ["NoSchedule", "NoExecute"]);
    assert_eq!(effects(&lost("False")), ["NoSchedule"]);
    let unready = lost("True").writes.into_iter().any(|write| {
        matches!(write, Write::Update { subresource: "status", object, resource }
            if resource == resources::PODS && object["status"]["conditions"][0]["status"] == "False")
    });
    assert!(unready);
}
