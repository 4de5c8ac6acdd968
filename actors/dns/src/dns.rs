use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use ipnet::IpNet;
use trireme_dataplane::rt::Routing;
use trireme_kernel::{ActorSpec, Address, Behaviour, Context, StartError};
use trireme_node::{Feed, FeedEvent, FeedKind};

use crate::config::DnsConfig;
use crate::index::id;
use crate::resolver::Resolver;
use crate::server::Sockets;

/// Pause between tries to get the addresses and ports: the pod network may come up later.
const BIND_AGAIN: Duration = Duration::from_millis(500);
/// How long a feed waits for room in the mailbox before the actor starts anew.
const MAILBOX_WAIT: Duration = Duration::from_secs(60);

/// What the actor receives.
#[derive(Debug)]
pub enum DnsInput {
    /// A feed told something.
    Told(FeedKind, FeedEvent),
    /// A feed ended, or told more than could be taken in.
    FeedEnded(FeedKind),
    /// Binding the addresses ended.
    Bound(BindOutcome),
    /// A server ended.
    ServerEnded(String),
}

/// Sockets, or why there are none yet.
#[derive(Debug)]
pub struct BindOutcome(Result<Vec<Sockets>, String>);

/// See the crate.
pub struct Dns {
    config: DnsConfig,
    feed: Arc<dyn Feed>,
    resolver: Arc<Resolver>,
    listed: BTreeSet<FeedKind>,
    serving: bool,
    told: Option<Told>,
}

type Told = Arc<dyn Fn(Vec<SocketAddr>) + Send + Sync>;

impl Dns {
    /// The actor called `dns`.
    pub fn spec(config: DnsConfig, feed: Arc<dyn Feed>) -> ActorSpec<Self> {
        Self::spec_telling(config, feed, None)
    }

    /// The same; `told` hears where it answers, each time it begins to.
    pub fn spec_telling(config: DnsConfig, feed: Arc<dyn Feed>, told: Option<Told>) -> ActorSpec<Self> {
        ActorSpec::new("dns", move |_| Self {
            resolver: Arc::new(Resolver::new(&config)),
            config: config.clone(),
            feed: Arc::clone(&feed),
            listed: BTreeSet::new(),
            serving: false,
            told: told.clone(),
        })
    }

    fn take(&mut self, kind: FeedKind, event: FeedEvent) {
        self.resolver.update(|index| match (kind, event) {
            (FeedKind::Services, FeedEvent::Resync(all)) => {
                index.keep_services(&all.iter().map(|object| id(object)).collect());
                all.iter().for_each(|object| index.set_service(object));
            }
            (FeedKind::EndpointSlices, FeedEvent::Resync(all)) => {
                index.keep_slices(&all.iter().map(|object| id(object)).collect());
                all.iter().for_each(|object| index.set_slice(object));
            }
            (FeedKind::Services, FeedEvent::Set(object)) => index.set_service(&object),
            (FeedKind::Services, FeedEvent::Gone(object)) => index.remove_service(&id(&object)),
            (FeedKind::EndpointSlices, FeedEvent::Set(object)) => index.set_slice(&object),
            (FeedKind::EndpointSlices, FeedEvent::Gone(object)) => index.remove_slice(&id(&object)),
            (FeedKind::Nodes, _) => {}
        });
    }

    fn bind(&mut self, cx: &mut Context<Self>) {
        let config = self.config.clone();
        let work = async move {
            let bound = tokio::task::spawn_blocking(move || bind_all(&config)).await;
            let bound = bound.unwrap_or_else(|error| Err(io::Error::other(error)));
            DnsInput::Bound(BindOutcome(bound.map_err(|error| error.to_string())))
        };
        if let Err(error) = cx.spawn_io(work) {
            cx.fail(error.to_string());
        }
    }

