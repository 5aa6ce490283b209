//! Every state of a reader meets every input.

use super::*;
use crate::id::{Epoch, EventId};
use crate::matrix::{Page, Row};
use crate::time::Wall;
use crate::wire::{Draft, Event};
use alloc::format;
use alloc::string::String;
use alloc::vec;

const THREAD: ThreadId = ThreadId(1);
const ASKED: EffectId = EffectId(1);
const MARK: u64 = 7;

const PAGE: Page = Page {
    name: "subscription",
    title: "A subscription",
    about: "One connection's reading of one thread: the next frame sent is always the one after the last\n\
            (DLV-04). What it missed it reads from the store, page by page, as fast as its reader reads.",
    states: &[
        (
            "live",
            "It is at the head: what is committed next is sent at once. A hole sends it back to the store.",
        ),
        (
            "replaying",
            "It reads what was asked for, up to the head of that moment; frames carry the replay mark. The next \
             step asks for a page, or says `replay_complete`.",
        ),
        (
            "replaying, loading",
            "A page is on its way from the store. Only the answer to this question counts.",
        ),
        (
            "replaying, pausing",
            "A page was handed to the reader; the next one is asked for when its last frame has been written.",
        ),
        (
            "catching up",
            "The replay is complete, or there was a hole in the live stream. It reads to the head without a mark; \
             there it is live.",
        ),
        (
            "catching up, loading",
            "A page is on its way from the store. Only the answer to this question counts.",
        ),
        ("catching up, pausing", "A page was handed to the reader, and its end is awaited."),
    ],
    begins: &["live", "replaying"],
    rows: Vec::new(),
};

const fn state_name(subscription: &Subscription) -> &'static str {
    let State::Behind(behind) = &subscription.state else { return "live" };
    match (behind.target, behind.wait) {
        (Some(_), Wait::Nothing) => "replaying",
        (Some(_), Wait::Page(_)) => "replaying, loading",
        (Some(_), Wait::Reader(_)) => "replaying, pausing",
        (None, Wait::Nothing) => "catching up",
        (None, Wait::Page(_)) => "catching up, loading",
        (None, Wait::Reader(_)) => "catching up, pausing",
    }
}

fn entries(after: Seq, count: u64) -> Vec<(Seq, EntryBody)> {
    let draft = Draft {
        id: EventId(1),
        thread_id: THREAD,
        epoch: Epoch(1),
        ts: Wall(0),
        scope: None,
        synthesized: false,
        event: Event::ThreadUpdated { title: "t".into() },
    };
    (1..=count).map(|nth| (after.plus(nth), draft.encode())).collect()
}

fn step(subscription: &mut Subscription, head: Seq) -> String {
    match subscription.next(THREAD, head, 10) {
        Next::Load(Load::Entries { after_seq, to_seq, .. }) => {
            subscription.asked(ASKED);
            format!("load ({after_seq}, {to_seq}]")
        }
        Next::Load(other) => format!("{other:?}"),
        Next::ReplayComplete(seq) => format!("replay_complete {seq}"),
        Next::Nothing => String::new(),
    }
}

fn page(subscription: &mut Subscription, effect: EffectId, entries: &[(Seq, EntryBody)]) -> String {
    match subscription.page(effect, MARK, entries, |_| true) {
        Some(frames) => format!("{} frames, then a mark", frames.len()),
        None => String::new(),
    }
}

/// With the head at 4 and a replay asked for up to 2.
fn states() -> Vec<(&'static str, Subscription)> {
    let head = Seq(4);
    let begun = Subscription::replay(Seq(0), Seq(2), Level::Full);
    let mut loading = begun.clone();
    step(&mut loading, head);
    let mut pausing = loading.clone();
    page(&mut pausing, ASKED, &entries(Seq(0), 2));
    let mut met = pausing.clone();
    met.read(MARK);
    let mut behind = met.clone();
    step(&mut behind, head);
    let mut behind_loading = behind.clone();
    step(&mut behind_loading, head);
    let mut behind_pausing = behind_loading.clone();
    page(&mut behind_pausing, ASKED, &entries(Seq(2), 2));
    let mut at_head = behind_pausing.clone();
    at_head.read(MARK);
    vec![
        ("live", Subscription::live(head, Level::Full)),
        ("replaying", begun),
        ("replaying, loading", loading),
        ("replaying, pausing", pausing),
        ("replaying, all read", met),
        ("catching up", behind),
        ("catching up, loading", behind_loading),
        ("catching up, pausing", behind_pausing),
        ("catching up, all read", at_head),
    ]
}

type Act = fn(&mut Subscription) -> String;

const ACTS: [(&str, Act); 12] = [
    ("the next entry is committed", |s| sent_now(s, s.sent.next())),
    ("a later entry is committed", |s| sent_now(s, s.sent.plus(3))),
    ("an entry already sent is committed", |s| sent_now(s, s.sent)),
    ("step", |s| step(s, Seq(4))),
    ("page", |s| page(s, ASKED, &entries(s.sent, 2))),
    ("page with a hole", |s| page(s, ASKED, &entries(s.sent.next(), 2))),
    ("page sent before", |s| page(s, ASKED, &entries(Seq(0), s.sent.0))),
    ("page of another question", |s| page(s, EffectId(9), &entries(s.sent, 2))),
    (
        "page failed",
        |s| if s.page_failed(ASKED) { "to be asked again".into() } else { String::new() },
    ),
    ("page of another question failed", |s| {
        format!("{}", s.page_failed(EffectId(9))).replace("false", "")
    }),
    ("read to the mark", |s| {
        s.read(MARK);
        String::new()
    }),
    ("read to another mark", |s| {
        s.read(MARK + 1);
        String::new()
    }),
];

fn sent_now(subscription: &mut Subscription, first: Seq) -> String {
    if subscription.committed(first, 1) { "send it".into() } else { String::new() }
}

#[test]
fn the_matrix_of_states_and_inputs() {
    let (mut rows, mut seen) = (Vec::new(), Vec::new());
    for (name, before) in states() {
        for (act_name, act) in ACTS {
            let mut after = before.clone();
            let said = act(&mut after);
            let (from, to) = (state_name(&before), state_name(&after));
            rows.push(format!("{name} × {act_name} → {to}, sent {}: {said}", after.sent));
            seen.push(Row::of(name, from, act_name, to, &said));
        }
    }
    insta::assert_snapshot!(rows.join("\n"));
    Page { rows: seen, ..PAGE }.check();
}

/// DLV-05: the log may learn of entries by reading the store, without a commit of its own.
#[test]
fn a_head_that_moved_without_a_commit_sends_a_live_reader_back_to_the_store() {
    let mut reader = Subscription::live(Seq(4), Level::Full);
    assert_eq!(reader.next(THREAD, Seq(4), 10), Next::Nothing);
    let (after_seq, to_seq) = (Seq(4), Seq(11));
    let load = Load::Entries { thread_id: THREAD, after_seq, to_seq, limit: 10 };
    assert_eq!(reader.next(THREAD, Seq(11), 10), Next::Load(load));
    assert!(!reader.is_live());
}
