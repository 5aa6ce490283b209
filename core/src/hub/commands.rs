//! What a connection asks for, and what can be answered without writing to a log.

use super::state::{Asked, Loading, Op, Open, Request, Thread};
use super::{Hub, Load, Loaded, Output, Record};
use crate::fault::Fault;
use crate::id::{ConnectionId, Epoch, MessageId, RunId, Seq, ThreadId};
use crate::run::CancelReason;
use crate::thread::Log;
use crate::time::Now;
use crate::wire::{
    AckFrame, ClientBody, EntryBody, ErrorCode, ErrorFrame, Json, Reply, ResumePoint, ServerFrame,
    ThreadCommand, UserMessage,
};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use serde::Serialize;

/// Longest title made from a message, in characters.
const TITLE_CHARS: usize = 60;

impl Hub {
    pub(super) fn command(
        &mut self,
        now: Now,
        connection_id: ConnectionId,
        reply: Reply,
        body: ClientBody,
    ) {
        if !self.connections.get(&connection_id).is_some_and(|connection| connection.attached) {
            return self.ignore();
        }
        match body {
            ClientBody::UserMessage(message) => self.message(now, connection_id, reply, message),
            ClientBody::CancelRun { run_id: Some(run_id) } => {
                self.cancel_run(now, run_id, CancelReason::User, Some((connection_id, reply)));
            }
            ClientBody::CancelRun { run_id: None } => match self.only_run() {
                Some(run_id) => {
                    self.cancel_run(now, run_id, CancelReason::User, Some((connection_id, reply)));
                }
                None => self.refuse(connection_id, &reply, no_run("no run is at work")),
            },
            ClientBody::CancelQueued { run_id } => {
                self.cancel_queued(now, run_id, (connection_id, reply));
            }
            ClientBody::Resume { threads } => self.resume(connection_id, Some(reply), threads),
            ClientBody::Unsubscribe { thread_id } => {
                if let Some(connection) = self.connections.get_mut(&connection_id) {
                    connection.subscriptions.remove(&thread_id);
                }
                self.done(connection_id, &reply, "unsubscribe", &ThreadOut { thread_id });
            }
            ClientBody::Approval { .. } => {
                let error =
                    ErrorFrame::new(ErrorCode::RunNotActive, "nothing waits for an approval");
                self.refuse(connection_id, &reply, error);
            }
            ClientBody::Feedback(feedback) => {
                let record = Record::Feedback { feedback, at: now.wall };
                self.record(connection_id, reply, "feedback", record);
            }
            ClientBody::Received { thread_id, seq } => {
                let record = Record::Position { thread_id, seq };
                self.record(connection_id, reply, "received", record);
            }
            ClientBody::Thread(ThreadCommand::Create { title, metadata }) => {
                let title = title.unwrap_or_else(|| String::from("New conversation"));
                let thread_id = self.open_new(now, &title);
                self.push(thread_id, Op::Create { by: (connection_id, reply), title, metadata });
            }
            ClientBody::Thread(ThreadCommand::List { limit }) => {
                let asked = Asked::Reply { connection_id, reply, request: Request::Threads };
                self.load(asked, Load::Threads { limit });
            }
            ClientBody::Subscribe { thread_id, .. }
            | ClientBody::GapRequest { thread_id, .. }
            | ClientBody::Thread(
                ThreadCommand::Delete { thread_id }
                | ThreadCommand::History { thread_id, .. }
                | ThreadCommand::Rename { thread_id, .. },
            ) => self.in_thread(now, thread_id, connection_id, reply, body),
            // The connection answers these itself.
            ClientBody::Auth { .. }
            | ClientBody::AuthRefresh { .. }
            | ClientBody::Ping { .. }
            | ClientBody::Pong => self.ignore(),
        }
    }

