//! What a client asks for and hears beside its messages.

use super::*;
use crate::wire::{Said, ThreadCommand};

fn rename() -> ClientBody {
    ClientBody::Thread(ThreadCommand::Create { title: Some("Costs".into()), metadata: None })
}

#[test]
fn a_question_is_named_and_its_answer_carries_the_name() {
    let mut bench = Bench::ready();
    let reference = bench.client.ask(ClientBody::Ping { nonce: None }).unwrap();
    bench.drain();
    assert!(bench.look()[0].starts_with("send ping"));
    assert_eq!(last_reference(&bench), Reply::Ref(reference.clone()));
    bench.hear_reply(&ServerFrame::Pong { nonce: None }, &Reply::Ref(reference.clone()));
    let answered = bench.said.drain(..).find_map(|output| match output {
        Output::Event(Event::Answered { reference, said }) => Some((reference, said)),
        _ => None,
    });
    assert_eq!(answered, Some((Some(reference), Said::Pong { nonce: None })));
}

#[test]
fn a_question_is_refused_without_a_ready_connection_and_for_what_has_its_own_way() {
    for make in [Bench::dialing, Bench::authenticating, Bench::backoff] {
        assert_eq!(make().client.ask(rename()), Err(Misuse::NotNow));
    }
    assert_eq!(Bench::ended().client.ask(rename()), Err(Misuse::Ended));
    for body in [
        ClientBody::UserMessage(message("m1", "hi")),
        ClientBody::Auth { credential: token(), resume: vec![] },
        ClientBody::Resume { threads: vec![] },
    ] {
        let mut bench = Bench::ready();
        assert_eq!(bench.client.ask(body), Err(Misuse::NotNow));
        bench.drain();
        assert_eq!(bench.look(), Vec::<String>::new());
    }
    assert!(Bench::ready().client.ask(rename()).is_ok());
}

#[test]
fn the_threads_followed_are_bounded_and_one_twice_stays_where_it_is() {
    let mut bench = Bench::new(Config { threads: 2, ..Config::default() }, None);
    let follow = |bench: &mut Bench, id, after| {
        bench.client.follow(bench.now, ThreadId(id), Some(Epoch(1)), Seq(after))
    };
    assert_eq!(follow(&mut bench, 1, 4), Ok(()));
    assert_eq!(follow(&mut bench, 2, 4), Ok(()));
    assert_eq!(follow(&mut bench, 3, 4), Err(Misuse::Full));
    assert_eq!(follow(&mut bench, 1, 9), Ok(()), "it is followed already");
    assert_eq!(bench.client.position(ThreadId(1)).unwrap().after_seq, Seq(4));
    assert_eq!(bench.client.position(ThreadId(3)), None);
}

#[test]
fn a_thread_that_is_followed_no_longer_is_unsubscribed_once_and_only_where_someone_hears() {
    let mut bench = Bench::ready();
    bench.client.unfollow(THREAD);
    bench.client.unfollow(THREAD);
    bench.drain();
    let said = bench.look();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("send unsubscribe"), "{said:?}");
    let mut away = Bench::backoff();
    away.look();
    away.client.unfollow(THREAD);
    away.drain();
    assert_eq!(away.look(), Vec::<String>::new());
    assert_eq!(away.client.position(THREAD), None);
}

#[test]
fn an_answer_in_another_thread_makes_the_first_one_give_way_at_the_bound() {
    let mut bench = Bench::new(Config { threads: 1, ..Config::default() }, None);
    bench.client.connect(bench.now).unwrap();
    bench.drain();
    bench.opened();
    bench.hear(&ready());
    bench.client.follow(bench.now, ThreadId(0), Some(Epoch(1)), Seq(4)).unwrap();
    bench.send("m1", "hi").unwrap();
    bench.look();
    bench.hear(&ack("m1", false, 5));
    let said = bench.look();
    assert!(said.iter().any(|line| line.starts_with("send unsubscribe")), "{said:?}");
    assert_eq!(bench.client.position(ThreadId(0)), None);
    assert_eq!(bench.client.position(THREAD).unwrap().after_seq, Seq(4), "from our message on");
}

