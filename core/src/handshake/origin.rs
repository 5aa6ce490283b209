//! Which pages may talk to this server: the same answer for an upgrade and for HTTP (F40).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// The pages that may connect, as browsers write their origins (RFC 6454): `https://chat.example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every page; never in production.
    All,
    /// These, compared exactly.
    Listed(Vec<String>),
    /// Pages of this server itself: on loopback those of loopback, else those of the host the request
    /// names. For machines of developers, where nobody writes a list.
    Own {
        /// Whether the server listens on loopback only.
        loopback: bool,
    },
}

/// From which page a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page<'h> {
    /// From one that may not connect.
    Foreign,
    /// From one that may; its origin.
    Known(&'h str),
    /// From none: only browsers send an `Origin`, and they always do.
    None,
}

impl Origins {
    /// From which page a request comes that has these values of `Origin`, in order, and of `Host`.
    ///
    /// `null` (a sandboxed page, a file) is a page like any other and never on a list.
    pub fn page<'h>(
        &self,
        origins: impl IntoIterator<Item = &'h [u8]>,
        host: Option<&[u8]>,
    ) -> Page<'h> {
        let mut origins = origins.into_iter();
        let Some(origin) = origins.next() else { return Page::None };
        // A browser names one page; whoever names two wants to be taken for one of them.
        match core::str::from_utf8(origin.trim_ascii()) {
            Ok(origin) if origins.next().is_none() && self.has(origin, host) => Page::Known(origin),
            _ => Page::Foreign,
        }
    }

    fn has(&self, origin: &str, host: Option<&[u8]>) -> bool {
        origin != "null"
            && match self {
                Self::All => true,
                Self::Listed(listed) => listed.iter().any(|one| one == origin),
                Self::Own { loopback } => is_own(origin, host.filter(|_| !loopback)),
            }
    }
}

fn is_own(origin: &str, host: Option<&[u8]>) -> bool {
    let Some(authority) =
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
    else {
        return false;
    };
    // A name that a stranger's DNS points at loopback is no loopback name.
    is_loopback(authority) || host == Some(authority.as_bytes())
}

fn is_loopback(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_name =
        |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    port.is_none_or(is_port)
        && (host == "localhost"
            || (host.ends_with(".localhost") && is_name(host))
            || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &Origins, origin: &str, host: &str) -> bool {
        match origins.page([origin.as_bytes()], Some(host.as_bytes())) {
            Page::Known(known) => known == origin,
            Page::Foreign => false,
            Page::None => panic!("it names a page"),
        }
    }

    #[test]
    fn on_loopback_only_pages_of_loopback_may_connect() {
        let own = Origins::Own { loopback: true };
        for origin in [
            "http://localhost:3000",
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
            "http://[::1]",
            "https://my-app.localhost:3000",
        ] {
            assert!(allowed(&own, origin, "127.0.0.1:8000"), "{origin}");
        }
        for origin in [
            "http://evil.example:8000",
            "http://localhost.evil.example",
            "http://127.0.0.1.evil.example",
            "null",
            "file://",
            "localhost:3000",
            "http://localhost.",
            "http://LOCALHOST",
            "http://localhost:",
            "http://localhost:+80",
            "http://localhost:80:80",
            "http://localhost:3000/",
            "http://localhost@evil.example",
            "http://evil.example@localhost",
            "http://evil.example/.localhost",
            "http://evil.example#.localhost",
            "http://127.0.0.1.",
            "http://128.0.0.1",
            "http://[::1",
            "http://[::2]",
            "http://0.0.0.0",
        ] {
            assert!(!allowed(&own, origin, "evil.example:8000"), "{origin}");
        }
    }

    #[test]
    fn on_a_network_pages_of_the_same_host_may_connect() {
        let own = Origins::Own { loopback: false };
        assert!(allowed(&own, "http://box.lan:8000", "box.lan:8000"));
        assert!(!allowed(&own, "http://box.lan:9000", "box.lan:8000"));
        assert!(!allowed(&own, "http://box.lan", "box.lan:8000"));
        assert!(!allowed(&own, "http://evil.example", "box.lan:8000"));
    }

    #[test]
    fn a_list_is_compared_exactly() {
        let listed = Origins::Listed(alloc::vec!["https://chat.example".into()]);
        assert!(allowed(&listed, "https://chat.example", "api.example"));
        assert!(!allowed(&listed, "http://chat.example", "api.example"));
        assert!(!allowed(&listed, "https://chat.example.evil.example", "api.example"));
    }

    #[test]
    fn who_names_no_page_is_no_browser_and_who_names_two_is_none_of_them() {
        let page = b"https://chat.example".as_slice();
        let listed = Origins::Listed(alloc::vec!["https://chat.example".into(), "null".into()]);
        for origins in [&listed, &Origins::All] {
            assert_eq!(origins.page([], None), Page::None);
            assert_eq!(origins.page([page], None), Page::Known("https://chat.example"));
            assert_eq!(origins.page([page, page], None), Page::Foreign);
            assert_eq!(origins.page([b"null".as_slice()], None), Page::Foreign);
            assert_eq!(origins.page([b"https://\xff".as_slice()], None), Page::Foreign);
        }
    }
}
