//! What a conversation in the older dialect holds and remembers: exactly so much, and for so long.

use super::older::{
    ACKNOWLEDGED, RUN, THREAD, agent, control, deliver, frames, greeted, greeted_for, hear, kinds,
    older, question, run,
};
use super::rig::{Rig, ada};
use crate::connection::{Input, Output};
use crate::id::{ClientMsgId, ConnectionId, Epoch, MessageId, RunId, Seq, ThreadId, ToolCallId};
use crate::limits::Limits;
use crate::time::Millis;
use crate::wire::{
    AckFrame, ActiveRun, ClientBody, Entry, Event, Json, Resumed, RunStatus, ServerFrame,
};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use serde_json::Value;

const SECOND: Millis = Millis::from_secs(1);

/// Greeted; nothing is acknowledged.
fn greeted_with(limits: Limits) -> Rig {
    let mut rig = Rig::with_limits(older(), limits);
    rig.input(Input::Upgraded);
    rig.verdict(Ok(ada()));
    rig.attached();
    rig
}

/// As many frames may be held as the run has entries.
fn holding_a_run() -> (Rig, Vec<Entry>) {
    let log = run();
    let mut rig = greeted_with(Limits { held_frames: log.len(), ..Limits::default() });
    assert!(deliver(&mut rig, &log, false).is_empty(), "all of it is held");
    (rig, log)
}

/// Nothing is too fast, and nothing is held.
fn open() -> Rig {
    let fast = Limits { messages_per_minute: 60_000, message_burst: 1_000, ..Limits::default() };
    let mut rig = greeted_with(fast);
    rig.text(ACKNOWLEDGED);
    rig
}

fn threads_asked_for(rig: &mut Rig, text: &str) -> Vec<u64> {
    rig.connection.handle_input(rig.now, Input::Text(text));
    let asked = rig.outputs().into_iter().find_map(|output| match output {
        Output::Forward { body: ClientBody::Resume { threads }, .. } => Some(threads),
        _ => None,
    });
    asked.unwrap().iter().map(|point| point.after_seq.0).collect()
}

fn restore_after(rig: &mut Rig, seq: u64) {
    let text = format!(
        r#"{{"type":"session_restore","payload":{{"thread_id":"{THREAD}","after_seq":{seq}}}}}"#
    );
    threads_asked_for(rig, &text);
}

/// What is heard of the hub's answer to a resume.
fn resumed(rig: &mut Rig, to_seq: u64, recovered: bool) -> Value {
    let resumed = Resumed {
        thread_id: THREAD,
        recovered,
        epoch: Some(Epoch(1)),
        from_seq: Seq::ZERO,
        to_seq: Seq(to_seq),
        reason: None,
        snapshot_url: None,
    };
    let frame = control(&ServerFrame::Resumed { threads: vec![resumed] });
    hear(rig, Input::Deliver(&[frame]))[0]["threads"][0].clone()
}

#[test]
fn a_driver_that_sleeps_until_it_is_due_says_what_was_held_after_a_second() {
    let mut rig = greeted();
    deliver(&mut rig, &run()[..1], false);
    assert_eq!(rig.deadline(), Some(rig.now.mono.after(SECOND)));
    assert_eq!(rig.wait_for_deadline(), ["send user_message"]);
}

#[test]
fn so_many_frames_are_held_and_with_one_more_all_are_said_in_order() {
    let (mut rig, log) = holding_a_run();
    let said = hear(&mut rig, Input::ServiceStatus { degraded: vec!["llm".into()] });
    assert_eq!(said.len(), log.len() + 1);
    let order: Vec<u64> = said.iter().filter_map(|frame| frame["seq"].as_u64()).collect();
    assert!(order.is_sorted() && order.len() == log.len());
    assert_eq!(kinds(&said).last(), Some(&"service_status"));
}

/// AUTH-09, though there is room for not one frame more.
#[test]
fn a_full_hold_is_not_said_on_the_way_out() {
    let (mut rig, _) = holding_a_run();
    assert_eq!(kinds(&hear(&mut rig, Input::Revoked)), ["error", "disconnect"]);
}

#[test]
fn what_is_about_the_end_of_the_connection_waits_for_no_acknowledgement() {
    let mut rig = greeted();
    deliver(&mut rig, &run()[..1], false);
    let said = hear(&mut rig, Input::Drain { reconnect_after: Millis(700) });
    assert_eq!(kinds(&said), ["server_draining"]);
    let said = hear(&mut rig, Input::Text(ACKNOWLEDGED));
    assert_eq!(kinds(&said), ["handshake_complete", "user_message"]);
}

#[test]
fn what_happens_while_the_past_is_read_is_heard() {
    let mut asked = open();
    restore_after(&mut asked, 90);
    assert_eq!(kinds(&deliver(&mut asked, &run()[..1], false)), ["user_message"]);
    let mut back =
        greeted_for(vec![ActiveRun { run_id: RUN, thread_id: THREAD, status: RunStatus::Running }]);
    back.text(ACKNOWLEDGED);
    let other = Entry { run_id: Some(RunId(3)), ..run()[0].clone() };
    assert_eq!(kinds(&deliver(&mut back, &[other], false)), ["user_message"]);
}

#[test]
fn what_belongs_to_no_run_says_whose_it_is() {
    let mut rig = open();
    let event = Event::ThreadUpdated { title: "Usage".into() };
    let said = deliver(&mut rig, &[Entry { run_id: None, event, ..run()[0].clone() }], false);
    assert_eq!((&said[0]["type"], &said[0]["user_id"]), (&"thread_updated".into(), &"ada".into()));
}

