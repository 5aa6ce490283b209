//! Threads as a reader follows them.

use super::*;

#[test]
fn entries_are_applied_once_and_in_order_and_a_hole_is_asked_for_once() {
    let mut bench = Bench::ready();
    bench.entry(5);
    bench.entry(5);
    bench.entry(4);
    assert_eq!(bench.applied(), [5]);
    bench.entry(8);
    bench.entry(9);
    let said = bench.look();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("send gap_request"), "{said:?}");
    assert!(said[0].contains("\"after_seq\":5") && said[0].contains("\"to_seq\":7"), "{said:?}");
    bench.entry(7);
    bench.entry(6);
    assert_eq!(bench.applied(), [6, 7, 8, 9]);
}

//= specs/client.md#clnt-03
//= type=test
//# A hole MUST be asked for again when what was asked for does not come.
#[test]
fn a_hole_that_is_not_filled_is_asked_for_again() {
    let mut bench = Bench::ready();
    bench.entry(7);
    bench.look();
    bench.wait(Config::default().gap_timeout);
    let said = bench.look();
    assert!(said[0].starts_with("send gap_request"), "{said:?}");
}

#[test]
fn the_heads_in_a_ping_reveal_a_hole_at_the_end() {
    let mut bench = Bench::ready();
    bench.hear(&ServerFrame::Ping { heads: vec![Head { thread_id: THREAD, seq: Seq(4) }] });
    assert_eq!(bench.look(), ["send pong {}"]);
    bench.hear(&ServerFrame::Ping { heads: vec![Head { thread_id: THREAD, seq: Seq(6) }] });
    let said = bench.look();
    assert!(said[1].starts_with("send gap_request"), "{said:?}");
}

//= specs/client.md#clnt-12
//= type=test
//# An entry of a kind the client does not know MUST keep its place.
#[test]
fn an_entry_of_a_kind_nobody_knows_has_its_place() {
    let mut bench = Bench::ready();
    bench.text(&entry_text(5, 1).replace("thread_updated", "song"));
    bench.entry(6);
    assert_eq!(bench.applied(), [6]);
}

//= specs/client.md#clnt-16
//= type=test
//# Entries held ahead of a hole MUST be bounded.
#[test]
fn held_entries_are_bounded() {
    let mut bench = Bench::ready();
    for seq in 6..6 + 2 * Config::default().held_entries as u64 {
        bench.entry(seq);
    }
    bench.look();
    bench.entry(5);
    let applied = bench.applied();
    assert_eq!(applied.len(), Config::default().held_entries + 1);
}

#[test]
fn a_replay_is_awaited_before_the_client_is_ready() {
    let mut bench = Bench::resuming();
    bench.look();
    bench.hear(&resumed(6));
    assert_eq!(bench.client.link(), Link::Resuming);
    bench.entry(5);
    bench.entry(6);
    bench.hear(&ServerFrame::ReplayComplete { thread_id: THREAD, to_seq: Seq(6) });
    assert_eq!(bench.look(), ["applied 5", "applied 6", "→ Ready"]);
}

//= specs/client.md#clnt-09
//= type=test
//# What the server cannot replay MUST be read by other means, and then followed.
#[test]
fn what_the_server_cannot_replay_is_loaded_and_joined() {
    let mut bench = Bench::resuming();
    bench.look();
    bench.hear(&not_resumed(ErrorCode::ReplayTooLarge, 1));
    assert_eq!(bench.look(), ["load snapshot after 4", "→ Ready"]);
    bench.entry(8);
    assert_eq!(bench.look(), Vec::<String>::new());
    let entries = (5..=7).map(|seq| Entry::decode(entry_text(seq, 1).as_bytes()).unwrap());
    let snapshot = Snapshot { epoch: Epoch(1), entries: entries.collect() };
    bench.input(Input::Snapshot { effect: EffectId(1), result: Ok(snapshot) });
    let said = bench.look();
    assert_eq!(said[..4], ["applied 5", "applied 6", "applied 7", "applied 8"]);
    assert!(said[4].starts_with("send resume") && said[4].contains("\"after_seq\":8"), "{said:?}");
}

//= specs/client.md#clnt-15
//= type=test
//# A view MUST begin anew when the log it shows was replaced.
#[test]
fn another_epoch_begins_the_view_anew() {
    let mut bench = Bench::resuming();
    bench.hear(&not_resumed(ErrorCode::EpochMismatch, 2));
    bench.look();
    let entries = (1..=2).map(|seq| Entry::decode(entry_text(seq, 2).as_bytes()).unwrap());
    let snapshot = Snapshot { epoch: Epoch(2), entries: entries.collect() };
    bench.input(Input::Snapshot { effect: EffectId(1), result: Ok(snapshot) });
    let said = bench.look();
    assert!(said[0].starts_with("Reset"), "{said:?}");
    assert_eq!(said[1..3], ["applied 1", "applied 2"]);
    assert_eq!(bench.client.position(THREAD).unwrap().epoch, Some(Epoch(2)));
}

//= specs/client.md#clnt-10
//= type=test
//# An entry of another epoch MUST NOT be applied to a view.
#[test]
fn an_entry_of_another_epoch_is_not_applied_but_asked_about() {
    let mut bench = Bench::ready();
    bench.text(&entry_text(5, 2));
    bench.text(&entry_text(6, 2));
    let said = bench.look();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("send resume"), "{said:?}");
}

#[test]
fn a_snapshot_that_fails_is_tried_again_later() {
    let mut bench = Bench::resuming();
    bench.hear(&not_resumed(ErrorCode::ReplayTooLarge, 1));
    bench.look();
    bench.input(Input::Snapshot { effect: EffectId(1), result: Err(Fault::Unavailable) });
    assert_eq!(bench.look(), Vec::<String>::new());
    bench.wait(Config::default().backoff_longest);
    assert_eq!(bench.look(), ["load snapshot after 4"]);
    bench.input(Input::Snapshot { effect: EffectId(1), result: Err(Fault::Refused) });
    assert_eq!(bench.client.late_inputs(), 1, "the answer to an older question");
    bench.input(Input::Snapshot { effect: EffectId(2), result: Err(Fault::Refused) });
    assert_eq!(bench.client.position(THREAD), None);
}

#[test]
fn a_place_at_the_end_of_numbers_is_not_believed() {
    let mut bench = Bench::ready();
    bench.send("m1", "hi").unwrap();
    bench.look();
    bench.hear(&ack("m1", false, u64::MAX));
    for seq in [u64::MAX, u64::MAX - 1] {
        bench.entry(seq);
    }
    assert_eq!(bench.applied(), Vec::<u64>::new());
    bench.entry(5);
    assert_eq!(bench.applied(), [5], "and the reading goes on");
}
