//! [`PodRoutes`]: leads packets to the pods of other nodes, and tells the pod network its own ranges.
//!
//! Place in the supervision tree: `/node/<name>/pod-routes`, permanent. It follows Nodes; the kernel keeps the last
//! routes while an incarnation is away. A refusal is tried again, and whenever the nodes change.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use ipnet::IpNet;
use serde_json::Value;
use trireme_dataplane::{BridgeNetwork, NetError, Peer};
use trireme_kernel::{ActorSpec, Address, Behaviour, Context, StartError};
use trireme_node::{Feed, FeedEvent, FeedKind};

/// Pause after a refusal.
const RETRY: Duration = Duration::from_secs(2);
/// How long the feed waits for room in the mailbox before the actor starts anew.
const MAILBOX_WAIT: Duration = Duration::from_secs(60);

/// What the actor receives.
#[derive(Debug)]
pub enum PodRoutesInput {
    /// The feed of Nodes told something.
    Told(FeedEvent),
    /// The feed ended, or told more than could be taken in.
    FeedEnded,
    /// The kernel was told.
    Written(Result<(), String>),
}

/// See the module.
pub struct PodRoutes {
    node_name: String,
    network: Arc<BridgeNetwork>,
    feed: Arc<dyn Feed>,
    nodes: BTreeMap<String, Peer>,
    written: Option<Vec<Peer>>,
    in_flight: Option<Vec<Peer>>,
    listed: bool,
}

impl PodRoutes {
    /// The actor called `pod-routes` of this node.
    pub fn spec(node_name: String, network: Arc<BridgeNetwork>, feed: Arc<dyn Feed>) -> ActorSpec<Self> {
        ActorSpec::new("pod-routes", move |_| Self {
            node_name: node_name.clone(),
            network: Arc::clone(&network),
            feed: Arc::clone(&feed),
            nodes: BTreeMap::new(),
            written: None,
            in_flight: None,
            listed: false,
        })
    }

    fn take(&mut self, event: FeedEvent) {
        match event {
            FeedEvent::Resync(all) => {
                self.nodes = all.iter().filter_map(|object| read_node(object)).collect();
                self.listed = true;
            }
            FeedEvent::Set(object) => self.nodes.extend(read_node(&object)),
            FeedEvent::Gone(object) => {
                if let Some((name, _)) = read_node(&object) {
                    self.nodes.remove(&name);
                }
            }
        }
    }

    fn write(&mut self, cx: &mut Context<Self>) {
        let own = self.nodes.get(&self.node_name).map(|peer| peer.pod_cidrs.clone()).unwrap_or_default();
        let wanted: Vec<Peer> =
            self.nodes.values().filter(|peer| !peer.pod_cidrs.is_empty()).cloned().collect();
        if !self.listed
            || own.is_empty()
            || self.in_flight.is_some()
            || self.written.as_ref() == Some(&wanted)
        {
            return;
        }
        let others = wanted.iter().filter(|peer| peer.name != self.node_name).cloned().collect();
        let network = Arc::clone(&self.network);
        let write = move || network.assign(own).and_then(|()| network.set_peers(others));
        let work = async move {
            let outcome = tokio::task::spawn_blocking(write).await;
            let outcome = outcome.unwrap_or_else(|error| Err(NetError::Invalid(error.to_string())));
            PodRoutesInput::Written(outcome.map_err(|error| error.to_string()))
        };
        match cx.spawn_io(work) {
            Ok(_) => self.in_flight = Some(wanted),
            Err(error) => cx.fail(error.to_string()),
        }
    }
}

impl Behaviour for PodRoutes {
    type Input = PodRoutesInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        let follow = follow(self.feed.follow(FeedKind::Nodes), cx.address());
        cx.spawn_io(follow).map_err(|error| StartError(error.to_string()))?;
        Ok(())
    }

    fn handle(&mut self, input: PodRoutesInput, cx: &mut Context<Self>) {
        match input {
            PodRoutesInput::Told(event) => self.take(event),
            PodRoutesInput::FeedEnded => return cx.fail("the feed of nodes ended"),
            PodRoutesInput::Written(Ok(())) => self.written = self.in_flight.take(),
            PodRoutesInput::Written(Err(reason)) => {
                tracing::warn!(%reason, retry_s = RETRY.as_secs(), "pods of other nodes cannot all be reached");
                self.in_flight = None;
                return cx.arm(cx.now() + RETRY);
            }
        }
        self.write(cx);
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        self.write(cx);
    }

    fn state_name(&self) -> &'static str {
        match (self.listed, self.in_flight.is_some()) {
            (false, _) => "listing",
            (true, true) => "writing",
            (true, false) => "following",
        }
    }

    fn label(input: &PodRoutesInput) -> &'static str {
        match input {
            PodRoutesInput::Told(_) => "nodes",
            PodRoutesInput::FeedEnded => "feed-ended",
            PodRoutesInput::Written(_) => "written",
        }
    }
}

async fn follow(
    mut events: futures_util::stream::BoxStream<'static, FeedEvent>,
    to: Address<PodRoutesInput>,
) -> PodRoutesInput {
    while let Some(event) = events.next().await {
        if to.send_wait(PodRoutesInput::Told(event), MAILBOX_WAIT).await.is_err() {
            break;
        }
    }
    PodRoutesInput::FeedEnded
}

/// Name, `spec.podCIDRs` and internal addresses of a Node.
fn read_node(object: &Value) -> Option<(String, Peer)> {
    let name = object.pointer("/metadata/name")?.as_str()?.to_owned();
    let list = |pointer: &str| object.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let mut pod_cidrs: Vec<IpNet> =
        list("/spec/podCIDRs").filter_map(|range| range.as_str()?.parse().ok()).collect();
    if pod_cidrs.is_empty() {
        pod_cidrs
            .extend(object.pointer("/spec/podCIDR").and_then(|range| range.as_str()?.parse::<IpNet>().ok()));
    }
    let internal = list("/status/addresses").filter(|address| address["type"] == "InternalIP");
    let addresses: Vec<IpAddr> =
        internal.filter_map(|address| address["address"].as_str()?.parse().ok()).collect();
    Some((name.clone(), Peer { name, pod_cidrs, addresses }))
}
