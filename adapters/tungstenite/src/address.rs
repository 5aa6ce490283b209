//! Where a server is.

use core::fmt;
use core::str::FromStr;
use hyper::Uri;

/// Host and port of a server, from any URL of it: `http://127.0.0.1:8000`, `ws://host/ws`, `host:8000`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// What to connect to, and what goes into the `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') && !self.host.starts_with('[') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The WebSocket endpoint.
    #[must_use]
    pub fn websocket(&self) -> String {
        format!("ws://{}/ws", self.authority())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

/// The text names no server this client can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadAddress {
    /// Not a URL with a host.
    NoHost,
    /// `https` or `wss`: put the client behind something that speaks TLS.
    NoTls,
    /// Another scheme than `http` and `ws`.
    Scheme,
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHost => "not the address of a server; expected http://host:port",
            Self::NoTls => "this client does not speak TLS; expected http://host:port",
            Self::Scheme => "only http:// and ws:// addresses are known",
        })
    }
}

impl std::error::Error for BadAddress {}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let text = text.trim();
        let with_scheme =
            if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = with_scheme.parse().map_err(|_| BadAddress::NoHost)?;
        match uri.scheme_str() {
            Some("http" | "ws") => {}
            Some("https" | "wss") => return Err(BadAddress::NoTls),
            Some(_) | None => return Err(BadAddress::Scheme),
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(BadAddress::NoHost)?;
        Ok(Self { host: host.to_owned(), port: uri.port_u16().unwrap_or(80) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_url_of_a_server_names_it() {
        for text in
            ["http://127.0.0.1:8000", "ws://127.0.0.1:8000/ws", "127.0.0.1:8000", "127.0.0.1:8000/"]
        {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), "http://127.0.0.1:8000", "{text}");
        }
        assert_eq!("http://example.org".parse::<Address>().unwrap().authority(), "example.org:80");
        assert_eq!("[::1]:9".parse::<Address>().unwrap().websocket(), "ws://[::1]:9/ws");
    }

    #[test]
    fn what_cannot_be_reached_says_why() {
        assert_eq!("https://example.org".parse::<Address>(), Err(BadAddress::NoTls));
        assert_eq!("ftp://example.org".parse::<Address>(), Err(BadAddress::Scheme));
        assert_eq!("".parse::<Address>(), Err(BadAddress::NoHost));
        assert_eq!("http://".parse::<Address>(), Err(BadAddress::NoHost));
    }
}
