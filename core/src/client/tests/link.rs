//! The connection: when it is kept, given up, and made anew.

use super::*;

//= specs/client.md#clnt-05
//= type=test
//# A client MUST give up a connection that is silent for two heartbeats.
#[test]
fn silence_ends_a_connection_after_two_heartbeats() {
    let mut bench = Bench::ready();
    let interval = Limits::default().heartbeat_interval;
    bench.wait(interval);
    let dial = bench.dial();
    bench.input(Input::Alive { dial });
    bench.wait(Millis(2 * interval.0 - 1));
    assert_eq!(bench.client.link(), Link::Ready);
    bench.wait(Millis(1));
    assert_eq!(bench.client.link(), Link::Backoff);
    assert_eq!(bench.look()[0], "hang up 4421");
}

//= specs/client.md#clnt-04
//= type=test
//# The wait before a dial MUST NOT be shorter than the server asked for.
#[test]
fn the_wait_is_never_shorter_than_the_server_asked_for() {
    let mut bench = Bench::ready();
    bench.hear(&ServerFrame::ServerDraining { reconnect_after: Millis(60_000) });
    bench.hear(&ServerFrame::Disconnect { code: CloseCode::Restarting, reconnect_after: None });
    bench.closed(None);
    assert_eq!(bench.drain(), Some(bench.now.mono.after(Millis(60_000))));
}

#[test]
fn no_wait_is_without_length() {
    for seed in 0..5_000 {
        let mut bench = Bench::new(Config::default(), None);
        bench.client.seed = Seed::new(seed);
        bench.client.connect(bench.now).unwrap();
        let why = DialFailure::Unreachable;
        bench.input(Input::DialFailed { dial: bench.dial(), why });
        assert!(bench.drain().is_some_and(|at| at > bench.now.mono), "seed {seed}");
    }
}

#[test]
fn waits_grow_while_connections_fail_and_shrink_after_a_stable_one() {
    let mut bench = Bench::dialing();
    for _ in 0..10 {
        let (dial, why) = (bench.dial(), DialFailure::Unreachable);
        bench.input(Input::DialFailed { dial, why });
        bench.wait(Config::default().backoff_longest);
    }
    assert_eq!(bench.client.backoff.ceiling(), Config::default().backoff_longest);
    bench.opened();
    bench.hear(&ready());
    bench.closed(None);
    assert_eq!(bench.client.backoff.failures(), 11, "a connection of no length proves nothing");
    bench.wait(Config::default().backoff_longest);
    bench.opened();
    bench.hear(&ready());
    bench.wait(Config::default().stable_after);
    bench.closed(None);
    assert_eq!(bench.client.backoff.failures(), 1);
}

#[test]
fn maximum_age_is_followed_by_a_dial_at_once_unless_the_connection_was_young() {
    let mut bench = Bench::ready();
    bench.wait(Config::default().stable_after);
    bench.closed(Some(4410));
    assert_eq!(bench.client.link(), Link::Dialing);
    bench.opened();
    bench.hear(&ready());
    bench.closed(Some(4410));
    assert_eq!(bench.client.link(), Link::Backoff);
}

#[test]
fn once_means_once() {
    let mut bench = Bench::authenticating();
    bench.closed(Some(4408));
    assert_eq!(bench.client.link(), Link::Backoff);
    bench.wait(Config::default().backoff_longest);
    bench.opened();
    bench.closed(Some(4408));
    assert_eq!(bench.client.link(), Link::Ended(Ended::Forbidden(CloseCode::AuthTimeout)));
}

//= specs/client.md#clnt-07
//= type=test
//# A client whose credential has expired MUST NOT dial before it has a newer one.
#[test]
fn an_expired_token_waits_for_a_newer_one_and_then_dials() {
    let mut bench = Bench::new(Config::default(), Some(token()));
    bench.client.connect(bench.now).unwrap();
    bench.drain();
    assert_eq!(bench.look()[1], "dial with credential");
    bench.opened();
    bench.hear(&ready());
    bench.look();
    bench.closed(Some(4440));
    assert_eq!(bench.look(), ["→ Backoff", "need credential: Expired"]);
    assert_eq!(bench.drain(), None);
    bench.client.set_credential(bench.now, token()).unwrap();
    bench.drain();
    assert_eq!(bench.look(), ["→ Dialing", "dial with credential"]);
}

