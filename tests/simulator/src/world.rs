//! All of it, and how time passes in it.

use crate::invariant::{Aside, Broken, Invariant, Seen, Witness};
use crate::node::Node;
use crate::reader::Reader;
use crate::rules;
use crate::seat::Seat;
use crate::store::Store;
use crate::task::Work;
use goldenpath_core::auth::{Claims, Endings, Policy, Scope, Signed, check_claims};
use goldenpath_core::client::Config;
use goldenpath_core::connection::Identity;
use goldenpath_core::hub::{Batch, Input};
use goldenpath_core::id::{
    ClientMsgId, ConnectionId, Epoch, EventId, Fence, RunId, SessionId, ThreadId,
};
use goldenpath_core::limits::Limits;
use goldenpath_core::time::{Millis, Mono, Now, Wall, earliest};
use goldenpath_core::wire::{
    ClientBody, Entry, MultitaskStrategy, OnDisconnect, Reply, ResumePoint, UserMessage,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The node of a world that has only one.
pub const HOME: usize = 0;

/// What a world begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Setup {
    /// The bounds of its machines.
    pub limits: Limits,
    /// Servers over the one store; the first one holds the lease.
    pub nodes: usize,
    /// Clients, each with a socket to lose.
    pub clients: usize,
    /// How they behave.
    pub client: Config,
    /// What runs do.
    pub work: Work,
    /// Whether civil time stands still, so that fewer worlds differ only in it.
    pub wall_stands: bool,
}

impl Default for Setup {
    /// One node without clients; runs say all five kinds of events.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            nodes: 1,
            clients: 0,
            client: Config::default(),
            work: Work::FiveKinds,
            wall_stands: false,
        }
    }
}

/// A world. Two that are equal go on alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// What it began with.
    pub setup: Arc<Setup>,
    /// Both clocks of the world; a node may show something else ([`World::now_at`]).
    pub now: Now,
    /// The truth.
    pub store: Store,
    /// Writes nobody waits for any more, still on their way to the store.
    pub late: Vec<Batch>,
    /// Which node holds the lease of this user.
    pub lease: Option<usize>,
    /// The servers.
    pub nodes: Vec<Node>,
    /// Every connection the servers have.
    pub readers: BTreeMap<ConnectionId, Reader>,
    /// The clients.
    pub seats: Vec<Seat>,
    /// Runs whose cancel was acknowledged.
    pub cancels: BTreeSet<RunId>,
    /// Runs whose tool was called, when it is not repeatable.
    pub effects: BTreeSet<RunId>,
    /// What did not hold.
    pub broken: Vec<Broken>,
    /// What happened.
    pub seen: Aside<Seen>,
    /// Under which fence an entry was said by its task.
    pub(crate) said: Aside<BTreeMap<EventId, Fence>>,
    /// Messages that interrupt.
    pub(crate) urgent: Aside<BTreeSet<ClientMsgId>>,
    /// Entries said by tasks that had been replaced.
    pub(crate) ghostly: Aside<BTreeSet<EventId>>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) next_connection: u128,
}

/// The right of this user.
///
/// # Panics
/// When `user` is no name.
#[must_use]
pub fn scope_of(user: &str) -> Scope {
    identity(user, Wall(u64::MAX >> 12)).scope()
}

/// Whose world it is.
pub(crate) fn owner() -> Scope {
    scope_of("ada")
}

/// The verdict on a token of this user; whole seconds of `expires_at` count.
///
/// # Panics
/// When `user` is no name.
#[must_use]
pub fn identity(user: &str, expires_at: Wall) -> Identity {
    let iss = Some(String::from("simulator"));
    let (sub, exp, sid) = (user.to_owned(), expires_at.0 / 1000, Some(SessionId(1)));
    let claims = Claims { sub, exp, iss, sid, ..Claims::default() };
    let (issuer, leeway) = (String::from("simulator"), Millis(0));
    let policy = Policy { issuer, audience: None, leeway, max_age: None, older_issuer: None };
    let vouched = check_claims(&Signed::by("simulator", claims), &policy, Wall(0));
    let verdict = vouched.and_then(|vouched| vouched.unless_ended(&Endings::default()));
    verdict.expect("a short text is a name")
}

