//! loom explores every interleaving of the outbox; each model asks one question. A lost wake-up shows
//! as a deadlock that loom reports.
#![cfg(feature = "loom")]

use core::future::poll_fn;
use core::task::Poll;
use goldenpath_core::outbox::{Pushed, Received, Receiver, Weight, channel};
use loom::future::block_on;
use loom::thread;

const ONE: Weight = Weight { frames: 1, bytes: 1 };

fn receive(receiver: &mut Receiver<u32>, taken: &mut Vec<u32>, most: usize) -> Received {
    block_on(poll_fn(|context| receiver.poll_recv_many(context, taken, most)))
}

#[test]
fn a_push_while_the_reader_falls_asleep_wakes_it() {
    loom::model(|| {
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
    loom::model(|| {
        let (sender, mut receiver) = channel::<u32>(4, 4);
        let ender = thread::spawn(move || drop(sender));
        assert_eq!(receive(&mut receiver, &mut Vec::new(), 1), Received::Closed);
        ender.join().unwrap();
    });
}

#[test]
fn two_senders_keep_their_own_order_and_the_last_one_ends_it() {
    loom::model(|| {
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
    loom::model(|| {
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
    loom::model(|| {
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
