//! Random histories: messages, repeats, windows that come, go and resume, tasks that speak and die,
//! cancels, a store that fails before and after writing, crashes of the process; then all faults stop
//! and everything must come to its end (invariants 3, 4, 5, 6, 7, 8, 12, 15).

use crate::world::{Store3, World, message, points};
use goldenpath_core::hub::Input;
use goldenpath_core::id::{ConnectionId, ThreadId};
use goldenpath_core::run::Grammar;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{ClientBody, Entry, MultitaskStrategy, OnDisconnect};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
enum Step {
    Answer(usize, u8),
    Attach,
    Cancel(usize),
    Crash,
    Detach(usize),
    Die(usize),
    Pass(u64),
    /// Leave and come back at the position reached.
    Return(usize),
    Say {
        reader: usize,
        name: u8,
        thread: usize,
        strategy: u8,
        cancel: bool,
    },
    Speak(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..8usize, 0..8u8).prop_map(|(i, how)| Step::Answer(i, how)),
        2 => Just(Step::Attach),
        1 => (0..4usize).prop_map(Step::Cancel),
        1 => Just(Step::Crash),
        1 => (0..4usize).prop_map(Step::Detach),
        1 => (0..4usize).prop_map(Step::Die),
        3 => (1..3_000u64).prop_map(Step::Pass),
        2 => (0..4usize).prop_map(Step::Return),
        5 => (0..4usize, 0..12u8, 0..4usize, 0..6u8, any::<bool>()).prop_map(
            |(reader, name, thread, strategy, cancel)| Step::Say {
                reader, name, thread, strategy, cancel,
            }
        ),
        8 => (0..4usize, 1..4usize).prop_map(|(i, n)| Step::Speak(i, n)),
    ];
    prop::collection::vec(step, 1..120)
}

fn pick<K: Copy, V>(map: &BTreeMap<K, V>, index: usize) -> Option<K> {
    let len = map.len();
    (len > 0).then(|| map.keys().nth(index % len).copied()).flatten()
}

fn open_readers(world: &World) -> Vec<ConnectionId> {
    let open = world.readers.iter().filter(|(_, reader)| reader.closed.is_none());
    open.map(|(connection_id, _)| *connection_id).collect()
}

/// A reader that may speak: its own connection lets nothing through before it is attached.
fn reader(world: &World, index: usize) -> Option<ConnectionId> {
    let mut open = open_readers(world);
    open.retain(|connection_id| world.readers[connection_id].attached);
    (!open.is_empty()).then(|| open[index % open.len()])
}

fn apply(world: &mut World, step: &Step) {
    match step {
        Step::Answer(index, how) => {
            if !world.pending.is_empty() {
                let how = match how {
                    0 => Store3::Down,
                    1 => Store3::DoneUnheard,
                    _ => Store3::Well,
                };
                world.answer(index % world.pending.len(), how);
            }
        }
        Step::Attach => {
            world.attach(Vec::new());
        }
        Step::Cancel(index) => {
            let run = pick(&world.store.runs, *index);
            if let (Some(run_id), Some(reader)) = (run, reader(world, 0)) {
                world.command(reader, ClientBody::CancelRun { run_id: Some(run_id) });
            }
        }
        Step::Crash => world.crash(),
        Step::Detach(index) => {
            if let Some(connection_id) = reader(world, *index) {
                world.readers.remove(&connection_id);
                world.detach(connection_id);
            }
        }
        Step::Die(index) => {
            if let Some(run_id) = pick(&world.tasks, *index)
                && let Some(task) = world.tasks.remove(&run_id)
            {
                world.input(Input::RunStopped { run_id, fence: task.fence });
            }
        }
        Step::Pass(ms) => world.pass(Millis(*ms)),
        Step::Return(index) => {
            if let Some(connection_id) = reader(world, *index) {
                let left = world.readers.remove(&connection_id).unwrap();
                world.detach(connection_id);
                let epochs: BTreeMap<ThreadId, _> =
                    world.store.threads.iter().map(|(id, log)| (*id, log.epoch)).collect();
                world.attach(points(&left, |thread_id| epochs.get(&thread_id).copied()));
            }
        }
        Step::Say { reader: index, name, thread, strategy, cancel } => {
            if let Some(connection_id) = reader(world, *index) {
                // Half of all messages open a thread; the name decides, so that a repeat is a repeat.
                let thread_id = match name % 2 {
                    0 => None,
                    _ => pick(&world.store.threads, *thread),
                };
                let mut message = message(&format!("m{name}"), thread_id);
                message.multitask = match strategy {
                    0 => MultitaskStrategy::Reject,
                    1 => MultitaskStrategy::Interrupt,
                    _ => MultitaskStrategy::Enqueue,
                };
                if *cancel {
                    message.on_disconnect = OnDisconnect::Cancel;
                }
                world.say(connection_id, message);
            }
        }
        Step::Speak(index, count) => {
            if let Some(run_id) = pick(&world.tasks, *index) {
                world.speak(run_id, *count);
            }
        }
    }
}

