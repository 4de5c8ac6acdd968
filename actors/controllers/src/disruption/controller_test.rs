use super::*;
use crate::testing::TestWorld;

fn world(budget: Value, healthy: usize, sick: usize) -> TestWorld {
    let mut world = TestWorld::default();
    world.put(
        &resources::DISRUPTION_BUDGETS,
        json!({
            "metadata": {"name": "b", "namespace": "d", "uid": "b", "generation": 3},
            "spec": budget, "status": {},
        }),
    );
    let owner = |kind: &str, uid: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": uid, "uid": uid, "controller": true}]);
    world.put(
        &resources::DEPLOYMENTS,
        json!({"metadata": {"name": "dep", "namespace": "d", "uid": "dep"}, "spec": {"replicas": 5}}),
    );
    for set in ["old", "new"] {
        let references = owner("Deployment", "dep");
        world.put(
            &resources::REPLICA_SETS,
            json!({
                "metadata": {"name": set, "namespace": "d", "uid": set, "ownerReferences": references},
                "spec": {"replicas": 3},
            }),
        );
    }
    for number in 0..healthy + sick {
        let ready = if number < healthy { "True" } else { "False" };
        world.put(
            &resources::PODS,
            json!({
                "metadata": {
                    "name": format!("p{number}"), "namespace": "d", "uid": format!("p{number}"),
                    "labels": {"app": "a"},
                    "ownerReferences": owner("ReplicaSet", if number % 2 == 0 { "old" } else { "new" }),
                },
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }),
        );
    }
    world
}

fn spec(name: &str, value: Value) -> Value {
    json!({"selector": {"matchLabels": {"app": "a"}}, name: value})
}

fn plan(world: &TestWorld) -> Plan {
    let (key, now) = (Key::new("d", "b"), Moment::from_unix(1_000, 0));
    DisruptionController::default().reconcile(&Look { now, key: &key, world, refused: None })
}

fn status(plan: &Plan) -> Value {
    let found = plan.writes.iter().find_map(|write| match write {
        Write::Update { object, subresource: "status", .. } => Some(object["status"].clone()),
        _ => None,
    });
    found.expect("it says something")
}

#[test]
fn what_is_healthy_beyond_what_must_be_may_go() {
    // The two sets of a Deployment count once: five are expected.
    for (budget, healthy, sick, expected) in [
        (spec("maxUnavailable", json!(1)), 5, 0, (5, 4, 1)),
        (spec("maxUnavailable", json!(1)), 4, 1, (5, 4, 0)),
        (spec("maxUnavailable", json!("30%")), 5, 0, (5, 3, 2)),
        (spec("minAvailable", json!("50%")), 5, 0, (5, 3, 2)),
        (spec("minAvailable", json!(4)), 5, 1, (6, 4, 1)),
        (spec("minAvailable", json!(4)), 2, 0, (2, 4, 0)),
    ] {
        let status = status(&plan(&world(budget.clone(), healthy, sick)));
        let (all, desired, allowed) = expected;
        assert_eq!(status["expectedPods"], all, "{budget}");
        assert_eq!(status["desiredHealthy"], desired, "{budget}");
        assert_eq!(status["disruptionsAllowed"], allowed, "{budget}");
        let condition = &status["conditions"][0];
        let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
        assert_eq!((&condition["reason"], &condition["observedGeneration"]), (&json!(reason), &json!(3)));
    }
}

#[test]
fn pods_that_are_being_evicted_do_not_count_as_healthy() {
    let mut world = world(spec("maxUnavailable", json!(2)), 5, 0);
    let mut budget = (*resources::DISRUPTION_BUDGETS.get(&world, "d", "b").unwrap()).clone();
    let just_now = Moment::from_unix(990, 0).to_time();
    let long_ago = Moment::from_unix(100, 0).to_time();
    budget["status"]["disruptedPods"] = json!({"p0": just_now, "p1": long_ago, "gone": just_now});
    world.put(&resources::DISRUPTION_BUDGETS, budget);
    let plan = plan(&world);
    let status = status(&plan);
    assert_eq!((&status["currentHealthy"], &status["disruptionsAllowed"]), (&json!(4), &json!(1)));
    assert_eq!(status["disruptedPods"].as_object().unwrap().len(), 1);
    assert_eq!(plan.again_after, Some(Duration::from_secs(110)));
    assert!(plan.writes.iter().any(|write| matches!(write, Write::Event { reason: "NotDeleted", .. })));
}

#[test]
fn what_cannot_be_computed_allows_nothing() {
    let mut world = world(spec("maxUnavailable", json!(1)), 5, 0);
    let mut pod = (*resources::PODS.get(&world, "d", "p0").unwrap()).clone();
    pod["metadata"]["ownerReferences"][0]["kind"] = json!("Unknown");
    world.put(&resources::PODS, pod);
    let plan = plan(&world);
    let status = status(&plan);
    assert_eq!(status["disruptionsAllowed"], 0);
    assert_eq!(status["conditions"][0]["reason"], "SyncFailed");
    assert_eq!(status["conditions"][0]["message"], "found no controllers for pod \"p0\"");
}
