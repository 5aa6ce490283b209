//! What the property tests of the wire draw from: any event, any client frame.

use super::{
    AgentRef, AgentStatus, ClientBody, Credential, Draft, ErrorCode, ErrorInfo, Event, Feedback,
    Json, Level, Metadata, MultitaskStrategy, OnDisconnect, PlanStep, Progress, ResumePoint,
    RunScope, RunStatus, Secret, ThoughtKind, ThreadCommand, ToolCount, ToolStatus, Usage,
    UserMessage,
};
use crate::id::{
    AgentRunId, ClientMsgId, Epoch, EventId, MessageId, Name, RunId, Seq, ThreadId, ToolCallId,
};
use crate::time::Wall;
use alloc::string::String;
use alloc::vec::Vec;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const EXACT: u64 = (1 << 53) - 1;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "\\PC{0,20}", "[\\n\\t\"\\\\<>\u{0}-\u{1f}😀]{0,8}"]
}

/// Text without NUL that is not blank: what a client may say.
fn said() -> impl Strategy<Value = String> {
    "[a-zé\"\\\\\\n😀]{1,20}".prop_filter("not blank", |text| !text.trim().is_empty())
}

fn name() -> impl Strategy<Value = Name> {
    "[a-z_]{1,64}".prop_map(|text| Name::new(&text).unwrap())
}

fn client_msg_id() -> impl Strategy<Value = ClientMsgId> {
    "[!-~é]{1,64}".prop_map(|text| ClientMsgId::new(&text).unwrap())
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            vec((text(), inner), 0..4)
                .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
        ]
    })
    .prop_map(|value| Json::encode(&value).unwrap())
}

fn object() -> impl Strategy<Value = Json> {
    json().prop_map(|inner| Json::parse(&alloc::format!("{{\"a\":{}}}", inner.as_str())).unwrap())
}

/// JSON that may stand where `null` would mean absence.
fn some_json() -> impl Strategy<Value = Json> {
    json().prop_filter("null is absence", |json| !json.is_null())
}

fn code() -> impl Strategy<Value = ErrorCode> {
    proptest::sample::select(ErrorCode::ALL)
}

fn error() -> impl Strategy<Value = ErrorInfo> {
    (code(), text(), any::<bool>()).prop_map(|(code, message, retryable)| ErrorInfo {
        code,
        message,
        retryable,
    })
}

fn usage() -> impl Strategy<Value = Usage> {
    any::<(u64, u64, u64)>().prop_map(|(input_tokens, output_tokens, cost_micro_usd)| Usage {
        input_tokens,
        output_tokens,
        cost_micro_usd,
    })
}

fn agent_status() -> impl Strategy<Value = AgentStatus> {
    use AgentStatus as S;
    proptest::sample::select(
        &[S::Completed, S::Failed, S::TimedOut, S::Cancelled, S::Skipped, S::Degraded][..],
    )
}

fn tool_status() -> impl Strategy<Value = ToolStatus> {
    use ToolStatus as S;
    proptest::sample::select(
        &[S::Completed, S::Failed, S::TimedOut, S::Cancelled, S::Abandoned][..],
    )
}

fn conversation() -> impl Strategy<Value = Event> {
    let message = (any::<u128>(), client_msg_id(), text(), option::of(some_json()));
    prop_oneof![
        text().prop_map(|title| Event::ThreadCreated { title }),
        text().prop_map(|title| Event::ThreadUpdated { title }),
        message.prop_map(|(id, client_msg_id, content, metadata)| Event::UserMessage {
            message_id: MessageId(id),
            client_msg_id,
            content,
            metadata
        }),
        (any::<u128>(), text(), any::<bool>()).prop_map(|(id, content, partial)| {
            Event::AssistantMessage { message_id: MessageId(id), content, partial }
        }),
        (text(), text(), json()).prop_map(|(request_id, title, details)| {
            Event::ApprovalRequested { request_id, title, details }
        }),
    ]
}