#[test]
fn a_token_that_ends_soon_is_refreshed_on_the_connection() {
    let mut bench = Bench::ready();
    bench.hear(&ServerFrame::TokenExpiring { expires_at: Wall(5) });
    bench.client.set_credential(bench.now, token()).unwrap();
    bench.drain();
    let said = bench.look();
    assert_eq!(said[0], "need credential: Expiring(Wall(5))");
    assert!(said[1].starts_with("send auth_refresh"), "{said:?}");
}

#[test]
fn the_first_frame_carries_credential_and_positions() {
    let config = Config { auth_by_frame: true, ..Config::default() };
    let mut bench = Bench::new(config, Some(token()));
    bench.client.follow(bench.now, THREAD, Some(Epoch(1)), Seq(4)).unwrap();
    bench.client.connect(bench.now).unwrap();
    bench.drain();
    assert_eq!(bench.look()[1], "dial");
    bench.opened();
    let said = bench.look();
    assert!(said[1].starts_with("send auth ") && said[1].contains("\"after_seq\":4"), "{said:?}");
    // The server asks before it has read that frame: nobody needs another credential.
    bench.hear(&ServerFrame::AuthRequired { timeout: Millis(9) });
    assert!(bench.look().is_empty());
}

#[test]
fn a_credential_that_was_taken_off_on_the_way_is_sent_in_a_frame() {
    let mut bench = Bench::new(Config::default(), Some(token()));
    bench.client.connect(bench.now).unwrap();
    bench.drain();
    bench.opened();
    bench.look();
    bench.hear(&ServerFrame::AuthRequired { timeout: Millis(9) });
    assert!(bench.look()[0].starts_with("send auth "));
    bench.hear(&ServerFrame::AuthRequired { timeout: Millis(9) });
    assert_eq!(bench.look(), ["need credential: Refused"]);
}

//= specs/client.md#clnt-13
//= type=test
//# A cancel MUST survive the connection until its run has ended.
#[test]
fn a_cancel_survives_the_connection_until_the_run_has_ended() {
    let mut bench = Bench::ready();
    bench.client.cancel(RUN).unwrap();
    bench.drain();
    let is_cancel = |line: &String| line.starts_with("send cancel_run");
    assert_eq!(bench.look().iter().filter(|line| is_cancel(line)).count(), 1);
    bench.closed(None);
    bench.wait(Millis(500));
    bench.opened();
    bench.hear(&ready());
    bench.hear(&resumed(4));
    assert_eq!(bench.look().iter().filter(|line| is_cancel(line)).count(), 1);
    let ended = crate::wire::Event::RunCancelled { reason: "user".into(), duration_ms: 1 };
    bench.text(draft(1, ended).encode().frame(Seq(5), false).as_str());
    bench.closed(None);
    bench.wait(Millis(2000));
    bench.opened();
    bench.hear(&ready());
    assert_eq!(bench.look().iter().filter(|line| is_cancel(line)).count(), 0);
}

//= specs/client.md#clnt-08
//= type=test
//# What comes from an older socket MUST be ignored and counted.
#[test]
fn what_comes_from_an_older_socket_is_ignored_and_counted() {
    let mut bench = Bench::ready();
    let old = bench.dial();
    bench.closed(None);
    bench.wait(Millis(500));
    bench.look();
    bench.input(Input::Text { dial: old, text: &entry_text(5, 1) });
    bench.input(Input::Closed { dial: old, code: Some(4441) });
    assert_eq!(bench.look(), Vec::<String>::new());
    assert_eq!((bench.client.link(), bench.client.late_inputs()), (Link::Dialing, 2));
}
