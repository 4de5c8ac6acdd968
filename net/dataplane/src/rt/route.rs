use std::net::IpAddr;

use ipnet::IpNet;

use super::{ROUTE_PROTOCOL, Routing, family, gone_is_fine, octets};
use crate::NetError;
use crate::netlink::{Answer, Message, flags};

const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;
const GETROUTE: u16 = 26;

const DESTINATION: u16 = 1;
const OUT_LINK: u16 = 4;
const GATEWAY: u16 = 5;
const PREFERRED_SOURCE: u16 = 7;
const TABLE: u16 = 15;

const MAIN: u8 = 254;
const UNICAST: u8 = 1;
const SCOPE_LINK: u8 = 253;
const HEADER: usize = 12;
/// The gateway is on this link although no address says so.
const ON_LINK: u32 = 4;

/// A route of ours in the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// Where to; `0.0.0.0/0` and `::/0` are the defaults.
    pub destination: IpNet,
    /// By whom, on the link whatever its addresses say; `None` when it is on the link itself.
    pub via: Option<IpAddr>,
    /// Number of the link.
    pub link: u32,
    /// Source address of what this machine sends itself.
    pub source: Option<IpAddr>,
}

/// How the kernel would send to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Number of the link.
    pub link: u32,
    /// `None` when the address is on the link.
    pub via: Option<IpAddr>,
    /// The source it would take.
    pub source: Option<IpAddr>,
}

impl Routing {
    /// Makes a route, or changes the one to the same destination.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_route(&mut self, route: Route) -> Result<(), NetError> {
        let make = message(NEWROUTE, flags::CREATE | flags::REPLACE, route);
        self.socket.request(make, &format!("route to {}", route.destination))
    }

    /// Removes a route.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_route(&mut self, route: Route) -> Result<(), NetError> {
        let remove = message(DELROUTE, 0, route);
        gone_is_fine(self.socket.request(remove, &format!("route to {}: remove", route.destination)))
    }

    /// The routes that carry our protocol number.
    ///
    /// # Errors
    /// The kernel's.
    pub fn own_routes(&mut self) -> Result<Vec<Route>, NetError> {
        let ask = Message::new(GETROUTE, 0).raw(&[0; HEADER]);
        let answers = self.socket.dump(&ask, "routes")?;
        Ok(answers.iter().filter_map(parse_own).collect())
    }

    /// How the kernel would send to `address`; `None` when it would not.
    ///
    /// # Errors
    /// The kernel's, but not "unreachable".
    pub fn next_hop(&mut self, address: IpAddr) -> Result<Option<NextHop>, NetError> {
        let mut head = [0; HEADER];
        head[0] = family(address);
        head[1] = if address.is_ipv4() { 32 } else { 128 };
        let ask = Message::new(GETROUTE, 0).raw(&head).bytes(DESTINATION, &octets(address));
        let answers = match self.socket.ask(ask, &format!("route to {address}")) {
            Ok(answers) => answers,
            Err(error) if unreachable(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(answers.first().map(|answer| {
            let (mut hop, mut gateway, mut source) = (0, None, None);
            for attribute in answer.attributes(HEADER) {
                match attribute.kind {
                    OUT_LINK => hop = attribute.u32(),
                    GATEWAY => gateway = attribute.address(),
                    PREFERRED_SOURCE => source = attribute.address(),
                    _ => {}
                }
            }
            NextHop { link: hop, via: gateway, source }
        }))
    }
}

fn unreachable(error: &NetError) -> bool {
    use rustix::io::Errno;
    let silent = [Errno::NETUNREACH, Errno::HOSTUNREACH, Errno::ACCESS, Errno::INVAL];
    silent.iter().any(|errno| error.errno() == Some(errno.raw_os_error()))
}

fn message(kind: u16, request: u16, route: Route) -> Message {
    let mut head = [0; HEADER];
    head[0] = family(route.destination.addr());
    head[1] = route.destination.prefix_len();
    head[4] = MAIN;
    head[5] = ROUTE_PROTOCOL;
    head[6] = if route.via.is_none() && route.destination.addr().is_ipv4() { SCOPE_LINK } else { 0 };
    head[7] = UNICAST;
    let on_link = if route.via.is_some() { ON_LINK } else { 0 };
    head[8..12].copy_from_slice(&on_link.to_ne_bytes());
    let mut message = Message::new(kind, request)
        .raw(&head)
        .bytes(DESTINATION, &octets(route.destination.network()))
        .u32(OUT_LINK, route.link);
    if let Some(via) = route.via {
        message = message.bytes(GATEWAY, &octets(via));
    }
    if let Some(source) = route.source {
        message = message.bytes(PREFERRED_SOURCE, &octets(source));
    }
    message
}

fn parse_own(answer: &Answer) -> Option<Route> {
    let head = answer.payload.first_chunk::<HEADER>()?;
    if head[5] != ROUTE_PROTOCOL || head[7] != UNICAST {
        return None;
    }
    let nothing: IpAddr = if head[0] == super::AF_INET {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let (mut to, mut via, mut link, mut source, mut table) = (nothing, None, 0, None, u32::from(head[4]));
    for attribute in answer.attributes(HEADER) {
        match attribute.kind {
            DESTINATION => to = attribute.address()?,
            OUT_LINK => link = attribute.u32(),
            GATEWAY => via = attribute.address(),
            PREFERRED_SOURCE => source = attribute.address(),
            TABLE => table = attribute.u32(),
            _ => {}
        }
    }
    let destination = IpNet::new(to, head[1]).ok()?;
    (table == u32::from(MAIN)).then_some(Route { destination, via, link, source })
}
