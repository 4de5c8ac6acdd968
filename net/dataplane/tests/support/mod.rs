//! Network namespaces for tests: made by a thread, gone with it. Nothing is named, mounted or left behind.

#![allow(dead_code, unreachable_pub, unsafe_code, clippy::unwrap_used, clippy::print_stderr)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use trireme_dataplane::Netns;
use trireme_dataplane::rt::Routing;

/// A deadline for one exchange; nothing waits for it when the network works.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// For exchanges that are expected to get no answer.
pub const SILENCE: Duration = Duration::from_millis(600);

/// Whether tests may make namespaces here.
pub fn is_root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    eprintln!("SKIPPED: network namespaces take root");
    false
}

/// A network namespace of its own.
pub struct Space {
    pub netns: Netns,
    end: Option<SyncSender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Space {
    pub fn new() -> Self {
        let (made, path) = sync_channel(1);
        let (end, ended) = sync_channel::<()>(1);
        let keeper = std::thread::spawn(move || {
            // SAFETY: only this thread leaves its network namespace, and it does nothing but wait.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
            let thread = rustix::thread::gettid().as_raw_nonzero();
            made.send(format!("/proc/{}/task/{thread}/ns/net", std::process::id())).unwrap();
            let _ = ended.recv();
        });
        let space = Self { netns: Netns::at(path.recv().unwrap()), end: Some(end), keeper: Some(keeper) };
        let mut routing = space.routing();
        let loopback = routing.must_link("lo").unwrap();
        routing.set_up(loopback.index).unwrap();
        space
    }

    pub fn path(&self) -> String {
        match &self.netns {
            Netns::Path(path) => path.display().to_string(),
            Netns::Current => unreachable!("made with a path"),
        }
    }

    pub fn routing(&self) -> Routing {
        Routing::open(&self.netns).unwrap()
    }

    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        self.netns.run(work)
    }

    /// Listens and answers each connection with `name` and the client's address.
    pub fn serve(&self, name: &str, at: &str) -> Served {
        let listener = self.run(|| TcpListener::bind(at)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let name = name.to_owned();
        Served::start(address, move |served| match listener.accept() {
            Ok((mut stream, peer)) => {
                served.fetch_add(1, Ordering::Relaxed);
                let _ = stream.set_nonblocking(false);
                let _ = write!(stream, "{name} {}", peer.ip().to_canonical());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        })
    }

    /// Answers datagrams with `name` and the client's address.
    pub fn serve_udp(&self, name: &str, at: &str) -> Served {
        let socket = self.run(|| UdpSocket::bind(at)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let name = name.to_owned();
        Served::start(address, move |served| {
            let mut bytes = [0; 2048];
            if let Ok((_, peer)) = socket.recv_from(&mut bytes) {
                served.fetch_add(1, Ordering::Relaxed);
                let _ = socket.send_to(format!("{name} {}", peer.ip().to_canonical()).as_bytes(), peer);
            }
        })
    }

    /// Connects and reads to the end.
    pub fn ask(&self, to: &str) -> io::Result<String> {
        self.ask_within(to, PATIENCE)
    }

    pub fn ask_within(&self, to: &str, patience: Duration) -> io::Result<String> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(move || {
            let mut stream = TcpStream::connect_timeout(&to, patience)?;
            stream.set_read_timeout(Some(patience))?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        })
    }

    /// A socket in this namespace, to send several datagrams from one port.
    pub fn udp(&self, at: &str) -> UdpSocket {
        let socket = self.run(|| UdpSocket::bind(at)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// Sends a datagram and gives the answer.
pub fn ask_udp(socket: &UdpSocket, to: &str) -> io::Result<String> {
    socket.send_to(b"?", to)?;
    let mut bytes = [0; 2048];
    let (length, _) = socket.recv_from(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

/// A server that ends when it is dropped.
pub struct Served {
    pub address: SocketAddr,
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn start(address: SocketAddr, mut turn: impl FnMut(&AtomicUsize) + Send + 'static) -> Self {
        let (count, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counting, stopping) = (Arc::clone(&count), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                turn(&counting);
            }
        });
        Self { address, count, stop, thread: Some(thread) }
    }

    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A cable between two namespaces, `link` at both ends, with addresses like `192.0.2.1/24`.
pub fn cable(link: (&str, &str), left: (&Space, &[&str]), right: (&Space, &[&str])) {
    let mut routing = left.0.routing();
    let file = right.0.netns.open().unwrap();
    use std::os::fd::AsFd;
    routing.make_veth(link.0, (link.1, file.as_fd()), 1500, 0).unwrap();
    for (space, name, addresses) in [(left.0, link.0, left.1), (right.0, link.1, right.1)] {
        let mut routing = space.routing();
        let end = routing.must_link(name).unwrap();
        let _ = space.netns.write_sysctl(&format!("net/ipv6/conf/{name}/accept_dad"), "0");
        routing.set_up(end.index).unwrap();
        for address in addresses {
            routing.add_address(&end, address.parse().unwrap()).unwrap();
        }
    }
}

/// A route by a router on the link, as an administrator would set it.
pub fn route(space: &Space, link: &str, to: &str, via: &str) {
    let set =
        || std::process::Command::new("ip").args(["route", "add", to, "via", via, "dev", link]).status();
    assert!(space.run(set).unwrap().success(), "ip route add");
}
