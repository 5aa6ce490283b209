//! From the store's answer to what everybody hears.

use super::commands::{ThreadOut, conflict, no_thread, store_down};
use super::commit::thread_advanced;
use super::state::{Arriving, Asked, Begun, Open, Purpose, Stage, Thread};
use super::{Batch, Committed, Hub, Output, RunCancel};
use crate::fault::Fault;
use crate::id::{ConnectionId, EffectId, RunId, Seq, ThreadId};
use crate::run::CancelReason;
use crate::thread::{Outcome, Subscription};
use crate::time::{Millis, Now};
use crate::wire::{AckFrame, Level, MultitaskStrategy, Reply, RunStatus, ServerFrame, UserMessage};
use alloc::vec::Vec;

impl Hub {
    pub(super) fn committed(
        &mut self,
        now: Now,
        effect: EffectId,
        result: Result<Committed, Fault>,
    ) {
        let Some(Asked::Commit(thread_id)) = self.asked.remove(&effect) else {
            return self.ignore();
        };
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else {
            return self.ignore();
        };
        let head = open.log.head();
        let outcome = open.log.answered(now.mono, &self.limits, effect, result);
        match outcome {
            Outcome::Unasked => return self.ignore(),
            Outcome::Waiting { tries, uncertain } => self.hold(thread_id, tries, uncertain),
            //= specs/delivery.md#dlv-01
            //# An entry MUST NOT be sent before the store has confirmed it.
            Outcome::Done { batch, first } => {
                open.stale |= first > head.next();
                for RunCancel { run_id, .. } in &batch.cancels {
                    if let Some(Begun { run, .. }) = open.begun(*run_id) {
                        run.cancel_kept = true;
                    }
                }
                if let Some(purpose) = open.purpose.take() {
                    self.written(now, thread_id, purpose, first, &batch);
                }
            }
            Outcome::Refused { why, .. } => {
                if let Some(purpose) = open.purpose.take() {
                    if why == Committed::Fenced && open.held(&purpose) {
                        return self.fence_off();
                    }
                    self.not_written(thread_id, purpose, Some(why));
                }
            }
            Outcome::Lost { .. } => {
                if let Some(purpose) = open.purpose.take() {
                    self.not_written(thread_id, purpose, None);
                }
            }
        }
        if let Some(Thread::Open(open)) = self.threads.get(&thread_id)
            && open.must_be_read_again()
        {
            self.heal(thread_id);
        }
        self.dirty.insert(thread_id);
    }

    pub(super) fn retry_commits(&mut self, now: Now) {
        for (thread_id, thread) in &mut self.threads {
            let Thread::Open(open) = thread else { continue };
            if let Some((effect, batch)) = open.log.retry(now.mono, &mut self.next_effect) {
                self.asked.insert(effect, Asked::Commit(*thread_id));
                self.out.push_back(Output::Commit { effect, batch });
            }
        }
    }

