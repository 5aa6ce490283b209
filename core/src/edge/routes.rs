//! Every address the server answers over HTTP, by whom it may be asked, and with which methods.

use crate::auth::AUDIT_READ;
use Who::{Anyone, Permitted, Prober, SignedIn, Socket};

/// An address and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Segments behind slashes; one in braces stands for any text: `{thread}` and `{run}` are ids, the
    /// others are names inside what such an id names.
    pub path: &'static str,
    /// As `Allow` lists them (RFC 9110 section 10.2.1).
    pub allow: &'static str,
    /// Who may ask.
    pub who: Who,
}

/// Who may ask at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Anybody; what is asked for is nobody's, or the body itself says who asks.
    Anyone,
    /// Users with this permission.
    Permitted(&'static str),
    /// Whoever watches over the server; nobody is asked who they are.
    Prober,
    /// Users, each about what is theirs.
    SignedIn,
    /// The handshake decides, about the method too.
    Socket,
}

const fn route(path: &'static str, allow: &'static str, who: Who) -> Route {
    Route { path, allow, who }
}

/// All of them but the files of the page. No address is in two rows.
//= specs/safety.md#safe-80
//# An address that is not in the table of addresses, which says who may ask, MUST NOT be reached.
pub const ROUTES: &[Route] = &[
    route("/.well-known/jwks.json", "GET", Anyone),
    route("/api/admin/audit", "GET", Permitted(AUDIT_READ)),
    route("/api/agents/cancel", "POST", SignedIn),
    route("/api/agents/data", "POST", SignedIn),
    route("/api/agents/execute", "POST", SignedIn),
    route("/api/agents/optimization", "POST", SignedIn),
    route("/api/agents/start", "POST", SignedIn),
    route("/api/agents/status", "GET", SignedIn),
    route("/api/agents/stop", "POST", SignedIn),
    route("/api/agents/triage", "POST", SignedIn),
    route("/api/auth/config", "GET", Anyone),
    route("/api/auth/demo", "POST", Anyone),
    route("/api/auth/login", "POST", Anyone),
    route("/api/auth/logout", "POST", SignedIn),
    route("/api/auth/logout-all", "POST", SignedIn),
    route("/api/auth/me", "GET, PATCH", SignedIn),
    route("/api/auth/oidc/callback", "GET", Anyone),
    route("/api/auth/oidc/finish", "POST", Anyone),
    route("/api/auth/oidc/login", "GET", Anyone),
    route("/api/auth/password", "POST", SignedIn),
    route("/api/auth/preferences", "GET, PUT", SignedIn),
    route("/api/auth/refresh", "POST", Anyone),
    route("/api/auth/register", "POST", Anyone),
    route("/api/auth/sessions", "GET", SignedIn),
    route("/api/auth/ticket", "POST", SignedIn),
    route("/api/chat/messages", "GET, POST", SignedIn),
    route("/api/config", "GET, HEAD", Anyone),
    route("/api/discovery/services", "GET", Anyone),
    route("/api/events/info", "GET", Anyone),
    route("/api/events/stream", "GET", SignedIn),
    route("/api/health", "GET, HEAD", Prober),
    route("/api/mcp/config", "GET", Anyone),
    route("/api/mcp/servers", "GET", Anyone),
    route("/api/messages", "POST", SignedIn),
    route("/api/runs/{run}", "GET", SignedIn),
    route("/api/runs/{run}/artifacts/{artifact}", "GET", SignedIn),
    route("/api/runs/{run}/cancel", "POST", SignedIn),
    route("/api/runs/{run}/facts/{fact}", "GET", SignedIn),
    route("/api/threads", "GET, POST", SignedIn),
    route("/api/threads/{thread}", "GET, PATCH, DELETE", SignedIn),
    route("/api/threads/{thread}/log", "GET", SignedIn),
    route("/api/threads/{thread}/messages", "GET, POST", SignedIn),
    route("/api/usage/import", "POST", SignedIn),
    route("/api/usage/summary", "GET", SignedIn),
    route("/auth/config", "GET", Anyone),
    route("/auth/dev/login", "POST", Anyone),
    route("/auth/e2e/test-auth", "POST", Anyone),
    route("/auth/login", "POST", Anyone),
    route("/auth/logout", "POST", Anyone),
    route("/auth/me", "GET", SignedIn),
    route("/auth/refresh", "POST", Anyone),
    route("/auth/register", "POST", Anyone),
    route("/auth/validate", "POST", Anyone),
    route("/health", "GET, HEAD", Prober),
    route("/health/live", "GET, HEAD", Prober),
    route("/health/ready", "GET, HEAD", Prober),
    route("/health/startup", "GET, HEAD", Prober),
    route("/ws", "GET", Socket),
    route("/ws/config", "GET", Anyone),
    route("/ws/health", "GET", Prober),
    route("/ws/stats", "GET", Prober),
];

