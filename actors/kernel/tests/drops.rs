//! Values that panic when they are dropped, and other places where foreign code runs outside a handler: nothing
//! of it may take more with it than its own incarnation.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{LONG, kernel, report_of, run, until};
use trireme_kernel::supervision::Incarnation;
use trireme_kernel::{ActorSpec, Behaviour, Context, Reply};

/// Panics when dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("told to panic when dropped");
    }
}

enum Ask {
    Life(Reply<Incarnation>),
    /// Ends by a panic while two completions wait.
    PanicOnBombs,
    /// Is stuck for that long while two completions wait.
    BlockOnBombs(Duration),
    Block(Duration),
    Bomb(#[allow(dead_code, reason = "only its drop matters")] Bomb),
}

struct Bomber;

/// Starts two tasks and waits until their completions are queued.
fn queue_bombs(cx: &mut Context<Bomber>) {
    for _ in 0..2 {
        cx.spawn_io(async { Ask::Bomb(Bomb) }).expect("far from the limit");
    }
    let start = Instant::now();
    while cx.registry().kernel_report().io_tasks > 0 && start.elapsed() < LONG {
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Behaviour for Bomber {
    type Input = Ask;

    fn handle(&mut self, input: Ask, cx: &mut Context<Self>) {
        match input {
            Ask::Life(reply) => reply.answer(cx.incarnation()),
            Ask::PanicOnBombs => {
                queue_bombs(cx);
                panic!("told to panic");
            }
            Ask::BlockOnBombs(span) => {
                queue_bombs(cx);
                std::thread::sleep(span);
            }
            Ask::Block(span) => std::thread::sleep(span),
            Ask::Bomb(bomb) => drop(bomb),
        }
    }
}

fn bomber() -> ActorSpec<Bomber> {
    ActorSpec::new("bomber", |_| Bomber)
}

#[test]
fn completions_that_panic_when_dropped_end_with_their_incarnation() {
    let kernel = kernel();
    let actor = kernel.root().add(bomber()).unwrap();
    run(&kernel, async {
        actor.send(Ask::PanicOnBombs).unwrap();
        assert_eq!(actor.ask(Ask::Life, LONG).await, Ok(Incarnation(2)));
        assert!(report_of(&kernel, "/bomber").unwrap().last_error.unwrap().contains("told to panic"));
        assert_eq!(kernel.report().live, 2);
    });
}

#[test]
fn completions_that_panic_when_dropped_do_not_end_the_watchdog() {
    let kernel = kernel();
    let actor = kernel.root().add(bomber().progress_limit(Duration::from_millis(50))).unwrap();
    run(&kernel, async {
        for life in 2..4 {
            actor.send(Ask::BlockOnBombs(Duration::from_secs(2))).unwrap();
            assert_eq!(actor.ask(Ask::Life, LONG).await, Ok(Incarnation(life)));
        }
        assert_eq!(kernel.report().arbiters_abandoned, 2);
    });
}

#[test]
fn inputs_that_panic_when_dropped_do_not_end_the_supervisor() {
    let kernel = kernel();
    let actor = kernel.root().add(bomber()).unwrap();
    run(&kernel, async {
        actor.send(Ask::Block(Duration::from_millis(200))).unwrap();
        until("it blocks", || actor.depth() == 0).await;
        for _ in 0..2 {
            actor.send(Ask::Bomb(Bomb)).unwrap();
        }
        kernel.root().remove_and_wait("bomber", LONG).await.unwrap();
        assert!(report_of(&kernel, "/bomber").is_none());
        assert_eq!(report_of(&kernel, "/").unwrap().incarnation, 1);
    });
}

struct Shy {
    panics: Arc<AtomicBool>,
}

impl Behaviour for Shy {
    type Input = Reply<Incarnation>;

    fn handle(&mut self, reply: Self::Input, cx: &mut Context<Self>) {
        reply.answer(cx.incarnation());
    }

    fn state_name(&self) -> &'static str {
        assert!(!self.panics.swap(false, Ordering::Relaxed), "told not to name its state");
        "named"
    }
}

#[test]
fn a_state_name_that_panics_at_the_start_is_a_failed_start() {
    let kernel = kernel();
    let panics = Arc::new(AtomicBool::new(true));
    let actor =
        kernel.root().add(ActorSpec::new("shy", move |_| Shy { panics: Arc::clone(&panics) })).unwrap();
    run(&kernel, async {
        assert_eq!(actor.ask(|reply| reply, LONG).await, Ok(Incarnation(2)));
        let error = report_of(&kernel, "/shy").unwrap().last_error.unwrap();
        assert!(error.contains("told not to name its state"), "{error}");
    });
}
