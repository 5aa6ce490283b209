//! Views for lists and pages.

use crate::batches::{
    EPOCH, answering, asking, client, entry, metadata, opening, plain, user, working,
};
use crate::on_every_store;
use crate::world::World;
use futures_util::future::join_all;
use goldenpath_core::hub::{Batch, Committed, Record};
use goldenpath_core::id::{MessageId, RunId, Seq, ThreadId};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{Event, Feedback, Json, Metadata, RunStatus};
use goldenpath_runtime::ports::{MessageRange, Role};

const THREAD: ThreadId = ThreadId(1);

/// Three questions, two answered, the third at work.
async fn with_conversation(world: &World) {
    let ada = user("ada");
    world.done(&opening(1, &ada, THREAD)).await;
    for (n, name) in (1..).zip(["a", "b", "c"]) {
        world.done(&asking(n * 10, &ada, THREAD, name, RunId(n))).await;
        world.done(&working(n * 10 + 1, &ada, THREAD, RunId(n), 1, RunStatus::Running)).await;
        if name != "c" {
            world.done(&answering(n * 10 + 5, &ada, THREAD, RunId(n), 1)).await;
        }
    }
}

async fn places(world: &World, range: MessageRange) -> Vec<u64> {
    let messages = world.directory.messages(&user("ada"), THREAD, range).await.unwrap().unwrap();
    messages.iter().map(|message| message.seq.0).collect()
}

