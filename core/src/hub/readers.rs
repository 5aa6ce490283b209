//! Connections come, resume, follow and go.

use super::state::{Asked, Connection, PageWeight, Resuming, Thread, shared};
use super::{Hub, HubReady, Load, Loaded, Output};
use crate::fault::Fault;
use crate::id::{ConnectionId, EffectId, Seq, ThreadId};
use crate::run::CancelReason;
use crate::thread::{Next, Subscription};
use crate::time::Now;
use crate::wire::{
    ActiveRun, CloseCode, EntryBody, ErrorCode, ErrorFrame, Event, Frame, Head, Level,
    OnDisconnect, Reply, ResumePoint, Resumed, RunStatus, ServerFrame,
};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Hub {
    pub(super) fn attach(
        &mut self,
        connection_id: ConnectionId,
        resume: Vec<ResumePoint>,
        reader: bool,
    ) {
        if self.connections.contains_key(&connection_id) {
            return self.ignore();
        }
        if reader {
            self.make_room();
        }
        let connection = Connection {
            reader,
            attached: false,
            subscriptions: BTreeMap::new(),
            resuming: VecDeque::new(),
            begun: Vec::new(),
            marks: BTreeMap::new(),
            heads_changed: false,
        };
        self.connections.insert(connection_id, connection);
        self.resume(connection_id, None, resume);
    }

    /// Beyond the limit the oldest connection gives way (ids sort by time).
    //= specs/isolation.md#iso-07
    //# Beyond the limit of connections of a user the oldest MUST be closed with 4409.
    fn make_room(&mut self) {
        let readers = self.readers();
        let over = (readers.len() + 1).saturating_sub(self.limits.connections_per_user);
        for connection_id in readers.into_iter().take(over) {
            self.connections.remove(&connection_id);
            self.out.push_back(Output::Close { connection_id, code: CloseCode::Replaced });
        }
    }

    pub(super) fn detach(&mut self, now: Now, connection_id: ConnectionId) {
        let Some(gone) = self.connections.remove(&connection_id) else { return };
        if gone.reader && self.readers().is_empty() {
            self.cancel_for_disconnect(now);
        }
        self.forget_quiet_threads();
    }

    /// The last reader left: runs whose message asked for that are cancelled (RUN-12).
    fn cancel_for_disconnect(&mut self, now: Now) {
        let mut runs = Vec::new();
        for thread in self.threads.values() {
            let Thread::Open(open) = thread else { continue };
            let running = open.running.iter().map(|running| &running.run);
            let asked = running.chain(&open.queued);
            runs.extend(
                //= specs/runs.md#run-12
                //# The loss of a client MUST NOT end a run unless its message asked for that.
                asked.filter(|run| run.on_disconnect == OnDisconnect::Cancel).map(|run| run.run_id),
            );
        }
        for run_id in runs {
            self.cancel_run(now, run_id, CancelReason::Disconnect, None);
        }
    }

    /// Threads nobody follows and in which nothing is under way are read again when needed.
    pub(super) fn forget_quiet_threads(&mut self) {
        let mut followed = BTreeSet::new();
        for connection in self.connections.values() {
            followed.extend(connection.subscriptions.keys().copied());
            // A resume that waits for one thread holds the others it names.
            let waiting = connection.resuming.iter().flat_map(|resuming| &resuming.points);
            followed.extend(waiting.map(|point| point.thread_id));
        }
        self.threads.retain(|id, thread| followed.contains(id) || !thread.is_quiet());
    }

    /// Begins a resume: every thread it names is loaded first.
    pub(super) fn resume(
        &mut self,
        connection_id: ConnectionId,
        reply: Option<Reply>,
        mut points: Vec<ResumePoint>,
    ) {
        let room = self.limits.subscriptions_per_connection.min(points.len());
        let too_many = points.split_off(room);
        let (missing, failed) = (BTreeSet::new(), BTreeMap::new());
        let mut resuming = Resuming { reply, points, too_many, missing, failed };
        self.load_missing(&mut resuming);
        if let Some(connection) = self.connections.get_mut(&connection_id) {
            connection.resuming.push_back(resuming);
        }
        self.finish_resumes(connection_id);
    }

    /// A thread a resume waited for is loaded, or failed to be.
    pub(super) fn resume_thread(&mut self, thread_id: ThreadId, failed: Option<ErrorCode>) {
        let mut touched = Vec::new();
        for (connection_id, connection) in &mut self.connections {
            for resuming in &mut connection.resuming {
                if resuming.missing.remove(&thread_id) {
                    if let Some(code) = failed {
                        resuming.failed.insert(thread_id, code);
                    }
                    touched.push(*connection_id);
                }
            }
        }
        for connection_id in touched {
            self.finish_resumes(connection_id);
        }
    }

    fn finish_resumes(&mut self, connection_id: ConnectionId) {
        while let Some(connection) = self.connections.get_mut(&connection_id) {
            let Some(mut resuming) = connection.resuming.pop_front() else { return };
            if resuming.missing.is_empty() {
                // One that was there may have been given up meanwhile, to be read again.
                self.load_missing(&mut resuming);
            }
            if resuming.missing.is_empty() {
                self.finish_resume(connection_id, resuming);
            } else if let Some(connection) = self.connections.get_mut(&connection_id) {
                return connection.resuming.push_front(resuming);
            }
        }
    }

    /// What a resume is about and is not at hand is read first.
    fn load_missing(&mut self, resuming: &mut Resuming) {
        let is_open = |id: &ThreadId| matches!(self.threads.get(id), Some(Thread::Open(_)));
        let asked = resuming.points.iter().map(|point| point.thread_id);
        resuming.missing =
            asked.filter(|id| !is_open(id) && !resuming.failed.contains_key(id)).collect();
        for thread_id in &resuming.missing {
            self.load_thread(*thread_id);
        }
    }

    fn finish_resume(&mut self, connection_id: ConnectionId, resuming: Resuming) {
        let mut results = Vec::with_capacity(resuming.points.len());
        for point in &resuming.points {
            let result = match resuming.failed.get(&point.thread_id) {
                Some(code) => Err((None, *code)),
                None => self.reachable(point),
            };
            results.push(match result {
                Ok(head) => self.begin_replay(connection_id, point, head),
                Err((head, code)) => not_recovered(point, head, code),
            });
        }
        // What a connection has no room for is said, not left out (DLV-07).
        //= specs/delivery.md#dlv-22
        //# A resume of more threads than a connection may follow MUST say which are left out.
        let too_many = resuming.too_many.iter();
        results.extend(too_many.map(|point| not_recovered(point, None, ErrorCode::Overloaded)));
        match &resuming.reply {
            None => {
                let ready = HubReady { resume: results, active_runs: self.active_runs() };
                self.out.push_back(Output::Attached { connection_id, ready });
                self.follow_begun(connection_id);
            }
            Some(reply) => {
                self.reply(connection_id, reply, &ServerFrame::Resumed { threads: results });
            }
        }
        self.dirty.extend(resuming.points.iter().map(|point| point.thread_id));
    }

    /// It is attached; what began meanwhile is heard from its first entry on, behind that (DLV-21).
    fn follow_begun(&mut self, connection_id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&connection_id) else { return };
        connection.attached = true;
        let mut begun = core::mem::take(&mut connection.begun);
        // What it resumes is replayed.
        begun.retain(|(thread_id, _)| !connection.subscriptions.contains_key(thread_id));
        for (thread_id, before) in begun {
            self.follow(connection_id, thread_id, Subscription::live(before, Level::Full));
            self.dirty.insert(thread_id);
        }
    }

    /// Whether all entries after the point can be replayed (DLV-07).
    //= specs/delivery.md#dlv-07
    //# A resume that cannot be served MUST be answered `recovered:false` with a reason, and MUST
    //# NOT be served in part.
    fn reachable(&self, point: &ResumePoint) -> Result<Seq, (Option<Head>, ErrorCode)> {
        let Some(Thread::Open(open)) = self.threads.get(&point.thread_id) else {
            return Err((None, ErrorCode::ThreadNotFound));
        };
        if !open.stored {
            // Its first batch is on its way, and may have been written already.
            let on_its_way = open.log.is_busy();
            return Err((
                None,
                if on_its_way { ErrorCode::StorageUnavailable } else { ErrorCode::ThreadNotFound },
            ));
        }
        let head = open.log.head();
        let known = Head { thread_id: point.thread_id, seq: head };
        if point.epoch.is_some_and(|epoch| epoch != open.log.epoch()) {
            return Err((Some(known), ErrorCode::EpochMismatch));
        }
        if point.after_seq > head {
            return Err((Some(known), ErrorCode::CursorInvalid));
        }
        if head.0 - point.after_seq.0 > self.limits.replay_entries {
            return Err((Some(known), ErrorCode::ReplayTooLarge));
        }
        Ok(head)
    }

    fn begin_replay(
        &mut self,
        connection_id: ConnectionId,
        point: &ResumePoint,
        head: Seq,
    ) -> Resumed {
        let epoch = match self.threads.get(&point.thread_id) {
            Some(Thread::Open(open)) => Some(open.log.epoch()),
            Some(Thread::Loading(_)) | None => None,
        };
        self.follow(
            connection_id,
            point.thread_id,
            Subscription::replay(
                if canary!(ResumeFromNext) { point.after_seq.next() } else { point.after_seq },
                head,
                Level::Full,
            ),
        );
        Resumed {
            thread_id: point.thread_id,
            recovered: true,
            epoch,
            from_seq: point.after_seq,
            to_seq: head,
            reason: None,
            snapshot_url: None,
        }
    }

    /// Adds or replaces a subscription; beyond the limit the one least far goes.
    pub(super) fn follow(
        &mut self,
        connection_id: ConnectionId,
        thread_id: ThreadId,
        subscription: Subscription,
    ) {
        let limit = self.limits.subscriptions_per_connection;
        let Some(connection) = self.connections.get_mut(&connection_id) else { return };
        if !connection.reader {
            return;
        }
        connection.subscriptions.insert(thread_id, subscription);
        connection.heads_changed = true;
        if connection.subscriptions.len() > limit {
            let oldest = connection.subscriptions.keys().find(|id| **id != thread_id).copied();
            if let Some(oldest) = oldest {
                connection.subscriptions.remove(&oldest);
            }
        }
    }

    pub(super) fn subscribe(
        &mut self,
        connection_id: ConnectionId,
        reply: &Reply,
        thread_id: ThreadId,
        level: Level,
    ) {
        let Some(Thread::Open(open)) = self.threads.get(&thread_id) else { return };
        let (head, epoch) = (open.log.head(), open.log.epoch());
        self.follow(connection_id, thread_id, Subscription::live(head, level));
        let resumed = Resumed {
            thread_id,
            recovered: true,
            epoch: Some(epoch),
            from_seq: head,
            to_seq: head,
            reason: None,
            snapshot_url: None,
        };
        self.reply(connection_id, reply, &ServerFrame::Resumed { threads: alloc::vec![resumed] });
    }

    fn active_runs(&self) -> Vec<ActiveRun> {
        let mut active = Vec::new();
        for (thread_id, thread) in &self.threads {
            let Thread::Open(open) = thread else { continue };
            let running =
                open.running.iter().map(|running| (running.run.run_id, RunStatus::Running));
            let queued = open.queued.iter().map(|queued| (queued.run_id, RunStatus::Queued));
            active.extend(running.chain(queued).map(|(run_id, status)| ActiveRun {
                run_id,
                thread_id: *thread_id,
                status,
            }));
        }
        active
    }

    /// Delivers a committed batch to everybody who is live, each entry encoded into its frame once.
    pub(super) fn publish(
        &mut self,
        now: Now,
        thread_id: ThreadId,
        first: Seq,
        bodies: &[EntryBody],
    ) {
        let mut full: Option<Arc<[Frame]>> = None;
        let mut summary: Option<Arc<[Frame]>> = None;
        let mut deliveries = Vec::new();
        for (connection_id, connection) in &mut self.connections {
            let Some(subscription) = connection.subscriptions.get_mut(&thread_id) else { continue };
            connection.heads_changed = true;
            if !subscription.committed(first, bodies.len() as u64) {
                continue;
            }
            let (cache, keep): (_, fn(&EntryBody) -> bool) = match subscription.level() {
                Level::Full => (&mut full, |_| true),
                Level::Summary => (&mut summary, in_summary),
            };
            let frames = cache.get_or_insert_with(|| {
                let placed = bodies.iter().enumerate().filter(|(_, body)| keep(body));
                shared(placed.map(|(i, body)| body.frame(first.plus(i as u64), false)).collect())
            });
            #[cfg(feature = "canary")]
            let frames = &crate::canary::with_the_neighbours(&self.scope, frames);
            deliveries.push((*connection_id, frames.clone()));
        }
        for (connection_id, frames) in deliveries {
            self.deliver(connection_id, frames, false);
        }
        if self.heads_at.is_none() && self.connections.values().any(|c| c.heads_changed) {
            self.heads_at = Some(now.mono.after(self.limits.heartbeat_interval));
        }
    }

    pub(super) fn tell_heads(&mut self) {
        for (connection_id, connection) in &mut self.connections {
            if !core::mem::take(&mut connection.heads_changed) {
                continue;
            }
            let followed = connection.subscriptions.keys();
            let heads = followed
                .filter_map(|thread_id| match self.threads.get(thread_id) {
                    Some(Thread::Open(open)) => {
                        Some(Head { thread_id: *thread_id, seq: open.log.head() })
                    }
                    Some(Thread::Loading(_)) | None => None,
                })
                .collect();
            self.out.push_back(Output::Heads { connection_id: *connection_id, heads });
        }
    }

    /// Lets every subscription of the thread that is behind take its next step.
    //= specs/delivery.md#dlv-05
    //# Every entry MUST in the end reach a reader that stays connected or keeps resuming.
    pub(super) fn read_on(&mut self, now: Now, thread_id: ThreadId) {
        let Some(Thread::Open(open)) = self.threads.get(&thread_id) else { return };
        let head = open.log.head();
        let connections: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for connection_id in connections {
            self.read_on_for(now, connection_id, thread_id, head);
        }
    }

    fn read_on_for(
        &mut self,
        now: Now,
        connection_id: ConnectionId,
        thread_id: ThreadId,
        head: Seq,
    ) {
        if self.reload_at.is_some_and(|at| at > now.mono) {
            return;
        }
        loop {
            let page = self.limits.load_page;
            let Some(connection) = self.connections.get_mut(&connection_id) else { return };
            let Some(subscription) = connection.subscriptions.get_mut(&thread_id) else { return };
            match subscription.next(thread_id, head, page) {
                Next::Nothing => return,
                Next::ReplayComplete(to_seq) => {
                    let complete = ServerFrame::ReplayComplete { thread_id, to_seq };
                    self.reply(connection_id, &Reply::None, &complete);
                }
                Next::Load(load) => {
                    let unread = connection.unread();
                    if unread.is_full(PageWeight::most(&self.limits)) {
                        // The mark of what is unread wakes it.
                        return;
                    }
                    let effect = self.load(Asked::Page { connection_id, thread_id }, load);
                    if let Some(connection) = self.connections.get_mut(&connection_id)
                        && let Some(subscription) = connection.subscriptions.get_mut(&thread_id)
                    {
                        subscription.asked(effect);
                    }
                    return;
                }
            }
        }
    }

    pub(super) fn page_loaded(
        &mut self,
        now: Now,
        effect: EffectId,
        connection_id: ConnectionId,
        thread_id: ThreadId,
        result: Result<Loaded, Fault>,
    ) {
        let mark = self.next_mark;
        let most = PageWeight::most(&self.limits);
        let Some(connection) = self.connections.get_mut(&connection_id) else { return };
        let unread = connection.unread();
        let Some(subscription) = connection.subscriptions.get_mut(&thread_id) else { return };
        match result {
            Ok(Loaded::Entries(entries)) if !entries.is_empty() => {
                // DLV-05: a reader of more than fits gets there, too.
                let (fitting, weight) = fitting(&entries, unread, most);
                if fitting == 0 {
                    // Pages of other threads fill its part of the outbox; a mark of them wakes this one.
                    subscription.page_failed(effect);
                    return;
                }
                let entries = &entries[..fitting];
                let Some(frames) = subscription.page(effect, mark, entries, in_summary) else {
                    return self.ignore();
                };
                self.next_mark += 1;
                connection.marks.insert(mark, (thread_id, weight));
                self.deliver(connection_id, shared(frames), false);
                self.out.push_back(Output::Mark { connection_id, mark });
            }
            // Entries the head promises are not there: the thread was deleted under its reader.
            Ok(_) => {
                connection.subscriptions.remove(&thread_id);
                let error = ErrorFrame::new(
                    ErrorCode::ThreadNotFound,
                    format!("thread {thread_id} can no longer be read"),
                );
                self.refuse(connection_id, &Reply::None, error);
            }
            Err(_) => {
                if subscription.page_failed(effect) {
                    self.reload_at = Some(now.mono.after(self.limits.store_retry_max));
                }
            }
        }
    }

    pub(super) fn marked(&mut self, connection_id: ConnectionId, mark: u64) {
        let Some(connection) = self.connections.get_mut(&connection_id) else { return };
        let Some((thread_id, _)) = connection.marks.remove(&mark) else { return };
        if let Some(subscription) = connection.subscriptions.get_mut(&thread_id) {
            subscription.read(mark);
        }
        // There is room for the next page of any thread.
        let behind = connection.subscriptions.iter().filter(|(_, one)| !one.is_live());
        self.dirty.extend(behind.map(|(thread_id, _)| *thread_id));
    }

    pub(super) fn load_thread(&mut self, thread_id: ThreadId) {
        if let alloc::collections::btree_map::Entry::Vacant(vacant) = self.threads.entry(thread_id)
        {
            vacant.insert(Thread::Loading(super::state::Loading::default()));
            self.load(Asked::Thread(thread_id), Load::Thread { thread_id });
        }
    }
}

