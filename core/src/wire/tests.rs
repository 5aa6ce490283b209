//! The wire as a whole: what is written is read back, nothing panics, and every frame looks as agreed.

use super::*;
use crate::id::{
    ClientMsgId, ConnectionId, Epoch, FrameRef, MessageId, RequestId, RunId, Seq, SessionId,
    ThreadId, ToolCallId, UserId,
};
use crate::limits::Limits;
use crate::time::{Millis, Wall};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;

const NAMING: Naming = Naming { connection_id: ConnectionId(7), nth: 3 };

fn read(text: &str) -> Result<ClientFrame, Refused> {
    decode(text, &Limits::default(), NAMING)
}

fn body(text: &str) -> ClientBody {
    read(text).unwrap_or_else(|refused| panic!("{text}: {refused:?}")).body
}

fn refusal(text: &str) -> (ErrorCode, Option<&'static str>) {
    let refused = read(text).expect_err(text);
    (refused.fault.code, refused.field)
}

/// A frame with every field any kind needs.
fn full_frame(word: &str) -> String {
    let (thread, run, message) = (ThreadId(1), RunId(2), MessageId(3));
    format!(
        r#"{{"type":"{word}","id":"c1","payload":{{"thread_id":"{thread}","run_id":"{run}",
        "message_id":"{message}","content":"hi","token":"t","title":"T","after_seq":1,"to_seq":2,
        "seq":1,"request_id":"q","decision":"approve","rating":5,"threads":[]}}}}"#
    )
}

fn kind(body: &ClientBody) -> Kind {
    match body {
        ClientBody::Approval { .. } => Kind::Approval,
        ClientBody::Auth { .. } => Kind::Auth,
        ClientBody::AuthRefresh { .. } => Kind::AuthRefresh,
        ClientBody::CancelQueued { .. } => Kind::CancelQueued,
        ClientBody::CancelRun { .. } => Kind::CancelRun,
        ClientBody::Feedback(_) => Kind::Feedback,
        ClientBody::GapRequest { .. } => Kind::GapRequest,
        ClientBody::Ping { .. } => Kind::Ping,
        ClientBody::Pong => Kind::Pong,
        ClientBody::Received { .. } => Kind::Received,
        ClientBody::Resume { .. } => Kind::Resume,
        ClientBody::Subscribe { .. } => Kind::Subscribe,
        ClientBody::Thread(ThreadCommand::Create { .. }) => Kind::CreateThread,
        ClientBody::Thread(ThreadCommand::Delete { .. }) => Kind::DeleteThread,
        ClientBody::Thread(ThreadCommand::History { .. }) => Kind::GetThreadHistory,
        ClientBody::Thread(ThreadCommand::List { .. }) => Kind::ListThreads,
        ClientBody::Thread(ThreadCommand::Rename { .. }) => Kind::RenameThread,
        ClientBody::Unsubscribe { .. } => Kind::Unsubscribe,
        ClientBody::UserMessage(_) => Kind::UserMessage,
    }
}

