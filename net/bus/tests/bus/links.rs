//! Links under a kernel: dialling, duplicates, restarts, migration, the registry's calls.

use crate::kit::*;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use trireme_bus::{Bus, BusClock, IdentityKind, Liveness, RegistryService, Service};
use trireme_faults::Faults;
use trireme_kernel::{
    ActorSpec, Behaviour, Call, CallError, CallOptions, Context, Kernel, KernelConfig, Reply, SupervisorSpec,
};
use trireme_pki::TlsProfile;

#[derive(Serialize, Deserialize)]
struct Greet(String);

impl Call for Greet {
    type Answer = String;
    const NAME: &'static str = "greet";
}

struct Greeter(String);

impl Behaviour for Greeter {
    type Input = (String, Reply<String>);

    fn handle(&mut self, (who, reply): Self::Input, _: &mut Context<Self>) {
        reply.answer(format!("{} greets {who}", self.0));
    }
}

/// A machine: kernel, bus, one actor.
struct Machine {
    kernel: Kernel,
    bus: Bus,
}

impl Machine {
    fn start(cluster: &Cluster, role: &str, name: &str) -> Self {
        Self::start_with(cluster, role, name, None)
    }

    fn start_with(cluster: &Cluster, role: &str, name: &str, service: Option<Arc<dyn Service>>) -> Self {
        let identity = if role == "node" { cluster.node(name) } else { cluster.server(name) };
        Self::start_as(cluster.profile(&identity), role, name, service)
    }

    fn start_as(profile: TlsProfile, role: &str, name: &str, service: Option<Arc<dyn Service>>) -> Self {
        let faults = Faults::new();
        let config =
            KernelConfig { faults: faults.clone(), io_threads: 1, arbiters: 1, ..KernelConfig::new(name) };
        let kernel = Kernel::start(config).unwrap();
        let own = kernel.root().add_supervisor(SupervisorSpec::new(format!("{role}/{name}"))).unwrap();
        let text = name.to_owned();
        let greeter = ActorSpec::new("greeter", move |_| Greeter(text.clone()))
            .call_from::<Greet>(|caller, Greet(what), reply| (format!("{caller} with {what}"), reply));
        own.add(greeter).unwrap();
        let service = service.unwrap_or_else(|| Arc::new(RegistryService::new(kernel.registry())));
        let options = Options {
            listen: role == "server",
            service,
            faults,
            clock: BusClock::continuing(kernel.now()),
            io: Some(kernel.io().clone()),
            ..Options::default()
        };
        let bus = bus(profile, options);
        bus.attach(&kernel, &own).unwrap();
        Self { kernel, bus }
    }

    fn address(&self) -> SocketAddr {
        self.bus.listen_address().unwrap()
    }

    async fn greet(&self, target: &str) -> Result<String, CallError> {
        let options = CallOptions::within(Duration::from_secs(10));
        self.kernel.registry().call(&path(target), Greet("a call".into()), options).await
    }

    async fn connected(&self, kind: IdentityKind, name: &str) -> u64 {
        until("a session", || {
            let sessions = self.bus.peers();
            let mut of_peer =
                sessions.iter().filter(|s| s.peer.kind == kind && *s.peer.name == *name && !s.draining);
            of_peer.next().map(|session| session.session)
        })
        .await
    }

