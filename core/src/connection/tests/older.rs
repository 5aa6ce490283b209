//! A conversation with a client of the older dialect: its first words, and the images of whole logs.

use super::rig::{Rig, ada, demo};
use crate::connection::{Input, Output};
use crate::handshake::{Accepted, Dialect};
use crate::hub::HubReady;
use crate::id::{
    AgentRunId, ClientMsgId, ConnectionId, Epoch, EventId, MessageId, Name, RunId, Seq, ThreadId,
    ToolCallId,
};
use crate::limits::Limits;
use crate::run::tests::any_log;
use crate::time::{Millis, Wall};
use crate::wire::{
    AckFrame, ActiveRun, AgentRef, AgentStatus, Announced, ClientBody, Draft, Entry, ErrorCode,
    Event, Frame, Json, Reply, Resumed, RunScope, RunStatus, ServerFrame, ThoughtKind, ToolCount,
    ToolStatus, Usage,
};
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use serde_json::Value;

pub(super) const ACKNOWLEDGED: &str =
    r#"{"type":"handshake_acknowledged","thread_id":"thr_00000000000000000000000001"}"#;
pub(super) const QUESTION: &str =
    r#"{"type":"user_message","payload":{"content":"hello","run_id":"mine"}}"#;
pub(super) const THREAD: ThreadId = ThreadId(1);
pub(super) const RUN: RunId = RunId(77);

pub(super) fn older() -> Accepted {
    Accepted { dialect: Dialect::Older, subprotocol: None, ..demo() }
}

/// Connected and greeted; nothing is acknowledged.
pub(super) fn greeted() -> Rig {
    attached(HubReady::default()).0
}

/// The same while these runs are under way.
pub(super) fn greeted_for(active_runs: Vec<ActiveRun>) -> Rig {
    attached(HubReady { resume: Vec::new(), active_runs }).0
}

fn attached(hub: HubReady) -> (Rig, Vec<Output>) {
    let mut rig = Rig::upgraded(older());
    rig.effect = crate::id::EffectId(0);
    rig.verdict(Ok(ada()));
    rig.connection.handle_input(rig.now, Input::Attached(hub));
    let outputs = rig.outputs();
    (rig, outputs)
}

pub(super) fn frames(outputs: Vec<Output>) -> Vec<Value> {
    let sent = outputs.into_iter().filter_map(|output| match output {
        Output::Send(frame) => Some(serde_json::from_str(frame.as_str()).unwrap()),
        _ => None,
    });
    sent.collect()
}

pub(super) fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect()
}

pub(super) fn hear(rig: &mut Rig, input: Input<'_>) -> Vec<Value> {
    rig.connection.handle_input(rig.now, input);
    frames(rig.outputs())
}

pub(super) fn control(frame: &ServerFrame) -> Frame {
    frame.encode(&Reply::None, Announced { limits: &Limits::default() })
}

fn entry(event: Event, agent: Option<AgentRef>, seq: u64) -> Entry {
    let draft = Draft {
        id: EventId(u128::from(seq)),
        thread_id: THREAD,
        epoch: Epoch(1),
        ts: Wall(1_800_000_000_000 + seq),
        scope: Some(RunScope { run_id: RUN, agent }),
        synthesized: false,
        event,
    };
    Entry::decode(draft.encode().frame(Seq(seq), false).bytes()).unwrap()
}

fn frame_of(entry: &Entry, seq: u64, replay: bool) -> Frame {
    let scope = entry.run_id.map(|run_id| RunScope { run_id, agent: entry.agent.clone() });
    let draft = Draft {
        id: entry.id,
        thread_id: THREAD,
        epoch: entry.epoch,
        ts: entry.ts,
        scope,
        synthesized: entry.synthesized,
        event: entry.event.clone(),
    };
    draft.encode().frame(Seq(seq), replay)
}

