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
        });
        let mut taken = Vec::new();
        while receive(&mut receiver, &mut taken, 1) != Received::Closed {}
        assert_eq!(taken, [1, 2]);
        pusher.join().unwrap();
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
fn an_overflow_reaches_a_reader_that_is_falling_asleep() {
    loom::model(|| {
        let (sender, mut receiver) = channel(1, 4);
        let pusher = thread::spawn(move || {
            let pushed = [sender.push(1, ONE), sender.push(2, ONE)];
            // The sender stays until the reader has heard of it.
            (sender, pushed)
        });
        let mut taken = Vec::new();
        let mut heard = receive(&mut receiver, &mut taken, 4);
        if heard == Received::Items(1) {
            let (sender, pushed) = pusher.join().unwrap();
            drop(sender);
            heard = receive(&mut receiver, &mut taken, 4);
            match pushed[1] {
                Pushed::Queued => assert_eq!(heard, Received::Items(1)),
                Pushed::Overflowed => assert_eq!(heard, Received::Overflow),
                other => panic!("{other:?}"),
            }
        } else {
            assert_eq!(heard, Received::Overflow);
            let (_sender, pushed) = pusher.join().unwrap();
            assert_eq!(pushed[1], Pushed::Overflowed);
        }
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