impl World {
    /// A world in which nothing has happened.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let limits = Arc::new(setup.limits.clone());
        let now = Now { mono: Mono(1_000), wall: Wall(1_795_255_873_000) };
        let nodes = (0..setup.nodes.max(1)).map(|at| Node::new(at, limits.clone())).collect();
        let mut world = Self {
            now,
            store: Store::default(),
            late: Vec::new(),
            lease: Some(HOME),
            nodes,
            readers: BTreeMap::new(),
            seats: Vec::new(),
            cancels: BTreeSet::new(),
            effects: BTreeSet::new(),
            broken: Vec::new(),
            seen: Aside::default(),
            said: Aside::default(),
            urgent: Aside::default(),
            ghostly: Aside::default(),
            limits,
            next_connection: 1,
            setup: Arc::new(setup),
        };
        for index in 0..world.setup.clients {
            world.add_seat(index);
        }
        world
    }

    /// A world of one node with these limits.
    #[must_use]
    pub fn with(limits: Limits) -> Self {
        Self::new(Setup { limits, ..Setup::default() })
    }

    /// The node of a world that has only one.
    #[must_use]
    pub fn home(&self) -> &Node {
        &self.nodes[HOME]
    }

    /// The same, to be changed.
    pub fn home_mut(&mut self) -> &mut Node {
        &mut self.nodes[HOME]
    }

    /// Notes that something happened.
    pub(crate) const fn note(&mut self, witness: Witness) {
        self.seen.0.note(witness);
    }

    /// Notes that something did not hold.
    pub(crate) fn breaks(&mut self, invariant: Invariant, what: impl Into<String>) {
        self.broken.push(Broken { invariant, what: what.into() });
    }

    /// A reader without a machine of its own comes to a node.
    pub fn attach(&mut self, at: usize, resume: Vec<ResumePoint>) -> ConnectionId {
        let connection_id = self.new_connection(Reader::at(at, &resume));
        self.input(at, Input::Attach { connection_id, resume, reader: true });
        connection_id
    }

    pub(crate) fn new_connection(&mut self, reader: Reader) -> ConnectionId {
        let connection_id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.readers.insert(connection_id, reader);
        connection_id
    }

    /// Its hub learns that a connection is gone.
    pub fn detach(&mut self, connection_id: ConnectionId) {
        if let Some(reader) = self.readers.remove(&connection_id) {
            self.input(reader.node, Input::Detach { connection_id });
        }
    }

    /// A reader asks for something.
    pub fn command(&mut self, connection_id: ConnectionId, body: ClientBody) {
        self.ask(connection_id, Reply::None, body);
    }

    pub(crate) fn ask(&mut self, connection_id: ConnectionId, reply: Reply, body: ClientBody) {
        let Some(reader) = self.readers.get_mut(&connection_id) else { return };
        if let ClientBody::GapRequest { thread_id, to_seq, .. } = &body {
            let asked = reader.asked_again.entry(*thread_id).or_default();
            *asked = (*asked).max(*to_seq);
        }
        let node = reader.node;
        if let ClientBody::UserMessage(message) = &body
            && message.multitask == MultitaskStrategy::Interrupt
        {
            self.urgent.0.insert(message.client_msg_id.clone());
        }
        self.input(node, Input::Command { connection_id, reply, body });
    }

    /// A reader sends a message.
    pub fn say(&mut self, connection_id: ConnectionId, message: UserMessage) {
        self.command(connection_id, ClientBody::UserMessage(message));
    }

    /// Time passes for everybody.
    pub fn pass(&mut self, span: Millis) {
        self.now.mono = self.now.mono.after(span);
        if !self.setup.wall_stands {
            self.now.wall = self.now.wall.after(span);
        }
        for at in 0..self.nodes.len() {
            self.time_at(at);
        }
        for index in 0..self.seats.len() {
            self.seats[index].client.handle_timeout(self.now);
            self.drain_seat(index);
        }
        self.check_deadlines();
    }

    /// The next deadline of any machine; at the end of a grace the world looks, too, whether or not a machine
    /// wants to.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let ahead = |end: &Mono| *end > self.now.mono;
        let grace = |node: &Node| node.grace(&self.limits).filter(ahead);
        let of_node = |node: &Node| earliest(node.due(), grace(node));
        let nodes = self.nodes.iter().fold(None, |soonest, node| earliest(soonest, of_node(node)));
        self.seats.iter().fold(nodes, |soonest, seat| earliest(soonest, seat.deadline))
    }

    /// Time passes until the next deadline. Nothing when there is none.
    pub fn pass_to_deadline(&mut self) {
        if let Some(deadline) = self.deadline() {
            self.pass(deadline.since(self.now.mono));
        }
    }

    /// Who was looked at has nothing left to do before now.
    pub(crate) fn check_deadlines(&mut self) {
        if self.deadline().is_some_and(|deadline| deadline <= self.now.mono) {
            let late = |node: &Node| node.due().is_some_and(|due| due <= self.now.mono);
            let who = self.nodes.iter().any(late);
            self.breaks(Invariant::Rests, format!("a deadline that is over (of a node: {who})"));
        }
        self.check_cancels();
    }

    /// Who was told to stop has stopped when its grace is over.
    pub(crate) fn check_cancels(&mut self) {
        let late = |at: usize| {
            let mut told = self.nodes[at].tasks.values().filter_map(|task| task.cancelled);
            told.find_map(|told| rules::of_cancelled(told, self.now_at(at).mono, &self.limits))
        };
        let late = (0..self.nodes.len()).find_map(late);
        self.broken.extend(late);
    }

    /// The entries of a thread.
    #[must_use]
    pub fn entries(&self, thread_id: ThreadId) -> Vec<Entry> {
        let log = &self.store.threads[&thread_id];
        log.decoded.iter().map(|entry| Entry::clone(entry)).collect()
    }

    /// The only thread there is.
    ///
    /// # Panics
    /// When there is another number of them.
    #[must_use]
    pub fn only_thread(&self) -> ThreadId {
        assert_eq!(self.store.threads.len(), 1);
        *self.store.threads.keys().next().expect("one thread")
    }
}

/// A message with the name `name`; the same name has the same content.
///
/// # Panics
/// When that is no name.
#[must_use]
pub fn message(name: &str, thread_id: Option<ThreadId>) -> UserMessage {
    UserMessage {
        client_msg_id: ClientMsgId::new(name).expect("a name"),
        content: format!("question {name}"),
        thread_id,
        multitask: MultitaskStrategy::Enqueue,
        on_disconnect: OnDisconnect::Continue,
        expected_head_seq: None,
        metadata: None,
    }
}

/// Where a reader would resume.
pub fn points(reader: &Reader, epoch: impl Fn(ThreadId) -> Option<Epoch>) -> Vec<ResumePoint> {
    let positions = reader.positions.iter();
    positions
        .map(|(thread_id, after_seq)| ResumePoint {
            thread_id: *thread_id,
            epoch: epoch(*thread_id),
            after_seq: *after_seq,
        })
        .collect()
}
