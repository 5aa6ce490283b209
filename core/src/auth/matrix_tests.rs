//! The matrices of what decides about log-ins and keys, and their pages.

use super::Admission;
use super::hashing::{Crowded, Entry, HashLimits, Hashing, Lane, Name};
use super::jwks::{Decision, Freshness, KeySet};
use super::lockout::{Allowance, Allowances, Lockout, Try};
use super::refresh::{Digest, Family, Presented, RefreshPolicy, RefreshVerdict};
use crate::id::{SessionId, UserId};
use crate::matrix::{self, Page};
use crate::time::{Millis, Mono, Wall};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

const REFRESH: RefreshPolicy =
    RefreshPolicy { grace: Millis(30), idle: Millis(1_000), lifetime: Millis(10_000) };

/// A log-in and a clock.
#[derive(Clone)]
struct LogIn {
    family: Family,
    at: Wall,
}

const fn half(n: u8) -> Digest {
    Digest([n; 32])
}

impl LogIn {
    fn new() -> Self {
        let user = UserId::new("ada").unwrap();
        let admitted = Admission::by_new_account(user, SessionId(1));
        let family = Family::begin(&admitted, [half(0), half(1)], Wall(0), REFRESH);
        Self { family, at: Wall(0) }
    }

    fn present(&mut self, half: Digest) -> String {
        let next = Digest([self.family.current.0[0] + 1; 32]);
        let presented = Presented { half, next, at: self.at, policy: REFRESH };
        match self.family.present(&presented).verdict() {
            RefreshVerdict::Ended => "ended before",
            RefreshVerdict::Expired => "its time is over",
            RefreshVerdict::Repeated => "answered once more",
            RefreshVerdict::Reused => "used twice: all of it ends",
            RefreshVerdict::Rotated => "the next token",
        }
        .into()
    }

    fn wait(&mut self, span: Millis) -> String {
        self.at = self.at.after(span);
        String::new()
    }

    fn name(&self) -> &'static str {
        let Family { ended, ends_at, rotated_at, previous, .. } = self.family;
        if ended {
            "ended"
        } else if ends_at <= self.at || rotated_at.after(REFRESH.idle) <= self.at {
            "over"
        } else if previous.is_none() {
            "first"
        } else if self.at < rotated_at.after(REFRESH.grace) {
            "in grace"
        } else {
            "settled"
        }
    }
}

#[test]
fn the_matrix_of_refresh_tokens() {
    let staged = |acts: &[fn(&mut LogIn)]| {
        let mut log_in = LogIn::new();
        acts.iter().for_each(|act| act(&mut log_in));
        log_in
    };
    let rotate: fn(&mut LogIn) = |log_in| drop(log_in.present(log_in.family.current));
    let states = [
        ("first", staged(&[])),
        ("in grace", staged(&[rotate])),
        ("settled", staged(&[rotate, |log_in| drop(log_in.wait(REFRESH.grace))])),
        ("over", staged(&[rotate, |log_in| drop(log_in.wait(REFRESH.idle))])),
        ("ended", staged(&[rotate, rotate, |log_in| drop(log_in.present(half(1)))])),
    ];
    let acts: [matrix::Act<LogIn>; 6] = [
        ("the token that is good", |log_in| log_in.present(log_in.family.current)),
        ("the one before it", |log_in| log_in.present(log_in.family.previous.unwrap_or(half(200)))),
        ("an older one", |log_in| log_in.present(half(201))),
        ("the grace passes", |log_in| log_in.wait(REFRESH.grace)),
        ("too long without a use", |log_in| log_in.wait(REFRESH.idle)),
        ("its lifetime passes", |log_in| log_in.wait(REFRESH.lifetime)),
    ];
    let (lines, rows) = matrix::all(&states, &acts, LogIn::name);
    insta::assert_snapshot!(lines);
    let page = Page {
        name: "refresh",
        title: "The refresh tokens of a log-in",
        about: "Each token is used once and answered with the next one. Who uses an older one shows that two hold\n\
                it, and ends the log-in for both.",
        begins: &["first"],
        states: &[
            ("first", "The token of the log-in itself; there is none before it."),
            (
                "in grace",
                "A token was just replaced. Who lost the answer may ask once more with the one before, and is answered \
                 with the same.",
            ),
            ("settled", "Only the token that is good now is good."),
            ("over", "Not used for too long, or its lifetime has passed. Nothing brings it back."),
            ("ended", "A token was used twice. Every token of this log-in is worthless."),
        ],
        rows,
    };
    page.check();
}

const COUNTED: Allowance =
    Allowance { free: 2, first: Millis(1_000), most: Millis(2_000), drain: Millis(60_000) };

