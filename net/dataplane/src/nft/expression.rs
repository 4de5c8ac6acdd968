use crate::netlink::Message;

/// Where a rule keeps values while it runs: sixteen registers of four bytes; longer values fill the following ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register(pub u8);

impl Register {
    fn number(self) -> u32 {
        assert!(self.0 < 16, "there are sixteen registers");
        u32::from(self.0) + 8
    }
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It goes no further.
    Drop,
    /// The base chain is done with it.
    Accept,
    /// Back to the rule after the jump.
    Return,
    /// Through a chain and back.
    Jump(String),
    /// Through a chain, not back.
    Goto(String),
}

impl Verdict {
    pub(crate) fn write(&self, message: Message, attribute: u16) -> Message {
        let (code, chain): (i32, _) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Return => (-5, None),
            Self::Jump(chain) => (-3, Some(chain)),
            Self::Goto(chain) => (-4, Some(chain)),
        };
        message.nested(attribute, |data| {
            data.nested(2, |verdict| {
                let coded = verdict.bytes(1, &code.to_be_bytes());
                match chain {
                    Some(chain) => coded.text(2, chain),
                    None => coded,
                }
            })
        })
    }
}

/// One step of a rule. A step that does not match ends the rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// `ip saddr`, `th dport` and the like into a register: base (1 network, 2 transport), offset, bytes.
    Payload {
        /// 1 network header, 2 transport header.
        base: u32,
        /// Bytes from its start.
        offset: u32,
        /// Bytes.
        length: u32,
        /// Into.
        to: Register,
    },
    /// A property of the packet (3 mark, 5 outgoing interface, 7 its name, 16 transport protocol) into a register.
    Meta {
        /// `enum nft_meta_keys`.
        key: u32,
        /// Into.
        to: Register,
    },
    /// The packet's mark from a register.
    SetMark {
        /// From.
        from: Register,
    },
    /// A property of the connection (0 state, 2 status) into a register.
    Conntrack {
        /// `enum nft_ct_keys`.
        key: u32,
        /// Into.
        to: Register,
    },
    /// What kind of address the routing table says it is (2: this machine's own).
    AddressKind {
        /// The destination, else the source.
        destination: bool,
        /// Into.
        to: Register,
    },
    /// Goes on only when equal, or unequal.
    Compare {
        /// From.
        from: Register,
        /// Unequal instead.
        not: bool,
        /// With.
        value: Vec<u8>,
    },
    /// `(value & mask) ^ xor`.
    Bitwise {
        /// From and into.
        register: Register,
        /// Mask.
        mask: Vec<u8>,
        /// Flipped.
        xor: Vec<u8>,
    },
    /// A value into a register.
    Value {
        /// Value.
        value: Vec<u8>,
        /// Into.
        to: Register,
    },
    /// Goes on only when the key is in the set; a map's value goes into a register.
    Lookup {
        /// Set or map.
        set: String,
        /// Key.
        key: Register,
        /// A map's value goes here.
        to: Option<Register>,
        /// Goes on only when it is not.
        not: bool,
    },
    /// The verdict that a map has for the key, if any.
    VerdictMap {
        /// Map.
        map: String,
        /// Key.
        key: Register,
    },
    /// A random number below `modulus`, in the machine's byte order.
    Random {
        /// Into.
        to: Register,
        /// From 1.
        modulus: u32,
    },
    /// A hash (Jenkins) below `modulus`, in the machine's byte order.
    Hash {
        /// Of.
        from: Register,
        /// Bytes.
        length: u32,
        /// Into.
        to: Register,
        /// From 1.
        modulus: u32,
        /// Seed.
        seed: u32,
    },
    /// New destination (`dnat`) from registers.
    DestinationNat {
        /// Of the address: 2 or 10.
        family: super::Family,
        /// Address.
        address: Register,
        /// Port in network order.
        port: Register,
    },
    /// New source: that of the interface it leaves by, with a random port.
    Masquerade,
    /// Adds to, renews in or takes from a set whose elements expire; a map takes `value`.
    Dynamic {
        /// Set or map.
        set: String,
        /// 0 add, 1 add or renew, 2 remove.
        operation: u32,
        /// Key.
        key: Register,
        /// Value for a map.
        value: Option<Register>,
        /// Life of the element, milliseconds.
        timeout_ms: Option<u64>,
    },
    /// Counts.
    Counter,
    /// Goes on for at most `rate` packets per second, with a burst.
    Limit {
        /// Per second.
        rate: u64,
        /// At once.
        burst: u32,
    },
    /// No connection is tracked for it.
    NoTrack,
    /// Says no: TCP reset, or "port unreachable".
    Reject {
        /// With a reset, else by ICMP.
        reset: bool,
        /// Family, for the code of "port unreachable".
        family: super::Family,
    },
    /// What becomes of the packet.
    Verdict(Verdict),
}

