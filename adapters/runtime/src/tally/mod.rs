//! What is counted, for those who run the server: numbers of the whole process, under names of
//! [`METRICS`] and labels from closed sets.
//!
//! Functions here take enums and numbers and nothing else, so that no user, thread, token or address can
//! become a label (invariant 9). Without a recorder they do nothing.

mod commit;
mod metric;

pub use commit::Commit;
pub use metric::{Kind, Label, METRICS, Metric, describe};

use crate::ports::{AuditAction, AuditOutcome, AuditRecord, Credence};
use goldenpath_core::edge::Limit;
use goldenpath_core::fault::End;
use goldenpath_core::handshake::Dialect;
use goldenpath_core::wire::ErrorCode;
use metric::{NONE, dialect, outcome, reason};
use metrics::{counter, gauge};

/// Somebody tried something that is recorded.
//= specs/safety.md#safe-51
//# A label of a metric MUST come from a closed set, whatever a user or a stranger sends.
pub fn noted(record: &AuditRecord) {
    let AuditRecord { action, by, outcome, reason: refused, .. } = record;
    let (result, reason) = (outcome.as_str(), reason(*refused));
    let method = by.map_or(NONE, Credence::as_str);
    match action {
        AuditAction::LogIn => {
            counter!("goldenpath_log_ins_total", "method" => method, "result" => result, "reason" => reason)
                .increment(1);
        }
        AuditAction::Socket => {
            counter!("goldenpath_socket_credentials_total", "place" => method, "result" => result, "reason" => reason)
                .increment(1);
        }
        AuditAction::LogOut
        | AuditAction::Password
        | AuditAction::Refresh
        | AuditAction::Register
        | AuditAction::Reuse
        | AuditAction::Ticket => {
            counter!("goldenpath_account_events_total", "action" => action.as_str(), "result" => result, "reason" => reason)
                .increment(1);
        }
        // Counted by its code, with those that are not recorded.
        AuditAction::Request => return,
    }
    if by.is_some_and(Credence::is_bypass) {
        counter!("goldenpath_bypass_uses_total", "method" => method, "result" => result)
            .increment(1);
    }
    if *refused == Some(ErrorCode::RateLimited) {
        limited(Limit::LogIns);
    }
}

/// Records of the audit log that were given up.
pub fn audit_lost(count: u64) {
    counter!("goldenpath_audit_records_lost_total").increment(count);
}

/// An upgrade was decided.
pub fn upgrade(decided: Result<Dialect, ErrorCode>) {
    let result = if decided.is_ok() { AuditOutcome::Accepted } else { AuditOutcome::Refused };
    let reason = reason(decided.err());
    counter!("goldenpath_upgrades_total", "dialect" => dialect(decided.ok()), "result" => outcome(result), "reason" => reason)
        .increment(1);
}

/// A request over HTTP was refused with this code.
pub fn refused(code: &'static str) {
    counter!("goldenpath_http_refusals_total", "reason" => code).increment(1);
}

/// Somebody ran into a limit.
pub fn limited(limit: Limit) {
    counter!("goldenpath_rate_limited_total", "limit" => limit.as_str()).increment(1);
}

/// A connection is counted as open until this is dropped.
#[derive(Debug)]
pub struct Open(&'static str);

impl Open {
    /// A WebSocket.
    #[must_use]
    pub fn socket() -> Self {
        Self::of("socket")
    }

    /// An event stream.
    #[must_use]
    pub fn events() -> Self {
        Self::of("events")
    }

    fn of(kind: &'static str) -> Self {
        gauge!("goldenpath_connections_open", "kind" => kind).increment(1);
        Self(kind)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!("goldenpath_connections_open", "kind" => self.0).decrement(1);
    }
}

/// A socket has ended.
pub fn ended(end: End) {
    let code = metric::code(end.code());
    counter!("goldenpath_connections_closed_total", "by" => end.whose(), "code" => code)
        .increment(1);
}

#[cfg(test)]
mod tests;
