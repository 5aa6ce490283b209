//! What is promised of the older dialect, frame by frame.

use super::super::arbitrary;
use super::*;
use crate::id::{ConnectionId, FrameRef, Seq, ThreadId};
use crate::limits::Limits;
use crate::time::Wall;
use crate::wire::{
    Announced, ClientBody, Draft, Entry, ErrorCode, ErrorFrame, Event, Frame, Naming, Reply, Said,
    ServerEvent, ServerFrame, WORDS, decode, kind_of,
};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use proptest::prelude::*;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

const THREAD: ThreadId = ThreadId(9);
const NAMING: Naming = Naming { connection_id: ConnectionId(1), nth: 4 };

/// Calls one run `mine`.
struct Mine;

impl Names for Mine {
    fn thread(&self) -> ThreadId {
        THREAD
    }

    fn run(&self, name: &str) -> Option<crate::id::RunId> {
        (name == "mine").then_some(crate::id::RunId(5))
    }
}

fn hear(text: &str) -> Result<Heard, super::super::Refused> {
    read(text, &Limits::default(), NAMING, &Mine)
}

fn body(text: &str) -> ClientBody {
    match hear(text) {
        Ok(Heard::Frame { frame, .. }) => frame.body,
        other => panic!("{text}: {other:?}"),
    }
}

/// The names at the top of a frame, each as often as it is there.
fn names(frame: &Frame) -> Vec<String> {
    struct Names(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Names {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct All;
            impl<'de> Visitor<'de> for All {
                type Value = Names;
                fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                    let mut names = Vec::new();
                    while let Some((name, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                        names.push(name);
                    }
                    Ok(Names(names))
                }
            }
            deserializer.deserialize_map(All)
        }
    }
    serde_json::from_str::<Names>(frame.as_str()).unwrap().0
}

