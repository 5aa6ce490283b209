//! Leases and fences of two nodes over one store: processes die, the lease passes on while the one
//! who had it is still at work, and a write lands late.

use goldenpath_models::{Bounded, Fault, Healing, State};
use goldenpath_simulator::{Op, Reader, Setup, Talk, Witness, Work};
use stateright::Property;

fn sometimes() -> Vec<Property<Bounded>> {
    vec![
        Property::sometimes("a process dies", |_, s: &State| s.world.seen.0.has(Witness::Crashed)),
        Property::sometimes("the lease passes on", |_, s: &State| {
            s.world.seen.0.has(Witness::TakenOver)
        }),
        Property::sometimes("a write is fenced off", |_, s: &State| {
            s.world.seen.0.has(Witness::Fenced)
        }),
        Property::sometimes("a hub is given up", |_, s: &State| {
            s.world.seen.0.has(Witness::FencedOff)
        }),
        Property::sometimes("a write lands late", |_, s: &State| {
            s.world.seen.0.has(Witness::LandedLate)
        }),
        Property::sometimes("both nodes have a task of the run", |_, s: &State| {
            s.world.nodes.iter().all(|node| !node.tasks.is_empty())
        }),
    ]
}

fn taking_over() -> Vec<Property<Bounded>> {
    let met = ["the lease passes on", "a write is fenced off", "a hub is given up"];
    let mut properties = sometimes();
    properties.retain(|property| met.contains(&property.name));
    assert_eq!(properties.len(), met.len());
    properties.push(Property::sometimes("a reader is sent away", |_, s: &State| {
        s.world.seen.0.has(Witness::SentAway)
    }));
    properties.push(Property::sometimes(
        "who was sent away has everything at the other node",
        |m: &Bounded, s: &State| {
            let mut open = s.world.readers.values().filter(|one| one.closed.is_none());
            let has_all = |reader: &Reader| {
                let heads = s.world.store.threads.iter().map(|(id, log)| (*id, log.head()));
                reader.positions.iter().map(|(id, seq)| (*id, *seq)).eq(heads)
            };
            let there = |reader: &Reader| Some(reader.node) == s.world.lease && has_all(reader);
            s.world.seen.0.has(Witness::SentAway) && s.is_over(m) && open.any(there)
        },
    ));
    properties
}

/// Two nodes; the first one has the lease, and a reader.
fn two_nodes(wishes: Vec<Op>, faults: Vec<(Fault, u8)>) -> Bounded {
    Bounded {
        setup: Setup { nodes: 2, work: Work::Answer, wall_stands: true, ..Setup::default() },
        wishes: vec![wishes],
        faults,
        at_most: 2,
        outbox: usize::MAX,
        quick: false,
        readers: vec![0],
        sometimes,
        healing: Healing::default(),
    }
}

// DLV-09: a write with an older fence is never visible; the store's own suite is cited for it.
#[test]
fn whatever_lands_late_a_run_has_one_writer_and_one_end() {
    let wishes = vec![Op::Say(0, Talk::new(0, None))];
    let faults = vec![
        (Fault::Crash, 1),
        (Fault::DoneLater, 1),
        (Fault::DoneUnheard, 1),
        (Fault::Die, 1),
        (Fault::TakeOver, 2),
        (Fault::Pass, 1),
    ];
    two_nodes(wishes, faults).prove("nodes");
}

/// A run of many entries: whoever goes on with it under the fence it had doubles what is in its log. Whoever
/// reads where it was begun is sent away with the first write that is fenced off.
#[test]
fn whoever_takes_a_run_over_is_the_only_one_who_goes_on_with_it() {
    let taken_over = two_nodes(vec![Op::Say(0, Talk::new(0, None))], vec![(Fault::TakeOver, 1)]);
    let setup = Setup { work: Work::FiveKinds, ..taken_over.setup };
    let model = Bounded { setup, sometimes: taking_over, ..taken_over };
    model.prove("nodes_taking_over");
}
