//! Which sandbox has which addresses: a ledger in one file, written whole and renamed into place.
//!
//! The file survives kill -9, since a renamed file is either the old or the new one. It names the machine's boot: after
//! a reboot no sandbox lives, and the ledger starts empty. It is not fsynced, because only a reboot could lose it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use trireme_node::HostPort;

use crate::NetError;

/// Addresses looked at before a range counts as used up; larger ranges are larger than any node's pods.
const SEARCH_LIMIT: u128 = 1 << 20;

/// A port of the node that leads to the pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Published {
    pub(crate) protocol: u8,
    pub(crate) host_ip: Option<IpAddr>,
    pub(crate) host_port: u16,
    pub(crate) container_port: u16,
}

impl Published {
    pub(crate) fn new(port: &HostPort) -> Result<Self, NetError> {
        let protocol = match port.protocol.as_str() {
            "" | "TCP" => 6,
            "UDP" => 17,
            "SCTP" => 132,
            other => {
                return Err(NetError::Invalid(format!("host port {}: protocol {other:?}", port.host_port)));
            }
        };
        let host_ip = port.host_ip.filter(|address| !address.is_unspecified());
        Ok(Self { protocol, host_ip, host_port: port.host_port, container_port: port.container_port })
    }

    fn meets(&self, other: &Self) -> bool {
        let same_place = match (self.host_ip, other.host_ip) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => true,
        };
        same_place && self.protocol == other.protocol && self.host_port == other.host_port
    }
}

/// What a sandbox was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    pub(crate) pod: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) ports: Vec<Published>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Page {
    boot: String,
    /// Where the search for the next address goes on, so that a freed one rests before it is used again.
    last: Vec<IpAddr>,
    leases: BTreeMap<String, Lease>,
}

/// The ledger and its file.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: PathBuf,
    ranges: Vec<IpNet>,
    page: Page,
}

impl Ledger {
    /// Reads the file, if it is of this boot and of these ranges. `boot` names the machine's boot.
    pub(crate) fn open(path: &Path, ranges: &[IpNet], boot: &str) -> Result<Self, NetError> {
        let page = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice::<Page>(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %path.display(), %error, "the address ledger cannot be read and starts empty");
                Page::default()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Page::default(),
            Err(error) => return Err(NetError::io(format!("address ledger {}", path.display()))(error)),
        };
        let page = if page.boot == boot { page } else { Page { boot: boot.to_owned(), ..Page::default() } };
        Ok(Self { path: path.to_owned(), ranges: ranges.to_vec(), page })
    }

    pub(crate) fn leases(&self) -> &BTreeMap<String, Lease> {
        &self.page.leases
    }

    /// The sandbox' lease: what it has, or one address of each range, on disk before it is given out.
    pub(crate) fn take(
        &mut self,
        sandbox: &str,
        pod: String,
        ports: Vec<Published>,
    ) -> Result<Lease, NetError> {
        for (other, lease) in self.page.leases.iter().filter(|(other, _)| *other != sandbox) {
            let taken = ports.iter().find(|port| lease.ports.iter().any(|theirs| theirs.meets(port)));
            if let Some(port) = taken {
                return Err(NetError::Invalid(format!(
                    "host port {} of pod {pod} belongs to pod {} (sandbox {other})",
                    port.host_port, lease.pod
                )));
            }
        }
        let addresses = match self.page.leases.get(sandbox) {
            Some(lease) if self.all_in_ranges(&lease.addresses) => lease.addresses.clone(),
            _ => self.pick()?,
        };
        let lease = Lease { pod, addresses, ports };
        if self.page.leases.get(sandbox) != Some(&lease) {
            self.page.last.clone_from(&lease.addresses);
            self.page.leases.insert(sandbox.to_owned(), lease.clone());
            self.save()?;
        }
        Ok(lease)
    }

    /// Frees what the sandbox has.
    pub(crate) fn free(&mut self, sandbox: &str) -> Result<Option<Lease>, NetError> {
        let freed = self.page.leases.remove(sandbox);
        if freed.is_some() {
            self.save()?;
        }
        Ok(freed)
    }

    fn all_in_ranges(&self, addresses: &[IpAddr]) -> bool {
        addresses.len() == self.ranges.len()
            && self.ranges.iter().zip(addresses).all(|(range, address)| range.contains(address))
    }

    fn pick(&self) -> Result<Vec<IpAddr>, NetError> {
        self.ranges.iter().map(|range| self.pick_in(*range)).collect()
    }

    fn pick_in(&self, range: IpNet) -> Result<IpAddr, NetError> {
        let size = size(range);
        let used =
            |address: IpAddr| self.page.leases.values().any(|lease| lease.addresses.contains(&address));
        let last =
            self.page.last.iter().find(|last| range.contains(*last)).map_or(1, |last| offset(range, *last));
        // The first is the network's, the second the gateway's, IPv4's last the broadcast's.
        let first_usable = 2;
        let usable = if range.addr().is_ipv4() { size.saturating_sub(3) } else { size.saturating_sub(2) };
        for step in 1..=usable.min(SEARCH_LIMIT) {
            let place = first_usable + (last.saturating_sub(1) + step - 1) % usable;
            let address = nth(range, place);
            if !used(address) {
                return Ok(address);
            }
        }
        Err(NetError::Exhausted(format!(
            "all {usable} addresses of {range} are taken: remove pods or give the node a larger range"
        )))
    }

    fn save(&self) -> Result<(), NetError> {
        let failed = || NetError::io(format!("address ledger {}", self.path.display()));
        let bytes = serde_json::to_vec(&self.page).expect("maps of strings are JSON");
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(failed())?;
        }
        let next = self.path.with_extension("next");
        std::fs::write(&next, bytes).map_err(failed())?;
        std::fs::rename(&next, &self.path).map_err(failed())
    }
}

