//! Messages on their way.

use super::*;

//= specs/client.md#clnt-02
//= type=test
//# A message MUST NOT be sent before the connection is ready, and MUST be sent after it.
#[test]
fn a_message_sent_before_the_connection_is_ready_is_sent_after_it() {
    let mut bench = Bench::dialing();
    bench.send("m1", "hi").unwrap();
    bench.opened();
    assert!(!bench.look().iter().any(|line| line.starts_with("send")));
    bench.hear(&ready());
    let said = bench.look();
    assert!(said.iter().any(|line| line.starts_with("send user_message")), "{said:?}");
    bench.hear(&ack("m1", false, 5));
    assert_eq!(bench.look(), ["m1 acked"]);
    assert_eq!(bench.client.unacknowledged(), 0);
}

//= specs/client.md#clnt-01
//= type=test
//# A message MUST be sent again under its name until the server has it or refuses it for good.
#[test]
fn an_unacknowledged_message_is_sent_again_under_its_name_on_the_next_connection() {
    let mut bench = Bench::ready();
    bench.send("m1", "hi").unwrap();
    let first = bench.look();
    bench.closed(None);
    bench.wait(Millis(500));
    bench.opened();
    bench.hear(&ready());
    bench.hear(&resumed(4));
    let again = bench.look();
    let sent = |lines: &[String]| lines.iter().find(|l| l.starts_with("send user")).cloned();
    assert_eq!(sent(&first), sent(&again));
    assert!(sent(&first).is_some());
    bench.hear(&ack("m1", true, 5));
    assert_eq!(bench.look(), ["m1 acked"]);
}

#[test]
fn a_message_without_an_ack_is_sent_again_on_the_same_connection() {
    let mut bench = Bench::ready();
    bench.send("m1", "hi").unwrap();
    bench.look();
    bench.wait(Config::default().ack_timeout);
    let said = bench.look();
    assert!(said[0].starts_with("send user_message"), "{said:?}");
}

#[test]
fn messages_go_one_after_the_other() {
    let mut bench = Bench::ready();
    bench.send("m1", "one").unwrap();
    bench.send("m2", "two").unwrap();
    let sent = |lines: Vec<String>| lines.iter().filter(|l| l.starts_with("send user")).count();
    assert_eq!(sent(bench.look()), 1);
    bench.hear(&ack("m1", false, 5));
    assert_eq!(sent(bench.look()), 1);
}

//= specs/client.md#clnt-11
//= type=test
//# Messages on their way MUST be bounded, and one name MUST stand for one content.
#[test]
fn one_name_has_one_content_and_the_outbox_is_bounded() {
    let mut bench = Bench::dialing();
    assert_eq!(bench.send("m1", "one"), Ok(()));
    assert_eq!(bench.send("m1", "one"), Ok(()));
    assert_eq!(bench.send("m1", "two"), Err(Misuse::Conflict));
    assert_eq!(bench.client.unacknowledged(), 1);
    for n in 2..=Config::default().outbox_messages {
        bench.send(&format!("m{n}"), "x").unwrap();
    }
    assert_eq!(bench.send("more", "x"), Err(Misuse::Full));
}

#[test]
fn a_refusal_for_now_is_tried_again_and_one_for_good_is_told() {
    let mut bench = Bench::ready();
    bench.send("m1", "hi").unwrap();
    bench.look();
    let mut slow = ErrorFrame::new(ErrorCode::RateLimited, "slow");
    slow.retry_after = Some(Millis(3000));
    bench.hear_reply(&ServerFrame::Error(slow), &last_reference(&bench));
    assert_eq!(bench.look(), ["m1 queued"]);
    bench.wait(Millis(2999));
    assert_eq!(bench.look(), Vec::<String>::new());
    bench.wait(Millis(1));
    assert_eq!(bench.look().len(), 2);
    bench.hear_reply(&error(ErrorCode::IdempotencyConflict), &last_reference(&bench));
    assert_eq!(bench.look(), ["m1 refused idempotency_conflict"]);
    assert_eq!(bench.client.unacknowledged(), 0);
}

#[test]
fn reject_means_that_a_busy_thread_refuses_for_good() {
    let mut bench = Bench::ready();
    bench.send("m1", "hi").unwrap();
    bench.look();
    bench.hear_reply(&error(ErrorCode::ThreadBusy), &last_reference(&bench));
    assert_eq!(bench.look(), ["m1 refused thread_busy"]);
}

#[test]
fn a_message_longer_than_the_server_takes_is_refused_here() {
    let mut bench = Bench::ready();
    bench.send("m1", &"x".repeat(8192)).unwrap();
    assert_eq!(bench.look(), ["m1 queued", "m1 refused message_too_large"]);
}

#[test]
fn after_1009_the_longest_message_is_not_sent_again() {
    let mut bench = Bench::ready();
    bench.send("m1", "hi").unwrap();
    bench.closed(Some(1009));
    let said = bench.look();
    assert!(said.contains(&"m1 refused message_too_large".into()), "{said:?}");
    assert_eq!(bench.client.link(), Link::Backoff);
}

#[test]
fn a_message_to_a_thread_not_followed_is_followed_from_the_message_on() {
    let mut bench = Bench::authenticating();
    bench.hear(&ready());
    bench.send("m1", "hi").unwrap();
    bench.hear(&ack("m1", false, 41));
    bench.look();
    bench.entry(41);
    assert_eq!(bench.applied(), [41]);
}
