//! [`MemoryNet`]: a transport within one process whose links can be cut and slowed, for tests and simulation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{Duplex, Lane, RaftService, RaftTransport, Target, TransportError};
use crate::identity::MemberId;

/// A network of members in one process. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryNet {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    services: BTreeMap<MemberId, Arc<dyn RaftService>>,
    /// One-way cuts: messages from the first to the second are lost.
    cuts: BTreeSet<(MemberId, MemberId)>,
    delay: Duration,
    /// Streams that were asked for.
    asked: u64,
}

impl MemoryNet {
    /// A network without members and faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The transport of one member.
    pub fn transport(&self, member: MemberId) -> Arc<dyn RaftTransport> {
        Arc::new(MemoryTransport { net: self.clone(), me: member })
    }

    /// Makes a member reachable.
    pub fn attach(&self, member: MemberId, service: Arc<dyn RaftService>) {
        self.inner.lock().services.insert(member, service);
    }

    /// Makes a member unreachable, as if its process had died.
    pub fn detach(&self, member: MemberId) {
        self.inner.lock().services.remove(&member);
    }

    /// Loses every message from `from` to `to`, answers included.
    pub fn cut(&self, from: MemberId, to: MemberId) {
        self.inner.lock().cuts.insert((from, to));
    }

    /// Cuts a member off from everybody, both ways.
    pub fn isolate(&self, member: MemberId) {
        let mut inner = self.inner.lock();
        let others: Vec<MemberId> = inner.services.keys().copied().filter(|other| *other != member).collect();
        for other in others {
            inner.cuts.extend([(member, other), (other, member)]);
        }
    }

    /// Heals all links.
    pub fn heal(&self) {
        self.inner.lock().cuts.clear();
    }

    /// How many streams were asked for so far, whether or not they could be opened.
    pub fn streams_asked(&self) -> u64 {
        self.inner.lock().asked
    }

    /// Every message takes this long.
    pub fn delay(&self, delay: Duration) {
        self.inner.lock().delay = delay;
    }

    fn passes(&self, from: MemberId, to: MemberId) -> bool {
        let inner = self.inner.lock();
        inner.services.contains_key(&to) && !inner.cuts.contains(&(from, to))
    }

    fn service(&self, member: MemberId) -> Option<Arc<dyn RaftService>> {
        self.inner.lock().services.get(&member).cloned()
    }

    async fn travel(&self) {
        let delay = self.inner.lock().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    /// Moves messages one way until that direction ends or is cut.
    async fn pump(
        self,
        from: MemberId,
        to: MemberId,
        mut source: mpsc::Receiver<Bytes>,
        sink: mpsc::Sender<Bytes>,
    ) {
        while let Some(message) = source.recv().await {
            self.travel().await;
            if !self.passes(from, to) || sink.send(message).await.is_err() {
                return;
            }
        }
    }
}

struct MemoryTransport {
    net: MemoryNet,
    me: MemberId,
}

impl RaftTransport for MemoryTransport {
    fn request(
        &self,
        to: &Target,
        _lane: Lane,
        body: Bytes,
        timeout: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let (net, me, member) = (self.net.clone(), self.me, to.member);
        Box::pin(async move {
            let no_answer = |why: &str| TransportError::NoAnswer { member, why: why.to_owned() };
            let exchange = async {
                net.travel().await;
                let unreachable = || TransportError::Unreachable { member, why: "no link".to_owned() };
                let service =
                    net.service(member).filter(|_| net.passes(me, member)).ok_or_else(unreachable)?;
                let answer = service.serve(body).await;
                net.travel().await;
                let back = net.passes(member, me) && net.service(member).is_some();
                back.then_some(answer).ok_or_else(|| no_answer("the answer was lost"))
            };
            tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| Err(no_answer("timed out")))
        })
    }

    fn open(&self, to: &Target, _lane: Lane) -> BoxFuture<'static, Result<Duplex, TransportError>> {
        let (net, me, member) = (self.net.clone(), self.me, to.member);
        net.inner.lock().asked += 1;
        Box::pin(async move {
            let unreachable = || TransportError::Unreachable { member, why: "no link".to_owned() };
            let service = net.service(member).filter(|_| net.passes(me, member)).ok_or_else(unreachable)?;
            let (mine, source) = Duplex::pair();
            let (theirs, sink) = Duplex::pair();
            tokio::spawn(service.serve_stream(theirs));
            tokio::spawn(net.clone().pump(me, member, source.receive, sink.send));
            tokio::spawn(net.pump(member, me, sink.receive, source.send));
            Ok(mine)
        })
    }
}
