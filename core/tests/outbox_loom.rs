//! loom explores every interleaving of the outbox; each model asks one question. A lost wake-up shows
//! as a deadlock that loom reports. DLV-10, DLV-13, DLV-14 and DLV-29 rest on it.
#![cfg(feature = "loom")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use goldenpath_core::outbox::{Pushed, Received, Receiver, Weight, channel};
use loom::future::block_on;
use loom::thread;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const ONE: Weight = Weight { frames: 1, bytes: 1 };

fn receive(receiver: &mut Receiver<u32>, taken: &mut Vec<u32>, most: usize) -> Received {
    block_on(poll_fn(|context| receiver.poll_recv_many(context, taken, most)))
}

/// Runs a question in every interleaving; leaves the sum of all of them where the summary of all proofs
/// looks for it.
fn explore(question: impl Fn() + Send + Sync + 'static) {
    static SUM: Mutex<usize> = Mutex::new(0);
    // The standard library's: loom must not see the counting.
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&runs);
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        question();
    });
    let runs = runs.load(Ordering::Relaxed);
    assert!(runs > 1, "there was nothing to interleave");
    let mut sum = SUM.lock().unwrap();
    *sum += runs;
    goldenpath_proof::note("loom", "schedules", *sum);
}

#[test]
fn a_push_while_the_reader_falls_asleep_wakes_it() {
    explore(|| {
        let (sender, mut receiver) = channel(4, 4);
        let pusher = thread::spawn(move || {
            assert_eq!(sender.push(1, ONE), Pushed::Queued);
            assert_eq!(sender.push(2, ONE), Pushed::Queued);
            // Handed back, so that no end of a sender wakes the reader in the push's place.
            sender
        });
        let mut taken = Vec::new();
        while taken.len() < 2 {
            assert!(matches!(receive(&mut receiver, &mut taken, 1), Received::Items(1)));
        }
        assert_eq!(taken, [1, 2]);
        drop(pusher.join());
    });
}

#[test]
fn the_end_of_the_last_sender_wakes_the_reader() {
    explore(|| {
        let (sender, mut receiver) = channel::<u32>(4, 4);
        let ender = thread::spawn(move || drop(sender));
        assert_eq!(receive(&mut receiver, &mut Vec::new(), 1), Received::Closed);
        ender.join().unwrap();
    });
}

