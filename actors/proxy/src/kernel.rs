use std::net::IpAddr;

use ipnet::IpNet;
use trireme_dataplane::nft::{Batch, Counter, Element, Family, Nftables};
use trireme_dataplane::{Conntrack, Flow, NetError, Netns};
use trireme_proxy_core::{Delta, Rules, StaleUdp};

use crate::ruleset::{BACKENDS, scaffold, table};
use crate::write::{pool_chain, write};

/// Where and among whom Services are programmed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServicesConfig {
    /// The node's network namespace.
    pub netns: Netns,
    /// The ranges of all pods: who comes from elsewhere to a Service's address gets the node's address. Empty: nobody.
    pub cluster_cidrs: Vec<IpNet>,
}

/// The kernel's tables of Services. Calls are synchronous; keep them off the threads that must not wait.
pub struct Kernel {
    config: ServicesConfig,
    nft: Nftables,
    conntrack: Conntrack,
}

impl Kernel {
    /// Opens the sockets; changes nothing.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn open(config: ServicesConfig) -> Result<Self, NetError> {
        let (nft, conntrack) = (Nftables::open(&config.netns)?, Conntrack::open(&config.netns)?);
        Ok(Self { config, nft, conntrack })
    }

    /// Replaces everything by these rules, in one atomic step.
    ///
    /// # Errors
    /// The kernel's; then nothing changed.
    pub fn rebuild(&mut self, rules: &Rules) -> Result<(), NetError> {
        let mut batch = Batch::new();
        for family in Family::BOTH {
            scaffold(&mut batch, family, &self.config);
        }
        write(&mut batch, &Delta::between(&Rules::default(), rules), &self.config);
        self.nft.commit(batch)
    }

    /// Makes a change, in one atomic step, then forgets UDP conversations that it leaves astray.
    ///
    /// # Errors
    /// The kernel's; then no rule changed, and the caller should [`Self::rebuild`].
    pub fn apply(&mut self, delta: &Delta) -> Result<(), NetError> {
        let mut batch = Batch::new();
        write(&mut batch, delta, &self.config);
        self.nft.commit(batch)?;
        self.forget(&delta.stale_udp())
    }

    fn forget(&mut self, stale: &StaleUdp) -> Result<(), NetError> {
        const UDP: u8 = 17;
        if stale.is_empty() {
            return Ok(());
        }
        let astray = |flow: &Flow| {
            let backend = trireme_proxy_core::Backend { address: flow.answering.0, port: flow.answering.1 };
            let redirected = flow.asked != flow.answering;
            let woken = stale.woken.iter().any(|front| (front.address, front.port) == flow.asked);
            let woken = woken || stale.woken_nodes.iter().any(|front| front.port == flow.asked.1);
            flow.protocol == UDP && ((redirected && stale.gone.contains(&backend)) || (!redirected && woken))
        };
        for family in Family::BOTH {
            self.conntrack.forget(family, astray)?;
        }
        Ok(())
    }

    /// Removes the tables.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&mut self) -> Result<(), NetError> {
        Family::BOTH.into_iter().try_for_each(|family| self.nft.remove_table(table(family)))
    }

    /// What a pool's rules have counted: connections, not packets.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pool_counters(&mut self, family: Family, pool: u32) -> Result<Vec<Counter>, NetError> {
        self.nft.counters(table(family), &pool_chain(pool))
    }

    /// The backends of all pools as the kernel has them: pool, place, address and port.
    ///
    /// # Errors
    /// The kernel's.
    pub fn backends(&mut self, family: Family) -> Result<Vec<(u32, u32, IpAddr, u16)>, NetError> {
        let elements = self.nft.elements(table(family), BACKENDS.name)?;
        Ok(elements.iter().filter_map(backend).collect())
    }
}

fn backend(element: &Element) -> Option<(u32, u32, IpAddr, u16)> {
    let number = |at: usize| {
        let bytes = element.key.get(at..at + 4)?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    };
    let value = element.value.as_deref()?;
    let (address, port) = value.split_at_checked(value.len().checked_sub(4)?)?;
    let address = match address.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(address).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(address).ok()?),
    };
    Some((number(0)?, number(4)?, address, u16::from_be_bytes([port[0], port[1]])))
}
