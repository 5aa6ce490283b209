//! Before anybody is known: from where somebody comes, how often, and how many of them at once.
//!
//! Nothing here knows a frame, or a header's meaning beyond the ones that name an address or say where a
//! request ends. What is counted, is counted per sender ([`sender`]): an IPv4 address, or the network of
//! an IPv6 one.

mod address;
mod allowance;
mod arrival;
mod framing;
mod gate;
mod limit;
#[cfg(test)]
mod matrix_tests;
mod places;
mod routes;

pub use address::{BadNetwork, ForwardedBy, Network, client_address, sender};
pub use allowance::{Allowances, Left, Policy, Spent, Whose};
pub use arrival::{Arrival, Pace};
pub use framing::{Ambiguous, unambiguous};
pub use gate::Gate;
pub use limit::Limit;
pub use places::Places;
pub use routes::{ROUTES, Route, Who};

use crate::handshake::Admission;
use crate::id::UserId;
use crate::seed::Seed;
use crate::time::{Millis, Mono};
use alloc::vec::Vec;
use core::net::IpAddr;

/// The bounds of the edge. Counts are inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Upgrades one address may try.
    pub attempts: Policy,
    /// Bytes a second at which a file must come once its time to wait is used up; 0: at any rate.
    pub body_bytes_per_second: u32,
    /// Open sockets of one address, and as many open HTTP connections; behind a trusted proxy as many
    /// requests under way.
    pub connections_per_address: usize,
    /// Log-ins without a credential (demo mode, developers) one address may begin: each is a row.
    pub entrances: Policy,
    /// The header in which trusted proxies write from whom a request came.
    pub forwarded_by: ForwardedBy,
    /// Files one user may send at once: each keeps a thread of ours waiting.
    pub imports_per_user: usize,
    /// Upgrades a second, over all addresses; beyond it newcomers get a time to come back (F35).
    pub upgrades_per_second: u32,
    /// Sockets of one address that have not said who they are.
    pub newcomers_per_address: usize,
    /// Questions of one address about the server itself, beside its other requests.
    pub probes: Policy,
    /// Requests over HTTP one address may make.
    pub requests: Policy,
    /// Addresses remembered; those whose allowance is nearest to full are forgotten first.
    pub remembered: usize,
    /// The proxies that are believed; nobody else is.
    pub trusted_proxies: Vec<Network>,
    /// Sockets that have not said who they are, over all addresses.
    pub unauthenticated: usize,
    /// Sockets one user may open, from wherever.
    pub user_connections: Policy,
    /// Requests over HTTP one user may make, from wherever.
    pub user_requests: Policy,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            attempts: Policy::per_minute(300, 600),
            body_bytes_per_second: 8192,
            connections_per_address: 256,
            // A whole office may sit behind one address.
            entrances: Policy::every(120, Millis(500)),
            forwarded_by: ForwardedBy::XForwardedFor,
            imports_per_user: 2,
            newcomers_per_address: 64,
            upgrades_per_second: 500,
            probes: Policy::per_minute(2000, 12_000),
            requests: Policy::per_minute(1000, 6000),
            remembered: 20_000,
            trusted_proxies: Vec::new(),
            unauthenticated: 2000,
            user_connections: Policy::every(60, Millis(1000)),
            user_requests: Policy::per_minute(1000, 6000),
        }
    }
}

impl EdgeLimits {
    /// No bound but memory: for measurements from one machine.
    #[must_use]
    pub fn unbounded() -> Self {
        let policy = Policy::per_minute(u32::MAX, u32::MAX);
        Self {
            attempts: policy,
            body_bytes_per_second: 0,
            connections_per_address: usize::MAX,
            entrances: policy,
            imports_per_user: usize::MAX,
            newcomers_per_address: usize::MAX,
            probes: policy,
            upgrades_per_second: u32::MAX,
            requests: policy,
            unauthenticated: usize::MAX,
            user_connections: policy,
            user_requests: policy,
            ..Self::default()
        }
    }
}

/// What is remembered about senders nobody knows yet.
#[derive(Debug)]
pub struct Edge {
    limits: EdgeLimits,
    attempts: Allowances<IpAddr>,
    gate: Gate,
    http: Places<IpAddr>,
    imports: Places<UserId>,
    newcomers: Places<IpAddr>,
    probes: Allowances<IpAddr>,
    requests: Allowances<IpAddr>,
    sockets: Places<IpAddr>,
    user_connections: Allowances<UserId>,
    user_requests: Allowances<UserId>,
}

