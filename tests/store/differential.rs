//! Random histories on memory and on SQLite: every answer and every view is the same.

use crate::batches::{client, entry, metadata, thought, user};
use crate::world::World;
use futures_util::future::join_all;
use goldenpath_core::auth::Scope;
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{
    Batch, Load, NewAnswer, NewMessage, NewThread, Record, RunCancel, RunChange,
};
use goldenpath_core::id::{Epoch, EventId, Fence, MessageId, RunId, Seq, ThreadId};
use goldenpath_core::run::CancelReason;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{Event, Feedback, OnDisconnect, RunStatus};
use goldenpath_runtime::ports::MessageRange;
use goldenpath_sqlx::{Chaos, Lost};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;

/// One step of a history. Ids come from small pools, so that they meet.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a handful at a time")]
enum Step {
    /// Batches that wait together.
    Commit(Vec<Batch>),
    /// A batch whose commit goes wrong at first.
    Fail(Batch, Lost),
    Record(Scope, Record),
    Restart,
}

fn users() -> impl Strategy<Value = Scope> {
    prop_oneof![4 => Just(user("ada")), 1 => Just(user("bob"))]
}

fn threads() -> impl Strategy<Value = ThreadId> {
    (1..4u128).prop_map(ThreadId)
}

fn statuses() -> impl Strategy<Value = RunStatus> {
    select(vec![
        RunStatus::Queued,
        RunStatus::Running,
        RunStatus::Running,
        RunStatus::Running,
        RunStatus::Completed,
        RunStatus::Cancelled,
    ])
}

fn changes() -> impl Strategy<Value = RunChange> {
    (1..7u128, 0..4u64, statuses()).prop_map(|(run, fence, status)| RunChange {
        run_id: RunId(run),
        fence: Fence(fence),
        status,
    })
}

fn cancels() -> impl Strategy<Value = RunCancel> {
    let reasons = select(vec![CancelReason::User, CancelReason::Interrupt]);
    (1..7u128, 0..4u64, reasons).prop_map(|(run, fence, reason)| RunCancel {
        run_id: RunId(run),
        fence: Fence(fence),
        reason,
    })
}

/// The size of a batch, whether it opens its thread, its message (client, digest, run), its answer
/// (message, run).
type Content = (u128, bool, Option<(u8, u64, u128)>, Option<(u128, u128)>);

fn batches() -> impl Strategy<Value = Batch> {
    let content = (
        prop_oneof![1 => Just(0), 20 => 1..4u128],
        any::<bool>(),
        weighted(0.4, (0..6u8, prop_oneof![6 => Just(1u64), 1 => Just(2u64)], 1..7u128)),
        weighted(0.2, (1..5u128, 1..7u128)),
    );
    let kept = weighted(0.2, select(vec!["{}", "{\"a\":1}"]));
    let head = (weighted(0.1, 0..9u64), of(Just("Renamed")), kept, 0..50u64);
    let runs = (vec(changes(), 0..3), vec(cancels(), 0..2));
    let epoch = prop_oneof![20 => Just(7u32), 1 => Just(8u32)];
    (1..24u128, users(), threads(), content, runs, head, epoch).prop_map(
        |(id, scope, thread_id, content, (runs, cancels), (expected, title, kept, at), epoch)| {
            let (new_thread, entries, message, answers) = parts(id, thread_id, content);
            Batch {
                id: EventId(id),
                scope,
                thread_id,
                epoch: Epoch(epoch),
                at: Wall(at),
                new_thread,
                title: title.map(str::to_owned),
                metadata: kept.map(metadata),
                expected_head: expected.map(Seq),
                entries,
                message,
                answers,
                runs,
                cancels,
            }
        },
    )
}

type Parts =
    (Option<NewThread>, Vec<goldenpath_core::wire::EntryBody>, Option<NewMessage>, Vec<NewAnswer>);

fn parts(id: u128, thread_id: ThreadId, (size, opens, message, answer): Content) -> Parts {
    let mut entries: Vec<_> =
        (0..size).map(|n| entry(id * 10, thread_id, n, thought("hm"))).collect();
    let message = message.map(|(name, digest, run)| NewMessage {
        message_id: MessageId(run * 100 + u128::from(name % 3)),
        client_msg_id: client(&name.to_string()),
        digest,
        entry: 0,
        run_id: RunId(run),
        on_disconnect: OnDisconnect::Continue,
    });
    if let (Some(message), Some(first)) = (&message, entries.first_mut()) {
        let said = Event::UserMessage {
            message_id: message.message_id,
            client_msg_id: message.client_msg_id.clone(),
            content: format!("said in {id}"),
            metadata: None,
        };
        *first = entry(id * 10, thread_id, 0, said);
    }
    let answers: Vec<_> = answer
        .map(|(n, run)| NewAnswer { message_id: MessageId(n), run_id: RunId(run), entry: 1 })
        .into_iter()
        .collect();
    if let (Some(answer), Some(second)) = (answers.first(), entries.get_mut(1)) {
        let message_id = answer.message_id;
        let said = Event::AssistantMessage { message_id, content: "so".into(), partial: false };
        *second = entry(id * 10, thread_id, 1, said);
    }
    (opens.then(|| NewThread { title: "New".into() }), entries, message, answers)
}

