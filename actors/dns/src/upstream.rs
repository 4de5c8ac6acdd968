//! Names outside the cluster: asked of the machine's own resolvers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use trireme_dataplane::Netns;

use crate::config::Upstream;

/// How long one resolver may take.
const ONE_TRY: Duration = Duration::from_secs(2);
/// Tries for one question, over all resolvers.
const TRIES: usize = 4;
/// Datagrams that are no answer to our question, before a try is given up.
const STRANGERS: usize = 16;
/// A resolver file is read again after this time.
const READ_AGAIN: Duration = Duration::from_secs(30);
/// Resolvers of a file, as the C library's limit.
const SERVERS: usize = 3;
/// What we take in one datagram; larger ones come by TCP.
const DATAGRAM_BYTES: u16 = 1_232;

/// Why nobody resolved a name.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    #[error("no resolver is configured for names outside the cluster")]
    NoServers,
    #[error("resolver {server}: {source}")]
    Failed { server: SocketAddr, source: io::Error },
}

/// The resolvers and the place they are asked from.
pub(crate) struct Upstreams {
    netns: Netns,
    from: Upstream,
    /// Our own addresses: a file that names us would make a loop.
    own: Vec<IpAddr>,
    read: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
    /// Where the next question begins.
    turn: AtomicUsize,
}

impl Upstreams {
    pub(crate) fn new(netns: Netns, from: Upstream, own: Vec<IpAddr>) -> Self {
        Self { netns, from, own, read: Mutex::new(None), turn: AtomicUsize::new(0) }
    }

    /// Asks the resolvers in turn until one answers; `signed` passes the client's wish for signatures on.
    pub(crate) async fn ask(&self, query: &Query, signed: bool) -> Result<Message, UpstreamError> {
        let servers = self.servers();
        if servers.is_empty() {
            return Err(UpstreamError::NoServers);
        }
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut last = UpstreamError::NoServers;
        for attempt in 0..TRIES {
            let server = servers[(start + attempt) % servers.len()];
            match tokio::time::timeout(ONE_TRY, self.ask_one(server, query, signed)).await {
                Ok(Ok(message)) => return Ok(message),
                Ok(Err(source)) => last = UpstreamError::Failed { server, source },
                Err(_) => last = UpstreamError::Failed { server, source: io::ErrorKind::TimedOut.into() },
            }
        }
        Err(last)
    }

    async fn ask_one(&self, server: SocketAddr, query: &Query, signed: bool) -> io::Result<Message> {
        let request = question(query, signed)?;
        let bytes = request.to_vec().map_err(io::Error::other)?;
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        // A new port for each question: together with the id 32 bits that a forger would have to guess.
        let socket = self.netns.run(|| {
            let socket = std::net::UdpSocket::bind(any)?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })?;
        let socket = UdpSocket::from_std(socket)?;
        socket.connect(server).await?;
        socket.send(&bytes).await?;
        let mut buffer = vec![0; usize::from(u16::MAX)];
        for _ in 0..STRANGERS {
            let length = socket.recv(&mut buffer).await?;
            match Message::from_vec(&buffer[..length]) {
                Ok(answer) if answers(&answer, &request) && answer.metadata.truncation => {
                    return self.ask_by_stream(server, &request, &bytes).await;
                }
                Ok(answer) if answers(&answer, &request) => return Ok(answer),
                _ => {}
            }
        }
        Err(io::Error::other("answers to questions that were not asked"))
    }

    async fn ask_by_stream(
        &self,
        server: SocketAddr,
        request: &Message,
        bytes: &[u8],
    ) -> io::Result<Message> {
        let socket = self.netns.run(|| {
            let domain = socket2::Domain::for_address(server);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            socket.set_nonblocking(true)?;
            Ok(std::net::TcpStream::from(socket))
        })?;
        let mut stream = TcpSocket::from_std_stream(socket).connect(server).await?;
        let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], bytes].concat()).await?;
        let length = stream.read_u16().await?;
        let mut buffer = vec![0; usize::from(length)];
        stream.read_exact(&mut buffer).await?;
        let answer = Message::from_vec(&buffer).map_err(io::Error::other)?;
        match answers(&answer, request) {
            true => Ok(answer),
            false => Err(io::Error::other("an answer to another question")),
        }
    }

    fn servers(&self) -> Vec<SocketAddr> {
        let path = match &self.from {
            Upstream::Servers(servers) => return servers.clone(),
            Upstream::None => return Vec::new(),
            Upstream::File(path) => path,
        };
        let mut read = self.read.lock();
        if let Some((at, servers)) = read.as_ref()
            && at.elapsed() < READ_AGAIN
        {
            return servers.clone();
        }
        let servers = read_file(path, &self.own);
        *read = Some((Instant::now(), servers.clone()));
        servers
    }
}

fn read_file(path: &Path, own: &[IpAddr]) -> Vec<SocketAddr> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
        tracing::warn!(file = %path.display(), %error, "the resolver file cannot be read");
        String::new()
    });
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let addresses = lines.filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok());
    addresses
        .filter(|address| !own.contains(address))
        .take(SERVERS)
        .map(|address| (address, 53).into())
        .collect()
}

fn question(query: &Query, signed: bool) -> io::Result<Message> {
    let mut id = [0; 2];
    let random = rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty());
    random.map_err(io::Error::from)?;
    let mut request = Message::new(u16::from_ne_bytes(id), MessageType::Query, OpCode::Query);
    request.metadata.recursion_desired = true;
    request.add_query(query.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM_BYTES).set_dnssec_ok(signed);
    request.set_edns(edns);
    Ok(request)
}

fn answers(answer: &Message, request: &Message) -> bool {
    answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == request.metadata.id
        && answer.queries == request.queries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolver_files_are_read_as_the_c_library_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        std::fs::write(&path, "# us\nsearch x\nnameserver 10.96.0.10\n nameserver 192.0.2.1 # one\nnameserver fd00::1\nnameserver bad\n").unwrap();
        let servers = read_file(&path, &["10.96.0.10".parse().unwrap()]);
        let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[fd00::1]:53"]);
        assert!(read_file(&folder.path().join("none"), &[]).is_empty());
    }
}