    fn message(
        &mut self,
        now: Now,
        connection_id: ConnectionId,
        reply: Reply,
        message: UserMessage,
    ) {
        if self.draining {
            //= specs/drain.md#drain-08
            //# A new message MUST be refused as `shutting_down` while the server drains.
            let error = ErrorFrame::new(ErrorCode::ShuttingDown, "the server is draining");
            return self.refuse(connection_id, &reply, error);
        }
        match message.thread_id {
            Some(thread_id) => {
                let body = ClientBody::UserMessage(message);
                self.in_thread(now, thread_id, connection_id, reply, body);
            }
            None => {
                let title = title_of(&message.content);
                let thread_id = self.open_new(now, &title);
                self.push_message(now, thread_id, connection_id, reply, message);
            }
        }
    }

    /// Nobody has the thread. The one that has the connection's own name begins with a message to it;
    /// whatever else is said to it waits until then.
    //= specs/wire.md#wire-52
    //# A message to the thread that has the name of its connection MUST open that thread when there is
    //# none yet.
    fn open_own(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        connection_id: ConnectionId,
        reply: Reply,
        body: ClientBody,
    ) {
        match body {
            ClientBody::UserMessage(message) if thread_id == ThreadId::of(connection_id) => {
                match self.threads.get(&thread_id) {
                    None => self.open_unwritten(now, thread_id, &title_of(&message.content)),
                    Some(Thread::Open(open)) if open.ops.len() < self.limits.waiting_commands => {}
                    Some(Thread::Loading(_) | Thread::Open(_)) => {
                        let error =
                            ErrorFrame::new(ErrorCode::Overloaded, "too many messages wait");
                        return self.refuse(connection_id, &reply, error);
                    }
                }
                self.push_message(now, thread_id, connection_id, reply, message);
            }
            _ => self.refuse(connection_id, &reply, no_thread()),
        }
    }

    /// A thread of ours that the store does not have yet.
    fn open_new(&mut self, now: Now, title: &str) -> ThreadId {
        let thread_id = ThreadId::draw(&mut self.seed, now.wall);
        self.open_unwritten(now, thread_id, title);
        thread_id
    }

    fn open_unwritten(&mut self, now: Now, thread_id: ThreadId, title: &str) {
        // The first epoch says when the log began, so that a log made anew after a wipe has another.
        let epoch = Epoch((now.wall.0 / 1000) as u32);
        let open = Open::new(Log::new(epoch, Seq::ZERO), String::from(title), false);
        self.threads.insert(thread_id, Thread::Open(open));
    }

    fn push_message(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        connection_id: ConnectionId,
        reply: Reply,
        message: UserMessage,
    ) {
        let message_id = MessageId::draw(&mut self.seed, now.wall);
        self.push(thread_id, Op::Message { by: (connection_id, reply), message, message_id });
    }

