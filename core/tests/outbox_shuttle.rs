//! shuttle runs what stands around the outbox under thousands of random schedules: a shard that serves
//! several speakers and readers, writers that come back after an overflow, and writers that cannot write.
//! Where loom asks one question of two threads, these ask whether the whole arrives. A lost wake-up shows
//! as a deadlock that shuttle reports with the schedule to replay. DLV-04, DLV-05, DLV-10, DLV-14 and DLV-29
//! rest on it.
#![cfg(feature = "shuttle")]
#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use core::future::poll_fn;
use core::task::Poll;
use goldenpath_core::outbox::{Pushed, Received, Receiver, Sender, Weight, channel};
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::mpsc;
use shuttle::{Config, Runner, thread};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Preemptions that the second scheduler places where they hurt.
const PREEMPTIONS: usize = 3;
const ONE: Weight = Weight { frames: 1, bytes: 1 };

/// Schedules of each scheduler, for each question. `GOLDENPATH_SCHEDULES` asks for another number (tests/deep).
fn schedules() -> usize {
    let wanted = std::env::var("GOLDENPATH_SCHEDULES").ok();
    wanted.map_or(5_000, |n| n.parse().expect("GOLDENPATH_SCHEDULES is a number"))
}

/// What the shard hears.
enum Command {
    Attach {
        reader: usize,
        from: usize,
        outbox: Sender<Item>,
    },
    /// The reader took what it was given and wants to go on from there.
    More {
        reader: usize,
        from: usize,
    },
    Say(u32),
}

/// What a writer is given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Entry {
        seq: usize,
        said: u32,
    },
    /// A part of a replay ended; the reader asks for the next.
    Part,
    /// A transient; a later one supersedes it.
    Status,
}

/// Bounds of a reader's outbox in frames; a part of a replay fills half of it.
const FRAMES: usize = 4;

/// A reader at the shard: its outbox, and whether it has caught up.
struct Served {
    outbox: Sender<Item>,
    live: bool,
}

/// A model of the shard, not the real hub: appends what is said, and gives every reader every entry; ends with
/// the last command's sender.
fn shard(commands: &mpsc::Receiver<Command>, readers: usize) -> Vec<u32> {
    let mut log = Vec::new();
    let mut served: Vec<Option<Served>> = (0..readers).map(|_| None).collect();
    while let Ok(command) = commands.recv() {
        match command {
            Command::Attach { reader, from, outbox } => {
                served[reader] = Some(Served { outbox, live: false });
                replay(&mut served[reader], &log, from);
            }
            Command::More { reader, from } => replay(&mut served[reader], &log, from),
            Command::Say(said) => {
                log.push(said);
                for slot in &mut served {
                    tell(slot, &Item::Entry { seq: log.len(), said });
                }
            }
        }
    }
    log
}

/// Gives a live reader one entry; a reader that is too slow, or gone, is forgotten.
fn tell(slot: &mut Option<Served>, entry: &Item) {
    let Some(served) = slot.as_ref().filter(|served| served.live) else { return };
    let transient = served.outbox.push_droppable(Item::Status, ONE);
    match served.outbox.push(entry.clone(), ONE) {
        Pushed::Queued => assert!(matches!(transient, Pushed::Queued | Pushed::Dropped)),
        Pushed::Overflowed | Pushed::Closed => *slot = None,
        Pushed::Dropped => unreachable!("an entry is never dropped"),
    }
}

/// Half an outbox of entries after `from`; a reader that has everything then is live.
fn replay(slot: &mut Option<Served>, log: &[u32], from: usize) {
    let Some(served) = slot else { return };
    let part = FRAMES / 2 - 1;
    for (index, said) in log.iter().enumerate().skip(from).take(part) {
        served.outbox.push(Item::Entry { seq: index + 1, said: *said }, ONE);
    }
    served.live = log.len() <= from + part;
    if !served.live && served.outbox.push(Item::Part, ONE) == Pushed::Closed {
        *slot = None;
    }
}