    fn bound(&mut self, outcome: Result<Vec<Sockets>, String>, cx: &mut Context<Self>) {
        let sockets = match outcome {
            Ok(sockets) => sockets,
            Err(reason) => {
                tracing::warn!(%reason, retry_ms = BIND_AGAIN.as_millis(), "the cluster's DNS cannot answer yet");
                return cx.arm(cx.now() + BIND_AGAIN);
            }
        };
        let addresses: Vec<SocketAddr> = sockets.iter().filter_map(|pair| pair.address().ok()).collect();
        for pair in sockets {
            let resolver = Arc::clone(&self.resolver);
            let serve = async move { DnsInput::ServerEnded(pair.serve(resolver).await.to_string()) };
            if let Err(error) = cx.spawn_io(serve) {
                return cx.fail(error.to_string());
            }
        }
        self.serving = true;
        tracing::info!(?addresses, "the cluster's DNS answers");
        if let Some(told) = &self.told {
            told(addresses);
        }
    }
}

impl Behaviour for Dns {
    type Input = DnsInput;

    fn started(&mut self, cx: &mut Context<Self>) -> Result<(), StartError> {
        for kind in [FeedKind::Services, FeedKind::EndpointSlices] {
            let follow = follow(self.feed.follow(kind), kind, cx.address());
            cx.spawn_io(follow).map_err(|error| StartError(error.to_string()))?;
        }
        self.bind(cx);
        Ok(())
    }

    fn handle(&mut self, input: DnsInput, cx: &mut Context<Self>) {
        match input {
            DnsInput::Told(kind, event) => {
                let listing = matches!(event, FeedEvent::Resync(_));
                self.take(kind, event);
                if listing && self.listed.insert(kind) && self.listed.len() == 2 {
                    self.resolver.set_complete();
                }
            }
            // What was missed would leave a wrong answer for ever: the next incarnation lists anew.
            DnsInput::FeedEnded(kind) => cx.fail(format!("the feed of {kind:?} ended")),
            DnsInput::Bound(BindOutcome(outcome)) => self.bound(outcome, cx),
            DnsInput::ServerEnded(reason) => cx.fail(format!("a socket failed: {reason}")),
        }
    }

    fn timer(&mut self, cx: &mut Context<Self>) {
        self.bind(cx);
    }

    fn state_name(&self) -> &'static str {
        match (self.serving, self.listed.len()) {
            (false, _) => "binding",
            (true, 0 | 1) => "listing",
            (true, _) => "answering",
        }
    }

    fn label(input: &DnsInput) -> &'static str {
        match input {
            DnsInput::Told(FeedKind::Services, _) => "services",
            DnsInput::Told(..) => "endpointslices",
            DnsInput::FeedEnded(_) => "feed-ended",
            DnsInput::Bound(_) => "bound",
            DnsInput::ServerEnded(_) => "server-ended",
        }
    }
}

async fn follow(
    mut events: futures_util::stream::BoxStream<'static, FeedEvent>,
    kind: FeedKind,
    to: Address<DnsInput>,
) -> DnsInput {
    while let Some(event) = events.next().await {
        if to.send_wait(DnsInput::Told(kind, event), MAILBOX_WAIT).await.is_err() {
            break;
        }
    }
    DnsInput::FeedEnded(kind)
}

fn bind_all(config: &DnsConfig) -> io::Result<Vec<Sockets>> {
    if let Some(name) = &config.link {
        let mut routing = Routing::open(&config.netns).map_err(io::Error::other)?;
        let link = routing.must_link(name).map_err(io::Error::other)?;
        for address in &config.addresses {
            routing.add_address(&link, IpNet::from(*address)).map_err(io::Error::other)?;
        }
    }
    let bind = |address: &std::net::IpAddr| {
        Sockets::bind(&config.netns, *address, config.port)
            .map_err(|error| io::Error::new(error.kind(), format!("{address} port {}: {error}", config.port)))
    };
    config.addresses.iter().map(bind).collect()
}
