//! The other end of the wire: dial, authenticate, resume, keep messages until they are acknowledged,
//! show every entry once and in order.
//!
//! ```text
//! Idle → Dialing → Authenticating → Resuming → Ready
//!           ↑            ↓             ↓        ↓
//!           └───────── Backoff ←────────────────┘        Ended
//! ```
//!
//! The machine has no socket. Its driver opens one when told to dial, feeds it what arrives, and polls
//! until [`Output::Idle`]:
//!
//! ```
//! use goldenpath_core::client::{Client, Config, Output};
//! use goldenpath_core::{seed::Seed, time::Now};
//!
//! let mut client = Client::new(Config::default(), Seed::new(1), None);
//! client.connect(Now::default()).expect("a new client may connect");
//! loop {
//!     match client.poll_output() {
//!         Output::Dial { dial, .. } => println!("open a socket for {dial:?}"),
//!         Output::Idle(deadline) => break println!("sleep until {deadline:?} or an input"),
//!         output => println!("{output:?}"),
//!     }
//! }
//! ```

mod follow;
mod hear;
mod io;
mod outbox;
mod state;
mod verdict;

#[cfg(test)]
mod lossy;
#[cfg(test)]
mod tests;

pub use io::{
    Config, DialFailure, Ended, Event, Input, Link, MessageState, Output, Snapshot, WhyCredential,
};

use crate::fault::Misuse;
use crate::health;
use crate::id::{ClientMsgId, EffectId, Epoch, FrameRef, RunId, Seq, ThreadId};
use crate::seed::Seed;
use crate::time::{Millis, Now, earliest};
use crate::wire::{
    ClientBody, ClientFrame, CloseCode, Credential, ErrorCode, ErrorFrame, Frame, Reply,
    ResumePoint, UserMessage,
};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use follow::Follow;
use outbox::{Moved, Outbox};
use state::{Authenticating, Backoff, Dialing, Socket, State};
use verdict::Verdict;

/// Points of one resume frame: what fits into a message of 8192 bytes beside a token.
const POINTS_PER_FRAME: usize = 32;

/// One user's client: one connection at a time, any number of threads and messages within bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    config: Config,
    seed: Seed,
    state: State,
    backoff: health::Backoff,
    credential: Option<Credential>,
    dialed_once_more: bool,
    effects: EffectId,
    frames: u64,
    outbox: Outbox,
    threads: BTreeMap<ThreadId, Follow>,
    cancels: BTreeSet<RunId>,
    late: u64,
    out: VecDeque<Output>,
}

impl Client {
    /// A client that has not dialed yet.
    #[must_use]
    pub fn new(config: Config, seed: Seed, credential: Option<Credential>) -> Self {
        Self {
            backoff: health::Backoff::new(config.backoff_first, config.backoff_longest),
            config,
            seed,
            state: State::Idle,
            credential,
            dialed_once_more: false,
            effects: EffectId::default(),
            frames: 0,
            outbox: Outbox::default(),
            threads: BTreeMap::new(),
            cancels: BTreeSet::new(),
            late: 0,
            out: VecDeque::new(),
        }
    }

    /// Dials, and from then on keeps a connection until it is over.
    ///
    /// # Errors
    /// [`Misuse::Ended`] after the end; [`Misuse::NotNow`] when it was called before.
    pub fn connect(&mut self, now: Now) -> Result<(), Misuse> {
        match self.state {
            State::Idle => {
                self.dial(now);
                Ok(())
            }
            State::Ended(_) => Err(Misuse::Ended),
            State::Dialing(_)
            | State::Authenticating(_)
            | State::Resuming(_)
            | State::Ready(_)
            | State::Backoff(_) => Err(Misuse::NotNow),
        }
    }

    /// Closes with 1000; the client is over.
    pub fn disconnect(&mut self) {
        if !matches!(self.state, State::Ended(_)) {
            self.hang_up(CloseCode::Normal);
            self.end(Ended::Done);
        }
    }

    /// Takes a message on its way. It is sent when the connection is ready, and again under the same
    /// name until the server has it. The same message once more changes nothing.
    ///
    /// # Errors
    /// [`Misuse::Ended`], [`Misuse::Full`] at `Config::outbox_messages`, [`Misuse::Conflict`] when the
    /// name is in use for other content.
    pub fn send(&mut self, now: Now, message: UserMessage) -> Result<(), Misuse> {
        self.not_ended()?;
        let moved = self.outbox.push(message, &self.config)?;
        self.announce(moved);
        self.flush(now);
        Ok(())
    }