impl Route {
    /// The row of an address, if it has one. A slash behind the last segment makes no difference.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        ROUTES.iter().find(|route| route.covers(path))
    }

    /// The methods it answers.
    pub fn methods(&self) -> impl Iterator<Item = &'static str> {
        self.allow.split(", ")
    }

    /// Whether it answers this method. At a socket's address the handshake says so.
    #[must_use]
    pub fn takes(&self, method: &str) -> bool {
        self.who == Socket || self.methods().any(|taken| taken == method)
    }

    /// Whether a path begins as one of the addresses does, so that whoever asks is a program and reads what
    /// programs read, also where there is nothing.
    #[must_use]
    pub fn is_beside(path: &str) -> bool {
        let first = |path| str::split(path, '/').nth(1);
        first(path).is_some_and(|own| ROUTES.iter().any(|route| first(route.path) == Some(own)))
    }

    fn covers(&self, path: &str) -> bool {
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut given = path.split('/');
        let fits = self.path.split('/').all(|segment| {
            let free = segment.starts_with('{');
            given.next().is_some_and(|one| one == segment || (free && !one.is_empty()))
        });
        fits && given.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;

    #[test]
    fn an_address_has_one_row_and_rows_are_found_by_their_own_address() {
        let paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
        assert!(paths.is_sorted(), "a row is found by who reads, too");
        for route in ROUTES {
            let path = route.path.replace(['{', '}'], "");
            let rows = ROUTES.iter().filter(|row| row.covers(&path)).count();
            assert_eq!((rows, Route::find(&path)), (1, Some(route)), "{path}");
            assert_eq!(Route::find(&(path.clone() + "/")), Some(route), "{path}/");
            assert_eq!(Route::find(&(path + "//")), None);
        }
    }

    #[test]
    fn what_is_nearly_an_address_is_none() {
        for path in [
            "",
            "/",
            "//",
            "/api",
            "/api/threads//log",
            "/api/threads/a/b",
            "//api/threads",
            "/api/Threads",
            "/api/threads/{thread}/log/more",
            "/health/other",
            "/wss",
            "api/threads",
        ] {
            assert_eq!(Route::find(path), None, "{path}");
        }
    }

    #[test]
    fn beside_an_address_is_whatever_begins_like_one() {
        for path in [
            "/api",
            "/api/",
            "/api/nothing",
            "/auth/nope",
            "/ws/nope",
            "/ws",
            "/health/x",
            "/.well-known/openid-configuration",
        ] {
            assert!(Route::is_beside(path), "{path}");
        }
        for path in ["", "/", "/nothing", "/nothing/api", "/apis", "/wss/x", "//api", "api/x", "ws"]
        {
            assert!(!Route::is_beside(path), "{path}");
        }
    }

    #[test]
    fn methods_are_those_that_are_listed_and_a_socket_judges_its_own() {
        let thread = Route::find("/api/threads/x").unwrap();
        assert!(["GET", "PATCH", "DELETE"].into_iter().all(|method| thread.takes(method)));
        let others = ["HEAD", "POST", "PUT", "OPTIONS", "get", "GET, PATCH", ""];
        assert!(!others.into_iter().any(|method| thread.takes(method)));
        assert!(Route::find("/ws").unwrap().takes("POST"));
        for route in ROUTES {
            let listed: String = route.methods().collect::<Vec<_>>().join(", ");
            assert_eq!(listed, route.allow);
        }
    }
}