impl Edge {
    /// Nobody has come yet.
    #[must_use]
    pub fn new(limits: EdgeLimits, seed: Seed) -> Self {
        Self {
            attempts: Allowances::new(limits.attempts, limits.remembered),
            gate: Gate::new(limits.upgrades_per_second, seed),
            http: Places::new(limits.connections_per_address),
            imports: Places::new(limits.imports_per_user),
            newcomers: Places::new(limits.newcomers_per_address),
            probes: Allowances::new(limits.probes, limits.remembered),
            requests: Allowances::new(limits.requests, limits.remembered),
            sockets: Places::new(limits.connections_per_address),
            user_connections: Allowances::new(limits.user_connections, limits.remembered),
            user_requests: Allowances::new(limits.user_requests, limits.remembered),
            limits,
        }
    }

    /// The bounds.
    #[must_use]
    pub const fn limits(&self) -> &EdgeLimits {
        &self.limits
    }

    /// Whether a connection from this address may be read from; [`Edge::hung_up`] gives its place back.
    /// Proxies that are trusted bring the connections of many: see [`Edge::take_up`].
    //= specs/safety.md#safe-43
    //# One address MUST NOT hold more open connections or sockets than its limit.
    pub fn pick_up(&mut self, peer: IpAddr) -> bool {
        self.is_trusted(peer) || self.http.enter(sender(peer))
    }

    /// A connection that [`Edge::pick_up`] let in has ended.
    pub fn hung_up(&mut self, peer: IpAddr) {
        if !self.is_trusted(peer) {
            self.http.leave(&sender(peer));
        }
    }

    /// Whether a request of this client that this peer brought may be answered; it holds a place until
    /// [`Edge::answered`]. Where no trusted proxy brought it, its connection holds one already.
    ///
    /// # Errors
    /// How long to wait.
    //= specs/safety.md#safe-93
    //# A request that a trusted proxy brings MUST hold a place of its client's address until it is
    //# answered, an event stream until it ends.
    pub fn take_up(&mut self, peer: IpAddr, client: IpAddr) -> Result<(), Millis> {
        if !self.is_trusted(peer) || self.http.enter(sender(client)) {
            Ok(())
        } else {
            Err(self.gate.some_time())
        }
    }

    /// A request that [`Edge::take_up`] let in is answered.
    pub fn answered(&mut self, peer: IpAddr, client: IpAddr) {
        if self.is_trusted(peer) {
            self.http.leave(&sender(client));
        }
    }

    /// Whether one more request of this client is answered.
    ///
    /// # Errors
    /// How long to wait.
    //= specs/safety.md#safe-41
    //# Requests and connection attempts of one address MUST be limited without touching another's.
    pub fn request(&mut self, now: Mono, client: IpAddr) -> Result<Left, Millis> {
        self.requests.spend(&sender(client), now)
    }

    /// Whether one more request of this user is answered, who is known by now.
    ///
    /// # Errors
    /// How long to wait.
    //= specs/safety.md#safe-91
    //# Requests of one user MUST be limited over all of its addresses together, without touching
    //# another's.
    pub fn user_request(&mut self, now: Mono, user: &UserId) -> Result<Left, Millis> {
        self.user_requests.spend(user, now)
    }

    /// Whether one more question about the server itself is answered.
    ///
    /// # Errors
    /// How long to wait.
    //= specs/safety.md#safe-83
    //# Questions about how the server is MUST be limited for each address, apart from its other
    //# requests.
    pub fn probe(&mut self, now: Mono, client: IpAddr) -> Result<Left, Millis> {
        self.probes.spend(&sender(client), now)
    }

    /// Whether this user may send one more file; it takes a place until [`Edge::imported`].
    //= specs/safety.md#safe-54
    //# A user MUST NOT have more files on their way at once than the limit, and nobody else MUST
    //# notice.
    pub fn import(&mut self, user: &UserId) -> bool {
        self.imports.enter(user.clone())
    }

    /// A file that [`Edge::import`] let in has ended.
    pub fn imported(&mut self, user: &UserId) {
        self.imports.leave(user);
    }

    /// What is waited for of a body that may be silent for so long.
    #[must_use]
    pub const fn arrival(&self, longest_wait: Millis) -> Arrival {
        let bytes_per_second = self.limits.body_bytes_per_second;
        Arrival::new(Pace { longest_wait, bytes_per_second })
    }

