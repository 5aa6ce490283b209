//! What must hold, and what must have happened: the one list that property tests, exhaustive models,
//! fuzzing and simulations share.

use std::fmt;
use std::hash::{Hash, Hasher};

/// What must hold in every state of every world.
///
/// Each is named after the requirement it checks in `specs/` and the invariant of the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// A connection is attached once, and hears nothing before it.
    AttachedFirst,
    /// What cannot be repeated happens at most once, and not before it is in the log.
    AtMostOnce,
    /// A run whose cancel was acknowledged ends in no other way.
    CancelHonoured,
    /// A cancelled run is stopped within the grace.
    CancelInTime,
    /// After faults stop, everything comes to its end and every reader is up to date.
    Converges,
    /// No entry is sent before it is committed.
    CommittedFirst,
    /// A client's view has each entry once and in order.
    EachOnce,
    /// The failure of a dependency closes no connection.
    FaultsCloseNothing,
    /// The events of a run stand in the order of the grammar.
    Grammar,
    /// The log is without hole, and its entries say where they are.
    GapFree,
    /// What a task says that was replaced never becomes visible.
    NoGhosts,
    /// An effect whose result is in the log is not repeated.
    NoRepeat,
    /// The loss of a client ends only what asked for that.
    OnlyWhatAsked,
    /// A run that has ended has one terminal event, and it is its last.
    OneEnd,
    /// The same message has one outcome.
    OneOutcome,
    /// At most one run of a thread is at work.
    OneRunning,
    /// On one connection entries come in order, without a hole.
    Order,
    /// A replay ends with its word, before anything live.
    ReplayEnds,
    /// The report agent is never left out of a plan.
    Reported,
    /// Every machine comes to rest after a bounded number of outputs, with its deadline ahead.
    Rests,
    /// Live and replayed entries have the log's own bytes.
    SameBytes,
    /// What is acknowledged is in the store, as it was acknowledged.
    Kept,
    /// What waits, and what is at work, stays within its limit.
    WithinLimits,
    /// A write with an older fence does not become visible.
    Fenced,
    /// A hub is given up only for another writer, and whole.
    FencedOff,
    /// The runs of a thread begin in the order of their messages.
    InTurn,
    /// A completed run of the team has all five kinds of events.
    FiveKinds,
    /// Nothing is delivered on a token whose grace is over.
    OnGoodToken,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 28] = [
        Self::AttachedFirst,
        Self::AtMostOnce,
        Self::CancelHonoured,
        Self::CancelInTime,
        Self::Converges,
        Self::CommittedFirst,
        Self::EachOnce,
        Self::FaultsCloseNothing,
        Self::Grammar,
        Self::GapFree,
        Self::NoGhosts,
        Self::NoRepeat,
        Self::OnlyWhatAsked,
        Self::OneEnd,
        Self::OneOutcome,
        Self::OneRunning,
        Self::Order,
        Self::ReplayEnds,
        Self::Reported,
        Self::Rests,
        Self::SameBytes,
        Self::Kept,
        Self::WithinLimits,
        Self::Fenced,
        Self::FencedOff,
        Self::InTurn,
        Self::FiveKinds,
        Self::OnGoodToken,
    ];

    /// The requirements it checks.
    #[must_use]
    pub const fn requirements(self) -> &'static [&'static str] {
        match self {
            Self::AttachedFirst => &["CONN-08", "AUTH-02"],
            Self::AtMostOnce => &["RUN-35"],
            Self::CancelHonoured => &["RUN-34"],
            Self::CancelInTime => &["RUN-09"],
            Self::Converges => &["RUN-08", "DLV-05"],
            Self::CommittedFirst => &["DLV-01"],
            Self::EachOnce => &["DLV-06"],
            Self::FaultsCloseNothing => &["DEP-06"],
            Self::Grammar => &["RUN-02", "RUN-03", "RUN-04", "RUN-05"],
            Self::GapFree => &["DLV-02"],
            Self::NoGhosts => &["RUN-07"],
            Self::NoRepeat => &["RUN-16"],
            Self::OnlyWhatAsked => &["RUN-10", "RUN-12"],
            Self::OneEnd => &["RUN-06"],
            Self::OneOutcome => &["DLV-08", "DLV-11"],
            Self::OneRunning => &["RUN-01"],
            Self::Order => &["DLV-04"],
            Self::ReplayEnds => &["DLV-16"],
            Self::Reported => &["RUN-14"],
            Self::Rests => &["CONN-07"],
            Self::SameBytes => &["DLV-03"],
            Self::Kept => &["DLV-12"],
            Self::WithinLimits => &["ISO-03"],
            Self::Fenced => &["DLV-09"],
            Self::FencedOff => &["DLV-26"],
            Self::InTurn => &["RUN-15"],
            Self::FiveKinds => &["RUN-02", "RUN-03"],
            Self::OnGoodToken => &["AUTH-03"],
        }
    }

    /// The invariants of the design it belongs to; none for the contract of the machines.
    #[must_use]
    pub const fn of_design(self) -> &'static [u8] {
        match self {
            Self::AttachedFirst => &[2],
            Self::CancelHonoured | Self::CancelInTime => &[10],
            Self::Converges => &[15],
            Self::CommittedFirst | Self::Kept => &[3],
            Self::EachOnce | Self::GapFree | Self::Order | Self::ReplayEnds => &[5],
            Self::FaultsCloseNothing => &[13],
            Self::Grammar | Self::FiveKinds => &[7],
            Self::NoGhosts | Self::OneEnd => &[3, 7],
            Self::AtMostOnce
            | Self::NoRepeat
            | Self::OnlyWhatAsked
            | Self::Reported
            | Self::Rests => &[],
            Self::OneOutcome => &[4],
            Self::OneRunning | Self::InTurn => &[8],
            Self::SameBytes => &[6],
            Self::WithinLimits => &[12],
            Self::Fenced | Self::FencedOff => &[3, 5],
            Self::OnGoodToken => &[11],
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AttachedFirst => "attached once, and first",
            Self::AtMostOnce => "an effect that cannot be repeated happens at most once",
            Self::CancelHonoured => "a run whose cancel was accepted ends cancelled",
            Self::CancelInTime => "a cancelled run is stopped within the grace",
            Self::Converges => "quiescence stays reachable, with everything answered",
            Self::CommittedFirst => "nothing is sent before it is committed",
            Self::EachOnce => "a client sees each entry once and in order",
            Self::FaultsCloseNothing => "a failing dependency closes nothing",
            Self::Grammar => "the events of a run follow the grammar",
            Self::GapFree => "the log has no hole",
            Self::NoGhosts => "what a replaced task says is never visible",
            Self::NoRepeat => "no effect is repeated whose result is in the log",
            Self::OnlyWhatAsked => "only what asked for it ends with its client",
            Self::OneEnd => "exactly one terminal event, and nothing after it",
            Self::OneOutcome => "one message, one outcome",
            Self::OneRunning => "at most one run of a thread is at work",
            Self::Order => "a connection hears a thread in order, without a hole",
            Self::ReplayEnds => "a replay ends with its word, before anything live",
            Self::Reported => "the report is never left out",
            Self::Rests => "every machine comes to rest, with its deadline ahead",
            Self::SameBytes => "live and replayed entries have the log's bytes",
            Self::Kept => "what is acknowledged is stored",
            Self::WithinLimits => "what waits stays within its limit",
            Self::Fenced => "an older fence writes nothing",
            Self::FencedOff => "a hub is given up only for another writer",
            Self::InTurn => "the runs of a thread begin in their order",
            Self::FiveKinds => "a completed run has all five kinds of events",
            Self::OnGoodToken => "nothing comes on a token whose grace is over",
        }
    }
}