/// Flat, and the same again under `payload` and `data`.
fn check_flat(frame: &Frame) -> Value {
    let value: Value = serde_json::from_str(frame.as_str()).unwrap();
    let said = names(frame);
    let unique: BTreeSet<&String> = said.iter().collect();
    assert_eq!(unique.len(), said.len(), "a name twice: {frame:?}");
    let mut top = value.as_object().unwrap().clone();
    assert!(top.remove("type").is_some_and(|kind| kind.is_string()));
    let (payload, data) = (top.remove("payload").unwrap(), top.remove("data").unwrap());
    assert_eq!(Value::Object(top), payload);
    assert_eq!(payload, data);
    assert!(value["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{value}");
    value
}

proptest! {
    #![proptest_config(goldenpath_proof::counted())]

    //= specs/wire.md#wire-54
    //= type=test
    //# Every durable event MUST have exactly one image in the older dialect, flat, with its fields
    //# repeated under `payload` and `data`.
    #[test]
    fn every_event_has_exactly_one_image(draft in arbitrary::draft(), seq in 1..1000u64, replay: bool) {
        let entry = Entry::decode(draft.encode().frame(Seq(seq), replay).bytes()).unwrap();
        let about = About { user_id: "ada", run_name: Some("mine"), answer: Some("42"), supervisor: None };
        let images: Vec<Value> = of_entry(&entry, &about).iter().map(check_flat).collect();
        let placed: Vec<&Value> = images.iter().filter(|image| image["seq"] == seq).collect();
        prop_assert_eq!(placed.len(), 1, "{:?}", images);
        let image = placed[0];
        prop_assert_eq!(image, images.last().unwrap());
        prop_assert_eq!(image["user_id"].as_str(), Some("ada"));
        prop_assert_eq!(image["replay"] == true, replay);
        prop_assert_eq!(&image["id"], &Value::from(entry.id.to_string()));
        prop_assert_eq!(&image["thread_id"], &Value::from(entry.thread_id.to_string()));
        if entry.run_id.is_some() {
            prop_assert_eq!(image["run_id"].as_str(), Some("mine"));
        }
        if let Some(agent) = &entry.agent {
            prop_assert_eq!(image["data"]["agent"].as_str(), Some(agent.name.as_str()));
            prop_assert_eq!(&image["agent_name"], &image["agent"]);
        }
        let ends = entry.event.terminal_status().is_some();
        prop_assert_eq!(image["type"] == "agent_completed", ends, "{}", image);
        let failed = image["status"] == "failed" && ends;
        prop_assert_eq!(images.len(), 1 + usize::from(failed));
        prop_assert!(!failed || images[0]["type"] == "agent_error");
    }

    //= specs/wire.md#wire-60
    //= type=test
    //# The older dialect MUST be read and written without panic, whatever the text.
    #[test]
    fn no_text_makes_it_panic(
        text in prop_oneof![
            "\\PC{0,60}",
            "\\{\"type\":\"[a-z_]{0,20}\",\"(run_id|thread_id|payload|id|metadata)\":(1|null|\"[a-z\\\\u0-9]{0,8}\"|\\{\\}|\\[\\])\\}",
        ],
    ) {
        let _ = hear(&text);
    }

    /// Whatever another client may say, an older one may say too, and it means the same.
    #[test]
    fn every_frame_is_read_as_from_anybody_else(body in arbitrary::client_body()) {
        let frame = crate::wire::ClientFrame { reply: Reply::None, body, claimed_user: None };
        let encoded = frame.encode();
        let limits = Limits::default();
        let Ok(plain) = decode(encoded.as_str(), &limits, NAMING) else { return Ok(()) };
        let older = read(encoded.as_str(), &limits, NAMING, &Mine).unwrap();
        let Heard::Frame { frame, .. } = older else { panic!("{older:?}") };
        match (plain.body, frame.body) {
            (ClientBody::UserMessage(mut plain), ClientBody::UserMessage(older)) => {
                plain.thread_id = plain.thread_id.or(Some(THREAD));
                prop_assert_eq!(plain, older);
            }
            (plain, older) => prop_assert_eq!(plain, older),
        }
    }
}

fn ends(event: Event) -> Vec<Value> {
    let draft = Draft {
        id: crate::id::EventId(1),
        thread_id: THREAD,
        epoch: crate::id::Epoch(1),
        ts: Wall(1_795_255_873_120),
        scope: Some(crate::wire::RunScope { run_id: crate::id::RunId(5), agent: None }),
        synthesized: false,
        event,
    };
    let entry = Entry::decode(draft.encode().frame(Seq(3), false).bytes()).unwrap();
    let about = About { user_id: "ada", ..About::default() };
    of_entry(&entry, &about).iter().map(check_flat).collect()
}

//= specs/wire.md#wire-56
//= type=test
//# A run that failed MUST be told as `agent_error`, then as its one `agent_completed` with `status`
//# `failed`.
#[test]
fn a_failed_run_is_an_error_and_then_completed_as_failed() {
    let error = crate::wire::ErrorInfo::new(ErrorCode::LlmUnavailable, "no model");
    let failures = [
        (
            Event::RunFailed { error, user_message: "Sorry.".into(), duration_ms: 7 },
            "llm_unavailable",
            "Sorry.",
        ),
        (
            Event::RunTimedOut { agent: None, duration_ms: 7, partial: false },
            "run_timeout",
            "The answer took too long.",
        ),
        (
            Event::RunInterrupted { reason: "crashed".into(), retryable: true },
            "agent_failed",
            "One of the agents failed. Please try again.",
        ),
    ];
    for (event, code, words) in failures {
        let frames = ends(event);
        let kinds: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["agent_error", "agent_completed"]);
        assert_eq!(frames[0]["error_code"], code);
        assert_eq!(frames[1]["status"], "failed");
        assert_eq!(frames[1]["final_response"], words);
    }
    let cancelled = ends(Event::RunCancelled { reason: "user".into(), duration_ms: 7 });
    assert_eq!((cancelled.len(), &cancelled[0]["status"]), (1, &Value::from("cancelled")));
}

