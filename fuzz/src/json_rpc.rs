//! JSON-RPC 2.0: requests against a reading of the specification of our own, and answers that are
//! responses and say what the plain answer says.

use crate::client_frame::{read, response};
use crate::draw::{json, quoted, run, seq, text, thread};
use crate::frames::Pieces;
use arbitrary::{Result, Unstructured};
use goldenpath_core::id::{
    ClientMsgId, ConnectionId, Epoch, MessageId, RequestId, SessionId, UserId,
};
use goldenpath_core::limits::Limits;
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{
    AckFrame, ActiveRun, Announced, AuthMethod, CloseCode, ErrorCode, ErrorFrame, Head, Json,
    ReadyFrame, Reply, Resumed, RunStatus, ServerFrame, error_number, kind_of,
};
use serde_json::Value;

/// The longest id that is echoed, in bytes of JSON.
const ID_BYTES: usize = 130;

/// Text that begins like JSON is a request as it is; anything else draws a request and an answer.
pub fn json_rpc(data: &[u8]) {
    if matches!(data.first(), Some(b'{')) {
        let _ = read(&String::from_utf8_lossy(data));
        return;
    }
    let mut u = Unstructured::new(data);
    let _ = if data.first().is_some_and(|first| first % 2 == 0) {
        request(&mut u)
    } else {
        answer(&mut u)
    };
}

/// What the specification says about a request, in the order its parts are looked at.
enum Expected {
    Refused(ErrorCode, Reply),
    /// The envelope is good; the rest is the frame's own matter.
    Taken(Reply),
}

fn request(u: &mut Unstructured<'_>) -> Result<()> {
    let pieces = Pieces::draw(u)?;
    let id = match u.int_in_range(0..=5)? {
        0 => None,
        1 => Some("17".to_owned()),
        2 => Some(quoted(&text(u)?)),
        _ => Some(json(u, 1)?),
    };
    let version = match u.int_in_range(0..=7)? {
        0 => json(u, 1)?,
        1 => "\"1.0\"".into(),
        _ => "\"2.0\"".into(),
    };
    let method = match u.int_in_range(0..=7)? {
        0 => None,
        1 => Some(json(u, 1)?),
        _ => Some(quoted(&pieces.word)),
    };
    let params = match u.int_in_range(0..=7)? {
        0 => None,
        1 => Some(json(u, 1)?),
        _ => Some(pieces.object(false)),
    };
    let mut members = vec![format!("\"jsonrpc\":{version}")];
    let named = [("id", &id), ("method", &method), ("params", &params)];
    for (name, value) in named.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        members.push(format!("\"{name}\":{value}"));
    }
    let text = format!("{{{}}}", members.join(","));
    let result = read(&text);
    if text.len() > Limits::default().message_bytes {
        return Ok(());
    }
    let expected = expected(id.as_deref(), &version, method.as_deref(), params.as_deref());
    match (expected, result) {
        (Expected::Refused(code, reply), Err(refused)) => {
            assert_eq!((refused.fault.code, refused.reply), (code, reply), "{text}");
        }
        (Expected::Taken(reply), Ok(frame)) => assert_eq!(frame.reply, reply, "{text}"),
        (Expected::Taken(reply), Err(refused)) => {
            assert_eq!(refused.reply, reply, "{text}");
            let envelope =
                [ErrorCode::InvalidJson, ErrorCode::InvalidFrame, ErrorCode::UnknownType];
            assert!(!envelope.contains(&refused.fault.code), "{text}: {refused:?}");
        }
        (Expected::Refused(code, _), Ok(frame)) => panic!("{code} expected for {text}: {frame:?}"),
    }
    Ok(())
}

