//! What must hold of every log, whoever looks at it.

use goldenpath_core::id::RunId;
use goldenpath_core::run::Grammar;
use goldenpath_core::wire::{Entry, RunStatus};
use serde_json::Value;
use std::collections::BTreeMap;

/// Checks a whole log: gap-free, one thread, one epoch, the grammar of every run, exactly one end
/// each. Answers how each run ended.
///
/// # Panics
/// When something does not hold; the message names the entry.
#[must_use]
pub fn check_log(frames: &[Value]) -> BTreeMap<RunId, RunStatus> {
    let ends = check_part(frames);
    let mut statuses = BTreeMap::new();
    for (run_id, end) in ends {
        statuses.insert(run_id, end.unwrap_or_else(|| panic!("{run_id} has no end")));
    }
    statuses
}

/// As [`check_log`], for a log that still grows: runs may be unfinished.
///
/// # Panics
/// When something does not hold.
#[must_use]
pub fn check_part(frames: &[Value]) -> BTreeMap<RunId, Option<RunStatus>> {
    let mut grammars: BTreeMap<RunId, Grammar> = BTreeMap::new();
    let mut ids = std::collections::BTreeSet::new();
    for (place, frame) in frames.iter().enumerate() {
        let entry = Entry::decode(frame.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{error}: {frame}"));
        assert_eq!(entry.seq.0, place as u64 + 1, "a hole before {frame}");
        assert_eq!(frame["thread_id"], frames[0]["thread_id"], "another thread: {frame}");
        assert_eq!(frame["epoch"], frames[0]["epoch"], "another epoch: {frame}");
        assert!(ids.insert(entry.id), "an entry twice: {frame}");
        if let Some(run_id) = entry.run_id {
            let grammar = grammars.entry(run_id).or_insert_with(|| Grammar::new(run_id));
            if let Err(violation) = grammar.observe_entry(&entry) {
                panic!("{violation}: {frame}");
            }
        }
    }
    grammars.into_iter().map(|(run_id, grammar)| (run_id, grammar.ended())).collect()
}

/// The entry without what may differ between live and replay.
#[must_use]
pub fn bare(frame: &Value) -> Value {
    let mut bare = frame.clone();
    if let Some(fields) = bare.as_object_mut() {
        fields.remove("replay");
    }
    bare
}

/// The durable entries among frames, in the order heard.
#[must_use]
pub fn entries(frames: &[Value]) -> Vec<Value> {
    frames
        .iter()
        .filter(|frame| frame["seq"].is_u64() && frame["id"].is_string())
        .cloned()
        .collect()
}

/// The types of frames, in order.
#[must_use]
pub fn kinds(frames: &[Value]) -> Vec<String> {
    frames.iter().map(|frame| frame["type"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The five critical events.
pub const CRITICAL: [&str; 5] =
    ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];
