//! The matrix of the outbox, and its page.

use super::{End, Pushed, Received, Receiver, Sender, Weight, channel, locked};
use crate::matrix::{self, Page};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};

const ONE: Weight = Weight { frames: 1, bytes: 1 };
/// The bound in frames.
const FRAMES: usize = 4;

/// Both ends of an outbox, as long as they are there.
struct Pair {
    sender: Option<Sender<u32>>,
    receiver: Option<Receiver<u32>>,
}

type Do = fn(&mut Pair) -> String;

/// An outbox after these. Its ends cannot be cloned: a clone does the same again.
#[derive(Clone)]
struct Staged(Vec<Do>);

impl Pair {
    fn push(&self, push: fn(&Sender<u32>) -> Pushed) -> String {
        let Some(sender) = &self.sender else { return String::new() };
        let waits = locked(&sender.shared).waker.is_some();
        let pushed = match push(sender) {
            Pushed::Queued => "queued",
            Pushed::Dropped => "dropped",
            Pushed::Overflowed => "refused: too slow",
            Pushed::Closed => "refused: nobody reads",
        };
        let woken = waits && locked(&sender.shared).waker.is_none();
        format!("{pushed}{}", if woken { ", and the reader is woken" } else { "" })
    }

    fn take(&mut self, urgent: bool) -> String {
        let Some(receiver) = &mut self.receiver else { return String::new() };
        let (mut taken, mut context) = (Vec::new(), Context::from_waker(Waker::noop()));
        let heard = if urgent {
            receiver.poll_urgent(&mut context, &mut taken)
        } else {
            receiver.poll_recv_many(&mut context, &mut taken, FRAMES)
        };
        match heard {
            Poll::Pending => "the reader waits".into(),
            Poll::Ready(Received::Items(count)) => format!("{count} taken"),
            Poll::Ready(Received::Overflow) => "the reader hears that it was too slow".into(),
            Poll::Ready(Received::Closed) => "the reader hears the end".into(),
        }
    }

    fn name(&self) -> &'static str {
        let Some(receiver) = &self.receiver else { return "unread" };
        let queue = locked(&receiver.shared);
        match queue.end {
            End::Overflowed => "overflowed",
            End::OverflowTold => "told",
            End::ReceiverGone => "unread",
            End::Open if queue.senders == 0 && queue.items.is_empty() => "over",
            End::Open if queue.senders == 0 => "ending",
            End::Open if queue.items.is_empty() => "empty",
            End::Open if queue.used.frames * 2 >= FRAMES => "half full",
            End::Open => "in use",
        }
    }
}

impl Staged {
    fn play(&self) -> Pair {
        let (sender, receiver) = channel(FRAMES, 100);
        let mut pair = Pair { sender: Some(sender), receiver: Some(receiver) };
        self.0.iter().for_each(|act| drop(act(&mut pair)));
        pair
    }

    fn and(&mut self, act: Do) -> String {
        let says = act(&mut self.play());
        self.0.push(act);
        says
    }

    fn name(&self) -> &'static str {
        self.play().name()
    }
}

const ENTRY: Do = |pair| pair.push(|sender| sender.push(1, ONE));
const STATUS: Do = |pair| pair.push(|sender| sender.push_droppable(2, ONE));
const URGENT: Do = |pair| pair.push(|sender| sender.push_urgent(3));
const TAKE: Do = |pair| pair.take(false);
const TAKE_URGENT: Do = |pair| pair.take(true);
const READER_GOES: Do = |pair| {
    pair.receiver = None;
    String::new()
};
const SENDER_GOES: Do = |pair| {
    let Some(sender) = &pair.sender else { return String::new() };
    let waits = locked(&sender.shared).waker.is_some();
    pair.sender = None;
    if waits { "the reader is woken".into() } else { String::new() }
};

#[test]
fn the_matrix_of_the_outbox() {
    let staged = |acts: &[Do]| Staged(acts.to_vec());
    let states = [
        ("empty", staged(&[])),
        ("empty, and the reader waits", staged(&[TAKE])),
        ("in use", staged(&[ENTRY])),
        ("in use, with something urgent", staged(&[ENTRY, URGENT])),
        ("half full", staged(&[ENTRY, ENTRY])),
        ("half full, to the bound", staged(&[ENTRY, ENTRY, ENTRY, ENTRY])),
        ("overflowed", staged(&[ENTRY, ENTRY, ENTRY, ENTRY, ENTRY])),
        ("told", staged(&[ENTRY, ENTRY, ENTRY, ENTRY, ENTRY, TAKE])),
        ("ending", staged(&[ENTRY, SENDER_GOES])),
        ("over", staged(&[SENDER_GOES])),
        ("unread", staged(&[READER_GOES])),
    ];
    let acts: [matrix::Act<Staged>; 7] = [
        ("an entry", |staged| staged.and(ENTRY)),
        ("something that may be dropped", |staged| staged.and(STATUS)),
        ("something urgent", |staged| staged.and(URGENT)),
        ("the reader takes", |staged| staged.and(TAKE)),
        ("the reader takes what is urgent", |staged| staged.and(TAKE_URGENT)),
        ("the last sender goes", |staged| staged.and(SENDER_GOES)),
        ("the reader goes", |staged| staged.and(READER_GOES)),
    ];
    let (lines, rows) = matrix::all(&states, &acts, Staged::name);
    insta::assert_snapshot!(lines);
    let page = Page {
        name: "outbox",
        title: "The outbox of a connection",
        about: "What waits for one reader, within a bound, here of four frames. Who sends never waits; who reads too\n\
                slowly hears that once, and nothing else any more.",
        begins: &["empty"],
        states: &[
            ("empty", "Nothing waits. It owns no memory."),
            ("in use", "Less than half of the bound."),
            (
                "half full",
                "From here on what may be dropped is dropped; entries are queued up to the bound.",
            ),
            (
                "overflowed",
                "The bound was passed, and everything that waited is gone. The reader does not know it yet.",
            ),
            ("told", "The reader knows that it was too slow. Nothing comes any more."),
            ("ending", "All senders are gone; what waits is taken first."),
            ("over", "All senders are gone and everything was taken."),
            ("unread", "The reader is gone; nothing is kept."),
        ],
        rows,
    };
    page.check();
}