fn expected(
    id: Option<&str>,
    version: &str,
    method: Option<&str>,
    params: Option<&str>,
) -> Expected {
    let text_of = |raw: &str| serde_json::from_str::<String>(raw).ok();
    let is_id = |raw: &str| {
        let number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        raw.len() <= ID_BYTES && (raw == "null" || number || text_of(raw).is_some())
    };
    let echoed = |raw: &str| Json::parse(raw).map(Reply::JsonRpc).expect("JSON was drawn");
    let reply = match id {
        None => Reply::None,
        Some(raw) if is_id(raw) => echoed(raw),
        Some(_) => return Expected::Refused(ErrorCode::InvalidFrame, echoed("null")),
    };
    if text_of(version).as_deref() != Some("2.0") {
        return Expected::Refused(ErrorCode::InvalidFrame, reply);
    }
    let Some(word) = method.and_then(text_of) else {
        return Expected::Refused(ErrorCode::InvalidFrame, reply);
    };
    if params.is_some_and(|params| params != "null" && !params.starts_with('{')) {
        return Expected::Refused(ErrorCode::ValidationFailed, reply);
    }
    // Names that are no text make an object unreadable before its fields are looked at.
    if params.is_some_and(|params| params.contains("\\ud800\" :")) {
        return Expected::Refused(ErrorCode::ValidationFailed, reply);
    }
    if kind_of(&word).is_none() {
        return Expected::Refused(ErrorCode::UnknownType, reply);
    }
    Expected::Taken(reply)
}

/// An answer as JSON-RPC is a response, and its content is that of the plain answer.
fn answer(u: &mut Unstructured<'_>) -> Result<()> {
    let frame = server_frame(u)?;
    let id = Json::parse(u.choose(&["17", "-1", "1.5", "\"c1\"", "\"\\u00e9\"", "null"])?)
        .expect("these are JSON");
    let limits = Limits::default();
    let write = |reply: &Reply| frame.encode(reply, Announced { limits: &limits });
    let plain: Value = serde_json::from_str(write(&Reply::None).as_str()).expect("a frame is JSON");
    let text = write(&Reply::JsonRpc(id.clone()));
    // What is passing answers nobody.
    if matches!(frame, ServerFrame::ToolProgress { .. }) {
        assert_eq!(text, write(&Reply::None));
        return Ok(());
    }
    let answer = response(text.as_str(), &id);
    if let ServerFrame::Error(error) = &frame {
        assert_eq!(answer["error"]["code"], error_number(error.code));
        assert_eq!(answer["error"]["message"], error.message.as_str());
        assert_eq!(answer["error"]["data"], plain["payload"]);
    } else {
        let mut result = answer["result"].clone();
        let kind = result.as_object_mut().and_then(|result| result.remove("type"));
        assert_eq!((kind.as_ref(), &result), (plain.get("type"), &plain["payload"]));
    }
    Ok(())
}

/// Anything a server may say besides entries.
pub(crate) fn server_frame(u: &mut Unstructured<'_>) -> Result<ServerFrame> {
    let code = *u.choose(ErrorCode::ALL)?;
    Ok(match u.int_in_range(0..=19)? {
        0 => ServerFrame::AuthOk {
            token_expires_at: u.arbitrary::<Option<u32>>()?.map(|at| Wall(at.into())),
        },
        1 => ServerFrame::AuthRequired { timeout: Millis(u.arbitrary()?) },
        2 => ServerFrame::Disconnect {
            code: *u.choose(CloseCode::ALL)?,
            reconnect_after: u.arbitrary::<Option<u32>>()?.map(|ms| Millis(ms.into())),
        },
        3 => ServerFrame::Done {
            what: "create_thread",
            result: Json::parse(u.choose(&["{}", "{\"thread_id\":1}"])?).expect("this is JSON"),
        },
        4 => ServerFrame::Error(ErrorFrame {
            retry_after: u.arbitrary::<Option<u16>>()?.map(|ms| Millis(ms.into())),
            fatal: u.arbitrary()?,
            details: u
                .arbitrary::<bool>()?
                .then(|| any_json(u))
                .transpose()?
                .filter(|json| !json.is_null()),
            request_id: u.arbitrary::<Option<u64>>()?.map(|id| RequestId(id.into())),
            ..ErrorFrame::new(code, text(u)?)
        }),
        5 | 6 => ServerFrame::Ping { heads: heads(u)? },
        7 => ServerFrame::Pong { nonce: u.arbitrary::<bool>()?.then(|| any_json(u)).transpose()? },
        8 => ServerFrame::RateLimit { retry_after: Millis(u.arbitrary::<u16>()?.into()) },
        9 => ServerFrame::ReplayComplete { thread_id: thread(u)?, to_seq: seq(u)? },
        10..=12 => ServerFrame::Resumed { threads: resumed(u)? },
        13 => ServerFrame::ServerDraining { reconnect_after: Millis(u.arbitrary::<u16>()?.into()) },
        14 => ServerFrame::ServiceStatus {
            degraded: if u.arbitrary()? { vec![text(u)?] } else { Vec::new() },
        },
        15 => ServerFrame::TokenExpiring { expires_at: Wall(u.arbitrary()?) },
        16 => ServerFrame::ToolProgress {
            thread_id: thread(u)?,
            run_id: run(u)?,
            tool_call_id: goldenpath_core::id::ToolCallId(u.arbitrary()?),
            done: u.arbitrary()?,
            total: u.arbitrary()?,
            text: text(u)?,
        },
        17 => ServerFrame::Ack(ack(u, "m1")?),
        _ => ServerFrame::Ready(ready(u)?),
    })
}

