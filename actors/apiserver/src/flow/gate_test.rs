use serde_json::{Value, json};
use trireme_access::User;
use trireme_schema::objects::MemoryObjects;

use super::*;

fn configuration(queues: u32) -> MemoryObjects {
    let mut objects = MemoryObjects::default();
    let schema = |name: &str, user: &str, level: &str| -> Value {
        json!({"metadata": {"name": name, "uid": format!("uid-of-{name}")}, "spec": {
            "matchingPrecedence": 100, "priorityLevelConfiguration": {"name": level},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [{"subjects": [{"kind": "User", "user": {"name": user}}],
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
                    "namespaces": ["*"], "clusterScope": true}]}]}})
    };
    let level = |name: &str, spec: Value| -> Value {
        json!({"metadata": {"name": name, "uid": format!("uid-of-level-{name}")}, "spec": spec})
    };
    for object in [schema("all", "*", "small"), schema("a-root", "root", "free")] {
        objects.put(GROUP, SCHEMAS, object);
    }
    let response =
        json!({"type": "Queue", "queuing": {"queues": queues, "handSize": 1, "queueLengthLimit": 2}});
    objects.put(GROUP, LEVELS, level("free", json!({"type": "Exempt"})));
    objects.put(
        GROUP,
        LEVELS,
        level(
            "small",
            json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 1000,
            "lendablePercent": 0, "limitResponse": response}}),
        ),
    );
    objects
}

fn ask(user: &str) -> Attributes {
    Attributes {
        user: Arc::new(User::internal(user, &[])),
        verb: "get".to_owned(),
        resource: "pods".to_owned(),
        resource_request: true,
        ..Attributes::default()
    }
}

#[tokio::test]
async fn the_flooded_level_queues_rejects_and_goes_on_in_turn() {
    let objects = configuration(64);
    let gate = FlowGate::new(1, Duration::from_secs(15));
    let first = gate.enter(&objects, &ask("flood"), |_| 1).await.ok().expect("a free seat");
    assert_eq!(first.label.schema_uid, "uid-of-all");
    assert_eq!(first.label.level_uid, "uid-of-level-small");
    // Exempt requests never wait.
    assert!(gate.enter(&objects, &ask("root"), |_| 1).await.ok().expect("exempt").seat.is_none());
    let spawn = |user: &'static str| {
        let (gate, objects) = (gate.clone(), objects.clone());
        tokio::spawn(async move { gate.enter(&objects, &ask(user), |_| 1).await.ok() })
    };
    let waiting: Vec<_> = (0..2).map(|_| spawn("flood")).collect();
    tokio::task::yield_now().await;
    let turned = gate.enter(&objects, &ask("flood"), |_| 1).await;
    assert!(turned.is_err(), "its queue is full");
    let other = spawn("quiet");
    tokio::task::yield_now().await;
    assert!(!other.is_finished());
    drop(first);
    // One of the flood and the quiet one come in turn: it does not stand behind the whole flood.
    let mut passed = 0;
    let mut waiting = waiting.into_iter();
    while !other.is_finished() {
        assert!(passed < 2, "the quiet flow starves");
        tokio::task::yield_now().await;
        if !other.is_finished() {
            drop(waiting.next().expect("one of the flood").await.expect("no panic").expect("a seat"));
            passed += 1;
        }
    }
    let mut text = String::new();
    gate.render(&mut text);
    let line = "apiserver_flowcontrol_rejected_requests_total{flow_schema=\"all\",priority_level=\"small\",\
                reason=\"queue-full\"} 1";
    assert!(text.contains(line), "{text}");
}

#[tokio::test]
async fn a_wait_ends_and_a_client_that_leaves_gives_its_place_back() {
    let objects = configuration(1);
    let gate = FlowGate::new(1, Duration::from_millis(200));
    let first = gate.enter(&objects, &ask("a"), |_| 1).await.ok().expect("a free seat");
    {
        let leaves = ask("b");
        let entering = gate.enter(&objects, &leaves, |_| 1);
        let gone = tokio::time::timeout(Duration::from_millis(1), entering).await;
        assert!(gone.is_err(), "it waited, and its client left");
    }
    assert_eq!(gate.inner.lock().waiting.len(), 0);
    assert!(gate.enter(&objects, &ask("c"), |_| 1).await.is_err(), "nobody waits for ever");
    drop(first);
    let again = gate.enter(&objects, &ask("d"), |_| 1).await;
    assert!(again.is_ok(), "all seats are free again");
    drop(again);
    assert!(gate.inner.lock().core.usage().iter().all(|(_, _, used, waiting)| *used == 0 && *waiting == 0));
}