//= specs/wire.md#wire-53
//= type=test
//# What an older client says without naming a thread MUST go to the thread of its handshake.
#[test]
fn a_message_goes_to_the_thread_of_the_handshake_unless_it_names_another() {
    for (word, kind) in WORDS {
        if *kind != kind_of("user_message").unwrap() {
            continue;
        }
        for thread in ["", r#","thread_id":null"#, r#","thread_id":"""#] {
            let text = format!(r#"{{"type":"{word}","payload":{{"content":"hi"{thread}}}}}"#);
            let ClientBody::UserMessage(message) = body(&text) else { panic!("{text}") };
            assert_eq!(
                (message.thread_id, message.content.as_str()),
                (Some(THREAD), "hi"),
                "{text}"
            );
        }
    }
    let other = ThreadId(77);
    let text = format!(r#"{{"type":"message","text":"hi","thread_id":"{other}"}}"#);
    let ClientBody::UserMessage(message) = body(&text) else { panic!("{text}") };
    assert_eq!(message.thread_id, Some(other));
    let refused = hear(r#"{"type":"message","text":"hi","thread_id":"chat-7"}"#).unwrap_err();
    assert_eq!(refused.fault.code, ErrorCode::ThreadNotFound);
}

#[test]
fn a_name_of_a_run_is_kept_with_its_message_and_understood_when_it_comes_back() {
    let text =
        r#"{"type":"user_message","payload":{"content":"hi","run_id":"r-1","metadata":{"a":[1]}}}"#;
    let Ok(Heard::Frame { frame, run_name }) = hear(text) else { panic!("{text}") };
    assert_eq!(run_name.as_deref(), Some("r-1"));
    let ClientBody::UserMessage(message) = frame.body else { panic!("{text}") };
    assert_eq!(message.metadata.unwrap().as_str(), r#"{"a":[1],"client_run_id":"r-1"}"#);
    for unusable in ["7", "[]", r#""""#, r#""a\nb""#] {
        let text = format!(r#"{{"type":"chat","text":"hi","run_id":{unusable}}}"#);
        let Ok(Heard::Frame { frame, run_name: None }) = hear(&text) else { panic!("{text}") };
        let ClientBody::UserMessage(message) = frame.body else { panic!("{text}") };
        assert_eq!(message.metadata, None, "{text}");
    }
    let cancel = body(r#"{"type":"stop_agent","payload":{"run_id":"mine"}}"#);
    assert_eq!(cancel, ClientBody::CancelRun { run_id: Some(crate::id::RunId(5)) });
    let unknown = hear(r#"{"type":"stop_agent","payload":{"run_id":"yours"}}"#).unwrap_err();
    assert_eq!(unknown.fault.code, ErrorCode::RunNotFound);
}

//= specs/wire.md#wire-58
//= type=test
//# A frame of an unknown type MUST be answered `ack` with its type and the status `acknowledged`.
#[test]
fn an_unknown_type_is_acknowledged_by_its_name() {
    let heard = hear(r#"{"type":"typing_started","id":"f1"}"#).unwrap();
    let reference = FrameRef::new("f1").unwrap();
    let reply = Reply::Ref(reference.clone());
    assert_eq!(heard, Heard::Unknown { reply, received_type: "typing_started".into() });
    let said = check_flat(&acknowledged(Some(&reference), "typing_started", Wall(0)));
    assert_eq!(said["type"], "ack");
    assert_eq!(
        (&said["received_type"], &said["status"]),
        (&"typing_started".into(), &"acknowledged".into())
    );
    assert_eq!(said["ref"], "f1");
    let long = format!(r#"{{"type":"{}"}}"#, "x".repeat(8000));
    let Ok(Heard::Unknown { received_type, .. }) = hear(&long) else { panic!("not unknown") };
    assert_eq!(received_type.len(), 64);
    let called = hear(r#"{"jsonrpc":"2.0","id":1,"method":"dance"}"#).unwrap_err();
    assert_eq!(called.fault.code, ErrorCode::UnknownType, "JSON-RPC has its own answer");
}

//= specs/wire.md#wire-59
//= type=test
//# What is refused MUST be answered with an `error` that has `error_code`, `error_message` and
//# `message`, and the connection kept as it would be for anybody.
#[test]
fn an_error_has_the_three_names_older_clients_look_for() {
    for code in ErrorCode::ALL {
        let frame = ServerFrame::Error(ErrorFrame::new(*code, "what is wrong"));
        let frame = frame.encode(&Reply::None, Announced { limits: &Limits::default() });
        let ServerEvent::Control { said, .. } = ServerEvent::decode(frame.as_str()) else {
            panic!("{frame:?}")
        };
        let image = check_flat(&of_control(&said, None, None, "ada", Wall(0)));
        assert_eq!(image["type"], "error");
        assert_eq!(image["error_code"], code.as_str());
        assert_eq!(
            (&image["error_message"], &image["message"]),
            (&"what is wrong".into(), &"what is wrong".into())
        );
        assert_eq!(image["recoverable"], code.is_retryable());
    }
}

#[test]
fn every_control_frame_has_a_flat_image_of_its_own_type() {
    for frame in super::super::tests::control_frames() {
        let encoded = frame.encode(&Reply::None, Announced { limits: &Limits::default() });
        let value: Value = serde_json::from_str(encoded.as_str()).unwrap();
        let ServerEvent::Control { said, .. } = ServerEvent::decode(encoded.as_str()) else {
            panic!("{encoded:?}")
        };
        let image = check_flat(&of_control(&said, None, Some("mine"), "ada", Wall(0)));
        let expected = match &said {
            Said::Ready(_) => Value::from("connection_established"),
            _ => value["type"].clone(),
        };
        assert_eq!(image["type"], expected);
    }
}
