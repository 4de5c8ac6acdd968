//! What cannot be reached from outside: late fences, late closes, requests that wait.

use std::time::{Duration, Instant};

use trireme_faults::{FaultId, FaultPoint, FaultRule, Faults, MailboxAction, MailboxRule};

use super::*;
use crate::supervision::SupervisorInput;
use crate::supervisor::close_slot;
use crate::{ActorSpec, Address, Behaviour, CallError, Context, Kernel, KernelConfig, Reply, SupervisorSpec};

const LONG: Duration = Duration::from_secs(30);

enum Ask {
    Life(Reply<Incarnation>),
    Keep(Reply<()>),
    Release,
    Panic,
}

#[derive(Default)]
struct Keeper {
    kept: Vec<Reply<()>>,
}

impl Behaviour for Keeper {
    type Input = Ask;

    fn handle(&mut self, input: Ask, cx: &mut Context<Self>) {
        match input {
            Ask::Life(reply) => reply.answer(cx.incarnation()),
            Ask::Keep(reply) => self.kept.push(reply),
            Ask::Release => self.kept.drain(..).for_each(|reply| reply.answer(())),
            Ask::Panic => panic!("told to panic"),
        }
    }
}

fn kernel(faults: Faults) -> Kernel {
    crate::install_panic_hook();
    Kernel::start(KernelConfig { arbiters: 1, io_threads: 1, faults, ..KernelConfig::new("s1") }).unwrap()
}

fn slot<I: Send + 'static>(kernel: &Kernel, path: &str) -> Arc<Slot<I>> {
    let root = kernel.root();
    let slot = root.shared().kernel().slots.read().get(&path.parse::<ActorPath>().unwrap()).cloned().unwrap();
    slot.as_any().downcast().ok().unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn keeper(kernel: &Kernel) -> Address<Ask> {
    kernel.root().add(ActorSpec::new("keeper", |_| Keeper::default())).unwrap()
}

#[test]
fn a_fence_that_comes_too_late_spares_what_the_next_incarnation_holds() {
    let kernel = kernel(Faults::none());
    let actor = keeper(&kernel);
    let slot = slot::<Ask>(&kernel, "/keeper");
    kernel.io().block_on(async {
        actor.send(Ask::Panic).unwrap();
        assert_eq!(actor.ask(Ask::Life, LONG).await, Ok(Incarnation(2)));
        let asker = actor.clone();
        let kept = tokio::spawn(async move { asker.ask(Ask::Keep, LONG).await });
        // The next answer says that the one before was taken.
        while slot.mailbox.lock().taken() < 3 {
            tokio::task::yield_now().await;
        }
        assert!(!slot.fence(Incarnation(1), ExitReason::Stalled, "too late".to_owned()));
        actor.send(Ask::Release).unwrap();
        assert_eq!(kept.await.unwrap(), Ok(()));
        assert_eq!(actor.ask(Ask::Life, LONG).await, Ok(Incarnation(2)));
    });
}

#[test]
fn a_fence_in_time_tells_those_whose_replies_are_stuck() {
    let kernel = kernel(Faults::none());
    let actor = keeper(&kernel);
    let slot = slot::<Ask>(&kernel, "/keeper");
    kernel.io().block_on(async {
        let asker = actor.clone();
        let kept = tokio::spawn(async move { asker.ask(Ask::Keep, LONG).await });
        while slot.mailbox.lock().taken() < 1 {
            tokio::task::yield_now().await;
        }
        assert!(slot.fence(Incarnation(1), ExitReason::Stalled, "in time".to_owned()));
        assert!(matches!(kept.await.unwrap(), Err(CallError::Restarted { .. })));
    });
}

#[test]
fn an_incarnation_does_not_outlive_its_slot() {
    let kernel = kernel(Faults::none());
    let actor = keeper(&kernel);
    kernel.io().block_on(async { actor.ask(Ask::Life, LONG).await.unwrap() });
    assert_eq!(kernel.report().live, 2);
    let slot: Arc<dyn AnySlot> = slot::<Ask>(&kernel, "/keeper");
    close_slot(kernel.root().shared().kernel(), &slot);
    until("it has ended", || kernel.report().live == 1);
}

#[test]
fn requests_to_a_supervisor_that_does_not_take_them_wait_once() {
    let faults = Faults::new();
    let kernel = kernel(faults.clone());
    let tree = SupervisorSpec::new("sup").child(ActorSpec::new("keeper", |_| Keeper::default()));
    let sup = kernel.root().add_supervisor(tree).unwrap();
    let slot = slot::<SupervisorInput>(&kernel, "/sup");
    until("all are up", || {
        let all = kernel.registry().report(&ActorPath::root());
        all.iter().all(|report| report.alive && report.state == "running")
    });
    let action = MailboxAction::Stall { ms: 500 };
    let rule = FaultRule {
        id: FaultId::from("stall"),
        point: FaultPoint::Mailbox(MailboxRule { path_glob: "/sup".to_owned(), action }),
        probability_per_mille: 1_000,
        seed: 1,
        max_hits: Some(1),
        dead_man_ms: 60_000,
    };
    faults.arm(rule, kernel.now()).unwrap();
    for _ in 0..10_000 {
        sup.restart("keeper").unwrap();
    }
    sup.remove("keeper").unwrap();
    for _ in 0..10_000 {
        let _gone = sup.remove("keeper");
    }
    let waiting = slot.mailbox.lock().controls();
    assert!(waiting <= 8, "{waiting} controls wait");
    until("it is gone", || sup.children().is_empty());
}
