//! The inspector: shows the tree of actors, of this machine or merged over all of them.
//!
//! Place in the tree: `<machine>/inspect`, permanent. Knows nothing itself: it reads the registry, and asks the
//! inspectors of the other machines with the same call.

use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use trireme_kernel::{
    ActorPath, ActorReport, ActorSpec, Behaviour, Call, CallError, CallOptions, Context, KernelReport,
    Registry, Reply,
};
use trireme_pki::IdentityName;

use crate::cluster::{ListMembers, cluster_path};

/// How long one machine may take to show its tree.
pub const MACHINE_DEADLINE: Duration = Duration::from_secs(2);

/// Shows the tree of one machine, or of all. For administrators; servers ask each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Inspect {
    /// Only what lies at or below this path.
    pub prefix: Option<ActorPath>,
    /// Over all machines of the cluster.
    pub everywhere: bool,
}

/// The tree of one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineTree {
    /// Which.
    pub machine: IdentityName,
    /// Its actors, by path.
    pub actors: Vec<ActorReport>,
    /// What its kernel holds in all.
    pub kernel: KernelReport,
    /// Why it could not be asked; the rest is empty then.
    pub error: Option<String>,
}

impl Call for Inspect {
    /// One entry for each machine.
    type Answer = Vec<MachineTree>;
    const NAME: &'static str = "inspect.tree";
}

/// Shows the metrics of this machine. For administrators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metrics {}

impl Call for Metrics {
    /// Prometheus' text format.
    type Answer = String;
    const NAME: &'static str = "inspect.metrics";
}

/// What the inspector receives.
#[derive(Debug)]
pub enum InspectorInput {
    /// Show a tree.
    Inspect(Inspect, Reply<Vec<MachineTree>>),
    /// Show the metrics.
    Metrics(Reply<String>),
    /// A tree was put together; the answer has gone out.
    Shown,
}

/// See the module.
pub struct Inspector {
    me: IdentityName,
    registry: Registry,
}

impl Inspector {
    /// The actor called `inspect`.
    pub fn spec(me: IdentityName, registry: Registry) -> ActorSpec<Self> {
        ActorSpec::new("inspect", move |_| Self { me: me.clone(), registry: registry.clone() })
            .call::<Inspect>(InspectorInput::Inspect)
            .call::<Metrics>(|_, reply| InspectorInput::Metrics(reply))
    }

    fn own_tree(&self, prefix: Option<&ActorPath>) -> MachineTree {
        let root = ActorPath::root();
        let actors = self.registry.report(prefix.unwrap_or(&root));
        MachineTree { machine: self.me.clone(), actors, kernel: self.registry.kernel_report(), error: None }
    }
}

impl Behaviour for Inspector {
    type Input = InspectorInput;

    fn handle(&mut self, input: InspectorInput, cx: &mut Context<Self>) {
        match input {
            InspectorInput::Metrics(reply) => reply.answer(self.registry.metrics_text()),
            InspectorInput::Inspect(Inspect { prefix, everywhere: false }, reply) => {
                reply.answer(vec![self.own_tree(prefix.as_ref())]);
            }
            InspectorInput::Inspect(Inspect { prefix, everywhere: true }, reply) => {
                let own = self.own_tree(prefix.as_ref());
                let registry = cx.registry();
                let started = cx.spawn_io(async move {
                    match everywhere(&registry, own, prefix).await {
                        Ok(trees) => reply.answer(trees),
                        Err(error) => reply.refuse(error.to_string()),
                    }
                    InspectorInput::Shown
                });
                if let Err(limit) = started {
                    tracing::warn!(%limit, "a tree is not shown");
                }
            }
            InspectorInput::Shown => {}
        }
    }

    fn label(input: &InspectorInput) -> &'static str {
        match input {
            InspectorInput::Inspect(..) => "inspect",
            InspectorInput::Metrics(..) => "metrics",
            InspectorInput::Shown => "shown",
        }
    }
}

/// Our tree and those of all other machines; one that does not answer is there with its error.
async fn everywhere(
    registry: &Registry,
    own: MachineTree,
    prefix: Option<ActorPath>,
) -> Result<Vec<MachineTree>, CallError> {
    let options = || CallOptions::within(MACHINE_DEADLINE);
    let members = registry.call(&cluster_path(&own.machine), ListMembers {}, options()).await?;
    let others = members.into_iter().map(|(name, _)| name).filter(|name| *name != own.machine);
    let asked = others.map(|machine| {
        let inspect = Inspect { prefix: prefix.clone(), everywhere: false };
        async move {
            match registry.call(&inspector_path(&machine), inspect, options()).await {
                Ok(trees) => trees,
                Err(error) => vec![MachineTree {
                    machine,
                    actors: Vec::new(),
                    kernel: KernelReport::default(),
                    error: Some(error.to_string()),
                }],
            }
        }
    });
    let mut trees: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    trees.push(own);
    trees.sort_by(|a, b| a.machine.cmp(&b.machine));
    Ok(trees)
}

/// The inspector of a machine.
pub fn inspector_path(machine: &IdentityName) -> ActorPath {
    format!("/{machine}/inspect").parse().expect("an identity's kind and name are path segments")
}
