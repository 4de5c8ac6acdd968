//! Mailboxes: bounds, backpressure, asks and their errors, calls by path.

mod common;

use std::time::Duration;

use common::{
    AddCall, Ask, LONG, Log, Options, WhoCall, kernel, path, probe, probe_with, report_of, run, until,
};
use trireme_kernel::{CallError, CallOptions, Caller, Retry, SendError, codec};

#[test]
fn ask_goes_round() {
    let kernel = kernel();
    let actor = kernel.root().add(probe("a")).unwrap();
    run(&kernel, async {
        for turn in 1..=1_000 {
            assert_eq!(actor.ask(|reply| Ask::Add(1, reply), LONG).await, Ok(turn));
        }
    });
    let report = report_of(&kernel, "/a").unwrap();
    assert_eq!((report.handled, report.incarnation, report.restarts), (1_000, 1, 0));
    assert_eq!(report.last_inputs.len(), 8);
    assert!(report.last_inputs.iter().all(|input| input.label == "add"));
    assert!(report.alive && report.state == "running");
}

#[test]
fn full_mailbox_is_a_typed_error_and_nothing_is_lost() {
    let kernel = kernel();
    let log = Log::default();
    let options = Options { log: log.clone(), ..Options::default() };
    let actor = kernel.root().add(probe_with("a", options).mailbox(4)).unwrap();
    run(&kernel, async {
        actor.ask(Ask::Count, LONG).await.unwrap();
        actor.send(Ask::Block(Duration::from_millis(200))).unwrap();
        until("the actor blocks", || actor.depth() == 0).await;
        for _ in 0..4 {
            actor.send(Ask::Note("in")).unwrap();
        }
        let error = actor.send(Ask::Note("out")).unwrap_err();
        assert!(matches!(&error, SendError::Full { capacity: 4, .. }), "{error}");
        assert_eq!(error.retry(), Retry::Safe);
        let asked = actor.ask(Ask::Count, LONG).await.unwrap_err();
        assert_eq!(asked, CallError::MailboxFull { path: path("/a") });
        until("the notes are handled", || log.count("a:in") == 4).await;
        assert_eq!(log.count("a:out"), 0);
    });
    assert_eq!(report_of(&kernel, "/a").unwrap().mailbox_high_water, 4);
}

#[test]
fn send_wait_waits_for_room_up_to_its_deadline() {
    let kernel = kernel();
    let log = Log::default();
    let options = Options { log: log.clone(), ..Options::default() };
    let actor = kernel.root().add(probe_with("a", options).mailbox(1)).unwrap();
    run(&kernel, async {
        actor.send(Ask::Block(Duration::from_millis(300))).unwrap();
        until("the actor blocks", || actor.depth() == 0 && report_of(&kernel, "/a").unwrap().handled == 1)
            .await;
        actor.send(Ask::Note("first")).unwrap();
        let late = actor.send_wait(Ask::Note("late"), Duration::from_millis(10)).await.unwrap_err();
        assert!(matches!(late, SendError::DeadlineExceeded { .. }), "{late}");
        let senders: Vec<_> = (0..50)
            .map(|_| {
                let actor = actor.clone();
                tokio::spawn(async move { actor.send_wait(Ask::Note("waited"), LONG).await })
            })
            .collect();
        for sender in senders {
            sender.await.unwrap().unwrap();
        }
        until("all are handled", || log.count("a:waited") == 50).await;
        assert_eq!(log.count("a:late"), 0);
    });
}

#[test]
fn ask_deadline_is_enforced() {
    let kernel = kernel();
    let actor = kernel.root().add(probe("a")).unwrap();
    run(&kernel, async {
        let asked = actor.ask(Ask::Stash, Duration::from_millis(30));
        let error =
            tokio::time::timeout(LONG, asked).await.expect("an ask ends by its deadline").unwrap_err();
        assert!(matches!(error, CallError::DeadlineExceeded { .. }), "{error}");
        assert_eq!(error.retry(), Retry::SameKeyOnly);
    });
}