pub(super) fn question() -> Event {
    Event::UserMessage {
        message_id: MessageId(6),
        client_msg_id: ClientMsgId::new("m1").unwrap(),
        content: "hello".into(),
        metadata: Some(Json::parse(r#"{"client_run_id":"mine"}"#).unwrap()),
    }
}

pub(super) fn agent(name: &str, id: u128, parent: Option<u128>) -> Option<AgentRef> {
    Some(AgentRef {
        name: Name::new(name).unwrap(),
        agent_run_id: AgentRunId(id),
        parent: parent.map(AgentRunId),
        attempt: 1,
    })
}

/// A whole run, as the hub delivers it.
pub(super) fn run() -> Vec<Entry> {
    let lead = || agent("supervisor", 2, None);
    let data = || agent("data", 3, Some(2));
    let started = |title: &str, step| Event::AgentStarted {
        title: title.into(),
        task: "look".into(),
        step,
        of: 1,
        deadline_at: Wall(1_800_000_030_000),
    };
    let completed = |summary: &str| Event::AgentCompleted {
        status: AgentStatus::Completed,
        duration_ms: 5,
        summary: summary.into(),
        output: None,
        error: None,
        usage: Usage::default(),
        tools: ToolCount { total: 1, failed: 0 },
    };
    let tool = Name::new("usage_totals").unwrap();
    let args = Json::parse(r#"{"days":7}"#).unwrap();
    let events = vec![
        (None, question()),
        (
            None,
            Event::RunQueued {
                message_id: MessageId(6),
                position: 0,
                on_disconnect: crate::wire::OnDisconnect::Continue,
            },
        ),
        (None, Event::RunStarted { attempt: 1, deadline_at: Wall(1_800_000_060_000) }),
        (lead(), started("Supervisor", 0)),
        (data(), started("Data", 1)),
        (
            data(),
            Event::AgentThinking {
                thought_id: 0,
                text: "Reading 7 days".into(),
                kind: ThoughtKind::Status,
                progress: None,
            },
        ),
        (
            data(),
            Event::ToolExecuting {
                tool_call_id: ToolCallId(9),
                tool: tool.clone(),
                title: "Totals".into(),
                args,
                args_truncated: false,
                deadline_at: Wall(1_800_000_015_000),
            },
        ),
        (
            data(),
            Event::ToolCompleted {
                tool_call_id: ToolCallId(9),
                tool,
                status: ToolStatus::Completed,
                duration_ms: 4,
                result: Json::parse("[1.5]").unwrap(),
                result_ref: None,
                truncated: false,
                error: None,
                attempt: 1,
            },
        ),
        (data(), completed("one day")),
        (lead(), completed("done")),
        (
            None,
            Event::AssistantMessage {
                message_id: MessageId(8),
                content: "# The answer".into(),
                partial: false,
            },
        ),
        (
            None,
            Event::RunCompleted {
                status: RunStatus::Completed,
                duration_ms: 9,
                usage: Usage::default(),
            },
        ),
    ];
    let numbered = events.into_iter().zip(2..);
    numbered.map(|((agent, event), seq)| entry(event, agent, seq)).collect()
}

fn ack() -> Frame {
    control(&ServerFrame::Ack(AckFrame {
        duplicate: false,
        client_msg_id: ClientMsgId::new(&format!("{}#1", ConnectionId(1))).unwrap(),
        message_id: MessageId(6),
        thread_id: THREAD,
        run_id: RUN,
        run_status: RunStatus::Running,
        queue_position: 0,
        seq: Seq(2),
    }))
}

pub(super) fn deliver(rig: &mut Rig, log: &[Entry], replay: bool) -> Vec<Value> {
    let frames: Vec<Frame> = log.iter().map(|entry| frame_of(entry, entry.seq.0, replay)).collect();
    hear(rig, Input::Deliver(&frames))
}

#[test]
fn a_whole_conversation_in_the_older_dialect() {
    let mut lines = Vec::new();
    let (mut rig, outputs) = attached(HubReady::default());
    let mut note = |frames: Vec<Value>| lines.extend(frames.iter().map(ToString::to_string));
    note(frames(outputs));
    note(hear(&mut rig, Input::Text(ACKNOWLEDGED)));
    note(hear(&mut rig, Input::Text(QUESTION)));
    note(hear(&mut rig, Input::Deliver(&[ack()])));
    note(deliver(&mut rig, &run(), false));
    note(hear(&mut rig, Input::Text(r#"{"type":"typing","id":"t1"}"#)));
    note(hear(&mut rig, Input::Text("{")));
    note(hear(&mut rig, Input::Text(r#"{"type":"heartbeat","nonce":3}"#)));
    insta::assert_snapshot!(lines.join("\n"));
}

//= specs/wire.md#wire-50
//= type=test
//# A client of the older dialect MUST hear `connection_established` first, and then, unasked, a
//# `handshake_response` that names the thread where its messages go.
#[test]
fn the_first_words_are_established_and_the_handshake_unasked() {
    let (mut rig, outputs) = attached(HubReady::default());
    let said = frames(outputs);
    assert_eq!(kinds(&said), ["connection_established", "handshake_response"]);
    let (established, response) = (&said[0], &said[1]);
    for at in [established, &established["data"]] {
        assert_eq!((&at["connection_ready"], &at["user_id"]), (&true.into(), &"ada".into()));
        assert!(at["connection_id"].is_string() && at["timestamp"].is_string(), "{at}");
    }
    for name in ["thread_id", "run_id", "request_id", "session_token", "timestamp"] {
        assert!(response[name].is_string(), "{name}");
    }
    rig.connection.handle_input(rig.now, Input::Text(QUESTION));
    let forwarded = rig.outputs().into_iter().find_map(|output| match output {
        Output::Forward { body: ClientBody::UserMessage(message), .. } => Some(message),
        _ => None,
    });
    let thread_id = forwarded.unwrap().thread_id.unwrap();
    assert_eq!(response["thread_id"], thread_id.to_string());
}

//= specs/wire.md#wire-51
//= type=test
//# The very next frame after an older client's acknowledgement MUST be `handshake_complete`, and a
//# client that never acknowledges is served all the same.
#[test]
fn the_next_frame_after_an_acknowledgement_completes_the_handshake() {
    for word in ["handshake_acknowledged", "session_acknowledged", "Handshake-Acknowledged"] {
        let text = format!(r#"{{"type":"{word}","thread_id":"{THREAD}"}}"#);
        let mut rig = greeted();
        let status = Input::ServiceStatus { degraded: vec!["llm".into()] };
        assert!(hear(&mut rig, status).is_empty(), "nothing comes between");
        assert!(deliver(&mut rig, &run()[..1], false).is_empty(), "nothing comes between");
        let said = hear(&mut rig, Input::Text(&text));
        assert_eq!(kinds(&said), ["handshake_complete", "service_status", "user_message"]);
        let again = hear(&mut rig, Input::Text(&text));
        assert_eq!(kinds(&again), ["handshake_complete"]);
    }
    let mut silent = greeted();
    deliver(&mut silent, &run()[..1], false);
    silent.now = silent.now.after(Millis::from_secs(1));
    silent.connection.handle_timeout(silent.now);
    assert_eq!(kinds(&frames(silent.outputs())), ["user_message"]);
    let mut other = greeted();
    deliver(&mut other, &run()[..1], false);
    let said = hear(&mut other, Input::Text(r#"{"type":"ping"}"#));
    assert_eq!(kinds(&said), ["user_message", "pong"]);
    let mut early = Rig::upgraded(older());
    early.effect = crate::id::EffectId(0);
    assert!(hear(&mut early, Input::Text(ACKNOWLEDGED)).is_empty());
    early.verdict(Ok(ada()));
    let said = hear(&mut early, Input::Attached(HubReady::default()));
    assert_eq!(
        kinds(&said),
        ["connection_established", "handshake_response", "handshake_complete"]
    );
}

/// AUTH-09: what is held of a thread may be for a credential that has ended meanwhile.
#[test]
fn what_is_held_of_a_thread_is_not_said_on_the_way_out() {
    let mut rig = greeted();
    deliver(&mut rig, &run(), false);
    let said = hear(&mut rig, Input::Revoked);
    assert_eq!(kinds(&said), ["error", "disconnect"]);
    let mut full = greeted();
    for _ in 0..2 {
        deliver(&mut full, &run(), false);
    }
    assert_eq!(
        full.deadline(),
        Some(full.now.mono.after(full.connection.context.limits.heartbeat_interval)),
        "more than is held is said"
    );
}

//= specs/wire.md#wire-57
//= type=test
//# A run MUST bear the name its client gave it in all its images, on later connections as well.
#[test]
fn a_run_bears_the_name_its_client_gave_it() {
    let mut rig = greeted();
    rig.text(ACKNOWLEDGED);
    rig.text(QUESTION);
    let mut said = hear(&mut rig, Input::Deliver(&[ack()]));
    said.extend(deliver(&mut rig, &run(), false));
    let named: Vec<_> = said.iter().map(|frame| frame["run_id"].as_str()).collect();
    assert_eq!(named, vec![Some("mine"); 13]);
    assert_eq!(said[0]["server_run_id"], RUN.to_string());
    // The name leads back to the run.
    rig.connection.handle_input(rig.now, Input::Text(r#"{"type":"stop_agent","run_id":"mine"}"#));
    let stopped = rig.outputs().into_iter().any(|output| {
        matches!(output, Output::Forward { body: ClientBody::CancelRun { run_id: Some(RUN) }, .. })
    });
    assert!(stopped);
}

//= specs/wire.md#wire-62
//= type=test
//# An older client that connects while a run is under way MUST be given that run's thread and hear
//# the run from its beginning to its end.
#[test]
fn a_client_that_comes_back_finds_its_run() {
    let active = |run_id, thread_id, status| ActiveRun { run_id, thread_id, status };
    let here = ThreadId(1);
    let runs = vec![
        active(RUN, here, RunStatus::Running),
        active(RunId(99), ThreadId(5), RunStatus::Queued),
    ];
    let (mut rig, outputs) = attached(HubReady { resume: Vec::new(), active_runs: runs });
    rig.connection.handle_input(rig.now, Input::Text(ACKNOWLEDGED));
    let asked = rig.outputs();
    let resumes: Vec<_> = asked
        .iter()
        .filter_map(|output| match output {
            Output::Forward { body: ClientBody::Resume { threads }, .. } => Some(threads.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(resumes.len(), 1);
    assert_eq!((resumes[0][0].thread_id, resumes[0][0].after_seq), (here, Seq::ZERO));
    let said = frames(outputs);
    assert_eq!(said[1]["thread_id"], here.to_string());
    assert_eq!(said[1]["run_id"], RUN.to_string());
    let resumed = Resumed {
        thread_id: here,
        recovered: true,
        epoch: Some(Epoch(1)),
        from_seq: Seq::ZERO,
        to_seq: Seq(7),
        reason: None,
        snapshot_url: None,
    };
    let resumed = ServerFrame::Resumed { threads: vec![resumed] };
    assert!(hear(&mut rig, Input::Deliver(&[control(&resumed)])).is_empty(), "it did not ask");
    let mut before = run()[0].clone();
    before.run_id = Some(RunId(3));
    assert!(deliver(&mut rig, &[before], true).is_empty(), "another run's past");
    let log = run();
    let past = deliver(&mut rig, &log[..6], true);
    assert!(past.iter().all(|frame| frame["replay"] == true && frame["run_id"] == "mine"));
    let complete = ServerFrame::ReplayComplete { thread_id: here, to_seq: Seq(7) };
    assert!(hear(&mut rig, Input::Deliver(&[control(&complete)])).is_empty(), "it did not ask");
    let rest = deliver(&mut rig, &log[6..], false);
    assert_eq!(past.len() + rest.len(), log.len());
    let last = rest.last().unwrap();
    assert_eq!(
        (&last["type"], &last["final_response"]),
        (&"agent_completed".into(), &"# The answer".into())
    );
}

#[test]
fn a_thread_too_long_to_read_again_is_followed_from_now_on() {
    let runs = vec![ActiveRun { run_id: RUN, thread_id: THREAD, status: RunStatus::Running }];
    let (mut rig, _) = attached(HubReady { resume: Vec::new(), active_runs: runs });
    rig.text(ACKNOWLEDGED);
    let resumed = Resumed {
        thread_id: THREAD,
        recovered: false,
        epoch: None,
        from_seq: Seq::ZERO,
        to_seq: Seq(90_000),
        reason: Some(ErrorCode::ReplayTooLarge),
        snapshot_url: None,
    };
    let frame = control(&ServerFrame::Resumed { threads: vec![resumed] });
    rig.connection.handle_input(rig.now, Input::Deliver(&[frame]));
    let outputs = rig.outputs();
    assert!(
        matches!(
            outputs[..],
            [Output::Forward { body: ClientBody::Subscribe { thread_id: THREAD, .. }, .. }]
        ),
        "{outputs:?}"
    );
}

/// The log of a thread with one run, its question included.
fn thread_log() -> impl Strategy<Value = Vec<Entry>> {
    any_log().prop_map(|run| {
        let mut log = run_begins();
        log.extend(
            run.into_iter().filter(|entry| !matches!(entry.event, Event::RunStarted { .. })),
        );
        for (entry, seq) in log.iter_mut().zip(1..) {
            entry.seq = Seq(seq);
        }
        log
    })
}

fn run_begins() -> Vec<Entry> {
    run().into_iter().take(3).collect()
}

fn is_image(frame: &Value, log: &[Entry]) -> bool {
    log.iter().any(|entry| frame["seq"] == entry.seq.0)
}

proptest! {
    #![proptest_config(goldenpath_proof::counted_to(200))]

    //= specs/wire.md#wire-55
    //= type=test
    //# A run MUST be told to have ended by exactly one `agent_completed`, its last frame, with the
    //# final answer; agents below the supervisor end with `subagent_completed`.
    #[test]
    fn a_run_ends_with_exactly_one_agent_completed(log in thread_log()) {
        let mut rig = greeted();
        rig.text(ACKNOWLEDGED);
        let said = deliver(&mut rig, &log, false);
        let all = kinds(&said);
        prop_assert_eq!(all.iter().filter(|kind| **kind == "agent_completed").count(), 1);
        prop_assert_eq!(*all.last().unwrap(), "agent_completed");
        let images = said.iter().filter(|frame| is_image(frame, &log)).count();
        prop_assert_eq!(images, log.len());
        let errors = all.iter().filter(|kind| **kind == "agent_error").count();
        let end = said.last().unwrap();
        prop_assert_eq!(errors, usize::from(end["status"] == "failed"));
        if errors == 1 {
            prop_assert_eq!(all[all.len() - 2], "agent_error");
        }
        let answer = log.iter().rev().find_map(|entry| match &entry.event {
            Event::AssistantMessage { content, .. } => Some(content.as_str()),
            _ => None,
        });
        if let Some(answer) = answer {
            for name in ["result", "final_response", "response"] {
                prop_assert_eq!(end[name].as_str(), Some(answer));
            }
        }
        prop_assert!(said.iter().all(|frame| frame["run_id"] == "mine"));
        let ended: usize = all.iter().filter(|kind| **kind == "subagent_completed").count();
        let below = log.iter().filter(|entry| {
            matches!(entry.event, Event::AgentCompleted { .. })
                && entry.agent.as_ref().is_some_and(|agent| agent.parent.is_some())
        });
        prop_assert_eq!(ended, below.count());
    }

    //= specs/wire.md#wire-61
    //= type=test
    //# A replay MUST have the images of what was live, apart from the `replay` mark, from whatever
    //# place it is asked for.
    #[test]
    fn a_replay_has_the_images_of_what_was_live(log in thread_log(), after in any::<prop::sample::Index>()) {
        let mut live = greeted();
        live.text(ACKNOWLEDGED);
        let heard = deliver(&mut live, &log, false);
        let after = after.index(log.len());
        let mut back = greeted();
        back.text(ACKNOWLEDGED);
        let text = format!(
            r#"{{"type":"session_restore","payload":{{"thread_id":"{THREAD}","after_seq":{after}}}}}"#
        );
        back.connection.handle_input(back.now, Input::Text(&text));
        let asked = back.outputs().into_iter().find_map(|output| match output {
            Output::Forward { body: ClientBody::Resume { threads }, .. } => Some(threads[0].after_seq),
            _ => None,
        });
        let from = usize::try_from(asked.unwrap().0).unwrap();
        prop_assert!(from <= after);
        let mut replayed = deliver(&mut back, &log[from..], true);
        for frame in &mut replayed {
            for at in ["", "/payload", "/data"] {
                let object = frame.pointer_mut(at).unwrap().as_object_mut().unwrap();
                prop_assert_eq!(object.remove("replay"), Some(true.into()));
            }
        }
        // An `agent_error` has no place of its own: it belongs to the end that follows it.
        let mut expected = heard;
        let first = expected.iter().position(|frame| frame["seq"].as_u64() > Some(after as u64));
        let first = first.unwrap_or(expected.len());
        let error = first > 0 && expected[first - 1]["type"] == "agent_error";
        expected.drain(..first - usize::from(error));
        prop_assert_eq!(replayed, expected);
    }
}
