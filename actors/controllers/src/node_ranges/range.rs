//! [`ClusterRange`]: a range of addresses that is cut into equal ranges for nodes.

use core::net::IpAddr;
use std::collections::BTreeSet;

use thiserror::Error;

/// Most ranges that are looked through for a free one, as upstream's largest difference of masks (16 bits).
const DIFFERENCE_LIMIT: u8 = 16;

/// Why a range cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RangeError {
    /// No range at all.
    #[error("cluster range {0:?} is no CIDR such as 10.244.0.0/16: mend the cluster's configuration")]
    Malformed(String),
    /// The nodes' ranges do not fit in it, or are too many.
    #[error("nodes' mask /{node} does not fit cluster range {range}: it must be longer, by at most 16 bits")]
    Mask {
        /// The cluster's range.
        range: String,
        /// The nodes' prefix length.
        node: u8,
    },
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterRange {
    /// The first address as a number.
    base: u128,
    /// Length of the cluster's prefix.
    prefix: u8,
    /// Length of a node's prefix.
    node_prefix: u8,
    /// Bits of an address.
    bits: u8,
}

fn number(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)), 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    }
}

/// First address, prefix length and bits of a CIDR.
fn parse(text: &str) -> Option<(u128, u8, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let (number, bits) = number(address.parse().ok()?);
    let prefix = prefix.parse::<u8>().ok().filter(|prefix| *prefix <= bits)?;
    let host = bits - prefix;
    let base = if host == 128 { 0 } else { number >> host << host };
    Some((base, prefix, bits))
}

impl ClusterRange {
    /// Cuts `range` (such as `10.244.0.0/16`) into ranges of prefix length `node_prefix`.
    ///
    /// # Errors
    /// [`RangeError`] when it is no range or cannot be cut so.
    pub fn new(range: &str, node_prefix: u8) -> Result<Self, RangeError> {
        let (base, prefix, bits) = parse(range).ok_or_else(|| RangeError::Malformed(range.to_owned()))?;
        let fits = node_prefix >= prefix && node_prefix <= bits && node_prefix - prefix <= DIFFERENCE_LIMIT;
        if !fits {
            return Err(RangeError::Mask { range: range.to_owned(), node: node_prefix });
        }
        Ok(Self { base, prefix, node_prefix, bits })
    }

    /// The places of a node's range in this one; none for a range outside.
    pub(super) fn places(&self, range: &str) -> Option<std::ops::RangeInclusive<u32>> {
        let (base, prefix, bits) = parse(range).filter(|(.., bits)| *bits == self.bits)?;
        let last = base + (host_mask(bits - prefix));
        let end = self.base + host_mask(self.bits - self.prefix);
        if last < self.base || base > end {
            return None;
        }
        let place = |address: u128| {
            let step = u32::from(self.bits - self.node_prefix);
            let place = if step == 128 { 0 } else { (address.clamp(self.base, end) - self.base) >> step };
            u32::try_from(place).expect("at most 2^16 places")
        };
        Some(place(base)..=place(last))
    }

    /// The lowest free range, and its place.
    pub(super) fn free(&self, taken: &BTreeSet<u32>) -> Option<(String, u32)> {
        let count = 1_u32 << (self.node_prefix - self.prefix);
        let place = (0..count).find(|place| !taken.contains(place))?;
        let step = u32::from(self.bits - self.node_prefix);
        let offset = u128::from(place).checked_shl(step).unwrap_or(0);
        let address = self.base + offset;
        let address = if self.bits == 32 {
            IpAddr::from(u32::try_from(address).expect("32 bits").to_be_bytes())
        } else {
            IpAddr::from(address.to_be_bytes())
        };
        Some((format!("{address}/{}", self.node_prefix), place))
    }
}

/// A number of as many ones.
fn host_mask(bits: u8) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_range_is_given() {
        let range = ClusterRange::new("10.244.0.0/16", 24).unwrap();
        assert_eq!(range.free(&BTreeSet::new()), Some(("10.244.0.0/24".into(), 0)));
        assert_eq!(range.free(&BTreeSet::from([0, 1, 3])), Some(("10.244.2.0/24".into(), 2)));
        assert_eq!(range.free(&(0..256).collect()), None);
        let six = ClusterRange::new("fd00:1::/48", 64).unwrap();
        assert_eq!(six.free(&BTreeSet::from([0])), Some(("fd00:1:0:1::/64".into(), 1)));
    }

    #[test]
    fn places_of_larger_smaller_and_strange_ranges() {
        let range = ClusterRange::new("10.244.0.0/16", 24).unwrap();
        assert_eq!(range.places("10.244.3.0/24"), Some(3..=3));
        assert_eq!(range.places("10.244.3.128/25"), Some(3..=3));
        assert_eq!(range.places("10.244.2.0/23"), Some(2..=3));
        assert_eq!(range.places("10.0.0.0/8"), Some(0..=255));
        assert_eq!(range.places("10.245.0.0/24"), None);
        assert_eq!(range.places("fd00::/64"), None);
    }

    #[test]
    fn ranges_that_cannot_be_cut_are_refused() {
        assert!(matches!(ClusterRange::new("x", 24), Err(RangeError::Malformed(_))));
        assert!(matches!(ClusterRange::new("10.0.0.0/24", 16), Err(RangeError::Mask { .. })));
        assert!(matches!(ClusterRange::new("10.0.0.0/8", 25), Err(RangeError::Mask { .. })));
        assert!(ClusterRange::new("0.0.0.0/0", 16).is_ok());
    }
}