#[test]
fn a_run_ends_in_the_name_of_the_agent_that_led_it() {
    let mut rig = open();
    let mut log = run();
    let lead = log.iter_mut().find(|entry| matches!(entry.event, Event::AgentStarted { .. }));
    lead.unwrap().agent = agent("concierge", 2, None);
    let said = deliver(&mut rig, &log, false);
    assert_eq!(said.last().unwrap()["agent_name"], "concierge");
}

/// The run an older client stops by this name; `None`: it is told that there is none.
fn stopped(rig: &mut Rig, name: &str) -> Option<RunId> {
    let text = format!(r#"{{"type":"stop_agent","run_id":"{name}"}}"#);
    rig.connection.handle_input(rig.now, Input::Text(&text));
    let outputs = rig.outputs();
    let run = outputs.iter().find_map(|output| match output {
        Output::Forward { body: ClientBody::CancelRun { run_id }, .. } => *run_id,
        _ => None,
    });
    if run.is_none() {
        assert_eq!(frames(outputs)[0]["error_code"], "run_not_found");
    }
    run
}

#[test]
fn the_names_of_the_newest_128_runs_are_remembered() {
    let mut rig = open();
    let begin = |rig: &mut Rig, n: u128| {
        let name = Json::parse(&format!(r#"{{"client_run_id":"run {n}"}}"#)).unwrap();
        let event = match question() {
            Event::UserMessage { message_id, client_msg_id, content, .. } => {
                Event::UserMessage { message_id, client_msg_id, content, metadata: Some(name) }
            }
            other => other,
        };
        let entry = Entry { run_id: Some(RunId(1_000 + n)), event, ..run()[0].clone() };
        deliver(rig, &[entry], false);
    };
    (0..128).for_each(|n| begin(&mut rig, n));
    assert_eq!(stopped(&mut rig, "run 0"), Some(RunId(1_000)));
    begin(&mut rig, 128);
    assert_eq!(stopped(&mut rig, "run 0"), None);
    assert_eq!(stopped(&mut rig, "run 1"), Some(RunId(1_001)));
    assert_eq!(stopped(&mut rig, "run 128"), Some(RunId(1_128)));
}

/// How the acceptance of the n-th message after the acknowledgement names its run.
fn accepted(rig: &mut Rig, n: u64) -> String {
    let frame = control(&ServerFrame::Ack(AckFrame {
        duplicate: false,
        client_msg_id: ClientMsgId::new(&format!("{}#{n}", ConnectionId(1))).unwrap(),
        message_id: MessageId(6),
        thread_id: THREAD,
        run_id: RunId(u128::from(n)),
        run_status: RunStatus::Queued,
        queue_position: 1,
        seq: Seq(2),
    }));
    hear(rig, Input::Deliver(&[frame]))[0]["run_id"].as_str().unwrap().to_string()
}

#[test]
fn the_newest_64_messages_on_their_way_keep_the_names_of_their_runs() {
    for sent in [64, 100] {
        let mut rig = open();
        for n in 1..=sent {
            let text = format!(r#"{{"type":"chat","text":"hi","run_id":"name {n}"}}"#);
            assert_eq!(rig.text(&text), ["forward UserMessage"]);
        }
        for n in 1..=sent {
            let forgotten = n + 64 <= sent;
            let name = if forgotten { RunId(n.into()).to_string() } else { format!("name {n}") };
            assert_eq!(accepted(&mut rig, n), name, "{n} of {sent}");
        }
    }
}

#[test]
fn a_place_beyond_the_end_of_the_thread_is_told_and_the_end_itself_is_a_place() {
    for (to_seq, recovered, reason) in
        [(4, false, Value::from("cursor_invalid")), (5, true, Value::Null), (6, true, Value::Null)]
    {
        let mut rig = open();
        restore_after(&mut rig, 5);
        let heard = resumed(&mut rig, to_seq, true);
        assert_eq!((&heard["from_seq"], &heard["to_seq"]), (&5.into(), &to_seq.into()));
        assert_eq!((&heard["recovered"], &heard["reason"]), (&recovered.into(), &reason));
    }
}

#[test]
fn of_a_replay_only_what_was_asked_for_is_said_and_without_one_whatever_is_read() {
    let log = run();
    let mut rig = open();
    restore_after(&mut rig, 5);
    resumed(&mut rig, 13, true);
    let said = deliver(&mut rig, &log, true);
    assert_eq!((said.len(), &said[0]["seq"]), (8, &6.into()));
    let mut none = open();
    restore_after(&mut none, 5);
    resumed(&mut none, 13, false);
    assert_eq!(deliver(&mut none, &log[..2], true).len(), 2);
}

#[test]
fn names_are_looked_up_for_as_many_threads_as_a_connection_may_follow() {
    let mut rig = greeted_with(Limits { subscriptions_per_connection: 2, ..Limits::default() });
    rig.text(ACKNOWLEDGED);
    let after = [1, 2, 3].map(|thread| {
        let thread = ThreadId(thread);
        let text = format!(
            r#"{{"type":"session_restore","payload":{{"thread_id":"{thread}","after_seq":5000}}}}"#
        );
        threads_asked_for(&mut rig, &text)
    });
    assert_eq!(after, [[4000], [4000], [5000]]);
}

#[test]
fn how_far_a_tool_is_is_told_under_the_clients_own_name_of_the_run() {
    let mut rig = open();
    deliver(&mut rig, &run()[..1], false);
    let progress = ServerFrame::ToolProgress {
        thread_id: THREAD,
        run_id: RUN,
        tool_call_id: ToolCallId(9),
        done: 1,
        total: 2,
        text: "half".into(),
    };
    let said = hear(&mut rig, Input::Deliver(&[control(&progress)]));
    assert_eq!((&said[0]["type"], &said[0]["run_id"]), (&"tool_progress".into(), &"mine".into()));
    assert_eq!(said[0]["server_run_id"], RUN.to_string());
}