fn check(world: &World, acknowledged: &BTreeSet<String>) {
    for name in acknowledged {
        assert!(
            world.store.messages.keys().any(|known| known.as_str() == name),
            "acknowledged and lost: {name}"
        );
    }
    for thread_id in world.store.threads.keys() {
        let entries = world.entries(*thread_id);
        let mut grammars: BTreeMap<_, Grammar> = BTreeMap::new();
        for entry in &entries {
            if let Some(run_id) = entry.run_id {
                let grammar = grammars.entry(run_id).or_insert_with(|| Grammar::new(run_id));
                let said = grammar.observe_entry(entry);
                assert!(said.is_ok(), "{said:?} at {entry:?}\nin {:#?}", names(&entries));
            }
        }
        for (run_id, run) in world.store.runs.iter().filter(|(_, r)| r.thread_id == *thread_id) {
            let ends: Vec<_> = entries
                .iter()
                .filter(|entry| entry.run_id == Some(*run_id))
                .filter_map(|entry| entry.event.terminal_status())
                .collect();
            assert_eq!(ends, [run.status], "exactly one end of {run_id}");
        }
    }
    for reader in world.readers.values().filter(|reader| reader.closed.is_none()) {
        assert!(reader.attached);
        for (thread_id, seq) in &reader.positions {
            let head = world.store.threads[thread_id].entries.len() as u64;
            assert_eq!(seq.0, head, "up to date");
        }
    }
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|e| format!("{} {:?}", e.event.type_name(), e.run_id)).collect()
}

fn note_acks(world: &World, acknowledged: &mut BTreeSet<String>) {
    for reader in world.readers.values() {
        for frame in reader.control.iter().filter(|frame| frame["type"] == "ack") {
            if let Some(name) = frame["payload"]["client_msg_id"].as_str() {
                acknowledged.insert(name.to_owned());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    //= specs/delivery.md#dlv-05
    //= type=test
    //# Every entry MUST in the end reach a reader that stays connected or keeps resuming.
    //= specs/runs.md#run-08
    //= type=test
    //# Every accepted run MUST reach its terminal event, provided the store accepts writes in the
    //# end.
    #[test]
    fn whatever_happens_everything_comes_to_its_end(steps in steps()) {
        let mut world = World::new();
        world.attach(Vec::new());
        let mut acknowledged = BTreeSet::new();
        for step in &steps {
            apply(&mut world, step);
            note_acks(&world, &mut acknowledged);
        }
        world.settle();
        note_acks(&world, &mut acknowledged);
        check(&world, &acknowledged);
        for connection_id in open_readers(&world) {
            world.detach(connection_id);
        }
        for _ in 0..200 {
            while !world.pending.is_empty() {
                world.answer(0, Store3::Well);
            }
            while let Some(run_id) = world.tasks.keys().next().copied() {
                world.speak(run_id, 100);
            }
            world.pass(Millis(100));
        }
        prop_assert!(world.retired, "nothing is left behind");
    }
}