#[test]
fn below_the_bound_an_answer_in_another_thread_drops_none() {
    let mut bench = Bench::new(Config { threads: 2, ..Config::default() }, None);
    bench.client.connect(bench.now).unwrap();
    bench.drain();
    bench.opened();
    bench.hear(&ready());
    bench.client.follow(bench.now, ThreadId(0), Some(Epoch(1)), Seq(4)).unwrap();
    bench.send("m1", "hi").unwrap();
    bench.hear(&ack("m1", false, 5));
    assert!(bench.client.position(ThreadId(0)).is_some());
    assert!(bench.client.position(THREAD).is_some());
}

#[test]
fn a_thread_that_is_gone_is_told_of_and_followed_no_longer() {
    let mut bench = Bench::resuming();
    bench.look();
    bench.hear(&not_resumed(ErrorCode::ThreadNotFound, 1));
    let said = bench.look();
    assert_eq!(said, [format!("ThreadGone({THREAD:?})"), "→ Ready".into()]);
    assert_eq!(bench.client.position(THREAD), None);
}

#[test]
fn a_log_that_was_replaced_and_can_be_replayed_begins_the_view_anew() {
    let mut bench = Bench::resuming();
    bench.look();
    let ServerFrame::Resumed { mut threads } = resumed(2) else { unreachable!() };
    threads[0].epoch = Some(Epoch(2));
    bench.hear(&ServerFrame::Resumed { threads });
    let said = bench.look();
    assert!(said[0].starts_with("Reset") && said[0].contains("Epoch(2)"), "{said:?}");
    bench.text(&entry_text(1, 2));
    bench.text(&entry_text(2, 2));
    assert_eq!(bench.applied(), [1, 2]);
}

#[test]
fn the_same_log_is_no_reason_to_begin_anew() {
    let mut bench = Bench::resuming();
    bench.look();
    bench.hear(&resumed(6));
    assert!(!bench.look().iter().any(|line| line.starts_with("Reset")));
    bench.entry(5);
    assert_eq!(bench.applied(), [5]);
}

#[test]
fn what_comes_before_the_server_is_ready_is_dropped_unless_it_is_about_the_connection() {
    let mut bench = Bench::authenticating();
    bench.look();
    bench.hear(&ServerFrame::Pong { nonce: None });
    bench.hear(&resumed(6));
    assert_eq!(bench.look(), Vec::<String>::new());
    bench.hear(&ServerFrame::ServiceStatus { degraded: vec!["store".into()] });
    assert_eq!(bench.look(), ["ServiceStatus([\"store\"])"]);
}

#[test]
fn a_credential_that_ends_soon_is_asked_for_and_a_newer_one_refreshes() {
    let mut bench = Bench::ready();
    bench.hear(&ServerFrame::TokenExpiring { expires_at: Wall(7) });
    assert_eq!(bench.look(), ["need credential: Expiring(Wall(7))"]);
    bench.client.set_credential(bench.now, token()).unwrap();
    bench.drain();
    let said = bench.look();
    assert!(said[0].starts_with("send auth_refresh"), "{said:?}");
    let reply = last_reference(&bench);
    bench.hear_reply(&ServerFrame::AuthOk { token_expires_at: None }, &reply);
    assert!(bench.look()[0].starts_with("Answered"));
}

#[test]
fn how_far_a_tool_is_reaches_the_view_and_has_no_place() {
    let mut bench = Bench::ready();
    bench.hear(&ServerFrame::ToolProgress {
        thread_id: THREAD,
        run_id: RUN,
        tool_call_id: crate::id::ToolCallId(5),
        done: 1,
        total: 2,
        text: "half".into(),
    });
    assert!(bench.look()[0].starts_with("Transient"));
    assert_eq!(bench.client.position(THREAD).unwrap().after_seq, Seq(4));
}