    fn link_state(&self, own: &str, link: &str) -> Option<String> {
        let at = path(&format!("{own}/bus/peer/{link}"));
        self.kernel.registry().report(&at).first().map(|report| report.state.to_string())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_calls_actors_on_other_machines_both_ways() {
    let cluster = Cluster::new();
    let (one, node) = (Machine::start(&cluster, "server", "s1"), Machine::start(&cluster, "node", "n1"));
    let early = node.greet("/server/s1/greeter").await;
    assert!(matches!(early, Err(CallError::Unreachable { .. })), "{early:?}");
    // The agent dials; requests go both ways over what it dialled.
    node.bus.set_peer(IdentityKind::Server, "s1", vec![one.address()]);
    node.connected(IdentityKind::Server, "s1").await;
    one.connected(IdentityKind::Node, "n1").await;
    assert_eq!(one.greet("/node/n1/greeter").await.unwrap(), "n1 greets server:s1 with a call");
    assert_eq!(one.greet("/server/s1/greeter").await.unwrap(), "s1 greets local with a call");
    let denied = node.greet("/server/s1/greeter").await;
    assert!(matches!(denied, Err(CallError::Denied { .. })), "{denied:?}");
    let absent = one.greet("/node/n1/nobody").await;
    assert!(matches!(absent, Err(CallError::NoSuchActor { .. })), "{absent:?}");
    let nowhere = one.greet("/server/s7/greeter").await;
    assert!(matches!(nowhere, Err(CallError::Unreachable { .. })), "{nowhere:?}");
    let leaderless = one.greet("/cluster/greeter").await;
    assert!(matches!(leaderless, Err(CallError::Unreachable { .. })), "{leaderless:?}");
    until("the links say so", || (node.link_state("/node/n1", "s1")? == "connected").then_some(())).await;
    until("the other too", || (one.link_state("/server/s1", "node:n1")? == "connected").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_the_leader_follow_it() {
    let cluster = Cluster::new();
    let (one, two) = (Machine::start(&cluster, "server", "s1"), Machine::start(&cluster, "server", "s2"));
    one.kernel
        .root()
        .add(
            ActorSpec::new("cluster/greeter", |_| Greeter("leader".into()))
                .call::<Greet>(|Greet(what), reply| (what, reply)),
        )
        .unwrap();
    two.bus.set_peer(IdentityKind::Server, "s1", vec![one.address()]);
    two.connected(IdentityKind::Server, "s1").await;
    two.bus.set_leader(Some("s1"));
    assert_eq!(two.greet("/cluster/greeter").await.unwrap(), "leader greets a call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_both_dial_one_connection_stays_and_no_call_fails() {
    let cluster = Cluster::new();
    for _ in 0..5 {
        let (one, two) = (Machine::start(&cluster, "server", "s1"), Machine::start(&cluster, "server", "s2"));
        one.bus.set_peer(IdentityKind::Server, "s2", vec![two.address()]);
        two.bus.set_peer(IdentityKind::Server, "s1", vec![one.address()]);
        one.connected(IdentityKind::Server, "s2").await;
        two.connected(IdentityKind::Server, "s1").await;
        for _ in 0..50 {
            one.greet("/server/s2/greeter").await.unwrap();
            two.greet("/server/s1/greeter").await.unwrap();
        }
        let settled = || (one.bus.peers().len() == 1 && two.bus.peers().len() == 1).then_some(());
        until("one session at each end", settled).await;
        one.greet("/server/s2/greeter").await.unwrap();
        two.greet("/server/s1/greeter").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_peer_is_dialled_again_and_addresses_may_change() {
    let cluster = Cluster::new();
    let (one, two) = (Machine::start(&cluster, "server", "s1"), Machine::start(&cluster, "server", "s2"));
    two.bus.set_peer(IdentityKind::Server, "s1", vec![one.address()]);
    let first = two.connected(IdentityKind::Server, "s1").await;
    let gone = one.address();
    one.bus.shutdown(Duration::from_secs(2)).await;
    one.kernel.shutdown(Duration::from_secs(5)).await;
    drop(one);
    until("the session is gone", || two.bus.peers().is_empty().then_some(())).await;
    let lost = two.greet("/server/s1/greeter").await;
    assert!(matches!(lost, Err(CallError::Unreachable { .. })), "{lost:?}");
    // It comes back on another port, which the link learns at run time.
    let one = Machine::start(&cluster, "server", "s1");
    assert_ne!(gone, one.address());
    two.bus.set_peer(IdentityKind::Server, "s1", vec![gone, one.address()]);
    let second = two.connected(IdentityKind::Server, "s1").await;
    assert_ne!(first, second);
    assert_eq!(two.greet("/server/s1/greeter").await.unwrap(), "s1 greets server:s2 with a call");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killing_the_bus_actors_loses_no_session_and_no_call() {
    let cluster = Cluster::new();
    let service = Arc::new(TestService::default());
    let one = Machine::start_with(&cluster, "server", "s1", Some(service.clone()));
    let two = Machine::start(&cluster, "server", "s2");
    two.bus.set_peer(IdentityKind::Server, "s1", vec![one.address()]);
    let session = two.connected(IdentityKind::Server, "s1").await;
    one.connected(IdentityKind::Server, "s2").await;
    let peer = two.bus.peer(IdentityKind::Server, "s1").unwrap();
    let work = call(&peer, "wait", "1500");
    let kills = async {
        until("the work runs", || (service.running.load(Ordering::SeqCst) == 1).then_some(())).await;
        for (machine, actor) in [
            (&two, "/server/s2/bus/peer/s1"),
            (&one, "/server/s1/bus/peer/s2"),
            (&one, "/server/s1/bus/accept"),
        ] {
            until(actor, || machine.kernel.registry().kill(&path(actor)).then_some(())).await;
        }
    };
    let (answer, ()) = tokio::join!(work, kills);
    assert_eq!(answer.unwrap(), "waited");
    until("the link adopts the session", || {
        (two.link_state("/server/s2", "s1")? == "connected").then_some(())
    })
    .await;
    assert_eq!(two.connected(IdentityKind::Server, "s1").await, session);
    // The door opens again.
    let three = Machine::start(&cluster, "server", "s3");
    three.bus.set_peer(IdentityKind::Server, "s1", vec![one.address()]);
    three.connected(IdentityKind::Server, "s1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_migrates_to_another_socket_with_its_calls() {
    let pair = pair().await;
    let calls = (0..200_u32).map(|n| {
        let peer = pair.peer.clone();
        async move { call(&peer, "wait", Bytes::from((n % 10 * 50).to_string())).await }
    });
    let calls = tokio::spawn(futures_util::future::join_all(calls.collect::<Vec<_>>()));
    until("they run", || (pair.service.running.load(Ordering::SeqCst) > 100).then_some(())).await;
    let session = pair.peer.report().session;
    let moved = pair.two.rebind(localhost()).unwrap();
    assert_ne!(moved.port(), 0);
    for answer in soon("all answers", calls).await.unwrap() {
        assert_eq!(answer.unwrap(), "waited");
    }
    assert_eq!(call(&pair.peer, "echo", "x").await.unwrap(), "x");
    assert_eq!(pair.peer.report().session, session);
    assert_eq!(pair.two.peers().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_peer_is_closed_and_not_dialled_again() {
    let cluster = Cluster::new();
    let (one, two) = (Machine::start(&cluster, "server", "s1"), Machine::start(&cluster, "server", "s2"));
    two.bus.set_peer(IdentityKind::Server, "s1", vec![one.address()]);
    two.connected(IdentityKind::Server, "s1").await;
    let mut events = two.bus.events();
    two.bus.remove_peer(IdentityKind::Server, "s1");
    let down = soon("it goes down", events.recv()).await.unwrap();
    assert_eq!(down.liveness, Liveness::Down);
    until("the link is gone", || two.link_state("/server/s2", "s1").is_none().then_some(())).await;
    assert!(two.bus.peers().is_empty());
}