/// How many of the entries of a page fit beside what is unread, and what they weigh; one always fits
/// when nothing is unread.
fn fitting(
    entries: &[(Seq, EntryBody)],
    unread: PageWeight,
    most: PageWeight,
) -> (usize, PageWeight) {
    let (mut count, mut weight) = (0, PageWeight::default());
    for (_, body) in entries {
        let with_it = weight.plus(PageWeight { frames: 1, bytes: body.bytes().len() });
        let is_first = count == 0 && unread.is_nothing();
        if !is_first && !unread.plus(with_it).fits(most) {
            break;
        }
        (count, weight) = (count + 1, with_it);
    }
    (count, weight)
}

/// Whether a `summary` subscription carries a stored entry; see [`Event::in_summary`].
fn in_summary(body: &EntryBody) -> bool {
    Event::name_in_summary(body.type_name())
}

fn not_recovered(point: &ResumePoint, head: Option<Head>, code: ErrorCode) -> Resumed {
    Resumed {
        thread_id: point.thread_id,
        recovered: false,
        epoch: None,
        from_seq: point.after_seq,
        to_seq: head.map_or(point.after_seq, |head| head.seq),
        reason: Some(code),
        snapshot_url: head.map(|head| format!("/api/threads/{}/log", head.thread_id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EventId;
    use crate::limits::Limits;
    use crate::time::Wall;
    use crate::wire::Draft;

    fn entries(count: u64) -> Vec<(Seq, EntryBody)> {
        let body = |n| {
            let draft = Draft {
                id: EventId(u128::from(n)),
                thread_id: ThreadId(1),
                epoch: crate::id::Epoch(1),
                ts: Wall(1),
                scope: None,
                synthesized: false,
                event: Event::ThreadUpdated { title: "as long as any other".into() },
            };
            (Seq(n), draft.encode())
        };
        (1..=count).map(body).collect()
    }

    // DLV-05; the histories of the simulator are cited for it.
    #[test]
    fn pages_of_many_threads_together_leave_half_of_an_outbox_free() {
        let page = entries(10);
        let one = page[0].1.bytes().len();
        let nothing = PageWeight::default();
        let frames = |frames| PageWeight { frames, bytes: usize::MAX / 4 };
        assert_eq!(fitting(&page, nothing, frames(100)).0, 10);
        assert_eq!(fitting(&page, nothing, frames(4)).0, 4);
        let bytes = PageWeight { frames: 100, bytes: 3 * one };
        assert_eq!(fitting(&page, nothing, bytes).1, PageWeight { frames: 3, bytes: 3 * one });
        let unread = PageWeight { frames: 3, bytes: 3 * one };
        assert_eq!(fitting(&page, unread, frames(4)).0, 1);
        assert_eq!(fitting(&page, unread, frames(3)).0, 0);
        assert!(unread.is_full(frames(3)) && !unread.is_full(frames(4)));
        // An entry larger than the outbox is sent alone: nothing else would ever end the waiting.
        assert_eq!(fitting(&page, nothing, PageWeight { frames: 1, bytes: 1 }).0, 1);
        assert!(!nothing.is_full(nothing));
    }

    #[test]
    fn replays_have_one_half_of_an_outbox() {
        let limits = Limits { outbox_frames: 10, outbox_bytes: 100, ..Limits::default() };
        assert_eq!(PageWeight::most(&limits), PageWeight { frames: 5, bytes: 50 });
    }

    #[test]
    fn a_summary_has_the_conversation_and_not_the_work() {
        let stored =
            |text: &'static str| EntryBody::from_stored(bytes::Bytes::from_static(text.as_bytes()));
        assert!(in_summary(&entries(1)[0].1));
        assert!(in_summary(&stored(r#"{"type":"run_completed"}"#)));
        assert!(!in_summary(&stored(r#"{"type":"tool_executing"}"#)));
    }
}