    /// Stops a run, now or as soon as there is a connection; forgotten when the run ends.
    ///
    /// # Errors
    /// [`Misuse::Ended`].
    pub fn cancel(&mut self, run_id: RunId) -> Result<(), Misuse> {
        self.not_ended()?;
        if self.cancels.insert(run_id) && self.state.ready_socket().is_some() {
            self.say(ClientBody::CancelRun { run_id: Some(run_id) });
        }
        Ok(())
    }

    /// Asks for anything else; the answer is an [`Event::Answered`] or [`Event::Error`] with the
    /// returned reference. Lost with the connection.
    ///
    /// # Errors
    /// [`Misuse::NotNow`] without a ready connection, or for what has a method of its own.
    pub fn ask(&mut self, body: ClientBody) -> Result<FrameRef, Misuse> {
        self.not_ended()?;
        let own_way = matches!(
            body,
            ClientBody::UserMessage(_) | ClientBody::Auth { .. } | ClientBody::Resume { .. }
        );
        if own_way || self.state.ready_socket().is_none() {
            return Err(Misuse::NotNow);
        }
        self.say(body).ok_or(Misuse::NotNow)
    }

    /// Follows a thread from after `after` on, over all connections to come. A thread that is already
    /// followed stays where it is.
    ///
    /// # Errors
    /// [`Misuse::Ended`]; [`Misuse::Full`] at `Config::threads`.
    pub fn follow(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        epoch: Option<Epoch>,
        after: Seq,
    ) -> Result<(), Misuse> {
        self.not_ended()?;
        if self.threads.contains_key(&thread_id) {
            return Ok(());
        }
        if self.threads.len() >= self.config.threads {
            return Err(Misuse::Full);
        }
        self.threads.insert(thread_id, Follow::new(epoch, after, &self.config));
        self.join(now);
        Ok(())
    }

    /// Follows a thread no longer.
    pub fn unfollow(&mut self, thread_id: ThreadId) {
        if self.threads.remove(&thread_id).is_some() && self.state.ready_socket().is_some() {
            self.say(ClientBody::Unsubscribe { thread_id });
        }
    }

    /// A newer credential: refreshes a ready connection, answers a server that asks, or ends the
    /// waiting for one.
    ///
    /// # Errors
    /// [`Misuse::Ended`].
    pub fn set_credential(&mut self, now: Now, credential: Credential) -> Result<(), Misuse> {
        self.not_ended()?;
        self.credential = Some(credential.clone());
        match &self.state {
            State::Authenticating(_) => self.authenticate(),
            State::Resuming(_) | State::Ready(_) => {
                if let Credential::Token(token) = credential {
                    self.say(ClientBody::AuthRefresh { token });
                }
            }
            State::Backoff(Backoff { until: None }) => self.dial(now),
            State::Idle | State::Dialing(_) | State::Backoff(_) | State::Ended(_) => {}
        }
        Ok(())
    }

    /// A name for a message that nobody else uses.
    pub fn draw_message_id(&mut self, now: Now) -> ClientMsgId {
        let bits = self.seed.id_bits(now.wall);
        ClientMsgId::new(&format!("m_{bits:032x}")).expect("34 ASCII characters are a name")
    }