on_every_store! {
    async fn a_thread_shows_what_is_in_it(world: &mut World) {
        let ada = user("ada");
        with_conversation(world).await;
        world.restart().await;
        let view = world.directory.thread(&ada, THREAD).await.unwrap().unwrap();
        assert_eq!((view.epoch, view.head, view.message_count), (EPOCH, Seq(17), 5));
        assert_eq!((view.created_at, view.updated_at), (Wall(1001), Wall(1031)));
        assert_eq!((&*view.title, view.running, view.position), ("First", Some(RunId(3)), Seq(0)));
    }

    async fn messages_are_read_from_the_log_in_both_directions(world: &mut World) {
        with_conversation(world).await;
        assert_eq!(places(world, MessageRange::first(100)).await, [2, 6, 8, 12, 14]);
        assert_eq!(places(world, MessageRange::first(2)).await, [2, 6]);
        assert_eq!(places(world, MessageRange::last(2)).await, [12, 14]);
        let older = MessageRange { before: Seq(12), ..MessageRange::last(2) };
        assert_eq!(places(world, older).await, [6, 8]);
        let newer = MessageRange { after: Seq(6), ..MessageRange::first(2) };
        assert_eq!(places(world, newer).await, [8, 12]);
        let all = world.directory.messages(&user("ada"), THREAD, MessageRange::first(2)).await;
        let all = all.unwrap().unwrap();
        assert_eq!((all[0].role, &*all[0].content), (Role::User, "What about a?"));
        assert_eq!((all[1].role, &*all[1].content), (Role::Assistant, "This."));
        assert_eq!((all[0].run_id, all[0].message_id), (RunId(1), MessageId(10_001)));
        assert_eq!((all[1].run_id, all[1].message_id), (RunId(1), MessageId(20_001)));
    }

    // F43: the owner is a column, so what a client puts into its metadata cannot break a list.
    async fn metadata_of_any_shape_does_no_harm_to_lists(world: &mut World) {
        let ada = user("ada");
        world.done(&opening(1, &ada, THREAD)).await;
        let shapes = [None, Some("null"), Some("{\"user_id\":null}"), Some("[\n]"), Some("\"bob\"")];
        for (n, shape) in (2..).zip(shapes) {
            let mut batch = asking(n, &ada, THREAD, &n.to_string(), RunId(n));
            let said = Event::UserMessage {
                message_id: batch.message.as_ref().unwrap().message_id,
                client_msg_id: client(&n.to_string()),
                content: "x".into(),
                metadata: shape.map(|text| Json::parse(text).unwrap()),
            };
            batch.entries[0] = entry(n * 1000, THREAD, 0, said);
            world.done(&batch).await;
        }
        let range = MessageRange::first(9);
        let messages = world.directory.messages(&ada, THREAD, range).await.unwrap().unwrap();
        let metadata: Vec<_> =
            messages.iter().map(|m| m.metadata.as_ref().map(|json| json.as_str())).collect();
        let shown = [None, None, Some("{\"user_id\":null}"), Some("[\n]"), Some("\"bob\"")];
        assert_eq!(metadata, shown);
        let page = world.directory.threads(&ada, None, 9).await.unwrap();
        assert_eq!((page.items.len(), page.items[0].message_count), (1, 5));
    }

    //= specs/storage.md#stor-17
    //= type=test
    //# The metadata of a thread MUST be kept as they were written until others take their place.
    async fn metadata_of_a_thread_are_kept_as_they_were_written(world: &mut World) {
        let ada = user("ada");
        let large = format!("{{\"a\":\"{}\"}}", "é".repeat(8188));
        let odd = "{ \"b\":123456789012345678901234567890, \"a\":[null,\"\\u0000\"], \"a\":{} }";
        let given = [None, Some("{}"), Some(odd), Some(&*large)];
        for (n, text) in (1..).zip(given) {
            let mut batch = opening(n, &ada, ThreadId(n));
            batch.metadata = text.map(metadata);
            world.done(&batch).await;
            // What comes later and says nothing of them leaves them.
            world.done(&plain(10 + n, &ada, ThreadId(n), 1)).await;
        }
        world.restart().await;
        let page = world.directory.threads(&ada, None, 9).await.unwrap();
        let shown: Vec<_> = page.items.iter().rev().map(|view| view.metadata.as_str()).collect();
        assert_eq!(shown, ["{}", "{}", odd, &large]);
        // Two that wait together: the later one counts; a title leaves them.
        let mut batches = [20, 21, 22].map(|n| plain(n, &ada, ThreadId(4), 1));
        batches[0].metadata = Some(metadata("{\"n\":1}"));
        batches[1].metadata = Some(metadata("{\"n\":2}"));
        batches[2].title = Some("May".into());
        for done in join_all(batches.iter().map(|batch| world.commit(batch))).await {
            assert!(matches!(done, Ok(Committed::Done { .. })), "{done:?}");
        }
        world.restart().await;
        let view = world.directory.thread(&ada, ThreadId(4)).await.unwrap().unwrap();
        assert_eq!((view.metadata, &*view.title), (metadata("{\"n\":2}"), "May"));
        let again = plain(23, &ada, ThreadId(4), 1);
        world.done(&Batch { metadata: Some(Metadata::default()), ..again }).await;
        let view = world.directory.thread(&ada, ThreadId(4)).await.unwrap().unwrap();
        assert_eq!(view.metadata.as_str(), "{}");
        // A thread of the same name after it was deleted begins with nothing.
        let record = Record::DeleteThread { thread_id: ThreadId(3) };
        assert_eq!(world.store.record(&ada, record).await, Ok(true));
        world.done(&opening(30, &ada, ThreadId(3))).await;
        let view = world.directory.thread(&ada, ThreadId(3)).await.unwrap().unwrap();
        assert_eq!(view.metadata.as_str(), "{}");
    }

    async fn threads_come_in_pages_without_hole_or_double(world: &mut World) {
        let ada = user("ada");
        for n in 1..=7 {
            let mut open = opening(n, &ada, ThreadId(n));
            // Several share a moment: the id decides.
            open.at = Wall(u64::try_from(n / 3).unwrap());
            world.done(&open).await;
        }
        for limit in [0, 1, 2, 3, 7, 8] {
            let (mut ids, mut after) = (Vec::new(), None);
            loop {
                let page = world.directory.threads(&ada, after, limit).await.unwrap();
                assert!(page.items.len() <= limit.max(1) as usize);
                ids.extend(page.items.iter().map(|view| view.thread_id.0));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(ids, [7, 6, 5, 4, 3, 2, 1], "{limit}");
        }
    }

    async fn a_run_shows_its_status_and_times(world: &mut World) {
        let ada = user("ada");
        with_conversation(world).await;
        let done = world.directory.run(&ada, RunId(1)).await.unwrap().unwrap();
        assert_eq!((done.status, done.thread_id), (RunStatus::Completed, THREAD));
        assert_eq!((done.created_at, done.started_at), (Wall(1010), Some(Wall(1011))));
        assert_eq!((done.ended_at, done.duration()), (Some(Wall(1015)), Some(Millis(4))));
        let running = world.directory.run(&ada, RunId(3)).await.unwrap().unwrap();
        assert_eq!((running.status, running.duration()), (RunStatus::Running, None));
        let newest = world.directory.runs(&ada, 2).await.unwrap();
        assert_eq!(newest.iter().map(|run| run.run_id.0).collect::<Vec<_>>(), [3, 2]);
    }

    //= specs/storage.md#stor-16
    //= type=test
    //# A read position MUST NOT go back, nor beyond the head.
    async fn a_read_position_only_moves_forward_and_not_beyond_the_head(world: &mut World) {
        let ada = user("ada");
        world.done(&opening(1, &ada, THREAD)).await;
        world.done(&plain(2, &ada, THREAD, 4)).await;
        for (given, kept) in [(3, 3), (2, 3), (u64::MAX, 5)] {
            let record = Record::Position { thread_id: THREAD, seq: Seq(given) };
            assert_eq!(world.store.record(&ada, record).await, Ok(true));
            assert_eq!(world.directory.position(&ada, THREAD).await, Ok(Some(Seq(kept))));
        }
    }

    async fn a_later_rating_replaces_the_first(world: &mut World) {
        let ada = user("ada");
        with_conversation(world).await;
        let answer = MessageId(20_001);
        for (rating, comment, at) in [(1, Some("no"), 5), (5, None, 6)] {
            let comment = comment.map(str::to_owned);
            let feedback = Feedback { message_id: answer, rating, comment };
            let record = Record::Feedback { feedback: feedback.clone(), at: Wall(at) };
            assert_eq!(world.store.record(&ada, record).await, Ok(true));
            let kept = world.directory.feedback(&ada, answer).await.unwrap().unwrap();
            assert_eq!((kept.feedback, kept.at), (feedback, Wall(at)));
        }
        // A question is not rated.
        let feedback = Feedback { message_id: MessageId(10_001), rating: 5, comment: None };
        let record = Record::Feedback { feedback, at: Wall(1) };
        assert_eq!(world.store.record(&ada, record).await, Ok(false));
    }
}
