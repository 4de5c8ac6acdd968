//! One connection from the accepted socket to its end.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use trireme_pki::{ALPN_H2, WallTime};

use super::counters::count;
use super::deadline::LazyTimer;
use super::listener::{OpenConnection, Shared};
use super::service::{ConnectionState, Requests};
use super::watch::{ConnectionWatch, Cut, Spans, Verdict};
use super::watched_io::WatchedIo;
use crate::handler::{Handler, Peer, PeerCertificateState};
use crate::limits::{H1_BUFFER_MINIMUM_BYTES, Limits};

/// Serves `socket` until it ends, is cut, or the front's grace is over.
pub(crate) async fn serve<H: Handler>(
    shared: Arc<Shared<H>>,
    socket: TcpStream,
    address: SocketAddr,
    open: Arc<OpenConnection>,
) {
    let serve = async {
        if let Some(tls) = handshake(&shared, socket).await {
            serve_tls(&shared, tls, address, open).await;
        }
    };
    tokio::select! {
        () = serve => {}
        () = shared.cut.cancelled() => {}
    }
}

async fn handshake<H: Handler>(shared: &Shared<H>, socket: TcpStream) -> Option<TlsStream<TcpStream>> {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY on an accepted socket");
    }
    match timeout(shared.limits.handshake, shared.acceptor.accept(socket)).await {
        Ok(Ok(tls)) => Some(tls),
        Ok(Err(error)) => {
            count(&shared.counters.handshakes_failed);
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
        Err(_) => {
            count(&shared.counters.handshakes_slow);
            None
        }
    }
}

async fn serve_tls<H: Handler>(
    shared: &Arc<Shared<H>>,
    tls: TlsStream<TcpStream>,
    address: SocketAddr,
    open: Arc<OpenConnection>,
) {
    let session = tls.get_ref().1;
    let http2 = session.alpn_protocol() == Some(ALPN_H2);
    let certificate = match shared.clients.judge(session.peer_certificates(), WallTime::now()) {
        Ok(None) => PeerCertificateState::Absent,
        Ok(Some(certificate)) => PeerCertificateState::Verified(Box::new(certificate)),
        Err(refused) => PeerCertificateState::Refused(refused),
    };
    let peer = Arc::new(Peer { connection: open.number, address, certificate, http2 });
    let watch = ConnectionWatch::new(Spans::from(&shared.limits), !http2, shared.clock.now());
    let state = ConnectionState::new(shared.clock, watch, shared.counters.clone());
    let io = TokioIo::new(WatchedIo::new(tls, state.clone()));
    let requests = Requests::new(shared.clone(), peer, state.clone(), open);
    let service = service_fn(move |request| requests.call(request));
    let end = match http2 {
        true => {
            let connection = http2_builder(&shared.limits).serve_connection(io, service);
            drive(shared, &state, pin!(connection)).await
        }
        false => {
            let connection = http1_builder(&shared.limits).serve_connection(io, service).with_upgrades();
            drive(shared, &state, pin!(connection)).await
        }
    };
    match end {
        End::Finished => {}
        End::Broken(error) => {
            count(&shared.counters.broken);
            tracing::debug!(%error, %address, "connection broke");
        }
        End::Cut(cut) => {
            let counters = &shared.counters;
            count(match cut {
                Cut::HeaderSlow => &counters.cut_header_slow,
                Cut::WriteStalled => &counters.cut_write_stalled,
                Cut::Resets => &counters.cut_resets,
                Cut::Lingering => &counters.cut_lingering,
            });
            tracing::debug!(?cut, %address, "connection cut");
        }
    }
}

fn http2_builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .initial_stream_window_size(limits.h2_stream_window_bytes)
        .initial_connection_window_size(limits.h2_connection_window_bytes)
        .max_send_buf_size(limits.h2_send_buffer_bytes)
        // A little more than the limit, so that the front can word the refusal itself.
        .max_header_list_size(u32::try_from(limits.header_bytes.saturating_mul(2)).unwrap_or(u32::MAX));
    builder
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The connection's watch keeps the time: it tells idle from slow.
        .header_read_timeout(None)
        .max_headers(limits.header_fields.saturating_mul(2))
        .max_buf_size(limits.header_bytes.saturating_add(limits.uri_bytes).max(H1_BUFFER_MINIMUM_BYTES));
    builder
}

enum End {
    Finished,
    Broken(hyper::Error),
    Cut(Cut),
}

/// Both kinds of connection can be told to go.
trait Goes: Future<Output = hyper::Result<()>> {
    fn go(self: Pin<&mut Self>);
}

macro_rules! goes {
    ($connection:ty) => {
        impl<I, S> Goes for $connection
        where
            I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
            S: hyper::service::HttpService<hyper::body::Incoming, ResBody = crate::body::ReplyBody>,
            S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
            S::Future: Send + 'static,
        {
            fn go(self: Pin<&mut Self>) {
                self.graceful_shutdown();
            }
        }
    };
}

goes!(http1::UpgradeableConnection<I, S>);
goes!(http2::Connection<I, S, TokioExecutor>);

async fn drive<H: Handler>(
    shared: &Shared<H>,
    state: &ConnectionState,
    mut connection: Pin<&mut impl Goes>,
) -> End {
    let mut draining = pin!(shared.draining.cancelled());
    let mut timer = LazyTimer::new(shared.clock);
    let mut told = false;
    poll_fn(move |cx: &mut Context<'_>| {
        loop {
            if !told && (state.leaves() || draining.as_mut().poll(cx).is_ready()) {
                told = true;
                state.told_to_go();
                connection.as_mut().go();
            }
            match connection.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(End::Finished),
                Poll::Ready(Err(error)) => return Poll::Ready(End::Broken(error)),
                Poll::Pending => {}
            }
            if !told && state.leaves() {
                continue;
            }
            let (verdict, deadline) = state.judge();
            match verdict {
                Some(Verdict::Cut(cut)) => return Poll::Ready(End::Cut(cut)),
                Some(Verdict::Close) if !told => {
                    count(&shared.counters.idle_closed);
                    told = true;
                    state.told_to_go();
                    connection.as_mut().go();
                    continue;
                }
                Some(Verdict::Close) | None => {}
            }
            if timer.poll(deadline, cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await
}
