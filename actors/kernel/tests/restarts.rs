//! Restarts: panics, mailboxes kept, stalls, timers and I/O of the dead, supervisors that die.

mod common;

use std::time::Duration;

use common::{
    Ask, LONG, Log, Options, endless, is_whole, kernel, kernel_with, path, probe, probe_with, quick,
    report_of, run, until,
};
use trireme_core::Rng;
use trireme_faults::Faults;
use trireme_kernel::supervision::{Incarnation, Intensity, RestartMode, Strategy, WhenExceeded};
use trireme_kernel::{ActorPath, CallError, Kernel, SupervisorSpec};

fn logged() -> (Log, Options) {
    let log = Log::default();
    (log.clone(), Options { log, ..Options::default() })
}

fn supervisor(name: &str) -> SupervisorSpec {
    SupervisorSpec::new(name).intensity(endless()).back_off(quick())
}

#[test]
fn panic_brings_a_new_incarnation_behind_the_same_address() {
    let kernel = kernel();
    let actor = kernel.root().add(probe("a")).unwrap();
    run(&kernel, async {
        assert_eq!(actor.ask(|reply| Ask::Add(5, reply), LONG).await, Ok(5));
        let error = actor.ask(|reply| Ask::Panic(Some(reply)), LONG).await.unwrap_err();
        assert_eq!(error, CallError::Restarted { path: path("/a") });
        assert_eq!(actor.ask(Ask::Count, LONG).await, Ok(0), "state is new");
        assert_eq!(actor.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(2)));
    });
    let report = report_of(&kernel, "/a").unwrap();
    assert_eq!(report.restarts, 1);
    let error = report.last_error.unwrap();
    assert!(error.contains("told to panic") && error.contains("handling panic"), "{error}");
    assert!(error.contains("common/mod.rs"), "the place is named: {error}");
}

#[test]
fn mailbox_is_kept_over_a_panic() {
    let kernel = kernel();
    let (log, options) = logged();
    let actor = kernel.root().add(probe_with("a", options)).unwrap();
    run(&kernel, async {
        actor.ask(Ask::Count, LONG).await.unwrap();
        actor.send(Ask::Block(Duration::from_millis(100))).unwrap();
        actor.send(Ask::Panic(None)).unwrap();
        for _ in 0..500 {
            actor.send(Ask::Note("kept")).unwrap();
        }
        let last = actor.ask(Ask::Incarnation, LONG).await;
        assert_eq!(last, Ok(Incarnation(2)));
        assert_eq!(log.count("a:kept"), 500);
    });
}

#[test]
fn stashed_replies_of_a_dead_incarnation_answer_restarted() {
    let kernel = kernel();
    let actor = kernel.root().add(probe("a")).unwrap();
    run(&kernel, async {
        let asker = actor.clone();
        let stashed = tokio::spawn(async move { asker.ask(Ask::Stash, LONG).await });
        let asker = actor.clone();
        let in_io = tokio::spawn(async move { asker.ask(|reply| Ask::Io(LONG, reply), LONG).await });
        until("both are taken", || report_of(&kernel, "/a").unwrap().handled == 2).await;
        actor.send(Ask::Panic(None)).unwrap();
        assert!(matches!(stashed.await.unwrap(), Err(CallError::Restarted { .. })));
        assert!(matches!(in_io.await.unwrap(), Err(CallError::Restarted { .. })));
    });
}

#[test]
fn failed_starts_are_tried_again() {
    let kernel = kernel();
    let (log, options) = logged();
    *options.failing_starts.lock() = 3;
    *options.failing_factories.lock() = 2;
    let actor = kernel.root().add(probe_with("a", options)).unwrap();
    run(&kernel, async {
        assert_eq!(actor.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(6)));
    });
    assert_eq!(log.count("a:started"), 1);
    assert!(report_of(&kernel, "/a").unwrap().last_error.unwrap().contains("told not to start"));
}