/// The gateway of a range: its second address.
pub(crate) fn gateway(range: IpNet) -> IpAddr {
    nth(range, 1)
}

fn size(range: IpNet) -> u128 {
    let bits = range.max_prefix_len() - range.prefix_len();
    1_u128.checked_shl(u32::from(bits)).unwrap_or(u128::MAX)
}

fn nth(range: IpNet, place: u128) -> IpAddr {
    match range.network() {
        IpAddr::V4(first) => {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            IpAddr::V4(first.to_bits().wrapping_add(place).into())
        }
        IpAddr::V6(first) => IpAddr::V6(first.to_bits().wrapping_add(place).into()),
    }
}

fn offset(range: IpNet, address: IpAddr) -> u128 {
    match (range.network(), address) {
        (IpAddr::V4(first), IpAddr::V4(address)) => {
            u128::from(address.to_bits().wrapping_sub(first.to_bits()))
        }
        (IpAddr::V6(first), IpAddr::V6(address)) => address.to_bits().wrapping_sub(first.to_bits()),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(folder: &Path, ranges: &[&str], boot: &str) -> Ledger {
        let ranges: Vec<IpNet> = ranges.iter().map(|range| range.parse().unwrap()).collect();
        Ledger::open(&folder.join("addresses.json"), &ranges, boot).unwrap()
    }

    fn take(ledger: &mut Ledger, sandbox: &str) -> Vec<String> {
        let lease = ledger.take(sandbox, format!("default/{sandbox}"), Vec::new()).unwrap();
        lease.addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_are_given_once_kept_over_a_crash_and_rest_before_reuse() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = ledger(folder.path(), &["10.1.2.0/29", "fd00::/64"], "boot");
        assert_eq!(take(&mut first, "a"), ["10.1.2.2", "fd00::2"]);
        assert_eq!(take(&mut first, "b"), ["10.1.2.3", "fd00::3"]);
        assert_eq!(take(&mut first, "a"), ["10.1.2.2", "fd00::2"], "asking twice gives the same");
        drop(first);
        let mut again = ledger(folder.path(), &["10.1.2.0/29", "fd00::/64"], "boot");
        again.free("a").unwrap();
        assert_eq!(take(&mut again, "c"), ["10.1.2.4", "fd00::4"], "a freed one rests");
        assert_eq!(take(&mut again, "d")[0], "10.1.2.5");
        assert_eq!(take(&mut again, "e")[0], "10.1.2.6");
        assert_eq!(take(&mut again, "f")[0], "10.1.2.2", "then it comes back");
        let full = again.take("g", "default/g".to_owned(), Vec::new()).unwrap_err();
        assert!(matches!(&full, NetError::Exhausted(text) if text.contains("all 5 addresses")), "{full}");
    }

    #[test]
    fn a_reboot_and_a_broken_file_start_empty() {
        let folder = tempfile::tempdir().unwrap();
        let mut before = ledger(folder.path(), &["10.1.2.0/24"], "one");
        take(&mut before, "a");
        assert!(ledger(folder.path(), &["10.1.2.0/24"], "two").leases().is_empty());
        std::fs::write(folder.path().join("addresses.json"), b"{").unwrap();
        assert!(ledger(folder.path(), &["10.1.2.0/24"], "one").leases().is_empty());
    }

    #[test]
    fn a_node_that_got_another_range_gives_new_addresses() {
        let folder = tempfile::tempdir().unwrap();
        take(&mut ledger(folder.path(), &["10.1.2.0/24"], "boot"), "a");
        let mut moved = ledger(folder.path(), &["10.9.9.0/24"], "boot");
        assert_eq!(take(&mut moved, "a"), ["10.9.9.2"]);
    }

    #[test]
    fn a_host_port_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path(), &["10.1.2.0/24"], "boot");
        let port = |host_ip: Option<&str>| {
            let host_ip = host_ip.map(|text| text.parse().unwrap());
            vec![Published { protocol: 6, host_ip, host_port: 80, container_port: 8080 }]
        };
        ledger.take("a", "default/a".to_owned(), port(Some("10.0.0.1"))).unwrap();
        ledger.take("b", "default/b".to_owned(), port(Some("10.0.0.2"))).unwrap();
        let refused = ledger.take("c", "default/c".to_owned(), port(None)).unwrap_err();
        assert!(
            refused.to_string().contains("host port 80 of pod default/c belongs to pod default/a"),
            "{refused}"
        );
    }
}
