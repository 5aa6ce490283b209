//! The matrix of a log's writing end, and its page.

use super::Log;
use super::log::Outcome;
use crate::auth::Scope;
use crate::fault::Fault;
use crate::hub::{Batch, Committed};
use crate::id::{EffectId, Epoch, EventId, Seq, ThreadId, UserId};
use crate::limits::Limits;
use crate::matrix::{self, Page};
use crate::time::{Mono, Wall};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A log, the question it waits for, and a clock.
#[derive(Clone)]
struct Writer {
    log: Log,
    asked: EffectId,
    effects: EffectId,
    now: Mono,
}

impl Writer {
    fn new() -> Self {
        let log = Log::new(Epoch(3), Seq(5));
        Self { log, asked: EffectId(0), effects: EffectId(1), now: Mono(1_000) }
    }

    fn begin(&mut self) -> String {
        if self.log.is_busy() {
            return String::new();
        }
        self.asked = self.effects.take_next();
        let scope = Scope::of(UserId::new("ada").unwrap());
        let place = (ThreadId(2), self.log.epoch());
        let batch = Batch::of(EventId(9), scope, place, Wall(0), Vec::new());
        self.log.begin(self.asked, batch);
        "write it".into()
    }

    fn hears(&mut self, effect: EffectId, result: Result<Committed, Fault>) -> String {
        match self.log.answered(self.now, &Limits::default(), effect, result) {
            Outcome::Done { .. } => "it is durable".into(),
            Outcome::Refused { why, .. } => format!("refused: {why:?}"),
            Outcome::Lost { .. } => "given up: the store will never take it".into(),
            Outcome::Waiting { uncertain: true, .. } => "wait; it may be written".into(),
            Outcome::Waiting { .. } => "wait; it is not written".into(),
            Outcome::Unasked => String::new(),
        }
    }

    fn answer(&mut self, result: Result<Committed, Fault>) -> String {
        self.hears(self.asked, result)
    }

    fn retry(&mut self, now: Mono) -> String {
        let Some((asked, batch)) = self.log.retry(now, &mut self.effects) else {
            return String::new();
        };
        (self.asked, self.now) = (asked, now);
        assert_eq!(batch.id, EventId(9), "DLV-11");
        "write it again, under the same identity".into()
    }

    fn due(&mut self) -> String {
        self.log.deadline().map_or_else(String::new, |at| self.retry(at))
    }

    fn name(&self) -> &'static str {
        let uncertain = self.clone().answer(Err(Fault::Unavailable)) == "wait; it may be written";
        match (self.log.is_busy(), self.log.deadline()) {
            (false, _) => "idle",
            (true, None) if uncertain => "asked again",
            (true, None) => "asked",
            (true, Some(_)) if self.log.clone().give_up().is_some() => "waiting",
            (true, Some(_)) => "waiting, unsure",
        }
    }
}

#[test]
fn the_matrix_of_a_logs_writing_end() {
    let staged = |acts: &[fn(&mut Writer) -> String]| {
        let mut writer = Writer::new();
        acts.iter().for_each(|act| drop(act(&mut writer)));
        writer
    };
    let down: fn(&mut Writer) -> String = |writer| writer.answer(Err(Fault::Unavailable));
    let unknown: fn(&mut Writer) -> String = |writer| writer.answer(Err(Fault::Unknown));
    let states = [
        ("idle", staged(&[])),
        ("asked", staged(&[Writer::begin])),
        ("waiting", staged(&[Writer::begin, down])),
        ("waiting, unsure", staged(&[Writer::begin, unknown])),
        ("asked again", staged(&[Writer::begin, unknown, Writer::due])),
    ];
    let acts: [matrix::Act<Writer>; 10] = [
        ("a batch", Writer::begin),
        ("written", |writer| writer.answer(Ok(Committed::Done { first_seq: Seq(6) }))),
        ("fenced", |writer| writer.answer(Ok(Committed::Fenced))),
        ("no thread", |writer| writer.answer(Ok(Committed::NoThread))),
        ("the store is down", down),
        ("nobody knows", unknown),
        ("refused for good", |writer| writer.answer(Err(Fault::Refused))),
        ("an answer to another question", |writer| {
            writer.hears(EffectId(99), Ok(Committed::Done { first_seq: Seq(6) }))
        }),
        ("its time comes", Writer::due),
        ("giving up", |writer| {
            writer.log.give_up().map_or_else(String::new, |_| "given up: it is not written".into())
        }),
    ];
    let (lines, rows) = matrix::all(&states, &acts, Writer::name);
    insta::assert_snapshot!(lines);
    let page = Page {
        name: "log",
        title: "The writing end of a thread",
        about: "One batch at a time is on its way to the log. One of unknown outcome is repeated under the same\n\
                identity until the store has said what became of it (DLV-11).",
        begins: &["idle"],
        states: &[
            ("idle", "Nothing is on its way; the next batch may begin."),
            ("asked", "A batch is with the store, and was never there without an answer."),
            (
                "waiting",
                "The store was down and has written nothing; the batch is tried again, or given up.",
            ),
            (
                "waiting, unsure",
                "Some try may have been written. Giving up is impossible: whoever asked would be told wrongly.",
            ),
            ("asked again", "A batch that may be written is with the store once more."),
        ],
        rows,
    };
    page.check();
}