#[test]
fn dropped_and_refused_replies_are_told_apart() {
    let kernel = kernel();
    let actor = kernel.root().add(probe("a")).unwrap();
    run(&kernel, async {
        let dropped = actor.ask(Ask::DropReply, LONG).await.unwrap_err();
        assert_eq!(dropped, CallError::NoAnswer { path: path("/a") });
        let refused = actor.ask(Ask::Refuse, LONG).await.unwrap_err();
        assert_eq!(refused, CallError::Refused { path: path("/a"), reason: "told to refuse".to_owned() });
    });
}

#[test]
fn calls_by_path_are_typed_here_and_encoded_from_afar() {
    let kernel = kernel();
    let spec = probe("server/s1/adder");
    kernel.root().add(spec).unwrap();
    let registry = kernel.registry();
    let options = CallOptions::within(LONG);
    run(&kernel, async {
        let here = path("/server/s1/adder");
        assert_eq!(registry.call(&here, AddCall(2), options.clone()).await, Ok(2));
        let body = codec::encode(&AddCall(3)).unwrap();
        let caller = Caller::new("spiffe://test/server/s2");
        let answer = registry.serve(&caller, &here, "add", &body, LONG).await.unwrap();
        assert_eq!(codec::decode::<u64>(&answer).unwrap(), 5);

        let unknown = registry.serve(&caller, &here, "subtract", &body, LONG).await.unwrap_err();
        assert!(matches!(unknown, CallError::NoSuchCall { .. }), "{unknown}");
        let torn = registry.serve(&caller, &here, "add", &body.slice(..1), LONG).await.unwrap_err();
        assert!(matches!(torn, CallError::Malformed { .. }), "{torn}");
        let nobody = registry.serve(&caller, &path("/server/s1/x"), "add", &body, LONG).await.unwrap_err();
        assert!(matches!(nobody, CallError::NoSuchActor { .. }), "{nobody}");
        let local = registry.call(&here, WhoCall, options.clone()).await.unwrap_err();
        assert!(matches!(local, CallError::NoSuchCall { .. }), "{local}");
        let elsewhere =
            registry.call(&path("/server/s2/adder"), AddCall(1), options.clone()).await.unwrap_err();
        assert!(matches!(elsewhere, CallError::NoSuchActor { .. }), "{elsewhere}");
    });
}

#[test]
fn a_table_can_ask_for_the_caller() {
    let kernel = kernel();
    let spec = trireme_kernel::ActorSpec::new("who", |_| Echo)
        .call_from::<WhoCall>(|caller, _call, reply| (caller.to_string(), reply));
    kernel.root().add(spec).unwrap();
    let registry = kernel.registry();
    run(&kernel, async {
        let here = registry.call(&path("/who"), WhoCall, CallOptions::within(LONG)).await;
        assert_eq!(here, Ok("local".to_owned()));
        let body = codec::encode(&WhoCall).unwrap();
        let answer = registry.serve(&Caller::new("s2"), &path("/who"), "who", &body, LONG).await.unwrap();
        assert_eq!(codec::decode::<String>(&answer).unwrap(), "s2");
    });
}

struct Echo;

impl trireme_kernel::Behaviour for Echo {
    type Input = (String, trireme_kernel::Reply<String>);

    fn handle(&mut self, (caller, reply): Self::Input, _cx: &mut trireme_kernel::Context<Self>) {
        reply.answer(caller);
    }
}

#[test]
fn lookups_say_what_is_wrong() {
    let kernel = kernel();
    kernel.root().add(probe("a")).unwrap();
    let registry = kernel.registry();
    assert!(registry.address::<Ask>(&path("/a")).is_ok());
    assert!(registry.address::<u32>(&path("/a")).unwrap_err().to_string().contains("u32"));
    assert!(registry.address::<Ask>(&path("/b")).is_err());
    assert!(registry.supervisor(&path("/")).is_some());
    assert!(registry.supervisor(&path("/a")).is_none());
}
