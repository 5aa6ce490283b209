//! Going on after a crash: what the store knows of a run is read, claimed with a higher fence, and
//! continued from the log (F46).

use super::state::{Asked, Op, Open, Queued, Stage, Thread};
use super::{Hub, Load, Loaded, Output, StoredRun, StoredThread};
use crate::fault::Fault;
use crate::id::{RunId, Seq, ThreadId};
use crate::run::Closing;
use crate::thread::Log;
use crate::time::Now;
use crate::wire::{CloseCode, Entry, EntryBody, Event, RunStatus};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

impl Hub {
    /// Runs of this user were left behind; their threads say more. A thread that is open and does not
    /// know one of them was written to by somebody else (a write that landed late): it is read again.
    pub(super) fn recover(&mut self, runs: Vec<StoredRun>) {
        let mut threads: BTreeSet<ThreadId> = BTreeSet::new();
        for run in &runs {
            let unknown = match self.threads.get(&run.thread_id) {
                Some(thread @ Thread::Open(open)) => {
                    !open.log.is_busy() && !thread.holds_run(run.run_id)
                }
                Some(Thread::Loading(_)) | None => false,
            };
            if unknown {
                self.heal(run.thread_id);
            }
            threads.insert(run.thread_id);
        }
        for thread_id in threads {
            self.need_thread(thread_id);
        }
    }

    /// Another writer has claimed a run that was ours, so its user is served elsewhere now: whoever is
    /// connected here would hear half of it, and taking the run back would cut it off there.
    //= specs/delivery.md#dlv-26
    //# A hub whose run was taken over by another writer MUST close its connections with 1012 and MUST
    //# be dropped.
    pub(super) fn fence_off(&mut self) {
        let code = CloseCode::Restarting;
        for connection_id in core::mem::take(&mut self.connections).into_keys() {
            self.out.push_back(Output::Close { connection_id, code });
        }
        for thread in core::mem::take(&mut self.threads).into_values() {
            if let Thread::Open(Open { running: Some(running), .. }) = thread {
                self.out.push_back(Output::KillRun { run_id: running.run.run_id });
            }
        }
        self.asked.clear();
        self.waiting_threads.clear();
        self.dirty.clear();
        (self.reload_at, self.heads_at) = (None, None);
        self.fenced_off = true;
        self.out.push_back(Output::FencedOff);
    }

    /// A thread as the store has it: runs that were at work go on first, then those that waited.
    pub(super) fn open_stored(&mut self, thread_id: ThreadId, stored: StoredThread) {
        let mut open = Open::new(Log::new(stored.epoch, stored.head), stored.title, true);
        let (working, waiting): (Vec<_>, Vec<_>) =
            stored.runs.into_iter().partition(|run| run.status == RunStatus::Running);
        open.queued = working.into_iter().chain(waiting).map(queued).collect();
        self.threads.insert(thread_id, Thread::Open(open));
    }

    /// Reads what the log has of the run at work, from its message on.
    pub(super) fn read_history(&mut self, thread_id: ThreadId) {
        let Some(Thread::Open(open)) = self.threads.get(&thread_id) else { return };
        let Some(running) = &open.running else { return };
        let (run_id, message_seq) = (running.run.run_id, running.run.message_seq);
        self.read_history_after(thread_id, run_id, Seq(message_seq.0.saturating_sub(1)));
    }

    pub(super) fn history_loaded(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        run_id: RunId,
        result: Result<Loaded, Fault>,
    ) {
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else {
            return self.ignore();
        };
        let head = open.log.head();
        let reading = open
            .running
            .as_mut()
            .filter(|running| running.run.run_id == run_id && running.stage == Stage::Reading);
        let Some(running) = reading else { return self.ignore() };
        match result {
            Ok(Loaded::Entries(page)) => {
                let read_to = page.last().map_or(head, |(seq, _)| *seq);
                running.history.extend(page.iter().filter_map(|(seq, body)| decode(*seq, body)));
                if read_to < head {
                    self.read_history_after(thread_id, run_id, read_to);
                } else {
                    self.take_over(now, thread_id);
                }
            }
            Ok(_) => self.heal(thread_id),
            Err(_) => self.reload_at = Some(now.mono.after(self.limits.store_retry_max)),
        }
    }

