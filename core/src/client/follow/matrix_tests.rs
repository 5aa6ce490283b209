//! The matrix of one thread as a reader follows it, and its page.

use super::{Follow, Joined, Load, Offered};
use crate::client::Config;
use crate::id::{EffectId, Epoch, Seq};
use crate::matrix::{self, Page};
use crate::seed::Seed;
use crate::time::{Millis, Mono};
use alloc::format;
use alloc::string::String;

const SPAN: Millis = Millis::from_secs(5);
const EPOCH: Epoch = Epoch(7);

/// A reader of one thread, and a clock.
#[derive(Clone)]
struct Reading {
    follow: Follow,
    now: Mono,
    seed: Seed,
    effects: EffectId,
}

fn config() -> Config {
    Config { resume_timeout: SPAN, gap_timeout: SPAN, ..Config::default() }
}

impl Reading {
    fn after(acts: &[fn(&mut Self) -> String]) -> Self {
        let follow = Follow::new(Some(EPOCH), Seq(3), &config());
        let effects = EffectId::default();
        let mut reading = Self { follow, now: Mono(1_000), seed: Seed::new(1), effects };
        acts.iter().for_each(|act| drop(act(&mut reading)));
        reading
    }

    /// An entry comes, so many places behind the last one that was applied.
    fn entry(&mut self, ahead: u64, epoch: Epoch) -> String {
        let before = self.follow.last;
        match self.follow.offer(before.plus(ahead), epoch, None, &config()) {
            Offered::OtherEpoch => "not taken".into(),
            Offered::Apply(_) => match self.follow.last.0 - before.0 {
                0 => String::new(),
                applied => format!("{applied} applied"),
            },
        }
    }

    fn asks(&mut self) -> String {
        match self.follow.hole(self.now, &config()) {
            Some((after, to)) => format!("{} asked for", to.0 - after.0),
            None => String::new(),
        }
    }

    fn joins(&mut self) -> String {
        let asks = self.follow.joins(self.now.after(SPAN));
        if asks { "asks to be sent what is new".into() } else { String::new() }
    }

    fn must_load(&mut self) -> String {
        self.follow.load_is_needed(self.now, None, &mut self.seed);
        String::new()
    }

    fn loads(&mut self) -> String {
        let due = self.follow.load_due(self.now, &mut self.effects);
        due.map_or_else(String::new, |_| "reads the log".into())
    }

    fn waits(&mut self) -> String {
        self.now = self.now.after(SPAN);
        self.follow.handle_timeout(self.now);
        String::new()
    }

    fn name(&self) -> &'static str {
        let Follow { last, head, joined, asked, replaying, load, .. } = &self.follow;
        match (load, joined) {
            (Load::Running { .. }, _) => "reads the log",
            (Load::Later { at, .. }, _) if *at > self.now => "will read the log",
            (Load::Later { .. }, _) => "must read the log",
            (Load::No, Joined::No) => "apart",
            (Load::No, Joined::Asked { .. }) => "joining",
            (Load::No, Joined::Yes) if replaying.is_some() => "replaying",
            (Load::No, Joined::Yes) if asked.is_some() => "filling a hole",
            (Load::No, Joined::Yes) if head > last => "with a hole",
            (Load::No, Joined::Yes) => "live",
        }
    }
}

#[test]
fn the_matrix_of_a_thread_that_is_followed() {
    let join: fn(&mut Reading) -> String = Reading::joins;
    let joined: fn(&mut Reading) -> String = |reading| {
        reading.follow.has_joined();
        String::new()
    };
    let replay: fn(&mut Reading) -> String = |reading| {
        reading.follow.replay_begins(reading.now.after(SPAN));
        String::new()
    };
    let hole: fn(&mut Reading) -> String = |reading| reading.entry(2, EPOCH);
    let fails: fn(&mut Reading) -> String = |reading| {
        reading.follow.load_failed(reading.now, &mut reading.seed);
        String::new()
    };
    let states = [
        ("apart", Reading::after(&[])),
        ("joining", Reading::after(&[join])),
        ("live", Reading::after(&[join, joined])),
        ("with a hole", Reading::after(&[join, joined, hole])),
        ("filling a hole", Reading::after(&[join, joined, hole, Reading::asks])),
        ("replaying", Reading::after(&[join, joined, replay])),
        ("replaying, with a hole", Reading::after(&[join, joined, replay, hole])),
        ("must read the log", Reading::after(&[join, joined, Reading::must_load])),
        ("must read the log, apart", Reading::after(&[Reading::must_load])),
        ("reads the log", Reading::after(&[join, joined, Reading::must_load, Reading::loads])),
        ("reads the log, apart", Reading::after(&[Reading::must_load, Reading::loads])),
        ("will read the log", Reading::after(&[Reading::must_load, Reading::loads, fails])),
    ];
    let acts: [matrix::Act<Reading>; 18] = [
        ("the next entry", |reading| reading.entry(1, EPOCH)),
        ("an entry it has", |reading| reading.entry(0, EPOCH)),
        ("an entry behind a hole", hole),
        ("an entry of another log", |reading| reading.entry(1, Epoch(8))),
        ("the server tells a head ahead", |reading| {
            reading.follow.head_is(reading.follow.last.plus(1));
            String::new()
        }),
        ("what is missing may be asked for", Reading::asks),
        ("a resume may be sent", join),
        ("the server sends what is new", joined),
        ("the server must be asked anew", |reading| {
            reading.follow.must_join();
            String::new()
        }),
        ("a replay begins", replay),
        ("the replay ends", |reading| {
            reading.follow.replay_ends();
            String::new()
        }),
        ("the log cannot be replayed", Reading::must_load),
        ("the log may be read", Reading::loads),
        ("the log is here", |reading| {
            reading.follow.load = Load::No;
            String::new()
        }),
        ("the log could not be read", fails),
        ("the log was replaced", |reading| {
            reading.follow.reset(Epoch(8));
            String::new()
        }),
        ("the connection is lost", |reading| {
            reading.follow.connection_lost();
            String::new()
        }),
        ("what was asked for does not come", Reading::waits),
    ];
    let (lines, rows) = matrix::all(&states, &acts, Reading::name);
    insta::assert_snapshot!(lines);
    let page = Page {
        name: "follow",
        title: "A thread as its reader follows it",
        about: "What is next is applied, what is known is ignored, what is ahead is held while the hole before it is\n\
                asked for. The client asks whether a resume, a request for a hole or a read of the log is due, and\n\
                sends it.",
        begins: &["apart"],
        states: &[
            ("apart", "The server does not send what is new in the thread on this connection."),
            ("joining", "A resume is on its way. Without an answer in time it is sent again."),
            ("live", "Everything the server spoke of is applied."),
            (
                "with a hole",
                "Something is missing before what was heard, or before the head that was told.",
            ),
            (
                "filling a hole",
                "What is missing was asked for, once. Without it in time it is asked for again.",
            ),
            ("replaying", "What was missed is on its way, so nothing is asked for beside it."),
            (
                "must read the log",
                "There is too much to be replayed: the log is read by other means, now.",
            ),
            ("reads the log", "The read is under way."),
            ("will read the log", "The last read failed: the next one waits, longer each time."),
        ],
        rows,
    };
    page.check();
}