#[test]
fn restart_modes() {
    let kernel = kernel();
    let root = kernel.root();
    let transient = root.add(probe("transient").restart(RestartMode::Transient)).unwrap();
    let temporary = root.add(probe("temporary").restart(RestartMode::Temporary)).unwrap();
    let permanent = root.add(probe("permanent")).unwrap();
    run(&kernel, async {
        transient.send(Ask::Fail).unwrap();
        assert_eq!(transient.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(2)));
        transient.send(Ask::Stop).unwrap();
        until("it is finished", || report_of(&kernel, "/transient").unwrap().state == "finished").await;

        permanent.send(Ask::Stop).unwrap();
        assert_eq!(permanent.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(2)));

        let waits = temporary.clone();
        let stashed = tokio::spawn(async move { waits.ask(Ask::Stash, LONG).await });
        until("it is taken", || report_of(&kernel, "/temporary").unwrap().handled == 1).await;
        temporary.send(Ask::Panic(None)).unwrap();
        temporary.closed().await;
        assert!(stashed.await.unwrap().is_err());
        assert!(matches!(temporary.ask(Ask::Count, LONG).await, Err(CallError::Stopped { .. })));
        assert!(report_of(&kernel, "/temporary").is_none());

        root.restart("transient").unwrap();
        assert_eq!(transient.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(3)));
    });
}

#[test]
fn timers_of_dead_incarnations_never_fire() {
    let kernel = kernel();
    let (log, options) = logged();
    let actor = kernel.root().add(probe_with("a", options)).unwrap();
    run(&kernel, async {
        actor.send(Ask::Arm(Duration::from_millis(300))).unwrap();
        until("the timer is armed", || kernel.report().timers == 1).await;
        actor.send(Ask::Panic(None)).unwrap();
        assert_eq!(actor.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(2)));
        assert_eq!(kernel.report().timers, 0, "the dead incarnation's timer is gone");
        actor.send(Ask::Arm(Duration::from_millis(600))).unwrap();
        until("the living one's timer fires", || log.count("a:timer@2") == 1).await;
        assert_eq!(log.count("a:timer@1"), 0);
        until("no timer is left", || kernel.report().timers == 0).await;
    });
}

#[test]
fn io_of_dead_incarnations_is_aborted_and_never_delivered() {
    let kernel = kernel();
    let (log, options) = logged();
    let actor = kernel.root().add(probe_with("a", options)).unwrap();
    run(&kernel, async {
        for _ in 0..20 {
            actor.send(Ask::Task(10 * LONG)).unwrap();
        }
        let asker = actor.clone();
        tokio::spawn(
            async move { asker.ask(|reply| Ask::Io(Duration::from_millis(200), reply), LONG).await },
        );
        until("the tasks run", || kernel.report().io_tasks == 21).await;
        assert_eq!(report_of(&kernel, "/a").unwrap().io_in_flight, 21);
        actor.send(Ask::Panic(None)).unwrap();
        until("the tasks are gone", || kernel.report().io_tasks == 0).await;
        assert_eq!(report_of(&kernel, "/a").unwrap().io_in_flight, 0);
        // The second life's own I/O, which ends later than the first's would have, proves the wait long enough.
        actor.ask(|reply| Ask::Io(Duration::from_millis(300), reply), LONG).await.unwrap();
        assert_eq!(log.count("a:io"), 1);
        until("no task is left", || kernel.report().io_tasks == 0).await;
    });
}

#[test]
fn a_panic_in_io_ends_the_incarnation() {
    let kernel = kernel();
    let actor = kernel.root().add(probe("a")).unwrap();
    run(&kernel, async {
        actor.send(Ask::IoPanic).unwrap();
        until("it restarted", || report_of(&kernel, "/a").unwrap().incarnation == 2).await;
        assert!(report_of(&kernel, "/a").unwrap().last_error.unwrap().contains("told to panic in I/O"));
    });
}

