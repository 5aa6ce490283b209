//! What a client does with what it hears.

use super::follow::{Follow, Load, Offered};
use super::io::{Event, Output, Snapshot, WhyCredential};
use super::state::{Authenticating, Ready, Resuming, State};
use super::{Client, POINTS_PER_FRAME};
use crate::fault::Fault;
use crate::id::{EffectId, Epoch, FrameRef, Seq, ThreadId};
use crate::time::{Millis, Now};
use crate::wire::{
    AckFrame, ClientBody, Entry, ErrorCode, ErrorFrame, ReadyHeard, ResumePoint, Resumed, Said,
    ServerEvent,
};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::mem;

impl Client {
    /// A sign of life from the socket in use.
    //= specs/client.md#clnt-08
    //# What comes from an older socket MUST be ignored and counted.
    pub(super) fn heard(&mut self, now: Now, dial: EffectId) -> bool {
        match self.state.socket_mut() {
            Some(socket) if socket.dial == dial => {
                socket.heard = now.mono;
                true
            }
            Some(_) | None => {
                self.late += 1;
                false
            }
        }
    }

    pub(super) fn hear(&mut self, now: Now, text: &str) {
        match ServerEvent::decode(text) {
            ServerEvent::Entry(entry) => {
                let (thread_id, seq, epoch) = (entry.thread_id, entry.seq, entry.epoch);
                self.entry(now, thread_id, seq, epoch, Some(entry));
            }
            //= specs/client.md#clnt-12
            //# An entry of a kind the client does not know MUST keep its place.
            ServerEvent::UnknownEntry { thread_id, epoch, seq } => {
                self.entry(now, thread_id, seq, epoch, None);
            }
            ServerEvent::Control { reference, said } => self.control(now, reference, said),
            ServerEvent::Unknown => {}
        }
    }

    fn control(&mut self, now: Now, reference: Option<FrameRef>, said: Said) {
        match said {
            Said::AuthRequired { .. } => self.auth_required(),
            Said::Disconnect { code, reconnect_after } => {
                if let Some(socket) = self.state.socket_mut() {
                    socket.parting.code = code;
                    socket.parting.after = reconnect_after.or(socket.parting.after);
                }
            }
            Said::Error { frame, retryable, .. } => self.error(now, reference, frame, retryable),
            Said::Ping { heads } => {
                self.say(ClientBody::Pong);
                for head in heads {
                    if let Some(follow) = self.threads.get_mut(&head.thread_id) {
                        follow.head_is(head.seq);
                    }
                }
                self.fill_holes(now);
            }
            Said::Ready(ready) => self.server_ready(now, ready),
            Said::ServerDraining { reconnect_after } => {
                if let Some(socket) = self.state.socket_mut() {
                    socket.parting.after = Some(reconnect_after);
                }
            }
            Said::TokenExpiring { expires_at } => {
                let why = WhyCredential::Expiring(expires_at);
                self.out.push_back(Output::NeedCredential(why));
            }
            Said::ServiceStatus { degraded } => self.tell(Event::ServiceStatus(degraded)),
            // Before the server is ready nothing else has a meaning (invariant 2).
            said if self.state.ready_socket().is_none() => drop(said),
            Said::Ack(ack) => self.acked(now, &ack),
            Said::RateLimit { retry_after } => self.outbox.pause(now.mono.after(retry_after)),
            Said::ReplayComplete { thread_id, to_seq } => self.replayed(now, thread_id, to_seq),
            Said::Resumed { threads } => {
                self.resumed(now, threads);
                self.ready_when_resumed(now);
            }
            said @ (Said::AuthOk { .. } | Said::Done { .. } | Said::Pong { .. }) => {
                self.tell(Event::Answered { reference, said });
            }
            said @ Said::ToolProgress { .. } => self.tell(Event::Transient(said)),
        }
    }

