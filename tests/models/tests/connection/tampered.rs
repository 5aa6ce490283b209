//! Each rule of the watch can fail: what a real connection said is tampered with, and exactly those rules
//! say so. There is a row for each place that names a rule; a place without one is found, too.

use crate::watch::{Watch, Wrong};
use crate::with_token;
use crate::world::{Act, Answer, ENTRY, Phase, State, TOKENS, Text, drain, give, identity, limits};
use goldenpath_core::connection::{Connection, Output};
use goldenpath_core::fault::End;
use goldenpath_core::time::{Millis, Now};
use goldenpath_core::wire::{ClientBody, CloseCode, Frame, Json, Reply};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// One step as it is shown to the watch.
struct Step {
    act: Act,
    before: Connection,
    after: Connection,
    now: Now,
    outputs: Vec<Output>,
}

impl Step {
    /// The frames of a kind are not there.
    fn unsay(&mut self, kind: &str) {
        let word = format!(r#""type":"{kind}""#);
        let is_it = |output: &Output| matches!(output, Output::Send(frame) if frame.as_str().contains(&word));
        let before = self.outputs.len();
        self.outputs.retain(|output| !is_it(output));
        assert_ne!(before, self.outputs.len(), "{kind} was said");
    }

    fn without(&mut self, is_it: fn(&Output) -> bool) {
        let before = self.outputs.len();
        self.outputs.retain(|output| !is_it(output));
        assert_ne!(before, self.outputs.len(), "it was said");
    }

    fn twice(&mut self, is_it: fn(&Output) -> bool) {
        let place = self.outputs.iter().position(is_it).unwrap();
        self.outputs.insert(place, self.outputs[place].clone());
    }

    /// Some frame in the place of another one.
    fn rewrite(&mut self, from: &str, to: &str) {
        for output in &mut self.outputs {
            if let Output::Send(frame) = output
                && frame.as_str().contains(from)
            {
                *output = said(&frame.as_str().replace(from, to));
                return;
            }
        }
        panic!("nobody said {from}");
    }

    /// Nothing happened at all.
    fn nothing(&mut self) {
        self.outputs.clear();
        self.after = self.before.clone();
    }

    fn later(&mut self, seconds: u64) {
        self.now = self.now.after(Millis::from_secs(seconds));
    }

    /// The driver looks after so many seconds, and the machine does nothing.
    fn looks(&mut self, seconds: u64) {
        self.nothing();
        self.act = Act::Deadline;
        self.later(seconds);
    }
}

fn said(text: &str) -> Output {
    Output::Send(Frame::encode(&Json::parse(text).unwrap()))
}

fn kind(kind: &str) -> Output {
    said(&format!(r#"{{"type":"{kind}"}}"#))
}

fn entry() -> Output {
    Output::Send(Frame::encode(&ENTRY))
}

fn forward(content: &str) -> Output {
    let mut message = goldenpath_simulator::message("m", None);
    message.content = content.into();
    Output::Forward { reply: Reply::None, body: ClientBody::UserMessage(message) }
}

/// What has to be named first, and what else is wrong then; the way there; what happens; the tampering.
type Row = (Wrong, Wrong, &'static [Act], Act, fn(&mut Step));

const NOTHING: Wrong = Wrong::NOTHING;
const MESSAGE: Act = Act::Peer(Text::Message);
const REFRESH: Act = Act::Peer(Text::Refresh);
const ADA: Act = Act::Verdict(0, Answer::Ada);
const LONG: Act = Act::Verdict(0, Answer::AdaLonger);
const KNOWN: &[Act] = &[Act::Upgraded, ADA];
const READY: &[Act] = &[Act::Upgraded, ADA, Act::Attached];
const LONG_READY: &[Act] = &[Act::Upgraded, LONG, Act::Attached];
const REFRESHING: &[Act] = &[Act::Upgraded, ADA, Act::Attached, REFRESH];
const DRAINING: &[Act] = &[Act::Upgraded, ADA, Act::Attached, Act::Drain];

const fn and(one: Wrong, other: Wrong) -> Wrong {
    Wrong(one.0 | other.0)
}

fn rows() -> Vec<Row> {
    let mut rows = of_outputs();
    rows.extend(of_acts());
    rows.extend(of_time());
    rows
}

/// Rules about what is said, wherever it is said.
fn of_outputs() -> Vec<Row> {
    vec![
        (Wrong::CONN_07, NOTHING, READY, Act::Alive, |step| {
            step.outputs.extend(vec![Output::Idle(None); 100]);
        }),
        (Wrong::END, Wrong::CONN_05, READY, Act::Lost, |step| {
            step.outputs.push(Output::Idle(None));
        }),
        (Wrong::END, NOTHING, READY, Act::Lost, |step| {
            step.without(|output| matches!(output, Output::Ended(_)));
        }),
        (Wrong::END, NOTHING, READY, Act::Lost, |step| step.before = step.after.clone()),
        (Wrong::CONN_02, NOTHING, &[Act::Upgraded, MESSAGE, ADA], Act::Attached, |step| {
            step.without(|output| matches!(output, Output::Forward { .. }));
        }),
        (Wrong::CONN_05, NOTHING, READY, Act::Revoked, |step| {
            let end = step.outputs.iter().position(|one| matches!(one, Output::Close(_))).unwrap();
            step.outputs.insert(end + 1, kind("pong"));
        }),
        (Wrong::CONN_01, NOTHING, &[], Act::Upgraded, |step| step.act = Act::Alive),
        (Wrong::CONN_03, NOTHING, &[], Act::Upgraded, |step| {
            step.twice(|output| matches!(output, Output::Verify { .. }));
        }),
        (Wrong::CONN_03, NOTHING, &[Act::Upgraded], ADA, |step| {
            step.twice(|output| matches!(output, Output::Attach { .. }));
        }),
        (Wrong::AUTH_01, NOTHING, &[Act::Upgraded], ADA, |step| {
            for output in &mut step.outputs {
                if let Output::Attach { identity: who, .. } = output {
                    *who = identity(Answer::Eve).unwrap();
                }
            }
        }),
        (Wrong::CONN_01, NOTHING, &[Act::Upgraded], MESSAGE, |step| {
            step.outputs.push(forward("number 1"));
        }),
        (Wrong::INV_11, NOTHING, READY, MESSAGE, |step| step.later(24)),
        (Wrong::END, NOTHING, &[Act::Upgraded], Act::Alive, |step| {
            step.outputs.push(Output::Detach);
        }),
        (Wrong::INV_14, NOTHING, READY, Act::Revoked, |step| step.unsay("disconnect")),
        (Wrong::END, NOTHING, READY, Act::Lost, |step| {
            step.without(|output| matches!(output, Output::Detach));
        }),
        (Wrong::INV_14, NOTHING, READY, Act::Revoked, |step| {
            step.without(|output| matches!(output, Output::Close(_)));
        }),
        (Wrong::CONN_01, NOTHING, &[], Act::Alive, |step| step.outputs.push(kind("pong"))),
        (Wrong::AUTH_05, NOTHING, READY, Act::Alive, |step| {
            step.outputs.push(said(&format!(r#"{{"type":"pong","id":"{}"}}"#, TOKENS[0])));
        }),
        (Wrong::CONN_08, NOTHING, KNOWN, Act::Attached, |step| {
            step.twice(|output| matches!(output, Output::Send(_)));
        }),
        (
            Wrong::INV_11,
            and(Wrong::AUTH_03, and(Wrong::SPIN, Wrong::WARN)),
            KNOWN,
            Act::Attached,
            |step| {
                step.later(24);
            },
        ),
        (Wrong::AUTH_01, NOTHING, KNOWN, Act::Attached, |step| step.rewrite("ada", "eve")),
        (Wrong::AUTH_02, NOTHING, READY, Act::Alive, |step| step.outputs.push(entry())),
        (Wrong::AUTH_02, NOTHING, KNOWN, Act::Deliver, |step| step.outputs = vec![entry()]),
        (Wrong::INV_11, NOTHING, READY, Act::Deliver, |step| step.later(24)),
        (Wrong::CONN_08, NOTHING, KNOWN, Act::Alive, |step| {
            step.outputs.push(kind("service_status"));
        }),
        (Wrong::DRAIN_04, NOTHING, DRAINING, MESSAGE, |step| {
            step.outputs = vec![forward("number 1")];
        }),
        (Wrong::AUTH_04, NOTHING, READY, Act::Alive, |step| step.outputs.push(forward("of bob"))),
        (Wrong::CONN_02, NOTHING, READY, MESSAGE, |step| {
            step.twice(|output| matches!(output, Output::Forward { .. }));
        }),
        (Wrong::AUTH_04, NOTHING, &[Act::Upgraded], ADA, |step| step.after = step.before.clone()),
    ]
}

/// Rules about what an act or a verdict leads to.
fn of_acts() -> Vec<Row> {
    vec![
        (Wrong::AUTH_01, NOTHING, READY, Act::Verdict(9, Answer::Eve), |step| {
            step.outputs.push(kind("error"));
        }),
        (Wrong::AUTH_01, NOTHING, KNOWN, Act::Attached, |step| {
            step.act = Act::Verdict(9, Answer::Ada);
        }),
        (Wrong::AUTH_01, NOTHING, &[Act::Upgraded], Act::Verdict(0, Answer::No), Step::nothing),
        (Wrong::AUTH_01, NOTHING, REFRESHING, Act::Verdict(1, Answer::No), Step::nothing),
        (Wrong::AUTH_04, NOTHING, REFRESHING, Act::Verdict(1, Answer::Eve), Step::nothing),
        (Wrong::AUTH_01, NOTHING, &[Act::Upgraded], ADA, |step| {
            step.without(|output| matches!(output, Output::Attach { .. }));
        }),
        (Wrong::INV_14, NOTHING, READY, Act::Binary, Step::nothing),
        (Wrong::INV_14, NOTHING, READY, Act::InvalidUtf8, Step::nothing),
        (Wrong::INV_14, NOTHING, READY, Act::TooBig, Step::nothing),
        (Wrong::INV_14, NOTHING, READY, Act::HubCloses(CloseCode::Replaced), Step::nothing),
        (Wrong::INV_14, NOTHING, READY, Act::Overflow, Step::nothing),
        (Wrong::AUTH_08, NOTHING, READY, Act::Revoked, Step::nothing),
        (Wrong::END, NOTHING, READY, Act::Lost, Step::nothing),
        (Wrong::END, NOTHING, READY, Act::PeerClosed, Step::nothing),
        (Wrong::DRAIN_04, NOTHING, &[Act::Upgraded], Act::Drain, |step| {
            step.nothing();
            step.outputs.push(kind("server_draining"));
        }),
        (Wrong::DRAIN_04, NOTHING, READY, Act::Revoked, |step| {
            step.act = Act::Drain;
            step.outputs.insert(0, kind("server_draining"));
        }),
        (Wrong::CONN_02, NOTHING, &[MESSAGE, MESSAGE, MESSAGE], Act::Upgraded, |step| {
            step.outputs.retain(|one| !matches!(one, Output::Send(_)));
        }),
        (Wrong::CONN_10, NOTHING, READY, Act::Peer(Text::Noise), Step::nothing),
        (Wrong::CONN_01, NOTHING, READY, Act::Peer(Text::Ping), Step::nothing),
        (Wrong::DRAIN_04, NOTHING, READY, Act::Drain, |step| step.unsay("server_draining")),
    ]
}

/// Rules about what is overdue.
fn of_time() -> Vec<Row> {
    vec![
        (Wrong::SPIN, NOTHING, READY, Act::Alive, |step| {
            // With a word left to say there is no deadline.
            give(&mut step.after, step.now, Act::Deliver, 1);
        }),
        (Wrong::AUTH_03, and(Wrong::SPIN, Wrong::WARN), READY, Act::Alive, |step| step.looks(24)),
        (Wrong::CONN_04, Wrong::SPIN, &[Act::Upgraded], Act::Alive, |step| step.looks(8)),
        (Wrong::CONN_09, Wrong::SPIN, LONG_READY, Act::Alive, |step| step.looks(33)),
        (Wrong::DRAIN_04, Wrong::SPIN, DRAINING, Act::Alive, |step| step.looks(1)),
        (Wrong::SPIN, NOTHING, LONG_READY, Act::Alive, |step| step.looks(18)),
        (Wrong::WARN, Wrong::SPIN, READY, Act::Alive, |step| step.looks(10)),
    ]
}

/// A connection after this way, when all was well on it.
fn state(way: &[Act]) -> State {
    let limits = Arc::new(limits());
    let mut state = State::new(with_token().remove(0), &limits, 5);
    for act in way {
        (state, _) = state.after(*act, &limits).unwrap();
        assert_eq!(state.watch.wrong, NOTHING, "before anything is tampered with: {act:?}");
    }
    state
}

fn found((_, _, way, act, tamper): Row) -> Wrong {
    let State { phase, now, mut watch, .. } = state(way);
    let Phase::Open(before) = phase else { panic!("it is open") };
    let mut after = before.clone();
    give(&mut after, now, act, watch.messages + 1);
    let outputs = drain(&mut after);
    let fair = judged(
        &mut watch.clone(),
        &Step {
            act,
            before: Connection::clone(&before),
            after: Connection::clone(&after),
            now,
            outputs: outputs.clone(),
        },
    );
    assert_eq!(fair, NOTHING, "{act:?} as it was");
    let mut step = Step { act, before: *before, after: *after, now, outputs };
    tamper(&mut step);
    judged(&mut watch, &step)
}

fn judged(watch: &mut Watch, step: &Step) -> Wrong {
    watch.see(step.act, &step.before, &step.after, step.now, &step.outputs);
    watch.wrong
}

#[test]
fn whatever_is_tampered_with_exactly_those_rules_say_so() {
    let mut silent = Vec::new();
    for (nth, row) in rows().into_iter().enumerate() {
        let (first, more, _, act, _) = row;
        let found = found(row);
        if found != and(first, more) {
            silent.push(format!("row {nth}, {act:?}: {:b} is {:b}", and(first, more).0, found.0));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn a_connection_that_goes_on_after_its_end_is_found() {
    let State { phase, now, mut watch, .. } = state(READY);
    let Phase::Open(machine) = phase else { panic!("it is open") };
    watch.check_deaf(&machine, now);
    assert_eq!(watch.wrong, Wrong::CONN_05);
    let State { phase, now, mut watch, .. } = state(READY);
    let Phase::Open(mut machine) = phase else { panic!("it is open") };
    give(&mut machine, now, Act::Lost, 1);
    drain(&mut machine);
    assert_eq!(machine.end(), Some(End::Lost));
    watch.check_deaf(&machine, now);
    assert_eq!(watch.wrong, NOTHING);
}

/// Each place of the watch that names a rule has a row, and every rule is named first by one of them.
#[test]
fn every_place_that_names_a_rule_is_tampered_with() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/connection/watch.rs");
    let text = fs::read_to_string(file).unwrap();
    let this = include_str!("tampered.rs");
    let rules = Wrong::ALL.0.count_ones();
    let first = rows().iter().fold(0, |all, row| all | row.0.0);
    // That one is about a connection that has ended already.
    let first = first | Wrong::CONN_05.0;
    assert_eq!((first, first.count_ones()), (Wrong::ALL.0, rules));
    let names = |text: &str, before: &str| {
        let places = text.split(before).skip(1);
        let word = |place: &str| -> String {
            place.chars().take_while(|one| one.is_alphanumeric() || *one == '_').collect()
        };
        places.map(word).filter(|word| word != "NOTHING").collect::<Vec<_>>()
    };
    let rows: String = this.split_whitespace().collect();
    let here = names(&rows.replace("and(", ""), "(Wrong::");
    let there = names(&text, "Wrong::");
    for rule in &there {
        let count = |names: &[String]| names.iter().filter(|name| *name == rule).count();
        let others = usize::from(rule == "CONN_05");
        assert!(count(&here) + others >= count(&there), "{rule} has too few rows");
    }
    assert!(there.len() >= rules as usize);
}