#[test]
fn a_stuck_actor_is_replaced_and_its_neighbours_move() {
    let kernel = kernel();
    let (log, options) = logged();
    let root = kernel.root();
    // Two arbiters: of six actors, some share one with the stuck one.
    let neighbours: Vec<_> = (0..6).map(|at| root.add(probe(&format!("n{at}"))).unwrap()).collect();
    let stuck = root.add(probe_with("stuck", options).progress_limit(Duration::from_millis(100))).unwrap();
    run(&kernel, async {
        for actor in &neighbours {
            actor.ask(Ask::Count, LONG).await.unwrap();
        }
        stuck.send(Ask::Task(10 * LONG)).unwrap();
        until("its task runs", || kernel.report().io_tasks == 1).await;
        let asker = stuck.clone();
        let held = tokio::spawn(async move {
            asker.ask(|reply| Ask::BlockHolding(Duration::from_millis(1_500), reply), LONG).await
        });
        until("it is stuck", || report_of(&kernel, "/stuck").unwrap().handled == 2).await;
        stuck.send(Ask::Note("kept")).unwrap();
        assert!(matches!(held.await.unwrap(), Err(CallError::Restarted { .. })));
        assert_eq!(stuck.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(2)));
        assert_eq!(log.count("stuck:kept"), 1);
        assert_eq!(log.count("stuck:unblocked"), 0, "replaced while the first incarnation is still stuck");
        until("its task is aborted although it is stuck", || kernel.report().io_tasks == 0).await;
        assert_eq!(log.count("stuck:unblocked"), 0);
        let error = report_of(&kernel, "/stuck").unwrap().last_error.unwrap();
        assert!(error.contains("stuck in one input"), "{error}");
        let mut moved = 0;
        for actor in &neighbours {
            moved += actor.ask(Ask::Incarnation, LONG).await.unwrap().0 - 1;
        }
        assert!((1..=6).contains(&moved), "{moved} neighbours were lost with the arbiter");
        assert_eq!(kernel.report().arbiters_abandoned, 1);
        assert_eq!(kernel.report().arbiters, 2);

        until("the first incarnation comes back", || log.count("stuck:unblocked") == 1).await;
        until("it is dropped", || log.count("stuck:dropped") == 1).await;
        assert_eq!(stuck.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(2)), "its return changes nothing");
        assert_eq!(kernel.report().live, 8);
    });
}

#[test]
fn an_idle_kernel_does_not_wake_its_watchdog() {
    let kernel = kernel();
    let actor = kernel.root().add(probe("a")).unwrap();
    run(&kernel, async {
        actor.ask(Ask::Count, LONG).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        let before = kernel.report().watchdog_wakes;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        assert_eq!(kernel.report().watchdog_wakes, before);
    });
}

#[test]
fn supervisors_come_back_with_everything_below() {
    let kernel = kernel();
    let tree = supervisor("sup").child(probe("a")).supervisor(supervisor("inner").child(probe("b")));
    kernel.root().add_supervisor(tree).unwrap();
    let dynamic = kernel.registry().supervisor(&path("/sup/inner")).unwrap();
    let added = dynamic.add(probe("dynamic")).unwrap();
    run(&kernel, async {
        added.ask(Ask::Count, LONG).await.unwrap();
        for victim in ["/sup/inner", "/sup", "/"] {
            let before = report_of(&kernel, victim).unwrap().incarnation;
            let below = added.incarnation();
            assert!(kernel.registry().kill(&path(victim)));
            until("it is another incarnation", || report_of(&kernel, victim).unwrap().incarnation > before)
                .await;
            until("the tree is whole", || is_whole(&kernel)).await;
            assert!(added.incarnation() > below, "what is below was started again");
            added.ask(Ask::Count, LONG).await.unwrap();
        }
        assert_eq!(kernel.registry().report(&ActorPath::root()).len(), 6);
        assert_eq!(kernel.report().live, 6);
    });
}

