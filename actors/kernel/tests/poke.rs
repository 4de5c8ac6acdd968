//! A poke makes a fault reach an actor that gets no inputs.

use std::time::Duration;

use trireme_faults::{FaultId, FaultPoint, FaultRule, Faults, MailboxAction, MailboxRule};
use trireme_kernel::{ActorPath, ActorSpec, Behaviour, Context, Kernel, KernelConfig};

struct Quiet;

impl Behaviour for Quiet {
    type Input = ();
    fn handle(&mut self, (): (), _: &mut Context<Self>) {}
}

fn rule(glob: &str, action: MailboxAction) -> FaultRule {
    FaultRule {
        id: FaultId::from("one"),
        point: FaultPoint::Mailbox(MailboxRule { path_glob: glob.to_owned(), action }),
        probability_per_mille: 1_000,
        seed: 1,
        max_hits: Some(1),
        dead_man_ms: 60_000,
    }
}

fn restarts(kernel: &Kernel, path: &str) -> u64 {
    let path = path.parse().expect("a path");
    kernel.registry().report(&path)[0].restarts
}

#[test]
fn a_quiet_actor_meets_its_fault_when_poked() {
    let faults = Faults::new();
    let config = KernelConfig { faults: faults.clone(), ..KernelConfig::new("m") };
    let kernel = Kernel::start(config).unwrap();
    kernel.root().add(ActorSpec::new("quiet", |_| Quiet)).unwrap();
    kernel.root().add(ActorSpec::new("other", |_| Quiet)).unwrap();
    assert_eq!(kernel.registry().poke(&ActorPath::root()), 0, "without a fault nothing is poked");
    for (round, action) in [MailboxAction::Panic, MailboxAction::Kill].into_iter().enumerate() {
        faults.arm(rule("/quiet", action), kernel.now()).unwrap();
        // An actor that is still starting is not poked, so poke until it was met.
        let wanted = round as u64 + 1;
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while restarts(&kernel, "/quiet") < wanted && std::time::Instant::now() < deadline {
            kernel.registry().poke(&ActorPath::root());
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(restarts(&kernel, "/quiet"), wanted, "{action:?}");
        faults.heal_all();
    }
    assert_eq!(restarts(&kernel, "/other"), 0, "others are left alone");
    kernel.io().block_on(kernel.shutdown(Duration::from_secs(5)));
}
