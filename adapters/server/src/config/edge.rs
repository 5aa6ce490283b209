//! What was said about the edge; what was not takes the usual value, or none for measurements.

use goldenpath_core::edge::{EdgeLimits, ForwardedBy, Network, Policy};

/// The edge as far as it was set.
#[derive(Clone, Debug, Default)]
pub(crate) struct EdgeSettings {
    /// `GOLDENPATH_ATTEMPTS_PER_MINUTE`.
    pub(super) attempts: Option<u32>,
    /// `GOLDENPATH_BODY_BYTES_PER_SECOND`.
    pub(super) body_bytes_per_second: Option<u32>,
    /// `GOLDENPATH_CONNECTIONS_PER_ADDRESS`.
    pub(super) connections_per_address: Option<u32>,
    /// `TRUSTED_PROXY_HEADER`.
    pub(super) forwarded_by: Option<ForwardedBy>,
    /// `GOLDENPATH_IMPORTS_PER_USER`.
    pub(super) imports_per_user: Option<u32>,
    /// `GOLDENPATH_REQUESTS_PER_MINUTE`.
    pub(super) requests: Option<u32>,
    /// `TRUSTED_PROXIES`.
    pub(super) trusted_proxies: Vec<Network>,
    /// `GOLDENPATH_MAX_UNAUTHENTICATED`.
    pub(super) unauthenticated: Option<u32>,
    /// `GOLDENPATH_UPGRADES_PER_SECOND`.
    pub(super) upgrades_per_second: Option<u32>,
}

impl EdgeSettings {
    /// The bounds; `measuring` leaves out those that were not set.
    pub(super) fn settle(&self, measuring: bool) -> EdgeLimits {
        let usual = if measuring { EdgeLimits::unbounded() } else { EdgeLimits::default() };
        let count = |given: Option<u32>, usual: usize| {
            given.map_or(usual, |given| usize::try_from(given).unwrap_or(usize::MAX))
        };
        // As much at once as comes within half a minute, and for requests within ten seconds.
        let within = |given: Option<u32>, part: u32, usual: Policy| {
            given.map_or(usual, |rate| Policy::per_minute((rate / part).max(1), rate))
        };
        EdgeLimits {
            attempts: within(self.attempts, 2, usual.attempts),
            body_bytes_per_second: self
                .body_bytes_per_second
                .unwrap_or(usual.body_bytes_per_second),
            connections_per_address: count(
                self.connections_per_address,
                usual.connections_per_address,
            ),
            entrances: usual.entrances,
            forwarded_by: self.forwarded_by.unwrap_or(usual.forwarded_by),
            imports_per_user: count(self.imports_per_user, usual.imports_per_user),
            newcomers_per_address: usual.newcomers_per_address,
            probes: usual.probes,
            requests: within(self.requests, 6, usual.requests),
            trusted_proxies: self.trusted_proxies.clone(),
            unauthenticated: count(self.unauthenticated, usual.unauthenticated),
            user_connections: usual.user_connections,
            user_requests: within(self.requests, 6, usual.user_requests),
            upgrades_per_second: self.upgrades_per_second.unwrap_or(usual.upgrades_per_second),
            remembered: usual.remembered,
        }
    }
}