/// Somebody who tries passwords at a place where they logged in before.
#[derive(Clone)]
struct Door {
    lockout: Lockout,
    now: Mono,
}

impl Door {
    fn new() -> Self {
        let wide = Allowance { free: 50, ..COUNTED };
        let allowances = Allowances {
            device: COUNTED,
            pair: COUNTED,
            fresh: wide,
            stale: wide,
            place: wide,
            fresh_tries: 3,
            kept: 100,
        };
        Self { lockout: Lockout::new(allowances), now: Mono(1_000) }
    }

    fn tried(place: &str, known: bool, device: Option<&str>) -> Try {
        let device = device.map(Into::into);
        Try { account: Some("ada".into()), place: place.into(), known, device }
    }

    fn at_home() -> Try {
        Self::tried("home", true, None)
    }

    /// Tries, and `then` hears what came of it.
    fn begin(&mut self, tried: &Try, then: fn(&mut Lockout, &super::Turn, Mono)) -> String {
        match self.lockout.begin(tried, self.now) {
            Ok(turn) => {
                then(&mut self.lockout, &turn, self.now);
                "let through".into()
            }
            Err(wait) => format!("to wait for {} ms", wait.0),
        }
    }

    fn wait(&mut self, span: Millis) -> String {
        self.now = self.now.after(span);
        String::new()
    }

    fn name(&self) -> &'static str {
        let mut later = self.clone();
        let fails: fn(&mut Lockout, &super::Turn, Mono) = |_, _, _| {};
        let mut free = 0;
        while later.begin(&Self::at_home(), fails) == "let through" {
            free += 1;
        }
        match free {
            0 => "waiting",
            1 | 2 => "counted",
            _ => "free",
        }
    }
}

#[test]
fn the_matrix_of_tries_at_a_password() {
    let failed = |times: u32| {
        let mut door = Door::new();
        (0..times).for_each(|_| drop(door.begin(&Door::at_home(), |_, _, _| {})));
        door
    };
    let mut at_most = failed(3);
    at_most.wait(COUNTED.first);
    at_most.begin(&Door::at_home(), |_, _, _| {});
    let states = [
        ("free", failed(0)),
        ("counted, once", failed(1)),
        ("counted, twice", failed(2)),
        ("waiting", failed(3)),
        ("waiting, longest", at_most),
    ];
    let acts: [matrix::Act<Door>; 8] = [
        ("a wrong password", |door| door.begin(&Door::at_home(), |_, _, _| {})),
        ("the right password", |door| {
            door.begin(&Door::at_home(), |lockout, turn, now| lockout.succeeded(turn, now))
        }),
        ("nobody can say", |door| {
            door.begin(&Door::at_home(), |lockout, turn, now| lockout.undecided(turn, now))
        }),
        ("a wrong password, with the device", |door| {
            door.begin(&Door::tried("home", true, Some("phone")), |_, _, _| {})
        }),
        ("a stranger fails elsewhere", |door| {
            door.begin(&Door::tried("afar", false, None), |_, _, _| {})
        }),
        ("a second passes", |door| door.wait(COUNTED.first)),
        ("a minute passes", |door| door.wait(COUNTED.drain)),
        ("an hour passes", |door| door.wait(Millis(60 * COUNTED.drain.0))),
    ];
    let (lines, rows) = matrix::all(&states, &acts, Door::name);
    insta::assert_snapshot!(lines);
    let page = Page {
        name: "lockout",
        title: "Tries at a password",
        about: "How long somebody waits before the next try, here at a place where they logged in before. Two tries\n\
                are free, each further one doubles the wait from one second to two, and a failure is forgotten each\n\
                minute. Strangers elsewhere have counts of their own, and so has a device that logged in before.",
        begins: &["free"],
        states: &[
            ("free", "Nothing is counted."),
            ("counted", "There were failures; the next try is let through at once."),
            (
                "waiting",
                "Too many failures. Asking early costs nothing; the device's own count is not this one.",
            ),
        ],
        rows,
    };
    page.check();
}

const AGES: Freshness = Freshness {
    fresh: Millis(600),
    stale: Millis(10_000),
    pause: Millis(30),
    patience: Millis(10),
};

/// An issuer's keys and a clock.
#[derive(Clone)]
struct Issuer {
    keys: KeySet,
    now: Mono,
}

impl Issuer {
    fn ask(&mut self, kid: &str) -> String {
        match self.keys.decide(self.now, kid) {
            Decision::Use { refresh: false } => "used",
            Decision::Use { refresh: true } => "used, and the set fetched beside",
            Decision::Fetch => "the set is fetched",
            Decision::Wait => "to wait for the fetch",
            Decision::Unknown => "no such key",
            Decision::Unavailable => "the issuer does not answer",
        }
        .into()
    }

