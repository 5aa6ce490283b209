use super::*;
use core::sync::atomic::{AtomicUsize, Ordering};
use proptest::prelude::*;
use std::task::Wake;

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A receiver with what it has taken and how often it was woken.
struct Reader {
    receiver: Receiver<u32>,
    wakes: std::sync::Arc<Counter>,
    taken: Vec<u32>,
}

impl Reader {
    fn new(receiver: Receiver<u32>) -> Self {
        Self { receiver, wakes: std::sync::Arc::default(), taken: Vec::new() }
    }

    fn poll(&mut self, most: usize) -> Poll<Received> {
        let waker = Waker::from(std::sync::Arc::clone(&self.wakes));
        self.receiver.poll_recv_many(&mut Context::from_waker(&waker), &mut self.taken, most)
    }

    fn poll_urgent(&mut self) -> Poll<Received> {
        let waker = Waker::from(std::sync::Arc::clone(&self.wakes));
        self.receiver.poll_urgent(&mut Context::from_waker(&waker), &mut self.taken)
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }
}

/// From here on items are urgent, in the property.
const URGENT: u32 = 1_000;

const fn weigh(bytes: usize) -> Weight {
    Weight { frames: 1, bytes }
}

#[test]
fn items_come_out_in_order_and_many_at_once() {
    let (sender, receiver) = channel(10, 100);
    let mut reader = Reader::new(receiver);
    for n in 0..5 {
        assert_eq!(sender.push(n, weigh(1)), Pushed::Queued);
    }
    assert_eq!(reader.poll(3), Poll::Ready(Received::Items(3)));
    assert_eq!(reader.receiver.waiting(), Weight { frames: 2, bytes: 2 });
    assert_eq!(reader.poll(0), Poll::Ready(Received::Items(1)));
    assert_eq!(reader.poll(9), Poll::Ready(Received::Items(1)));
    assert_eq!(reader.taken, [0, 1, 2, 3, 4]);
    assert_eq!(reader.poll(9), Poll::Pending);
}

#[test]
fn a_waiting_reader_is_woken_once_by_the_first_push_and_by_the_end() {
    let (sender, receiver) = channel(10, 100);
    let mut reader = Reader::new(receiver);
    assert_eq!(reader.poll(9), Poll::Pending);
    sender.push(1, weigh(1));
    sender.push(2, weigh(1));
    assert_eq!(reader.wakes(), 1);
    assert_eq!(reader.poll(9), Poll::Ready(Received::Items(2)));
    assert_eq!(reader.poll(9), Poll::Pending);
    let other = sender.clone();
    drop(sender);
    assert_eq!((reader.wakes(), reader.poll(9)), (1, Poll::Pending));
    drop(other);
    assert_eq!((reader.wakes(), reader.poll(9)), (2, Poll::Ready(Received::Closed)));
}

#[test]
fn what_was_queued_before_the_last_sender_left_still_arrives() {
    let (sender, receiver) = channel(10, 100);
    let mut reader = Reader::new(receiver);
    sender.push(1, weigh(1));
    drop(sender);
    assert_eq!(reader.poll(9), Poll::Ready(Received::Items(1)));
    assert_eq!(reader.poll(9), Poll::Ready(Received::Closed));
}

/// F37: both bounds, exactly.
#[test]
fn beyond_a_bound_the_reader_hears_of_it_next_and_once() {
    for (frames, bytes) in [(2, 100), (100, 20)] {
        let (sender, receiver) = channel(frames, bytes);
        let mut reader = Reader::new(receiver);
        assert_eq!(reader.poll(9), Poll::Pending);
        assert_eq!(sender.push(1, weigh(10)), Pushed::Queued);
        assert_eq!(sender.push(2, weigh(10)), Pushed::Queued);
        assert_eq!(reader.poll(1), Poll::Ready(Received::Items(1)));
        assert_eq!(sender.push(3, weigh(10)), Pushed::Queued);
        assert_eq!(sender.push(4, weigh(10)), Pushed::Overflowed);
        assert_eq!(sender.push(5, Weight::default()), Pushed::Overflowed);
        assert_eq!(reader.poll(9), Poll::Ready(Received::Overflow));
        assert_eq!(reader.poll(9), Poll::Ready(Received::Closed));
        assert_eq!(reader.taken, [1]);
    }
}

