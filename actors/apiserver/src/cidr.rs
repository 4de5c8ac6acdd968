//! [`Cidr`]: a range of addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A range such as `10.96.0.0/12`. The first address and, for IPv4, the last are not given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    prefix: u8,
}

impl Cidr {
    fn host_bits(self) -> u32 {
        let bits: u32 = if self.base.is_ipv4() { 32 } else { 128 };
        bits - u32::from(self.prefix)
    }

    /// IPv4 as opposed to IPv6.
    pub fn is_ipv4(self) -> bool {
        self.base.is_ipv4()
    }

    /// Whether the address lies inside and can be given away.
    pub fn contains(self, address: IpAddr) -> bool {
        if self.base.is_ipv4() != address.is_ipv4() {
            return false;
        }
        let offset = number(address).wrapping_sub(number(self.base));
        offset > 0 && self.last_offset().is_none_or(|last| offset <= last)
    }

    /// The address `offset` behind the base.
    pub fn at(self, offset: u128) -> Option<IpAddr> {
        self.last_offset().is_none_or(|last| offset <= last).then(|| {
            let at = number(self.base) + offset;
            match self.base {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(at).unwrap_or(u32::MAX))),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(at)),
            }
        })
    }

    /// An address chosen by a random number; the first ones of a range are left for those who ask for them by name.
    pub fn draw(self, random: u64) -> Option<IpAddr> {
        let last = self.last_offset().unwrap_or(u128::from(u64::MAX));
        if last == 0 {
            return None;
        }
        // Upstream keeps a lower band for addresses asked for: between 16 and 256 of them, a sixteenth of the range.
        let band = (last / 16).clamp(16, 256);
        let first = if last > 2 * band { band } else { 1 };
        self.at(first + u128::from(random) % (last - first + 1))
    }

    /// The last offset that is given away; `None` for a range without an end that counts.
    fn last_offset(self) -> Option<u128> {
        let bits = self.host_bits();
        if bits >= 100 {
            return None;
        }
        let size = 1u128 << bits;
        Some(size.saturating_sub(if self.base.is_ipv4() { 2 } else { 1 }))
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

impl FromStr for Cidr {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no address range; write one such as 10.96.0.0/12");
        let (base, prefix) = text.split_once('/').ok_or_else(bad)?;
        let base: IpAddr = base.parse().map_err(|_| bad())?;
        let prefix: u8 = prefix.parse().map_err(|_| bad())?;
        let limit = if base.is_ipv4() { 32 } else { 128 };
        if prefix > limit {
            return Err(bad());
        }
        let cidr = Self { base, prefix };
        let mask = 1u128.checked_shl(cidr.host_bits()).map_or(u128::MAX, |size| size - 1);
        let first = number(base) & !mask;
        let base = match base {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(first).map_err(|_| bad())?)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(first)),
        };
        Ok(Self { base, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let cidr: Cidr = "10.96.0.5/12".parse().unwrap();
        assert_eq!(cidr.to_string(), "10.96.0.0/12");
        assert_eq!(cidr.at(1).unwrap().to_string(), "10.96.0.1");
        assert!(cidr.contains("10.111.255.254".parse().unwrap()));
        for outside in ["10.96.0.0", "10.111.255.255", "10.112.0.1", "::1"] {
            assert!(!cidr.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!((0..1000).all(|n| cidr.contains(cidr.draw(n * 7919).unwrap())));
        assert!("10.96.0.0".parse::<Cidr>().is_err());
    }
}
