use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;

use super::{AF_BRIDGE, Routing, family, gone_is_fine, octets};
use crate::NetError;
use crate::netlink::{Answer, Message, flags};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;

const ADDRESS: u16 = 1;
const IFNAME: u16 = 3;
const MTU: u16 = 4;
const MASTER: u16 = 10;
const PROTINFO: u16 = 12;
const LINKINFO: u16 = 18;
const NET_NS_FD: u16 = 28;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const PORT_MODE: u16 = 4;

const UP: u32 = 1;
const HEADER: usize = 16;

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Number.
    pub index: u32,
    /// Name.
    pub name: String,
    /// `bridge`, `veth`, `vxlan`; empty for hardware and loopback.
    pub kind: String,
    /// Hardware address.
    pub mac: Vec<u8>,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// The bridge it is a port of.
    pub master: Option<u32>,
    /// Administratively up.
    pub up: bool,
}

impl Routing {
    /// A link by name.
    ///
    /// # Errors
    /// The kernel's, but not "no such device".
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, NetError> {
        let ask = Message::new(GETLINK, 0).raw(&header(0, 0, 0, 0)).text(IFNAME, name);
        match self.socket.ask(ask, &format!("link {name}")) {
            Ok(answers) => Ok(answers.first().map(parse)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A link that must be there.
    ///
    /// # Errors
    /// When it is not, or the kernel's.
    pub fn must_link(&mut self, name: &str) -> Result<Link, NetError> {
        let missing = || NetError::Refused {
            what: format!("link {name}"),
            errno: rustix::io::Errno::NODEV.raw_os_error(),
            kernel: None,
        };
        self.link(name)?.ok_or_else(missing)
    }

    /// All links.
    ///
    /// # Errors
    /// The kernel's.
    pub fn links(&mut self) -> Result<Vec<Link>, NetError> {
        let ask = Message::new(GETLINK, 0).raw(&header(0, 0, 0, 0));
        Ok(self.socket.dump(&ask, "links")?.iter().map(parse).collect())
    }

    /// Makes a bridge; its hardware address stays the same whatever ports it gets.
    ///
    /// # Errors
    /// The kernel's; a link of that name and another kind is refused.
    pub fn ensure_bridge(&mut self, name: &str, mac: [u8; 6], mtu: u32) -> Result<Link, NetError> {
        self.ensure_kind(name, "bridge", mac, mtu, |info| info)
    }

    /// Makes a VXLAN tunnel that learns nothing and floods nothing: its tables are written by us alone.
    ///
    /// # Errors
    /// The kernel's; a link of that name and another kind is refused.
    pub fn ensure_vxlan(
        &mut self,
        name: &str,
        tunnel: (u32, u16),
        local: IpAddr,
        mac: [u8; 6],
        mtu: u32,
    ) -> Result<Link, NetError> {
        let (id, port) = tunnel;
        let local_kind = if local.is_ipv4() { 4 } else { 17 };
        self.ensure_kind(name, "vxlan", mac, mtu, |info| {
            info.nested(INFO_DATA, |data| {
                data.u32(1, id).bytes(local_kind, &octets(local)).u8(7, 0).be16(15, port)
            })
        })
    }

    fn ensure_kind(
        &mut self,
        name: &str,
        kind: &str,
        mac: [u8; 6],
        mtu: u32,
        info: impl FnOnce(Message) -> Message,
    ) -> Result<Link, NetError> {
        if let Some(link) = self.link(name)? {
            if link.kind != kind {
                return Err(NetError::Invalid(format!(
                    "link {name} is there already and is no {kind} (it is {:?}): rename or remove it",
                    link.kind
                )));
            }
            if link.mac != mac || link.mtu != mtu {
                let change = Message::new(SETLINK, 0)
                    .raw(&header(0, link.index, 0, 0))
                    .bytes(ADDRESS, &mac)
                    .u32(MTU, mtu);
                self.socket.request(change, &format!("link {name}: address and MTU"))?;
            }
            return self.must_link(name);
        }
        let make = Message::new(NEWLINK, flags::CREATE | flags::EXCLUSIVE)
            .raw(&header(0, 0, 0, 0))
            .text(IFNAME, name)
            .bytes(ADDRESS, &mac)
            .u32(MTU, mtu)
            .nested(LINKINFO, |inside| info(inside.text(INFO_KIND, kind)));
        self.socket.request(make, &format!("{kind} {name}: create"))?;
        self.must_link(name)
    }

    /// Makes a pair of virtual cables, one end here as a port of `master`, the other called `peer` in another
    /// namespace.
    ///
    /// # Errors
    /// The kernel's; `EEXIST` when either name is taken.
    pub fn make_veth(
        &mut self,
        name: &str,
        peer: (&str, BorrowedFd<'_>),
        mtu: u32,
        master: u32,
    ) -> Result<(), NetError> {
        let (peer_name, namespace) = peer;
        let file = u32::try_from(namespace.as_raw_fd()).expect("open files have numbers from 0");
        let make = Message::new(NEWLINK, flags::CREATE | flags::EXCLUSIVE)
            .raw(&header(0, 0, 0, 0))
            .text(IFNAME, name)
            .u32(MTU, mtu)
            .u32(MASTER, master)
            .nested(LINKINFO, |info| {
                info.text(INFO_KIND, "veth").nested(INFO_DATA, |data| {
                    data.nested(VETH_PEER, |end| {
                        end.raw(&header(0, 0, 0, 0))
                            .text(IFNAME, peer_name)
                            .u32(MTU, mtu)
                            .u32(NET_NS_FD, file)
                    })
                })
            });
        self.socket.request(make, &format!("veth {name}: create"))
    }

    /// Lets a bridge port send back to where a frame came from: a pod reaches itself through a Service.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_hairpin(&mut self, port: u32) -> Result<(), NetError> {
        let change = Message::new(SETLINK, 0)
            .raw(&header(AF_BRIDGE, port, 0, 0))
            .nested(PROTINFO, |inside| inside.u8(PORT_MODE, 1));
        self.socket.request(change, &format!("bridge port {port}: hairpin"))
    }

    /// Brings a link up.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_up(&mut self, index: u32) -> Result<(), NetError> {
        let change = Message::new(SETLINK, 0).raw(&header(0, index, UP, UP));
        self.socket.request(change, &format!("link {index}: up"))
    }

    /// Takes a link down.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_down(&mut self, index: u32) -> Result<(), NetError> {
        let change = Message::new(SETLINK, 0).raw(&header(0, index, 0, UP));
        self.socket.request(change, &format!("link {index}: down"))
    }

    /// Removes a link.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_link(&mut self, name: &str) -> Result<(), NetError> {
        let remove = Message::new(DELLINK, 0).raw(&header(0, 0, 0, 0)).text(IFNAME, name);
        gone_is_fine(self.socket.request(remove, &format!("link {name}: remove")))
    }