    pub(super) fn push(&mut self, thread_id: ThreadId, op: Op) {
        if let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) {
            open.ops.push_back(op);
            self.dirty.insert(thread_id);
        }
    }

    /// Handles a command in a thread, once its head is known.
    fn in_thread(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        connection_id: ConnectionId,
        reply: Reply,
        body: ClientBody,
    ) {
        self.load_thread(thread_id);
        match self.threads.get_mut(&thread_id) {
            Some(Thread::Open(open)) if open.stored => {
                if open.ops.len() >= self.limits.waiting_commands {
                    let error = ErrorFrame::new(ErrorCode::Overloaded, "too many commands wait");
                    return self.refuse(connection_id, &reply, error);
                }
                self.thread_command(now, thread_id, connection_id, reply, body);
            }
            Some(Thread::Loading(loading))
                if loading.waiting.len() < self.limits.waiting_commands && !loading.stalled =>
            {
                loading.waiting.push((connection_id, reply, body));
            }
            Some(Thread::Loading(loading)) => {
                let code = if loading.stalled {
                    ErrorCode::StorageUnavailable
                } else {
                    ErrorCode::Overloaded
                };
                let error = ErrorFrame::new(code, "the thread cannot be read now");
                self.refuse(connection_id, &reply, error);
            }
            Some(Thread::Open(_)) | None => {
                self.open_own(now, thread_id, connection_id, reply, body);
            }
        }
    }

    fn thread_command(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        connection_id: ConnectionId,
        reply: Reply,
        body: ClientBody,
    ) {
        match body {
            ClientBody::UserMessage(message) => {
                self.push_message(now, thread_id, connection_id, reply, message);
            }
            ClientBody::Subscribe { level, .. } => {
                self.subscribe(connection_id, &reply, thread_id, level);
            }
            ClientBody::GapRequest { after_seq, to_seq, .. } => {
                let limit = self.limits.load_page;
                let load = Load::Entries { thread_id, after_seq, to_seq, limit };
                let asked = Asked::Reply { connection_id, reply, request: Request::Gap };
                self.load(asked, load);
            }
            ClientBody::Thread(ThreadCommand::History { after_seq, limit, .. }) => {
                let limit = u64::from(limit).clamp(1, self.limits.load_page);
                let load = Load::Entries { thread_id, after_seq, to_seq: Seq(u64::MAX), limit };
                let request = Request::History(thread_id);
                self.load(Asked::Reply { connection_id, reply, request }, load);
            }
            ClientBody::Thread(ThreadCommand::Rename { title, metadata, .. }) => {
                self.push(thread_id, Op::Rename { by: (connection_id, reply), title, metadata });
            }
            ClientBody::Thread(ThreadCommand::Delete { .. }) => {
                let quiet = self.threads.get(&thread_id).is_some_and(Thread::is_quiet);
                if quiet {
                    self.record(
                        connection_id,
                        reply,
                        "delete_thread",
                        Record::DeleteThread { thread_id },
                    );
                } else {
                    let error = ErrorFrame::new(ErrorCode::ThreadBusy, "a run is active in it");
                    self.refuse(connection_id, &reply, error);
                }
            }
            ClientBody::Auth { .. }
            | ClientBody::AuthRefresh { .. }
            | ClientBody::Resume { .. }
            | ClientBody::Unsubscribe { .. }
            | ClientBody::CancelRun { .. }
            | ClientBody::CancelQueued { .. }
            | ClientBody::Approval { .. }
            | ClientBody::Feedback(_)
            | ClientBody::Received { .. }
            | ClientBody::Thread(ThreadCommand::Create { .. } | ThreadCommand::List { .. })
            | ClientBody::Ping { .. }
            | ClientBody::Pong => self.ignore(),
        }
    }

    pub(super) fn thread_loaded(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        result: Result<Loaded, Fault>,
    ) {
        let Some(Thread::Loading(loading)) = self.threads.get_mut(&thread_id) else {
            return self.ignore();
        };
        let waiting = core::mem::take(&mut loading.waiting);
        match result {
            Ok(Loaded::Thread(stored)) => {
                self.open_stored(thread_id, stored);
                self.resume_thread(thread_id, None);
                for (connection_id, reply, body) in waiting {
                    self.thread_command(now, thread_id, connection_id, reply, body);
                }
                self.dirty.insert(thread_id);
            }
            Ok(_) => {
                self.threads.remove(&thread_id);
                self.resume_thread(thread_id, Some(ErrorCode::ThreadNotFound));
                for (connection_id, reply, body) in waiting {
                    self.open_own(now, thread_id, connection_id, reply, body);
                }
            }
            Err(_) => {
                if loading.needed {
                    loading.stalled = true;
                    self.reload_at = Some(now.mono.after(self.limits.store_retry_max));
                } else {
                    self.threads.remove(&thread_id);
                }
                self.resume_thread(thread_id, Some(ErrorCode::StorageUnavailable));
                for (connection_id, reply, _) in waiting {
                    self.refuse(connection_id, &reply, store_down());
                }
            }
        }
    }

    /// Reads again what could not be read but is needed.
    pub(super) fn reload(&mut self) {
        let mut stalled = Vec::new();
        for (thread_id, thread) in &mut self.threads {
            if let Thread::Loading(loading) = thread
                && core::mem::take(&mut loading.stalled)
            {
                stalled.push(*thread_id);
            }
        }
        for thread_id in stalled {
            self.load(Asked::Thread(thread_id), Load::Thread { thread_id });
        }
        self.reload_histories();
    }

    /// Forgets a thread whose state is no longer sure, and reads it again.
    pub(super) fn heal(&mut self, thread_id: ThreadId) {
        if let Some(Thread::Open(open)) = self.threads.remove(&thread_id) {
            if let Some(running) = &open.running {
                self.out.push_back(Output::KillRun { run_id: running.run.run_id });
            }
            let runs = open.running.into_iter().map(|running| running.run).chain(open.queued);
            let waiting = open.ops.into_iter().flat_map(Op::into_senders);
            for (connection_id, reply) in waiting.chain(runs.flat_map(|run| run.cancelled_by)) {
                self.refuse(connection_id, &reply, store_down());
            }
        }
        self.need_thread(thread_id);
    }

    /// Loads a thread however long it takes.
    pub(super) fn need_thread(&mut self, thread_id: ThreadId) {
        self.load_thread(thread_id);
        if let Some(Thread::Loading(loading)) = self.threads.get_mut(&thread_id) {
            let Loading { needed, .. } = loading;
            *needed = true;
        }
    }

    fn record(
        &mut self,
        connection_id: ConnectionId,
        reply: Reply,
        what: &'static str,
        record: Record,
    ) {
        let effect = self.ask(Asked::Record { connection_id, reply, what });
        self.out.push_back(Output::Record { effect, record });
    }

    pub(super) fn recorded(&mut self, effect: crate::id::EffectId, result: Result<bool, Fault>) {
        let Some(Asked::Record { connection_id, reply, what }) = self.asked.remove(&effect) else {
            return self.ignore();
        };
        match result {
            // A read position is told so often that its answer would be noise.
            Ok(true) if what == "received" => {}
            Ok(true) => {
                self.done(connection_id, &reply, what, &serde_json::Map::new());
                if what == "delete_thread" {
                    self.forget_quiet_threads();
                }
            }
            Ok(false) => self.refuse(connection_id, &reply, no_thread()),
            Err(_) => self.refuse(connection_id, &reply, store_down()),
        }
    }

    pub(super) fn answer_loaded(
        &mut self,
        connection_id: ConnectionId,
        reply: &Reply,
        request: Request,
        result: Result<Loaded, Fault>,
    ) {
        match (request, result) {
            (_, Err(_)) => self.refuse(connection_id, reply, store_down()),
            //= specs/runs.md#run-18
            //# Cancelling an ended run MUST be refused as `run_not_active`, and an unknown one as
            //# `run_not_found`.
            (Request::Cancel, Ok(Loaded::Run(Some(run)))) => {
                let error = if run.status.is_terminal() {
                    run_over()
                } else {
                    ErrorFrame::new(ErrorCode::Degraded, "the run is being taken over; try again")
                };
                self.refuse(connection_id, reply, error);
            }
            (Request::Cancel, Ok(_)) => {
                self.refuse(connection_id, reply, no_run("no such run"));
            }
            //= specs/delivery.md#dlv-19
            //# Entries that are asked for again MUST be sent again.
            (Request::Gap, Ok(Loaded::Entries(entries))) => {
                let frames = entries.iter().map(|(seq, body)| body.frame(*seq, true));
                self.deliver(connection_id, frames.collect(), false);
            }
            (Request::History(thread_id), Ok(Loaded::Entries(entries))) => {
                let out = HistoryOut { thread_id, entries: history_of(&entries) };
                self.done(connection_id, reply, "get_thread_history", &out);
            }
            (Request::Threads, Ok(Loaded::Threads(threads))) => {
                let threads: Vec<_> = threads.iter().map(SummaryOut::from).collect();
                self.done(connection_id, reply, "list_threads", &ThreadsOut { threads });
            }
            (Request::Refusal { client_msg_id, digest, error }, Ok(Loaded::Message(found))) => {
                match found {
                    None => self.refuse(connection_id, reply, error),
                    Some((known, _)) if known != digest => {
                        self.refuse(connection_id, reply, conflict());
                    }
                    Some((_, first)) => {
                        self.ack_duplicate(connection_id, reply, client_msg_id, &first);
                    }
                }
            }
            (
                Request::Gap | Request::History(_) | Request::Threads | Request::Refusal { .. },
                Ok(_),
            ) => self.refuse(connection_id, reply, no_thread()),
        }
    }

    /// The answer to a message that was accepted before: its first outcome, and its thread from the
    /// start if the connection does not follow it (its first ack may have been lost with its socket).
    pub(super) fn ack_duplicate(
        &mut self,
        connection_id: ConnectionId,
        reply: &Reply,
        client_msg_id: crate::id::ClientMsgId,
        first: &super::FirstOutcome,
    ) {
        let ack = AckFrame {
            duplicate: true,
            client_msg_id,
            message_id: first.message_id,
            thread_id: first.thread_id,
            run_id: first.run_id,
            run_status: first.run_status,
            queue_position: 0,
            seq: first.seq,
        };
        self.reply(connection_id, reply, &ServerFrame::Ack(ack));
        let Some(connection) = self.connections.get(&connection_id) else { return };
        if connection.reader && !connection.subscriptions.contains_key(&first.thread_id) {
            let point =
                ResumePoint { thread_id: first.thread_id, epoch: None, after_seq: Seq::ZERO };
            self.resume(connection_id, Some(Reply::None), vec![point]);
        }
    }

    pub(super) fn done<T: Serialize>(
        &mut self,
        connection_id: ConnectionId,
        reply: &Reply,
        what: &'static str,
        result: &T,
    ) {
        let result = Json::encode(result).unwrap_or_default();
        self.reply(connection_id, reply, &ServerFrame::Done { what, result });
    }

    fn only_run(&self) -> Option<RunId> {
        let mut runs = self.threads.values().filter_map(|thread| match thread {
            Thread::Open(open) => open.running.as_ref().map(|running| running.run.run_id),
            Thread::Loading(_) => None,
        });
        let first = runs.next()?;
        runs.next().is_none().then_some(first)
    }
}

