//! What hubs read.

use crate::batches::{EPOCH, answering, asking, client, opening, plain, user, working};
use crate::on_every_store;
use crate::world::World;
use goldenpath_core::hub::{Load, Loaded, RunAt};
use goldenpath_core::id::{Fence, RunId, Seq, ThreadId};
use goldenpath_core::wire::{OnDisconnect, RunStatus};

const THREAD: ThreadId = ThreadId(1);

async fn seqs(world: &World, after: u64, to: u64, limit: u64) -> Vec<u64> {
    let load = Load::Entries { thread_id: THREAD, after_seq: Seq(after), to_seq: Seq(to), limit };
    match world.load(&user("ada"), load).await {
        Loaded::Entries(entries) => entries.into_iter().map(|(seq, _)| seq.0).collect(),
        other => panic!("{other:?}"),
    }
}

on_every_store! {
    //= specs/storage.md#stor-13
    //= type=test
    //# A log MUST be read whole and in order, whatever the size of the pages.
    async fn a_log_is_read_in_pages_of_any_size(world: &mut World) {
        let ada = user("ada");
        world.done(&opening(1, &ada, THREAD)).await;
        for n in 2..30 {
            world.done(&plain(n, &ada, THREAD, 1 + n % 5)).await;
        }
        let whole = world.log(&ada, THREAD).await;
        let head = whole.len() as u64;
        for limit in [1, 2, 3, 7, 500] {
            let (mut at, mut read) = (0, Vec::new());
            while at < head {
                let page = seqs(world, at, head, limit).await;
                assert!(!page.is_empty() && page.len() as u64 <= limit);
                at = *page.last().unwrap();
                read.extend(page);
            }
            assert_eq!(read, (1..=head).collect::<Vec<_>>(), "{limit}");
        }
        assert_eq!(seqs(world, 3, 6, 100).await, [4, 5, 6]);
        assert_eq!(seqs(world, 3, 6, 0).await, [4]);
        assert!(seqs(world, head, u64::MAX, 10).await.is_empty());
        assert!(seqs(world, u64::MAX, u64::MAX, 10).await.is_empty());
        assert!(seqs(world, 6, 3, 10).await.is_empty());
    }

    async fn a_thread_is_loaded_with_its_open_runs_oldest_first(world: &mut World) {
        let ada = user("ada");
        world.done(&opening(1, &ada, THREAD)).await;
        // Run ids that do not sort by age.
        world.done(&asking(2, &ada, THREAD, "a", RunId(9))).await;
        world.done(&asking(3, &ada, THREAD, "b", RunId(4))).await;
        world.done(&asking(4, &ada, THREAD, "c", RunId(7))).await;
        world.done(&working(5, &ada, THREAD, RunId(9), 1, RunStatus::Running)).await;
        world.done(&answering(6, &ada, THREAD, RunId(9), 1)).await;
        world.restart().await;
        let thread = world.thread(&ada, THREAD).await.unwrap();
        assert_eq!((thread.epoch, thread.head, &*thread.title), (EPOCH, Seq(11), "First"));
        let runs: Vec<_> = thread.runs.iter().map(|run| (run.run_id, run.message_seq)).collect();
        assert_eq!(runs, [(RunId(4), Seq(4)), (RunId(7), Seq(6))]);
        assert_eq!(thread.runs[0].fence, Fence(0));
        assert_eq!(thread.runs[0].on_disconnect, OnDisconnect::Cancel);
        let at = |run| RunAt { thread_id: THREAD, status: run };
        let run = world.load(&ada, Load::Run { run_id: RunId(9) }).await;
        assert_eq!(run, Loaded::Run(Some(at(RunStatus::Completed))));
        let run = world.load(&ada, Load::Run { run_id: RunId(4) }).await;
        assert_eq!(run, Loaded::Run(Some(at(RunStatus::Queued))));
    }

    //= specs/storage.md#stor-08
    //= type=test
    //# A restart MUST find every run that has not ended, with its user and in its order.
    async fn a_restart_finds_every_unfinished_run_by_user(world: &mut World) {
        let (ada, bob) = (user("ada"), user("bob"));
        world.done(&opening(1, &bob, ThreadId(2))).await;
        world.done(&asking(2, &bob, ThreadId(2), "x", RunId(8))).await;
        world.done(&opening(3, &ada, THREAD)).await;
        world.done(&asking(4, &ada, THREAD, "a", RunId(9))).await;
        world.done(&asking(5, &ada, THREAD, "b", RunId(4))).await;
        world.done(&working(6, &ada, THREAD, RunId(9), 1, RunStatus::Running)).await;
        world.done(&asking(7, &bob, ThreadId(2), "y", RunId(3))).await;
        world.done(&answering(8, &bob, ThreadId(2), RunId(8), 1)).await;
        world.restart().await;
        let found = world.store.unfinished_runs().await.unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|of| (of.owner().as_str(), of.runs().iter().map(|r| r.run_id.0).collect::<Vec<_>>()))
            .collect();
        assert_eq!(found, [("ada", vec![9, 4]), ("bob", vec![3])]);
    }

    async fn a_message_is_found_by_its_clients_name(world: &mut World) {
        let ada = user("ada");
        world.done(&opening(1, &ada, THREAD)).await;
        let asking = asking(2, &ada, THREAD, "a", RunId(9));
        world.done(&asking).await;
        let load = |name| Load::Message { client_msg_id: client(name) };
        let Loaded::Message(Some((digest, first))) = world.load(&ada, load("a")).await else {
            panic!("not found")
        };
        let message = asking.message.unwrap();
        assert_eq!((digest, first.message_id), (message.digest, message.message_id));
        assert_eq!((first.seq, first.run_status), (Seq(2), RunStatus::Queued));
        assert_eq!(world.load(&ada, load("b")).await, Loaded::Message(None));
        assert_eq!(world.load(&user("bob"), load("a")).await, Loaded::Message(None));
    }

    async fn threads_are_listed_last_changed_first(world: &mut World) {
        let ada = user("ada");
        for n in 1..=4 {
            world.done(&opening(n, &ada, ThreadId(n))).await;
        }
        let mut renamed = plain(9, &ada, ThreadId(2), 1);
        renamed.title = Some("Second".into());
        world.done(&renamed).await;
        let Loaded::Threads(threads) = world.load(&ada, Load::Threads { limit: 3 }).await else {
            panic!("no list")
        };
        let ids: Vec<_> = threads.iter().map(|thread| thread.thread_id.0).collect();
        assert_eq!(ids, [2, 4, 3]);
        assert_eq!((&*threads[0].title, threads[0].head), ("Second", Seq(2)));
        assert_eq!(world.load(&ada, Load::Threads { limit: 0 }).await, Loaded::Threads(vec![]));
    }
}