fn records() -> impl Strategy<Value = Record> {
    let feedback = |(message, rating, at): (u128, u8, u64)| Record::Feedback {
        feedback: Feedback { message_id: MessageId(message), rating, comment: None },
        at: Wall(at),
    };
    prop_oneof![
        1 => threads().prop_map(|thread_id| Record::DeleteThread { thread_id }),
        3 => (1..5u128, 1..6u8, 0..9u64).prop_map(feedback),
        3 => (threads(), 0..20u64)
            .prop_map(|(thread_id, seq)| Record::Position { thread_id, seq: Seq(seq) }),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => vec(batches(), 1..6).prop_map(Step::Commit),
        3 => (batches(), select(vec![Lost::Answer, Lost::Request]))
            .prop_map(|(batch, lost)| Step::Fail(batch, lost)),
        3 => (users(), records()).prop_map(|(user, record)| Step::Record(user, record)),
        1 => Just(Step::Restart),
    ]
}

/// Everything both users can see.
async fn views(world: &World) -> Vec<String> {
    let mut seen = Vec::new();
    for user in [user("ada"), user("bob")] {
        for thread_id in (1..4).map(ThreadId) {
            let all = Load::Entries {
                thread_id,
                after_seq: Seq(0),
                to_seq: Seq(u64::MAX),
                limit: u64::MAX,
            };
            seen.push(format!("{:?}", world.load(&user, all).await));
            let some = Load::Entries { thread_id, after_seq: Seq(2), to_seq: Seq(9), limit: 3 };
            seen.push(format!("{:?}", world.load(&user, some).await));
            seen.push(format!("{:?}", world.load(&user, Load::Thread { thread_id }).await));
            let directory = &world.directory;
            seen.push(format!("{:?}", directory.thread(&user, thread_id).await));
            for range in [MessageRange::first(2), MessageRange::last(2)] {
                seen.push(format!("{:?}", directory.messages(&user, thread_id, range).await));
            }
        }
        for run_id in (1..7).map(RunId) {
            seen.push(format!("{:?}", world.load(&user, Load::Run { run_id }).await));
            seen.push(format!("{:?}", world.directory.run(&user, run_id).await));
        }
        for name in 0..6 {
            let client_msg_id = client(&name.to_string());
            seen.push(format!("{:?}", world.load(&user, Load::Message { client_msg_id }).await));
        }
        for message in (1..5).map(MessageId) {
            seen.push(format!("{:?}", world.directory.feedback(&user, message).await));
        }
        seen.push(format!("{:?}", world.load(&user, Load::Threads { limit: 2 }).await));
        seen.push(format!("{:?}", world.directory.threads(&user, None, 2).await));
        seen.push(format!("{:?}", world.directory.runs(&user, 4).await));
    }
    seen.push(format!("{:?}", world.store.unfinished_runs().await));
    seen
}

async fn same_answers(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let chaos = Arc::new(Chaos::default());
    let oracle = World::memory();
    let mut world = World::sqlite_with(|options| options.chaos = Some(chaos.clone())).await;
    for step in steps {
        match &step {
            Step::Commit(batches) => {
                let expected = batches.iter().map(|batch| oracle.store.commit(batch.clone()));
                let expected = join_all(expected).await;
                let answers = batches.iter().map(|batch| world.store.commit(batch.clone()));
                prop_assert_eq!(join_all(answers).await, expected, "{:?}", step);
            }
            Step::Fail(batch, lost) => {
                let expected = oracle.commit(batch).await;
                chaos.lose([Some(*lost)]);
                let first = world.commit(batch).await;
                chaos.lose([]);
                if expected != Err(Fault::Refused) {
                    prop_assert_eq!(first, Err(Fault::Unknown));
                }
                prop_assert_eq!(world.commit(batch).await, expected, "{:?}", step);
            }
            Step::Record(user, record) => {
                let expected = oracle.store.record(user, record.clone()).await;
                let answer = world.store.record(user, record.clone()).await;
                prop_assert_eq!(answer, expected, "{:?}", step);
            }
            Step::Restart => world.restart().await,
        }
        prop_assert_eq!(views(&world).await, views(&oracle).await, "after {:?}", step);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..goldenpath_proof::counted_to(48) })]

    //= specs/storage.md#stor-07
    //= type=test
    //# All stores MUST give the same answers to the same history.
    #[test]
    fn sqlite_and_memory_give_the_same_answers(history in vec(steps(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(same_answers(history))?;
    }
}
