use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, bail};
use ipnet::IpNet;

/// Offsets in the range: of this namespace, of the first server, of the first agent.
const GATEWAY: u128 = 1;
const FIRST_SERVER: u128 = 11;
const FIRST_AGENT: u128 = 101;

/// Which machine has which address. The same flags give the same plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    range: IpNet,
    gateway: IpAddr,
    machines: BTreeMap<String, IpAddr>,
}

impl Plan {
    /// Servers `s1`, `s2`, ... and agents `a1`, `a2`, ... in the range.
    ///
    /// # Errors
    /// The range is too small.
    pub(crate) fn new(range: IpNet, servers: u8, agents: u8) -> anyhow::Result<Self> {
        let at = |offset: u128| {
            let address = nth(range, offset);
            address.with_context(|| format!("--machine-cidr {range}: too small; name a /24 or larger"))
        };
        let mut machines = BTreeMap::new();
        for (letter, count, first) in [('s', servers, FIRST_SERVER), ('a', agents, FIRST_AGENT)] {
            for index in 0..u128::from(count) {
                machines.insert(format!("{letter}{}", index + 1), at(first + index)?);
            }
        }
        if u128::from(servers) > FIRST_AGENT - FIRST_SERVER {
            bail!("--servers {servers}: at most {}", FIRST_AGENT - FIRST_SERVER);
        }
        Ok(Self { range, gateway: at(GATEWAY)?, machines })
    }

    pub(crate) fn range(&self) -> IpNet {
        self.range
    }

    /// The address of the namespace from which the machines were started.
    pub(crate) fn gateway(&self) -> IpAddr {
        self.gateway
    }

    pub(crate) fn machines(&self) -> impl Iterator<Item = (&String, &IpAddr)> {
        self.machines.iter()
    }

    pub(crate) fn address(&self, name: &str) -> Option<IpAddr> {
        self.machines.get(name).copied()
    }
}

/// An address of a range that a machine can have.
fn nth(range: IpNet, offset: u128) -> Option<IpAddr> {
    let address = match range {
        IpNet::V4(range) => {
            let raw = u32::from(range.network()).checked_add(u32::try_from(offset).ok()?)?;
            IpAddr::V4(Ipv4Addr::from_bits(raw))
        }
        IpNet::V6(range) => IpAddr::V6(Ipv6Addr::from_bits(u128::from(range.network()).checked_add(offset)?)),
    };
    (range.contains(&address) && address != range.broadcast()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_an_address_of_its_own() {
        let plan = Plan::new("10.86.0.0/24".parse().unwrap(), 9, 64).unwrap();
        let mut all: Vec<IpAddr> = plan.machines().map(|(_, address)| *address).collect();
        all.push(plan.gateway());
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!((all.len(), count), (74, 74));
        assert_eq!(plan.address("s1"), Some("10.86.0.11".parse().unwrap()));
        assert_eq!(plan.address("a64"), Some("10.86.0.164".parse().unwrap()));
        assert_eq!(plan.address("a65"), None);
        assert!(Plan::new("10.86.0.0/26".parse().unwrap(), 1, 1).is_err());
        let six = Plan::new("fd00::/64".parse().unwrap(), 1, 1).unwrap();
        assert_eq!(six.address("a1"), Some("fd00::65".parse().unwrap()));
    }
}
