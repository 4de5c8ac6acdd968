//! The fault desk: arms and heals faults at run time, and keeps the dead-man timer.
//!
//! Place in the tree: `<machine>/faults`, permanent. It holds no rules itself: they live in the process's [`Faults`],
//! so they survive its restarts, and a rule past its time is ignored even while no desk is alive.

use serde::{Deserialize, Serialize};
use trireme_faults::{ArmedFault, FaultId, FaultRule, Faults};
use trireme_kernel::{ActorPath, ActorSpec, Behaviour, Call, Context, Reply, StartError};

/// Arms one rule. For administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArmFault {
    /// The rule.
    pub rule: FaultRule,
}

impl Call for ArmFault {
    type Answer = FaultId;
    const NAME: &'static str = "faults.arm";
}

/// Heals every rule of this machine. For administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HealFaults {}

impl Call for HealFaults {
    /// How many there were.
    type Answer = u64;
    const NAME: &'static str = "faults.heal";
}

/// Lists the armed rules of this machine. For administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ListFaults {}

impl Call for ListFaults {
    type Answer = Vec<ArmedFault>;
    const NAME: &'static str = "faults.list";
}

/// What the desk receives.
#[derive(Debug)]
pub enum DeskInput {
    /// Arm a rule.
    Arm(Box<FaultRule>, Reply<FaultId>),
    /// Heal all rules.
    Heal(Reply<u64>),
    /// List the rules.
    List(Reply<Vec<ArmedFault>>),
}

/// See the module.
pub struct FaultDesk {
    faults: Faults,
}

impl FaultDesk {
    /// The actor called `faults` over the process's rules.
    pub fn spec(faults: Faults) -> ActorSpec<Self> {
        ActorSpec::new("faults", move |_| Self { faults: faults.clone() })
            .call::<ArmFault>(|call, reply| DeskInput::Arm(Box::new(call.rule), reply))
            .call::<HealFaults>(|_, reply| DeskInput::Heal(reply))
            .call::<ListFaults>(|_, reply| DeskInput::List(reply))
    }

    fn keep_time(&self, cx: &mut Context<Self>) {
        match self.faults.next_expiry() {
            Some(at) => cx.arm(at),
            None => cx.disarm(),
        }
    }
}

impl Behaviour for FaultDesk {
    type Input = DeskInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        self.keep_time(cx);
        Ok(())
    }

    fn handle(&mut self, input: DeskInput, cx: &mut Context<Self>) {
        match input {
            DeskInput::Arm(rule, reply) => match self.faults.arm(*rule, cx.now()) {
                Ok(id) => {
                    reply.answer(id);
                    // An actor to which nobody sends anything would never meet its fault.
                    cx.registry().poke(&ActorPath::root());
                }
                Err(error) => reply.refuse(error.to_string()),
            },
            DeskInput::Heal(reply) => reply.answer(u64::try_from(self.faults.heal_all()).unwrap_or(u64::MAX)),
            DeskInput::List(reply) => reply.answer(self.faults.list(cx.now())),
        }
        self.keep_time(cx);
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        self.faults.expire(cx.now());
        self.keep_time(cx);
    }

    fn state_name(&self) -> &'static str {
        if self.faults.is_idle() { "idle" } else { "armed" }
    }

    fn label(input: &DeskInput) -> &'static str {
        match input {
            DeskInput::Arm(..) => "arm",
            DeskInput::Heal(..) => "heal",
            DeskInput::List(..) => "list",
        }
    }
}
