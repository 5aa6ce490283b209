//! Rules that hold wherever the machines are watched: in these worlds, and where the real run-time drives
//! them. Each answers what does not hold.

use crate::invariant::{Broken, Invariant};
use crate::store::{Log, Store};
use goldenpath_core::id::{ClientMsgId, Name, RunId, Seq, ThreadId, ToolCallId};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::Grammar;
use goldenpath_core::time::Mono;
use goldenpath_core::wire::{AgentStatus, Entry, Event, RunStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn not(invariant: Invariant, what: impl Into<String>) -> Broken {
    Broken { invariant, what: what.into() }
}

/// Everything of one user, as it is stored. `cancels` are the runs whose cancel was acknowledged.
#[must_use]
pub fn of_store(store: &Store, limits: &Limits, cancels: &BTreeSet<RunId>) -> Vec<Broken> {
    let threads = store.threads.keys();
    threads.flat_map(|thread_id| of_thread(store, *thread_id, limits, cancels)).collect()
}

/// One thread, as it is stored: its log, and its runs beside it.
#[must_use]
pub fn of_thread(
    store: &Store,
    thread_id: ThreadId,
    limits: &Limits,
    cancels: &BTreeSet<RunId>,
) -> Vec<Broken> {
    let mut broken = Vec::new();
    let Some(log) = store.threads.get(&thread_id) else { return broken };
    let mut grammars: BTreeMap<RunId, Grammar> = BTreeMap::new();
    for (place, entry) in (1..).map(Seq).zip(&log.decoded) {
        if entry.seq != place {
            broken.push(not(Invariant::GapFree, format!("{} where {place} is next", entry.seq)));
        }
        if entry.thread_id != thread_id || entry.epoch != log.epoch {
            broken.push(not(Invariant::GapFree, format!("{} does not belong here", entry.seq)));
        }
        let Some(run_id) = entry.run_id else { continue };
        let grammar = grammars.entry(run_id).or_insert_with(|| Grammar::new(run_id));
        if let Err(why) = grammar.observe_entry(entry) {
            let what = format!("{why} at {}: {}", entry.seq, words(log));
            broken.push(not(Invariant::Grammar, what));
        }
    }
    broken.extend(of_reports(log));
    let (mut running, mut queued) = (0, 0);
    for (run_id, run) in store.runs.iter().filter(|(_, run)| run.thread_id == thread_id) {
        running += usize::from(run.status == RunStatus::Running);
        queued += usize::from(run.status == RunStatus::Queued);
        if cancels.contains(run_id)
            && run.status.is_terminal()
            && run.status != RunStatus::Cancelled
        {
            let what = format!("{run_id} was cancelled and is {:?}", run.status);
            broken.push(not(Invariant::CancelHonoured, what));
        }
        let end = grammars.get(run_id).and_then(Grammar::ended);
        if end != Some(run.status).filter(|status| status.is_terminal()) {
            let what = format!("{run_id} is {:?}, its log: {end:?}", run.status);
            broken.push(not(Invariant::OneEnd, what));
        }
    }
    if running > 1 {
        let what = format!("{running} runs at work in {thread_id}");
        broken.push(not(Invariant::OneRunning, what));
    }
    // A run that was at work when its process died waits like the others.
    if queued > limits.queued_runs_per_thread + 1 {
        broken.push(not(Invariant::WithinLimits, format!("{queued} runs wait in {thread_id}")));
    }
    broken
}

/// The report agent ends every plan: it is never left out, and has worked when its run completes (RUN-14). A run
/// that is cut off, alone or with its task, need not come so far.
fn of_reports(log: &Log) -> Vec<Broken> {
    let mut reporters: BTreeMap<RunId, &Name> = BTreeMap::new();
    let mut reported: BTreeSet<RunId> = BTreeSet::new();
    let mut broken = Vec::new();
    for entry in &log.decoded {
        let Some(run_id) = entry.run_id else { continue };
        let reporter = reporters.get(&run_id).copied();
        let is_report = reporter.is_some() && entry.agent.as_ref().map(|one| &one.name) == reporter;
        let left_out = match &entry.event {
            Event::RunPlan { steps, .. } => {
                reporters.extend(steps.last().map(|step| (run_id, &step.agent)));
                false
            }
            Event::AgentCompleted { status, .. } if is_report => {
                reported.insert(run_id);
                *status == AgentStatus::Skipped
            }
            Event::RunCompleted { .. } => reporter.is_some() && !reported.contains(&run_id),
            _ => false,
        };
        if left_out {
            let what = format!("{run_id} has no report by {}: {}", entry.seq, words(log));
            broken.push(not(Invariant::Reported, what));
        }
    }
    broken
}

/// The task of a run begins, where so many tasks of the same user are at work, perhaps one of that run.
#[must_use]
pub fn of_start(run_id: RunId, again: bool, others: usize, limits: &Limits) -> Option<Broken> {
    if again {
        return Some(not(Invariant::OneRunning, format!("two tasks of {run_id}")));
    }
    (others >= limits.running_runs_per_user)
        .then(|| not(Invariant::WithinLimits, "too many runs at work"))
}

/// The task of a run begins: no older run of its thread still waits (RUN-15), unless its message is one of
/// these, which interrupt and so go first.
#[must_use]
pub fn of_turn(store: &Store, run_id: RunId, urgent: &BTreeSet<ClientMsgId>) -> Option<Broken> {
    let run = store.runs.get(&run_id)?;
    if store.messages.iter().any(|(name, one)| one.run_id == run_id && urgent.contains(name)) {
        return None;
    }
    let mut older = store
        .runs
        .iter()
        .filter(|(_, one)| one.thread_id == run.thread_id && one.order < run.order);
    let (waits, _) = older.find(|(_, one)| one.status == RunStatus::Queued)?;
    Some(not(Invariant::InTurn, format!("{run_id} begins, {waits} waits before it")))
}

/// A task that was told to stop is still at work.
#[must_use]
pub fn of_cancelled(told: Mono, now: Mono, limits: &Limits) -> Option<Broken> {
    (told.after(limits.cancel_grace) <= now)
        .then(|| not(Invariant::CancelInTime, "a cancelled task is still at work"))
}

/// A tool is called, and this is in the log by then: not its result (RUN-16). What cannot be repeated is
/// there as called, and was not called `before` (RUN-35).
#[must_use]
pub fn of_call(
    call: ToolCallId,
    log: &[Arc<Entry>],
    repeatable: bool,
    before: bool,
) -> Option<Broken> {
    let closes = |event: &Event| matches!(event, Event::ToolCompleted { tool_call_id, .. } if *tool_call_id == call);
    let opens = |event: &Event| matches!(event, Event::ToolExecuting { tool_call_id, .. } if *tool_call_id == call);
    if log.iter().any(|entry| closes(&entry.event)) {
        return Some(not(Invariant::NoRepeat, format!("{call} is called again")));
    }
    let opened = log.iter().any(|entry| opens(&entry.event));
    let what = || format!("{call}, in the log: {opened}, called before: {before}");
    (!repeatable && (!opened || before)).then(|| not(Invariant::AtMostOnce, what()))
}

/// What a log says, for reports.
fn words(log: &Log) -> String {
    let names = log.decoded.iter().map(|entry| entry.event.type_name());
    names.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HOME, Setup, Work, World, message};

    #[test]
    fn a_report_that_is_left_out_is_found() {
        let mut world = World::new(Setup { work: Work::Team, ..Setup::default() });
        let reader = world.attach(HOME, Vec::new());
        world.say(reader, message("m1", None));
        world.settle();
        let log = world.store.threads.values().next().unwrap();
        assert_eq!(of_reports(log), []);
        let of_report = |entry: &Arc<Entry>| {
            matches!(&entry.event, Event::AgentCompleted { .. })
                && entry.agent.as_ref().is_some_and(|agent| agent.name.as_str() == "report")
        };
        let place = log.decoded.iter().position(of_report).unwrap();
        let mut never = log.clone();
        never.decoded.remove(place);
        assert_eq!(of_reports(&never).len(), 1);
        let mut skipped = log.clone();
        let mut entry = Entry::clone(&skipped.decoded[place]);
        if let Event::AgentCompleted { status, .. } = &mut entry.event {
            *status = AgentStatus::Skipped;
        }
        skipped.decoded[place] = Arc::new(entry);
        assert_eq!(of_reports(&skipped).len(), 1);
    }
}
