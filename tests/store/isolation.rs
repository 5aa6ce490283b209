//! What belongs to another user is answered exactly as what does not exist (ISO-02, invariant 9).

use crate::batches::{answering, asking, client, opening, plain, user, working};
use crate::on_every_store;
use crate::world::World;
use bytes::Bytes;
use goldenpath_core::auth::Scope;
use goldenpath_core::hub::{Committed, Load, Loaded, Record};
use goldenpath_core::id::{MessageId, RunId, Seq, ThreadId};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{Feedback, RunStatus};
use goldenpath_runtime::ports::{Artifact, MessageRange};

const THREAD: ThreadId = ThreadId(1);
const MISSING: ThreadId = ThreadId(404);
const RUN: RunId = RunId(1);
const ANSWER: MessageId = MessageId(20_001);

/// A thread of Ada's with everything a thread can have.
async fn with_everything(world: &World) {
    let ada = user("ada");
    world.done(&opening(1, &ada, THREAD)).await;
    world.done(&asking(2, &ada, THREAD, "a", RUN)).await;
    world.done(&working(3, &ada, THREAD, RUN, 1, RunStatus::Running)).await;
    world.done(&answering(4, &ada, THREAD, RUN, 1)).await;
    world.done(&asking(5, &ada, THREAD, "b", RunId(2))).await;
    assert_eq!(world.artifacts.put(&ada, RUN, artifact()).await, Ok(true));
    for record in records(THREAD) {
        assert_eq!(world.store.record(&ada, record).await, Ok(true));
    }
}

fn artifact() -> Artifact {
    let (name, media_type) = ("a".to_owned(), "text/plain".to_owned());
    Artifact { name, media_type, bytes: Bytes::from_static(b"secret"), at: Wall(1) }
}

fn records(thread_id: ThreadId) -> Vec<Record> {
    let feedback = Feedback { message_id: ANSWER, rating: 4, comment: Some("mine".into()) };
    vec![Record::Position { thread_id, seq: Seq(3) }, Record::Feedback { feedback, at: Wall(2) }]
}

fn loads(thread_id: ThreadId, run_id: RunId, name: &str) -> Vec<Load> {
    vec![
        Load::Thread { thread_id },
        Load::Entries { thread_id, after_seq: Seq(0), to_seq: Seq(99), limit: 99 },
        Load::Message { client_msg_id: client(name) },
        Load::Run { run_id },
        Load::Threads { limit: 99 },
    ]
}

/// Everything Ada can see, as one value.
async fn everything(world: &World, user: &Scope) -> String {
    let mut seen = Vec::new();
    for load in loads(THREAD, RUN, "a") {
        seen.push(format!("{:?}", world.load(user, load).await));
    }
    let directory = &world.directory;
    seen.push(format!("{:?}", directory.threads(user, None, 9).await));
    seen.push(format!("{:?}", directory.thread(user, THREAD).await));
    seen.push(format!("{:?}", directory.messages(user, THREAD, MessageRange::first(9)).await));
    seen.push(format!("{:?}", directory.runs(user, 9).await));
    seen.push(format!("{:?}", directory.position(user, THREAD).await));
    seen.push(format!("{:?}", directory.feedback(user, ANSWER).await));
    seen.push(format!("{:?}", world.artifacts.get(user, RUN, "a").await));
    seen.join("\n")
}

on_every_store! {
    //= specs/isolation.md#iso-02
    //= type=test
    //# Another user's thread, run or message MUST be answered exactly as if it did not exist.
    async fn a_foreign_id_reads_as_a_missing_one(world: &mut World) {
        let bob = user("bob");
        with_everything(world).await;
        let foreign = loads(THREAD, RUN, "a");
        let missing = loads(MISSING, RunId(404), "404");
        for (foreign, missing) in foreign.into_iter().zip(missing) {
            let (foreign, missing) = (world.load(&bob, foreign).await, world.load(&bob, missing).await);
            assert_eq!(foreign, missing);
            assert!(!matches!(foreign, Loaded::Thread(_)));
        }
        let (directory, range) = (&world.directory, MessageRange::first(9));
        assert_eq!(directory.threads(&bob, None, 9).await.unwrap().items, []);
        assert_eq!(directory.thread(&bob, THREAD).await, Ok(None));
        assert_eq!(directory.messages(&bob, THREAD, range).await, Ok(None));
        assert_eq!(directory.run(&bob, RUN).await, Ok(None));
        assert_eq!(directory.runs(&bob, 9).await, Ok(vec![]));
        assert_eq!(directory.position(&bob, THREAD).await, Ok(None));
        assert_eq!(directory.feedback(&bob, ANSWER).await, Ok(None));
        assert_eq!(world.artifacts.get(&bob, RUN, "a").await, Ok(None));
        assert_eq!(world.artifacts.list(&bob, RUN).await, Ok(vec![]));
        let unfinished = world.store.unfinished_runs().await.unwrap();
        assert!(unfinished.iter().all(|of| of.owner().as_str() == "ada"));
    }

    //= specs/isolation.md#iso-04
    //= type=test
    //# A write to what belongs to another user MUST change nothing and MUST be answered as for what
    //# does not exist.
    async fn nobody_writes_to_a_foreign_thread(world: &mut World) {
        let (ada, bob) = (user("ada"), user("bob"));
        with_everything(world).await;
        let before = everything(world, &ada).await;
        for batch in [
            plain(20, &bob, THREAD, 1),
            // The very batch that is in it gives nothing away.
            answering(4, &bob, THREAD, RUN, 1),
            asking(21, &bob, THREAD, "x", RunId(9)),
            working(22, &bob, THREAD, RunId(2), 5, RunStatus::Cancelled),
            opening(23, &bob, THREAD),
        ] {
            assert_eq!(world.commit(&batch).await, Ok(Committed::NoThread));
        }
        for record in records(THREAD) {
            assert_eq!(world.store.record(&bob, record).await, Ok(false));
        }
        let delete = Record::DeleteThread { thread_id: THREAD };
        assert_eq!(world.store.record(&bob, delete).await, Ok(false));
        assert_eq!(world.artifacts.put(&bob, RUN, artifact()).await, Ok(false));
        assert_eq!(everything(world, &ada).await, before);
    }

    //= specs/isolation.md#iso-08
    //= type=test
    //# A run of another user MUST NOT be reachable through a thread of one's own.
    async fn nobody_reaches_a_foreign_run_through_a_thread_of_their_own(world: &mut World) {
        let (ada, bob) = (user("ada"), user("bob"));
        with_everything(world).await;
        world.done(&opening(20, &bob, ThreadId(2))).await;
        let before = everything(world, &ada).await;
        for batch in [
            working(21, &bob, ThreadId(2), RunId(2), 5, RunStatus::Cancelled),
            answering(22, &bob, ThreadId(2), RunId(2), 5),
        ] {
            let mut missing = batch.clone();
            missing.runs[0].run_id = RunId(404);
            let answer = world.commit(&batch).await;
            assert_eq!(answer, world.commit(&missing).await);
            assert!(answer.is_err());
        }
        assert_eq!(everything(world, &ada).await, before);
    }
}
