use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::watch;
use trireme_dataplane::{NetError, Netns};
use trireme_kernel::{ActorSpec, Address, Behaviour, Context, StartError};
use trireme_node::{Feed, FeedEvent, FeedKind};
use trireme_proxy_core::{Compiler, Delta, HealthCheck, NodeView, Service, ServiceKey, Slice};

use crate::health::HealthServers;
use crate::kernel::{Kernel, ServicesConfig};

/// First pause after a refused commit, doubled up to [`RETRY_LONGEST`].
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// Longest pause between tries.
const RETRY_LONGEST: Duration = Duration::from_secs(30);
/// How long a feed waits for room in the mailbox before the actor starts anew.
const MAILBOX_WAIT: Duration = Duration::from_secs(60);
/// A commit of everything may take this long before the actor is replaced; it waits on no lock of ours.
const PROGRESS_LIMIT: Duration = Duration::from_secs(30);

/// What a node's proxy is made of.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// The node's name.
    pub node_name: String,
    /// Where and among whom.
    pub services: ServicesConfig,
    /// Service addresses that this node answers itself, such as the cluster's DNS.
    pub answered_here: BTreeSet<IpAddr>,
}

/// What the actor receives.
#[derive(Debug)]
pub enum ProxyInput {
    /// A feed told something.
    Told(FeedKind, FeedEvent),
    /// A commit ended.
    Committed(Committed),
    /// A feed ended, or told more than could be taken in.
    FeedEnded(FeedKind),
}

/// The kernel's sockets come back with the outcome.
pub struct Committed {
    kernel: Option<Kernel>,
    outcome: Result<(), NetError>,
    took: Duration,
    changes: usize,
}

impl std::fmt::Debug for Committed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Committed({:?}, {} changes in {:?})", self.outcome, self.changes, self.took)
    }
}

enum Plan {
    Rebuild(Box<trireme_proxy_core::Rules>),
    Apply(Box<Delta>),
}

/// See the crate.
pub struct Proxy {
    config: ProxyConfig,
    feed: Arc<dyn Feed>,
    compiler: Compiler,
    health: watch::Sender<Vec<HealthCheck>>,
    /// Kinds that were listed once.
    listed: BTreeSet<FeedKind>,
    /// `None` before the first commit and while one is in flight.
    kernel: Option<Kernel>,
    in_flight: bool,
    /// The kernel's state is unknown: everything is written anew.
    rebuild: bool,
    pause: Duration,
}

impl Proxy {
    /// The actor called `proxy`.
    pub fn spec(config: ProxyConfig, feed: Arc<dyn Feed>) -> ActorSpec<Self> {
        ActorSpec::new("proxy", move |_| Self::new(config.clone(), Arc::clone(&feed)))
            .progress_limit(PROGRESS_LIMIT)
    }

    fn new(config: ProxyConfig, feed: Arc<dyn Feed>) -> Self {
        let view = node_view(&config, String::new());
        Self {
            health: watch::Sender::new(Vec::new()),
            compiler: Compiler::new(view),
            config,
            feed,
            listed: BTreeSet::new(),
            kernel: None,
            in_flight: false,
            rebuild: true,
            pause: RETRY_FIRST,
        }
    }

    fn take(&mut self, kind: FeedKind, event: FeedEvent) {
        match event {
            FeedEvent::Resync(all) => {
                self.forget_all_but(kind, &all);
                all.iter().for_each(|object| self.set(kind, object));
                self.listed.insert(kind);
            }
            FeedEvent::Set(object) => self.set(kind, &object),
            FeedEvent::Gone(object) => self.gone(kind, &object),
        }
    }

    fn set(&mut self, kind: FeedKind, object: &Value) {
        match kind {
            FeedKind::Services => self.compiler.set_service(&ServiceKey::of(object), Service::read(object)),
            FeedKind::EndpointSlices => {
                let (namespace, name) = names(object);
                self.compiler.set_slice(namespace, name, Slice::read(object));
            }
            FeedKind::Nodes if names(object).1 == self.config.node_name => {
                let labels = object.pointer("/metadata/labels");
                let zone = labels
                    .and_then(|labels| labels.get("topology.kubernetes.io/zone"))
                    .and_then(Value::as_str);
                self.compiler.set_node(node_view(&self.config, zone.unwrap_or_default().to_owned()));
            }
            FeedKind::Nodes => {}
        }
    }

    fn gone(&mut self, kind: FeedKind, object: &Value) {
        match kind {
            FeedKind::Services => self.compiler.set_service(&ServiceKey::of(object), None),
            FeedKind::EndpointSlices => {
                let (namespace, name) = names(object);
                self.compiler.set_slice(namespace, name, None);
            }
            FeedKind::Nodes => {}
        }
    }

    fn forget_all_but(&mut self, kind: FeedKind, all: &[Arc<Value>]) {
        let listed: BTreeSet<(String, String)> = all
            .iter()
            .map(|object| names(object))
            .map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
            .collect();
        if kind == FeedKind::Services {
            let known = self.compiler.services().cloned();
            let gone: Vec<ServiceKey> =
                known.filter(|key| !listed.contains(&(key.namespace.clone(), key.name.clone()))).collect();
            gone.iter().for_each(|key| self.compiler.set_service(key, None));
        } else if kind == FeedKind::EndpointSlices {
            let known = self.compiler.slices().cloned();
            let gone: Vec<(String, String)> = known.filter(|id| !listed.contains(id)).collect();
            gone.iter().for_each(|(namespace, name)| self.compiler.set_slice(namespace, name, None));
        }
    }