//= specs/wire.md#wire-04
//= type=test
//# Every word a client may use MUST lead to the one kind it means, plain and as JSON-RPC.
#[test]
fn every_word_leads_to_the_body_it_means_plain_and_as_json_rpc() {
    for (word, meaning) in WORDS {
        let plain = full_frame(word);
        assert_eq!(kind(&body(&plain)), *meaning, "{word}");
        let rpc = plain
            .replace(r#""type""#, r#""jsonrpc":"2.0","method""#)
            .replace(r#""payload""#, r#""params""#);
        let frame = read(&rpc).unwrap();
        assert_eq!(kind(&frame.body), *meaning, "{word}");
        assert_eq!(frame.reply, Reply::JsonRpc(Json::parse("\"c1\"").unwrap()));
    }
}

//= specs/wire.md#wire-05
//= type=test
//# What a message says MUST be found under every name it goes by.
#[test]
fn what_was_said_is_found_under_every_name_it_goes_by() {
    for frame in [
        r#"{"type":"user_message","payload":{"content":"hi"}}"#,
        r#"{"type":"user_message","payload":{"text":"hi"}}"#,
        r#"{"type":"user_message","content":"hi"}"#,
        r#"{"type":"chat","text":"hi","payload":null}"#,
        r#"{"type":"chat","message":"hi"}"#,
        r#"{"type":"agent","user_request":"hi"}"#,
        r#"{"type":"start_agent","payload":{"user_request":"hi"}}"#,
        r#"{"type":"start_agent","payload":{"request":{"query":"hi","id":"1"}}}"#,
        r#"{"type":"agent_task","request":{"user_request":"hi"}}"#,
        r#"{"type":"execute_agent","payload":{"query":"hi"}}"#,
        r#"{"jsonrpc":"2.0","method":"user_message","params":{"content":"hi"}}"#,
        r#"{"type":"user_message","content":"outer","payload":{"content":"hi"}}"#,
    ] {
        let ClientBody::UserMessage(message) = body(frame) else { panic!("{frame}") };
        assert_eq!(message.content, "hi", "{frame}");
    }
}

#[test]
fn a_message_without_a_name_is_named_by_its_connection_and_frame() {
    let name = |text: &str| match body(text) {
        ClientBody::UserMessage(message) => message.client_msg_id.to_string(),
        other => panic!("{other:?}"),
    };
    let connection = ConnectionId(7);
    assert_eq!(name(r#"{"type":"chat","text":"a","id":"c9"}"#), format!("{connection}:c9"));
    assert_eq!(name(r#"{"type":"chat","text":"a"}"#), format!("{connection}#3"));
    let long = format!(r#"{{"type":"chat","text":"a","id":"{}"}}"#, "x".repeat(128));
    assert_eq!(name(&long), format!("{connection}#3"));
    assert_eq!(name(r#"{"type":"chat","text":"a","client_msg_id":"m1"}"#), "m1");
}

//= specs/wire.md#wire-02
//= type=test
//# Each kind of broken input MUST be refused with its own code, naming the field where there is
//# one.
#[test]
fn each_kind_of_broken_input_has_its_refusal() {
    use ErrorCode as E;
    let thread = ThreadId(1);
    let cases = [
        ("", E::InvalidJson, None),
        ("{", E::InvalidJson, None),
        ("{\"type\":\"ping\"} x", E::InvalidJson, None),
        ("[]", E::InvalidFrame, None),
        ("null", E::InvalidFrame, None),
        ("7", E::InvalidFrame, None),
        ("{}", E::InvalidFrame, Some("type")),
        (r#"{"type":7}"#, E::InvalidFrame, Some("type")),
        (r#"{"type":"ping","id":{}}"#, E::InvalidFrame, Some("id")),
        (r#"{"type":"ping","id":""}"#, E::InvalidFrame, Some("id")),
        (r#"{"type":"ping","payload":[]}"#, E::InvalidFrame, Some("payload")),
        (r#"{"type":"fly"}"#, E::UnknownType, None),
        (r#"{"type":"agent_started"}"#, E::UnknownType, None),
        (r#"{"type":"chat"}"#, E::ValidationFailed, Some("content")),
        (r#"{"type":"chat","content":" \n"}"#, E::ValidationFailed, Some("content")),
        (r#"{"type":"chat","content":7}"#, E::ValidationFailed, Some("content")),
        (r#"{"type":"chat","content":"\u0000"}"#, E::ValidationFailed, Some("content")),
        (r#"{"type":"chat","content":"\ud800"}"#, E::ValidationFailed, Some("content")),
        (
            r#"{"type":"chat","text":"a","client_msg_id":""}"#,
            E::ValidationFailed,
            Some("client_msg_id"),
        ),
        (r#"{"type":"auth","token":"t","resume":[]}"#, E::ValidationFailed, Some("resume")),
        (r#"{"type":"auth","token":"t","resume":7}"#, E::ValidationFailed, Some("resume")),
        (r#"{"type":"chat","text":"a","metadata":[]}"#, E::ValidationFailed, Some("metadata")),
        (
            r#"{"type":"chat","text":"a","multitask_strategy":"x"}"#,
            E::ValidationFailed,
            Some("multitask_strategy"),
        ),
        (
            r#"{"type":"chat","text":"a","on_disconnect":1}"#,
            E::ValidationFailed,
            Some("on_disconnect"),
        ),
        (
            r#"{"type":"chat","text":"a","expected_head_seq":-1}"#,
            E::ValidationFailed,
            Some("expected_head_seq"),
        ),
        (
            r#"{"type":"chat","text":"a","expected_head_seq":9007199254740992}"#,
            E::ValidationFailed,
            Some("expected_head_seq"),
        ),
        (r#"{"type":"create_thread","metadata":[]}"#, E::ValidationFailed, Some("metadata")),
        (r#"{"type":"rename_thread","thread_id":"con_1","metadata":{}}"#, E::ThreadNotFound, None),
        (r#"{"type":"chat","text":"a","thread_id":"con_1"}"#, E::ThreadNotFound, None),
        (r#"{"type":"chat","text":"a","thread_id":7}"#, E::ValidationFailed, Some("thread_id")),
        (r#"{"type":"subscribe"}"#, E::ValidationFailed, Some("thread_id")),
        (r#"{"type":"cancel","run_id":"x"}"#, E::RunNotFound, None),
        (r#"{"type":"cancel_queued"}"#, E::ValidationFailed, Some("run_id")),
        (r#"{"type":"resume"}"#, E::ValidationFailed, Some("threads")),
        (r#"{"type":"resume","threads":[{}]}"#, E::ValidationFailed, Some("thread_id")),
        (r#"{"type":"auth"}"#, E::ValidationFailed, Some("token")),
        (r#"{"type":"auth","token":"a","ticket":"b"}"#, E::AuthAmbiguous, None),
        (r#"{"type":"feedback","message_id":"x"}"#, E::ValidationFailed, Some("message_id")),
        (r#"{"type":"ping","user_id":"a","payload":{"user_id":"b"}}"#, E::UserMismatch, None),
        (r#"{"jsonrpc":"1.0","method":"ping","id":1}"#, E::InvalidFrame, None),
        (r#"{"jsonrpc":"2.0","id":1}"#, E::InvalidFrame, None),
        (r#"{"jsonrpc":"2.0","method":"ping","id":{}}"#, E::InvalidFrame, None),
        (r#"{"jsonrpc":"2.0","method":"ping","params":[]}"#, E::ValidationFailed, Some("params")),
    ];
    for (text, code, field) in cases {
        assert_eq!(refusal(text), (code, field), "{text}");
    }
    let gap = |after: u64, to: u64| {
        format!(
            r#"{{"type":"gap_request","thread_id":"{thread}","after_seq":{after},"to_seq":{to}}}"#
        )
    };
    assert_eq!(refusal(&gap(2, 2)), (E::ValidationFailed, Some("to_seq")));
    let deep = |levels: usize| {
        format!(r#"{{"type":"ping","nonce":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
    };
    assert_eq!(refusal(&deep(200)), (E::ValidationFailed, Some("nonce")));
    assert_eq!(refusal(&deep(120)), (E::ValidationFailed, Some("nonce")));
    // What is taken can be read inside the answer by readers that stop at 128, as ours does.
    let ClientBody::Ping { nonce } = body(&deep(119)) else { panic!() };
    let pong = encode(&ServerFrame::Pong { nonce }, &Reply::None);
    assert!(serde_json::from_str::<serde_json::Value>(pong.as_str()).is_ok());
}

//= specs/wire.md#wire-03
//= type=test
//# A message above the limit of bytes MUST be refused as `message_too_large`.
#[test]
fn a_message_of_8192_bytes_is_read_and_one_of_8193_is_too_large() {
    let frame = |bytes: usize| {
        let empty = r#"{"type":"ping","nonce":""}"#;
        format!(r#"{{"type":"ping","nonce":"{}"}}"#, "x".repeat(bytes - empty.len()))
    };
    assert_eq!(kind(&body(&frame(8192))), Kind::Ping);
    assert_eq!(refusal(&frame(8193)), (ErrorCode::MessageTooLarge, None));
    let content = |bytes| format!(r#"{{"type":"chat","text":"{}"}}"#, "x".repeat(bytes));
    assert_eq!(kind(&body(&content(8000))), Kind::UserMessage);
    assert_eq!(refusal(&content(8001)), (ErrorCode::ValidationFailed, Some("text")));
}

//= specs/wire.md#wire-09
//= type=test
//# A refusal MUST name the frame it is about, as far as that could be read.
#[test]
fn a_refusal_names_its_frame_as_far_as_it_could_be_read() {
    let reply = |text: &str| read(text).expect_err(text).reply;
    assert_eq!(reply(r#"{"type":"fly","id":"c1"}"#), Reply::Ref(FrameRef::new("c1").unwrap()));
    assert_eq!(reply(r#"{"type":"fly","id":17}"#), Reply::Ref(FrameRef::new("17").unwrap()));
    assert_eq!(
        reply(r#"{"jsonrpc":"2.0","method":"fly","id":17}"#),
        Reply::JsonRpc(Json::parse("17").unwrap())
    );
    assert_eq!(reply(r#"{"jsonrpc":"2.0","method""#), Reply::JsonRpc(Json::null()));
}

#[test]
fn the_user_a_frame_names_is_surfaced() {
    let claimed = |text: &str| read(text).unwrap().claimed_user;
    assert_eq!(claimed(r#"{"type":"ping"}"#), None);
    assert_eq!(claimed(r#"{"type":"ping","user_id":"u"}"#).as_deref(), Some("u"));
    assert_eq!(claimed(r#"{"type":"ping","payload":{"user_id":5}}"#).as_deref(), Some("5"));
}

#[test]
fn no_secret_is_in_the_debug_text_of_a_frame() {
    let frame = read(r#"{"type":"auth","token":"hunter2"}"#).unwrap();
    assert!(!format!("{frame:?}").contains("hunter2"));
    let ClientBody::Auth { credential: Credential::Token(Secret(token)), .. } = frame.body else {
        panic!()
    };
    assert_eq!(token, "hunter2");
}

pub(super) fn control_frames() -> Vec<ServerFrame> {
    let (thread_id, run_id) = (ThreadId(1), RunId(2));
    let resumed = |recovered| Resumed {
        thread_id,
        recovered,
        epoch: recovered.then_some(Epoch(14)),
        from_seq: Seq(3),
        to_seq: Seq(9),
        reason: (!recovered).then_some(ErrorCode::ReplayTooLarge),
        snapshot_url: (!recovered).then(|| "/api/threads/x".into()),
    };
    vec![
        ServerFrame::Ack(AckFrame {
            duplicate: false,
            client_msg_id: ClientMsgId::new("m1").unwrap(),
            message_id: MessageId(4),
            thread_id,
            run_id,
            run_status: RunStatus::Queued,
            queue_position: 1,
            seq: Seq(5),
        }),
        ServerFrame::AuthOk { token_expires_at: Some(Wall(1_795_255_873_120)) },
        ServerFrame::AuthRequired { timeout: Millis(10_000) },
        ServerFrame::Disconnect {
            code: CloseCode::Restarting,
            reconnect_after: Some(Millis(1200)),
        },
        ServerFrame::Done { what: "create_thread", result: Json::parse(r#"{"a":1}"#).unwrap() },
        ServerFrame::Error(ErrorFrame {
            retry_after: Some(Millis(500)),
            details: Some(Json::parse(r#"{"field":"content"}"#).unwrap()),
            request_id: Some(RequestId(6)),
            ..ErrorFrame::new(ErrorCode::RateLimited, "60 a minute")
        }),
        ServerFrame::Ping { heads: vec![Head { thread_id, seq: Seq(9) }] },
        ServerFrame::Pong { nonce: Some(Json::parse("[1]").unwrap()) },
        ServerFrame::RateLimit { retry_after: Millis(700) },
        ServerFrame::Ready(ReadyFrame {
            connection_id: ConnectionId(7),
            user_id: UserId::new("u1").unwrap(),
            session_id: SessionId(8),
            auth_method: AuthMethod::Subprotocol,
            mode: "demo",
            server_time: Wall(1_795_255_873_120),
            token_expires_at: None,
            resume: vec![resumed(true), resumed(false)],
            active_runs: vec![ActiveRun { run_id, thread_id, status: RunStatus::Running }],
            degraded: vec!["llm".into()],
        }),
        ServerFrame::ReplayComplete { thread_id, to_seq: Seq(9) },
        ServerFrame::Resumed { threads: vec![resumed(true)] },
        ServerFrame::ServerDraining { reconnect_after: Millis(900) },
        ServerFrame::ServiceStatus { degraded: vec![] },
        ServerFrame::TokenExpiring { expires_at: Wall(1_795_255_873_120) },
        ServerFrame::ToolProgress {
            thread_id,
            run_id,
            tool_call_id: ToolCallId(9),
            done: 1,
            total: 2,
            text: "half".into(),
        },
    ]
}

fn encode(frame: &ServerFrame, reply: &Reply) -> Frame {
    frame.encode(reply, Announced { limits: &Limits::default() })
}

#[test]
fn every_control_frame_looks_as_agreed() {
    let replies =
        [Reply::Ref(FrameRef::new("c1").unwrap()), Reply::JsonRpc(Json::parse("17").unwrap())];
    let mut lines = String::new();
    for reply in &replies {
        for frame in control_frames() {
            lines.push_str(encode(&frame, reply).as_str());
            lines.push('\n');
        }
    }
    insta::assert_snapshot!(lines);
}

#[test]
fn every_error_has_its_frame() {
    let mut lines = String::new();
    for code in ErrorCode::ALL {
        let frame = ServerFrame::Error(ErrorFrame::new(*code, "why"));
        for reply in [Reply::None, Reply::JsonRpc(Json::parse("1").unwrap())] {
            lines.push_str(encode(&frame, &reply).as_str());
            lines.push('\n');
        }
    }
    insta::assert_snapshot!(lines);
}

//= specs/wire.md#wire-11
//= type=test
//# A client MUST hear what a server says: every control frame is read back as it was meant.
#[test]
fn a_client_hears_what_a_server_says() {
    for frame in control_frames() {
        let text = encode(&frame, &Reply::Ref(FrameRef::new("c1").unwrap()));
        let heard = ServerEvent::decode(text.as_str());
        let ServerEvent::Control { reference, said } = heard else { panic!("{}", text.as_str()) };
        let transient = matches!(frame, ServerFrame::ToolProgress { .. });
        assert_eq!(reference.is_none(), transient);
        match (frame, said) {
            (ServerFrame::Ack(sent), Said::Ack(heard)) => assert_eq!(sent, heard),
            (ServerFrame::AuthOk { token_expires_at: sent }, Said::AuthOk { token_expires_at }) => {
                assert_eq!(sent, token_expires_at);
            }
            (ServerFrame::AuthRequired { timeout: sent }, Said::AuthRequired { timeout }) => {
                assert_eq!(sent, timeout);
            }
            (
                ServerFrame::Disconnect { code: sent, reconnect_after: after },
                Said::Disconnect { code, reconnect_after },
            ) => assert_eq!((Some(sent), after), (code, reconnect_after)),
            (ServerFrame::Done { what: sent, result: with }, Said::Done { what, result }) => {
                assert_eq!((sent, with), (what.as_str(), result));
            }
            (ServerFrame::Error(sent), Said::Error { frame, word, retryable }) => {
                assert_eq!((sent.code.as_str(), sent.code.is_retryable()), (&*word, retryable));
                assert_eq!(sent, frame);
            }
            (ServerFrame::Ping { heads: sent }, Said::Ping { heads }) => assert_eq!(sent, heads),
            (ServerFrame::Pong { nonce: sent }, Said::Pong { nonce }) => assert_eq!(sent, nonce),
            (ServerFrame::RateLimit { retry_after: sent }, Said::RateLimit { retry_after }) => {
                assert_eq!(sent, retry_after);
            }
            (ServerFrame::Ready(sent), Said::Ready(heard)) => {
                assert_eq!(
                    (sent.connection_id, sent.user_id),
                    (heard.connection_id, heard.user_id)
                );
                assert_eq!(
                    (sent.resume, sent.active_runs),
                    (heard.resume.threads, heard.active_runs)
                );
                assert_eq!(heard.heartbeat.timeout, Limits::default().heartbeat_timeout);
                assert_eq!(heard.limits.message_bytes, 8192);
            }
            (
                ServerFrame::ReplayComplete { thread_id: of, to_seq: up_to },
                Said::ReplayComplete { thread_id, to_seq },
            ) => assert_eq!((of, up_to), (thread_id, to_seq)),
            (ServerFrame::Resumed { threads: sent }, Said::Resumed { threads }) => {
                assert_eq!(sent, threads);
            }
            (
                ServerFrame::ServerDraining { reconnect_after: sent },
                Said::ServerDraining { reconnect_after },
            ) => assert_eq!(sent, reconnect_after),
            (ServerFrame::ServiceStatus { degraded: sent }, Said::ServiceStatus { degraded }) => {
                assert_eq!(sent, degraded);
            }
            (
                ServerFrame::TokenExpiring { expires_at: sent },
                Said::TokenExpiring { expires_at },
            ) => {
                assert_eq!(sent, expires_at);
            }
            (ServerFrame::ToolProgress { text: sent, .. }, Said::ToolProgress { text, .. }) => {
                assert_eq!(sent, text);
            }
            (sent, heard) => panic!("{sent:?} was heard as {heard:?}"),
        }
    }
}

//= specs/wire.md#wire-08
//= type=test
//# A client MUST ignore what it does not know, apart from the place of an entry.
#[test]
fn what_a_client_does_not_know_is_unknown_but_an_entry_keeps_its_place() {
    assert_eq!(ServerEvent::decode(r#"{"type":"song","payload":{}}"#), ServerEvent::Unknown);
    assert_eq!(ServerEvent::decode("noise"), ServerEvent::Unknown);
    let thread_id = ThreadId(1);
    let text = format!(
        r#"{{"seq":7,"type":"song","payload":{{}},"thread_id":"{thread_id}","epoch":"e1","id":"x"}}"#
    );
    let place = ServerEvent::UnknownEntry { thread_id, epoch: Epoch(1), seq: Seq(7) };
    assert_eq!(ServerEvent::decode(&text), place);
}

/// One step of damage: cut, doubled, replaced or inserted bytes.
fn damaged(text: &str, at: usize, how: u8, with: char) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = at % (chars.len() + 1);
    match how % 4 {
        0 => chars.truncate(at),
        1 => chars.insert(at, with),
        2 if at < chars.len() => chars[at] = with,
        _ => chars.extend_from_within(at..),
    }
    chars.into_iter().collect()
}

#[test]
fn a_status_has_one_word_and_ends_once_it_is_past_running() {
    let all = [
        (RunStatus::Queued, "queued", false),
        (RunStatus::Running, "running", false),
        (RunStatus::Completed, "completed", true),
        (RunStatus::Degraded, "degraded", true),
        (RunStatus::Failed, "failed", true),
        (RunStatus::TimedOut, "timed_out", true),
        (RunStatus::Cancelled, "cancelled", true),
        (RunStatus::Interrupted, "interrupted", true),
    ];
    for (status, word, ended) in all {
        assert_eq!((status.as_str(), status.is_terminal()), (word, ended));
        assert_eq!(serde_json::to_value(status).unwrap(), word);
    }
}

#[test]
fn json_is_ordered_and_hashed_by_its_text() {
    use core::hash::{BuildHasher, BuildHasherDefault};
    let (one, same, other) =
        (Json::parse("[1]").unwrap(), Json::parse("[1]").unwrap(), Json::parse("[2]").unwrap());
    assert_eq!(one, same);
    assert_ne!(one, other);
    assert!(one < other);
    assert_eq!(other.partial_cmp(&one), Some(core::cmp::Ordering::Greater));
    assert_eq!(one.cmp(&same), core::cmp::Ordering::Equal);
    let hasher = BuildHasherDefault::<std::hash::DefaultHasher>::default();
    assert_eq!(hasher.hash_one(&one), hasher.hash_one(&same));
    assert_ne!(hasher.hash_one(&one), hasher.hash_one(&other));
}

#[test]
fn a_rating_is_a_number_or_a_thumb() {
    let rating = |said: &str| {
        let message = MessageId(3);
        read(&format!(
            r#"{{"type":"feedback","payload":{{"message_id":"{message}","rating":{said}}}}}"#
        ))
    };
    let given = |said: &str| match rating(said).unwrap().body {
        ClientBody::Feedback(feedback) => feedback.rating,
        other => panic!("{other:?}"),
    };
    for (said, means) in [
        ("1", 1),
        ("5", 5),
        ("\"up\"", 5),
        ("\"thumbs_up\"", 5),
        ("\"down\"", 1),
        ("\"thumbs_down\"", 1),
    ] {
        assert_eq!(given(said), means, "{said}");
    }
    for said in ["0", "6", "\"sideways\"", "null", "2.5"] {
        assert_eq!(rating(said).expect_err(said).field, Some("rating"), "{said}");
    }
}

#[test]
fn a_frame_knows_its_length() {
    let frame = Frame::encode(&"four");
    assert_eq!((frame.len(), frame.is_empty()), (6, false));
}

proptest! {
    #![proptest_config(goldenpath_proof::counted())]

    //= specs/wire.md#wire-06
    //= type=test
    //# Every event MUST survive its encoding.
    #[test]
    fn every_event_survives_the_wire(draft in arbitrary::draft(), seq in 1..=Seq::MAX.0, replay: bool) {
        let stored = EntryBody::from_stored(draft.encode().bytes().clone());
        prop_assert_eq!(stored.type_name(), draft.event.type_name());
        let frame = stored.frame(Seq(seq), replay);
        let value: serde_json::Value = serde_json::from_str(frame.as_str()).unwrap();
        prop_assert_eq!(&value["type"], draft.event.type_name());
        let ServerEvent::Entry(entry) = ServerEvent::decode(frame.as_str()) else {
            return Err(TestCaseError::fail(frame.as_str().to_string()));
        };
        prop_assert_eq!(entry.event, draft.event);
        prop_assert_eq!((entry.id, entry.thread_id, entry.epoch), (draft.id, draft.thread_id, draft.epoch));
        prop_assert_eq!((entry.seq, entry.replay, entry.ts), (Seq(seq), replay, draft.ts));
        prop_assert_eq!(entry.synthesized, draft.synthesized);
        prop_assert_eq!(entry.run_id, draft.scope.as_ref().map(|scope| scope.run_id));
        prop_assert_eq!(entry.agent, draft.scope.and_then(|scope| scope.agent));
    }

    //= specs/wire.md#wire-07
    //= type=test
    //# Every client frame MUST survive its encoding.
    #[test]
    fn every_client_frame_survives_the_wire(body in arbitrary::client_body(), id in 0..3u8) {
        let reply = match id {
            0 => Reply::None,
            1 => Reply::Ref(FrameRef::new("c1").unwrap()),
            _ => Reply::JsonRpc(Json::parse("\"c1\"").unwrap()),
        };
        let frame = ClientFrame { reply, body, claimed_user: None };
        prop_assert_eq!(read(frame.encode().as_str()), Ok(frame));
    }

    #[test]
    fn no_text_makes_reading_panic(text in ".{0,200}") {
        let _ = read(&text);
        let _ = ServerEvent::decode(&text);
    }

    //= specs/wire.md#wire-01
    //= type=test
    //# Reading a frame MUST NOT panic, whatever its text.
    #[test]
    fn no_damaged_frame_makes_reading_panic(
        body in arbitrary::client_body(),
        draft in arbitrary::draft(),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<char>()), 1..4),
    ) {
        let mut asked = ClientFrame { reply: Reply::None, body, claimed_user: None }
            .encode()
            .as_str()
            .to_string();
        let mut told = draft.encode().frame(Seq(1), false).as_str().to_string();
        for (at, how, with) in damage {
            asked = damaged(&asked, at, how, with);
            told = damaged(&told, at, how, with);
        }
        if let Err(refused) = read(&asked) {
            let frame = ServerFrame::Error(refused.error_frame());
            prop_assert!(Json::parse(encode(&frame, &refused.reply).as_str()).is_ok());
        }
        let _ = ServerEvent::decode(&told);
    }
}
