//! The names: each with its meaning, its unit and every label it can have.

use super::commit::RESULTS;
use crate::ports::{AuditAction, AuditOutcome, Credence};
use goldenpath_core::edge::Limit;
use goldenpath_core::handshake::Dialect;
use goldenpath_core::wire::{CloseCode, ErrorCode, RunStatus};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use std::borrow::Cow;

/// The label of what does not apply.
pub(super) const NONE: &str = "none";

/// How a number behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only grows, until a restart.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Numbers by size, in these buckets.
    Histogram(&'static [f64]),
}

/// Its name and every value it can have.
pub type Label = (&'static str, fn() -> Vec<Cow<'static, str>>);

/// One number, or a family of them.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// As Prometheus shows it.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What is counted.
    pub unit: Unit,
    /// What it means.
    pub help: &'static str,
    /// What tells the numbers of a family apart.
    pub labels: &'static [Label],
}

/// Sizes of commits, in entries.
const ENTRIES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
/// Sizes of commits, in bytes.
const BYTES: &[f64] = &[256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0];
/// How long commits take, in seconds.
const SECONDS: &[f64] = &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Everything that is counted, by name.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "goldenpath_account_events_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Log-outs, changes of a password, refreshes, refresh tokens used twice, new accounts.",
        labels: &[("action", actions), ("reason", reasons), ("result", outcomes)],
    },
    Metric {
        name: "goldenpath_audit_records_lost_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Records of the audit log that did not fit or could not be written.",
        labels: &[],
    },
    Metric {
        name: "goldenpath_bypass_uses_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Attempts to come in by what proves nothing: demo mode, the door for developers, the E2E key.",
        labels: &[("method", bypasses), ("result", outcomes)],
    },
    Metric {
        name: "goldenpath_commit_bytes",
        kind: Kind::Histogram(BYTES),
        unit: Unit::Bytes,
        help: "Sizes of commits that were done, in bytes of entries.",
        labels: &[],
    },
    Metric {
        name: "goldenpath_commit_duration_seconds",
        kind: Kind::Histogram(SECONDS),
        unit: Unit::Seconds,
        help: "From a commit on its way to the store to the answer, in seconds.",
        labels: &[],
    },
    Metric {
        name: "goldenpath_commit_entries",
        kind: Kind::Histogram(ENTRIES),
        unit: Unit::Count,
        help: "Sizes of commits that were done, in entries.",
        labels: &[],
    },
    Metric {
        name: "goldenpath_commits_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Commits of threads by what the store answered.",
        labels: &[("result", results)],
    },
    Metric {
        name: "goldenpath_connections_closed_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Sockets that ended: whose doing it was, and the close code if it is one of ours.",
        labels: &[("by", ends), ("code", codes)],
    },
    Metric {
        name: "goldenpath_connections_open",
        kind: Kind::Gauge,
        unit: Unit::Count,
        help: "Open sockets and event streams.",
        labels: &[("kind", kinds)],
    },
    Metric {
        name: "goldenpath_http_refusals_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Requests over HTTP that were refused, by the code of the problem.",
        labels: &[("reason", http_reasons)],
    },
    Metric {
        name: "goldenpath_log_ins_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Log-ins tried, by what was shown and what came of it.",
        labels: &[("method", methods), ("reason", reasons), ("result", outcomes)],
    },
    Metric {
        name: "goldenpath_messages_accepted_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Messages of users that are stored together with their run.",
        labels: &[],
    },
    Metric {
        name: "goldenpath_rate_limited_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Refusals because of a limit, by the limit.",
        labels: &[("limit", limits)],
    },
    Metric {
        name: "goldenpath_runs_ended_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Runs that ended, by their terminal event.",
        labels: &[("status", statuses)],
    },
    Metric {
        name: "goldenpath_runs_started_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Runs that were begun, or taken up again after a restart.",
        labels: &[],
    },
    Metric {
        name: "goldenpath_socket_credentials_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Credentials checked for a socket, by the place they came in and the verdict.",
        labels: &[("place", methods), ("reason", reasons), ("result", outcomes)],
    },
    Metric {
        name: "goldenpath_upgrades_total",
        kind: Kind::Counter,
        unit: Unit::Count,
        help: "Upgrades decided: what is spoken, or why there is none.",
        labels: &[("dialect", dialects), ("reason", reasons), ("result", outcomes)],
    },
];