fn of_a_run() -> impl Strategy<Value = Event> {
    let step = (name(), text()).prop_map(|(agent, title)| PlanStep { agent, title });
    let on_disconnect =
        proptest::sample::select(&[OnDisconnect::Continue, OnDisconnect::Cancel][..]);
    let ended = proptest::sample::select(&[RunStatus::Completed, RunStatus::Degraded][..]);
    prop_oneof![
        (any::<u128>(), any::<u32>(), on_disconnect).prop_map(|(id, position, on_disconnect)| {
            Event::RunQueued { message_id: MessageId(id), position, on_disconnect }
        }),
        any::<(u32, u64)>()
            .prop_map(|(attempt, at)| Event::RunStarted { attempt, deadline_at: Wall(at) }),
        (text(), vec(step, 0..5)).prop_map(|(route, steps)| Event::RunPlan { route, steps }),
        (ended, any::<u64>(), usage()).prop_map(|(status, duration_ms, usage)| {
            Event::RunCompleted { status, duration_ms, usage }
        }),
        (error(), text(), any::<u64>()).prop_map(|(error, user_message, duration_ms)| {
            Event::RunFailed { error, user_message, duration_ms }
        }),
        (option::of(name()), any::<u64>(), any::<bool>()).prop_map(
            |(agent, duration_ms, partial)| Event::RunTimedOut { agent, duration_ms, partial }
        ),
        (text(), any::<u64>())
            .prop_map(|(reason, duration_ms)| Event::RunCancelled { reason, duration_ms }),
        (text(), any::<bool>())
            .prop_map(|(reason, retryable)| Event::RunInterrupted { reason, retryable }),
    ]
}

fn of_an_agent() -> impl Strategy<Value = Event> {
    let kind = proptest::sample::select(&[ThoughtKind::Status, ThoughtKind::Reasoning][..]);
    let progress = any::<(u64, u64)>().prop_map(|(done, total)| Progress { done, total });
    let executing = (any::<u128>(), name(), text(), json(), any::<bool>(), any::<u64>());
    let completed = (
        (any::<u128>(), name(), tool_status(), any::<u64>(), json()),
        (option::of(text()), any::<bool>(), option::of(error()), any::<u32>()),
    );
    let done = (
        (agent_status(), any::<u64>(), text(), option::of(some_json())),
        (option::of(error()), usage(), any::<(u32, u32)>()),
    );
    prop_oneof![
        (text(), text(), any::<(u32, u32, u64)>()).prop_map(|(title, task, (step, of, at))| {
            Event::AgentStarted { title, task, step, of, deadline_at: Wall(at) }
        }),
        (any::<u32>(), text(), kind, option::of(progress)).prop_map(
            |(thought_id, text, kind, progress)| Event::AgentThinking {
                thought_id,
                text,
                kind,
                progress
            }
        ),
        executing.prop_map(|(id, tool, title, args, args_truncated, at)| Event::ToolExecuting {
            tool_call_id: ToolCallId(id),
            tool,
            title,
            args,
            args_truncated,
            deadline_at: Wall(at),
        }),
        completed.prop_map(|((id, tool, status, duration_ms, result), rest)| {
            let (result_ref, truncated, error, attempt) = rest;
            let tool_call_id = ToolCallId(id);
            Event::ToolCompleted {
                tool_call_id,
                tool,
                status,
                duration_ms,
                result,
                result_ref,
                truncated,
                error,
                attempt,
            }
        }),
        done.prop_map(|((status, duration_ms, summary, output), (error, usage, tools))| {
            let tools = ToolCount { total: tools.0, failed: tools.1 };
            Event::AgentCompleted { status, duration_ms, summary, output, error, usage, tools }
        }),
    ]
}

fn scope() -> impl Strategy<Value = RunScope> {
    let agent = (name(), any::<u128>(), option::of(any::<u128>()), any::<u32>()).prop_map(
        |(name, id, parent, attempt)| AgentRef {
            name,
            agent_run_id: AgentRunId(id),
            parent: parent.map(AgentRunId),
            attempt,
        },
    );
    (any::<u128>(), option::of(agent)).prop_map(|(id, agent)| RunScope { run_id: RunId(id), agent })
}

/// Any entry of a log.
pub(super) fn draft() -> impl Strategy<Value = Draft> {
    let event = prop_oneof![conversation(), of_a_run(), of_an_agent()];
    let ids = any::<(u128, u128, u32, bool)>();
    (ids, 0..253_402_300_799_999_u64, option::of(scope()), event).prop_map(
        |((id, thread, epoch, synthesized), ts, scope, event)| Draft {
            id: EventId(id),
            thread_id: ThreadId(thread),
            epoch: Epoch(epoch),
            ts: Wall(ts),
            scope,
            synthesized,
            event,
        },
    )
}

fn thread_id() -> impl Strategy<Value = ThreadId> {
    any::<u128>().prop_map(ThreadId)
}

fn run_id() -> impl Strategy<Value = RunId> {
    any::<u128>().prop_map(RunId)
}

fn seq() -> impl Strategy<Value = Seq> {
    (0..=EXACT).prop_map(Seq)
}

