//! Which addresses may be connected to: public ones, and those of the house that the configuration lists.
//!
//! Invariant: the address itself is judged, never a name; what a name stands for is asked once and the answer is what is
//! connected to. Link-local, multicast, unspecified and reserved addresses, and those that carry an IPv4 address inside an
//! IPv6 one, are never connected to, listed or not. Sources: the IANA special-purpose address registries (RFC 6890).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::Deserialize;

/// What an address is, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Anywhere on the internet.
    Public,
    /// This machine or this house: loopback, private, shared, unique local.
    Local,
    /// Nothing that a key set or a document could stand on.
    Never,
}

/// What an address is.
pub fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [127 | 10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Local,
        // "This network", link-local, protocol assignments, documentation, relays, benchmarks, multicast, reserved.
        [0, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [224..=255, ..] => Reach::Never,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff, ..] => Reach::Local,
        // Protocol assignments (Teredo among them), documentation, 6to4.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Never,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

/// A range of addresses: `10.1.0.0/16`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// What is not a range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a range of addresses such as 10.1.0.0/16 or fd00:12::/32")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let parsed = || {
            let (base, prefix) = match text.split_once('/') {
                Some((base, prefix)) => (base, Some(prefix)),
                None => (text, None),
            };
            let base: IpAddr = base.parse().ok()?;
            let widest = if base.is_ipv4() { 32 } else { 128 };
            let prefix = prefix.map_or(Some(widest), |prefix| prefix.parse().ok())?;
            (prefix <= widest).then_some(Network { base, prefix })
        };
        parsed().ok_or_else(|| NetworkError(text.to_owned()))
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Network, NetworkError> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl Network {
    /// True where the address lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (base, other, width) = match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(other)) => (base.to_bits().into(), other.to_bits().into(), 32_u32),
            (IpAddr::V6(base), IpAddr::V6(other)) => (base.to_bits(), other.to_bits(), 128),
            _ => return false,
        };
        let (base, other): (u128, u128) = (base, other);
        // A range of everything leaves no bit to compare.
        let free = width.saturating_sub(u32::from(self.prefix));
        base.checked_shr(free).unwrap_or_default() == other.checked_shr(free).unwrap_or_default()
    }
}

/// True where `address` may be connected to, `listed` being the ranges of the house that may be.
pub fn may_be_reached(address: IpAddr, listed: &[Network]) -> bool {
    match reach(address) {
        Reach::Public => true,
        Reach::Local => listed.iter().any(|network| network.contains(address)),
        Reach::Never => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn may(address: &str, listed: &[&str]) -> bool {
        let listed: Vec<Network> = listed.iter().map(|text| text.parse().unwrap()).collect();
        may_be_reached(address.parse().unwrap(), &listed)
    }

    #[test]
    fn public_addresses_may_be_reached() {
        for address in
            ["1.1.1.1", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "2a00:1450::1"]
        {
            assert!(may(address, &[]), "{address}");
        }
    }

    #[test]
    fn addresses_of_the_house_only_where_they_are_listed() {
        for (address, range) in [
            ("127.0.0.1", "127.0.0.1"),
            ("10.1.2.3", "10.1.0.0/16"),
            ("192.168.9.9", "192.168.0.0/16"),
            ("172.31.0.1", "172.16.0.0/12"),
            ("100.64.0.1", "0.0.0.0/0"),
            ("::1", "::1/128"),
            ("fd00:12::7", "fd00:12::/32"),
        ] {
            assert!(!may(address, &[]), "{address}");
            assert!(!may(address, &["10.2.0.0/16", "fd00:13::/32"]), "{address}");
            assert!(may(address, &["10.2.0.0/16", range]), "{address} in {range}");
        }
    }

    #[test]
    fn metadata_services_and_disguises_never() {
        let everything = ["0.0.0.0/0", "::/0"];
        for address in [
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:1::1",
            "2001:db8::1",
        ] {
            assert!(!may(address, &everything), "{address}");
        }
    }

    #[test]
    fn ranges_are_read_strictly() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "ten/8", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_range_holds_what_shares_its_first_bits(base: u32, other: u32, prefix in 0_u8..=32) {
            let network: Network = format!("{}/{prefix}", Ipv4Addr::from(base)).parse().unwrap();
            let shared = (base ^ other).leading_zeros() >= u32::from(prefix);
            prop_assert_eq!(network.contains(IpAddr::V4(Ipv4Addr::from(other))), shared);
        }
    }
}
