//! Machines of `trireme up` that run pods, each in a network namespace of its own.
//!
//! ```text
//! this namespace          the switch          each machine
//!   trm-xxxxxxxx ---------- host
//!   (gateway, .1)           machines (bridge)
//!                           p-s1 --------------- eth0 (.11)
//!                           p-a1 --------------- eth0 (.101)
//! ```
//!
//! The bridge has a namespace of its own, so that the firewall of this one has no say over what machines tell each other.
//! Each namespace is kept under a file of the data folder: a launcher that was killed finds them again on its next start,
//! with the pods that went on in them. Deliberately absent: a way from the machines to other networks. Images are
//! fetched or built beforehand, or come from a registry on this machine.

mod plan;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ipnet::IpNet;
use trireme_dataplane::Netns;
use trireme_dataplane::rt::{Route, Routing};

pub(crate) use plan::Plan;

/// Where the namespaces are kept, in the data folder.
const FOLDER: &str = "netns";
/// Whose namespace the bridge is in.
const SWITCH: &str = "switch";
/// The bridge.
const BRIDGE: &str = "machines";
/// The link of a machine, inside.
const INSIDE: &str = "eth0";
/// Largest packet, bytes.
const MTU: u32 = 1_500;

/// The namespaces of a cluster.
pub(crate) struct Spaces {
    folder: PathBuf,
    plan: Plan,
    host_link: String,
}

impl Spaces {
    /// Makes what is missing of the namespaces of these machines, and takes away those of machines that are no more.
    ///
    /// # Errors
    /// Missing privileges, or a range in use.
    pub(crate) fn open(data_dir: &Path, plan: Plan) -> anyhow::Result<Self> {
        let folder = data_dir.join(FOLDER);
        crate::data_dir::create(&folder)?;
        let folder = folder.canonicalize().context("the folder of namespaces")?;
        let spaces = Self { host_link: host_link(&folder), folder, plan };
        spaces.check_range()?;
        spaces.forget_others()?;
        let switch = spaces.switch().context("the namespace between the machines")?;
        spaces.connect_host(&switch).context("the link to the machines")?;
        for (name, address) in spaces.plan.machines() {
            spaces
                .connect(&switch, name, *address)
                .with_context(|| format!("the network namespace of {name}"))?;
        }
        Ok(spaces)
    }

    /// Where a machine's processes run.
    pub(crate) fn netns(&self, name: &str) -> Netns {
        Netns::at(self.folder.join(name))
    }

    /// A machine's address.
    ///
    /// # Errors
    /// It was not planned.
    pub(crate) fn address(&self, name: &str) -> anyhow::Result<IpAddr> {
        self.plan.address(name).with_context(|| format!("no address was planned for {name}"))
    }

    /// Takes everything away. The machines must have stopped.
    ///
    /// # Errors
    /// What could not be taken away; the rest is gone nevertheless.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        let link = Routing::open(&Netns::Current)
            .and_then(|mut routing| routing.remove_link(&self.host_link))
            .context("the link to the machines");
        let names = self.kept()?;
        let let_go = |name: &String| {
            Netns::let_go(&self.folder.join(name)).with_context(|| format!("network namespace {name}"))
        };
        let failed = names.iter().map(let_go).filter_map(Result::err).next();
        link?;
        failed.map_or(Ok(()), Err)
    }

    fn kept(&self) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).context("the folder of namespaces")? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn forget_others(&self) -> anyhow::Result<()> {
        for name in self.kept()? {
            let path = self.folder.join(&name);
            // A file without a namespace is left of an earlier life of this computer.
            if (name != SWITCH && self.plan.address(&name).is_none()) || !Netns::is_kept(&path) {
                Netns::let_go(&path).with_context(|| format!("network namespace {name}"))?;
            }
        }
        Ok(())
    }

    /// Another link with addresses of the range would get the machines' packets.
    fn check_range(&self) -> anyhow::Result<()> {
        let mut routing = Routing::open(&Netns::Current)?;
        let own = routing.link(&self.host_link)?.map(|link| link.index);
        let range = self.plan.range();
        for (index, address) in routing.all_addresses()? {
            let overlaps = range.contains(&address.addr()) || address.contains(&range.network());
            if Some(index) != own && overlaps {
                bail!(
                    "--machine-cidr {range}: this computer has the address {address} already; name a range that is free"
                );
            }
        }
        Ok(())
    }

    fn switch(&self) -> anyhow::Result<Netns> {
        let netns = Netns::keep_at(self.folder.join(SWITCH))?;
        let mut routing = Routing::open(&netns)?;
        let bridge = routing.ensure_bridge(BRIDGE, [2, 0x74, 0x72, 0, 0, 1], MTU)?;
        routing.set_up(bridge.index)?;
        Ok(netns)
    }

    fn connect_host(&self, switch: &Netns) -> anyhow::Result<()> {
        let mut here = Routing::open(&Netns::Current)?;
        plug(switch, "host", &Netns::Current, &self.host_link)?;
        let link = here.must_link(&self.host_link)?;
        here.add_address(&link, IpNet::new(self.plan.gateway(), self.plan.range().prefix_len())?)?;
        here.set_up(link.index)?;
        Ok(())
    }

    fn connect(&self, switch: &Netns, name: &str, address: IpAddr) -> anyhow::Result<()> {
        let netns = Netns::keep_at(self.folder.join(name))?;
        plug(switch, &format!("p-{name}"), &netns, INSIDE)?;
        let mut inside = Routing::open(&netns)?;
        let loopback = inside.must_link("lo")?;
        inside.set_up(loopback.index)?;
        let link = inside.must_link(INSIDE)?;
        inside.add_address(&link, IpNet::new(address, self.plan.range().prefix_len())?)?;
        inside.set_up(link.index)?;
        let default =
            if address.is_ipv4() { IpNet::V4("0.0.0.0/0".parse()?) } else { IpNet::V6("::/0".parse()?) };
        let via = Some(self.plan.gateway());
        inside.set_route(Route { destination: default, via, link: link.index, source: None })?;
        Ok(())
    }
}

/// A cable from a port of the bridge to a link of another namespace. One that is there stays.
fn plug(switch: &Netns, port: &str, netns: &Netns, link: &str) -> anyhow::Result<()> {
    let mut routing = Routing::open(switch)?;
    let bridge = routing.must_link(BRIDGE)?;
    let whole = routing.link(port)?.is_some() && Routing::open(netns)?.link(link)?.is_some();
    if !whole {
        // Half a cable is left when the other end's namespace went.
        routing.remove_link(port)?;
        let file = netns.open()?;
        routing.make_veth(port, (link, std::os::fd::AsFd::as_fd(&file)), MTU, bridge.index)?;
    }
    let port = routing.must_link(port)?;
    routing.set_up(port.index)?;
    Ok(())
}

/// The name of the link in this namespace: each data folder has its own.
fn host_link(folder: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    format!("trm-{:08x}", hasher.finish() & 0xffff_ffff)
}
