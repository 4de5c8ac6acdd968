use std::net::IpAddr;

use crate::netlink::{Answer, Attribute, Message, NetlinkSocket, Protocol};
use crate::nft::Family;
use crate::{NetError, Netns};

const SUBSYSTEM: u16 = 1;
const GET: u16 = 1;
const DELETE: u16 = 2;
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const HEADER: usize = 4;

/// A tracked connection: who was asked, and who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Transport protocol's number.
    pub protocol: u8,
    /// Who asks.
    pub client: IpAddr,
    /// Where the first packet went.
    pub asked: (IpAddr, u16),
    /// Who answers it: another one when the destination was changed.
    pub answering: (IpAddr, u16),
}

/// The connections that the kernel tracks in one network namespace.
pub struct Conntrack {
    socket: NetlinkSocket,
}

impl Conntrack {
    /// Opens it.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn open(netns: &Netns) -> Result<Self, NetError> {
        Ok(Self { socket: NetlinkSocket::open(Protocol::Netfilter, netns)? })
    }

    /// All flows of a family.
    ///
    /// # Errors
    /// The kernel's.
    pub fn flows(&mut self, family: Family) -> Result<Vec<Flow>, NetError> {
        let answers = self.dump(family)?;
        Ok(answers.iter().filter_map(flow).collect())
    }

    /// Forgets the flows for which `stale` holds, so that their next packet is looked at anew. Gives how many.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget(&mut self, family: Family, stale: impl Fn(&Flow) -> bool) -> Result<usize, NetError> {
        let answers = self.dump(family)?;
        let mut forgotten = 0;
        for answer in answers.iter().filter(|answer| flow(answer).is_some_and(|flow| stale(&flow))) {
            let Some(original) = answer.attributes(HEADER).find(|found| found.kind == ORIGINAL) else {
                continue;
            };
            let remove = Message::new(SUBSYSTEM << 8 | DELETE, 0)
                .raw(&[family.number(), 0, 0, 0])
                .nested(ORIGINAL, |tuple| tuple.raw(original.value));
            match self.socket.request(remove, "tracked connection: forget") {
                Ok(()) => forgotten += 1,
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(forgotten)
    }

    fn dump(&mut self, family: Family) -> Result<Vec<Answer>, NetError> {
        let ask = Message::new(SUBSYSTEM << 8 | GET, 0).raw(&[family.number(), 0, 0, 0]);
        self.socket.dump(&ask, "tracked connections")
    }
}

struct Tuple {
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    protocol: u8,
}

fn flow(answer: &Answer) -> Option<Flow> {
    let of = |kind| answer.attributes(HEADER).find(|found| found.kind == kind).and_then(tuple);
    let (original, reply) = (of(ORIGINAL)?, of(REPLY)?);
    Some(Flow {
        protocol: original.protocol,
        client: original.source.0,
        asked: original.destination,
        answering: reply.source,
    })
}

fn tuple(attribute: Attribute<'_>) -> Option<Tuple> {
    let (ip, proto) = (attribute.find(1)?, attribute.find(2)?);
    let address = |v4, v6| ip.find(v4).or_else(|| ip.find(v6)).and_then(Attribute::address);
    let port = |kind| {
        let value = proto.find(kind).and_then(|found| found.value.first_chunk::<2>().copied());
        value.map(u16::from_be_bytes).unwrap_or_default()
    };
    Some(Tuple {
        source: (address(1, 3)?, port(2)),
        destination: (address(2, 4)?, port(3)),
        protocol: *proto.find(1)?.value.first()?,
    })
}