/// One reader's life: comes back after every overflow until it has `all` entries. Answers them, and how
/// often it was too slow.
fn read(reader: usize, all: usize, commands: &mpsc::Sender<Command>) -> (Vec<u32>, usize) {
    let (mut got, mut overflows) = (Vec::new(), 0);
    while got.len() < all {
        let (outbox, mut receiver) = channel(FRAMES, 100);
        commands.send(Command::Attach { reader, from: got.len(), outbox }).unwrap();
        loop {
            let mut taken = Vec::new();
            match receive(&mut receiver, &mut taken, 2) {
                Received::Items(count) => assert!(count <= 2 && taken.len() == count),
                Received::Overflow => {
                    assert_eq!(receive(&mut receiver, &mut taken, 2), Received::Closed);
                    overflows += 1;
                    break;
                }
                Received::Closed => unreachable!("the shard lets go only of who is too slow"),
            }
            for item in taken {
                match item {
                    Item::Entry { seq, said } => {
                        assert_eq!(seq, got.len() + 1, "a hole or a duplicate");
                        got.push(said);
                    }
                    Item::Part => commands.send(Command::More { reader, from: got.len() }).unwrap(),
                    Item::Status => {}
                }
            }
            if got.len() == all {
                break;
            }
        }
    }
    (got, overflows)
}

fn receive<T>(receiver: &mut Receiver<T>, taken: &mut Vec<T>, most: usize) -> Received {
    block_on(poll_fn(|context| receiver.poll_recv_many(context, taken, most)))
}

/// Runs a question under both schedulers and notes how many schedules that were.
fn explore(question: impl Fn() + Send + Sync + Clone + 'static) {
    fn run(
        scheduler: impl Scheduler + 'static,
        question: impl Fn() + Send + Sync + 'static,
    ) -> usize {
        Runner::new(scheduler, Config::default()).run(question)
    }
    let each = schedules();
    let schedules = run(RandomScheduler::new(each), question.clone())
        + run(PctScheduler::new(PREEMPTIONS, each), question);
    assert_eq!(schedules, 2 * each);
    note(schedules);
}

/// Leaves the sum of all questions' schedules where the summary of all proofs looks for it.
fn note(schedules: usize) {
    static SUM: Mutex<usize> = Mutex::new(0);
    let mut sum = SUM.lock().unwrap();
    *sum += schedules;
    goldenpath_proof::note("shuttle", "schedules", *sum);
}

#[test]
fn every_reader_gets_every_entry_once_and_in_order_however_slow() {
    const READERS: usize = 2;
    const SPEAKERS: u32 = 2;
    const EACH: u32 = 4;
    let slow = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&slow);
    explore(move || {
        let (sender, commands) = mpsc::channel();
        let shard = thread::spawn(move || shard(&commands, READERS));
        let speakers: Vec<_> = (0..SPEAKERS)
            .map(|speaker| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for n in 0..EACH {
                        sender.send(Command::Say(speaker * 100 + n)).unwrap();
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let sender = sender.clone();
                thread::spawn(move || read(reader, (SPEAKERS * EACH) as usize, &sender))
            })
            .collect();
        drop(sender);
        speakers.into_iter().for_each(|speaker| speaker.join().unwrap());
        let got: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        let log = shard.join().unwrap();
        for speaker in 0..SPEAKERS {
            let own: Vec<u32> = log.iter().copied().filter(|said| said / 100 == speaker).collect();
            assert_eq!(own, (0..EACH).map(|n| speaker * 100 + n).collect::<Vec<_>>());
        }
        for (entries, overflows) in got {
            assert_eq!(entries, log);
            slow.fetch_add(overflows, Ordering::Relaxed);
        }
    });
    // Otherwise the bound was never reached and coming back never tried.
    assert!(counted.load(Ordering::Relaxed) > 0, "nobody was ever too slow");
}

#[test]
fn of_many_senders_each_keeps_its_order_and_what_was_accepted_arrives() {
    const SENDERS: u32 = 3;
    let (full, free) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (was_full, was_free) = (Arc::clone(&full), Arc::clone(&free));
    explore(move || {
        let (sender, mut receiver) = channel(6, 6);
        let pushers: Vec<_> = (0..SENDERS)
            .map(|number| {
                let sender = sender.clone();
                thread::spawn(move || {
                    let mut accepted = Vec::new();
                    for n in 0..4 {
                        let item = number * 100 + n;
                        // A sender is cloned for a while, as a task's handle is.
                        let handle = sender.clone();
                        let pushed = if n == 1 {
                            handle.push_droppable(item, ONE)
                        } else {
                            handle.push(item, ONE)
                        };
                        match pushed {
                            Pushed::Queued => accepted.push(item),
                            Pushed::Dropped => assert_eq!(n, 1),
                            Pushed::Overflowed => {}
                            Pushed::Closed => unreachable!("the reader is there"),
                        }
                    }
                    accepted
                })
            })
            .collect();
        drop(sender);
        let (mut taken, mut overflowed) = (Vec::new(), false);
        loop {
            let before = taken.len();
            match receive(&mut receiver, &mut taken, 3) {
                Received::Items(count) => assert_eq!(taken.len() - before, count),
                Received::Overflow => {
                    assert!(!overflowed, "said twice");
                    overflowed = true;
                }
                Received::Closed => break,
            }
            let waiting = receiver.waiting();
            assert!(waiting.frames <= 6 && waiting.bytes <= 6);
        }
        for (number, pusher) in (0..).zip(pushers) {
            let accepted = pusher.join().unwrap();
            let own: Vec<u32> = taken.iter().copied().filter(|n| n / 100 == number).collect();
            assert!(accepted.starts_with(&own));
            assert!(overflowed || own == accepted);
        }
        let met = if overflowed { &full } else { &free };
        met.fetch_add(1, Ordering::Relaxed);
    });
    assert!(was_full.load(Ordering::Relaxed) > 0, "the bound was never passed");
    assert!(was_free.load(Ordering::Relaxed) > 0, "the bound was always passed");
}

