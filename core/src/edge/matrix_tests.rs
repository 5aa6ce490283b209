//! The matrices of what counts at the edge, and their pages.

use super::{Allowances, Gate, Policy};
use crate::matrix::{self, Page};
use crate::seed::Seed;
use crate::time::{Millis, Mono};
use alloc::format;
use alloc::string::String;

/// A gate for two a second, and a clock.
#[derive(Clone)]
struct Entrance {
    gate: Gate,
    now: Mono,
}

impl Entrance {
    fn after(newcomers: u32) -> Self {
        let mut entrance = Self { gate: Gate::new(2, Seed::new(1)), now: Mono(1_000) };
        (0..newcomers).for_each(|_| drop(entrance.comes()));
        entrance
    }

    fn comes(&mut self) -> String {
        let all_promised = self.name() == "all promised";
        match self.gate.admit(self.now) {
            Ok(()) => "let in".into(),
            Err(wait) if all_promised => {
                assert!((15_000..=30_000).contains(&wait.0), "{wait:?}");
                "to come back in 15 to 30 s, at a time drawn".into()
            }
            Err(wait) => format!("to come back in {} ms, a time of its own", wait.0),
        }
    }

    fn wait(&mut self, span: u64) -> String {
        self.now = self.now.after(Millis(span));
        String::new()
    }

    fn name(&self) -> &'static str {
        let admit = |gate: &mut Gate| gate.admit(self.now);
        let (mut gate, mut other) = (self.gate.clone(), self.gate.clone());
        match (admit(&mut gate), admit(&mut gate)) {
            (Ok(()), Ok(())) => "empty",
            (Ok(()), Err(_)) => "room",
            // Places that are promised lie half a second apart; times that are drawn do not.
            (Err(_), _) => match (admit(&mut other), admit(&mut other)) {
                (Err(one), Err(two)) if two.0 == one.0 + 500 => "full",
                _ => "all promised",
            },
        }
    }
}

#[test]
fn the_matrix_of_the_gate() {
    let states = [
        ("empty", Entrance::after(0)),
        ("room", Entrance::after(1)),
        ("full", Entrance::after(2)),
        ("full, one promised", Entrance::after(3)),
        ("all promised", Entrance::after(80)),
    ];
    let acts: [matrix::Act<Entrance>; 5] = [
        ("a newcomer", Entrance::comes),
        ("a crowd", |entrance| {
            (0..80).for_each(|_| drop(entrance.comes()));
            String::new()
        }),
        ("half a second passes", |entrance| entrance.wait(500)),
        ("a second passes", |entrance| entrance.wait(1_000)),
        ("a minute passes", |entrance| entrance.wait(60_000)),
    ];
    let (lines, rows) = matrix::all(&states, &acts, Entrance::name);
    insta::assert_snapshot!(lines);
    let page = Page {
        name: "gate",
        title: "The gate",
        about: "Lets newcomers in as fast as they can be greeted, here two a second, and gives each of the others a\n\
                time of its own to come back (F35).",
        begins: &["empty"],
        states: &[
            ("empty", "Everybody of this second has been let in long ago."),
            ("room", "There is room for some."),
            (
                "full",
                "Who comes is promised the next free place, and nobody else is promised the same.",
            ),
            (
                "all promised",
                "Places are promised up to the longest wait that is asked of anybody: who comes is given a time that \
                 is drawn.",
            ),
        ],
        rows,
    };
    page.check();
}

/// Two at once, one more each second; two names are remembered.
#[derive(Clone)]
struct Counter {
    all: Allowances<char>,
    now: Mono,
}

impl Counter {
    fn after(times: u32) -> Self {
        let all = Allowances::new(Policy::every(2, Millis(1_000)), 2);
        let mut counter = Self { all, now: Mono(1_000) };
        (0..times).for_each(|_| drop(counter.spend('a')));
        counter
    }

    fn spend(&mut self, name: char) -> String {
        match self.all.spend(&name, self.now) {
            Ok(left) => format!("granted, {} more at once", left.remaining),
            Err(wait) => format!("refused for {} ms", wait.0),
        }
    }

    fn wait(&mut self, span: u64) -> String {
        self.now = self.now.after(Millis(span));
        String::new()
    }

    fn name(&self) -> &'static str {
        match self.all.clone().spend(&'a', self.now) {
            Ok(left) if left.remaining == 1 => "full",
            Ok(_) => "partly spent",
            Err(_) => "spent",
        }
    }
}

#[test]
fn the_matrix_of_an_allowance() {
    let states = [
        ("full", Counter::after(0)),
        ("partly spent", Counter::after(1)),
        ("spent", Counter::after(2)),
    ];
    let acts: [matrix::Act<Counter>; 6] = [
        ("one is asked for", |counter| counter.spend('a')),
        ("another asks", |counter| {
            counter.spend('b');
            String::new()
        }),
        ("many others ask", |counter| {
            ('c'..='z').for_each(|name| drop(counter.spend(name)));
            String::new()
        }),
        ("half a second passes", |counter| counter.wait(500)),
        ("a second passes", |counter| counter.wait(1_000)),
        ("a minute passes", |counter| counter.wait(60_000)),
    ];
    let (lines, rows) = matrix::all(&states, &acts, Counter::name);
    insta::assert_snapshot!(lines);
    let page = Page {
        name: "allowance",
        title: "An allowance",
        about: "How often one of many may do something: here two at once, and one more each second. Only so many are\n\
                remembered, here two; who is forgotten is the one nearest to having everything again.",
        begins: &["full"],
        states: &[
            ("full", "Everything is there, or nobody remembers otherwise."),
            ("partly spent", "One more is granted at once. Many others may make this forgotten."),
            (
                "spent",
                "Nothing is granted; who asks hears for how long. Made-up names do not help: who has spent most is \
                 forgotten last.",
            ),
        ],
        rows,
    };
    page.check();
}
