use std::net::IpAddr;

use super::{AF_BRIDGE, Routing, family, gone_is_fine, octets};
use crate::NetError;
use crate::netlink::{Answer, Message, flags};

const NEWNEIGH: u16 = 28;
const DELNEIGH: u16 = 29;
const GETNEIGH: u16 = 30;

const DESTINATION: u16 = 1;
const HARDWARE: u16 = 2;

const PERMANENT: u16 = 0x80;
/// The entry belongs to the tunnel itself, not to a bridge above it.
const SELF: u8 = 2;
const HEADER: usize = 12;

/// "Frames for this hardware address go to that machine", in a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Forwarding {
    /// Hardware address of the other tunnel end.
    pub mac: [u8; 6],
    /// Address of the other machine.
    pub machine: IpAddr,
}

impl Routing {
    /// Writes down whose hardware address an address of the link has, for good.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_neighbour(&mut self, link: u32, address: IpAddr, mac: [u8; 6]) -> Result<(), NetError> {
        let make = Message::new(NEWNEIGH, flags::CREATE | flags::REPLACE)
            .raw(&header(family(address), link, 0))
            .bytes(DESTINATION, &octets(address))
            .bytes(HARDWARE, &mac);
        self.socket.request(make, &format!("neighbour {address}"))
    }

    /// Removes what [`Self::set_neighbour`] wrote.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_neighbour(&mut self, link: u32, address: IpAddr) -> Result<(), NetError> {
        let remove = Message::new(DELNEIGH, 0)
            .raw(&header(family(address), link, 0))
            .bytes(DESTINATION, &octets(address));
        gone_is_fine(self.socket.request(remove, &format!("neighbour {address}: remove")))
    }

    /// The permanent neighbours of a link.
    ///
    /// # Errors
    /// The kernel's.
    pub fn neighbours(&mut self, link: u32) -> Result<Vec<(IpAddr, [u8; 6])>, NetError> {
        let answers = self.socket.dump(&Message::new(GETNEIGH, 0).raw(&[0; HEADER]), "neighbours")?;
        Ok(answers.iter().filter_map(|answer| parse(answer, link, false)).collect())
    }

    /// Sends frames for a hardware address to a machine.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_forwarding(&mut self, link: u32, entry: Forwarding) -> Result<(), NetError> {
        let make = forwarding(NEWNEIGH, flags::CREATE | flags::REPLACE, link, entry);
        self.socket.request(make, &format!("tunnel entry to {}", entry.machine))
    }

    /// Removes what [`Self::set_forwarding`] wrote.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_forwarding(&mut self, link: u32, entry: Forwarding) -> Result<(), NetError> {
        let remove = forwarding(DELNEIGH, 0, link, entry);
        gone_is_fine(self.socket.request(remove, &format!("tunnel entry to {}: remove", entry.machine)))
    }

    /// The entries of a tunnel.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forwardings(&mut self, link: u32) -> Result<Vec<Forwarding>, NetError> {
        let ask = Message::new(GETNEIGH, 0).raw(&header(AF_BRIDGE, 0, 0));
        let answers = self.socket.dump(&ask, "tunnel entries")?;
        let entries = answers.iter().filter_map(|answer| parse(answer, link, true));
        Ok(entries.map(|(machine, mac)| Forwarding { mac, machine }).collect())
    }
}

fn forwarding(kind: u16, request: u16, link: u32, entry: Forwarding) -> Message {
    Message::new(kind, request)
        .raw(&header(AF_BRIDGE, link, SELF))
        .bytes(DESTINATION, &octets(entry.machine))
        .bytes(HARDWARE, &entry.mac)
}

fn header(family: u8, link: u32, flags: u8) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&link.to_ne_bytes());
    bytes[8..10].copy_from_slice(&PERMANENT.to_ne_bytes());
    bytes[10] = flags;
    bytes
}

fn parse(answer: &Answer, link: u32, bridge: bool) -> Option<(IpAddr, [u8; 6])> {
    let head = answer.payload.first_chunk::<HEADER>()?;
    let of_link = u32::from_ne_bytes([head[4], head[5], head[6], head[7]]) == link;
    let permanent = u16::from_ne_bytes([head[8], head[9]]) & PERMANENT != 0;
    if !of_link || !permanent || (head[0] == AF_BRIDGE) != bridge {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in answer.attributes(HEADER) {
        match attribute.kind {
            DESTINATION => address = attribute.address(),
            HARDWARE => mac = <[u8; 6]>::try_from(attribute.value).ok(),
            _ => {}
        }
    }
    Some((address?, mac?))
}