    /// Gives a link an address. IPv6 ones are used at once, without looking for duplicates.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add_address(&mut self, link: &Link, address: IpNet) -> Result<(), NetError> {
        let make = address_message(NEWADDR, flags::CREATE | flags::REPLACE, link.index, address);
        self.socket.request(make, &format!("address {address} on {}", link.name))
    }

    /// Takes an address away.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_address(&mut self, link: &Link, address: IpNet) -> Result<(), NetError> {
        let remove = address_message(DELADDR, 0, link.index, address);
        gone_is_fine(self.socket.request(remove, &format!("address {address} on {}: remove", link.name)))
    }

    /// The addresses of a link, without IPv6 link-local ones.
    ///
    /// # Errors
    /// The kernel's.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<IpNet>, NetError> {
        let all = self.all_addresses()?;
        Ok(all.into_iter().filter(|(link, _)| *link == index).map(|(_, address)| address).collect())
    }

    /// All addresses of the namespace with their links' numbers, without IPv6 link-local ones.
    ///
    /// # Errors
    /// The kernel's.
    pub fn all_addresses(&mut self) -> Result<Vec<(u32, IpNet)>, NetError> {
        let ask = Message::new(GETADDR, 0).raw(&[0; 8]);
        let answers = self.socket.dump(&ask, "addresses")?;
        Ok(answers.iter().filter_map(parse_address).collect())
    }
}

fn address_message(kind: u16, flags: u16, index: u32, address: IpNet) -> Message {
    /// No search for duplicates: pods wait for nothing, and we give each address once.
    const NO_DAD: u8 = 0x02;
    let quick = if address.addr().is_ipv6() { NO_DAD } else { 0 };
    let mut head = vec![family(address.addr()), address.prefix_len(), quick, 0];
    head.extend_from_slice(&index.to_ne_bytes());
    let bytes = octets(address.addr());
    Message::new(kind, flags).raw(&head).bytes(2, &bytes).bytes(1, &bytes)
}

fn parse_address(answer: &Answer) -> Option<(u32, IpNet)> {
    let head = answer.payload.first_chunk::<8>()?;
    let index = u32::from_ne_bytes([head[4], head[5], head[6], head[7]]);
    let found: Vec<_> = answer.attributes(8).collect();
    let of = |kind| found.iter().find(|attribute| attribute.kind == kind).and_then(|found| found.address());
    let address = of(2).or_else(|| of(1))?;
    let local_only = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    (!local_only).then(|| IpNet::new(address, head[1]).ok().map(|net| (index, net)))?
}

fn header(family: u8, index: u32, state: u32, change: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0] = family;
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&state.to_ne_bytes());
    bytes[12..16].copy_from_slice(&change.to_ne_bytes());
    bytes
}

fn parse(answer: &Answer) -> Link {
    let head = answer.payload.first_chunk::<HEADER>().copied().unwrap_or_default();
    let mut link = Link {
        index: u32::from_ne_bytes([head[4], head[5], head[6], head[7]]),
        up: head[8] & 1 == 1,
        ..Link::default()
    };
    for attribute in answer.attributes(HEADER) {
        match attribute.kind {
            ADDRESS => link.mac = attribute.value.to_vec(),
            IFNAME => link.name = attribute.text(),
            MTU => link.mtu = attribute.u32(),
            MASTER => link.master = Some(attribute.u32()),
            LINKINFO => link.kind = attribute.find(INFO_KIND).map(|kind| kind.text()).unwrap_or_default(),
            _ => {}
        }
    }
    link
}
