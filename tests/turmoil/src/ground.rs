//! What all parts of a world share: the disk, the devices' memories, and the tape of all that was heard.

use crate::history::History;
use crate::store::Disk;
use goldenpath_core::auth::{Policy, Vouched};
use goldenpath_core::client::Link;
use goldenpath_core::id::{ClientMsgId, Epoch, EventId, RunId, Seq, SessionId, ThreadId, UserId};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{AckFrame, ErrorCode, Secret, UserMessage};
use goldenpath_jsonwebtoken::{Grant, Key, Keys, Tokens};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// When every world begins.
const BEGIN: Wall = Wall(1_800_000_000_000);

/// Where the node listens.
pub(crate) const NODE: &str = "node";
pub(crate) const PORT: u16 = 8000;

/// The people.
const NAMES: [&str; 3] = ["ada", "grace", "lin"];

/// A world without its tasks.
pub(crate) struct Ground {
    pub(crate) seed: u64,
    pub(crate) first_frame: bool,
    pub(crate) disk: Disk,
    pub(crate) history: History,
    pub(crate) seats: Vec<Mutex<Seat>>,
    pub(crate) drain: tokio::sync::Notify,
    /// The node is to stand still for so many milliseconds.
    pub(crate) stand_still: tokio::sync::Notify,
    /// How many milliseconds the node's clock is off. It lives as long as the process: a clock is copied.
    pub(crate) clock_off_ms: &'static AtomicI64,
    tape: Mutex<Tape>,
    tokens: Tokens,
}

/// What is not a device's own.
#[derive(Default)]
pub(crate) struct Tape {
    pub(crate) heard: Vec<Heard>,
    /// When a device asked for a socket, and which.
    pub(crate) dials: Vec<(u64, usize)>,
    pub(crate) sockets: u32,
    /// Processes of the node so far.
    pub(crate) process: u64,
    /// How long the process has stood still: its clocks are so far ahead of the world.
    pub(crate) stood_still_ms: u64,
    /// How long it is to stand still when it is told to.
    pub(crate) stand_still_ms: u64,
    /// Whether the clock was set while the node lived, or stood still: tokens in hand may be too old for it,
    /// or from the future.
    pub(crate) is_clock_set: bool,
    /// When the clock of the node first went back.
    pub(crate) set_back_at_ms: Option<u64>,
    /// Whether the node has ended by itself.
    pub(crate) drained: bool,
    pub(crate) met: BTreeMap<String, u64>,
    /// The last message of each user.
    pub(crate) last_words: BTreeMap<usize, UserMessage>,
}

/// A piece of what came to a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Heard {
    pub(crate) ms: u64,
    pub(crate) device: usize,
    /// Through all devices.
    pub(crate) socket: u32,
    pub(crate) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    Text(String),
    Close(u16),
    /// What its application shows beside entries.
    Shown(String),
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ms, device, socket, what } = self;
        write!(f, "{ms:7} device {device} socket {socket}: ")?;
        match what {
            What::Text(text) => f.write_str(text),
            What::Close(code) => write!(f, "close {code}"),
            What::Shown(what) => f.write_str(what),
        }
    }
}

/// A device: what its application keeps, and what is wrong with its network.
#[derive(Default)]
pub(crate) struct Seat {
    pub(crate) user: usize,
    pub(crate) link: Option<Link>,
    pub(crate) views: BTreeMap<ThreadId, View>,
    /// What it said since it was opened, and what became of it.
    pub(crate) said: BTreeMap<ClientMsgId, Said>,
    pub(crate) runs: Vec<RunId>,
    pub(crate) deaf_until_ms: u64,
    pub(crate) cuts: u64,
    pub(crate) wakers: Vec<Waker>,
    pub(crate) broken: Vec<String>,
}

/// A thread as an application shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) epoch: Option<Epoch>,
    pub(crate) entries: BTreeMap<Seq, EventId>,
}

