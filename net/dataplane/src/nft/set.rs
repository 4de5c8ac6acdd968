use std::net::IpAddr;

use super::{Family, Verdict};
use crate::netlink::Message;

/// One field of a key or value. Each is padded to four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// An address of the table's family.
    Address,
    /// A transport protocol's number.
    Protocol,
    /// A port.
    Port,
    /// A number in the machine's order.
    Number,
}

impl Field {
    fn length(self, family: Family) -> u32 {
        match (self, family) {
            (Self::Address, Family::V6) => 16,
            _ => 4,
        }
    }

    /// The number that listing tools know the type by.
    fn kind(self, family: Family) -> u32 {
        match (self, family) {
            (Self::Address, Family::V4) => 7,
            (Self::Address, Family::V6) => 8,
            (Self::Protocol, _) => 12,
            (Self::Port, _) => 13,
            (Self::Number, _) => 19,
        }
    }
}

/// Six bits for each field, as listing tools write concatenations.
fn kinds(fields: &[Field], family: Family) -> u32 {
    fields.iter().fold(0, |whole, field| (whole << 6) | field.kind(family))
}

fn lengths(fields: &[Field], family: Family) -> u32 {
    fields.iter().map(|field| field.length(family)).sum()
}

/// What a set gives for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    /// Nothing: it is in or not.
    Set,
    /// A value.
    Map(&'static [Field]),
    /// A verdict.
    Verdicts,
}

/// A set or map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// Name.
    pub name: &'static str,
    /// Fields of the key.
    pub key: &'static [Field],
    /// What it gives.
    pub kind: SetKind,
    /// `Some(n)`: rules write it, elements expire, at most `n` at a time.
    pub dynamic: Option<u32>,
}

impl Set {
    pub(crate) fn write(&self, message: Message, family: Family, id: u32) -> Message {
        const MAP: u32 = 0x08;
        const TIMEOUT: u32 = 0x10;
        const EVALUATED: u32 = 0x20;
        const VERDICT: u32 = 0xffff_ff00;
        let map = if self.kind == SetKind::Set { 0 } else { MAP };
        let dynamic = if self.dynamic.is_some() { TIMEOUT | EVALUATED } else { 0 };
        let mut message = message
            .text(2, self.name)
            .be32(3, map | dynamic)
            .be32(4, kinds(self.key, family))
            .be32(5, lengths(self.key, family))
            .be32(10, id);
        message = match self.kind {
            SetKind::Set => message,
            SetKind::Map(fields) => message.be32(6, kinds(fields, family)).be32(7, lengths(fields, family)),
            SetKind::Verdicts => message.be32(6, VERDICT).be32(7, 0),
        };
        match self.dynamic {
            Some(size) => message.nested(9, |description| description.be32(1, size)),
            None => message,
        }
    }
}

/// One element of a set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// Key, as the fields lie in registers.
    pub key: Vec<u8>,
    /// A map's value.
    pub value: Option<Vec<u8>>,
    /// A verdict map's verdict.
    pub verdict: Option<Verdict>,
}

impl Element {
    /// An element with a key to be filled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an address to the key.
    pub fn address(mut self, address: IpAddr) -> Self {
        push_address(&mut self.key, address);
        self
    }

    /// Appends a protocol to the key.
    pub fn protocol(mut self, number: u8) -> Self {
        self.key.extend_from_slice(&[number, 0, 0, 0]);
        self
    }

    /// Appends a port to the key.
    pub fn port(mut self, port: u16) -> Self {
        push_port(&mut self.key, port);
        self
    }

    /// Appends a number to the key.
    pub fn number(mut self, number: u32) -> Self {
        self.key.extend_from_slice(&number.to_ne_bytes());
        self
    }

    /// The value "address . port".
    pub fn gives(mut self, address: IpAddr, port: u16) -> Self {
        let mut value = Vec::with_capacity(20);
        push_address(&mut value, address);
        push_port(&mut value, port);
        self.value = Some(value);
        self
    }

    /// The verdict.
    pub fn decides(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }

    /// The bytes it takes in a message, at most.
    pub(crate) fn length_bound(&self) -> usize {
        let chain = match &self.verdict {
            Some(Verdict::Jump(chain) | Verdict::Goto(chain)) => chain.len(),
            _ => 0,
        };
        64 + self.key.len() + self.value.as_ref().map_or(0, Vec::len) + chain
    }

    pub(crate) fn write(&self, list: Message, key_only: bool) -> Message {
        list.nested(1, |element| {
            let keyed = element.nested(1, |data| data.bytes(1, &self.key));
            match (&self.value, &self.verdict) {
                _ if key_only => keyed,
                (Some(value), _) => keyed.nested(2, |data| data.bytes(1, value)),
                (None, Some(verdict)) => verdict.write(keyed, 2),
                (None, None) => keyed,
            }
        })
    }
}

fn push_address(bytes: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => bytes.extend_from_slice(&v4.octets()),
        IpAddr::V6(v6) => bytes.extend_from_slice(&v6.octets()),
    }
}

fn push_port(bytes: &mut Vec<u8>, port: u16) {
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
}
