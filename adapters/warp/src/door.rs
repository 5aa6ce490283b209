//! The core's edge behind a lock; what it lends gives itself back.

use goldenpath_core::edge::{Arrival, Edge, EdgeLimits, Limit, Spent, Who, Whose, client_address};
use goldenpath_core::handshake::Admission;
use goldenpath_core::id::UserId;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Millis;
use goldenpath_runtime::connection::Newcomer;
use goldenpath_runtime::{Clock, tally};
use http::HeaderMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who stands at the door and how often they knocked; clones share it.
#[derive(Clone, Debug)]
pub struct Door(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    edge: Mutex<Edge>,
    limits: EdgeLimits,
}

impl Door {
    /// Nobody has come yet.
    #[must_use]
    pub fn new(limits: EdgeLimits, clock: Clock, seed: &mut Seed) -> Self {
        let edge = Mutex::new(Edge::new(limits.clone(), seed.fork()));
        Self(Arc::new(Inner { clock, edge, limits }))
    }

    /// From whom a request comes.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let pairs = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let client = client_address(peer.ip(), &self.0.limits, pairs);
        SocketAddr::new(client, if client == peer.ip().to_canonical() { peer.port() } else { 0 })
    }

    /// Whether the peer is a proxy whose headers count.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.0.limits.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    /// A place for a connection from this address, if it has one left.
    pub(crate) fn pick_up(&self, peer: IpAddr) -> Option<Place> {
        let place = || Place { door: self.clone(), from: peer, given_back: Edge::hung_up };
        let picked_up = self.edge().pick_up(peer).then(place);
        if picked_up.is_none() {
            tally::limited(Limit::Connections);
        }
        picked_up
    }

    /// A place for a request of this client that this peer brought, until it is dropped.
    ///
    /// # Errors
    /// How long to wait.
    pub(crate) fn take_up(&self, peer: IpAddr, client: IpAddr) -> Result<Arc<TakenUp>, Millis> {
        let taken_up = self.edge().take_up(peer, client);
        taken_up.inspect_err(|_| tally::limited(Limit::Connections))?;
        Ok(Arc::new(TakenUp { door: self.clone(), peer, client }))
    }

    /// Whether one more request of this client is answered, and what such requests are limited to.
    pub(crate) fn request(&self, client: IpAddr, who: Option<Who>) -> Spent {
        let now = self.0.clock.now().mono;
        let (mut edge, limits) = (self.edge(), &self.0.limits);
        let (policy, limit, left) = if who == Some(Who::Prober) {
            (limits.probes, Limit::Probes, edge.probe(now, client))
        } else {
            (limits.requests, Limit::Requests, edge.request(now, client))
        };
        drop(edge);
        if left.is_err() {
            tally::limited(limit);
        }
        Spent { whose: Whose::Address, policy, left }
    }

    /// Whether one more request of this user is answered.
    pub(crate) fn user_request(&self, user: &UserId) -> Spent {
        let now = self.0.clock.now().mono;
        let left = self.edge().user_request(now, user);
        if left.is_err() {
            tally::limited(Limit::UserRequests);
        }
        Spent { whose: Whose::User, policy: self.0.limits.user_requests, left }
    }

    /// Whether one more socket of this client is let in, and its places when it is: as long as it is open,
    /// and as long as nobody knows whose it is.
    pub(crate) fn admit(
        &self,
        client: IpAddr,
        unauthenticated: usize,
    ) -> (Admission, Option<(Place, Place)>) {
        let now = self.0.clock.now().mono;
        let admission = self.edge().admit(now, client, unauthenticated);
        if let Some(limit) = Limit::of(admission) {
            tally::limited(limit);
        }
        let place = |given_back| Place { door: self.clone(), from: client, given_back };
        let places = || (place(Edge::closed), place(Edge::greeted));
        (admission, (admission == Admission::Open).then(places))
    }

    /// Whether one more socket of this user may go on.
    fn connect(&self, user: &UserId) -> Result<(), Millis> {
        let now = self.0.clock.now().mono;
        let connected = self.edge().connect(now, user);
        connected.map(|_| ()).inspect_err(|_| tally::limited(Limit::UserConnections))
    }

    /// A place for one more file of this user, if there is one.
    pub(crate) fn import(&self, user: &UserId) -> Option<ImportPlace> {
        let place = || ImportPlace { door: self.clone(), user: user.clone() };
        let let_in = self.edge().import(user).then(place);
        if let_in.is_none() {
            tally::limited(Limit::Imports);
        }
        let_in
    }

    /// What is waited for of a body that may be silent for so long.
    pub(crate) fn arrival(&self, longest_wait: Millis) -> Arrival {
        self.edge().arrival(longest_wait)
    }

    fn edge(&self) -> MutexGuard<'_, Edge> {
        self.0.edge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way; put into its extensions at the door, and kept by what goes on behind its answer.
pub(crate) struct TakenUp {
    door: Door,
    peer: IpAddr,
    client: IpAddr,
}

impl Drop for TakenUp {
    fn drop(&mut self) {
        self.door.edge().answered(self.peer, self.client);
    }
}

/// One of the files a user may send at once; given back when dropped.
pub(crate) struct ImportPlace {
    door: Door,
    user: UserId,
}

impl Drop for ImportPlace {
    fn drop(&mut self) {
        self.door.edge().imported(&self.user);
    }
}

/// One of the places an address has; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    door: Door,
    from: IpAddr,
    given_back: fn(&mut Edge, IpAddr),
}

impl Newcomer for Place {
    fn is_of(self: Box<Self>, user: &UserId) -> Result<(), Millis> {
        self.door.connect(user)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        (self.given_back)(&mut self.door.edge(), self.from);
    }
}