/// An `ack` for a message of this name.
pub(crate) fn ack(u: &mut Unstructured<'_>, name: &str) -> Result<AckFrame> {
    Ok(AckFrame {
        duplicate: u.arbitrary()?,
        client_msg_id: ClientMsgId::new(name).expect("a name"),
        message_id: MessageId(3),
        thread_id: thread(u)?,
        run_id: run(u)?,
        run_status: RunStatus::Queued,
        queue_position: u.arbitrary()?,
        seq: seq(u)?,
    })
}

/// A `connection_ready`.
pub(crate) fn ready(u: &mut Unstructured<'_>) -> Result<ReadyFrame> {
    Ok(ReadyFrame {
        connection_id: ConnectionId(7),
        user_id: UserId::new("ada").expect("a name"),
        session_id: SessionId(8),
        auth_method: AuthMethod::Subprotocol,
        mode: "normal",
        server_time: Wall(u.arbitrary()?),
        token_expires_at: u.arbitrary::<Option<u32>>()?.map(|at| Wall(at.into())),
        resume: if u.arbitrary()? { resumed(u)? } else { Vec::new() },
        active_runs: if u.arbitrary()? {
            vec![ActiveRun { run_id: run(u)?, thread_id: thread(u)?, status: RunStatus::Running }]
        } else {
            Vec::new()
        },
        degraded: if u.arbitrary()? { vec![text(u)?] } else { Vec::new() },
    })
}

fn heads(u: &mut Unstructured<'_>) -> Result<Vec<Head>> {
    let mut heads = Vec::new();
    for _ in 0..u.int_in_range(0..=3)? {
        heads.push(Head { thread_id: thread(u)?, seq: seq(u)? });
    }
    Ok(heads)
}

fn resumed(u: &mut Unstructured<'_>) -> Result<Vec<Resumed>> {
    let mut threads = Vec::new();
    for _ in 0..u.int_in_range(0..=3)? {
        let recovered = u.ratio(2, 3)?;
        let reasons = [
            ErrorCode::ThreadNotFound,
            ErrorCode::EpochMismatch,
            ErrorCode::ReplayTooLarge,
            ErrorCode::StorageUnavailable,
        ];
        let epoch = if u.ratio(7, 8)? { Some(Epoch(u.int_in_range(1..=2)?)) } else { None };
        threads.push(Resumed {
            thread_id: thread(u)?,
            recovered,
            epoch,
            from_seq: seq(u)?,
            to_seq: seq(u)?,
            reason: if recovered { None } else { Some(*u.choose(&reasons)?) },
            snapshot_url: None,
        });
    }
    Ok(threads)
}

fn any_json(u: &mut Unstructured<'_>) -> Result<Json> {
    let text = json(u, 2)?;
    // A server's own JSON is flat, and it reads nothing that is too deep inside its own frames.
    let value = if text.contains("[[[") {
        Value::Null
    } else {
        serde_json::from_str(&text).unwrap_or(Value::Null)
    };
    Ok(Json::encode(&value).expect("a value is JSON"))
}
