use std::io;
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr, protocols};
use rustix::net::sockopt;

use super::{Attribute, Message, attributes, flags};
use crate::{NetError, Netns};

/// Longest wait for one answer of the kernel, which answers within the system call that asked.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Room for answers: a batch may be refused in thousands of places at once.
const RECEIVE_BYTES: usize = 4 << 20;
/// Largest batch that is sent as one message.
pub(crate) const SEND_LIMIT_BYTES: usize = 64 << 20;

const NOOP: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;
/// Extended acknowledgement: attributes follow the error.
const ACK_TLVS: u16 = 0x200;
/// The acknowledged message is not repeated.
const CAPPED: u16 = 0x100;
/// The kernel's table changed while it was being read.
const INTERRUPTED: u16 = 0x10;
/// Reads of a table that changes under the reader are repeated this often.
const DUMP_TRIES: usize = 10;

/// Families of netlink in use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Links, addresses, routes, neighbours, queues.
    Route,
    /// nf_tables and conntrack.
    Netfilter,
}

/// One message of the kernel, without its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) kind: u16,
    pub(crate) payload: Vec<u8>,
}

impl Answer {
    /// The attributes behind a family header of `header` bytes.
    pub(crate) fn attributes(&self, header: usize) -> impl Iterator<Item = Attribute<'_>> {
        attributes(self.payload.get(header..).unwrap_or_default())
    }
}

/// A netlink socket in one namespace.
pub(crate) struct NetlinkSocket {
    socket: Socket,
    sequence: u32,
}

impl NetlinkSocket {
    /// Opens a socket that talks about `netns`.
    pub(crate) fn open(protocol: Protocol, netns: &Netns) -> Result<Self, NetError> {
        let number = match protocol {
            Protocol::Route => protocols::NETLINK_ROUTE,
            Protocol::Netfilter => protocols::NETLINK_NETFILTER,
        };
        let open = || {
            let mut socket = Socket::new(number)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            socket.set_ext_ack(true)?;
            socket.set_cap_ack(true)?;
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_WAIT))?;
            // Without the privilege the system's limit stays, and what is too large for it is refused by name.
            let _ = sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BYTES);
            let _ = sockopt::set_socket_send_buffer_size_force(&socket, SEND_LIMIT_BYTES);
            Ok(socket)
        };
        let socket = netns.run(open).map_err(NetError::io(format!("netlink socket ({protocol:?})")))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends one request and waits for the kernel's word. `what` names the object for errors.
    pub(crate) fn request(&mut self, message: Message, what: &str) -> Result<(), NetError> {
        self.ask(message.with_flags(flags::ACK), what).map(|_| ())
    }

    /// Sends one request and gives its answers up to the acknowledgement.
    pub(crate) fn ask(&mut self, message: Message, what: &str) -> Result<Vec<Answer>, NetError> {
        let sequence = self.next_sequence();
        self.send(&message.with_flags(flags::REQUEST | flags::ACK).finish(sequence), what)?;
        let mut answers = Vec::new();
        loop {
            for frame in self.receive(what)? {
                if frame.sequence != sequence {
                    continue;
                }
                match frame.end(what)? {
                    End::Acknowledged => return Ok(answers),
                    End::More(answer) => answers.push(answer),
                }
            }
        }
    }

    /// Reads a whole table.
    pub(crate) fn dump(&mut self, message: &Message, what: &str) -> Result<Vec<Answer>, NetError> {
        for _ in 0..DUMP_TRIES {
            if let Some(whole) = self.try_dump(message.clone(), what)? {
                return Ok(whole);
            }
        }
        Err(NetError::Io { what: what.to_owned(), source: io::Error::from(io::ErrorKind::Interrupted) })
    }

    /// `None` when the table changed meanwhile.
    fn try_dump(&mut self, message: Message, what: &str) -> Result<Option<Vec<Answer>>, NetError> {
        let sequence = self.next_sequence();
        self.send(&message.with_flags(flags::REQUEST | flags::DUMP).finish(sequence), what)?;
        let (mut answers, mut torn) = (Vec::new(), false);
        loop {
            for frame in self.receive(what)? {
                if frame.sequence != sequence {
                    continue;
                }
                torn |= frame.flags & INTERRUPTED != 0;
                match frame.end(what)? {
                    End::Acknowledged => return Ok((!torn).then_some(answers)),
                    End::More(answer) => answers.push(answer),
                }
            }
        }
    }

    /// Sends messages as one batch; the kernel does all or none of them. `first` is the first message's sequence
    /// number, and `name` says which object a message is about. The last message must ask for an acknowledgement.
    pub(crate) fn transact(
        &mut self,
        bytes: &[u8],
        last: u32,
        name: impl Fn(u32) -> String,
    ) -> Result<(), NetError> {
        self.send(bytes, "batch")?;
        loop {
            let mut acknowledged = false;
            for frame in self.receive("batch")? {
                // Refusals of later messages follow from the first one.
                if let Err(refused) = frame.end(&name(frame.sequence)) {
                    self.drain();
                    return Err(refused);
                }
                acknowledged |= frame.sequence == last;
            }
            if acknowledged {
                return Ok(());
            }
        }
    }

    /// Takes `count` sequence numbers, gives the first.
    pub(crate) fn take_sequences(&mut self, count: u32) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(count);
        first
    }

    fn next_sequence(&mut self) -> u32 {
        self.take_sequences(1)
    }

    fn send(&self, bytes: &[u8], what: &str) -> Result<(), NetError> {
        self.socket.send(bytes, 0).map_err(NetError::io(format!("{what} ({} bytes)", bytes.len())))?;
        Ok(())
    }

    fn receive(&self, what: &str) -> Result<Vec<Frame>, NetError> {
        let (bytes, _) = self.socket.recv_from_full().map_err(NetError::io(what))?;
        frames(&bytes).ok_or_else(|| NetError::Garbled { what: what.to_owned() })
    }

    /// Throws away what is left of a refused batch.
    fn drain(&self) {
        if self.socket.set_non_blocking(true).is_ok() {
            while self.socket.recv_from_full().is_ok() {}
        }
        let _ = self.socket.set_non_blocking(false);
    }
}