#[derive(Serialize)]
pub(super) struct ThreadOut {
    pub(super) thread_id: ThreadId,
}

#[derive(Serialize)]
struct HistoryOut {
    thread_id: ThreadId,
    entries: Vec<Json>,
}

#[derive(Serialize)]
struct ThreadsOut<'a> {
    threads: Vec<SummaryOut<'a>>,
}

#[derive(Serialize)]
struct SummaryOut<'a> {
    thread_id: ThreadId,
    title: &'a str,
    head_seq: Seq,
    updated_at: String,
}

impl<'a> From<&'a super::ThreadSummary> for SummaryOut<'a> {
    fn from(summary: &'a super::ThreadSummary) -> Self {
        Self {
            thread_id: summary.thread_id,
            title: &summary.title,
            head_seq: summary.head,
            updated_at: format!("{}", summary.updated_at.to_rfc3339()),
        }
    }
}

fn history_of(entries: &[(Seq, EntryBody)]) -> Vec<Json> {
    let frames = entries.iter().map(|(seq, body)| body.frame(*seq, true));
    frames.filter_map(|frame| Json::parse(frame.as_str()).ok()).collect()
}

/// The first line of a message, cut at a word if it is long.
fn title_of(content: &str) -> String {
    let line = content.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.chars().count() <= TITLE_CHARS {
        return String::from(line);
    }
    let cut: String = line.chars().take(TITLE_CHARS).collect();
    let end = cut.rfind(' ').filter(|end| *end > 0).unwrap_or(cut.len());
    format!("{}…", &cut[..end])
}

pub(super) fn no_thread() -> ErrorFrame {
    ErrorFrame::new(ErrorCode::ThreadNotFound, "no such thread")
}

pub(super) fn no_run(message: &'static str) -> ErrorFrame {
    ErrorFrame::new(ErrorCode::RunNotFound, message)
}

pub(super) fn run_over() -> ErrorFrame {
    ErrorFrame::new(ErrorCode::RunNotActive, "the run has ended")
}

pub(super) fn store_down() -> ErrorFrame {
    ErrorFrame::new(ErrorCode::StorageUnavailable, "the store does not answer; try again")
}

pub(super) fn conflict() -> ErrorFrame {
    ErrorFrame::new(
        ErrorCode::IdempotencyConflict,
        "this client_msg_id was used before with other content",
    )
}