    /// Whether one more socket of this client is let in, with `unauthenticated` sockets there that have
    /// not said who they are. When it is, it holds a place until [`Edge::closed`], and another one until
    /// [`Edge::greeted`].
    pub fn admit(&mut self, now: Mono, client: IpAddr, unauthenticated: usize) -> Admission {
        let sender = sender(client);
        if let Err(retry_after) = self.attempts.spend(&sender, now) {
            return Admission::TooFast { retry_after };
        }
        if !self.sockets.enter(sender) {
            return Admission::Crowded { retry_after: self.gate.some_time() };
        }
        //= specs/safety.md#safe-94
        //# One address MUST NOT hold more sockets that have not said who they are than its limit.
        if !self.newcomers.enter(sender) {
            self.sockets.leave(&sender);
            return Admission::Crowded { retry_after: self.gate.some_time() };
        }
        //= specs/safety.md#safe-44
        //# More newcomers than the server can greet MUST be refused with a time to come back,
        //# spread out.
        let admitted = if unauthenticated >= self.limits.unauthenticated {
            Err(self.gate.some_time())
        } else {
            self.gate.admit(now)
        };
        match admitted {
            Ok(()) => Admission::Open,
            Err(retry_after) => {
                self.sockets.leave(&sender);
                self.newcomers.leave(&sender);
                Admission::Overloaded { retry_after }
            }
        }
    }

    /// A socket that [`Edge::admit`] let in has ended.
    pub fn closed(&mut self, client: IpAddr) {
        self.sockets.leave(&sender(client));
    }

    /// A socket that [`Edge::admit`] let in has said who it is, or has ended without.
    pub fn greeted(&mut self, client: IpAddr) {
        self.newcomers.leave(&sender(client));
    }

    /// Whether one more socket of this user may go on, whose it is known to be by now.
    ///
    /// # Errors
    /// How long to wait.
    //= specs/safety.md#safe-95
    //# New sockets of one user MUST be limited over all of its addresses together; one too many MUST be
    //# closed with 4429 and a time to come back.
    pub fn connect(&mut self, now: Mono, user: &UserId) -> Result<Left, Millis> {
        self.user_connections.spend(user, now)
    }