    fn names(&mut self) -> String {
        self.keys.fetched(self.now, [String::from("named")]);
        String::new()
    }

    fn wait(&mut self, span: Millis) -> String {
        self.now = self.now.after(span);
        String::new()
    }

    fn name(&self) -> &'static str {
        let decide = |kid| self.keys.clone().decide(self.now, kid);
        match (decide("named"), decide("other")) {
            (Decision::Fetch, _) => "nothing good",
            (Decision::Wait, _) => "fetching",
            (Decision::Unavailable | Decision::Unknown, _) => "out of reach",
            (Decision::Use { refresh: true }, _) => "due",
            (Decision::Use { .. }, Decision::Unknown) => "just named",
            (Decision::Use { .. }, Decision::Wait) => "refreshing",
            (Decision::Use { .. }, Decision::Unavailable) => "last word",
            (Decision::Use { .. }, _) => "named",
        }
    }
}

#[test]
fn the_matrix_of_an_issuers_keys() {
    let staged = |acts: &[fn(&mut Issuer) -> String]| {
        let mut issuer = Issuer { keys: KeySet::new(AGES), now: Mono(1_000) };
        acts.iter().for_each(|act| drop(act(&mut issuer)));
        issuer
    };
    let ask: fn(&mut Issuer) -> String = |issuer| issuer.ask("named");
    let fails: fn(&mut Issuer) -> String = |issuer| {
        issuer.keys.failed();
        String::new()
    };
    let pause: fn(&mut Issuer) -> String = |issuer| issuer.wait(AGES.pause);
    let ages: fn(&mut Issuer) -> String = |issuer| issuer.wait(AGES.fresh);
    let states = [
        ("nothing good", staged(&[])),
        ("fetching", staged(&[ask])),
        ("out of reach", staged(&[ask, fails])),
        ("just named", staged(&[ask, Issuer::names])),
        ("named", staged(&[ask, Issuer::names, pause])),
        ("due", staged(&[ask, Issuer::names, ages])),
        ("refreshing", staged(&[ask, Issuer::names, ages, ask])),
        ("last word", staged(&[ask, Issuer::names, ages, ask, fails])),
    ];
    let acts: [matrix::Act<Issuer>; 8] = [
        ("a token names its key", ask),
        ("a token names another key", |issuer| issuer.ask("other")),
        ("the issuer answers", Issuer::names),
        ("the issuer fails", fails),
        ("the patience passes", |issuer| issuer.wait(AGES.patience)),
        ("the pause passes", pause),
        ("it is no longer fresh", ages),
        ("it is stale", |issuer| issuer.wait(AGES.stale)),
    ];
    let (lines, rows) = matrix::all(&states, &acts, Issuer::name);
    insta::assert_snapshot!(lines);
    let page = Page {
        name: "keys",
        title: "The keys of an issuer",
        about: "Which keys of a foreign issuer may be used, and when its set is fetched: never more often than once in\n\
                a pause, whatever tokens name.",
        begins: &["nothing good"],
        states: &[
            (
                "nothing good",
                "Nothing was named yet, or too long ago. The next token has the set fetched.",
            ),
            (
                "fetching",
                "The set is on its way for the first time, or for a key that was not in it.",
            ),
            (
                "out of reach",
                "It did not come. Until the pause is over nobody is made to wait for it again.",
            ),
            ("just named", "The set is here, and so new that a key missing in it does not exist."),
            (
                "named",
                "The set is here. A key that is missing in it may be newer, so the set is fetched once more.",
            ),
            ("due", "The set is used, and the next token has it fetched beside."),
            ("refreshing", "The set is used while a newer one is on its way."),
            (
                "last word",
                "The issuer does not answer; what it said last counts until it is stale.",
            ),
        ],
        rows,
    };
    page.check();
}

/// One at once, two in each line, one of a name.
const CROWD: HashLimits =
    HashLimits { at_once: 1, waiting: 2, account: 9, home: 9, own: 9, place: 1 };

/// Somebody who was taken in.
#[derive(Clone)]
struct Guest {
    entry: Entry,
    lane: Lane,
    name: Name,
}

/// The lines of those who wait for a hash, and who is in them.
#[derive(Clone)]
struct Lines {
    hashing: Hashing,
    came: u64,
    at_work: Option<Guest>,
    waiting: Vec<Guest>,
}

impl Lines {
    fn after(acts: &[fn(&mut Self) -> String]) -> Self {
        let hashing = Hashing::new(CROWD);
        let mut lines = Self { hashing, came: 0, at_work: None, waiting: Vec::new() };
        acts.iter().for_each(|act| drop(act(&mut lines)));
        lines
    }

