use std::net::IpAddr;

use ipnet::IpNet;

use super::{Expression, Family, Register, Verdict};

/// A rule while it is being put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    family: Family,
    pub(crate) expressions: Vec<Expression>,
    pub(crate) comment: String,
}

/// Registers that an address fills.
fn width(family: Family) -> u8 {
    if family == Family::V4 { 1 } else { 4 }
}

impl Rule {
    /// An empty rule for packets of a family.
    pub fn new(family: Family) -> Self {
        Self { family, expressions: Vec::new(), comment: String::new() }
    }

    /// Adds a step.
    pub fn then(mut self, expression: Expression) -> Self {
        self.expressions.push(expression);
        self
    }

    /// A remark for people who list the rules, at most 120 bytes of it.
    pub fn comment(mut self, text: impl Into<String>) -> Self {
        const LIMIT_BYTES: usize = 120;
        self.comment = text.into();
        while self.comment.len() > LIMIT_BYTES {
            self.comment.pop();
        }
        self
    }

    /// The registers behind an address in `first`.
    pub fn after_address(&self, first: u8) -> u8 {
        first + width(self.family)
    }

    /// Source address into registers from `first`.
    pub fn load_source(self, first: u8) -> Self {
        let (offset, length) = if self.family == Family::V4 { (12, 4) } else { (8, 16) };
        self.then(Expression::Payload { base: 1, offset, length, to: Register(first) })
    }

    /// Destination address into registers from `first`.
    pub fn load_destination(self, first: u8) -> Self {
        let (offset, length) = if self.family == Family::V4 { (16, 4) } else { (24, 16) };
        self.then(Expression::Payload { base: 1, offset, length, to: Register(first) })
    }

    /// Transport protocol into a register.
    pub fn load_protocol(self, register: u8) -> Self {
        self.then(Expression::Meta { key: 16, to: Register(register) })
    }

    /// Destination port into a register.
    pub fn load_port(self, register: u8) -> Self {
        self.then(Expression::Payload { base: 2, offset: 2, length: 2, to: Register(register) })
    }

    /// `daddr . protocol . dport` into registers from 0.
    pub fn load_front(self) -> Self {
        let after = self.after_address(0);
        self.load_destination(0).load_protocol(after).load_port(after + 1)
    }

    /// `protocol . dport` into registers 0 and 1.
    pub fn load_port_pair(self) -> Self {
        self.load_protocol(0).load_port(1)
    }

    /// Goes on for packets from, or not from, a network.
    pub fn source_in(self, net: IpNet, not: bool) -> Self {
        self.load_source(0).address_in(net, not)
    }

    /// Goes on for packets to, or not to, a network.
    pub fn destination_in(self, net: IpNet, not: bool) -> Self {
        self.load_destination(0).address_in(net, not)
    }

    fn address_in(self, net: IpNet, not: bool) -> Self {
        let mask = bytes(net.netmask());
        let whole = usize::from(net.prefix_len()) == mask.len() * 8;
        let value = bytes(net.network());
        let masked = if whole {
            self
        } else {
            let xor = vec![0; mask.len()];
            self.then(Expression::Bitwise { register: Register(0), mask, xor })
        };
        masked.then(Expression::Compare { from: Register(0), not, value })
    }

    /// Goes on for packets to an address of this machine, loopback among them.
    pub fn to_this_machine_or_loopback(self) -> Self {
        const LOCAL: u32 = 2;
        self.then(Expression::AddressKind { destination: true, to: Register(0) }).then(Expression::Compare {
            from: Register(0),
            not: false,
            value: LOCAL.to_ne_bytes().to_vec(),
        })
    }

    /// Goes on for packets to an address of this machine, loopback not counted.
    pub fn to_this_machine(self) -> Self {
        let loopback = match self.family {
            Family::V4 => "127.0.0.0/8",
            Family::V6 => "::1/128",
        };
        let loopback = loopback.parse().expect("a constant");
        self.to_this_machine_or_loopback().destination_in(loopback, true)
    }

