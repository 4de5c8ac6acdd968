//! Sockets: datagrams and streams, both bounded.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use trireme_dataplane::Netns;

use crate::resolver::{First, Resolver};

/// Questions to others in flight; further datagrams are dropped, and clients ask again.
const IN_FLIGHT: usize = 1_024;
/// Streams at a time; further ones wait in the kernel's queue.
const STREAMS: usize = 128;
/// A stream that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(10);
/// Questions on one stream.
const QUESTIONS: usize = 1_000;
/// Largest question in a datagram.
const QUESTION_BYTES: usize = 4_096;
/// Ports tried when any will do, until one is free for both kinds of sockets.
const PORT_TRIES: usize = 16;

/// Sockets of one address, both kinds on one port.
#[derive(Debug)]
pub(crate) struct Sockets {
    datagrams: std::net::UdpSocket,
    streams: std::net::TcpListener,
}

impl Sockets {
    /// Binds an address in a namespace; port 0 picks a port that is free for both.
    pub(crate) fn bind(netns: &Netns, address: IpAddr, port: u16) -> io::Result<Self> {
        netns.run(|| {
            let mut last = io::Error::from(io::ErrorKind::AddrInUse);
            for _ in 0..PORT_TRIES {
                let streams = std::net::TcpListener::bind((address, port))?;
                match std::net::UdpSocket::bind(streams.local_addr()?) {
                    Ok(datagrams) => {
                        datagrams.set_nonblocking(true)?;
                        streams.set_nonblocking(true)?;
                        return Ok(Self { datagrams, streams });
                    }
                    Err(error) if port == 0 => last = error,
                    Err(error) => return Err(error),
                }
            }
            Err(last)
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.streams.local_addr()
    }

    /// Serves until it is dropped, or a socket fails.
    pub(crate) async fn serve(self, resolver: Arc<Resolver>) -> io::Error {
        let (datagrams, streams) =
            match (UdpSocket::from_std(self.datagrams), TcpListener::from_std(self.streams)) {
                (Ok(datagrams), Ok(streams)) => (datagrams, streams),
                (Err(error), _) | (_, Err(error)) => return error,
            };
        tokio::select! {
            error = serve_datagrams(datagrams, Arc::clone(&resolver)) => error,
            error = serve_streams(streams, resolver) => error,
        }
    }
}

async fn serve_datagrams(socket: UdpSocket, resolver: Arc<Resolver>) -> io::Error {
    let socket = Arc::new(socket);
    let places = Arc::new(Semaphore::new(IN_FLIGHT));
    let mut asking = JoinSet::new();
    let mut buffer = vec![0; QUESTION_BYTES];
    loop {
        while asking.try_join_next().is_some() {}
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An ICMP error of an answer sent before.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return error,
        };
        match resolver.first(&buffer[..length], true) {
            First::Done(answer) => drop(socket.send_to(&answer, client).await),
            First::Nothing => {}
            First::Ask(request) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let (socket, resolver) = (Arc::clone(&socket), Arc::clone(&resolver));
                asking.spawn(async move {
                    let answer = resolver.finish(&request, true).await;
                    drop(socket.send_to(&answer, client).await);
                    drop(place);
                });
            }
        }
    }
}

async fn serve_streams(listener: TcpListener, resolver: Arc<Resolver>) -> io::Error {
    let places = Arc::new(Semaphore::new(STREAMS));
    let mut serving = JoinSet::new();
    loop {
        while serving.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return io::Error::other("no places");
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: the next try may find some.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let resolver = Arc::clone(&resolver);
        serving.spawn(async move {
            let _ = serve_stream(stream, &resolver).await;
            drop(place);
        });
    }
}

async fn serve_stream(mut stream: TcpStream, resolver: &Resolver) -> io::Result<()> {
    for _ in 0..QUESTIONS {
        let length = tokio::time::timeout(IDLE, stream.read_u16()).await??;
        let mut question = vec![0; usize::from(length)];
        tokio::time::timeout(IDLE, stream.read_exact(&mut question)).await??;
        let answer = match resolver.first(&question, false) {
            First::Done(answer) => answer,
            First::Ask(request) => resolver.finish(&request, false).await,
            First::Nothing => return Ok(()),
        };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let whole = [&length.to_be_bytes()[..], &answer].concat();
        tokio::time::timeout(IDLE, stream.write_all(&whole)).await??;
    }
    Ok(())
}