    /// The store is not there. Whoever waits for a new message to be accepted is told to try again
    /// (DEP-04); what a run has to say waits for the store to return.
    //= specs/dependencies.md#dep-04
    //# While the store is down a new message MUST be refused as retryable.
    fn hold(&mut self, thread_id: ThreadId, tries: u32, uncertain: bool) {
        if tries < self.limits.message_commit_tries {
            return;
        }
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return };
        let by = match &mut open.purpose {
            Some(Purpose::Message(arriving)) if !arriving.told => {
                arriving.told = true;
                arriving.by.clone()
            }
            Some(Purpose::Create { by } | Purpose::Rename { by, .. })
                if tries == self.limits.message_commit_tries =>
            {
                by.clone()
            }
            // The wish is kept when the store returns; whoever asked is told to ask again.
            Some(Purpose::Append { by, .. }) => {
                let by = core::mem::take(by);
                return by.into_iter().for_each(|by| self.refuse(by.0, &by.1, store_down()));
            }
            Some(
                Purpose::Message(_)
                | Purpose::Create { .. }
                | Purpose::Rename { .. }
                | Purpose::EndQueued { .. }
                | Purpose::Claim,
            )
            | None => return,
        };
        // A try that may have been written is repeated until the store says what became of it.
        if !uncertain && open.log.give_up().is_some() {
            open.purpose = None;
            if !open.stored {
                self.threads.remove(&thread_id);
            }
        }
        self.refuse(by.0, &by.1, store_down());
    }

    /// A batch is durable: now, and not before, others may hear of it.
    fn written(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        purpose: Purpose,
        first: Seq,
        batch: &Batch,
    ) {
        let bodies = &batch.entries;
        match purpose {
            Purpose::Append { run_id, ends, by } => {
                self.publish(now, thread_id, first, bodies);
                match ends {
                    Some(status) => {
                        self.run_ended(thread_id, run_id);
                        self.answer_cancels(run_id, status, by);
                    }
                    None => self.cancel_written(thread_id, run_id, by),
                }
            }
            Purpose::Claim => {
                self.publish(now, thread_id, first, bodies);
                self.set_to_work(now, thread_id);
            }
            Purpose::Create { by: (connection_id, reply) } => {
                self.mark_stored(thread_id, first);
                self.done(connection_id, &reply, "create_thread", &ThreadOut { thread_id });
                self.publish(now, thread_id, first, bodies);
            }
            Purpose::EndQueued { run_id, by } => {
                self.publish(now, thread_id, first, bodies);
                if let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) {
                    //= specs/runs.md#run-32
                    //# A waiting run that was taken back MUST NOT start.
                    open.queued.retain(|queued| queued.run_id != run_id);
                }
                if let Some((connection_id, reply)) = by {
                    self.cancelled(connection_id, &reply, run_id, RunStatus::Cancelled);
                }
            }
            Purpose::Message(arriving) => {
                self.accepted(now, thread_id, *arriving, first, batch);
            }
            Purpose::Rename { by: (connection_id, reply), title } => {
                if let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) {
                    open.title = title;
                }
                self.done(connection_id, &reply, "rename_thread", &ThreadOut { thread_id });
                self.publish(now, thread_id, first, bodies);
            }
        }
    }

    /// A message and its run are committed: its sender hears it, its thread is followed, its run
    /// starts or waits (DLV-12).
    //= specs/delivery.md#dlv-12
    //# `ack` MUST NOT be sent before message and run are committed together.
    fn accepted(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        arriving: Arriving,
        first: Seq,
        batch: &Batch,
    ) {
        let Arriving { by: (connection_id, reply), message, message_id, mut run, starts, .. } =
            arriving;
        let was_new = self.mark_stored(thread_id, first);
        let seq = first.plus(u64::from(was_new));
        run.message_seq = seq;
        let run_id = run.run_id;
        let interrupts = message.multitask == MultitaskStrategy::Interrupt;
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return };
        let (run_status, queue_position) = match starts {
            Some(mut running) => {
                running.run.message_seq = seq;
                open.running = Some(running);
                (RunStatus::Running, 0)
            }
            None if interrupts => {
                let next = open.queued.iter().take_while(|queued| queued.claimed).count();
                open.queued.insert(next, run);
                (RunStatus::Queued, next as u32 + 1)
            }
            None => {
                open.queued.push_back(run);
                (RunStatus::Queued, open.queued.len() as u32)
            }
        };
        let at_work = open.running.iter().map(|running| &running.run);
        let claimed = open.queued.iter().filter(|queued| queued.claimed);
        let interrupted: Vec<RunId> = at_work
            .chain(claimed)
            .map(|run| run.run_id)
            .filter(|other| interrupts && *other != run_id)
            .collect();
        if let Some(connection) = self.connections.get(&connection_id)
            && !connection.subscriptions.contains_key(&thread_id)
        {
            let before = Seq(first.0 - 1);
            self.follow(connection_id, thread_id, Subscription::live(before, Level::Full));
        }
        //= specs/delivery.md#dlv-20
        //# An acknowledged message MUST be in its thread exactly once, however often the process is
        //# killed.
        let ack = AckFrame {
            duplicate: false,
            client_msg_id: message.client_msg_id,
            message_id,
            thread_id,
            run_id,
            run_status,
            queue_position,
            seq,
        };
        self.reply(connection_id, &reply, &ServerFrame::Ack(ack));
        self.publish(now, thread_id, first, &batch.entries);
        if run_status == RunStatus::Running {
            self.set_to_work(now, thread_id);
        }
        for run_id in interrupted {
            self.cancel_run(now, run_id, CancelReason::Interrupt, None);
        }
    }

    /// The thread is in the store now; a new one is followed by every reader of its user from its
    /// first entry on. Returns whether it was new.
    fn mark_stored(&mut self, thread_id: ThreadId, first: Seq) -> bool {
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return false };
        let was_new = !core::mem::replace(&mut open.stored, true);
        if was_new {
            //= specs/delivery.md#dlv-21
            //# A new thread MUST be followed by every open window of its user from its first entry
            //# on.
            let before = Seq(first.0 - 1);
            for connection_id in self.readers() {
                match self.connections.get_mut(&connection_id) {
                    // It hears nothing before it is attached.
                    Some(coming) if !coming.attached => coming.begun.push((thread_id, before)),
                    _ => {
                        let live = Subscription::live(before, Level::Full);
                        self.follow(connection_id, thread_id, live);
                    }
                }
            }
        }
        was_new
    }

    /// A batch was not written and never will be.
    fn not_written(&mut self, thread_id: ThreadId, purpose: Purpose, why: Option<Committed>) {
        match purpose {
            Purpose::Message(arriving) => {
                let Arriving { by: (connection_id, reply), message, .. } = *arriving;
                self.message_not_written(thread_id, connection_id, &reply, message, why);
            }
            Purpose::Create { by: (connection_id, reply) }
            | Purpose::Rename { by: (connection_id, reply), .. } => {
                let error = if why.is_some() { no_thread() } else { store_down() };
                self.refuse(connection_id, &reply, error);
                self.heal(thread_id);
            }
            Purpose::EndQueued { by, .. } => {
                if let Some((connection_id, reply)) = by {
                    self.refuse(connection_id, &reply, store_down());
                }
                self.heal(thread_id);
            }
            // Another writer holds the run, or the thread is gone: what we know of it is worth nothing.
            Purpose::Append { by, .. } => {
                by.into_iter().for_each(|by| self.refuse(by.0, &by.1, store_down()));
                self.heal(thread_id);
            }
            Purpose::Claim => self.heal(thread_id),
        }
    }

    fn message_not_written(
        &mut self,
        thread_id: ThreadId,
        connection_id: ConnectionId,
        reply: &Reply,
        message: UserMessage,
        why: Option<Committed>,
    ) {
        // The store knows of this thread what we do not: another writer was here.
        let surprised = matches!(why, Some(Committed::HeadMoved { .. } | Committed::Fenced) | None);
        match why {
            Some(Committed::Duplicate(first)) => {
                self.ack_duplicate(connection_id, reply, message.client_msg_id, &first);
            }
            Some(Committed::Conflict) => self.refuse(connection_id, reply, conflict()),
            Some(Committed::HeadMoved { head }) => {
                self.refuse(connection_id, reply, thread_advanced(head));
            }
            Some(Committed::NoThread) => self.refuse(connection_id, reply, no_thread()),
            Some(Committed::Fenced | Committed::Done { .. }) | None => {
                self.refuse(connection_id, reply, store_down());
            }
        }
        match self.threads.get(&thread_id) {
            // Nothing else waits in it: until it is written nobody can name it.
            Some(Thread::Open(Open { stored: false, .. })) => {
                self.threads.remove(&thread_id);
            }
            Some(Thread::Open(Open { stored: true, .. })) if surprised => self.heal(thread_id),
            Some(Thread::Open(_) | Thread::Loading(_)) | None => {}
        }
    }

    /// The run at work has its claim: its task may start.
    pub(super) fn set_to_work(&mut self, now: Now, thread_id: ThreadId) {
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return };
        let epoch = open.log.epoch();
        let Some(running) = &mut open.running else { return };
        running.stage = Stage::Working;
        running.held = true;
        let patience = self.limits.run_timeout.0 + self.limits.run_supervision_grace.0;
        running.deadline = Some(now.mono.after(Millis(patience)));
        let (run_id, fence, cancel) = (running.run.run_id, running.fence, running.cancel.take());
        let cancelled_by = core::mem::take(&mut running.run.cancelled_by);
        let assignment = running.assignment(thread_id, epoch);
        let scope = self.scope.clone();
        self.out.push_back(Output::StartRun { assignment, fence, scope });
        if let Some(reason) = cancel {
            self.cancel_run(now, run_id, reason, None);
        }
        cancelled_by.into_iter().for_each(|by| self.keep_cancel(thread_id, run_id, by));
    }
}