/// An invariant that did not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.invariant.requirements().join(", ");
        write!(f, "not so: {} ({ids}): {}", self.invariant.name(), self.what)
    }
}

/// Things a world must have met, so that what holds in it means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Witness {
    /// A client showed an entry.
    Applied,
    /// A run was told to stop.
    Cancelled,
    /// A process died.
    Crashed,
    /// A write was done and nobody heard of it.
    DoneUnheard,
    /// A message was told to be a repetition.
    Duplicate,
    /// A write was refused for its fence.
    Fenced,
    /// A hub was given up, because another writer has its run.
    FencedOff,
    /// A task that had been replaced spoke.
    Ghost,
    /// A socket was dead on one side only.
    HalfOpen,
    /// A run ended interrupted.
    Interrupted,
    /// A task was stopped by force.
    Killed,
    /// A tool answered when nobody waited for it any more.
    LateResult,
    /// A write landed after nobody waited for it any more, and changed the log.
    LandedLate,
    /// An answer came twice.
    Repeated,
    /// A run was told a result of a tool twice.
    ResultTwice,
    /// A message was refused because its thread was busy.
    Rejected,
    /// A reader was sent away by a hub that was given up.
    SentAway,
    /// An entry was sent again, marked as replay.
    Replayed,
    /// Civil time was set back at a node with a run at work and a reader.
    SetBack,
    /// Civil time was set forwards at a node with a run at work and a reader.
    SetForward,
    /// A node with a run at work and a reader stood still.
    StoodStill,
    /// An agent spoke after its run had stopped it.
    StoppedAgent,
    /// A message was told to try later, because the store was down.
    StoreDown,
    /// Another node took the lease over.
    TakenOver,
    /// A run ended timed out.
    TimedOut,
    /// A run waited for another.
    Waited,
}

/// Which witnesses there were.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen(u32);

impl Seen {
    /// It happened.
    pub const fn note(&mut self, witness: Witness) {
        self.0 |= 1 << witness as u32;
    }

    /// Whether it happened.
    #[must_use]
    pub const fn has(self, witness: Witness) -> bool {
        self.0 & (1 << witness as u32) != 0
    }

    /// What happened in either.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Kept beside the state, for checks and reports: no part of what makes two worlds equal.
#[derive(Clone, Debug, Default)]
pub struct Aside<T>(pub T);

impl<T> PartialEq for Aside<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Aside<T> {}

impl<T> Hash for Aside<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_invariant_is_listed_once_and_names_its_requirements() {
        let all: std::collections::BTreeSet<_> = Invariant::ALL.into_iter().collect();
        assert_eq!(all.len(), Invariant::ALL.len());
        let names: std::collections::BTreeSet<_> = all.iter().map(|one| one.name()).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|one| !one.requirements().is_empty()));
    }
}