#[test]
fn a_writer_whose_socket_is_full_learns_of_the_overflow_or_writes_everything() {
    const ENTRIES: u32 = 6;
    let (slow, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (were_slow, were_done) = (Arc::clone(&slow), Arc::clone(&done));
    explore(move || {
        let (sender, mut receiver) = channel(3, 100);
        // The socket takes one frame at a time; the peer makes room when it has read.
        let (socket, peer) = mpsc::sync_channel(1);
        let peer = thread::spawn(move || peer.iter().collect::<Vec<u32>>());
        let pusher = thread::spawn(move || {
            (0..ENTRIES).take_while(|n| sender.push(*n, ONE) == Pushed::Queued).count()
        });
        let writer = thread::spawn(move || {
            let mut taken = Vec::new();
            loop {
                match receive(&mut receiver, &mut taken, 1) {
                    Received::Items(_) => {}
                    Received::Overflow => return true,
                    Received::Closed => return false,
                }
                for entry in taken.drain(..) {
                    // As long as the socket is full the writer looks for the overflow and nothing else.
                    while let Err(mpsc::TrySendError::Full(_)) = socket.try_send(entry) {
                        let told = block_on(poll_fn(|context| {
                            let heard = receiver.poll_urgent(context, &mut Vec::new());
                            Poll::Ready(heard == Poll::Ready(Received::Overflow))
                        }));
                        if told {
                            assert_eq!(
                                receive(&mut receiver, &mut Vec::new(), 1),
                                Received::Closed
                            );
                            return true;
                        }
                        thread::yield_now();
                    }
                }
            }
        });
        let queued = pusher.join().unwrap();
        let overflowed = writer.join().unwrap();
        let read = peer.join().unwrap();
        assert_eq!(read, (0..).take(read.len()).collect::<Vec<u32>>());
        assert_eq!(overflowed, queued < ENTRIES as usize);
        assert!(overflowed || read.len() == ENTRIES as usize);
        let met = if overflowed { &slow } else { &done };
        met.fetch_add(1, Ordering::Relaxed);
    });
    assert!(were_slow.load(Ordering::Relaxed) > 0, "nobody was ever too slow");
    assert!(were_done.load(Ordering::Relaxed) > 0, "everybody was always too slow");
}

#[test]
fn a_writer_whose_socket_is_full_for_good_hears_its_end_however_much_waits() {
    const ENTRIES: u32 = 4;
    let (early, late) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (were_early, were_late) = (Arc::clone(&early), Arc::clone(&late));
    explore(move || {
        let (sender, mut receiver) = channel(100, 100);
        let ender = sender.clone();
        let pusher = thread::spawn(move || {
            (0..ENTRIES).for_each(|n| assert_eq!(sender.push(n, ONE), Pushed::Queued));
            sender
        });
        let ender = thread::spawn(move || {
            assert_eq!(ender.push_urgent(u32::MAX), Pushed::Queued);
            ender
        });
        let mut taken = Vec::new();
        let heard = block_on(poll_fn(|context| receiver.poll_urgent(context, &mut taken)));
        assert_eq!((heard, &taken[..]), (Received::Items(1), &[u32::MAX][..]));
        let waited = receiver.waiting().frames;
        let met = if waited == ENTRIES as usize { &late } else { &early };
        met.fetch_add(1, Ordering::Relaxed);
        let senders = (pusher.join().unwrap(), ender.join().unwrap());
        assert_eq!(receive(&mut receiver, &mut taken, 9), Received::Items(ENTRIES as usize));
        assert_eq!(taken[1..], [0, 1, 2, 3]);
        drop(senders);
    });
    assert!(were_early.load(Ordering::Relaxed) > 0, "everything was always pushed before");
    assert!(were_late.load(Ordering::Relaxed) > 0, "everything was never pushed before");
}
