//! [`Links`]: the network between the members, a [`RaftTransport`] for each.
//!
//! It keeps what the trait demands (a message arrives at most once, the messages of a stream in order) and nothing
//! more: messages are late, overtake each other, get lost, and their answers as well. Votes and heartbeats may
//! also arrive twice, since Raft bears that; forwarded proposals may not, since the bus never does it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use trireme_core::Rng;
use trireme_raft::MemberId;
use trireme_raft::store::transport::{Duplex, Lane, RaftService, RaftTransport, Target, TransportError};
use trireme_sim::LinkSettings;

use crate::world::{OUTSIDE, World};

/// How long a stream holds a message that does not get through before it breaks.
const STREAM_PATIENCE: Duration = Duration::from_millis(1_500);
/// How often it tries meanwhile.
const STREAM_RETRY: Duration = Duration::from_millis(40);

/// All links. Clones share them.
#[derive(Clone)]
pub(crate) struct Links {
    world: Arc<World>,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    settings: LinkSettings,
    rng: Rng,
    services: BTreeMap<MemberId, Arc<dyn RaftService>>,
    cuts: BTreeMap<(MemberId, MemberId), u32>,
    extra_loss_per_mille: Vec<u16>,
}

impl Links {
    pub(crate) fn new(world: Arc<World>, settings: LinkSettings, rng: Rng) -> Self {
        let inner = Inner {
            settings,
            rng,
            services: BTreeMap::new(),
            cuts: BTreeMap::new(),
            extra_loss_per_mille: Vec::new(),
        };
        Self { world, inner: Arc::new(Mutex::new(inner)) }
    }

    pub(crate) fn transport(&self, me: MemberId) -> Arc<dyn RaftTransport> {
        Arc::new(Transport { links: self.clone(), me })
    }

    pub(crate) fn attach(&self, member: MemberId, service: Arc<dyn RaftService>) {
        self.inner.lock().services.insert(member, service);
    }

    pub(crate) fn detach(&self, member: MemberId) {
        // Dropped without the lock: it may be the last to hold the member.
        let service = self.inner.lock().services.remove(&member);
        drop(service);
    }

    pub(crate) fn cut(&self, from: MemberId, to: MemberId) {
        *self.inner.lock().cuts.entry((from, to)).or_default() += 1;
    }

    pub(crate) fn heal(&self, from: MemberId, to: MemberId) {
        let mut inner = self.inner.lock();
        let count = inner.cuts.entry((from, to)).or_default();
        *count = count.saturating_sub(1);
    }

    pub(crate) fn add_loss(&self, per_mille: u16) {
        self.inner.lock().extra_loss_per_mille.push(per_mille);
    }

    pub(crate) fn remove_loss(&self, per_mille: u16) {
        let mut inner = self.inner.lock();
        if let Some(at) = inner.extra_loss_per_mille.iter().position(|loss| *loss == per_mille) {
            inner.extra_loss_per_mille.remove(at);
        }
    }

    fn service(&self, member: MemberId) -> Option<Arc<dyn RaftService>> {
        self.inner.lock().services.get(&member).cloned()
    }

    /// How long a message is on its way; none if it is lost.
    fn way(&self, from: MemberId, to: MemberId) -> Option<Duration> {
        let mut inner = self.inner.lock();
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let (low, high) = (nanos(inner.settings.latency_min), nanos(inner.settings.latency_max));
        let (roll, way) = (inner.rng.below(1_000), inner.rng.between(low, high));
        let extra: u64 = inner.extra_loss_per_mille.iter().map(|loss| u64::from(*loss)).sum();
        let lost = roll < u64::from(inner.settings.loss_per_mille) + extra;
        let cut = inner.cuts.get(&(from, to)).is_some_and(|count| *count > 0);
        (!lost && !cut).then(|| Duration::from_nanos(way))
    }

