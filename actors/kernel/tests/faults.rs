//! Fault points at mailboxes: each does what its rule says, and stops when the rule does.

mod common;

use std::time::Duration;

use common::{
    Ask, LONG, Log, Options, endless, is_whole, kernel_with, path, probe, probe_with, quick, report_of, run,
    until,
};
use trireme_faults::{FaultId, FaultPoint, FaultRule, Faults, MailboxAction, MailboxRule};
use trireme_kernel::supervision::Incarnation;
use trireme_kernel::{CallError, Kernel, SupervisorSpec};

fn arm(kernel: &Kernel, glob: &str, action: MailboxAction, hits: u64) {
    let rule = FaultRule {
        id: FaultId::from("test"),
        point: FaultPoint::Mailbox(MailboxRule { path_glob: glob.to_owned(), action }),
        probability_per_mille: 1_000,
        seed: 1,
        max_hits: Some(hits),
        dead_man_ms: 60_000,
    };
    kernel.faults().arm(rule, kernel.now()).expect("the rule is well-formed");
}

#[test]
fn kill_and_panic_end_the_incarnation_and_its_caller_learns_it() {
    for action in [MailboxAction::Kill, MailboxAction::Panic] {
        let kernel = kernel_with(Faults::new());
        let actor = kernel.root().add(probe("a")).unwrap();
        run(&kernel, async {
            assert_eq!(actor.ask(|reply| Ask::Add(1, reply), LONG).await, Ok(1));
            arm(&kernel, "/a", action, 1);
            let error = actor.ask(|reply| Ask::Add(1, reply), LONG).await.unwrap_err();
            assert_eq!(error, CallError::Restarted { path: path("/a") });
            assert_eq!(actor.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(2)));
            assert!(report_of(&kernel, "/a").unwrap().last_error.unwrap().contains("fault point"));
        });
    }
}

#[test]
fn drop_loses_the_input_and_nothing_else() {
    let kernel = kernel_with(Faults::new());
    let log = Log::default();
    let options = Options { log: log.clone(), ..Options::default() };
    let actor = kernel.root().add(probe_with("a", options)).unwrap();
    run(&kernel, async {
        actor.ask(Ask::Count, LONG).await.unwrap();
        arm(&kernel, "/a", MailboxAction::Drop, 1);
        actor.send(Ask::Note("lost")).unwrap();
        actor.send(Ask::Note("kept")).unwrap();
        until("the second comes through", || log.count("a:kept") == 1).await;
        assert_eq!(log.count("a:lost"), 0);
        assert_eq!(actor.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(1)));
    });
}

#[test]
fn a_stall_past_the_limit_gets_the_actor_replaced() {
    let kernel = kernel_with(Faults::new());
    let actor = kernel.root().add(probe("a").progress_limit(Duration::from_millis(50))).unwrap();
    run(&kernel, async {
        actor.ask(Ask::Count, LONG).await.unwrap();
        arm(&kernel, "/a", MailboxAction::Stall { ms: 1_000 }, 1);
        let error = actor.ask(Ask::Count, LONG).await.unwrap_err();
        assert_eq!(error, CallError::Restarted { path: path("/a") });
        assert_eq!(actor.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(2)));
        assert_eq!(kernel.report().arbiters_abandoned, 1);
    });
}

#[test]
fn supervisors_survive_faults_of_every_kind() {
    for action in [MailboxAction::Kill, MailboxAction::Panic, MailboxAction::Drop] {
        let kernel = kernel_with(Faults::new());
        let sup = kernel
            .root()
            .add_supervisor(SupervisorSpec::new("sup").child(probe("a")).child(probe("b")))
            .unwrap();
        run(&kernel, async {
            until("the tree is whole", || is_whole(&kernel)).await;
            arm(&kernel, "/**", action, 5);
            for _ in 0..10 {
                kernel.registry().kill(&path("/sup/a"));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            kernel.faults().heal_all();
            let extra = sup.add(probe("c")).unwrap();
            extra.ask(Ask::Count, LONG).await.unwrap();
            until("the tree is whole", || is_whole(&kernel)).await;
            assert_eq!(kernel.report().live, 5);
        });
    }
}

/// A stalled supervisor is replaced; when it comes back it still handles the input it was stalled at.
#[test]
fn a_stalled_supervisor_that_comes_back_decides_nothing() {
    let stall_ms = 1_500;
    let kernel = kernel_with(Faults::new());
    let tree = SupervisorSpec::new("sup").intensity(endless()).back_off(quick()).child(probe("a"));
    kernel.root().add_supervisor(tree).unwrap();
    let actor = kernel.registry().address::<Ask>(&path("/sup/a")).unwrap();
    run(&kernel, async {
        until("the tree is whole", || is_whole(&kernel)).await;
        arm(&kernel, "/sup", MailboxAction::Stall { ms: stall_ms }, 1);
        let stalled = std::time::Instant::now();
        actor.send(Ask::Panic(None)).unwrap();
        until("the child is down", || !report_of(&kernel, "/sup/a").unwrap().alive).await;
        // The report of that end is what the supervisor is stalled at.
        assert!(kernel.registry().kill(&path("/sup")));
        assert_eq!(actor.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(2)));
        assert_eq!(report_of(&kernel, "/sup").unwrap().incarnation, 2);
        // Until the first incarnation has come back and had time to act.
        tokio::time::sleep(Duration::from_millis(stall_ms + 300).saturating_sub(stalled.elapsed())).await;
        assert_eq!(actor.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(2)));
        kernel.registry().kill(&path("/sup/a"));
        assert_eq!(actor.ask(Ask::Incarnation, LONG).await, Ok(Incarnation(3)));
        assert_eq!(report_of(&kernel, "/sup").unwrap().restarts, 1);
    });
}

#[test]
fn metrics_name_every_actor() {
    let kernel = kernel_with(Faults::none());
    let actor = kernel.root().add(probe("a")).unwrap();
    run(&kernel, async {
        for _ in 0..3 {
            actor.ask(Ask::Count, LONG).await.unwrap();
        }
        actor.ask(|reply| Ask::Panic(Some(reply)), LONG).await.unwrap_err();
        actor.ask(Ask::Count, LONG).await.unwrap();
    });
    let text = kernel.metrics_text();
    for line in [
        "trireme_actor_handled_total{path=\"/a\"} 5",
        "trireme_actor_restarts_total{path=\"/a\"} 1",
        "trireme_actor_alive{path=\"/\"} 1",
        "trireme_kernel_live 2",
        "trireme_kernel_io_tasks 0",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is missing in\n{text}");
    }
}