//= specs/delivery.md#dlv-13
//= type=test
//# At half of a bound what may be dropped MUST be dropped, and a durable entry MUST NOT be.
#[test]
fn what_may_be_dropped_is_dropped_above_half() {
    let (sender, receiver) = channel(4, 100);
    let mut reader = Reader::new(receiver);
    assert_eq!(sender.push_droppable(1, weigh(1)), Pushed::Queued);
    assert_eq!(sender.push_droppable(2, weigh(1)), Pushed::Queued);
    assert_eq!(sender.push_droppable(3, weigh(1)), Pushed::Dropped);
    assert_eq!(sender.push(4, weigh(1)), Pushed::Queued);
    assert_eq!(reader.poll(9), Poll::Ready(Received::Items(3)));
    assert_eq!(reader.taken, [1, 2, 4]);
    assert_eq!(sender.push_droppable(5, weigh(51)), Pushed::Dropped);
    assert_eq!(sender.push_droppable(6, weigh(50)), Pushed::Queued);
}

#[test]
fn a_push_to_a_reader_that_left_says_so() {
    let (sender, receiver) = channel(4, 100);
    sender.push(1, weigh(1));
    drop(receiver);
    assert_eq!(sender.push(2, weigh(1)), Pushed::Closed);
}

#[test]
fn an_idle_outbox_holds_no_buffer() {
    let (sender, receiver) = channel(1000, 1000);
    let mut reader = Reader::new(receiver);
    for n in 0..500 {
        sender.push(n, weigh(1));
    }
    while reader.poll(64).is_ready() {}
    assert_eq!(locked(&sender.shared).items.capacity(), 0);
}

proptest! {
    #![proptest_config(goldenpath_proof::counted())]

    //= specs/delivery.md#dlv-10
    //= type=test
    //# What waits for one reader MUST NOT exceed its bounds in frames and in bytes.
    #[test]
    fn the_bounds_hold_and_nothing_is_lost_or_reordered(
        steps in prop::collection::vec((0u8..6, 0usize..30), 0..200)
    ) {
        stays_in_bounds(&steps)?;
    }
}

/// Steps: 0 and 1 push, 4 pushes something urgent, 5 takes what is urgent, the others take.
fn stays_in_bounds(steps: &[(u8, usize)]) -> Result<(), TestCaseError> {
    let (sender, receiver) = channel(8, 64);
    let mut reader = Reader::new(receiver);
    let (mut accepted, mut next, mut overflowed) = (Vec::new(), 0, false);
    for &(kind, size) in steps {
        let pushed = match kind {
            0 => sender.push_droppable(next, weigh(size)),
            1 => sender.push(next, weigh(size)),
            4 => sender.push_urgent(next + URGENT),
            _ => {
                let polled = if kind == 5 { reader.poll_urgent() } else { reader.poll(size % 4) };
                prop_assert!(!overflowed || polled != Poll::Pending);
                continue;
            }
        };
        match pushed {
            Pushed::Queued => accepted.push(if kind == 4 { next + URGENT } else { next }),
            Pushed::Dropped => prop_assert_eq!(kind, 0),
            Pushed::Overflowed => overflowed = true,
            Pushed::Closed => prop_assert!(false, "the reader is there"),
        }
        next += 1;
        let used = reader.receiver.waiting();
        prop_assert!(used.frames <= 8 && used.bytes <= 64);
    }
    while let Poll::Ready(Received::Items(_)) = reader.poll(3) {}
    // What is urgent may overtake the others; each kind keeps its order.
    let of = |items: &[u32], urgent: bool| -> Vec<u32> {
        items.iter().copied().filter(|item| (*item >= URGENT) == urgent).collect()
    };
    for urgent in [false, true] {
        let (accepted, taken) = (of(&accepted, urgent), of(&reader.taken, urgent));
        prop_assert!(accepted.starts_with(&taken));
        prop_assert!(overflowed || taken == accepted);
    }
    Ok(())
}

#[test]
fn what_may_be_dropped_leaves_room_for_what_may_not_up_to_the_last_byte() {
    stays_in_bounds(&[(0, 6), (0, 15), (1, 25), (1, 8), (1, 11)]).unwrap();
}