    /// Goes on for packets from an address of this machine.
    pub fn from_this_machine(self) -> Self {
        const LOCAL: u32 = 2;
        self.then(Expression::AddressKind { destination: false, to: Register(0) }).then(Expression::Compare {
            from: Register(0),
            not: false,
            value: LOCAL.to_ne_bytes().to_vec(),
        })
    }

    /// Goes on for the first packet of a connection.
    pub fn new_connection(self) -> Self {
        const NEW: u32 = 8;
        self.bits(Expression::Conntrack { key: 0, to: Register(0) }, NEW)
    }

    /// Goes on for connections whose destination was changed.
    pub fn redirected(self) -> Self {
        const DESTINATION_CHANGED: u32 = 32;
        self.bits(Expression::Conntrack { key: 2, to: Register(0) }, DESTINATION_CHANGED)
    }

    /// Goes on for packets that carry a mark bit.
    pub fn marked(self, mark: u32) -> Self {
        self.bits(Expression::Meta { key: 3, to: Register(0) }, mark)
    }

    fn bits(self, load: Expression, bits: u32) -> Self {
        let (mask, none) = (bits.to_ne_bytes().to_vec(), vec![0; 4]);
        self.then(load)
            .then(Expression::Bitwise { register: Register(0), mask, xor: none.clone() })
            .then(Expression::Compare { from: Register(0), not: true, value: none })
    }

    /// Sets a mark bit.
    pub fn set_mark(self, mark: u32) -> Self {
        self.change_mark(!mark, mark)
    }

    /// Clears a mark bit.
    pub fn clear_mark(self, mark: u32) -> Self {
        self.change_mark(!mark, 0)
    }

    fn change_mark(self, keep: u32, set: u32) -> Self {
        let (mask, xor) = (keep.to_ne_bytes().to_vec(), set.to_ne_bytes().to_vec());
        self.then(Expression::Meta { key: 3, to: Register(0) })
            .then(Expression::Bitwise { register: Register(0), mask, xor })
            .then(Expression::SetMark { from: Register(0) })
    }

    /// Goes on for packets that leave, or do not leave, by an interface.
    pub fn leaves_by(self, name: &str, not: bool) -> Self {
        const NAME_BYTES: usize = 16;
        let mut value = name.as_bytes().to_vec();
        value.resize(NAME_BYTES, 0);
        self.then(Expression::Meta { key: 7, to: Register(0) }).then(Expression::Compare {
            from: Register(0),
            not,
            value,
        })
    }

    /// Goes on for one transport protocol, by number.
    pub fn protocol(self, number: u8) -> Self {
        self.load_protocol(0).then(Expression::Compare { from: Register(0), not: false, value: vec![number] })
    }

    /// Goes on when the key in register 0 is in the set.
    pub fn in_set(self, set: &str) -> Self {
        self.then(Expression::Lookup { set: set.to_owned(), key: Register(0), to: None, not: false })
    }

    /// The verdict that a map has for the key in register 0.
    pub fn verdict_of(self, map: &str) -> Self {
        self.then(Expression::VerdictMap { map: map.to_owned(), key: Register(0) })
    }

    /// Counts.
    pub fn count(self) -> Self {
        self.then(Expression::Counter)
    }

    /// What becomes of the packet.
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.then(Expression::Verdict(verdict))
    }

    /// Through a chain and back.
    pub fn jump(self, chain: &str) -> Self {
        self.verdict(Verdict::Jump(chain.to_owned()))
    }

    /// New destination: address in registers from `first`, port behind it.
    pub fn redirect(self, first: u8) -> Self {
        let port = Register(self.after_address(first));
        let family = self.family;
        self.then(Expression::DestinationNat { family, address: Register(first), port })
    }

    /// Says no: TCP reset, or "port unreachable" for what is not TCP (`reset` false).
    pub fn reject(self, reset: bool) -> Self {
        let family = self.family;
        self.then(Expression::Reject { reset, family })
    }
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