    /// Commits what is to be done, unless a commit is in flight or something was never listed.
    fn commit(&mut self, cx: &mut Context<Self>) {
        let complete =
            [FeedKind::Services, FeedKind::EndpointSlices].iter().all(|kind| self.listed.contains(kind));
        if self.in_flight || !complete {
            return;
        }
        let delta = self.compiler.compile();
        let checks = self.compiler.health_checks();
        self.health.send_if_modified(|known| {
            let changed = *known != checks;
            *known = checks;
            changed
        });
        let plan = match self.rebuild {
            true => Plan::Rebuild(Box::new(self.compiler.rules().clone())),
            false if delta.is_empty() => return,
            false => Plan::Apply(Box::new(delta)),
        };
        let (kernel, config) = (self.kernel.take(), self.config.services.clone());
        let work = async move {
            let done = tokio::task::spawn_blocking(move || carry_out(kernel, config, &plan)).await;
            ProxyInput::Committed(done.unwrap_or_else(|error| Committed {
                kernel: None,
                outcome: Err(NetError::Invalid(format!("commit: {error}"))),
                took: Duration::ZERO,
                changes: 0,
            }))
        };
        match cx.spawn_io(work) {
            Ok(_) => {
                self.in_flight = true;
                self.rebuild = false;
            }
            Err(error) => cx.fail(error.to_string()),
        }
    }

    fn committed(&mut self, committed: Committed, cx: &mut Context<Self>) {
        self.in_flight = false;
        self.kernel = committed.kernel;
        match committed.outcome {
            Ok(()) => {
                tracing::debug!(changes = committed.changes, took = ?committed.took, "services programmed");
                self.pause = RETRY_FIRST;
                self.commit(cx);
            }
            Err(error) => {
                tracing::warn!(%error, retry_ms = self.pause.as_millis(), "services cannot be programmed");
                self.rebuild = true;
                self.kernel = None;
                // Nothing else is sent meanwhile: `in_flight` holds until the timer.
                self.in_flight = true;
                cx.arm(cx.now() + self.pause);
                self.pause = (self.pause * 2).min(RETRY_LONGEST);
            }
        }
    }
}

impl Behaviour for Proxy {
    type Input = ProxyInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        for kind in [FeedKind::Services, FeedKind::EndpointSlices, FeedKind::Nodes] {
            let follow = follow(self.feed.follow(kind), kind, cx.address());
            cx.spawn_io(follow).map_err(|error| StartError(error.to_string()))?;
        }
        let health = serve_health(self.health.subscribe(), self.config.services.netns.clone());
        cx.spawn_task(health).map_err(|error| StartError(error.to_string()))?;
        Ok(())
    }

    fn handle(&mut self, input: ProxyInput, cx: &mut Context<Self>) {
        match input {
            ProxyInput::Told(kind, event) => {
                self.take(kind, event);
                self.commit(cx);
            }
            ProxyInput::Committed(committed) => self.committed(committed, cx),
            // What was missed would leave a wrong rule for ever: the next incarnation lists anew.
            ProxyInput::FeedEnded(kind) => cx.fail(format!("the feed of {kind:?} ended")),
        }
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        self.in_flight = false;
        self.commit(cx);
    }

    fn state_name(&self) -> &'static str {
        match (self.listed.len() < 2, self.in_flight, self.rebuild) {
            (true, _, _) => "listing",
            (_, _, true) => "retrying",
            (_, true, _) => "committing",
            _ => "following",
        }
    }

    fn label(input: &ProxyInput) -> &'static str {
        match input {
            ProxyInput::Told(FeedKind::Services, _) => "services",
            ProxyInput::Told(FeedKind::EndpointSlices, _) => "endpointslices",
            ProxyInput::Told(FeedKind::Nodes, _) => "nodes",
            ProxyInput::Committed(_) => "committed",
            ProxyInput::FeedEnded(_) => "feed-ended",
        }
    }
}

async fn follow(
    mut events: futures_util::stream::BoxStream<'static, FeedEvent>,
    kind: FeedKind,
    to: Address<ProxyInput>,
) -> ProxyInput {
    while let Some(event) = events.next().await {
        if to.send_wait(ProxyInput::Told(kind, event), MAILBOX_WAIT).await.is_err() {
            break;
        }
    }
    ProxyInput::FeedEnded(kind)
}

async fn serve_health(mut checks: watch::Receiver<Vec<HealthCheck>>, netns: Netns) {
    let mut servers = HealthServers::new(netns);
    while checks.changed().await.is_ok() {
        let wanted = checks.borrow_and_update().clone();
        servers.set(wanted, &tokio::runtime::Handle::current());
    }
}

fn carry_out(kernel: Option<Kernel>, config: ServicesConfig, plan: &Plan) -> Committed {
    let began = std::time::Instant::now();
    let opened = kernel.map_or_else(|| Kernel::open(config), Ok);
    let (mut kernel, changes) = match (opened, plan) {
        (Ok(kernel), Plan::Apply(delta)) => (kernel, delta.len()),
        (Ok(kernel), Plan::Rebuild(rules)) => (kernel, rules.pools.len() + rules.fronts.len()),
        (Err(error), _) => {
            return Committed { kernel: None, outcome: Err(error), took: began.elapsed(), changes: 0 };
        }
    };
    let outcome = match plan {
        Plan::Rebuild(rules) => kernel.rebuild(rules),
        Plan::Apply(delta) => kernel.apply(delta),
    };
    Committed { kernel: Some(kernel), outcome, took: began.elapsed(), changes }
}

fn node_view(config: &ProxyConfig, zone: String) -> NodeView {
    NodeView { name: config.node_name.clone(), zone, answered_here: config.answered_here.clone() }
}

fn names(object: &Value) -> (&str, &str) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    (text("/metadata/namespace"), text("/metadata/name"))
}