    fn read_history_after(&mut self, thread_id: ThreadId, run_id: RunId, after_seq: Seq) {
        let Some(Thread::Open(open)) = self.threads.get(&thread_id) else { return };
        let (to_seq, limit) = (open.log.head(), self.limits.load_page);
        let load = Load::Entries { thread_id, after_seq, to_seq, limit };
        self.load(Asked::History { thread_id, run_id }, load);
    }

    /// Reads of histories that failed begin again.
    pub(super) fn reload_histories(&mut self) {
        let under_way: BTreeSet<ThreadId> = self
            .asked
            .values()
            .filter_map(|asked| match asked {
                Asked::History { thread_id, .. } => Some(*thread_id),
                _ => None,
            })
            .collect();
        let mut stalled = Vec::new();
        for (thread_id, thread) in &mut self.threads {
            if let Thread::Open(Open { running: Some(running), .. }) = thread
                && running.stage == Stage::Reading
                && !under_way.contains(thread_id)
            {
                running.history.clear();
                stalled.push(*thread_id);
            }
        }
        for thread_id in stalled {
            self.read_history(thread_id);
        }
    }

    /// All of the run's log is read: it is claimed, or ended when it died too often.
    fn take_over(&mut self, now: Now, thread_id: ThreadId) {
        let Some(Thread::Open(open)) = self.threads.get_mut(&thread_id) else { return };
        let Some(running) = &mut open.running else { return };
        let run_id = running.run.run_id;
        let history = core::mem::take(&mut running.history);
        let mut claims = 0;
        let mut sound = true;
        for entry in history.into_iter().filter(|entry| entry.run_id == Some(run_id)) {
            match &entry.event {
                Event::UserMessage { content, .. } => {
                    running.run.question = Some(content.clone());
                }
                Event::RunQueued { .. } => {}
                Event::RunStarted { .. } => {
                    if claims == 0 {
                        running.started_at = entry.ts;
                    }
                    claims += 1;
                }
                _ => {
                    sound &= running.grammar.observe_entry(&entry).is_ok();
                    running.history.push(entry);
                }
            }
        }
        running.attempt = claims + 1;
        running.stage = Stage::Claiming;
        if let Some(reason) = running.cancel {
            return self.end_cancelled(now, thread_id, run_id, reason);
        }
        let given_up = if sound {
            (running.attempt > self.limits.run_attempts)
                .then_some("the server stopped repeatedly during this run")
        } else {
            Some("the log of this run cannot be continued")
        };
        if let Some(reason) = given_up {
            return self.end_run(now, thread_id, run_id, Closing::Interrupted, |_| {
                Event::RunInterrupted { reason: String::from(reason), retryable: true }
            });
        }
        open.ops.push_front(Op::Claim);
        self.dirty.insert(thread_id);
    }
}

fn queued(run: StoredRun) -> Queued {
    Queued {
        run_id: run.run_id,
        message_id: run.message_id,
        message_seq: run.message_seq,
        on_disconnect: run.on_disconnect,
        fence: run.fence,
        question: None,
        claimed: run.status == RunStatus::Running,
        cancel: run.cancel,
        cancel_kept: run.cancel.is_some(),
        cancelled_by: Vec::new(),
    }
}

/// A stored entry at its place. An entry of a type this version does not know is left out.
fn decode(seq: Seq, body: &EntryBody) -> Option<Entry> {
    let entry = Entry::decode(body.bytes()).ok()?;
    Some(Entry { seq, ..entry })
}
