//! A client: the real machine behind a socket that can be cut. Frames arrive in order or not at all,
//! as TCP has it; the two ends need not learn of the end of a socket at the same time.

use crate::invariant::{Invariant, Witness};
use crate::reader::Reader;
use crate::world::{World, owner};
use goldenpath_core::client::{
    Client, DialFailure, Ended, Event, Input, Link, MessageState, Output, Snapshot,
};
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{self, HubReady};
use goldenpath_core::id::{ConnectionId, EffectId, Epoch, Seq, SessionId, ThreadId};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Mono;
use goldenpath_core::wire::{
    Announced, AuthMethod, ClientBody, CloseCode, Entry, ErrorCode, Frame, Naming, ReadyFrame,
    Reply, ServerFrame, UserMessage, decode,
};
use std::collections::{BTreeMap, VecDeque};

/// A client's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Socket {
    /// There is none.
    None,
    /// It was asked for.
    Dialing(EffectId),
    /// It is open.
    Open {
        /// As the client names it.
        dial: EffectId,
        /// As the server names it.
        connection_id: ConnectionId,
    },
}

/// Something on its way to a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Coming {
    Close(u16),
    Frame(Frame),
    /// Everything before it has been written.
    Mark(u64),
}

/// A client with what it has seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    /// The machine.
    pub client: Client,
    /// Its socket.
    pub socket: Socket,
    /// Frames on their way to the server.
    pub going: VecDeque<Frame>,
    pub(crate) coming: VecDeque<Coming>,
    /// The last entry shown of each thread.
    pub view: BTreeMap<ThreadId, Seq>,
    /// Messages it gave up: refused for good.
    pub refused: usize,
    /// Reads of a whole log it waits for.
    pub(crate) loads: VecDeque<(EffectId, ThreadId, Option<Epoch>, Seq)>,
    pub(crate) deadline: Option<Mono>,
}

impl Seat {
    /// Frames on their way to the client.
    #[must_use]
    pub fn coming(&self) -> usize {
        self.coming.len()
    }

    /// Whether its user opened too many connections, and this one had to go.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.client.link() == Link::Ended(Ended::Forbidden(CloseCode::Replaced))
    }

    /// Reads of a whole log it waits for.
    #[must_use]
    pub fn loads(&self) -> usize {
        self.loads.len()
    }
}

impl World {
    pub(crate) fn add_seat(&mut self, index: usize) {
        let seed = Seed::new(100 + index as u64);
        let mut client = Client::new(self.setup.client.clone(), seed, None);
        client.connect(self.now).expect("a new client may connect");
        self.seats.push(Seat {
            client,
            socket: Socket::None,
            going: VecDeque::new(),
            coming: VecDeque::new(),
            view: BTreeMap::new(),
            refused: 0,
            loads: VecDeque::new(),
            deadline: None,
        });
        self.drain_seat(index);
    }

    /// A client is given a message to send.
    pub fn send(&mut self, index: usize, message: UserMessage) {
        // A full outbox refuses, and a name that is in use; both change nothing.
        let _ = self.seats[index].client.send(self.now, message);
        self.drain_seat(index);
    }

    /// The dial of a client is answered.
    pub fn dialed(&mut self, index: usize, at: usize, works: bool) {
        let Socket::Dialing(dial) = self.seats[index].socket else { return };
        if !works || self.nodes[at].hub.is_none() {
            self.seats[index].socket = Socket::None;
            let why = DialFailure::Unreachable;
            self.hears(index, Input::DialFailed { dial, why });
            return;
        }
        let reader = Reader { seat: Some(index), ..Reader::at(at, &[]) };
        let connection_id = self.new_connection(reader);
        self.seats[index].socket = Socket::Open { dial, connection_id };
        self.hears(index, Input::Opened { dial });
        let attach = hub::Input::Attach { connection_id, resume: Vec::new(), reader: true };
        self.input(at, attach);
    }

    /// A client's socket breaks. The client learns it; the server does when [`World::lose`] says so.
    pub fn cut(&mut self, index: usize, code: Option<u16>) {
        let Socket::Open { dial, .. } = self.seats[index].socket else { return };
        self.drop_socket(index);
        self.hears(index, Input::Closed { dial, code });
    }

    /// The server learns that a socket is dead.
    pub fn lose(&mut self, connection_id: ConnectionId) {
        self.detach(connection_id);
    }