    fn is_trusted(&self, peer: IpAddr) -> bool {
        self.limits.trusted_proxies.iter().any(|network| network.contains(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(change: impl FnOnce(&mut EdgeLimits)) -> Edge {
        let mut limits = EdgeLimits::unbounded();
        change(&mut limits);
        Edge::new(limits, Seed::new(1))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn for_measurements_one_machine_may_do_what_it_can() {
        let mut edge = edge(|_| {});
        let one = ip("192.0.2.1");
        for n in 0..5000 {
            assert!(edge.request(Mono(0), one).is_ok() && edge.pick_up(one), "{n}");
            assert!(edge.probe(Mono(0), one).is_ok(), "{n}");
            let ada = UserId::new("ada").unwrap();
            assert!(edge.user_request(Mono(0), &ada).is_ok(), "{n}");
            assert!(edge.connect(Mono(0), &ada).is_ok(), "{n}");
            assert_eq!(edge.admit(Mono(0), one, n), Admission::Open, "{n}");
        }
        let ada = UserId::new("ada").unwrap();
        assert!((0..5000).all(|_| edge.import(&ada)));
        let mut body = edge.arrival(Millis(50));
        for _ in 0..5000 {
            body.came(Millis(50), 1);
            assert_eq!(body.patience(), Millis(50), "at any rate");
        }
        let limits = EdgeLimits::unbounded();
        assert_eq!(limits.entrances, limits.requests);
    }

    //= specs/safety.md#safe-41
    //= type=test
    //# Requests and connection attempts of one address MUST be limited without touching another's.
    #[test]
    fn who_asks_too_often_waits_and_nobody_else_does() {
        let policy = Policy::per_minute(3, 60);
        let mut edge = edge(|limits| (limits.requests, limits.attempts) = (policy, policy));
        let (loud, calm) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for left in [2, 1, 0] {
            assert_eq!(edge.request(Mono(0), loud).map(|l| l.remaining), Ok(left));
            assert_eq!(edge.admit(Mono(0), loud, 0), Admission::Open);
        }
        assert_eq!(edge.request(Mono(0), loud), Err(Millis(1000)));
        let later = Admission::TooFast { retry_after: Millis(1000) };
        assert_eq!(edge.admit(Mono(0), loud, 0), later);
        assert_eq!(edge.request(Mono(0), calm).map(|l| l.remaining), Ok(2));
        assert_eq!(edge.admit(Mono(0), calm, 0), Admission::Open);
        assert_eq!(edge.admit(Mono(1000), loud, 0), Admission::Open);
    }

    //= specs/safety.md#safe-91
    //= type=test
    //# Requests of one user MUST be limited over all of its addresses together, without touching
    //# another's.
    #[test]
    fn a_user_who_asks_too_often_waits_and_nobody_else_does() {
        let mut edge = edge(|limits| limits.user_requests = Policy::per_minute(2, 60));
        let (ada, bob) = (UserId::new("ada").unwrap(), UserId::new("bob").unwrap());
        for left in [1, 0] {
            let spent = edge.user_request(Mono(0), &ada);
            assert_eq!(spent.map(|left| left.remaining), Ok(left));
        }
        assert_eq!(edge.user_request(Mono(0), &ada), Err(Millis(1000)));
        assert!(edge.user_request(Mono(0), &bob).is_ok());
        assert!(edge.user_request(Mono(1000), &ada).is_ok());
    }

    #[test]
    fn a_user_who_connects_too_often_waits_and_nobody_else_does() {
        let mut edge = edge(|limits| limits.user_connections = Policy::per_minute(2, 60));
        let (ada, bob) = (UserId::new("ada").unwrap(), UserId::new("bob").unwrap());
        for left in [1, 0] {
            assert_eq!(edge.connect(Mono(0), &ada).map(|left| left.remaining), Ok(left));
        }
        assert_eq!(edge.connect(Mono(0), &ada), Err(Millis(1000)));
        assert!(edge.user_request(Mono(0), &ada).is_ok() && edge.connect(Mono(0), &bob).is_ok());
        assert!(edge.connect(Mono(1000), &ada).is_ok());
        // Whoever comes back for a minute each second is not told to wait.
        let mut usual = Edge::new(EdgeLimits::default(), Seed::new(7));
        assert!((0..60).all(|second| usual.connect(Mono(second * 1000), &ada).is_ok()));
        assert!((0..59).all(|_| usual.connect(Mono(59_000), &ada).is_ok()));
        assert!(usual.connect(Mono(59_000), &ada).is_err());
    }

    //= specs/safety.md#safe-83
    //= type=test
    //# Questions about how the server is MUST be limited for each address, apart from its other
    //# requests.
    #[test]
    fn probes_are_counted_apart_and_by_the_minute_no_watcher_needs_as_many() {
        let mut edge = edge(|limits| {
            (limits.probes, limits.requests) =
                (Policy::per_minute(2, 60), Policy::per_minute(1, 60));
        });
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        assert!(edge.request(Mono(0), one).is_ok() && edge.request(Mono(0), one).is_err());
        assert!(edge.probe(Mono(0), one).is_ok() && edge.probe(Mono(0), one).is_ok());
        assert_eq!(edge.probe(Mono(0), one), Err(Millis(1000)));
        assert!(edge.probe(Mono(0), other).is_ok());
        assert!(edge.probe(Mono(1000), one).is_ok());
        // A dozen watchers at ten questions a second each are not stopped.
        let mut usual = Edge::new(EdgeLimits::default(), Seed::new(7));
        let mut asked = (0..600_000).step_by(8).map(Mono);
        assert!(asked.all(|at| usual.probe(at, one).is_ok()));
    }

    //= specs/safety.md#safe-43
    //= type=test
    //# One address MUST NOT hold more open connections or sockets than its limit.
    #[test]
    fn an_address_holds_its_number_of_places_and_a_trusted_proxy_any() {
        let mut edge = edge(|limits| {
            limits.connections_per_address = 2;
            limits.trusted_proxies = alloc::vec!["10.0.0.0/8".parse().unwrap()];
        });
        let (one, other, proxy) = (ip("192.0.2.1"), ip("192.0.2.2"), ip("10.1.2.3"));
        for _ in 0..2 {
            assert!(edge.pick_up(one));
            assert_eq!(edge.admit(Mono(0), one, 0), Admission::Open);
        }
        assert!(!edge.pick_up(one));
        assert!(matches!(edge.admit(Mono(0), one, 0), Admission::Crowded { .. }));
        assert!(edge.pick_up(other));
        assert_eq!(edge.admit(Mono(0), other, 0), Admission::Open);
        assert!((0..100).all(|_| edge.pick_up(proxy)));
        edge.hung_up(one);
        edge.closed(one);
        assert!(edge.pick_up(one));
        assert_eq!(edge.admit(Mono(0), one, 0), Admission::Open);
    }

    //= specs/safety.md#safe-93
    //= type=test
    //# A request that a trusted proxy brings MUST hold a place of its client's address until it is
    //# answered, an event stream until it ends.
    #[test]
    fn behind_a_trusted_proxy_each_client_has_its_own_places_for_requests_under_way() {
        let mut edge = edge(|limits| {
            limits.connections_per_address = 2;
            limits.trusted_proxies = alloc::vec!["10.0.0.0/8".parse().unwrap()];
        });
        let (one, other, proxy) = (ip("192.0.2.1"), ip("192.0.2.2"), ip("10.1.2.3"));
        assert!(edge.take_up(proxy, one).is_ok() && edge.take_up(proxy, one).is_ok());
        let wait = edge.take_up(proxy, one).unwrap_err();
        assert!((1000..5000).contains(&wait.0), "{wait:?}");
        assert!(!edge.pick_up(one), "the same places, from wherever it comes");
        assert_eq!(edge.take_up(proxy, other), Ok(()));
        edge.answered(proxy, one);
        assert!(edge.take_up(proxy, one).is_ok() && edge.take_up(proxy, one).is_err());
        // Whoever comes by itself has its place by its connection.
        edge.answered(proxy, other);
        assert!((0..3).all(|_| edge.take_up(other, other).is_ok()));
        assert!(edge.pick_up(other) && edge.pick_up(other));
        edge.answered(other, other);
        assert!(!edge.pick_up(other), "a connection goes on behind its request");
    }

    //= specs/safety.md#safe-54
    //= type=test
    //# A user MUST NOT have more files on their way at once than the limit, and nobody else MUST
    //# notice.
    #[test]
    fn a_user_sends_so_many_files_at_once_and_others_theirs() {
        let mut edge = edge(|limits| limits.imports_per_user = 2);
        let (ada, bob) = (UserId::new("ada").unwrap(), UserId::new("bob").unwrap());
        assert!(edge.import(&ada) && edge.import(&ada) && !edge.import(&ada));
        assert!(edge.import(&bob));
        edge.imported(&ada);
        assert!(edge.import(&ada) && !edge.import(&ada));
    }

    //= specs/safety.md#safe-94
    //= type=test
    //# One address MUST NOT hold more sockets that have not said who they are than its limit.
    #[test]
    fn an_address_has_so_many_newcomers_and_who_is_known_makes_room_for_the_next() {
        let mut edge = edge(|limits| limits.newcomers_per_address = 2);
        let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
        for _ in 0..2 {
            assert_eq!(edge.admit(Mono(0), one, 0), Admission::Open);
        }
        let Admission::Crowded { retry_after } = edge.admit(Mono(0), one, 0) else {
            panic!("one too many")
        };
        assert!((1000..5000).contains(&retry_after.0), "{retry_after:?}");
        assert_eq!(edge.admit(Mono(0), other, 0), Admission::Open);
        edge.closed(one);
        assert!(matches!(edge.admit(Mono(0), one, 0), Admission::Crowded { .. }));
        edge.greeted(one);
        assert_eq!(edge.admit(Mono(0), one, 0), Admission::Open);
        assert!(matches!(edge.admit(Mono(0), one, 0), Admission::Crowded { .. }));
        assert_eq!(EdgeLimits::default().newcomers_per_address, 64);
    }

    #[test]
    fn who_is_refused_for_another_reason_gives_the_place_back() {
        let mut edge = edge(|limits| {
            (limits.connections_per_address, limits.unauthenticated) = (2, 5);
            limits.newcomers_per_address = 1;
        });
        let one = ip("192.0.2.1");
        for _ in 0..2 {
            assert!(matches!(edge.admit(Mono(0), one, 5), Admission::Overloaded { .. }));
        }
        assert_eq!(edge.admit(Mono(0), one, 4), Admission::Open);
        for _ in 0..2 {
            assert!(matches!(edge.admit(Mono(0), one, 4), Admission::Crowded { .. }));
        }
        edge.greeted(one);
        assert_eq!(edge.admit(Mono(0), one, 4), Admission::Open);
    }

    //= specs/safety.md#safe-44
    //= type=test
    //# More newcomers than the server can greet MUST be refused with a time to come back,
    //# spread out.
    #[test]
    fn f35_a_storm_is_let_in_at_the_rate_of_the_server_and_the_rest_comes_back_spread_out() {
        let mut edge = edge(|limits| limits.upgrades_per_second = 100);
        let mut times = Vec::new();
        let mut let_in = 0;
        for n in 0..2_100u32 {
            let from = IpAddr::from([10, 0, (n >> 8) as u8, n as u8]);
            match edge.admit(Mono(0), from, 0) {
                Admission::Open => let_in += 1,
                Admission::Overloaded { retry_after } => times.push(retry_after.0),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((let_in, times.len()), (100, 2_000));
        for second in 0..20 {
            let due = times.iter().filter(|at| **at / 1000 == second).count();
            assert!((80..=120).contains(&due), "{due} come back in second {second}");
        }
    }
}
