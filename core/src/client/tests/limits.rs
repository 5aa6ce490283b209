//! The last moment, the last byte and the last number that still count.

use super::*;

#[test]
fn what_comes_late_is_counted_each_time() {
    let mut ended = Bench::ended();
    ended.input(Input::Alive { dial: EffectId(1) });
    ended.input(Input::Alive { dial: EffectId(1) });
    assert_eq!(ended.client.late_inputs(), 2);
    let mut ready = Bench::ready();
    let older = EffectId(99);
    for _ in 0..2 {
        ready.input(Input::Opened { dial: older });
        ready.input(Input::DialFailed { dial: older, why: DialFailure::Unreachable });
        ready.input(Input::Text { dial: older, text: &entry_text(5, 1) });
    }
    assert_eq!(ready.client.late_inputs(), 6);
    assert_eq!(ready.applied(), Vec::<u64>::new(), "an older socket has nothing to say");
    let mut backoff = Bench::backoff();
    backoff.input(Input::DialFailed { dial: older, why: DialFailure::Unreachable });
    backoff.input(Input::DialFailed { dial: older, why: DialFailure::Unreachable });
    assert_eq!(backoff.client.late_inputs(), 2);
}

#[test]
fn no_two_frames_have_the_same_name() {
    let mut bench = Bench::ready();
    let ask = |bench: &mut Bench| bench.client.ask(ClientBody::Ping { nonce: None }).unwrap();
    let (first, second) = (ask(&mut bench), ask(&mut bench));
    assert_ne!(first, second);
}

#[test]
fn each_step_of_connecting_has_its_time_to_the_last_millisecond() {
    type Make = fn() -> Bench;
    let config = Config::default();
    let steps: [(Make, Millis, Link, Link); 3] = [
        (Bench::dialing, config.dial_timeout, Link::Dialing, Link::Backoff),
        (Bench::authenticating, config.ready_timeout, Link::Authenticating, Link::Backoff),
        (Bench::resuming, config.resume_timeout, Link::Resuming, Link::Ready),
    ];
    for (make, time, before, after) in steps {
        let mut bench = make();
        bench.wait(Millis(time.0 - 1));
        assert_eq!(bench.client.link(), before);
        bench.wait(Millis(1));
        assert_eq!(bench.client.link(), after);
    }
}

#[test]
fn a_message_as_long_as_the_server_takes_is_sent_and_a_longer_one_is_refused() {
    let mut probe = Bench::ready();
    probe.send("m1", "hi").unwrap();
    let frame = probe.said.iter().find_map(|output| match output {
        Output::Send { frame, .. } => Some(frame.len()),
        _ => None,
    });
    let shortest = frame.unwrap();
    let most = Limits::default().message_bytes;
    for (length, sent) in [(most, true), (most + 1, false)] {
        let mut bench = Bench::ready();
        bench.send("m1", &"x".repeat(length - shortest + 2)).unwrap();
        let said = bench.look();
        assert_eq!(said.iter().any(|line| line.starts_with("send user_message")), sent);
        assert_eq!(said.iter().any(|line| line.contains("message_too_large")), !sent);
    }
}

#[test]
fn a_thread_of_another_device_is_followed_from_its_first_entry_only() {
    let entry = |id: u128, seq: u64| {
        let mut begun = draft(1, crate::wire::Event::ThreadUpdated { title: "t".into() });
        begun.thread_id = ThreadId(id);
        begun.encode().frame(Seq(seq), false).as_str().to_string()
    };
    let mut bench = Bench::ready();
    bench.text(&entry(8, 2));
    assert_eq!(bench.client.position(ThreadId(8)), None);
    bench.text(&entry(9, 1));
    assert_eq!(bench.client.position(ThreadId(9)).unwrap().after_seq, Seq(1));
    assert_eq!(bench.applied(), [1]);
}

#[test]
fn a_replay_has_its_time_again_after_each_entry() {
    let mut bench = Bench::resuming();
    let time = Config::default().resume_timeout;
    bench.hear(&resumed(9));
    bench.wait(Millis(time.0 - 1));
    bench.entry(5);
    bench.wait(Millis(time.0 - 1));
    assert_eq!(bench.client.link(), Link::Resuming, "an entry came in the meantime");
    bench.entry(9);
    bench.wait(Millis(1));
    assert_eq!(bench.client.link(), Link::Ready, "an entry ahead of a hole is no progress");
}