#[test]
fn two_senders_keep_their_own_order_and_the_last_one_ends_it() {
    explore(|| {
        let (sender, mut receiver) = channel(4, 4);
        let other = sender.clone();
        let first = thread::spawn(move || {
            sender.push(1, ONE);
            sender.push(2, ONE);
        });
        let second = thread::spawn(move || {
            other.push(10, ONE);
        });
        let mut taken = Vec::new();
        while receive(&mut receiver, &mut taken, 4) != Received::Closed {}
        let of_first: Vec<u32> = taken.iter().copied().filter(|n| *n < 10).collect();
        assert_eq!((of_first, taken.len()), (vec![1, 2], 3));
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn an_overflow_wakes_a_reader_that_is_falling_asleep() {
    explore(|| {
        // Room for nothing: the first push overflows, and no other push can have woken the reader.
        let (sender, mut receiver) = channel(0, 0);
        let pusher = thread::spawn(move || {
            assert_eq!(sender.push(1, ONE), Pushed::Overflowed);
            sender
        });
        assert_eq!(receive(&mut receiver, &mut Vec::new(), 1), Received::Overflow);
        assert_eq!(receive(&mut receiver, &mut Vec::new(), 1), Received::Closed);
        drop(pusher.join());
    });
}

#[test]
fn a_reader_that_leaves_during_a_push_leaves_nothing_behind() {
    explore(|| {
        let (sender, mut receiver) = channel(4, 4);
        let pusher = thread::spawn(move || {
            let first = sender.push(loom::sync::Arc::new(()), ONE);
            let second = sender.push(loom::sync::Arc::new(()), ONE);
            assert!(first == Pushed::Queued || second == Pushed::Closed);
        });
        let mut taken = Vec::new();
        let first = block_on(poll_fn(|context| {
            Poll::Ready(receiver.poll_recv_many(context, &mut taken, 1))
        }));
        assert!(first != Poll::Ready(Received::Overflow));
        drop(receiver);
        pusher.join().unwrap();
    });
}

#[test]
fn a_reader_that_cannot_write_is_woken_by_the_overflow() {
    explore(|| {
        let (sender, mut receiver) = channel(1, 1);
        let pusher = thread::spawn(move || {
            assert_eq!(sender.push(1, ONE), Pushed::Queued);
            assert_eq!(sender.push(2, ONE), Pushed::Overflowed);
            assert_eq!(sender.push(3, ONE), Pushed::Overflowed);
            sender
        });
        let mut taken = Vec::new();
        let heard = block_on(poll_fn(|context| receiver.poll_urgent(context, &mut taken)));
        assert_eq!(heard, Received::Overflow);
        // Said once: what was queued is gone, and the end is all that is left.
        assert_eq!(receive(&mut receiver, &mut taken, 1), Received::Closed);
        assert!(taken.is_empty());
        drop(pusher.join());
    });
}

#[test]
fn a_reader_that_cannot_write_is_woken_by_what_is_urgent() {
    explore(|| {
        let (sender, mut receiver) = channel(4, 4);
        let other = sender.clone();
        let ender = thread::spawn(move || {
            assert_eq!(other.push_urgent(10), Pushed::Queued);
            other
        });
        let pusher = thread::spawn(move || {
            assert_eq!(sender.push(1, ONE), Pushed::Queued);
            assert_eq!(sender.push(2, ONE), Pushed::Queued);
            sender
        });
        let mut taken = Vec::new();
        let heard = block_on(poll_fn(|context| receiver.poll_urgent(context, &mut taken)));
        assert_eq!((heard, &taken[..]), (Received::Items(1), &[10][..]));
        let senders = (ender.join().unwrap(), pusher.join().unwrap());
        // It can write again: the others wait for it in their order.
        assert_eq!(receive(&mut receiver, &mut taken, 4), Received::Items(2));
        assert_eq!(taken, [10, 1, 2]);
        drop(senders);
    });
}

#[test]
fn what_is_urgent_is_taken_once_whether_the_reader_can_write_or_not() {
    explore(|| {
        let (sender, mut receiver) = channel(4, 4);
        let pusher = thread::spawn(move || {
            assert_eq!(sender.push(1, ONE), Pushed::Queued);
            assert_eq!(sender.push_urgent(10), Pushed::Queued);
            assert_eq!(sender.push(2, ONE), Pushed::Queued);
        });
        let mut taken = Vec::new();
        // By turns it can write and cannot, whatever has come until then.
        loop {
            let heard =
                block_on(poll_fn(|context| Poll::Ready(receiver.poll_urgent(context, &mut taken))));
            assert!(matches!(heard, Poll::Pending | Poll::Ready(Received::Items(1))));
            if receive(&mut receiver, &mut taken, 1) == Received::Closed {
                break;
            }
        }
        // It may overtake what came before it, and nothing overtakes it.
        assert!(taken == [1, 10, 2] || taken == [10, 1, 2], "{taken:?}");
        pusher.join().unwrap();
    });
}

#[test]
fn a_reader_that_takes_during_the_overflow_gets_whole_items_and_then_hears_of_it() {
    explore(|| {
        let (sender, mut receiver) = channel(1, 1);
        let pusher = thread::spawn(move || {
            let said = [sender.push(1, ONE), sender.push(2, ONE)];
            (said, sender)
        });
        let mut taken = Vec::new();
        let first = receive(&mut receiver, &mut taken, 1);
        let (said, sender) = pusher.join().unwrap();
        assert_eq!(said[0], Pushed::Queued);
        match said[1] {
            Pushed::Queued => {
                assert_eq!(first, Received::Items(1));
                assert_eq!(receive(&mut receiver, &mut taken, 1), Received::Items(1));
                assert_eq!(taken, [1, 2]);
            }
            Pushed::Overflowed => {
                // Either nothing was taken before, or nothing is left.
                if first == Received::Items(1) {
                    assert_eq!(receive(&mut receiver, &mut taken, 1), Received::Overflow);
                } else {
                    assert_eq!((first, taken.len()), (Received::Overflow, 0));
                }
                assert_eq!(receive(&mut receiver, &mut taken, 1), Received::Closed);
            }
            Pushed::Dropped | Pushed::Closed => unreachable!("nothing may drop it"),
        }
        assert_eq!(receiver.waiting(), Weight::default());
        drop(sender);
    });
}

#[test]
fn of_two_transients_at_half_one_is_dropped_and_a_durable_entry_never() {
    explore(|| {
        let (sender, mut receiver) = channel(2, 2);
        let other = sender.clone();
        let first = thread::spawn(move || sender.push_droppable(1, ONE));
        let second = thread::spawn(move || {
            let transient = other.push_droppable(2, ONE);
            assert_eq!(other.push(3, ONE), Pushed::Queued);
            transient
        });
        let (first, second) = (first.join().unwrap(), second.join().unwrap());
        // Room for one of them, whoever comes first; the entry may come before the other transient.
        assert!((first == Pushed::Queued) != (second == Pushed::Queued));
        assert!(first == Pushed::Dropped || second == Pushed::Dropped);
        let mut taken = Vec::new();
        while receive(&mut receiver, &mut taken, 4) != Received::Closed {}
        let transient = if first == Pushed::Queued { 1 } else { 2 };
        assert_eq!(taken, [transient, 3]);
    });
}

#[test]
fn a_reader_that_moved_to_another_task_is_woken_there() {
    explore(|| {
        let (sender, mut receiver) = channel(4, 4);
        let mut taken = Vec::new();
        // It asked once from a task that is no longer there.
        let mut gone = Context::from_waker(Waker::noop());
        assert_eq!(receiver.poll_recv_many(&mut gone, &mut taken, 1), Poll::Pending);
        let pusher = thread::spawn(move || {
            assert_eq!(sender.push(1, ONE), Pushed::Queued);
            sender
        });
        assert_eq!(receive(&mut receiver, &mut taken, 1), Received::Items(1));
        drop(pusher.join());
    });
}

#[test]
fn a_sender_that_was_cloned_while_another_ended_keeps_the_outbox_open() {
    explore(|| {
        let (sender, mut receiver) = channel(4, 4);
        let other = sender.clone();
        let ender = thread::spawn(move || drop(other));
        let pusher = thread::spawn(move || {
            let heir = sender.clone();
            drop(sender);
            assert_eq!(heir.push(1, ONE), Pushed::Queued);
        });
        let mut taken = Vec::new();
        assert_eq!(receive(&mut receiver, &mut taken, 4), Received::Items(1));
        assert_eq!(receive(&mut receiver, &mut taken, 4), Received::Closed);
        ender.join().unwrap();
        pusher.join().unwrap();
    });
}
