//! Whose request it is when proxies stand between: an address is believed as far as those who wrote it
//! are.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

/// Proxies looked past at most; more stand in no chain that is meant.
const HOPS: usize = 32;
/// Bits of an IPv6 address that belong to one customer: who has one address has 2⁶⁴.
const SENDER_BITS: u32 = 64;

/// Addresses that begin with the same bits: `10.0.0.0/8`, `2001:db8::/32`, or one address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

/// What is wrong with the text of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadNetwork {
    /// No address before the slash.
    Address,
    /// The address says more than the number of bits keeps: `10.1.0.0/8`.
    HostBits,
    /// No number of bits that such an address has.
    Length,
}

impl fmt::Display for BadNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "is no address or network like 10.0.0.0/8",
            Self::HostBits => "has bits set beyond its length",
            Self::Length => "has a length such an address does not have",
        })
    }
}

impl Network {
    /// Whether the address is one of them; `::ffff:10.0.0.1` is `10.0.0.1`.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4()
            && prefix(address, self.bits) == prefix(self.base, self.bits)
    }

    /// Whether it is more than one owner has: over a 256th of all IPv4 addresses, or the same part of
    /// what is given out of IPv6.
    #[must_use]
    pub const fn is_broad(&self) -> bool {
        self.bits < if self.base.is_ipv4() { 8 } else { 16 }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, length) = match text.trim().split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text.trim(), None),
        };
        let base: IpAddr = address.parse().map_err(|_| BadNetwork::Address)?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match length {
            Some(length) => length.parse().map_err(|_| BadNetwork::Length)?,
            None => most,
        };
        if bits > most {
            return Err(BadNetwork::Length);
        }
        if prefix(base, bits) != prefix(base, most) {
            return Err(BadNetwork::HostBits);
        }
        Ok(Self { base, bits })
    }
}

/// The first bits of an address, at the top of the number.
fn prefix(address: IpAddr, bits: u32) -> u128 {
    let all = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    all & u128::MAX.checked_shl(128 - bits).unwrap_or(0)
}

/// Who counts as one: an IPv4 address, or the network of one customer for IPv6.
#[must_use]
pub fn sender(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(prefix(IpAddr::V6(v6), SENDER_BITS))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The header in which the proxies of an installation write whom they speak for. Only one is read:
/// the other passes through them as the client wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ForwardedBy {
    /// `Forwarded: for=…` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For: client, proxy`.
    XForwardedFor,
}

impl ForwardedBy {
    const fn header(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::XForwardedFor => "x-forwarded-for",
        }
    }

    fn address(self, member: &str) -> Option<IpAddr> {
        match self {
            Self::Forwarded => member.split(';').find_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let is_for = name.trim().eq_ignore_ascii_case("for");
                is_for.then(|| address_of(value.trim().trim_matches('"')))?
            }),
            Self::XForwardedFor => address_of(member),
        }
    }
}

/// An address with or without port, IPv6 with or without brackets.
fn address_of(text: &str) -> Option<IpAddr> {
    let alone = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    alone.or_else(with_port).or_else(in_brackets).map(|address| address.to_canonical())
}

