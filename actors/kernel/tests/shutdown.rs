//! Shutdown: order, grace, in the middle of restarts, and of parts of the tree.

mod common;

use std::time::Duration;

use common::{
    Ask, LONG, Log, Options, endless, is_whole, kernel, path, probe, probe_with, quick, report_of, run, until,
};
use trireme_kernel::supervision::{BackOff, Incarnation, ShutdownOrder};
use trireme_kernel::{ActorPath, CallError, ChildError, SupervisorSpec};

fn logged() -> (Log, Options) {
    let log = Log::default();
    (log.clone(), Options { log, ..Options::default() })
}

#[test]
fn the_tree_stops_last_started_first() {
    let kernel = kernel();
    let (log, options) = logged();
    let inner = SupervisorSpec::new("inner")
        .child(probe_with("b", options.clone()))
        .child(probe_with("c", options.clone()));
    let tree = SupervisorSpec::new("sup")
        .child(probe_with("a", options.clone()))
        .supervisor(inner)
        .child(probe_with("d", options));
    kernel.root().add_supervisor(tree).unwrap();
    let a = kernel.registry().address::<Ask>(&path("/sup/a")).unwrap();
    run(&kernel, async {
        until("all are up", || is_whole(&kernel)).await;
        log.clear();
        assert_eq!(kernel.shutdown(LONG).await, 0);
        let stopped: Vec<_> = log.all().into_iter().filter(|entry| entry.ends_with("dropped")).collect();
        assert_eq!(stopped, ["d:dropped", "c:dropped", "b:dropped", "a:dropped"]);
        assert!(matches!(a.ask(Ask::Count, LONG).await, Err(CallError::Stopped { .. })));
        assert!(kernel.registry().report(&ActorPath::root()).is_empty());
        let left = kernel.report();
        assert_eq!((left.live, left.timers), (0, 0));
        until("no task is left", || kernel.report().io_tasks == 0).await;
        assert_eq!(kernel.shutdown(LONG).await, 0, "a second time does no harm");
        assert!(matches!(kernel.root().add(probe("late")), Err(ChildError::Stopped(_))));
    });
}

#[test]
fn grace_that_runs_out_turns_into_a_kill() {
    let kernel = kernel();
    let (log, mut options) = logged();
    options.stubborn = true;
    let stubborn = probe_with("stubborn", options).grace(Duration::from_millis(50));
    let actor = kernel.root().add(stubborn).unwrap();
    run(&kernel, async {
        actor.ask(Ask::Count, LONG).await.unwrap();
        let removed = tokio::time::timeout(LONG, kernel.root().remove_and_wait("stubborn", LONG)).await;
        removed.expect("it is killed").unwrap();
        assert_eq!(log.count("stubborn:stopping"), 1);
        assert_eq!(log.count("stubborn:dropped"), 1);
        assert_eq!(kernel.report().live, 1);
        assert!(report_of(&kernel, "/stubborn").is_none());
        // The path is free again.
        let again = kernel.root().add(probe("stubborn")).unwrap();
        again.ask(Ask::Count, LONG).await.unwrap();
    });
}

#[test]
fn the_whole_grace_bounds_a_shutdown() {
    let kernel = kernel();
    let (_log, mut options) = logged();
    options.stubborn = true;
    for name in ["x", "y", "z"] {
        let actor = kernel.root().add(probe_with(name, options.clone()).grace(10 * LONG)).unwrap();
        run(&kernel, async { actor.ask(Ask::Count, LONG).await.unwrap() });
    }
    run(&kernel, async {
        let left = tokio::time::timeout(LONG, kernel.shutdown(Duration::from_millis(50))).await;
        assert_eq!(left.expect("the shutdown ends"), 0, "everything was killed");
    });
}

