//! A running cluster of three processes in which every actor is panicked twenty times while requests flow: no
//! process ends, every request is answered or refused with a typed error, and the tree is whole again afterwards.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use support::{CALL_LIMIT, Cluster};
use trireme_core::Rng;
use trireme_faults::{ArmedFault, FaultId, FaultPoint, FaultRule, MailboxAction, MailboxRule};
use trireme_kernel::{ActorReport, CallError};
use trireme_process::cluster::{ListMembers, ListTokens};
use trireme_process::{ArmFault, Client, HealFaults, Inspect, ListFaults};

const ROUNDS: u64 = 20;
/// What runs on the leader only.
const SCOPE: &str = "/cluster/**";
/// How long a fault may take to meet its actor, and the tree to be whole again.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn every_actor_panics_twenty_times_while_requests_flow() {
    let cluster = Cluster::start(3, 0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let servers = cluster.clients().await;
        let mut shapes = Vec::new();
        for server in &servers {
            shapes.push(own(server, actors(server).await).into_keys().collect::<BTreeSet<_>>());
        }
        assert!(shapes.iter().all(|shape| shape.len() >= 10), "{shapes:?}");
        let flow = Flow::start(&servers);
        let mut rng = Rng::new(7);
        for round in 0..ROUNDS {
            for (server, shape) in servers.iter().zip(&shapes) {
                panic_all(server, shape, round, &mut rng).await;
            }
        }
        let (answered, refused) = flow.stop().await;
        for (server, shape) in servers.iter().zip(&shapes) {
            let after = whole_again(server, shape).await;
            for (path, actor) in &after {
                assert!(
                    actor.restarts >= ROUNDS,
                    "{path} was panicked {ROUNDS} times but restarted {}",
                    actor.restarts
                );
            }
        }
        assert!(answered > 1_000, "requests flowed: {answered} answered, {refused} refused");
        println!("{answered} requests answered, {refused} refused with a typed error");
    });
    let said = cluster.stop();
    assert!(!said.contains(" ended ("), "a process ended: {said}");
}

/// Arms one panic for each actor of a server, in random order, and waits until each was met.
async fn panic_all(server: &Client, shape: &BTreeSet<String>, round: u64, rng: &mut Rng) {
    let mut order: Vec<&String> = shape.iter().collect();
    for last in (1..order.len()).rev() {
        let other = rng.index(last + 1).expect("there is at least one");
        order.swap(last, other);
    }
    for (index, path) in order.iter().enumerate() {
        let rule = FaultRule {
            id: FaultId(format!("r{round}-{index}")),
            point: FaultPoint::Mailbox(MailboxRule {
                path_glob: (*path).clone(),
                action: MailboxAction::Panic,
            }),
            probability_per_mille: 1_000,
            seed: round,
            max_hits: Some(1),
            dead_man_ms: 600_000,
        };
        // The desk itself is among those that panic: an answer that is lost is asked for again.
        insist("arm", || async {
            match server.call("faults", ArmFault { rule: rule.clone() }).await {
                Err(CallError::Refused { reason, .. }) if reason.contains("armed already") => Ok(()),
                other => other.map(|_| ()),
            }
        })
        .await;
    }
    // The leader's scope panics along where it happens to be; nobody waits for that.
    let scope = FaultRule {
        id: FaultId(format!("r{round}-scope")),
        point: FaultPoint::Mailbox(MailboxRule { path_glob: SCOPE.to_owned(), action: MailboxAction::Panic }),
        probability_per_mille: 1_000,
        seed: round,
        max_hits: Some(2),
        dead_man_ms: 600_000,
    };
    let _lost = server.call("faults", ArmFault { rule: scope }).await;
    let since = Instant::now();
    loop {
        let faults = insist("list", || server.call("faults", ListFaults {})).await;
        // Of this round's own faults; the leader's scope and the nudges below may meet nobody.
        let own = |fault: &&ArmedFault| {
            fault.hits == 0 && fault.rule.id.0.starts_with('r') && !fault.rule.id.0.ends_with("scope")
        };
        let left: Vec<_> = faults.iter().filter(own).map(|fault| &fault.rule.point).collect();
        if left.is_empty() {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "faults that met nobody: {left:?}");
        // Arming pokes; an actor that was just restarting is met this way.
        let nudge = FaultRule {
            id: FaultId(format!("nudge-{}", since.elapsed().as_micros())),
            point: FaultPoint::Mailbox(MailboxRule {
                path_glob: "/nobody".to_owned(),
                action: MailboxAction::Drop,
            }),
            probability_per_mille: 1_000,
            seed: 1,
            max_hits: None,
            dead_man_ms: 1,
        };
        let _lost = server.call("faults", ArmFault { rule: nudge }).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    insist("heal", || server.call("faults", HealFaults {})).await;
}

/// Repeats a call that does no harm when repeated, until it is answered.
async fn insist<T, F>(what: &str, call: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, CallError>>,
{
    let since = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(since.elapsed() < PATIENCE, "{what}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn actors(server: &Client) -> BTreeMap<String, ActorReport> {
    let trees =
        insist("inspect", || server.call("inspect", Inspect { prefix: None, everywhere: false })).await;
    trees[0].actors.iter().map(|actor| (actor.path.to_string(), actor.clone())).collect()
}

/// Without what runs on the leader only: which server that is may change while things panic.
fn own(server: &Client, mut actors: BTreeMap<String, ActorReport>) -> BTreeMap<String, ActorReport> {
    let machine = format!("/{}", server.server());
    actors.retain(|path, _| path == "/" || path.starts_with(&machine));
    actors
}

async fn whole_again(server: &Client, shape: &BTreeSet<String>) -> BTreeMap<String, ActorReport> {
    let since = Instant::now();
    loop {
        let now = own(server, actors(server).await);
        let down: Vec<_> = now.values().filter(|actor| !actor.alive).map(|actor| &actor.path).collect();
        if down.is_empty() && now.keys().eq(shape.iter()) {
            return now;
        }
        assert!(since.elapsed() < PATIENCE, "the tree is not whole: down {down:?}, has {:?}", now.keys());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Requests that flow to every server until stopped.
struct Flow {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Flow {
    fn start(servers: &[Arc<Client>]) -> Self {
        let mut flow = Self {
            stop: Arc::default(),
            answered: Arc::default(),
            refused: Arc::default(),
            tasks: Vec::new(),
        };
        for server in servers {
            let (server, stop) = (Arc::clone(server), Arc::clone(&flow.stop));
            let (answered, refused) = (Arc::clone(&flow.answered), Arc::clone(&flow.refused));
            flow.tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    for outcome in one_of_each(&server).await {
                        let counter = if outcome.is_ok() { &answered } else { &refused };
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }));
        }
        flow
    }

    /// What was answered and what was refused. A request that never ended would have panicked its task.
    async fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("every request ended in time");
        }
        (self.answered.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }
}

async fn one_of_each(server: &Client) -> [Result<(), CallError>; 3] {
    async fn ended<T>(call: impl Future<Output = Result<T, CallError>>) -> Result<(), CallError> {
        let outcome = tokio::time::timeout(CALL_LIMIT * 2, call).await;
        outcome.expect("a request ends by its deadline").map(|_| ())
    }
    [
        ended(server.call("cluster", ListMembers {})).await,
        ended(server.call("cluster", ListTokens {})).await,
        ended(server.call("inspect", Inspect { prefix: None, everywhere: true })).await,
    ]
}