    fn doubles(&self, lane: Lane) -> bool {
        let mut inner = self.inner.lock();
        let twice = u64::from(inner.settings.duplicate_per_mille);
        inner.rng.chance(twice, 1_000) && lane == Lane::Heartbeat
    }

    /// Sends a request; the answer comes, or never.
    fn send(&self, from: MemberId, to: MemberId, body: Bytes, answer: oneshot::Sender<Bytes>) {
        let Some(way) = self.way(from, to) else { return };
        let (links, world) = (self.clone(), self.world.clone());
        self.world.spawn_on(OUTSIDE, async move {
            world.sleep(way).await;
            let Some(service) = links.service(to) else { return };
            world.clone().spawn_on(to, async move {
                let bytes = service.serve(body).await;
                drop(service);
                let Some(back) = links.way(to, from) else { return };
                let clock = world.clone();
                world.spawn_on(OUTSIDE, async move {
                    clock.sleep(back).await;
                    // Whoever asked may have given up.
                    drop(answer.send(bytes));
                });
            });
        });
    }

    /// Moves messages one way, in order, until that direction ends or breaks.
    async fn pump(
        self,
        from: MemberId,
        to: MemberId,
        mut source: mpsc::Receiver<Bytes>,
        sink: mpsc::Sender<Bytes>,
    ) {
        while let Some(message) = source.recv().await {
            let mut waited = Duration::ZERO;
            let way = loop {
                match self.way(from, to) {
                    Some(way) => break way,
                    None if waited >= STREAM_PATIENCE => return,
                    None => self.world.sleep(STREAM_RETRY).await,
                }
                waited += STREAM_RETRY;
            };
            self.world.sleep(way).await;
            if sink.send(message).await.is_err() {
                return;
            }
        }
    }
}

struct Transport {
    links: Links,
    me: MemberId,
}

impl RaftTransport for Transport {
    fn request(
        &self,
        to: &Target,
        lane: Lane,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let (links, me, member) = (self.links.clone(), self.me, to.member);
        Box::pin(async move {
            // A machine that is known to be down refuses at once, now and then.
            if links.service(member).is_none() && links.world.below(2) == 0 {
                return Err(TransportError::Unreachable { member, why: "nobody listens".to_owned() });
            }
            if links.doubles(lane) {
                links.send(me, member, body.clone(), oneshot::channel().0);
            }
            let (sender, answer) = oneshot::channel();
            links.send(me, member, body, sender);
            let answer = async {
                match answer.await {
                    Ok(bytes) => bytes,
                    // Lost: nobody tells.
                    Err(_) => std::future::pending().await,
                }
            };
            let no_answer = || TransportError::NoAnswer { member, why: "the time was up".to_owned() };
            links.world.limit(timeout, answer).await.ok_or_else(no_answer)
        })
    }

    fn open(&self, to: &Target, _lane: Lane) -> BoxFuture<'static, Result<Duplex, TransportError>> {
        let (links, me, member) = (self.links.clone(), self.me, to.member);
        Box::pin(async move {
            let unreachable = |why: &str| TransportError::Unreachable { member, why: why.to_owned() };
            let (Some(there), Some(back)) = (links.way(me, member), links.way(member, me)) else {
                links.world.sleep(STREAM_RETRY).await;
                return Err(unreachable("the way is cut"));
            };
            links.world.sleep(there + back).await;
            let service = links.service(member).ok_or_else(|| unreachable("nobody listens"))?;
            let (mine, source) = Duplex::pair();
            let (theirs, sink) = Duplex::pair();
            links.world.spawn_on(member, async move {
                let serving = service.serve_stream(theirs);
                drop(service);
                serving.await;
            });
            links.world.spawn_on(OUTSIDE, links.clone().pump(me, member, source.receive, sink.send));
            links.world.spawn_on(OUTSIDE, links.clone().pump(member, me, sink.receive, source.send));
            Ok(mine)
        })
    }
}