struct Frame {
    kind: u16,
    flags: u16,
    sequence: u32,
    payload: Vec<u8>,
}

enum End {
    Acknowledged,
    More(Answer),
}

impl Frame {
    fn end(&self, what: &str) -> Result<End, NetError> {
        match self.kind {
            ERROR | DONE => {
                let (errno, kernel) = self.verdict();
                match errno {
                    0 => Ok(End::Acknowledged),
                    errno => Err(NetError::Refused { what: what.to_owned(), errno, kernel }),
                }
            }
            OVERRUN => Err(NetError::Garbled { what: what.to_owned() }),
            kind => Ok(End::More(Answer { kind, payload: self.payload.clone() })),
        }
    }

    /// Error number and the kernel's text.
    fn verdict(&self) -> (i32, Option<String>) {
        let code = self.payload.first_chunk::<4>().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        if self.kind == DONE || self.flags & ACK_TLVS == 0 || self.flags & CAPPED == 0 {
            return (-code, None);
        }
        let tlvs = self.payload.get(4 + 16..).unwrap_or_default();
        (-code, attributes(tlvs).find(|attribute| attribute.kind == 1).map(Attribute::text))
    }
}

/// The messages in a datagram; `None` when it is cut off.
fn frames(mut bytes: &[u8]) -> Option<Vec<Frame>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let head = bytes.first_chunk::<16>()?;
        let length = usize::try_from(u32::from_ne_bytes([head[0], head[1], head[2], head[3]])).ok()?;
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let payload = bytes.get(16..length)?.to_vec();
        let flags = u16::from_ne_bytes([head[6], head[7]]);
        let sequence = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]);
        if kind != NOOP {
            found.push(Frame { kind, flags, sequence, payload });
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(found)
}
