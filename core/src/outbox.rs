//! The bounded queue between a shard and a connection's writer: the one structure shared between
//! threads (DLV-10, invariant 12).
//!
//! A shard pushes and never waits; a writer takes many at once. At half of either bound what may be
//! dropped is dropped; beyond the bound the reader is too slow: nothing more is taken, the receiver
//! hears [`Received::Overflow`] next, and the connection closes with 4420. An idle outbox owns no
//! memory beyond itself. loom explores it (`cargo test -p goldenpath-core --features loom --test
//! outbox_loom`), shuttle what stands around it (`--features shuttle --test outbox_shuttle`).

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
    items: VecDeque<(T, Weight)>,
    used: Weight,
    most: Weight,
    /// Set while the receiver waits.
    waker: Option<Waker>,
    senders: usize,
    end: End,
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
        self.offer(item, weight, false)
    }

    /// Queues an item that a later one supersedes (a transient frame), if there is plenty of room.
    pub fn push_droppable(&self, item: T, weight: Weight) -> Pushed {
        self.offer(item, weight, true)
    }

    fn offer(&self, item: T, weight: Weight, droppable: bool) -> Pushed {
        let (pushed, waker) = locked(&self.shared).offer(item, weight, droppable);
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
        match queue.end {
            End::Overflowed => {
                queue.end = End::OverflowTold;
                return Poll::Ready(Received::Overflow);
            }
            End::OverflowTold | End::ReceiverGone => return Poll::Ready(Received::Closed),
            End::Open => {}
        }
        let count = queue.items.len().min(most.max(1));
        if count > 0 {
            queue.take(count, taken);
            return Poll::Ready(Received::Items(count));
        }
        if queue.senders == 0 {
            return Poll::Ready(Received::Closed);
        }
        match &mut queue.waker {
            Some(known) => known.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Ready once the bound was passed: what a writer waits for that cannot write and therefore takes
    /// nothing. Until then every push wakes the task.
    pub fn poll_overflow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut queue = locked(&self.shared);
        match queue.end {
            End::Overflowed => {
                queue.end = End::OverflowTold;
                return Poll::Ready(());
            }
            End::Open | End::OverflowTold | End::ReceiverGone => {}
        }
        match &mut queue.waker {
            Some(known) => known.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
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
            queue.used = Weight::default();
            queue.waker = None;
            core::mem::take(&mut queue.items)
        };
        // Items are dropped outside the lock: what they own is none of our business.
        drop(items);
    }
}

impl<T> Queue<T> {
    fn offer(&mut self, item: T, weight: Weight, droppable: bool) -> (Pushed, Option<Waker>) {
        match self.end {
            End::Open => {}
            End::Overflowed | End::OverflowTold => return (Pushed::Overflowed, None),
            End::ReceiverGone => return (Pushed::Closed, None),
        }
        let after = Weight {
            frames: self.used.frames.saturating_add(weight.frames),
            bytes: self.used.bytes.saturating_add(weight.bytes),
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
            self.used = Weight::default();
            return (Pushed::Overflowed, self.waker.take());
        }
        self.used = after;
        self.items.push_back((item, weight));
        (Pushed::Queued, self.waker.take())
    }

    fn take(&mut self, count: usize, taken: &mut Vec<T>) {
        for (item, weight) in self.items.drain(..count) {
            self.used.frames -= weight.frames;
            self.used.bytes -= weight.bytes;
            taken.push(item);
        }
        if self.items.is_empty() {
            self.items = VecDeque::new();
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
mod tests;
