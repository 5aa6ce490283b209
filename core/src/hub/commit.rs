//! From an operation to a batch on its way to the store.

use super::commands::no_thread;
use super::state::{
    Arriving, Asked, Begun, Op, Open, Purpose, Queued, Request, Running, Thread, terminal_of,
};
use super::{Batch, Hub, Load, NewAnswer, NewMessage, NewThread, Output, RunCancel, RunChange};
use crate::id::{ConnectionId, Epoch, Fence, MessageId, RunId, Seq, ThreadId};
use crate::run::CancelReason;
use crate::time::Now;
use crate::wire::{
    AckFrame, Draft, ErrorCode, ErrorFrame, Event, MultitaskStrategy, Reply, RunScope, RunStatus,
    ServerFrame, UserMessage,
};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// Who asked for an operation.
type Sender = (ConnectionId, Reply);

impl Op {
    /// Whom to tell when it cannot be done.
    pub(super) fn into_senders(self) -> Vec<Sender> {
        match self {
            Self::Cancel { by, .. }
            | Self::Create { by, .. }
            | Self::Message { by, .. }
            | Self::Rename { by, .. } => vec![by],
            Self::EndQueued { by, .. } => by.into_iter().collect(),
            Self::Append { by, .. } => by,
            Self::Claim | Self::Confirm { .. } => Vec::new(),
        }
    }
}

