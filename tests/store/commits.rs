//! What a commit does and refuses.

use crate::batches::{answering, asking, opening, plain, thought, user, working};
use crate::on_every_store;
use crate::world::World;
use futures_util::future::join_all;
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Batch, Committed, NewThread, Record, RunCancel, RunChange};
use goldenpath_core::id::{Epoch, Fence, MessageId, RunId, Seq, ThreadId};
use goldenpath_core::run::CancelReason;
use goldenpath_core::wire::RunStatus;
use std::collections::BTreeSet;

const THREAD: ThreadId = ThreadId(1);
const RUN: RunId = RunId(1);

/// A thread with one message whose run is running with fence 1; head 5.
async fn with_running_run(world: &World) {
    let ada = user("ada");
    world.done(&opening(1, &ada, THREAD)).await;
    world.done(&asking(2, &ada, THREAD, "a", RUN)).await;
    world.done(&working(3, &ada, THREAD, RUN, 1, RunStatus::Running)).await;
}

async fn assert_nothing_written(world: &World, head: u64) {
    let ada = user("ada");
    assert_eq!(world.thread(&ada, THREAD).await.unwrap().head, Seq(head));
    assert_eq!(world.log(&ada, THREAD).await.len() as u64, head);
}

on_every_store! {
    async fn entries_get_positions_from_one_without_gaps(world: &mut World) {
        let ada = user("ada");
        assert_eq!(world.done(&opening(1, &ada, THREAD)).await, Seq(1));
        assert_eq!(world.done(&plain(2, &ada, THREAD, 3)).await, Seq(2));
        assert_eq!(world.done(&plain(3, &ada, THREAD, 1)).await, Seq(5));
        let seqs: Vec<_> = world.log(&ada, THREAD).await.iter().map(|(seq, _)| seq.0).collect();
        assert_eq!(seqs, [1, 2, 3, 4, 5]);
    }

    //= specs/delivery.md#dlv-02
    //= type=test
    //# The sequence numbers of a thread MUST be gap-free from 1 in the durable log.
    async fn concurrent_producers_fill_a_log_without_gap_or_overlap(world: &mut World) {
        let ada = user("ada");
        world.done(&opening(1, &ada, THREAD)).await;
        let producer = |p: u128| {
            let (store, ada) = (world.store.clone(), ada.clone());
            async move {
                let mut places = Vec::new();
                for n in 0..20 {
                    let batch = plain(1000 + p * 100 + n, &ada, THREAD, 1 + n % 3);
                    let len = batch.entries.len() as u64;
                    let Ok(Committed::Done { first_seq }) = store.commit(batch).await else {
                        panic!("refused")
                    };
                    places.extend(first_seq.0..first_seq.0 + len);
                }
                places
            }
        };
        let places: Vec<u64> = join_all((0..32).map(producer)).await.concat();
        let distinct: BTreeSet<_> = places.iter().copied().collect();
        assert_eq!(distinct.len(), places.len());
        let log = world.log(&ada, THREAD).await;
        assert_eq!(log.len(), places.len() + 1);
        assert!(log.iter().zip(1..).all(|((seq, _), n)| seq.0 == n));
        let bodies: BTreeSet<_> = log.iter().map(|(_, body)| body.bytes().clone()).collect();
        assert_eq!(bodies.len(), log.len());
    }

    //= specs/storage.md#stor-04
    //= type=test
    //# A batch that is sent again MUST be answered as the first time, also after a restart.
    async fn a_retried_batch_is_answered_as_the_first_time_even_after_a_restart(world: &mut World) {
        let ada = user("ada");
        let open = opening(1, &ada, THREAD);
        let batch = plain(2, &ada, THREAD, 2);
        world.done(&open).await;
        assert_eq!(world.done(&batch).await, Seq(2));
        world.done(&plain(3, &ada, THREAD, 2)).await;
        assert_eq!(world.done(&batch).await, Seq(2));
        world.restart().await;
        assert_eq!(world.done(&batch).await, Seq(2));
        assert_eq!(world.done(&open).await, Seq(1));
        assert_nothing_written(world, 5).await;
    }

    async fn a_batch_that_waits_twice_in_one_group_is_written_once(world: &mut World) {
        let ada = user("ada");
        let open = opening(1, &ada, THREAD);
        let message = asking(2, &ada, THREAD, "a", RUN);
        let jobs = [&open, &open, &message, &message].map(|b| world.store.commit(b.clone()));
        let answers = join_all(jobs).await;
        let seqs = [1, 1, 2, 2].map(|n| Ok(Committed::Done { first_seq: Seq(n) }));
        assert_eq!(answers, seqs);
        assert_nothing_written(world, 3).await;
    }

    //= specs/delivery.md#dlv-08
    //= type=test
    //# The same `client_msg_id` MUST return the first outcome and MUST NOT start a second run,
    //# restarts included.
    async fn the_same_client_msg_id_leads_to_the_first_outcome(world: &mut World) {
        let ada = user("ada");
        with_running_run(world).await;
        world.restart().await;
        let Ok(Committed::Duplicate(first)) =
            world.commit(&asking(9, &ada, THREAD, "a", RunId(2))).await
        else {
            panic!("not a duplicate")
        };
        assert_eq!((first.run_id, first.seq, first.thread_id), (RUN, Seq(2), THREAD));
        assert_eq!(first.run_status, RunStatus::Running);
        assert_nothing_written(world, 5).await;
        // Another thread does not make it another message.
        let elsewhere = opening(10, &ada, ThreadId(2));
        world.done(&elsewhere).await;
        let again = asking(11, &ada, ThreadId(2), "a", RunId(2));
        assert_eq!(world.commit(&again).await, Ok(Committed::Duplicate(first)));
    }

    //= specs/delivery.md#dlv-17
    //= type=test
    //# The same `client_msg_id` with other content MUST be refused as `idempotency_conflict`.
    async fn the_same_client_msg_id_with_other_content_is_a_conflict(world: &mut World) {
        let ada = user("ada");
        with_running_run(world).await;
        let mut other = asking(9, &ada, THREAD, "a", RunId(2));
        other.message.as_mut().unwrap().digest = 3;
        assert_eq!(world.commit(&other).await, Ok(Committed::Conflict));
        assert_nothing_written(world, 5).await;
    }

    async fn two_users_may_use_the_same_client_msg_id(world: &mut World) {
        let bob = user("bob");
        with_running_run(world).await;
        world.done(&opening(10, &bob, ThreadId(2))).await;
        world.done(&asking(11, &bob, ThreadId(2), "a", RunId(2))).await;
    }

    //= specs/storage.md#stor-15
    //= type=test
    //# A message that waits twice in one group MUST make one run.
    async fn a_message_sent_twice_in_one_group_makes_one_run(world: &mut World) {
        let ada = user("ada");
        world.done(&opening(1, &ada, THREAD)).await;
        let (one, two) = (asking(2, &ada, THREAD, "a", RUN), asking(3, &ada, THREAD, "a", RunId(2)));
        let answers = join_all([one, two].map(|batch| world.store.commit(batch))).await;
        let Ok(Committed::Duplicate(first)) = &answers[1] else { panic!("{answers:?}") };
        assert_eq!((first.run_id, first.run_status), (RUN, RunStatus::Queued));
        assert_eq!(world.thread(&ada, THREAD).await.unwrap().runs.len(), 1);
    }

    //= specs/storage.md#stor-02
    //= type=test
    //# A batch that is refused for its expected head MUST NOT write anything and MUST learn the
    //# head there is.
    async fn a_moved_head_refuses_and_names_the_head(world: &mut World) {
        let ada = user("ada");
        world.done(&opening(1, &ada, THREAD)).await;
        let mut batch = plain(2, &ada, THREAD, 2);
        batch.expected_head = Some(Seq::ZERO);
        assert_eq!(world.commit(&batch).await, Ok(Committed::HeadMoved { head: Seq(1) }));
        assert_nothing_written(world, 1).await;
        batch.expected_head = Some(Seq(1));
        assert_eq!(world.done(&batch).await, Seq(2));
    }

    //= specs/delivery.md#dlv-09
    //= type=test
    //# A write with an older fence MUST NOT become visible.
    async fn a_higher_fence_takes_over_and_shuts_the_old_writer_out(world: &mut World) {
        let ada = user("ada");
        with_running_run(world).await;
        world.done(&working(4, &ada, THREAD, RUN, 2, RunStatus::Running)).await;
        let late = working(5, &ada, THREAD, RUN, 1, RunStatus::Running);
        assert_eq!(world.commit(&late).await, Ok(Committed::Fenced));
        world.restart().await;
        assert_eq!(world.commit(&late).await, Ok(Committed::Fenced));
        let run = &world.thread(&ada, THREAD).await.unwrap().runs[0];
        assert_eq!((run.fence, run.status, run.message_seq), (Fence(2), RunStatus::Running, Seq(2)));
        assert_nothing_written(world, 7).await;
    }

    //= specs/storage.md#stor-05
    //= type=test
    //# A run that has ended MUST NOT be written to.
    async fn nothing_is_written_for_a_run_that_has_ended(world: &mut World) {
        let ada = user("ada");
        with_running_run(world).await;
        world.done(&answering(4, &ada, THREAD, RUN, 1)).await;
        let late = working(5, &ada, THREAD, RUN, 9, RunStatus::Running);
        assert_eq!(world.commit(&late).await, Ok(Committed::Fenced));
        assert_nothing_written(world, 7).await;
        assert!(world.thread(&ada, THREAD).await.unwrap().runs.is_empty());
    }

    //= specs/runs.md#run-01
    //= type=test
    //# A thread MUST have at most one running run.
    async fn a_thread_has_one_running_run(world: &mut World) {
        let ada = user("ada");
        with_running_run(world).await;
        world.done(&asking(4, &ada, THREAD, "b", RunId(2))).await;
        let second = working(5, &ada, THREAD, RunId(2), 1, RunStatus::Running);
        assert_eq!(world.commit(&second).await, Err(Fault::Refused));
        assert_nothing_written(world, 7).await;
        // One batch may end the first and start the second.
        let mut handover = second;
        let end = RunChange { run_id: RUN, fence: Fence(1), status: RunStatus::Cancelled };
        handover.runs.push(end);
        world.done(&handover).await;
        let runs = world.thread(&ada, THREAD).await.unwrap().runs;
        assert_eq!(runs.iter().map(|run| run.run_id).collect::<Vec<_>>(), [RunId(2)]);
    }

    async fn a_cancel_is_kept_with_its_run_until_that_has_ended(world: &mut World) {
        let ada = user("ada");
        with_running_run(world).await;
        let cancel = |id, fence, reason| {
            let mut batch = plain(id, &ada, THREAD, 0);
            batch.cancels = vec![RunCancel { run_id: RUN, fence: Fence(fence), reason }];
            batch
        };
        let kept = cancel(4, 1, CancelReason::User);
        let first_seq = Seq(6);
        for _ in 0..2 {
            assert_eq!(world.commit(&kept).await, Ok(Committed::Done { first_seq }), "and again");
        }
        let later = cancel(5, 2, CancelReason::Interrupt);
        assert_eq!(world.commit(&later).await, Ok(Committed::Done { first_seq }));
        let older = cancel(6, 0, CancelReason::Interrupt);
        assert_eq!(world.commit(&older).await, Ok(Committed::Fenced));
        assert_nothing_written(world, 5).await;
        world.restart().await;
        let runs = world.thread(&ada, THREAD).await.unwrap().runs;
        assert_eq!(runs[0].cancel, Some(CancelReason::User), "the first one counts");
        let unfinished = world.store.unfinished_runs().await.unwrap();
        assert_eq!(unfinished[0].runs()[0].cancel, Some(CancelReason::User));
        // Who has it goes on to its end; nobody claims it to go on.
        let claim = working(7, &ada, THREAD, RUN, 2, RunStatus::Running);
        assert_eq!(world.commit(&claim).await, Ok(Committed::Fenced));
        world.done(&working(8, &ada, THREAD, RUN, 1, RunStatus::Running)).await;
        world.done(&working(9, &ada, THREAD, RUN, 2, RunStatus::Cancelled)).await;
        assert_eq!(world.commit(&cancel(10, 9, CancelReason::User)).await, Ok(Committed::Fenced));
        let mut foreign = cancel(11, 9, CancelReason::User);
        foreign.cancels[0].run_id = RunId(99);
        assert_eq!(world.commit(&foreign).await, Err(Fault::Refused));
        let mut opening = cancel(12, 9, CancelReason::User);
        opening.thread_id = ThreadId(9);
        opening.new_thread = Some(NewThread { title: "New".into() });
        assert_eq!(world.commit(&opening).await, Err(Fault::Refused));
    }

    //= specs/storage.md#stor-06
    //= type=test
    //# A batch that breaks a rule MUST NOT harm others that are written with it.
    async fn what_no_hub_says_is_refused_and_harms_no_other(world: &mut World) {
        let ada = user("ada");
        with_running_run(world).await;
        world.done(&opening(20, &ada, ThreadId(2))).await;
        let taken = asking(9, &ada, THREAD, "new", RUN);
        let mut taken_message = asking(10, &ada, THREAD, "newer", RunId(5));
        taken_message.message.as_mut().unwrap().message_id = MessageId(10_001);
        let mut outside = asking(11, &ada, THREAD, "newest", RunId(6));
        outside.message.as_mut().unwrap().entry = 2;
        let mut old_epoch = plain(12, &ada, THREAD, 1);
        old_epoch.epoch = Epoch(6);
        let odd: Vec<Batch> = vec![
            plain(8, &ada, THREAD, 0),
            taken,
            taken_message,
            outside,
            old_epoch,
            opening(13, &ada, THREAD),
            working(14, &ada, THREAD, RunId(99), 1, RunStatus::Running),
            working(15, &ada, ThreadId(2), RUN, 1, RunStatus::Running),
        ];
        // All at once, each between two that are in order.
        let mut all = Vec::new();
        for (n, batch) in (0..).zip(&odd) {
            all.push(world.store.commit(batch.clone()));
            all.push(world.store.commit(plain(30 + n, &ada, THREAD, 1)));
        }
        for (n, pair) in join_all(all).await.chunks(2).enumerate() {
            assert_eq!(pair[0], Err(Fault::Refused), "{n}");
            let first_seq = Seq(6 + n as u64);
            assert_eq!(pair[1], Ok(Committed::Done { first_seq }), "{n}");
        }
        assert_nothing_written(world, 5 + odd.len() as u64).await;
    }

    //= specs/storage.md#stor-09
    //= type=test
    //# A deleted thread MUST be gone with all it held.
    async fn a_deleted_thread_is_gone_with_all_it_held(world: &mut World) {
        let ada = user("ada");
        with_running_run(world).await;
        world.done(&answering(4, &ada, THREAD, RUN, 1)).await;
        let delete = Record::DeleteThread { thread_id: THREAD };
        assert_eq!(world.store.record(&ada, delete.clone()).await, Ok(true));
        assert_eq!(world.store.record(&ada, delete).await, Ok(false));
        assert_eq!(world.thread(&ada, THREAD).await, None);
        assert_eq!(world.directory.run(&ada, RUN).await, Ok(None));
        let late = plain(5, &ada, THREAD, 1);
        assert_eq!(world.commit(&late).await, Ok(Committed::NoThread));
        assert_eq!(world.store.unfinished_runs().await, Ok(vec![]));
    }

    async fn large_entries_come_back_as_they_went(world: &mut World) {
        let ada = user("ada");
        world.done(&opening(1, &ada, THREAD)).await;
        let mut batch = plain(2, &ada, THREAD, 2);
        let text = "line\nfeed ".repeat(300_000);
        batch.entries.push(crate::batches::entry(5, THREAD, 1, thought(&text)));
        world.done(&batch).await;
        world.restart().await;
        let log = world.log(&ada, THREAD).await;
        let bodies: Vec<_> = log.into_iter().skip(1).map(|(_, body)| body).collect();
        assert_eq!(bodies, batch.entries);
    }

    async fn the_store_answers_a_ping(world: &mut World) {
        assert_eq!(world.store.ping().await, Ok(()));
    }
}
