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
        let origin = headers.get(ORIGIN)?.to_str().ok()?.trim();
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
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    port.bytes().all(|byte| byte.is_ascii_digit())
        && (host == "localhost"
            || host.ends_with(".localhost")
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
        ] {
            assert!(!allowed(&own, origin, "evil.example:8000"), "{origin}");
        }
    }

    #[test]
    fn on_a_network_pages_of_the_same_host_may_connect() {
        let own = Origins::Own { loopback: false };
        assert!(allowed(&own, "http://box.lan:8000", "box.lan:8000"));
        assert!(!allowed(&own, "http://box.lan:9000", "box.lan:8000"));
    }

    #[test]
    fn a_list_is_compared_exactly() {
        let listed = Origins::Listed(vec!["https://chat.example".into()]);
        assert!(allowed(&listed, "https://chat.example", "api.example"));
        assert!(!allowed(&listed, "http://chat.example", "api.example"));
        assert!(!allowed(&listed, "https://chat.example.evil.example", "api.example"));
    }
}