/// From whom a request comes: the peer, unless that is a trusted proxy; then the right-most address of
/// the header that is none. Each proxy adds the address it saw on the right, so everything up to there
/// was written by somebody who is trusted, and nothing left of it.
//= specs/safety.md#safe-40
//# An address in a header MUST NOT be believed unless every proxy that wrote it is trusted.
#[must_use]
pub fn client_address<'h>(
    peer: IpAddr,
    limits: &super::EdgeLimits,
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
) -> IpAddr {
    let trusted = |address| limits.trusted_proxies.iter().any(|one| one.contains(address));
    let mut nearest = peer.to_canonical();
    if !trusted(nearest) {
        return nearest;
    }
    let header = limits.forwarded_by;
    let values: Vec<&[u8]> = headers
        .filter(|(name, _)| name.eq_ignore_ascii_case(header.header()))
        .map(|(_, value)| value)
        .collect();
    let members = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
    for member in members.take(HOPS) {
        let text = core::str::from_utf8(member).unwrap_or_default().trim();
        // What cannot be read was not written by a proxy of ours for us: the last one we know speaks.
        let Some(address) = header.address(text) else { break };
        nearest = address;
        if !trusted(nearest) {
            break;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::super::EdgeLimits;
    use super::*;
    use alloc::format;
    use alloc::string::String;
    use proptest::prelude::*;

    fn behind(proxies: &[&str], forwarded_by: ForwardedBy) -> EdgeLimits {
        let trusted_proxies = proxies.iter().map(|text| text.parse().unwrap()).collect();
        EdgeLimits { trusted_proxies, forwarded_by, ..EdgeLimits::default() }
    }

    fn seen(peer: &str, limits: &EdgeLimits, headers: &[(&str, &str)]) -> String {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        format!("{}", client_address(peer.parse().unwrap(), limits, headers))
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_of_ours_is_the_client() {
        let limits = behind(&["10.0.0.0/8", "::1"], ForwardedBy::XForwardedFor);
        let cases = [
            ("10.0.0.1", "192.0.2.7", "192.0.2.7"),
            ("10.0.0.1", "203.0.113.9, 192.0.2.7", "192.0.2.7"),
            ("10.0.0.1", "203.0.113.9, 192.0.2.7, 10.2.2.2", "192.0.2.7"),
            ("::ffff:10.0.0.1", "192.0.2.7", "192.0.2.7"),
            ("::1", "[2001:db8::7]:4711", "2001:db8::7"),
            ("10.0.0.1", "192.0.2.7:80", "192.0.2.7"),
            ("10.0.0.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "192.0.2.7, unknown", "10.0.0.1"),
            ("10.0.0.1", "192.0.2.7, nonsense, 10.2.2.2", "10.2.2.2"),
            ("192.0.2.99", "203.0.113.9", "192.0.2.99"),
            ("192.0.2.99", "10.0.0.1", "192.0.2.99"),
        ];
        for (peer, value, expected) in cases {
            let heard = seen(peer, &limits, &[("X-Forwarded-For", value)]);
            assert_eq!(heard, expected, "{peer} says {value:?}");
        }
    }

    #[test]
    fn only_the_header_the_proxies_write_is_read_and_its_repetitions_are_one_list() {
        let x = behind(&["10.0.0.1"], ForwardedBy::XForwardedFor);
        let forged = [("Forwarded", "for=203.0.113.9"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(seen("10.0.0.1", &x, &forged), "192.0.2.7");
        assert_eq!(seen("10.0.0.1", &x, &forged[..1]), "10.0.0.1");
        let twice = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "192.0.2.7")];
        assert_eq!(seen("10.0.0.1", &x, &twice), "192.0.2.7");
        let rfc = behind(&["10.0.0.1"], ForwardedBy::Forwarded);
        for value in [
            "for=192.0.2.7",
            "For=\"192.0.2.7:4711\"; proto=http",
            "for=203.0.113.9, proto=https;for=192.0.2.7;by=10.0.0.1",
        ] {
            assert_eq!(seen("10.0.0.1", &rfc, &[("Forwarded", value)]), "192.0.2.7", "{value}");
        }
        let six = "for=\"[2001:db8::7]:4711\"";
        assert_eq!(seen("10.0.0.1", &rfc, &[("Forwarded", six)]), "2001:db8::7");
        for hidden in ["for=unknown", "for=_hidden", "by=192.0.2.7", "192.0.2.7"] {
            assert_eq!(seen("10.0.0.1", &rfc, &[("Forwarded", hidden)]), "10.0.0.1", "{hidden}");
        }
    }

    #[test]
    fn a_network_is_an_address_and_a_length_and_nothing_more() {
        let net = |text: &str| text.parse::<Network>();
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
        ] {
            let network = net(text).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{inside} is in {text}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside} is not in {text}");
        }
        for (text, broad) in
            [("0.0.0.0/0", true), ("128.0.0.0/1", true), ("10.0.0.0/8", false), ("::/0", true)]
        {
            assert_eq!(net(text).unwrap().is_broad(), broad, "{text}");
        }
        assert!(net("2000::/15").unwrap().is_broad() && !net("2001::/16").unwrap().is_broad());
        assert_eq!(net("10.1.0.0/8"), Err(BadNetwork::HostBits));
        assert_eq!(net("10.0.0.0/33"), Err(BadNetwork::Length));
        assert_eq!(net("10.0.0.0/"), Err(BadNetwork::Length));
        for bad in ["", "proxy", "10.0.0/8", "*", "10.0.0.1-10.0.0.9"] {
            assert_eq!(net(bad), Err(BadNetwork::Address), "{bad}");
        }
    }

    #[test]
    fn an_operator_reads_what_is_wrong_with_a_network() {
        for (text, words) in [
            ("proxy", "is no address or network like 10.0.0.0/8"),
            ("10.1.0.0/8", "has bits set beyond its length"),
            ("10.0.0.0/33", "has a length such an address does not have"),
        ] {
            assert_eq!(format!("{}", text.parse::<Network>().unwrap_err()), words, "{text}");
        }
    }

    #[test]
    fn an_ipv6_customer_counts_as_one_sender() {
        let of = |text: &str| format!("{}", sender(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        //= specs/safety.md#safe-40
        //= type=test
        //# An address in a header MUST NOT be believed unless every proxy that wrote it is trusted.
        #[test]
        fn whatever_a_client_writes_it_is_seen_at_its_own_address(
            forged in "[ -~]{0,80}",
            client in any::<u32>(),
            hops in 0usize..4,
            by_rfc in any::<bool>(),
        ) {
            let client = IpAddr::from(client.to_be_bytes());
            let forwarded_by =
                if by_rfc { ForwardedBy::Forwarded } else { ForwardedBy::XForwardedFor };
            let limits = behind(&["fd00::/8"], forwarded_by);
            let write = |address: &str| if by_rfc { format!("for=\"{address}\"") } else { address.into() };
            // Each proxy writes whom it saw, right of what was there.
            let mut value = forged.clone();
            let mut peer = format!("{client}");
            for hop in 0..=hops {
                let saw = if peer.contains(':') { format!("[{peer}]") } else { peer };
                value = format!("{value}, {}", write(&saw));
                peer = format!("fd00::{hop}");
            }
            let headers = [(forwarded_by.header(), value.as_bytes())];
            let proxy = peer.parse().unwrap();
            prop_assert_eq!(client_address(proxy, &limits, headers.into_iter()), client);
            let alone = [(forwarded_by.header(), forged.as_bytes())];
            prop_assert_eq!(client_address(client, &limits, alone.into_iter()), client);
        }
    }
}
