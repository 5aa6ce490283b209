use super::{Change, Known, KnownThread, RunState, Verdict, decide};
use crate::auth::Scope;
use crate::fault::Fault;
use crate::hub::{
    Batch, Committed, FirstOutcome, NewAnswer, NewMessage, NewThread, RunCancel, RunChange,
};
use crate::id::{ClientMsgId, Epoch, EventId, Fence, MessageId, RunId, Seq, ThreadId, UserId};
use crate::run::CancelReason;
use crate::time::Wall;
use crate::wire::{EntryBody, OnDisconnect, RunStatus};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use alloc::{format, vec};

const THREAD: ThreadId = ThreadId(1);
const OTHER: ThreadId = ThreadId(2);
const RUN: RunId = RunId(5);
const EPOCH: Epoch = Epoch(7);

/// What ada's store knows.
struct World {
    ada: UserId,
    threads: BTreeMap<ThreadId, Seq>,
    batches: BTreeMap<(ThreadId, EventId), Seq>,
    first: Option<(ClientMsgId, u64, FirstOutcome)>,
    runs: BTreeMap<RunId, (ThreadId, RunState)>,
    message: Option<MessageId>,
}

impl World {
    /// One thread with three entries and one run at work under fence 2.
    fn new() -> Self {
        let at_work = RunState {
            status: RunStatus::Running,
            fence: Fence(2),
            started_at: Some(Wall(10)),
            ..RunState::NEW
        };
        Self {
            ada: user("ada"),
            threads: BTreeMap::from([(THREAD, Seq(3))]),
            batches: BTreeMap::from([((THREAD, EventId(1)), Seq(2))]),
            first: None,
            runs: BTreeMap::from([(RUN, (THREAD, at_work))]),
            message: None,
        }
    }

    fn at_work(&mut self) -> &mut RunState {
        &mut self.runs.get_mut(&RUN).unwrap().1
    }
}

impl Known for World {
    fn thread(&self, thread_id: ThreadId) -> Option<KnownThread<'_>> {
        let head = *self.threads.get(&thread_id)?;
        Some(KnownThread { owner: &self.ada, epoch: EPOCH, head })
    }

    fn batch(&self, thread_id: ThreadId, id: EventId) -> Option<Seq> {
        self.batches.get(&(thread_id, id)).copied()
    }

    fn first(&self, user_id: &UserId, id: &ClientMsgId) -> Option<(u64, FirstOutcome)> {
        let (known, digest, outcome) = self.first.as_ref()?;
        (*user_id == self.ada && known == id).then(|| (*digest, outcome.clone()))
    }

    fn run(&self, run_id: RunId) -> Option<(ThreadId, RunState)> {
        self.runs.get(&run_id).copied()
    }

    fn running(&self, thread_id: ThreadId) -> Option<RunId> {
        let at_work = |(_, (of, run)): &(_, &(ThreadId, RunState))| {
            *of == thread_id && run.status == RunStatus::Running
        };
        self.runs.iter().find(at_work).map(|(run_id, _)| *run_id)
    }

    fn has_message(&self, message_id: MessageId) -> bool {
        self.message == Some(message_id)
    }
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// A batch with this many entries.
fn batch(entries: u64) -> Batch {
    let entries = (0..entries).map(|_| EntryBody::from_stored("{}".into())).collect();
    Batch::of(EventId(9), Scope::of(user("ada")), (THREAD, EPOCH), Wall(100), entries)
}

fn message(run_id: u128) -> NewMessage {
    NewMessage {
        message_id: MessageId(run_id),
        client_msg_id: ClientMsgId::new("m1").unwrap(),
        digest: 77,
        entry: 1,
        run_id: RunId(run_id),
        on_disconnect: OnDisconnect::Continue,
    }
}

fn change(run_id: RunId, fence: u64, status: RunStatus) -> RunChange {
    RunChange { run_id, fence: Fence(fence), status }
}

fn cancel(fence: u64) -> RunCancel {
    RunCancel { run_id: RUN, fence: Fence(fence), reason: CancelReason::User }
}

fn written(batch: &Batch, world: &World) -> Change {
    match decide(batch, world) {
        Ok(Verdict::Write(change)) => change,
        other => panic!("{other:?}"),
    }
}

