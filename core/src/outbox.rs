//! The bounded queue between a shard and a connection's writer: the one structure shared between
//! threads (DLV-10, invariant 12).
//!
//! A shard pushes and never waits; a writer takes many at once. At half of either bound what may be
//! dropped is dropped; beyond the bound the reader is too slow: nothing more is taken, the receiver
//! hears [`Received::Overflow`] next, and the connection closes with 4420. A writer that cannot write
//! takes nothing but what is urgent. An idle outbox owns no memory beyond itself. loom explores it
//! (`cargo test -p goldenpath-core --features loom --test outbox_loom`), shuttle what stands around it
//! (`--features shuttle --test outbox_shuttle`).

mod sync;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::task::{Context, Poll, Waker};
use sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a queued item takes of the bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Weight {
    /// Frames in it; a control item counts 0.
    pub frames: usize,
    /// Bytes in it.
    pub bytes: usize,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pushed {
    /// The receiver will get it.
    Queued,
    /// It may be dropped and was: more than half of a bound is in use.
    Dropped,
    /// The reader is too slow: this and everything later is refused.
    Overflowed,
    /// The receiver is gone.
    Closed,
}

/// What a receiver got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Received {
    /// That many items were appended, at least one.
    Items(usize),
    /// The bound was passed; what was queued is gone. Said once, then `Closed`.
    Overflow,
    /// All senders are gone and everything was taken.
    Closed,
}

/// An empty outbox that takes at most `frames` and `bytes` (inclusive).
#[must_use]
pub fn channel<T>(frames: usize, bytes: usize) -> (Sender<T>, Receiver<T>) {
    let queue = Queue {
        items: VecDeque::new(),
        urgent: 0,
        used: Weight::default(),
        most: Weight { frames, bytes },
        waker: None,
        senders: 1,
        end: End::Open,
    };
    let shared = Arc::new(Mutex::new(queue));
    (Sender { shared: Arc::clone(&shared) }, Receiver { shared })
}

/// The shard's end. Cloning makes another; items of one sender keep their order.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Mutex<Queue<T>>>,
}

/// The writer's end; there is one.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Mutex<Queue<T>>>,
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<Item<T>>,
    /// How many of the items are urgent.
    urgent: usize,
    used: Weight,
    most: Weight,
    /// Set while the receiver waits.
    waker: Option<Waker>,
    senders: usize,
    end: End,
}

#[derive(Debug)]
struct Item<T> {
    item: T,
    weight: Weight,
    urgent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Overflowed,
    OverflowTold,
    ReceiverGone,
}

impl<T> Sender<T> {
    /// Queues an item; never waits, takes time independent of the queue's length.
    pub fn push(&self, item: T, weight: Weight) -> Pushed {
        self.offer(Item { item, weight, urgent: false }, false)
    }

    /// Queues an item that weighs nothing and that is heard also by a writer that cannot write: it has
    /// its place in the order for [`Receiver::poll_recv_many`], and none for [`Receiver::poll_urgent`].
    pub fn push_urgent(&self, item: T) -> Pushed {
        self.offer(Item { item, weight: Weight::default(), urgent: true }, false)
    }

    /// Queues an item that a later one supersedes (a transient frame), if there is plenty of room.
    pub fn push_droppable(&self, item: T, weight: Weight) -> Pushed {
        self.offer(Item { item, weight, urgent: false }, true)
    }

