//! Runs: who is next, who is at work, who is stopped, and what happens to a run that dies.

use super::commands::run_over;
use super::commit::word;
use super::state::{Asked, Begun, Op, Open, Queued, Request, Running, Stage, Thread, terminal_of};
use super::{Hub, Load, Output};
use crate::id::{ConnectionId, Fence, RunId, ThreadId, ToolCallId};
use crate::run::{CancelReason, Closing, Desk};
use crate::time::Now;
use crate::wire::{Draft, ErrorCode, ErrorFrame, ErrorInfo, Event, Frame, Reply, RunStatus};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use serde::Serialize;

#[derive(Serialize)]
struct CancelledOut {
    run_id: RunId,
    status: RunStatus,
}

impl Hub {
    /// Sends the next waiting run of a thread to work, if it may go. Returns whether something changed.
    pub(super) fn start_next(&mut self, now: Now, thread_id: ThreadId) -> bool {
        //= specs/runs.md#run-13
        //# Once the server drains, a waiting run MUST NOT be taken up.
        if self.draining {
            return false;
        }
        //= specs/isolation.md#iso-03
        //# The runs of one user at work MUST NOT exceed the limit, over all threads; the others
        //# wait.
        let full = self.running_runs() >= self.limits.running_runs_per_user;
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return false };
        if open.running.is_some() || open.queued.is_empty() {
            return false;
        }
        if full {
            if !self.waiting_threads.contains(&thread_id) {
                self.waiting_threads.push_back(thread_id);
            }
            return false;
        }
        //= specs/runs.md#run-15
        //# Queued runs of a thread MUST start one at a time and in their order.
        let Some(run) = open.queued.pop_front() else { return false };
        let known = run.question.is_some();
        let mut running = Running::claiming(run, 1, now.wall);
        if known {
            open.ops.push_front(Op::Claim);
            open.running = Some(running);
            return true;
        }
        running.stage = Stage::Reading;
        open.running = Some(running);
        self.read_history(thread_id);
        true
    }

    /// The run at work has ended: its place is free for the next, in another thread or here.
    pub(super) fn run_ended(&mut self, thread_id: ThreadId, run_id: RunId) {
        if let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id)
            && open.running.as_ref().is_some_and(|running| running.run.run_id == run_id)
        {
            open.running = None;
        }
        // Who waits in another thread comes first, or this thread's queue would keep the place.
        if let Some(next) = self.waiting_threads.pop_front() {
            self.dirty.insert(next);
        }
        self.dirty.insert(thread_id);
    }

    /// What a run's task has to say; checked against the grammar before it goes anywhere (invariant 7).
    pub(super) fn append(&mut self, now: Now, run_id: RunId, fence: Fence, drafts: Vec<Draft>) {
        let Some((thread_id, running)) = self.working(run_id, fence) else {
            return self.ignore();
        };
        if drafts.is_empty() {
            return;
        }
        let ends = terminal_of(&drafts);
        if let Some(reason) = running.cancel.filter(|_| running.run.cancel_kept)
            && ends.is_some_and(|status| status != RunStatus::Cancelled)
        {
            // It came to its end before it heard of the cancel, which is a promise by now (RUN-34).
            return self.end_cancelled(now, thread_id, run_id, reason);
        }
        let mut sound = true;
        for draft in &drafts {
            sound &= draft.thread_id == thread_id && running.grammar.observe_draft(draft).is_ok();
        }
        if !sound {
            // A bug of ours: what was appended so far stands, the rest is replaced by an honest end.
            return self.restart_or_end(now, thread_id, run_id);
        }
        if ends.is_some() {
            running.stage = Stage::Ending;
            running.deadline = None;
        }
        self.push(thread_id, Op::Append { run_id, fence, drafts, by: Vec::new() });
    }

    /// A run asks to hear when all it has said so far is durable: behind its appends.
    pub(super) fn confirm(&mut self, run_id: RunId, fence: Fence, tool_call_id: ToolCallId) {
        match self.working(run_id, fence) {
            Some((thread_id, _)) => {
                self.push(thread_id, Op::Confirm { run_id, fence, tool_call_id });
            }
            None => self.ignore(),
        }
    }

    /// All that stood before it is durable, unless its run has been replaced meanwhile.
    pub(super) fn confirmed(&mut self, run_id: RunId, fence: Fence, tool_call_id: ToolCallId) {
        if self.working(run_id, fence).is_some() {
            self.out.push_back(Output::Confirmed { run_id, fence, tool_call_id });
        }
    }

    pub(super) fn transient(&mut self, run_id: RunId, frame: &Frame) {
        let Some(thread_id) = self.thread_of_run(run_id) else { return self.ignore() };
        let frames: Arc<[Frame]> = Arc::from([frame.clone()]);
        let followers: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter(|(_, connection)| {
                connection.subscriptions.get(&thread_id).is_some_and(|s| s.is_live())
            })
            .map(|(connection_id, _)| *connection_id)
            .collect();
        for connection_id in followers {
            self.deliver(connection_id, frames.clone(), true);
        }
    }

    /// Stops a run, wherever it is. Idempotent (RUN-10).
    pub(super) fn cancel_run(
        &mut self,
        now: Now,
        run_id: RunId,
        reason: CancelReason,
        by: Option<(ConnectionId, Reply)>,
    ) {
        let Some(thread_id) = self.thread_of_run(run_id) else {
            by.into_iter().for_each(|by| self.ask_for_run(run_id, by));
            return;
        };
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return };
        if let Some(queued) = open.queued.iter_mut().find(|q| q.run_id == run_id && q.claimed) {
            queued.cancel = queued.cancel.or(Some(reason));
            return by.into_iter().for_each(|by| self.keep_cancel(thread_id, run_id, by));
        }
        let Some(running) = open.running.as_mut().filter(|r| r.run.run_id == run_id) else {
            return self.push(thread_id, Op::EndQueued { run_id, reason, by });
        };
        //= specs/runs.md#run-10
        //# Cancelling a run again MUST change nothing.
        if running.cancel.is_none() && running.stage != Stage::Ending {
            running.cancel = Some(reason);
            if running.stage == Stage::Working && !canary!(CancelWithoutGrace) {
                //= specs/runs.md#run-09
                //# A run at work that is cancelled MUST end within the cancel grace, even if its
                //# agent never answers.
                running.deadline = Some(now.mono.after(self.limits.cancel_grace));
                self.out.push_back(Output::CancelRun { run_id, reason });
            }
        }
        by.into_iter().for_each(|by| self.keep_cancel(thread_id, run_id, by));
    }

    /// A run that is not at hand was asked for: the store says what became of it.
    pub(super) fn ask_for_run(&mut self, run_id: RunId, by: (ConnectionId, Reply)) {
        let (connection_id, reply) = by;
        let asked = Asked::Reply { connection_id, reply, request: Request::Cancel };
        self.load(asked, Load::Run { run_id });
    }

    /// The work is being stopped; whoever asked for it hears so once that would survive a crash, or
    /// once the run has ended, whichever is first.
    pub(super) fn keep_cancel(
        &mut self,
        thread_id: ThreadId,
        run_id: RunId,
        by: (ConnectionId, Reply),
    ) {
        let most = self.limits.waiting_commands;
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return };
        let full = open.ops.len() >= most;
        match open.begun(run_id) {
            Some(Begun { ends: true, .. }) => match open.waiting_for_end(run_id) {
                Some(waiting) if waiting.len() < most => return waiting.push(by),
                Some(_) | None => {}
            },
            Some(Begun { held: Some(_), run, .. }) if run.cancel_kept => {
                return self.answer_cancels(run_id, RunStatus::Running, vec![by]);
            }
            Some(Begun { held: Some(_), .. }) if !full => {
                return self.push(thread_id, Op::Cancel { run_id, by });
            }
            // Until it is ours another writer may claim it without knowing, or what that writer has on its
            // way may still end it: the answer is its end here.
            Some(Begun { held: None, run, .. }) if run.cancelled_by.len() < most => {
                return run.cancelled_by.push(by);
            }
            Some(_) | None => {}
        }
        let error = ErrorFrame::new(ErrorCode::Overloaded, "too many commands wait");
        self.refuse(by.0, &by.1, error);
    }

    /// What was asked to end goes on to its end: whoever asked hears it now, or at the end if that is
    /// on its way already.
    pub(super) fn cancel_written(
        &mut self,
        thread_id: ThreadId,
        run_id: RunId,
        by: Vec<(ConnectionId, Reply)>,
    ) {
        if let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id)
            && matches!(open.begun(run_id), Some(Begun { ends: true, .. }))
            && let Some(waiting) = open.waiting_for_end(run_id)
        {
            return waiting.extend(by);
        }
        self.answer_cancels(run_id, RunStatus::Running, by);
    }

    /// Whoever asked for the end of a run hears what became of it.
    pub(super) fn answer_cancels(
        &mut self,
        run_id: RunId,
        status: RunStatus,
        by: Vec<(ConnectionId, Reply)>,
    ) {
        for (connection_id, reply) in by {
            match status {
                RunStatus::Cancelled | RunStatus::Running => {
                    self.cancelled(connection_id, &reply, run_id, status);
                }
                _ => self.refuse(connection_id, &reply, run_over()),
            }
        }
    }

    /// Takes a waiting run back; one at work is not touched.
    pub(super) fn cancel_queued(&mut self, now: Now, run_id: RunId, by: (ConnectionId, Reply)) {
        let working = self.threads.values().any(|thread| {
            matches!(thread, Thread::Open(Open { running: Some(running), .. })
                if running.run.run_id == run_id)
        });
        if working {
            let error = ErrorFrame::new(ErrorCode::ThreadBusy, "the run is already at work");
            return self.refuse(by.0, &by.1, error);
        }
        self.cancel_run(now, run_id, CancelReason::User, Some(by));
    }

    pub(super) fn cancelled(
        &mut self,
        connection_id: ConnectionId,
        reply: &Reply,
        run_id: RunId,
        status: RunStatus,
    ) {
        self.done(connection_id, reply, "cancel_run", &CancelledOut { run_id, status });
    }

    /// A run whose task does not end in time is ended here (F24, RUN-09, RUN-11).
    pub(super) fn supervise(&mut self, now: Now) {
        let mut late = Vec::new();
        for (thread_id, thread) in &self.threads {
            if let Thread::Open(Open { running: Some(running), .. }) = thread
                && running.deadline.is_some_and(|deadline| deadline <= now.mono)
            {
                late.push((*thread_id, running.run.run_id, running.cancel));
            }
        }
        for (thread_id, run_id, cancel) in late {
            match cancel {
                Some(reason) => self.end_cancelled(now, thread_id, run_id, reason),
                None => self.end_run(now, thread_id, run_id, Closing::TimedOut, |duration_ms| {
                    Event::RunTimedOut { agent: None, duration_ms, partial: false }
                }),
            }
        }
    }

    /// Ends the run at work from here, because it was asked for.
    pub(super) fn end_cancelled(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        run_id: RunId,
        reason: CancelReason,
    ) {
        self.end_run(now, thread_id, run_id, Closing::Cancelled, |duration_ms| {
            Event::RunCancelled { reason: String::from(word(reason)), duration_ms }
        });
    }

    /// Ends the run at work from here: closes what is open and appends its terminal event.
    pub(super) fn end_run(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        run_id: RunId,
        how: Closing,
        terminal: impl FnOnce(u64) -> Event,
    ) {
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return };
        let epoch = open.log.epoch();
        let Some(running) = open.running.as_mut().filter(|r| r.run.run_id == run_id) else {
            return;
        };
        running.stage = Stage::Ending;
        running.deadline = None;
        let fence = running.fence;
        let by = core::mem::take(&mut running.run.cancelled_by);
        let duration_ms = now.wall.since(running.started_at).0;
        let mut desk =
            Desk { thread_id, epoch, now: now.wall, synthesized: true, seed: &mut self.seed };
        let drafts = running.grammar.close(how, terminal(duration_ms), &mut desk);
        self.out.push_back(Output::KillRun { run_id });
        self.push(thread_id, Op::Append { run_id, fence, drafts, by });
    }

    /// The task of a run ended. Before its terminal event that is a death: it is continued from the
    /// log under a higher fence, as after a crash of the process.
    pub(super) fn run_stopped(&mut self, now: Now, run_id: RunId, fence: Fence) {
        let Some((thread_id, _)) = self.working(run_id, fence) else { return self.ignore() };
        self.restart_or_end(now, thread_id, run_id);
    }

    fn restart_or_end(&mut self, now: Now, thread_id: ThreadId, run_id: RunId) {
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return };
        let Some(running) = &open.running else { return };
        //= specs/runs.md#run-24
        //# A run whose task dies MUST be continued from the log, and given up after a bounded
        //# number of attempts.
        if running.attempt >= self.limits.run_attempts && running.cancel.is_none() {
            let error = ErrorInfo::new(ErrorCode::AgentFailed, "the run died repeatedly");
            return self.end_run(now, thread_id, run_id, Closing::Failed, |duration_ms| {
                Event::RunFailed {
                    user_message: String::from(error.code.user_message()),
                    error,
                    duration_ms,
                }
            });
        }
        let Some(Running { run, fence, cancel, .. }) = open.running.take() else { return };
        open.queued.push_front(Queued { question: None, claimed: true, cancel, fence, ..run });
        self.out.push_back(Output::KillRun { run_id });
        self.dirty.insert(thread_id);
    }

    /// The run at work under this fence, if its task may speak.
    fn working(&mut self, run_id: RunId, fence: Fence) -> Option<(ThreadId, &mut Running)> {
        let thread_id = self.thread_of_run(run_id)?;
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return None };
        let running = open.running.as_mut()?;
        //= specs/runs.md#run-07
        //# What an older task of a run says MUST be dropped without effect.
        let speaks = running.run.run_id == run_id
            && (running.fence == fence || canary!(DropFence))
            && running.stage == Stage::Working;
        speaks.then_some((thread_id, running))
    }
}
