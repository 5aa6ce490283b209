//! One client and its hub: messages, logs, subscriptions, over sockets that break on either side and
//! a store whose answers get lost.

use goldenpath_core::limits::Limits;
use goldenpath_models::{Bounded, Fault, Healing, State};
use goldenpath_simulator::{Op, Setup, Talk, Witness, Work};
use stateright::Property;

fn at_once() -> Vec<Property<Bounded>> {
    vec![
        Property::sometimes("a client shows an entry", |_, s: &State| {
            s.world.seen.0.has(Witness::Applied)
        }),
        Property::sometimes("a socket is dead on one side", |_, s: &State| {
            s.world.readers.values().any(|reader| reader.half_open)
        }),
        Property::sometimes("a process dies", |_, s: &State| s.world.seen.0.has(Witness::Crashed)),
        Property::sometimes("a write is done unheard", |_, s: &State| {
            s.world.seen.0.has(Witness::DoneUnheard)
        }),
    ]
}

fn in_time() -> Vec<Property<Bounded>> {
    let mut properties = at_once();
    properties.extend([
        Property::sometimes("an entry is replayed", |_, s: &State| {
            s.world.seen.0.has(Witness::Replayed)
        }),
        Property::sometimes("a message is sent twice", |_, s: &State| {
            s.world.seen.0.has(Witness::Duplicate)
        }),
        Property::sometimes("two connections of the one client", |_, s: &State| {
            s.world.readers.len() == 2
        }),
    ]);
    properties
}

/// One client, and pages of two entries, so that a replay has many.
fn one_client(wishes: Vec<Op>, at_most: u8, times: u8) -> Bounded {
    Bounded {
        setup: Setup {
            limits: Limits { load_page: 2, ..Limits::default() },
            clients: 1,
            work: Work::Answer,
            wall_stands: true,
            ..Setup::default()
        },
        wishes: vec![wishes],
        faults: vec![
            (Fault::Crash, 1),
            (Fault::Cut, at_most),
            (Fault::DialFails, 1),
            (Fault::DoneUnheard, 1),
            (Fault::Down, 1),
            (Fault::LostUnheard, 1),
            (Fault::Pass, times),
            (Fault::Repeat, 1),
        ],
        at_most,
        outbox: usize::MAX,
        quick: false,
        readers: vec![],
        sometimes: if times > 0 { in_time } else { at_once },
        healing: Healing::default(),
    }
}

#[test]
fn whatever_breaks_a_client_sees_each_entry_once_and_every_message_is_answered() {
    let wishes = vec![Op::Send(0, Talk::new(0, None)), Op::Send(0, Talk::new(1, Some(0)))];
    one_client(wishes, 2, 0).prove("delivery");
}

#[test]
fn whenever_time_passes_a_client_comes_back_and_sees_what_it_missed() {
    one_client(vec![Op::Send(0, Talk::new(0, None))], 1, 1).prove("delivery_in_time");
}

fn twice() -> Vec<Property<Bounded>> {
    vec![
        Property::sometimes(
            "after both it comes back and sees what it missed",
            |m: &Bounded, s: &State| {
                let both = s.spent(Fault::Cut) == 1
                    && s.spent(Fault::DoneUnheard) + s.spent(Fault::LostUnheard) == 1;
                both && s.world.seen.0.has(Witness::Replayed) && s.is_over(m)
            },
        ),
        Property::sometimes("after both its message is sent twice", |_, s: &State| {
            s.spent(Fault::Cut) == 1
                && s.spent(Fault::DoneUnheard) == 1
                && s.world.seen.0.has(Witness::Duplicate)
        }),
        Property::sometimes("a socket is dead on one side", |_, s: &State| {
            s.world.readers.values().any(|reader| reader.half_open)
        }),
    ]
}

/// Two faults of one message, where time passes only once all else is done: its socket breaks, and nobody knows
/// what became of a write.
#[test]
fn whatever_became_of_a_write_a_client_that_was_cut_off_sees_it_once() {
    let wide = one_client(vec![Op::Send(0, Talk::new(0, None))], 2, 4);
    let model = Bounded { quick: true, sometimes: twice, ..wide };
    model.prove("delivery_of_unknown_outcome");
}

fn too_slow() -> Vec<Property<Bounded>> {
    vec![
        Property::sometimes("a reader is too slow", |_, s: &State| s.overflowed),
        Property::sometimes("not recovered: a log is read whole", |_, s: &State| {
            s.world.seats.iter().any(|seat| seat.loads() > 0)
        }),
        Property::sometimes(
            "one that was too slow shows all there is",
            |m: &Bounded, s: &State| {
                let seat = &s.world.seats[0];
                let shown =
                    seat.view.iter().map(|(id, seq)| s.world.store.threads[id].head() == *seq);
                s.overflowed && s.is_over(m) && seat.coming() == 0 && shown.eq([true])
            },
        ),
        Property::sometimes("an entry is replayed", |_, s: &State| {
            s.world.seen.0.has(Witness::Replayed)
        }),
    ]
}

/// An outbox of a few frames, and a replay of one entry at most: who reads too slowly is sent away, and who
/// has missed more than that reads the whole log.
#[test]
fn however_slowly_a_client_reads_it_sees_everything_in_the_end() {
    let wide = one_client(vec![Op::Send(0, Talk::new(0, None))], 1, 1);
    let limits = Limits { replay_entries: 1, ..wide.setup.limits.clone() };
    let setup = Setup { limits, ..wide.setup };
    let faults = vec![(Fault::DoneUnheard, 1), (Fault::Down, 1), (Fault::Pass, 2)];
    let model = Bounded { setup, faults, outbox: 3, sometimes: too_slow, ..wide };
    model.prove("delivery_to_slow_readers");
}