#[test]
fn what_is_waited_for_is_looked_at_when_its_time_is_over() {
    let config = Config::default();
    let mut hole = Bench::ready();
    hole.entry(7);
    assert_eq!(hole.drain(), Some(hole.now.mono.after(config.gap_timeout)));
    let mut message = Bench::ready();
    message.send("m1", "hi").unwrap();
    assert_eq!(message.drain(), Some(message.now.mono.after(config.ack_timeout)));
    let mut slow = ErrorFrame::new(ErrorCode::RateLimited, "slow");
    slow.retry_after = Some(Millis(3000));
    message.hear_reply(&ServerFrame::Error(slow), &last_reference(&message));
    assert_eq!(message.drain(), Some(message.now.mono.after(Millis(3000))));
}

#[test]
fn at_the_end_of_a_pause_the_next_message_goes_at_once() {
    for (wait, sent) in [(2999, 0), (3000, 1)] {
        let mut bench = Bench::ready();
        let mut slow = ErrorFrame::new(ErrorCode::RateLimited, "slow");
        slow.retry_after = Some(Millis(3000));
        bench.send("m1", "hi").unwrap();
        bench.hear_reply(&ServerFrame::Error(slow), &last_reference(&bench));
        bench.look();
        bench.now = bench.now.after(Millis(wait));
        bench.send("m2", "more").unwrap();
        let said = bench.look();
        assert_eq!(said.iter().filter(|line| line.starts_with("send user")).count(), sent);
    }
}

#[test]
fn a_thread_is_read_from_its_beginning_when_the_message_opened_it() {
    let mut bench = Bench::authenticating();
    bench.hear(&ready());
    let mut opening = message("m1", "hi");
    opening.thread_id = None;
    bench.client.send(bench.now, opening).unwrap();
    bench.send("m2", "elsewhere").unwrap();
    bench.hear(&ack("m1", false, 2));
    assert_eq!(bench.client.position(THREAD).unwrap().after_seq, Seq::ZERO);

    let mut other = Bench::authenticating();
    other.hear(&ready());
    other.send("m1", "hi").unwrap();
    let mut opening = message("m2", "a new one");
    opening.thread_id = None;
    other.client.send(other.now, opening).unwrap();
    other.hear(&ack("m1", false, 41));
    assert_eq!(other.client.position(THREAD).unwrap().after_seq, Seq(40));
}

#[test]
fn once_a_thread_is_followed_again_its_next_load_does_not_wait() {
    let mut bench = Bench::resuming();
    let again = |bench: &mut Bench| {
        bench.closed(None);
        bench.wait(Config::default().backoff_longest);
        bench.opened();
        bench.hear(&ready());
        bench.look();
        bench.hear(&not_resumed(ErrorCode::ReplayTooLarge, 1));
        bench.look().iter().filter(|line| line.starts_with("load")).count()
    };
    let load = |bench: &mut Bench, effect| {
        let snapshot = Snapshot { epoch: Epoch(1), entries: vec![] };
        bench.input(Input::Snapshot { effect: EffectId(effect), result: Ok(snapshot) });
    };
    bench.look();
    bench.hear(&not_resumed(ErrorCode::ReplayTooLarge, 1));
    assert_eq!(bench.look(), ["load snapshot after 4", "→ Ready"]);
    load(&mut bench, 1);
    assert_eq!(again(&mut bench), 0, "that was just done");
    bench.wait(Config::default().backoff_longest);
    assert_eq!(bench.look(), ["load snapshot after 4"]);
    load(&mut bench, 3);
    bench.hear(&resumed(4));
    assert_eq!(again(&mut bench), 1);
}

#[test]
fn after_a_replay_a_hole_is_asked_for_at_once() {
    let mut bench = Bench::resuming();
    bench.hear(&resumed(5));
    bench.entry(5);
    bench.hear(&ServerFrame::ReplayComplete { thread_id: THREAD, to_seq: Seq(5) });
    bench.look();
    bench.entry(8);
    assert!(bench.look().iter().any(|line| line.starts_with("send gap_request")));
}

#[test]
fn an_acknowledgement_of_nothing_is_counted_each_time() {
    let mut bench = Bench::ready();
    bench.hear(&ack("m7", false, 5));
    bench.hear(&ack("m8", false, 6));
    assert_eq!(bench.client.late_inputs(), 2);
}