    fn tell(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    /// The server does not know us: the transport brought no credential, or it was taken off on the
    /// way (F06). What we have goes into a frame, once.
    fn auth_required(&mut self) {
        let State::Authenticating(state) = &mut self.state else { return };
        let again = core::mem::replace(&mut state.asked, true);
        if !state.auth_sent {
            self.authenticate();
        } else if again {
            self.out.push_back(Output::NeedCredential(WhyCredential::Refused));
        }
        // The first question crossed with an `auth` that was sent unasked: that is its answer.
    }

    fn error(&mut self, now: Now, reference: Option<FrameRef>, error: ErrorFrame, retryable: bool) {
        let moved = reference
            .as_ref()
            .and_then(|frame| self.outbox.refused(frame, &error, retryable, now.mono));
        if moved.is_some() {
            self.announce(moved);
            self.flush(now);
        } else {
            self.tell(Event::Error { reference, error });
        }
    }

    fn server_ready(&mut self, now: Now, ready: Box<ReadyHeard>) {
        let state = mem::replace(&mut self.state, State::Idle);
        let State::Authenticating(Authenticating { mut socket, .. }) = state else {
            self.state = state;
            return;
        };
        // Two pings missed are a dead connection; the server waits longer, so that it learns of it.
        //= specs/client.md#clnt-05
        //# A client MUST give up a connection that is silent for two heartbeats.
        let two_pings = Millis(ready.heartbeat.interval.0.saturating_mul(2));
        socket.silence = two_pings.min(ready.heartbeat.timeout).max(Millis(1));
        socket.message_bytes = ready.limits.message_bytes;
        self.dialed_once_more = false;
        let until = now.mono.after(self.config.resume_timeout);
        let pending: BTreeSet<ThreadId> = self.threads.keys().copied().collect();
        self.go(State::Resuming(Resuming { socket, since: now.mono, until, pending }));
        let resumed = ready.resume.threads.clone();
        self.tell(Event::Ready(ready));
        self.resumed(now, resumed);
        self.join(now);
        //= specs/client.md#clnt-13
        //# A cancel MUST survive the connection until its run has ended.
        for run_id in self.cancels.clone() {
            self.say(ClientBody::CancelRun { run_id: Some(run_id) });
        }
        self.ready_when_resumed(now);
    }

    pub(super) fn become_ready(&mut self, now: Now) {
        let state = mem::replace(&mut self.state, State::Idle);
        let State::Resuming(Resuming { socket, since, .. }) = state else {
            self.state = state;
            return;
        };
        self.go(State::Ready(Ready { socket, since }));
        self.fill_holes(now);
        self.flush(now);
    }

    fn ready_when_resumed(&mut self, now: Now) {
        if matches!(&self.state, State::Resuming(resuming) if resuming.pending.is_empty()) {
            self.become_ready(now);
        }
    }

    fn settled(&mut self, thread_id: ThreadId) {
        if let State::Resuming(resuming) = &mut self.state {
            resuming.pending.remove(&thread_id);
        }
    }

    /// What became of resume points, thread by thread.
    fn resumed(&mut self, now: Now, threads: Vec<Resumed>) {
        let until = now.mono.after(self.config.resume_timeout);
        for resumed in threads {
            let thread_id = resumed.thread_id;
            let Some(follow) = self.threads.get_mut(&thread_id) else { continue };
            follow.has_joined();
            if resumed.recovered {
                let replaced =
                    resumed.epoch.filter(|epoch| follow.epoch.is_some_and(|e| e != *epoch));
                if let Some(epoch) = replaced {
                    follow.reset(epoch);
                    self.out.push_back(Output::Event(Event::Reset { thread_id, epoch }));
                }
                follow.epoch = resumed.epoch.or(follow.epoch);
                follow.recovered();
                follow.head_is(resumed.to_seq);
                if resumed.to_seq > follow.last {
                    follow.replay_begins(until);
                } else {
                    follow.replay_ends();
                    self.settled(thread_id);
                }
            } else {
                if resumed.reason == Some(ErrorCode::ThreadNotFound) {
                    self.gone(thread_id);
                } else {
                    //= specs/client.md#clnt-09
                    //# What the server cannot replay MUST be read by other means, and then
                    //# followed.
                    follow.load_is_needed(now.mono, resumed.snapshot_url, &mut self.seed);
                }
                self.settled(thread_id);
            }
        }
        self.start_loads(now);
    }

    fn replayed(&mut self, now: Now, thread_id: ThreadId, to_seq: Seq) {
        if let Some(follow) = self.threads.get_mut(&thread_id) {
            follow.replay_ends();
            follow.head_is(to_seq);
        }
        self.settled(thread_id);
        self.fill_holes(now);
        self.ready_when_resumed(now);
    }

    fn gone(&mut self, thread_id: ThreadId) {
        self.threads.remove(&thread_id);
        self.tell(Event::ThreadGone(thread_id));
    }

    fn acked(&mut self, now: Now, ack: &AckFrame) {
        let in_new_thread = self.outbox.opens_thread(&ack.client_msg_id);
        let moved = self.outbox.acked(ack);
        if moved.is_none() {
            self.late += 1;
        }
        self.announce(moved);
        if !self.threads.contains_key(&ack.thread_id) {
            // A new thread is read from its beginning, another one from our message on.
            let before = if in_new_thread { 0 } else { ack.seq.0.saturating_sub(1) };
            self.make_room();
            let follow = Follow::new(None, Seq(before), &self.config);
            self.threads.insert(ack.thread_id, follow);
        }
        // The first time was perhaps on another connection; this one may not follow the thread yet.
        if !ack.duplicate
            && let Some(follow) = self.threads.get_mut(&ack.thread_id)
        {
            follow.has_joined();
        }
        self.join(now);
        self.flush(now);
    }

    /// The thread begun first gives way when too many are followed.
    fn make_room(&mut self) {
        if self.threads.len() >= self.config.threads
            && let Some(oldest) = self.threads.keys().next().copied()
        {
            self.unfollow(oldest);
        }
    }

    fn entry(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        seq: Seq,
        epoch: Epoch,
        entry: Option<Box<Entry>>,
    ) {
        if self.state.ready_socket().is_none() {
            return;
        }
        if !self.threads.contains_key(&thread_id) {
            if seq != Seq(1) {
                return;
            }
            // A thread that was just begun, perhaps on another device of this user.
            self.make_room();
            let mut follow = Follow::new(Some(epoch), Seq::ZERO, &self.config);
            follow.has_joined();
            self.threads.insert(thread_id, follow);
        }
        self.offer(now, thread_id, seq, epoch, entry);
        self.fill_holes_of(now, thread_id);
    }

    fn offer(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        seq: Seq,
        epoch: Epoch,
        entry: Option<Box<Entry>>,
    ) {
        let Some(follow) = self.threads.get_mut(&thread_id) else { return };
        match follow.offer(seq, epoch, entry, &self.config) {
            Offered::Apply(entries) => {
                let until = now.mono.after(self.config.resume_timeout);
                if !entries.is_empty() && follow.is_replaying() {
                    follow.replay_begins(until);
                    if let State::Resuming(resuming) = &mut self.state {
                        resuming.until = until;
                    }
                }
                for entry in entries {
                    if entry.event.terminal_status().is_some()
                        && let Some(run_id) = entry.run_id
                    {
                        self.cancels.remove(&run_id);
                    }
                    self.out.push_back(Output::Event(Event::Applied(entry)));
                }
            }
            Offered::OtherEpoch => {
                // Only the answer to a resume says whether the log was replaced.
                follow.must_join();
                self.join(now);
            }
        }
    }

    /// Resumes the threads the server is not known to follow on this connection.
    pub(super) fn join(&mut self, now: Now) {
        if self.state.ready_socket().is_none() {
            return;
        }
        let until = now.mono.after(self.config.resume_timeout);
        let all = self.threads.iter_mut();
        let points: Vec<ResumePoint> =
            all.filter_map(|(id, follow)| follow.joins(until).then(|| follow.point(*id))).collect();
        for some in points.chunks(POINTS_PER_FRAME) {
            self.say(ClientBody::Resume { threads: some.to_vec() });
        }
    }

    pub(super) fn fill_holes(&mut self, now: Now) {
        let threads: Vec<ThreadId> = self.threads.keys().copied().collect();
        for thread_id in threads {
            self.fill_holes_of(now, thread_id);
        }
    }

    fn fill_holes_of(&mut self, now: Now, thread_id: ThreadId) {
        if self.state.ready_socket().is_none() {
            return;
        }
        let hole =
            self.threads.get_mut(&thread_id).and_then(|follow| follow.hole(now.mono, &self.config));
        if let Some((after_seq, to_seq)) = hole {
            self.say(ClientBody::GapRequest { thread_id, after_seq, to_seq });
        }
    }

    pub(super) fn start_loads(&mut self, now: Now) {
        for (thread_id, follow) in &mut self.threads {
            if let Some(due) = follow.load_due(now.mono, &mut self.effects) {
                self.out.push_back(Output::LoadSnapshot {
                    effect: due.effect,
                    thread_id: *thread_id,
                    epoch: follow.epoch,
                    after_seq: follow.last,
                    url: due.url,
                });
            }
        }
    }

    pub(super) fn snapshot(&mut self, now: Now, effect: EffectId, result: Result<Snapshot, Fault>) {
        let waits =
            |follow: &Follow| matches!(follow.load, Load::Running { effect: e, .. } if e == effect);
        let asked = self.threads.iter_mut().find(|(_, follow)| waits(follow));
        let Some((thread_id, follow)) = asked else {
            self.late += 1;
            return;
        };
        let thread_id = *thread_id;
        match result {
            Ok(snapshot) => {
                follow.load = Load::No;
                if follow.epoch != Some(snapshot.epoch) {
                    let was_known = follow.epoch.is_some();
                    let epoch = snapshot.epoch;
                    follow.reset(epoch);
                    if was_known {
                        self.out.push_back(Output::Event(Event::Reset { thread_id, epoch }));
                    }
                }
                for entry in snapshot.entries {
                    let (seq, epoch) = (entry.seq, snapshot.epoch);
                    self.offer(now, thread_id, seq, epoch, Some(Box::new(entry)));
                }
                if let Some(follow) = self.threads.get_mut(&thread_id) {
                    follow.must_join();
                }
                self.join(now);
            }
            Err(Fault::Refused) => self.gone(thread_id),
            Err(Fault::Unavailable | Fault::Unknown) => {
                follow.load_failed(now.mono, &mut self.seed);
            }
        }
    }
}

const _: () = assert!(POINTS_PER_FRAME * 110 < 8192, "a resume frame fits into a message");
