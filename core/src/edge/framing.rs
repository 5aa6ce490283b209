//! Whether a request says one thing to everybody who reads it: to us, and to every proxy on its way.

use core::fmt;

/// Why a request is not read any further; the connection it came on can be trusted no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ambiguous {
    /// `Host` is there and names none.
    HostInvalid,
    /// `Host` is not there.
    HostMissing,
    /// `Host` is there more than once.
    HostTwice,
    /// The body has a length and a transfer coding, which each say where it ends.
    LengthAndCoding,
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostInvalid => "Host is not the name of a host",
            Self::HostMissing => "Host is missing",
            Self::HostTwice => "Host is there more than once",
            Self::LengthAndCoding => "a body has Content-Length or Transfer-Encoding, not both",
        })
    }
}

/// Judges the headers of a request (RFC 9112 sections 3.2 and 6.1); names in any case. `HTTP/1.0` knows
/// no `Host`. A library that reads the headers before us may have resolved a length beside a coding
/// already; then it is its task to end the connection.
///
/// # Errors
/// Why it must be answered with 400, and its connection closed.
//= specs/safety.md#safe-82
//# A request of HTTP/1.1 without `Host`, any with two of them or with one that names no host, and one
//# with a length beside a transfer coding MUST be refused, and its connection closed.
pub fn unambiguous<'h>(
    is_http_1_0: bool,
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
) -> Result<(), Ambiguous> {
    let (mut hosts, mut valid, mut length, mut coding) = (0, true, false, false);
    for (name, value) in headers {
        if name.eq_ignore_ascii_case("host") {
            hosts += 1;
            valid &= is_host(value.trim_ascii());
        }
        length |= name.eq_ignore_ascii_case("content-length");
        coding |= name.eq_ignore_ascii_case("transfer-encoding");
    }
    match hosts {
        _ if length && coding => Err(Ambiguous::LengthAndCoding),
        0 if !is_http_1_0 => Err(Ambiguous::HostMissing),
        0 | 1 if valid => Ok(()),
        0 | 1 => Err(Ambiguous::HostInvalid),
        _ => Err(Ambiguous::HostTwice),
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 section 7.2) as far as its characters go. Nothing is a host, too:
/// that is what a request without an authority says.
fn is_host(value: &[u8]) -> bool {
    let split = value.iter().rposition(|byte| *byte == b':');
    let (host, port) = match (value.first(), split) {
        // The colons inside the brackets of an IPv6 address are its own.
        (Some(b'['), _) => match value.iter().position(|byte| *byte == b']') {
            Some(end) => value.split_at(end + 1),
            None => return false,
        },
        (_, Some(at)) => value.split_at(at),
        (_, None) => (value, &b""[..]),
    };
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let of_address = |byte: &u8| byte.is_ascii_hexdigit() || b":.".contains(byte);
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(byte);
    let host_fits = match host {
        [b'[', address @ .., b']'] => !address.is_empty() && address.iter().all(of_address),
        name => name.iter().all(of_name),
    };
    host_fits && port_fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::prelude::*;

    fn judge(is_http_1_0: bool, headers: &[(&str, &str)]) -> Result<(), Ambiguous> {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        unambiguous(is_http_1_0, headers)
    }

    //= specs/safety.md#safe-82
    //= type=test
    //# A request of HTTP/1.1 without `Host`, any with two of them or with one that names no host, and one
    //# with a length beside a transfer coding MUST be refused, and its connection closed.
    #[test]
    fn a_request_that_could_be_read_in_two_ways_is_told_from_one_that_cannot() {
        use Ambiguous::{HostInvalid, HostMissing, HostTwice, LengthAndCoding};
        let (length, coding) = (("Content-Length", "5"), ("Transfer-Encoding", "chunked"));
        let host = ("Host", "chat.example");
        for (headers, expected) in [
            (&[host][..], Ok(())),
            (&[], Err(HostMissing)),
            (&[("X-Host", "a")], Err(HostMissing)),
            (&[host, host], Err(HostTwice)),
            (&[host, ("hOST", "evil.example")], Err(HostTwice)),
            (&[host, length], Ok(())),
            (&[coding, host], Ok(())),
            (&[host, length, coding], Err(LengthAndCoding)),
            (&[coding, host, length], Err(LengthAndCoding)),
            (&[("TRANSFER-ENCODING", "identity"), ("content-length", "x")], Err(LengthAndCoding)),
        ] {
            assert_eq!(judge(false, headers), expected, "{headers:?}");
            let older = if expected == Err(HostMissing) { Ok(()) } else { expected };
            assert_eq!(judge(true, headers), older, "{headers:?}");
        }
        for good in [
            "",
            "x",
            "127.0.0.1:8000",
            "[::1]",
            "[::1]:8000",
            "my_service:80",
            "chat.example.",
            "a:",
            "localhost:65535",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(judge(false, &[("Host", good)]), Ok(()), "{good}");
        }
        for bad in [
            "a b", "a, b", "a,b", "a/b", "user@a", "a?b", "a#b", "a\\b", "http://a", "a:b",
            "a:1:2", "::1", "[::1", "[]", "[::1]x", "[g]", "a:123456", "a\tb", "\u{e4}", "a\"",
            "<a>",
        ] {
            assert_eq!(judge(false, &[("Host", bad)]), Err(HostInvalid), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        #[test]
        fn whatever_is_said_a_host_that_passes_has_nothing_that_ends_one(value: std::vec::Vec<u8>) {
            if unambiguous(false, [("host", &value[..])].into_iter()).is_ok() {
                let ends = |byte: &u8| b"/\\@?#, \t\r\n\0\"<>".contains(byte) || !byte.is_ascii();
                prop_assert!(!value.trim_ascii().iter().any(ends));
            }
        }
    }

    #[test]
    fn each_reason_is_said() {
        use Ambiguous::{HostInvalid, HostMissing, HostTwice, LengthAndCoding};
        let said =
            [HostInvalid, HostMissing, HostTwice, LengthAndCoding].map(|why| format!("{why}"));
        assert!(said.iter().all(|why| why.contains("Host") || why.contains("Content-Length")));
        assert!((1..said.len()).all(|n| !said[..n].contains(&said[n])), "{said:?}");
    }
}