fn points() -> impl Strategy<Value = Vec<ResumePoint>> {
    let point =
        (thread_id(), option::of(any::<u32>()), seq()).prop_map(|(thread_id, epoch, after_seq)| {
            ResumePoint { thread_id, epoch: epoch.map(Epoch), after_seq }
        });
    vec(point, 0..4)
}

fn user_message() -> impl Strategy<Value = UserMessage> {
    use MultitaskStrategy as M;
    (
        (client_msg_id(), said(), option::of(thread_id())),
        proptest::sample::select(&[M::Enqueue, M::Reject, M::Interrupt][..]),
        proptest::sample::select(&[OnDisconnect::Continue, OnDisconnect::Cancel][..]),
        (option::of(seq()), option::of(object())),
    )
        .prop_map(|((client_msg_id, content, thread_id), multitask, on_disconnect, rest)| {
            UserMessage {
                client_msg_id,
                content,
                thread_id,
                multitask,
                on_disconnect,
                expected_head_seq: rest.0,
                metadata: rest.1,
            }
        })
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let field = ("[a-zé]{0,8}", json());
    field.prop_map(|(name, value)| {
        let object = alloc::collections::BTreeMap::from([(name, value)]);
        Metadata::new(Json::encode(&object).unwrap()).unwrap()
    })
}

fn thread_command() -> impl Strategy<Value = ThreadCommand> {
    prop_oneof![
        (option::of(said()), option::of(metadata()))
            .prop_map(|(title, metadata)| ThreadCommand::Create { title, metadata }),
        thread_id().prop_map(|thread_id| ThreadCommand::Delete { thread_id }),
        (thread_id(), seq(), 1..500u32).prop_map(|(thread_id, after_seq, limit)| {
            ThreadCommand::History { thread_id, after_seq, limit }
        }),
        (1..500u32).prop_map(|limit| ThreadCommand::List { limit }),
        (thread_id(), option::of(said()), option::of(metadata()))
            .prop_filter("one of them is given", |(_, title, metadata)| {
                title.is_some() || metadata.is_some()
            })
            .prop_map(|(thread_id, title, metadata)| ThreadCommand::Rename {
                thread_id,
                title,
                metadata,
            }),
    ]
}

/// Any valid client frame's body.
pub(super) fn client_body() -> impl Strategy<Value = ClientBody> {
    let credential = prop_oneof![
        "[a-z.]{1,20}".prop_map(|token| Credential::Token(Secret(token))),
        "[a-z.]{1,20}".prop_map(|ticket| Credential::Ticket(Secret(ticket))),
    ];
    let talk = prop_oneof![
        user_message().prop_map(ClientBody::UserMessage),
        option::of(run_id()).prop_map(|run_id| ClientBody::CancelRun { run_id }),
        run_id().prop_map(|run_id| ClientBody::CancelQueued { run_id }),
        (run_id(), "[a-z]{1,20}", any::<bool>(), option::of(said())).prop_map(
            |(run_id, request_id, approved, note)| ClientBody::Approval {
                run_id,
                request_id,
                approved,
                note
            }
        ),
        (any::<u128>(), 1..=5u8, option::of(said())).prop_map(|(id, rating, comment)| {
            ClientBody::Feedback(Feedback { message_id: MessageId(id), rating, comment })
        }),
        thread_command().prop_map(ClientBody::Thread),
    ];
    let level = proptest::sample::select(&[Level::Full, Level::Summary][..]);
    let reading = prop_oneof![
        points().prop_map(|threads| ClientBody::Resume { threads }),
        (thread_id(), level)
            .prop_map(|(thread_id, level)| ClientBody::Subscribe { thread_id, level }),
        thread_id().prop_map(|thread_id| ClientBody::Unsubscribe { thread_id }),
        (thread_id(), 0..EXACT, 1..1000u64).prop_map(|(thread_id, after, more)| {
            let (after_seq, to_seq) = (Seq(after), Seq((after + more).min(EXACT)));
            ClientBody::GapRequest { thread_id, after_seq, to_seq }
        }),
        (thread_id(), seq()).prop_map(|(thread_id, seq)| ClientBody::Received { thread_id, seq }),
    ];
    prop_oneof![
        (credential, points())
            .prop_map(|(credential, resume)| ClientBody::Auth { credential, resume }),
        "[a-z.]{1,20}".prop_map(|token| ClientBody::AuthRefresh { token: Secret(token) }),
        option::of(some_json()).prop_map(|nonce| ClientBody::Ping { nonce }),
        Just(ClientBody::Pong),
        talk,
        reading,
    ]
}