    fn drop_socket(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        let socket = core::mem::replace(&mut seat.socket, Socket::None);
        seat.going.clear();
        seat.coming.clear();
        if let Socket::Open { connection_id, .. } = socket
            && let Some(reader) = self.readers.get_mut(&connection_id)
        {
            if reader.closed.is_some() {
                self.readers.remove(&connection_id);
            } else {
                reader.half_open = true;
                self.note(Witness::HalfOpen);
            }
        }
    }

    /// The next frame reaches the client.
    pub fn hear(&mut self, index: usize) {
        let Socket::Open { dial, connection_id } = self.seats[index].socket else { return };
        match self.seats[index].coming.pop_front() {
            Some(Coming::Frame(frame)) => {
                self.hears(index, Input::Text { dial, text: frame.as_str() });
            }
            Some(Coming::Close(code)) => self.cut(index, Some(code)),
            Some(Coming::Mark(_)) | None => {}
        }
        // A mark comes back as soon as everything before it is written.
        if let Some(Coming::Mark(mark)) = self.seats[index].coming.front().cloned() {
            self.seats[index].coming.pop_front();
            self.marks(connection_id, mark);
        }
    }

    fn marks(&mut self, connection_id: ConnectionId, mark: u64) {
        if let Some(reader) = self.readers.get(&connection_id) {
            self.input(reader.node, hub::Input::Marked { connection_id, mark });
        }
    }

    /// The client's next frame reaches the server.
    pub fn reach(&mut self, index: usize) {
        let Socket::Open { connection_id, .. } = self.seats[index].socket else { return };
        let Some(frame) = self.seats[index].going.pop_front() else { return };
        let naming = Naming { connection_id, nth: 0 };
        match decode(frame.as_str(), &self.limits, naming) {
            // The connection's own business.
            Ok(frame) if matches!(frame.body, ClientBody::Pong | ClientBody::Ping { .. }) => {}
            Ok(frame) => self.ask(connection_id, frame.reply, frame.body),
            Err(refused) => {
                let what = format!("a client writes what no server reads: {refused:?}");
                self.breaks(Invariant::Rests, what);
            }
        }
    }

    /// A client's read of a whole log is answered.
    pub fn loaded(&mut self, index: usize, works: bool) {
        let Some((effect, thread_id, epoch, after)) = self.seats[index].loads.pop_front() else {
            return;
        };
        let result = match self.store.threads.get(&thread_id) {
            _ if !works => Err(Fault::Unavailable),
            None => Err(Fault::Refused),
            Some(log) => {
                let after = if epoch == Some(log.epoch) { after.0 as usize } else { 0 };
                let entries = log.decoded.iter().skip(after).map(|entry| Entry::clone(entry));
                Ok(Snapshot { epoch: log.epoch, entries: entries.collect() })
            }
        };
        self.hears(index, Input::Snapshot { effect, result });
    }

    fn hears(&mut self, index: usize, input: Input<'_>) {
        self.seats[index].client.handle_input(self.now, input);
        self.drain_seat(index);
    }

    pub(crate) fn seat_attached(&mut self, connection_id: ConnectionId, ready: HubReady) {
        let Some(at) = self.readers.get(&connection_id).map(|reader| reader.node) else { return };
        let frame = ServerFrame::Ready(ReadyFrame {
            connection_id,
            user_id: owner().user_id().clone(),
            session_id: SessionId(1),
            auth_method: AuthMethod::Demo,
            mode: "demo",
            server_time: self.now_at(at).wall,
            token_expires_at: None,
            resume: ready.resume,
            active_runs: ready.active_runs,
            degraded: Vec::new(),
        });
        let frame = frame.encode(&Reply::None, Announced { limits: &self.limits });
        self.seat_delivered(connection_id, &frame);
    }

    pub(crate) fn seat_delivered(&mut self, connection_id: ConnectionId, frame: &Frame) {
        self.comes(connection_id, Coming::Frame(frame.clone()));
    }

    pub(crate) fn seat_closed(&mut self, connection_id: ConnectionId, code: CloseCode) {
        self.comes(connection_id, Coming::Close(code.code()));
    }