#[test]
fn escalation_restarts_the_supervisor_and_no_further() {
    let kernel = kernel();
    let strict = Intensity { restarts: 2, window: LONG, when_exceeded: WhenExceeded::Escalate };
    let tree =
        SupervisorSpec::new("sup").intensity(strict).back_off(quick()).child(probe("a")).child(probe("b"));
    kernel.root().add_supervisor(tree).unwrap();
    let a = kernel.registry().address::<Ask>(&path("/sup/a")).unwrap();
    run(&kernel, async {
        for _ in 0..3 {
            a.send(Ask::Panic(None)).unwrap();
        }
        until("the supervisor restarted", || report_of(&kernel, "/sup").unwrap().incarnation == 2).await;
        until("the tree is whole", || is_whole(&kernel)).await;
        assert!(report_of(&kernel, "/sup").unwrap().last_error.unwrap().contains("/sup/a failed too often"));
        assert_eq!(report_of(&kernel, "/").unwrap().incarnation, 1);
    });
}

#[test]
fn rest_for_one_restarts_what_came_later() {
    let kernel = kernel();
    let (log, options) = logged();
    let mut tree = supervisor("sup").strategy(Strategy::RestForOne);
    for name in ["a", "b", "c"] {
        tree = tree.child(probe_with(name, options.clone()));
    }
    kernel.root().add_supervisor(tree).unwrap();
    let b = kernel.registry().address::<Ask>(&path("/sup/b")).unwrap();
    run(&kernel, async {
        until("all are up", || log.count("c:started") == 1).await;
        log.clear();
        b.send(Ask::Panic(None)).unwrap();
        until("c is back", || log.count("c:started") == 1).await;
        assert_eq!(log.all(), ["b:dropped", "c:stopping", "c:dropped", "b:started", "c:started"]);
    });
}

/// Every kind of harm to every actor, while asks flow: each ask is answered or fails with a type, and the
/// tree comes back whole.
#[test]
fn storm() {
    let faults = Faults::none();
    let kernel = kernel_with(faults);
    let mut tree = supervisor("all").strategy(Strategy::OneForAll);
    let mut pool = supervisor("pool");
    for at in 0..4 {
        tree = tree.child(probe(&format!("a{at}")));
        pool = pool.child(probe(&format!("b{at}")));
    }
    kernel.root().add_supervisor(tree).unwrap();
    kernel.root().add_supervisor(pool).unwrap();
    let paths: Vec<_> =
        kernel.registry().report(&ActorPath::root()).into_iter().map(|report| report.path).collect();
    let answered = run(&kernel, async {
        let askers: Vec<_> = (0..4).map(|seed| tokio::spawn(ask_all(kernel.registry(), seed))).collect();
        let mut rng = Rng::new(11);
        for _ in 0..20 {
            for victim in &paths {
                harm(&kernel, victim, rng.next_u64());
            }
            tokio::time::sleep(Duration::from_millis(rng.between(1, 10))).await;
        }
        until("the tree is whole", || is_whole(&kernel)).await;
        let mut answered = 0;
        for asker in askers {
            answered += asker.await.unwrap();
        }
        answered
    });
    assert!(answered > 0, "some asks got through");
    assert_eq!(kernel.registry().report(&ActorPath::root()).len(), paths.len());
    assert_eq!(kernel.report().live, paths.len() as u64);
}

fn harm(kernel: &Kernel, victim: &ActorPath, choice: u64) {
    match kernel.registry().address::<Ask>(victim) {
        Ok(actor) if choice.is_multiple_of(2) => {
            let _full = actor.send(Ask::Panic(None));
        }
        _ => {
            kernel.registry().kill(victim);
        }
    }
}

/// Asks for a while and gives the number of answers; anything but an answer or a typed error is a failure.
async fn ask_all(registry: trireme_kernel::Registry, seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let mut answered = 0;
    for _ in 0..400 {
        let name = format!("/{}{}", if rng.chance(1, 2) { "all/a" } else { "pool/b" }, rng.below(4));
        let actor = registry.address::<Ask>(&path(&name)).expect("declared actors keep their slots");
        let asked = tokio::time::timeout(LONG, actor.ask(|reply| Ask::Add(1, reply), LONG)).await;
        match asked.expect("every ask ends by its deadline") {
            Ok(_) => answered += 1,
            Err(CallError::Restarted { .. } | CallError::MailboxFull { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        tokio::task::yield_now().await;
    }
    answered
}