    fn comes(&mut self, lane: Lane) -> String {
        self.came += 1;
        self.enters(lane, Name::Place(self.came.to_string()))
    }

    fn comes_again(&mut self, lane: Lane) -> String {
        match self.at_work.clone() {
            Some(guest) => self.enters(lane, guest.name),
            None => String::new(),
        }
    }

    fn enters(&mut self, lane: Lane, name: Name) -> String {
        match self.hashing.enter(lane, core::slice::from_ref(&name)) {
            Ok(entry) => {
                self.waiting.push(Guest { entry, lane, name });
                let begun = self.begins();
                if begun.is_empty() { "waits".into() } else { begun }
            }
            Err(Crowded::Line) => "refused: the line is full".into(),
            Err(Crowded::Name) => "refused: enough of that name".into(),
        }
    }

    fn begins(&mut self) -> String {
        let Some(entry) = self.hashing.begin() else { return String::new() };
        assert_eq!(self.hashing.begin(), None, "one at once");
        let place = self.waiting.iter().position(|guest| guest.entry == entry).unwrap();
        let guest = self.at_work.insert(self.waiting.remove(place));
        match guest.lane {
            Lane::Known => "a known one begins".into(),
            Lane::Open => "a stranger begins".into(),
        }
    }

    fn is_done(&mut self) -> String {
        if let Some(guest) = self.at_work.take() {
            self.hashing.leave(guest.entry);
        }
        self.begins()
    }

    fn gives_up(&mut self, lane: Lane) -> String {
        if let Some(place) = self.waiting.iter().position(|guest| guest.lane == lane) {
            self.hashing.leave(self.waiting.remove(place).entry);
        }
        self.begins()
    }

    fn name(&self) -> &'static str {
        let waits = |lane| self.waiting.iter().any(|guest| guest.lane == lane);
        match (self.at_work.is_some(), waits(Lane::Known), waits(Lane::Open)) {
            (false, ..) => "idle",
            (true, false, false) => "at work",
            (true, true, false) => "known ones wait",
            (true, false, true) => "strangers wait",
            (true, true, true) if self.clone().is_done() == "a known one begins" => {
                "both wait, a known one is next"
            }
            (true, true, true) => "both wait, a stranger is next",
        }
    }
}

#[test]
fn the_matrix_of_those_who_wait_for_a_hash() {
    let known: fn(&mut Lines) -> String = |lines| lines.comes(Lane::Known);
    let stranger: fn(&mut Lines) -> String = |lines| lines.comes(Lane::Open);
    let states = [
        ("idle", Lines::after(&[])),
        ("at work", Lines::after(&[stranger])),
        ("known ones wait", Lines::after(&[stranger, known])),
        ("known ones wait, as many as may", Lines::after(&[stranger, known, known])),
        ("strangers wait", Lines::after(&[known, stranger])),
        ("strangers wait, as many as may", Lines::after(&[known, stranger, stranger])),
        ("both wait, a known one is next", Lines::after(&[stranger, stranger, known])),
        ("both wait, a stranger is next", Lines::after(&[known, stranger, known])),
    ];
    let acts: [matrix::Act<Lines>; 7] = [
        ("a known one comes", known),
        ("a stranger comes", stranger),
        ("a known one comes, of a name that is at work", |lines| lines.comes_again(Lane::Known)),
        ("a stranger comes, of a name that is at work", |lines| lines.comes_again(Lane::Open)),
        ("a hash is done", Lines::is_done),
        ("a known one gives up", |lines| lines.gives_up(Lane::Known)),
        ("a stranger gives up", |lines| lines.gives_up(Lane::Open)),
    ];
    let (lines, rows) = matrix::all(&states, &acts, Lines::name);
    insta::assert_snapshot!(lines);
    let page = Page {
        name: "hashing",
        title: "Who waits for a password to be hashed",
        about: "Hashes are made a few at a time, here one. The others wait in two lines, here of two, which take turns:\n\
                whoever the account knows never waits behind a crowd of strangers. Of each name there are only so many,\n\
                here one.",
        begins: &["idle"],
        states: &[
            ("idle", "Nothing is hashed and nobody waits: whoever comes begins at once."),
            ("at work", "One is hashed, nobody waits."),
            ("known ones wait", "Only such as the account knows. They begin in their order."),
            (
                "strangers wait",
                "Only strangers. Whoever is known and comes now begins before them.",
            ),
            ("both wait, a known one is next", "The last who began was a stranger."),
            (
                "both wait, a stranger is next",
                "The last who began was known: it is the turn of one stranger.",
            ),
        ],
        rows,
    };
    page.check();
}