impl View {
    pub(crate) fn last(&self) -> Seq {
        self.entries.keys().next_back().copied().unwrap_or_default()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Waiting,
    Acked(AckFrame),
    Refused(ErrorCode),
}

impl Ground {
    pub(crate) fn new(seed: u64, users: usize, devices: usize, first_frame: bool) -> Self {
        let key = Key::hs256(b"0123456789abcdefghijklmnopqrstuvwxyz").expect("long enough");
        let policy = Policy {
            issuer: "goldenpath".into(),
            audience: Some("goldenpath".into()),
            // Longer than the clock is off after a restart; not than it is set by.
            leeway: Millis::from_secs(900),
            max_age: None,
            older_issuer: None,
        };
        let seat = |device| Mutex::new(Seat { user: device / devices, ..Seat::default() });
        let history = History::default();
        Self {
            seed,
            first_frame,
            disk: Disk::new(history.clone()),
            history,
            seats: (0..users * devices).map(seat).collect(),
            drain: tokio::sync::Notify::new(),
            stand_still: tokio::sync::Notify::new(),
            clock_off_ms: Box::leak(Box::default()),
            tape: Mutex::default(),
            tokens: Tokens::new(Keys::new(key), policy),
        }
    }

    pub(crate) fn user(&self, device: usize) -> UserId {
        UserId::new(NAMES[self.seat(device).user]).expect("a name")
    }

    pub(crate) fn seat(&self, device: usize) -> MutexGuard<'_, Seat> {
        lock(&self.seats[device])
    }

    pub(crate) fn tape(&self) -> MutexGuard<'_, Tape> {
        lock(&self.tape)
    }

    /// The civil time at a point of the simulation, by a clock that is right.
    pub(crate) fn wall(ms: u64) -> Wall {
        BEGIN.after(Millis(ms))
    }

    /// The civil time at a point of the simulation, by the clock of the node, which issues the tokens.
    fn wall_of_node(&self, ms: u64) -> Wall {
        let off = self.clock_off_ms.load(Ordering::Relaxed);
        Wall(Self::wall(ms + self.tape().stood_still_ms).0.saturating_add_signed(off))
    }

    /// The clock of the node is set.
    pub(crate) fn set_clock(&self, by_ms: i64) {
        self.clock_off_ms.fetch_add(by_ms, Ordering::Relaxed);
        if by_ms < 0 {
            self.goes_back();
        }
    }

    /// The clock of the node goes back, by the time of its last deed.
    pub(crate) fn goes_back(&self) {
        let now = self.history.now().0;
        self.tape().set_back_at_ms.get_or_insert(now);
    }

    pub(crate) fn meet(&self, what: impl Into<String>) {
        *self.tape().met.entry(what.into()).or_default() += 1;
    }

    /// A device's application shows something.
    pub(crate) fn note(&self, device: usize, what: String) {
        let (ms, what) = (now_ms(), What::Shown(what));
        self.tape().heard.push(Heard { ms, device, socket: 0, what });
    }

    pub(crate) fn token(&self, device: usize, ms: u64) -> Secret {
        let session = SessionId(1 + device as u128);
        let grant = Grant::new(self.user(device), session, Millis::from_secs(3600));
        self.tokens.issue(grant, self.wall_of_node(ms)).expect("a token can be signed").token
    }

    /// Whose a token is.
    pub(crate) fn check(&self, token: &Secret, now: Wall) -> Result<Vouched, ErrorCode> {
        Ok(self.tokens.verify(&token.0, now)?.vouched)
    }

    /// The threads of a device's user, in the order of their ids.
    pub(crate) fn threads(&self, device: usize) -> Vec<ThreadId> {
        let user = self.seat(device).user;
        let mut threads = std::collections::BTreeSet::new();
        for seat in &self.seats {
            let seat = lock(seat);
            if seat.user == user {
                threads.extend(seat.views.keys().copied());
            }
        }
        threads.into_iter().collect()
    }

    /// The last run a device's user knows.
    pub(crate) fn last_run(&self, device: usize) -> Option<RunId> {
        let user = self.seat(device).user;
        let seats = self.seats.iter().map(lock).filter(|seat| seat.user == user);
        seats.filter_map(|seat| seat.runs.last().copied()).max()
    }
}

/// Milliseconds of the simulation, inside a host.
pub(crate) fn now_ms() -> u64 {
    turmoil::sim_elapsed().map_or(0, |elapsed| elapsed.as_millis() as u64)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