impl Expression {
    /// Writes it as an element of a rule's list.
    pub(crate) fn write(&self, list: Message) -> Message {
        list.nested(1, |element| {
            let named = element.text(1, self.name());
            named.nested(2, |data| self.write_data(data))
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Payload { .. } => "payload",
            Self::Meta { .. } | Self::SetMark { .. } => "meta",
            Self::Conntrack { .. } => "ct",
            Self::AddressKind { .. } => "fib",
            Self::Compare { .. } => "cmp",
            Self::Bitwise { .. } => "bitwise",
            Self::Value { .. } | Self::Verdict(_) => "immediate",
            Self::Lookup { .. } | Self::VerdictMap { .. } => "lookup",
            Self::Random { .. } => "numgen",
            Self::Hash { .. } => "hash",
            Self::DestinationNat { .. } => "nat",
            Self::Masquerade => "masq",
            Self::Dynamic { .. } => "dynset",
            Self::Counter => "counter",
            Self::Limit { .. } => "limit",
            Self::NoTrack => "notrack",
            Self::Reject { .. } => "reject",
        }
    }

    fn write_data(&self, data: Message) -> Message {
        match self {
            Self::Payload { base, offset, length, to } => {
                data.be32(1, to.number()).be32(2, *base).be32(3, *offset).be32(4, *length)
            }
            Self::Meta { key, to } => data.be32(2, *key).be32(1, to.number()),
            Self::SetMark { from } => data.be32(2, 3).be32(3, from.number()),
            Self::Conntrack { key, to } => data.be32(2, *key).be32(1, to.number()),
            Self::AddressKind { destination, to } => {
                data.be32(3, if *destination { 2 } else { 1 }).be32(2, 3).be32(1, to.number())
            }
            Self::Compare { from, not, value } => data
                .be32(1, from.number())
                .be32(2, u32::from(*not))
                .nested(3, |inside| inside.bytes(1, value)),
            Self::Bitwise { register, mask, xor } => {
                let length = u32::try_from(mask.len()).expect("registers hold 64 bytes");
                data.be32(1, register.number())
                    .be32(2, register.number())
                    .be32(3, length)
                    .nested(4, |inside| inside.bytes(1, mask))
                    .nested(5, |inside| inside.bytes(1, xor))
            }
            Self::Value { value, to } => data.be32(1, to.number()).nested(2, |inside| inside.bytes(1, value)),
            Self::Verdict(verdict) => verdict.write(data.be32(1, 0), 2),
            Self::Lookup { set, key, to, not } => {
                let named = data.text(1, set).be32(2, key.number());
                match (to, not) {
                    (Some(to), _) => named.be32(3, to.number()),
                    (None, true) => named.be32(5, 1),
                    (None, false) => named,
                }
            }
            Self::VerdictMap { map, key } => data.text(1, map).be32(2, key.number()).be32(3, 0),
            Self::Random { to, modulus } => data.be32(1, to.number()).be32(2, *modulus).be32(3, 1).be32(4, 0),
            Self::Hash { from, length, to, modulus, seed } => data
                .be32(1, from.number())
                .be32(2, to.number())
                .be32(3, *length)
                .be32(4, *modulus)
                .be32(5, *seed)
                .be32(7, 0),
            Self::DestinationNat { .. } | Self::Masquerade | Self::Reject { .. } => self.write_ends(data),
            Self::Dynamic { set, operation, key, value, timeout_ms } => {
                let mut data = data.text(1, set).be32(3, *operation).be32(4, key.number());
                if let Some(value) = value {
                    data = data.be32(5, value.number());
                }
                match timeout_ms {
                    Some(timeout_ms) => data.be64(6, *timeout_ms),
                    None => data,
                }
            }
            Self::Counter => data.be64(1, 0).be64(2, 0),
            Self::Limit { rate, burst } => data.be64(1, *rate).be64(2, 1).be32(3, *burst).be32(4, 0),
            Self::NoTrack => data,
        }
    }

    fn write_ends(&self, data: Message) -> Message {
        /// `NF_NAT_RANGE_PROTO_RANDOM_FULLY`: two pods may ask one server from the same port.
        const FULLY_RANDOM: u32 = 16;
        match self {
            Self::DestinationNat { family, address, port } => data
                .be32(1, 1)
                .be32(2, u32::from(family.number()))
                .be32(3, address.number())
                .be32(5, port.number()),
            Self::Masquerade => data.be32(1, FULLY_RANDOM),
            Self::Reject { reset: true, .. } => data.be32(1, 1).u8(2, 0),
            Self::Reject { reset: false, family } => {
                let port_unreachable = if *family == super::Family::V4 { 3 } else { 4 };
                data.be32(1, 0).u8(2, port_unreachable)
            }
            _ => data,
        }
    }
}