    fn offer(&self, item: Item<T>, droppable: bool) -> Pushed {
        let (pushed, waker) = locked(&self.shared).offer(item, droppable);
        // Woken outside the lock, so that the writer does not run into it.
        if let Some(waker) = waker {
            waker.wake();
        }
        pushed
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        locked(&self.shared).senders += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut queue = locked(&self.shared);
            queue.senders -= 1;
            if queue.senders == 0 && !canary!(LostWakeUp) { queue.waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// Moves up to `most` items (at least one) to the end of `taken`, in the order they were pushed;
    /// `Pending` when there is none, and then the task is woken by the next push or by the end.
    pub fn poll_recv_many(
        &mut self,
        context: &mut Context<'_>,
        taken: &mut Vec<T>,
        most: usize,
    ) -> Poll<Received> {
        let mut queue = locked(&self.shared);
        if let Some(end) = queue.end_to_tell() {
            return Poll::Ready(end);
        }
        let count = queue.items.len().min(most.max(1));
        if count > 0 {
            queue.take(count, taken);
            return Poll::Ready(Received::Items(count));
        }
        if queue.senders == 0 {
            return Poll::Ready(Received::Closed);
        }
        queue.wait(context);
        Poll::Pending
    }

    /// Moves the urgent items to the end of `taken`, in their order, past all that waits before them:
    /// what a writer polls that cannot write and therefore takes nothing else. Ready with
    /// [`Received::Overflow`], too; until then every push wakes the task. That all senders are gone
    /// is told with the last item, by [`poll_recv_many`](Self::poll_recv_many).
    pub fn poll_urgent(&mut self, context: &mut Context<'_>, taken: &mut Vec<T>) -> Poll<Received> {
        let mut queue = locked(&self.shared);
        if let Some(end) = queue.end_to_tell() {
            return Poll::Ready(end);
        }
        let count = queue.urgent;
        if count > 0 {
            queue.take_urgent(taken);
            return Poll::Ready(Received::Items(count));
        }
        queue.wait(context);
        Poll::Pending
    }

    /// What waits now; for metrics.
    #[must_use]
    pub fn waiting(&self) -> Weight {
        locked(&self.shared).used
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let items = {
            let mut queue = locked(&self.shared);
            queue.end = End::ReceiverGone;
            (queue.urgent, queue.used) = (0, Weight::default());
            queue.waker = None;
            core::mem::take(&mut queue.items)
        };
        // Items are dropped outside the lock: what they own is none of our business.
        drop(items);
    }
}

impl<T> Queue<T> {
    fn offer(&mut self, item: Item<T>, droppable: bool) -> (Pushed, Option<Waker>) {
        match self.end {
            End::Open => {}
            End::Overflowed | End::OverflowTold => return (Pushed::Overflowed, None),
            End::ReceiverGone => return (Pushed::Closed, None),
        }
        let after = Weight {
            frames: self.used.frames.saturating_add(item.weight.frames),
            bytes: self.used.bytes.saturating_add(item.weight.bytes),
        };
        //= specs/delivery.md#dlv-13
        //# At half of a bound what may be dropped MUST be dropped, and a durable entry MUST NOT be.
        if droppable
            && !after.fits(Weight { frames: self.most.frames / 2, bytes: self.most.bytes / 2 })
        {
            return (Pushed::Dropped, None);
        }
        //= specs/delivery.md#dlv-10
        //# What waits for one reader MUST NOT exceed its bounds in frames and in bytes.
        if canary!(OverflowDropsEntry) && !after.fits(self.most) {
            return (Pushed::Queued, None);
        }
        if !after.fits(self.most) {
            self.end = End::Overflowed;
            self.items = VecDeque::new();
            (self.urgent, self.used) = (0, Weight::default());
            return (Pushed::Overflowed, self.waker.take());
        }
        self.used = after;
        self.urgent += usize::from(item.urgent);
        self.items.push_back(item);
        (Pushed::Queued, self.waker.take())
    }

    fn take(&mut self, count: usize, taken: &mut Vec<T>) {
        for Item { item, weight, urgent } in self.items.drain(..count) {
            self.used.frames -= weight.frames;
            self.used.bytes -= weight.bytes;
            self.urgent -= usize::from(urgent);
            taken.push(item);
        }
        self.give_back();
    }

    /// Urgent items weigh nothing, so what is in use stays as it is.
    fn take_urgent(&mut self, taken: &mut Vec<T>) {
        for _ in 0..self.items.len() {
            match self.items.pop_front() {
                Some(Item { item, urgent: true, .. }) => taken.push(item),
                Some(other) => self.items.push_back(other),
                None => break,
            }
        }
        self.urgent = 0;
        self.give_back();
    }

    fn give_back(&mut self) {
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
    }

    /// The end, if there is one, as its receiver is to hear it now.
    fn end_to_tell(&mut self) -> Option<Received> {
        match self.end {
            End::Open => None,
            End::Overflowed => {
                self.end = End::OverflowTold;
                Some(Received::Overflow)
            }
            End::OverflowTold | End::ReceiverGone => Some(Received::Closed),
        }
    }

    /// The task is woken by the next push or by the end.
    fn wait(&mut self, context: &Context<'_>) {
        match &mut self.waker {
            Some(known) => known.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }
}

impl Weight {
    const fn fits(self, most: Self) -> bool {
        self.frames <= most.frames && self.bytes <= most.bytes
    }
}

/// A panic of another thread while it held the lock leaves no half-made change behind: every method
/// above changes the queue only through operations that complete.
fn locked<T>(shared: &Mutex<Queue<T>>) -> MutexGuard<'_, Queue<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, not(any(feature = "loom", feature = "shuttle"))))]
mod matrix_tests;
#[cfg(all(test, not(any(feature = "loom", feature = "shuttle"))))]
mod tests;