    /// The hub wants to know when everything before has been written.
    pub(crate) fn marked(&mut self, connection_id: ConnectionId, mark: u64) {
        match self.seat_of(connection_id) {
            Some(index) if !self.seats[index].coming.is_empty() => {
                self.comes(connection_id, Coming::Mark(mark));
            }
            // A dead socket writes nothing.
            None if self.readers.get(&connection_id).is_some_and(|reader| reader.half_open) => {}
            Some(_) | None => self.marks(connection_id, mark),
        }
    }

    fn comes(&mut self, connection_id: ConnectionId, coming: Coming) {
        if let Some(index) = self.seat_of(connection_id) {
            self.seats[index].coming.push_back(coming);
        }
    }

    fn seat_of(&self, connection_id: ConnectionId) -> Option<usize> {
        let reader = self.readers.get(&connection_id).filter(|reader| !reader.half_open)?;
        reader.seat
    }

    pub(crate) fn drain_seat(&mut self, index: usize) {
        for _ in 0..1_000 {
            let output = self.seats[index].client.poll_output();
            if let Output::Idle(deadline) = output {
                self.seats[index].deadline = deadline;
                return;
            }
            self.obeys(index, output);
        }
        self.breaks(Invariant::Rests, "a client never comes to rest");
    }

    /// Does what a client says.
    pub(crate) fn obeys(&mut self, index: usize, output: Output) {
        match output {
            Output::Dial { dial, .. } => {
                self.drop_socket(index);
                self.seats[index].socket = Socket::Dialing(dial);
            }
            Output::Send { frame, .. } => {
                if matches!(self.seats[index].socket, Socket::Open { .. }) {
                    self.seats[index].going.push_back(frame);
                } else {
                    self.breaks(Invariant::Order, "a client writes without a socket");
                }
            }
            Output::Hangup { .. } => self.drop_socket(index),
            Output::LoadSnapshot { effect, thread_id, epoch, after_seq, .. } => {
                self.seats[index].loads.push_back((effect, thread_id, epoch, after_seq));
            }
            Output::Event(event) => self.tells(index, event),
            Output::NeedCredential(why) => {
                self.breaks(Invariant::Rests, format!("nobody asked for one: {why:?}"));
            }
            Output::Idle(_) => {}
        }
    }

    fn tells(&mut self, index: usize, event: Event) {
        match event {
            Event::Applied(entry) => self.shows(index, &entry),
            Event::Message { state: MessageState::Refused(error), .. } => {
                self.seats[index].refused += 1;
                if error.code == ErrorCode::StorageUnavailable {
                    self.breaks(Invariant::Kept, "a message is given up because the store is down");
                }
            }
            Event::Message { client_msg_id, state: MessageState::Acked(_) } => {
                if !self.store.messages.contains_key(&client_msg_id) {
                    self.breaks(Invariant::Kept, "a client believes in an acknowledgement");
                }
            }
            Event::Reset { .. } => {
                self.breaks(Invariant::EachOnce, "a log is replaced that nobody replaced");
            }
            Event::ThreadGone(_) => {
                self.breaks(Invariant::EachOnce, "a thread is gone that nobody deleted");
            }
            Event::Message { .. }
            | Event::Answered { .. }
            | Event::Connection(_)
            | Event::Error { .. }
            | Event::Ready(_)
            | Event::ServiceStatus(_)
            | Event::Transient(_) => {}
        }
    }

    fn shows(&mut self, index: usize, entry: &Entry) {
        self.note(Witness::Applied);
        let log = self.store.threads.get(&entry.thread_id);
        let stored = log.and_then(|log| log.decoded.get(entry.seq.0 as usize - 1));
        let same = stored.is_some_and(|stored| stored.id == entry.id);
        let view = &mut self.seats[index].view;
        let next = view.get(&entry.thread_id).is_none_or(|last| last.next() == entry.seq);
        view.insert(entry.thread_id, entry.seq);
        if !(same && next) {
            let what = format!("client {index} shows {} at {}", entry.event.type_name(), entry.seq);
            self.breaks(Invariant::EachOnce, what);
        }
    }

    /// Whether a client is connected, has nothing left to say, and has seen all there is of what it
    /// follows.
    pub(crate) fn is_up_to_date(&self, seat: &Seat) -> bool {
        seat.client.link() == Link::Ready
            && seat.client.unacknowledged() == 0
            && seat.view.iter().all(|(id, seq)| self.store.threads[id].head() == *seq)
    }
}