/// Tells the recorder what each is.
pub fn describe() {
    for Metric { name, kind, unit, help, .. } in METRICS {
        match kind {
            Kind::Counter => describe_counter!(*name, *unit, *help),
            Kind::Gauge => describe_gauge!(*name, *unit, *help),
            Kind::Histogram(_) => describe_histogram!(*name, *unit, *help),
        }
    }
}

pub(super) fn reason(code: Option<ErrorCode>) -> &'static str {
    code.map_or(NONE, ErrorCode::as_str)
}

pub(super) const fn outcome(outcome: AuditOutcome) -> &'static str {
    outcome.as_str()
}

pub(super) const fn dialect(spoken: Option<Dialect>) -> &'static str {
    match spoken {
        Some(Dialect::GoldenV1) => "golden.v1",
        Some(Dialect::Older) => "older",
        None => NONE,
    }
}

pub(super) fn code(code: Option<CloseCode>) -> Cow<'static, str> {
    code.map_or(Cow::Borrowed(NONE), |code| Cow::Owned(code.code().to_string()))
}

fn words(words: impl IntoIterator<Item = &'static str>) -> Vec<Cow<'static, str>> {
    words.into_iter().map(Cow::Borrowed).collect()
}

fn and_none(all: impl IntoIterator<Item = &'static str>) -> Vec<Cow<'static, str>> {
    words([NONE].into_iter().chain(all))
}

fn actions() -> Vec<Cow<'static, str>> {
    let apart = |action: &AuditAction| !matches!(action, AuditAction::LogIn | AuditAction::Socket);
    words(AuditAction::ALL.iter().copied().filter(apart).map(AuditAction::as_str))
}

fn bypasses() -> Vec<Cow<'static, str>> {
    let all = Credence::ALL.iter().copied();
    words(all.filter(|by| by.is_bypass()).map(Credence::as_str))
}

fn codes() -> Vec<Cow<'static, str>> {
    let all = CloseCode::ALL.iter().copied().map(Some);
    [None].into_iter().chain(all).map(code).collect()
}

fn dialects() -> Vec<Cow<'static, str>> {
    words([None, Some(Dialect::GoldenV1), Some(Dialect::Older)].map(dialect))
}

fn ends() -> Vec<Cow<'static, str>> {
    words(["server", "nobody", "peer"])
}

fn http_reasons() -> Vec<Cow<'static, str>> {
    let of_http = ["method_not_allowed", "not_found", "request_timeout", "unsupported_media_type"];
    words(ErrorCode::ALL.iter().map(|code| code.as_str()).chain(of_http))
}

fn kinds() -> Vec<Cow<'static, str>> {
    words(["socket", "events"])
}

fn limits() -> Vec<Cow<'static, str>> {
    words(Limit::ALL.iter().map(|limit| limit.as_str()))
}

fn methods() -> Vec<Cow<'static, str>> {
    and_none(Credence::ALL.iter().copied().map(Credence::as_str))
}

fn outcomes() -> Vec<Cow<'static, str>> {
    words(AuditOutcome::ALL.iter().copied().map(AuditOutcome::as_str))
}

fn reasons() -> Vec<Cow<'static, str>> {
    and_none(ErrorCode::ALL.iter().map(|code| code.as_str()))
}

fn results() -> Vec<Cow<'static, str>> {
    words(RESULTS.iter().copied())
}

fn statuses() -> Vec<Cow<'static, str>> {
    use RunStatus::{Cancelled, Completed, Degraded, Failed, Interrupted, TimedOut};
    words([Cancelled, Completed, Degraded, Failed, Interrupted, TimedOut].map(RunStatus::as_str))
}