    /// The state of the connection.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.state.link()
    }

    /// How far a thread has been read.
    #[must_use]
    pub fn position(&self, thread_id: ThreadId) -> Option<ResumePoint> {
        self.threads.get(&thread_id).map(|follow| follow.point(thread_id))
    }

    /// Messages the server does not have yet.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.outbox.len()
    }

    /// Answers that came too late to matter, and were ignored.
    #[must_use]
    pub const fn late_inputs(&self) -> u64 {
        self.late
    }

    /// From outside. Never fails: what makes no sense now is ignored.
    //= specs/client.md#clnt-14
    //# The same seed and the same inputs MUST give the same client.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        if matches!(self.state, State::Ended(_)) {
            self.late += 1;
            return;
        }
        match input {
            Input::Opened { dial } => self.opened(now, dial),
            Input::DialFailed { dial, why } => {
                if matches!(&self.state, State::Dialing(dialing) if dialing.dial == dial) {
                    self.lost(now, verdict::of_dial(why));
                } else {
                    self.late += 1;
                }
            }
            Input::Text { dial, text } => {
                if self.heard(now, dial) {
                    self.hear(now, text);
                }
            }
            Input::Alive { dial } => {
                self.heard(now, dial);
            }
            Input::Closed { dial, code } => self.closed(now, dial, code),
            Input::Snapshot { effect, result } => self.snapshot(now, effect, result),
        }
    }

    /// At any time, any number of times.
    pub fn handle_timeout(&mut self, now: Now) {
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        if self.state.is_silent(now.mono) {
            self.hang_up(CloseCode::HeartbeatLost);
            self.lost(now, Verdict::Backoff { after: None });
        }
        self.state_timeout(now);
        self.outbox.handle_timeout(now.mono);
        for follow in self.threads.values_mut() {
            follow.handle_timeout(now.mono);
        }
        self.start_loads(now);
        self.join(now);
        self.fill_holes(now);
        self.flush(now);
    }

    /// What is to be done next; the last word is always [`Output::Idle`].
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| Output::Idle(self.deadline()))
    }

    fn deadline(&self) -> Option<crate::time::Mono> {
        let mut deadline = self.state.deadline();
        if matches!(self.state, State::Ended(_)) {
            return None;
        }
        if matches!(self.state, State::Ready(_)) {
            deadline = earliest(deadline, self.outbox.deadline());
        }
        self.threads.values().fold(deadline, |soonest, follow| earliest(soonest, follow.deadline()))
    }

    fn state_timeout(&mut self, now: Now) {
        match &self.state {
            State::Dialing(Dialing { until, .. }) if *until <= now.mono => {
                self.hang_up(CloseCode::GoingAway);
                self.lost(now, Verdict::Backoff { after: None });
            }
            State::Authenticating(Authenticating { until, .. }) if *until <= now.mono => {
                self.hang_up(CloseCode::AuthTimeout);
                self.lost(now, Verdict::Backoff { after: None });
            }
            State::Resuming(resuming) if resuming.until <= now.mono => self.become_ready(now),
            State::Backoff(Backoff { until: Some(until) }) if *until <= now.mono => self.dial(now),
            State::Idle
            | State::Dialing(_)
            | State::Authenticating(_)
            | State::Resuming(_)
            | State::Ready(_)
            | State::Backoff(_)
            | State::Ended(_) => {}
        }
    }

    fn dial(&mut self, now: Now) {
        let dial = self.effects.take_next();
        let until = now.mono.after(self.config.dial_timeout);
        self.go(State::Dialing(Dialing { dial, until }));
        let credential = self.credential.clone().filter(|_| !self.config.auth_by_frame);
        self.out.push_back(Output::Dial { dial, credential });
    }

    fn opened(&mut self, now: Now, dial: EffectId) {
        if !matches!(&self.state, State::Dialing(dialing) if dialing.dial == dial) {
            self.late += 1;
            return;
        }
        let socket = Socket {
            dial,
            heard: now.mono,
            silence: self.config.silence,
            message_bytes: crate::limits::Limits::default().message_bytes,
            parting: verdict::Parting::default(),
        };
        let until = now.mono.after(self.config.ready_timeout);
        let (auth_sent, asked) = (false, false);
        self.go(State::Authenticating(Authenticating { socket, until, auth_sent, asked }));
        if self.config.auth_by_frame {
            self.authenticate();
        }
    }

    /// Sends the credential as a frame, or says that there is none.
    fn authenticate(&mut self) {
        let State::Authenticating(state) = &mut self.state else { return };
        let Some(credential) = self.credential.clone() else {
            self.out.push_back(Output::NeedCredential(WhyCredential::Asked));
            return;
        };
        state.auth_sent = true;
        let resume = self.points().into_iter().take(POINTS_PER_FRAME).collect();
        self.say(ClientBody::Auth { credential, resume });
    }

    fn points(&self) -> Vec<ResumePoint> {
        self.threads.iter().map(|(thread_id, follow)| follow.point(*thread_id)).collect()
    }

    fn closed(&mut self, now: Now, dial: EffectId, code: Option<u16>) {
        if self.state.dial() != Some(dial) {
            self.late += 1;
            return;
        }
        if code == Some(CloseCode::TooBig.code())
            && let Some(id) = self.outbox.longest_sent()
        {
            let error = ErrorFrame::new(ErrorCode::MessageTooLarge, "the server closed with 1009");
            let moved = self.outbox.give_up(&id, error);
            self.announce(moved);
        }
        let parting = self.state.socket().map(|socket| socket.parting).unwrap_or_default();
        self.lost(now, verdict::of_close(code, parting));
    }

    /// The socket is no more; what comes next is the verdict's.
    fn lost(&mut self, now: Now, verdict: Verdict) {
        let stable = self
            .state
            .ready_since()
            .is_some_and(|since| since.after(self.config.stable_after) <= now.mono);
        if stable {
            self.backoff.reset();
        }
        self.outbox.connection_lost();
        for follow in self.threads.values_mut() {
            follow.connection_lost();
        }
        match verdict {
            Verdict::Backoff { after } => self.wait(now, after),
            Verdict::Immediately if stable => self.dial(now),
            Verdict::Immediately => self.wait(now, None),
            Verdict::Once(_) if !self.dialed_once_more => {
                self.dialed_once_more = true;
                self.wait(now, None);
            }
            Verdict::Once(code) | Verdict::Never(code) => self.end(Ended::Forbidden(code)),
            Verdict::NeverHttp(status) => self.end(Ended::Refused(status)),
            //= specs/client.md#clnt-07
            //# A client whose credential has expired MUST NOT dial before it has a newer one.
            Verdict::Expired => self.wait_for_credential(WhyCredential::Expired),
            Verdict::Refused => self.wait_for_credential(WhyCredential::Refused),
        }
    }

    fn wait(&mut self, now: Now, after: Option<Millis>) {
        // A deadline is later than the moment it is set at, or a driver would spin.
        let drawn = self.backoff.draw(&mut self.seed).max(Millis(1));
        //= specs/client.md#clnt-04
        //# The wait before a dial MUST NOT be shorter than the server asked for.
        let wait = after.map_or(drawn, |after| after.max(drawn));
        self.go(State::Backoff(Backoff { until: Some(now.mono.after(wait)) }));
    }

    fn wait_for_credential(&mut self, why: WhyCredential) {
        self.go(State::Backoff(Backoff { until: None }));
        self.out.push_back(Output::NeedCredential(why));
    }

    fn end(&mut self, why: Ended) {
        self.go(State::Ended(why));
    }

    fn go(&mut self, state: State) {
        self.state = state;
        self.out.push_back(Output::Event(Event::Connection(self.state.link())));
    }

    fn hang_up(&mut self, code: CloseCode) {
        if let Some(dial) = self.state.dial() {
            self.out.push_back(Output::Hangup { dial, code });
        }
    }

    fn not_ended(&self) -> Result<(), Misuse> {
        if matches!(self.state, State::Ended(_)) { Err(Misuse::Ended) } else { Ok(()) }
    }

    fn announce(&mut self, moved: Moved) {
        if let Some((client_msg_id, state)) = moved {
            self.out.push_back(Output::Event(Event::Message { client_msg_id, state }));
        }
    }

    /// Writes a frame on the open socket.
    fn say(&mut self, body: ClientBody) -> Option<FrameRef> {
        let (name, frame) = self.frame(body);
        self.write(frame)?;
        Some(name)
    }

    fn frame(&mut self, body: ClientBody) -> (FrameRef, Frame) {
        self.frames += 1;
        let name = FrameRef::new(&format!("c{}", self.frames))
            .expect("a letter and a number are a reference");
        let reply = Reply::Ref(name.clone());
        (name, ClientFrame { reply, body, claimed_user: None }.encode())
    }

    fn write(&mut self, frame: Frame) -> Option<()> {
        let dial = self.state.socket()?.dial;
        self.out.push_back(Output::Send { dial, frame });
        Some(())
    }

    /// Sends what waits, as far as it may.
    fn flush(&mut self, now: Now) {
        //= specs/client.md#clnt-02
        //# A message MUST NOT be sent before the connection is ready, and MUST be sent after it.
        let State::Ready(ready) = &self.state else { return };
        let most = ready.socket.message_bytes;
        while let Some(message) = self.outbox.next(now.mono, &self.config).cloned() {
            let id = message.client_msg_id.clone();
            let (name, frame) = self.frame(ClientBody::UserMessage(message));
            let moved = if frame.len() > most {
                let why = format!("the server takes messages of {most} bytes");
                let error = ErrorFrame::new(ErrorCode::MessageTooLarge, why.to_string());
                self.outbox.give_up(&id, error)
            } else {
                self.write(frame);
                self.outbox.sent(&id, name, now.mono.after(self.config.ack_timeout))
            };
            self.announce(moved);
        }
    }
}