fn answer(batch: &Batch, world: &World) -> Committed {
    match decide(batch, world) {
        Ok(Verdict::Answer(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

fn is_refused(batch: &Batch, world: &World) -> bool {
    decide(batch, world) == Err(Fault::Refused)
}

#[test]
fn entries_stand_behind_the_last_one() {
    let world = World::new();
    let change = written(&batch(2), &world);
    assert_eq!((change.first_seq, change.seq_of(0), change.seq_of(1)), (Seq(4), Seq(4), Seq(5)));
    assert_eq!(change.committed(), Committed::Done { first_seq: Seq(4) });
    assert!(change.runs.is_empty());
}

#[test]
fn a_batch_says_something_and_points_at_what_it_has() {
    let mut world = World::new();
    assert!(is_refused(&batch(0), &world));
    let wish = Batch { cancels: vec![cancel(2)], ..batch(0) };
    assert_eq!(written(&wish, &world).runs[&RUN].cancel, Some(CancelReason::User));
    let new = Some(NewThread { title: "t".into() });
    assert!(is_refused(&Batch { new_thread: new, thread_id: OTHER, ..wish }, &world));
    *world.at_work() = RunState { status: RunStatus::Completed, ..*world.at_work() };
    for (entries, fits) in [(1, false), (2, true)] {
        let asks = Batch { message: Some(message(8)), ..batch(entries) };
        assert_eq!(decide(&asks, &world).is_ok(), fits, "{entries}");
        let answer = NewAnswer { message_id: MessageId(3), run_id: RUN, entry: 1 };
        let answers = Batch { answers: vec![answer], ..batch(entries) };
        assert_eq!(decide(&answers, &world).is_ok(), fits, "{entries}");
    }
}

#[test]
fn a_thread_is_there_for_its_user_and_its_epoch_and_is_made_once() {
    let world = World::new();
    let unknown = Batch { thread_id: OTHER, ..batch(1) };
    assert_eq!(answer(&unknown, &world), Committed::NoThread);
    let strange = Batch { scope: Scope::of(user("eve")), ..batch(1) };
    assert_eq!(answer(&strange, &world), Committed::NoThread);
    let made = Batch { new_thread: Some(NewThread { title: "t".into() }), ..unknown };
    assert_eq!(written(&made, &world).first_seq, Seq(1));
    assert!(is_refused(&Batch { thread_id: THREAD, ..made }, &world), "it exists");
    assert!(is_refused(&Batch { epoch: Epoch(8), ..batch(1) }, &world));
}

#[test]
fn a_batch_that_was_written_is_answered_as_then() {
    let world = World::new();
    let again = Batch { id: EventId(1), expected_head: Some(Seq(1)), epoch: Epoch(8), ..batch(1) };
    assert_eq!(answer(&again, &world), Committed::Done { first_seq: Seq(2) });
}

#[test]
fn a_name_of_a_message_stands_for_its_first_content() {
    let mut world = World::new();
    let outcome = FirstOutcome {
        message_id: MessageId(3),
        thread_id: OTHER,
        seq: Seq(2),
        run_id: RUN,
        run_status: RunStatus::Running,
    };
    world.first = Some((ClientMsgId::new("m1").unwrap(), 77, outcome.clone()));
    let asks = Batch { message: Some(message(8)), expected_head: Some(Seq(9)), ..batch(2) };
    assert_eq!(answer(&asks, &world), Committed::Duplicate(outcome));
    let other = NewMessage { digest: 78, ..message(8) };
    assert_eq!(answer(&Batch { message: Some(other), ..batch(2) }, &world), Committed::Conflict);
    let named = NewMessage { client_msg_id: ClientMsgId::new("m2").unwrap(), ..message(8) };
    assert!(matches!(
        decide(&Batch { message: Some(named), ..batch(2) }, &world),
        Ok(Verdict::Write(_))
    ));
}

#[test]
fn who_expects_another_head_learns_the_one_there_is() {
    let world = World::new();
    let at = |head| Batch { expected_head: Some(Seq(head)), ..batch(1) };
    assert_eq!(answer(&at(2), &world), Committed::HeadMoved { head: Seq(3) });
    assert_eq!(written(&at(3), &world).first_seq, Seq(4));
}

#[test]
fn a_batch_names_runs_of_its_own_thread() {
    let mut world = World::new();
    let names: [fn(&mut Batch); 3] = [
        |batch| batch.runs.push(change(RUN, 2, RunStatus::Running)),
        |batch| batch.cancels.push(cancel(2)),
        |batch| {
            let answer = NewAnswer { message_id: MessageId(3), run_id: RUN, entry: 0 };
            batch.answers.push(answer);
        },
    ];
    for name in names {
        let mut named = batch(1);
        name(&mut named);
        assert!(written(&named, &world).runs.contains_key(&RUN));
    }
    world.runs.get_mut(&RUN).unwrap().0 = OTHER;
    for name in names {
        let mut named = batch(1);
        name(&mut named);
        assert!(is_refused(&named, &world));
    }
    world.runs.clear();
    for name in names {
        let mut named = batch(1);
        name(&mut named);
        assert!(is_refused(&named, &world));
    }
}

#[test]
fn a_lower_fence_is_fenced_and_a_higher_one_raises_it() {
    let world = World::new();
    let at = |fence, status| Batch { runs: vec![change(RUN, fence, status)], ..batch(1) };
    assert_eq!(answer(&at(1, RunStatus::Completed), &world), Committed::Fenced);
    for fence in [2, 3] {
        let run = written(&at(fence, RunStatus::Running), &world).runs[&RUN];
        assert_eq!((run.fence, run.started_at, run.ended_at), (Fence(fence), Some(Wall(10)), None));
    }
    let run = written(&at(2, RunStatus::Completed), &world).runs[&RUN];
    assert_eq!((run.status, run.ended_at), (RunStatus::Completed, Some(Wall(100))));
}

#[test]
fn an_ended_run_is_written_to_by_nobody() {
    let mut world = World::new();
    world.at_work().status = RunStatus::Failed;
    let runs = vec![change(RUN, 9, RunStatus::Running)];
    assert_eq!(answer(&Batch { runs, ..batch(1) }, &world), Committed::Fenced);
    assert_eq!(answer(&Batch { cancels: vec![cancel(9)], ..batch(1) }, &world), Committed::Fenced);
}

#[test]
fn the_first_wish_that_a_run_ends_counts_and_whoever_claims_it_has_to_know() {
    let mut world = World::new();
    let wish = |fence, reason| Batch {
        cancels: vec![RunCancel { run_id: RUN, fence: Fence(fence), reason }],
        ..batch(1)
    };
    assert_eq!(answer(&wish(1, CancelReason::User), &world), Committed::Fenced);
    let kept = written(&wish(3, CancelReason::User), &world).runs[&RUN];
    assert_eq!((kept.cancel, kept.fence), (Some(CancelReason::User), Fence(2)), "not raised");
    *world.at_work() = kept;
    let later = written(&wish(2, CancelReason::Interrupt), &world).runs[&RUN];
    assert_eq!(later.cancel, Some(CancelReason::User));
    let at = |fence, status| Batch { runs: vec![change(RUN, fence, status)], ..batch(1) };
    assert_eq!(answer(&at(3, RunStatus::Running), &world), Committed::Fenced);
    for (fence, status) in [(3, RunStatus::Cancelled), (2, RunStatus::Running)] {
        assert_eq!(written(&at(fence, status), &world).runs[&RUN].status, status);
    }
}

#[test]
fn a_thread_has_one_run_at_work() {
    let mut world = World::new();
    let starts = |also: Vec<RunChange>| {
        let runs = [also, vec![change(RunId(8), 1, RunStatus::Running)]].concat();
        Batch { message: Some(message(8)), runs, ..batch(2) }
    };
    assert!(is_refused(&starts(Vec::new()), &world));
    assert!(is_refused(&starts(vec![change(RUN, 2, RunStatus::Running)]), &world));
    let replaced = written(&starts(vec![change(RUN, 2, RunStatus::Cancelled)]), &world);
    assert_eq!(replaced.runs[&RunId(8)].started_at, Some(Wall(100)));
    let waits = written(&Batch { message: Some(message(8)), ..batch(2) }, &world);
    assert_eq!(waits.runs[&RunId(8)], RunState::NEW);
    world.at_work().status = RunStatus::Queued;
    assert_eq!(written(&starts(Vec::new()), &world).runs[&RunId(8)].fence, Fence(1));
}

#[test]
fn ids_are_taken_once() {
    let mut world = World::new();
    let asks = |run_id| Batch { message: Some(message(run_id)), ..batch(2) };
    assert!(is_refused(&asks(5), &world), "the run is there");
    let said = |message_id| NewAnswer { message_id: MessageId(message_id), run_id: RUN, entry: 0 };
    let twice = Batch { answers: vec![said(8)], ..asks(8) };
    assert!(is_refused(&twice, &world), "{}", format!("{twice:?}"));
    assert!(is_refused(&Batch { answers: vec![said(3), said(4), said(3)], ..batch(1) }, &world));
    written(&Batch { answers: vec![said(3), said(4)], ..asks(8) }, &world);
    world.message = Some(MessageId(4));
    assert!(is_refused(&Batch { answers: vec![said(3), said(4)], ..asks(8) }, &world));
    world.message = Some(MessageId(8));
    assert!(is_refused(&asks(8), &world));
}
