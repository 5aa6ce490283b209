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
