use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::bootstrap::initial_objects;
use crate::user::User;

const SECOND_US: u64 = 1_000_000;

fn level(name: &str, shares: u32, response: &Value) -> PriorityLevel {
    PriorityLevel::from_value(&json!({"metadata":{"name":name},"spec":{"type":"Limited","limited":{
        "nominalConcurrencyShares":shares,"limitResponse":response}}}))
}

fn queue(queues: u32, hand: u32, length: u32) -> Value {
    json!({"type":"Queue","queuing":{"queues":queues,"handSize":hand,"queueLengthLimit":length}})
}

fn schema(name: &str, level: &str, precedence: i64, user: &str) -> FlowSchema {
    FlowSchema::from_value(&json!({"metadata":{"name":name},"spec":{"matchingPrecedence":precedence,
        "priorityLevelConfiguration":{"name":level},"distinguisherMethod":{"type":"ByUser"},
        "rules":[{"subjects":[{"kind":"User","user":{"name":user}}],
            "resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"namespaces":["*"],"clusterScope":true}]}]}}))
}

fn control(seats: u32, levels: Vec<PriorityLevel>) -> FlowControl {
    let mut control = FlowControl::new(Limits { seats, wait_us: 15 * SECOND_US });
    let schemas = vec![schema("all", "work", 100, "*")];
    control.step(0, Input::Configure { schemas, levels }, &mut Vec::new());
    control
}

fn ask(user: &str) -> Attributes {
    Attributes::resource(&Arc::new(User::internal(user, &[])), "get", "", "v1", "pods").within("a")
}

fn arrive(control: &mut FlowControl, now: u64, id: u64, user: &str, seats: u32) -> Vec<Effect> {
    let flow = control.classify(&ask(user));
    let mut out = Vec::new();
    control.step(now, Input::Arrive(Request { id, flow, seats }), &mut out);
    out
}

fn step(control: &mut FlowControl, now: u64, input: Input) -> Vec<Effect> {
    let mut out = Vec::new();
    control.step(now, input, &mut out);
    out
}

#[test]
fn the_default_objects_sort_requests() {
    let objects = initial_objects("2001-01-01T00:00:00Z");
    let of =
        |resource: &'static str| objects.iter().filter(move |o| o.resource == resource).map(|o| &o.object);
    let schemas = of("flowschemas").map(FlowSchema::from_value).collect();
    let levels = of("prioritylevelconfigurations").map(PriorityLevel::from_value).collect();
    let mut control = FlowControl::new(Limits { seats: 600, wait_us: SECOND_US });
    control.step(0, Input::Configure { schemas, levels }, &mut Vec::new());
    let level_of = |name: &str, groups: &[&str], ask: fn(&Arc<User>) -> Attributes| {
        let flow = control.classify(&ask(&Arc::new(User::internal(name, groups))));
        (flow.schema, flow.level, flow.distinguisher)
    };
    let pods = |user: &Arc<User>| Attributes::resource(user, "list", "", "v1", "pods").within("a");
    let lease = |user: &Arc<User>| {
        Attributes::resource(user, "update", "coordination.k8s.io", "v1", "leases").within("kube-system")
    };
    let health = |user: &Arc<User>| Attributes::path(user, "get", "/healthz");
    let three = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    let everybody = "system:authenticated";
    assert_eq!(level_of("root", &["system:masters", everybody], pods), three("exempt", "exempt", ""));
    assert_eq!(level_of("x", &["system:unauthenticated"], health), three("probes", "exempt", ""));
    assert_eq!(level_of("alice", &[everybody], pods), three("global-default", "global-default", "alice"));
    assert_eq!(level_of("system:node:n", &["system:nodes", everybody], pods).1, "system");
    assert_eq!(level_of("system:node:n", &["system:nodes", everybody], lease).1, "node-high");
    assert_eq!(level_of("system:kube-scheduler", &[everybody], lease).1, "leader-election");
    assert_eq!(
        level_of("system:kube-scheduler", &[everybody], pods),
        three("kube-scheduler", "workload-high", "a")
    );
    let account = "system:serviceaccount:kube-system:x";
    assert_eq!(
        level_of(account, &["system:serviceaccounts", everybody], pods).0,
        "kube-system-service-accounts"
    );
    let limits: u32 = control.usage().iter().map(|(_, limit, ..)| *limit).sum();
    assert!((600..=608).contains(&limits), "{limits}");
}

#[test]
fn a_level_runs_no_more_than_its_seats() {
    let mut control = control(2, vec![level("work", 1000, &queue(8, 2, 2))]);
    assert_eq!(arrive(&mut control, 0, 1, "a", 1), [Effect::Start(1)]);
    assert_eq!(arrive(&mut control, 0, 2, "a", 1), [Effect::Start(2)]);
    for id in 3..7 {
        assert_eq!(arrive(&mut control, 0, id, "a", 1), [], "{id}");
    }
    // Two queues in a's hand, two places in each.
    assert_eq!(arrive(&mut control, 0, 7, "a", 1), [Effect::Reject(7, RejectReason::QueueFull)]);
    assert_eq!(step(&mut control, 10, Input::Finish(1)).len(), 1);
    assert_eq!(step(&mut control, 11, Input::Finish(1)), []);
}

#[test]
fn without_queues_the_rest_is_rejected() {
    let mut control = control(1, vec![level("work", 1000, &json!({"type":"Reject"}))]);
    assert_eq!(arrive(&mut control, 0, 1, "a", 1), [Effect::Start(1)]);
    assert_eq!(arrive(&mut control, 0, 2, "a", 1), [Effect::Reject(2, RejectReason::ConcurrencyLimit)]);
    assert_eq!(step(&mut control, 1, Input::Finish(1)), []);
    assert_eq!(arrive(&mut control, 1, 3, "a", 5), [Effect::Start(3)]);
}

#[test]
fn a_flood_does_not_starve_another_flow() {
    let mut control = control(1, vec![level("work", 1000, &queue(64, 1, 100))]);
    assert_eq!(arrive(&mut control, 0, 0, "flood", 1), [Effect::Start(0)]);
    for id in 1..90 {
        arrive(&mut control, 0, id, "flood", 1);
    }
    for id in 100..105 {
        arrive(&mut control, 1, id, "quiet", 1);
    }
    let (mut now, mut running, mut order) = (1, 0, Vec::new());
    for _ in 0..20 {
        now += 3_000;
        let Some(Effect::Start(next)) = step(&mut control, now, Input::Finish(running)).pop() else {
            panic!()
        };
        running = next;
        order.push(next);
    }
    let quiet = order.iter().filter(|&&id| id >= 100).count();
    assert_eq!(quiet, 5, "{order:?}");
    let last = order.iter().position(|&id| id == 104).unwrap();
    assert!(last <= 11, "one each in turn: {order:?}");
}

#[test]
fn waiting_ends() {
    let mut control = control(1, vec![level("work", 1000, &queue(1, 1, 9))]);
    arrive(&mut control, 0, 1, "a", 1);
    assert_eq!(arrive(&mut control, SECOND_US, 2, "a", 1), []);
    assert_eq!(arrive(&mut control, SECOND_US, 3, "a", 1), []);
    assert_eq!(control.next_deadline_us(), Some(16 * SECOND_US));
    assert_eq!(step(&mut control, SECOND_US, Input::GiveUp(2)), []);
    assert_eq!(step(&mut control, 16 * SECOND_US, Input::Tick), [Effect::Reject(3, RejectReason::TimeOut)]);
    assert_eq!(step(&mut control, 16 * SECOND_US, Input::Finish(1)), []);
    assert_eq!(control.usage().iter().map(|(.., used, waiting)| (*used, *waiting)).max(), Some((0, 0)));
    assert!(control.places.is_empty());
}

#[test]
fn exempt_levels_never_wait() {
    let exempt = PriorityLevel::from_value(&json!({"metadata":{"name":"work"},"spec":{"type":"Exempt"}}));
    let mut control = control(1, vec![exempt]);
    for id in 0..100 {
        assert_eq!(arrive(&mut control, 0, id, "a", 1), [Effect::Start(id)]);
    }
}

#[test]
fn seats_move_to_who_needs_them() {
    let lends =
        PriorityLevel::from_value(&json!({"metadata":{"name":"idle"},"spec":{"type":"Limited","limited":{
        "nominalConcurrencyShares":50,"lendablePercent":100,"limitResponse":{"type":"Reject"}}}}));
    let mut control = control(100, vec![level("work", 45, &queue(8, 2, 100)), lends]);
    let mut started = 0;
    for id in 0..100 {
        started += arrive(&mut control, 0, id, "a", 1).len();
    }
    assert_eq!(started, 45);
    let more = step(&mut control, 11 * SECOND_US, Input::Tick).len();
    assert!(more >= 40, "{more}");
}

#[test]
fn a_level_that_is_gone_serves_what_it_has() {
    let mut control = control(1, vec![level("work", 1000, &queue(1, 1, 9))]);
    arrive(&mut control, 0, 1, "a", 1);
    arrive(&mut control, 0, 2, "a", 1);
    assert_eq!(step(&mut control, 1, Input::Configure { schemas: Vec::new(), levels: Vec::new() }), []);
    assert_eq!(control.classify(&ask("a")).level, CATCH_ALL);
    assert_eq!(step(&mut control, 2, Input::Finish(1)), [Effect::Start(2)]);
    assert_eq!(step(&mut control, 3, Input::Finish(2)), []);
    assert!(!control.levels.contains_key("work"));
}
