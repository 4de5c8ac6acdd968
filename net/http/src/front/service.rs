//! One request: limits on its head, the handler, the mapping of its reply.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::request::Parts;
use http::{Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use trireme_core::{Rng, Tick};

use super::counters::{Counters, count};
use super::deadline::FrontClock;
use super::listener::{OpenConnection, Shared};
use super::watch::{ConnectionWatch, Verdict};
use crate::body::{ReplyBody, RequestBody};
use crate::handler::{Handler, Peer, Reply, Request, Upgrade};
use crate::refusal::Refusal;

/// What the tasks of one connection share.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    clock: FrontClock,
    watch: Mutex<ConnectionWatch>,
    leave: AtomicBool,
    counters: Arc<Counters>,
}

impl ConnectionState {
    pub(crate) fn new(clock: FrontClock, watch: ConnectionWatch, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self { clock, watch: Mutex::new(watch), leave: AtomicBool::new(false), counters })
    }

    pub(crate) fn bytes_read(&self) {
        let now = self.clock.now();
        self.watch.lock().bytes_read(now);
    }

    pub(crate) fn write_blocked(&self) {
        let now = self.clock.now();
        self.watch.lock().write_blocked(now);
    }

    pub(crate) fn write_progressed(&self) {
        self.watch.lock().write_progressed();
    }

    pub(crate) fn told_to_go(&self) {
        let now = self.clock.now();
        self.watch.lock().told_to_go(now);
    }

    /// The verdict now, and when to ask next.
    pub(crate) fn judge(&self) -> (Option<Verdict>, Tick) {
        let now = self.clock.now();
        let watch = self.watch.lock();
        (watch.verdict(now), watch.deadline())
    }

    /// True when the connection was chosen to move elsewhere.
    pub(crate) fn leaves(&self) -> bool {
        self.leave.load(Ordering::Relaxed)
    }

    fn begin(self: &Arc<Self>) -> RequestGuard {
        self.watch.lock().request_began();
        RequestGuard { state: self.clone(), finished: false }
    }
}

/// Marks a request as in flight from its head to the end of its body; dropped earlier, it counts as abandoned.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    state: Arc<ConnectionState>,
    finished: bool,
}

impl RequestGuard {
    pub(crate) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if !self.finished {
            count(&self.state.counters.abandoned);
        }
        let now = self.state.clock.now();
        self.state.watch.lock().request_ended(now, !self.finished);
    }
}

/// The requests of one connection.
pub(crate) struct Requests<H> {
    pub(crate) shared: Arc<Shared<H>>,
    pub(crate) peer: Arc<Peer>,
    pub(crate) state: Arc<ConnectionState>,
    open: Arc<OpenConnection>,
    chance: Mutex<Rng>,
}

impl<H: Handler> Requests<H> {
    pub(crate) fn new(
        shared: Arc<Shared<H>>,
        peer: Arc<Peer>,
        state: Arc<ConnectionState>,
        open: Arc<OpenConnection>,
    ) -> Arc<Self> {
        let chance = Mutex::new(Rng::new(shared.seed ^ peer.connection));
        Arc::new(Self { shared, peer, state, open, chance })
    }

    /// The future of one request. It owns a guard, so that dropping it counts.
    pub(crate) fn call(
        self: &Arc<Self>,
        request: http::Request<Incoming>,
    ) -> impl Future<Output = Result<Response<ReplyBody>, Infallible>> + Send + use<H> {
        let guard = self.state.begin();
        self.take_chance();
        let this = self.clone();
        async move { Ok(this.answer(request, guard).await) }
    }

    fn take_chance(&self) {
        let per_million = self.shared.limits.goaway_per_million.min(crate::limits::GOAWAY_PER_MILLION_LIMIT);
        let goes = self.peer.http2
            && per_million > 0
            && self.chance.lock().chance(u64::from(per_million), 1_000_000)
            && !self.state.leave.swap(true, Ordering::Relaxed);
        if goes {
            count(&self.shared.counters.goaway_chosen);
        }
    }

    async fn answer(&self, request: http::Request<Incoming>, guard: RequestGuard) -> Response<ReplyBody> {
        let (mut head, incoming) = request.into_parts();
        if let Err(refusal) = self.check_head(&head) {
            count(&self.shared.counters.refused);
            return self.refusal(&refusal).map(|body| body.with_guard(guard));
        }
        count(&self.shared.counters.requests);
        let on_upgrade = head.extensions.remove::<OnUpgrade>();
        let limits = &self.shared.limits;
        let sends_before_reading =
            head.version < Version::HTTP_2 && !head.headers.contains_key(http::header::EXPECT);
        let body = RequestBody::new(incoming, limits.body_bytes, limits.body_idle, sends_before_reading);
        let (peer, draining) = (self.peer.clone(), self.shared.draining.clone());
        let version = head.version;
        let reply = self.shared.handler.clone().handle(Request { head, body, peer, draining }).await;
        let mut response = match reply {
            Reply::Answer(response) => response,
            Reply::Upgrade(upgrade) => self.upgrade(version, on_upgrade, upgrade),
        };
        // A connection header has no place in HTTP/2, and the connection is the front's business in HTTP/1.1.
        if version == Version::HTTP_2 {
            response.headers_mut().remove(http::header::CONNECTION);
        }
        response.map(|body| body.with_guard(guard))
    }

    fn check_head(&self, head: &Parts) -> Result<(), Refusal> {
        let limits = &self.shared.limits;
        let uri = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
        if uri > limits.uri_bytes {
            return Err(Refusal::UriTooLong { found_bytes: uri, limit_bytes: limits.uri_bytes });
        }
        let fields = head.headers.len();
        if fields > limits.header_fields {
            return Err(Refusal::TooManyHeaders { found: fields, limit: limits.header_fields });
        }
        let bytes = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if bytes > limits.header_bytes {
            return Err(Refusal::HeadersTooLarge { found_bytes: bytes, limit_bytes: limits.header_bytes });
        }
        Ok(())
    }

    fn refusal(&self, refusal: &Refusal) -> Response<ReplyBody> {
        self.shared.handler.refuse(refusal).map(ReplyBody::full)
    }

    fn upgrade(&self, version: Version, ready: Option<OnUpgrade>, upgrade: Upgrade) -> Response<ReplyBody> {
        let possible =
            version == Version::HTTP_11 && upgrade.response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let (true, Some(ready)) = (possible, ready) else {
            let reason =
                "the protocol of a connection changes by a 101 answer to an HTTP/1.1 request".to_owned();
            return self.refusal(&Refusal::UpgradeRefused { reason });
        };
        count(&self.shared.counters.upgraded);
        // An upgraded connection keeps its place among the connections.
        let (cut, open) = (self.shared.cut.clone(), self.open.clone());
        self.shared.tasks.spawn(async move {
            let _open = open;
            let serve = async move {
                match ready.await {
                    Ok(connection) => (upgrade.serve)(TokioIo::new(connection)).await,
                    Err(error) => tracing::debug!(%error, "the client left before its upgrade"),
                }
            };
            tokio::select! {
                () = serve => {}
                () = cut.cancelled() => {}
            }
        });
        upgrade.response.map(|()| ReplyBody::empty())
    }
}