impl Hub {
    /// Sends the next operation of a thread, until its log is busy or nothing is left to do.
    pub(super) fn advance(&mut self, now: Now, thread_id: ThreadId) {
        loop {
            let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return };
            if open.log.is_busy() {
                return;
            }
            match open.ops.pop_front() {
                Some(op) => self.write(now, thread_id, op),
                None if self.start_next(now, thread_id) => {}
                None => return,
            }
        }
    }

    fn write(&mut self, now: Now, thread_id: ThreadId, op: Op) {
        match op {
            op @ (Op::Append { run_id, .. } | Op::Cancel { run_id, .. }) => {
                self.write_run(now, thread_id, run_id, op);
            }
            Op::Claim => self.write_claim(now, thread_id),
            Op::Confirm { run_id, fence, tool_call_id } => {
                self.confirmed(run_id, fence, tool_call_id);
            }
            Op::Create { by, title, metadata } => {
                let created =
                    self.draft(now, thread_id, None, Event::ThreadCreated { title: title.clone() });
                self.begin(now, thread_id, vec![created], Purpose::Create { by }, |batch| {
                    batch.new_thread = Some(NewThread { title });
                    batch.metadata = metadata;
                });
            }
            Op::EndQueued { run_id, reason, by } => {
                self.write_end_of_queued(now, thread_id, run_id, reason, by);
            }
            Op::Message { by, message, message_id } => {
                self.write_message(now, thread_id, by, message, message_id);
            }
            Op::Rename { by, title, metadata } => {
                let Some(Thread::Open(open)) = self.threads.get(&thread_id) else { return };
                let shown = title.clone().unwrap_or_else(|| open.title.clone());
                let updated =
                    self.draft(now, thread_id, None, Event::ThreadUpdated { title: shown.clone() });
                let purpose = Purpose::Rename { by, title: shown };
                self.begin(now, thread_id, vec![updated], purpose, |batch| {
                    batch.title = title;
                    batch.metadata = metadata;
                });
            }
        }
    }

    /// What waits of one run goes into one batch: its entries, and the wish that it ends.
    fn write_run(&mut self, now: Now, thread_id: ThreadId, run_id: RunId, first: Op) {
        let expected_head = self.head_unless_held(thread_id);
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return };
        let (mut drafts, mut held, mut by) = (Vec::new(), None, Vec::new());
        let mut next = Some(first);
        while let Some(op) = next {
            match op {
                Op::Append { fence, drafts: more, by: waiting, .. } => {
                    drafts.extend(more);
                    by.extend(waiting);
                    held = held.or(Some(fence));
                }
                Op::Cancel { by: asked, .. } => by.push(asked),
                Op::Claim
                | Op::Confirm { .. }
                | Op::Create { .. }
                | Op::EndQueued { .. }
                | Op::Message { .. }
                | Op::Rename { .. } => {}
            }
            next = open.ops.pop_front_if(|op| {
                matches!(op, Op::Append { run_id: of, .. } | Op::Cancel { run_id: of, .. }
                    if *of == run_id)
            });
        }
        let ends = terminal_of(&drafts);
        //= specs/runs.md#run-34
        //# A cancel that was accepted MUST be honoured after a crash of the process.
        let mut cancels = Vec::new();
        match open.begun(run_id) {
            // It ends with this batch, or has ended: the store says how.
            _ if ends.is_some() => {}
            // Nothing of it is at work here.
            None => return by.into_iter().for_each(|by| self.ask_for_run(run_id, by)),
            Some(begun) if begun.run.cancel_kept || canary!(ForgetCancel) => {}
            Some(Begun { held: Some(fence), reason: Some(reason), .. }) if !by.is_empty() => {
                cancels.push(RunCancel { run_id, fence, reason });
            }
            Some(begun) => begun.run.cancelled_by.append(&mut by),
        }
        if drafts.is_empty() && cancels.is_empty() {
            return self.cancel_written(thread_id, run_id, by);
        }
        if canary!(SecondTerminal) && ends.is_some() {
            drafts.extend(drafts.last().cloned());
        }
        let answers = answers_in(&drafts, run_id);
        let status = ends.unwrap_or(RunStatus::Running);
        let runs = held.map(|fence| RunChange { run_id, fence, status });
        self.begin(now, thread_id, drafts, Purpose::Append { run_id, ends, by }, |batch| {
            batch.expected_head = expected_head.filter(|_| runs.is_some());
            batch.answers = answers;
            batch.runs = runs.into_iter().collect();
            batch.cancels = cancels;
        });
    }

    fn write_claim(&mut self, now: Now, thread_id: ThreadId) {
        let Some(Thread::Open(Open { running: Some(running), .. })) = self.threads.get(&thread_id)
        else {
            return;
        };
        let (run_id, fence, attempt) = (running.run.run_id, running.fence, running.attempt);
        if let Some(reason) = running.cancel {
            return self.end_cancelled(now, thread_id, run_id, reason);
        }
        let expected_head = self.head_unless_held(thread_id);
        let started = self.run_started(now, thread_id, run_id, attempt);
        self.begin(now, thread_id, vec![started], Purpose::Claim, |batch| {
            batch.expected_head = expected_head;
            batch.runs = vec![RunChange { run_id, fence, status: RunStatus::Running }];
        });
    }

    /// Where the log must end for a write that raises the fence of a run. Until its fence is raised,
    /// whoever held it may still add to its log: what was read of it is only good if nobody did.
    fn head_unless_held(&self, thread_id: ThreadId) -> Option<Seq> {
        let Some(Thread::Open(open)) = self.threads.get(&thread_id) else { return None };
        let held = open.running.as_ref().is_some_and(|running| running.held);
        (!held).then(|| open.log.head())
    }

    fn write_message(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        by: Sender,
        message: UserMessage,
        message_id: MessageId,
    ) {
        let digest = digest(&message.content);
        if let Some(error) = self.refusal(thread_id, &message) {
            //= specs/delivery.md#dlv-18
            //# A repeated message that would be refused now MUST still get its first outcome.
            // It may have been accepted before: then its first outcome is the answer (DLV-08).
            let client_msg_id = message.client_msg_id;
            let load = Load::Message { client_msg_id: client_msg_id.clone() };
            let request = Request::Refusal { client_msg_id, digest, error };
            let (connection_id, reply) = by;
            self.load(Asked::Reply { connection_id, reply, request }, load);
            return;
        }
        let free = self.running_runs() < self.limits.running_runs_per_user && !self.draining;
        let Some(Thread::Open(open)) = self.threads.get(&thread_id) else { return };
        let position = open.queued.len() + usize::from(open.running.is_some());
        let cancels = match message.multitask {
            MultitaskStrategy::Interrupt => open.to_interrupt().into_iter().collect(),
            MultitaskStrategy::Enqueue | MultitaskStrategy::Reject => Vec::new(),
        };
        let new_thread = (!open.stored).then(|| NewThread { title: open.title.clone() });
        let run_id = RunId::draw(&mut self.seed, now.wall);
        let run = Queued {
            run_id,
            message_id,
            message_seq: Seq::ZERO,
            on_disconnect: message.on_disconnect,
            fence: Fence::default(),
            question: Some(message.content.clone()),
            claimed: false,
            cancel: None,
            cancel_kept: false,
            cancelled_by: Vec::new(),
        };
        let mut drafts = Vec::with_capacity(4);
        if let Some(NewThread { title }) = &new_thread {
            let event = Event::ThreadCreated { title: title.clone() };
            drafts.push(self.draft(now, thread_id, None, event));
        }
        let entry = drafts.len() as u32;
        drafts.push(self.draft(
            now,
            thread_id,
            Some(run_id),
            Event::UserMessage {
                message_id,
                client_msg_id: message.client_msg_id.clone(),
                content: message.content.clone(),
                metadata: message.metadata.clone(),
            },
        ));
        drafts.push(self.draft(
            now,
            thread_id,
            Some(run_id),
            Event::RunQueued {
                message_id,
                position: position as u32,
                on_disconnect: message.on_disconnect,
            },
        ));
        let starts = (free && (position == 0 || canary!(TwoRuns)))
            .then(|| Running::claiming(run.clone(), 1, now.wall));
        let mut runs = Vec::new();
        if let Some(running) = &starts {
            drafts.push(self.run_started(now, thread_id, run_id, 1));
            let fence = running.fence;
            runs.push(RunChange { run_id, fence, status: RunStatus::Running });
        }
        let new_message = NewMessage {
            message_id,
            client_msg_id: message.client_msg_id.clone(),
            digest,
            entry,
            run_id,
            on_disconnect: message.on_disconnect,
        };
        let expected_head = message.expected_head_seq;
        if canary!(AckBeforeCommit) {
            let (connection_id, reply) = &by;
            let ack = AckFrame {
                duplicate: false,
                client_msg_id: message.client_msg_id.clone(),
                message_id,
                thread_id,
                run_id,
                run_status: RunStatus::Queued,
                queue_position: 0,
                seq: Seq(u64::from(entry) + 1),
            };
            self.reply(*connection_id, reply, &ServerFrame::Ack(ack));
        }
        let arriving = Arriving { by, message, message_id, run, starts, told: false };
        let purpose = Purpose::Message(Box::new(arriving));
        self.begin(now, thread_id, drafts, purpose, |batch| {
            batch.new_thread = new_thread;
            batch.expected_head = expected_head;
            batch.message = Some(new_message);
            batch.runs = runs;
            batch.cancels = cancels;
        });
    }

    /// Why a message cannot be accepted now, if so.
    fn refusal(&self, thread_id: ThreadId, message: &UserMessage) -> Option<ErrorFrame> {
        let Some(Thread::Open(open)) = self.threads.get(&thread_id) else {
            return Some(no_thread());
        };
        let busy = open.running.is_some() || !open.queued.is_empty();
        let head = open.log.head();
        if message.expected_head_seq.is_some_and(|expected| expected != head) {
            //= specs/delivery.md#dlv-24
            //# A message that expects another head of its thread MUST be refused as
            //# `thread_advanced`.
            return Some(thread_advanced(head));
        }
        //= specs/runs.md#run-31
        //# A second message into a busy thread MUST wait, be refused or interrupt, as it asks.
        if busy && message.multitask == MultitaskStrategy::Reject {
            let error = ErrorFrame::new(ErrorCode::ThreadBusy, "a run is at work in this thread");
            return Some(error);
        }
        if open.queued.len() >= self.limits.queued_runs_per_thread {
            return Some(ErrorFrame::new(
                ErrorCode::QueueFull,
                "too many runs wait in this thread",
            ));
        }
        None
    }

    fn write_end_of_queued(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        run_id: RunId,
        reason: CancelReason,
        by: Option<Sender>,
    ) {
        let Some(Thread::Open(open)) = self.threads.get(&thread_id) else { return };
        let Some(queued) = open.queued.iter().find(|queued| queued.run_id == run_id) else {
            // It went to work in the meantime.
            return self.cancel_run(now, run_id, reason, by);
        };
        let (fence, head) = (Fence(queued.fence.0 + 1), open.log.head());
        let event = Event::RunCancelled { reason: String::from(word(reason)), duration_ms: 0 };
        let cancelled = self.draft(now, thread_id, Some(run_id), event);
        self.begin(now, thread_id, vec![cancelled], Purpose::EndQueued { run_id, by }, |batch| {
            batch.expected_head = Some(head);
            batch.runs = vec![RunChange { run_id, fence, status: RunStatus::Cancelled }];
        });
    }

    fn run_started(&mut self, now: Now, thread_id: ThreadId, run_id: RunId, attempt: u32) -> Draft {
        let deadline_at = now.wall.after(self.limits.run_timeout);
        self.draft(now, thread_id, Some(run_id), Event::RunStarted { attempt, deadline_at })
    }

    pub(super) fn draft(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        run_id: Option<RunId>,
        event: Event,
    ) -> Draft {
        Draft {
            id: self.draw_event_id(now),
            thread_id,
            epoch: self.epoch_of(thread_id),
            ts: now.wall,
            scope: run_id.map(|run_id| RunScope { run_id, agent: None }),
            synthesized: false,
            event,
        }
    }

    fn epoch_of(&self, thread_id: ThreadId) -> Epoch {
        match self.threads.get(&thread_id) {
            Some(Thread::Open(open)) => open.log.epoch(),
            Some(Thread::Loading(_)) | None => Epoch::default(),
        }
    }

    /// Encodes the drafts, the one time in their life, and sends them on their way.
    fn begin(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        drafts: Vec<Draft>,
        purpose: Purpose,
        fill: impl FnOnce(&mut Batch),
    ) {
        let id = drafts.first().map_or_else(|| self.draw_event_id(now), |first| first.id);
        //= specs/delivery.md#dlv-03
        //# Thread, epoch and sequence number MUST name the same bytes for ever, across retries
        //# and dead processes.
        let entries = drafts.iter().map(Draft::encode).collect();
        let log = (thread_id, self.epoch_of(thread_id));
        let mut batch = Batch::of(id, self.scope.clone(), log, now.wall, entries);
        fill(&mut batch);
        let effect = self.ask(Asked::Commit(thread_id));
        if let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) {
            let batch = open.log.begin(effect, batch);
            open.purpose = Some(purpose);
            let early = canary!(PublishBeforeCommit).then(|| (open.log.head(), batch.clone()));
            self.out.push_back(Output::Commit { effect, batch });
            if let Some((head, batch)) = early {
                self.publish(now, thread_id, head.next(), &batch.entries);
            }
        }
    }
}

/// FNV-1a over the content: tells a repeated message from another one with the same id.
fn digest(content: &str) -> u64 {
    content.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn answers_in(drafts: &[Draft], run_id: RunId) -> Vec<NewAnswer> {
    let numbered = drafts.iter().enumerate();
    numbered
        .filter_map(|(entry, draft)| match &draft.event {
            Event::AssistantMessage { message_id, .. } => {
                Some(NewAnswer { message_id: *message_id, run_id, entry: entry as u32 })
            }
            _ => None,
        })
        .collect()
}

pub(super) fn thread_advanced(head: Seq) -> ErrorFrame {
    ErrorFrame::new(ErrorCode::ThreadAdvanced, format!("the head is at {head}"))
}

pub(super) const fn word(reason: CancelReason) -> &'static str {
    match reason {
        CancelReason::Disconnect => "disconnect",
        CancelReason::Interrupt => "interrupt",
        CancelReason::User => "user",
    }
}