#[test]
fn a_stuck_actor_does_not_hold_up_a_shutdown() {
    let kernel = kernel();
    let stuck =
        kernel.root().add(probe("stuck").grace(Duration::from_millis(20)).progress_limit(10 * LONG)).unwrap();
    run(&kernel, async {
        stuck.send(Ask::Block(Duration::from_secs(5))).unwrap();
        until("it is stuck", || report_of(&kernel, "/stuck").unwrap().handled == 1).await;
        let left = tokio::time::timeout(LONG, kernel.shutdown(LONG)).await.expect("the shutdown ends");
        assert_eq!(left, 0, "the watchdog gave up on it although its own limit is far away");
    });
}

#[test]
fn shutdown_in_the_middle_of_restarts() {
    let kernel = kernel();
    let slow =
        BackOff { first: Duration::from_millis(20), max: Duration::from_millis(40), jitter_percent: 50 };
    let mut sup = SupervisorSpec::new("sup").intensity(endless()).back_off(slow);
    for at in 0..8 {
        sup = sup.child(probe(&format!("a{at}")));
    }
    kernel.root().add_supervisor(sup).unwrap();
    run(&kernel, async {
        for round in 0..5_u64 {
            for at in 0..8 {
                let actor = kernel.registry().address::<Ask>(&path(&format!("/sup/a{at}"))).unwrap();
                actor.send(Ask::Panic(None)).unwrap();
            }
            if round == 3 {
                kernel.registry().kill(&path("/sup"));
            }
        }
        assert_eq!(kernel.shutdown(LONG).await, 0);
        let left = kernel.report();
        assert_eq!((left.live, left.timers), (0, 0));
        assert!(kernel.registry().report(&ActorPath::root()).is_empty());
    });
}

#[test]
fn dynamic_children_come_and_go() {
    let kernel = kernel();
    let (log, options) = logged();
    let pool = SupervisorSpec::new("pool").shutdown_order(ShutdownOrder::Together).back_off(quick());
    let pool = kernel.root().add_supervisor(pool).unwrap();
    run(&kernel, async {
        let mut actors = Vec::new();
        for at in 0..500 {
            actors.push(pool.add(probe_with(&format!("p{at}"), options.clone())).unwrap());
        }
        assert!(matches!(pool.add(probe("p7")), Err(ChildError::Exists(_))));
        assert!(matches!(pool.add(probe("no good")), Err(ChildError::Path(_))));
        assert!(matches!(pool.remove("p500"), Err(ChildError::Unknown { .. })));
        for actor in &actors {
            assert_eq!(actor.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(1)));
        }
        assert_eq!(pool.children().len(), 500);
        for at in 0..250 {
            pool.remove_and_wait(&format!("p{at}"), LONG).await.unwrap();
        }
        assert_eq!(kernel.registry().report(pool.path()).len(), 251);
        assert_eq!(kernel.report().live, 252);
        assert!(actors[0].is_closed() && !actors[250].is_closed());
        kernel.root().remove_and_wait("pool", LONG).await.unwrap();
        assert_eq!(kernel.report().live, 1);
        assert_eq!(log.count("p499:dropped"), 1);
        assert_eq!(kernel.registry().report(&ActorPath::root()).len(), 1);
    });
}

#[test]
fn a_child_added_and_removed_while_its_supervisor_is_down_is_gone() {
    let kernel = kernel();
    let pool = kernel.root().add_supervisor(SupervisorSpec::new("pool").back_off(quick())).unwrap();
    run(&kernel, async {
        until("it is up", || is_whole(&kernel)).await;
        for _ in 0..50 {
            kernel.registry().kill(pool.path());
            let child = pool.add(probe("p")).unwrap();
            pool.remove("p").unwrap();
            tokio::time::timeout(LONG, child.closed()).await.expect("it is gone");
        }
        until("it is up", || is_whole(&kernel)).await;
        assert_eq!(kernel.report().live, 2);
        assert_eq!(kernel.shutdown(LONG).await, 0);
    });
}
