//! Which pages may talk to this server (F40).

use http::HeaderMap;
use http::header::{HOST, ORIGIN};
use std::net::IpAddr;

/// The pages that may connect.
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

impl Origins {
    /// The origin of the request if its page may connect; `None` too when the request names none.
    pub(crate) fn allowed<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let mut named = headers.get_all(ORIGIN).iter();
        let origin = named.next()?.to_str().ok()?.trim();
        // A browser names one page; whoever names two wants to be taken for one of them.
        if named.next().is_some() {
            return None;
        }
        let allowed = match self {
            Self::All => origin != "null",
            Self::Listed(listed) => listed.iter().any(|one| one == origin),
            Self::Own { loopback } => {
                let host = headers.get(HOST).and_then(|host| host.to_str().ok());
                is_own(origin, host, *loopback)
            }
        };
        allowed.then_some(origin)
    }
}

fn is_own(origin: &str, host: Option<&str>, loopback: bool) -> bool {
    let Some(authority) =
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
    else {
        return false;
    };
    // A name that a stranger's DNS points at loopback is no loopback name.
    is_loopback(authority) || (!loopback && host == Some(authority))
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
    use http::HeaderValue;

    fn allowed(origins: &Origins, origin: &str, host: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        origins.allowed(&headers).is_some()
    }

    #[test]
    fn on_loopback_only_pages_of_loopback_may_connect() {
        let own = Origins::Own { loopback: true };
        for origin in
            ["http://localhost:3000", "http://127.0.0.1:8000", "http://[::1]:8000", "http://[::1]"]
        {
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
        let listed = Origins::Listed(vec!["https://chat.example".into()]);
        assert!(allowed(&listed, "https://chat.example", "api.example"));
        assert!(!allowed(&listed, "http://chat.example", "api.example"));
        assert!(!allowed(&listed, "https://chat.example.evil.example", "api.example"));
    }
}