#[test]
fn a_reader_that_takes_nothing_hears_of_the_overflow_and_of_nothing_else() {
    let (sender, receiver) = channel(2, 100);
    let mut reader = Reader::new(receiver);
    assert_eq!(reader.poll_urgent(), Poll::Pending);
    sender.push(1, weigh(1));
    assert_eq!((reader.wakes(), reader.poll_urgent()), (1, Poll::Pending));
    sender.push(2, weigh(1));
    assert_eq!((reader.wakes(), reader.poll_urgent()), (2, Poll::Pending));
    assert_eq!(sender.push(3, weigh(1)), Pushed::Overflowed);
    assert_eq!((reader.wakes(), reader.poll_urgent()), (3, Poll::Ready(Received::Overflow)));
    assert_eq!(reader.poll_urgent(), Poll::Ready(Received::Closed), "said once");
    assert_eq!(reader.receiver.waiting(), Weight::default());
    assert_eq!(reader.poll(9), Poll::Ready(Received::Closed));
    assert!(reader.taken.is_empty());
}

#[test]
fn what_is_urgent_overtakes_for_a_reader_that_takes_nothing_else() {
    let (sender, receiver) = channel(3, 100);
    let mut reader = Reader::new(receiver);
    assert_eq!(reader.poll_urgent(), Poll::Pending);
    sender.push(1, weigh(1));
    // It weighs nothing, so there is room for it although nothing else fits.
    sender.push(2, weigh(99));
    assert_eq!(sender.push_urgent(10), Pushed::Queued);
    sender.push(3, weigh(0));
    assert_eq!(sender.push_urgent(11), Pushed::Queued);
    assert_eq!(reader.poll_urgent(), Poll::Ready(Received::Items(2)));
    assert_eq!(reader.taken, [10, 11]);
    assert_eq!(reader.poll_urgent(), Poll::Pending);
    assert_eq!(reader.receiver.waiting(), Weight { frames: 3, bytes: 100 });
    // The others keep their order.
    assert_eq!(reader.poll(9), Poll::Ready(Received::Items(3)));
    assert_eq!(reader.taken, [10, 11, 1, 2, 3]);
}

#[test]
fn what_is_urgent_keeps_its_place_for_a_reader_that_takes_everything() {
    let (sender, receiver) = channel(9, 100);
    let mut reader = Reader::new(receiver);
    for n in [1, 2, 3, 4] {
        if n % 2 == 0 {
            sender.push_urgent(n)
        } else {
            sender.push(n, weigh(1))
        };
    }
    assert_eq!(reader.poll(2), Poll::Ready(Received::Items(2)));
    // What was taken in its place is not there a second time.
    assert_eq!(reader.poll_urgent(), Poll::Ready(Received::Items(1)));
    assert_eq!(reader.poll_urgent(), Poll::Pending);
    assert_eq!(reader.poll(9), Poll::Ready(Received::Items(1)));
    assert_eq!(reader.taken, [1, 2, 4, 3]);
}

#[test]
fn an_outbox_from_which_only_what_is_urgent_was_taken_holds_no_buffer() {
    let (sender, receiver) = channel(9, 100);
    let mut reader = Reader::new(receiver);
    sender.push_urgent(1);
    assert_eq!(reader.poll_urgent(), Poll::Ready(Received::Items(1)));
    assert_eq!(locked(&sender.shared).items.capacity(), 0);
}

#[test]
fn a_reader_that_moved_to_another_task_is_woken_there() {
    let (sender, mut receiver) = channel::<u32>(2, 100);
    let (first, second) =
        (std::sync::Arc::<Counter>::default(), std::sync::Arc::<Counter>::default());
    for counter in [&first, &second] {
        let waker = Waker::from(std::sync::Arc::clone(counter));
        let polled = receiver.poll_recv_many(&mut Context::from_waker(&waker), &mut Vec::new(), 1);
        assert_eq!(polled, Poll::Pending);
    }
    sender.push(1, weigh(1));
    let woken = |counter: &Counter| counter.0.load(Ordering::SeqCst);
    assert_eq!((woken(&first), woken(&second)), (0, 1));
    let mut taken = Vec::new();
    let waker = Waker::from(std::sync::Arc::clone(&first));
    let context = &mut Context::from_waker(&waker);
    assert!(receiver.poll_recv_many(context, &mut taken, 9).is_ready());
    for counter in [&second, &first] {
        let waker = Waker::from(std::sync::Arc::clone(counter));
        let context = &mut Context::from_waker(&waker);
        assert_eq!(receiver.poll_urgent(context, &mut taken), Poll::Pending);
    }
    sender.push(2, weigh(1));
    assert_eq!((woken(&first), woken(&second)), (1, 1));
}
