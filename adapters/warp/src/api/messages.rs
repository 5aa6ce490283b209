//! Messages: reading them, and saying something without a socket.

use super::command::ask;
use super::threads::{announced, thread_id};
use super::{json, reply};
use crate::app::App;
use crate::problem::Problem;
use crate::request::{self, caller, signed_in};
use goldenpath_core::connection::Identity;
use goldenpath_core::id::{ClientMsgId, Seq, ThreadId};
use goldenpath_core::wire::{
    ClientBody, ErrorCode, Json, MultitaskStrategy, OnDisconnect, UserMessage,
};
use goldenpath_runtime::ports::{MessageRange, MessageView};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// Messages in a page, at most.
const PAGE: u32 = 200;

#[derive(Deserialize)]
struct RangeQuery {
    #[serde(default)]
    after_seq: Option<u64>,
    #[serde(default)]
    before_seq: Option<u64>,
    #[serde(default)]
    limit: Option<u32>,
}

/// What somebody says, under the names it may have.
#[derive(Default, Deserialize)]
pub(super) struct Said {
    #[serde(default, alias = "text", alias = "message")]
    pub(super) content: Option<String>,
    #[serde(default)]
    pub(super) client_msg_id: Option<ClientMsgId>,
    #[serde(default)]
    pub(super) thread_id: Option<String>,
    #[serde(default)]
    pub(super) message_type: Option<String>,
    #[serde(default)]
    pub(super) multitask_strategy: MultitaskStrategy,
    #[serde(default)]
    pub(super) expected_head_seq: Option<Seq>,
    #[serde(default)]
    pub(super) metadata: Option<Json>,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let list = warp::path!("api" / "threads" / String / "messages")
        .and(warp::get())
        .and(signed_in(app))
        .and(warp::query())
        .and(with())
        .and(caller())
        .then(|thread: String, who, query, app: App, caller| async move {
            reply(caller, list(&app, &who, &thread, &query).await)
        });
    let say_there = warp::path!("api" / "threads" / String / "messages")
        .and(warp::post())
        .and(signed_in(app))
        .and(request::json(app))
        .and(with())
        .and(caller())
        .then(|thread: String, who, body, app: App, caller| async move {
            let said = match thread_id(&thread) {
                Ok(thread_id) => say(&app, &who, Some(thread_id), body).await,
                Err(problem) => Err(problem),
            };
            reply(caller, said.map(accepted))
        });
    let say_anywhere = warp::path!("api" / "messages")
        .and(warp::post())
        .and(signed_in(app))
        .and(request::json(app))
        .and(with())
        .and(caller())
        .then(|who, body: Said, app: App, caller| async move {
            let said = match body.thread_id.as_deref().map(thread_id).transpose() {
                Ok(thread_id) => say(&app, &who, thread_id, body).await,
                Err(problem) => Err(problem),
            };
            reply(caller, said.map(accepted))
        });
    list.or(say_there).unify().or(say_anywhere).unify().boxed()
}

async fn list(
    app: &App,
    who: &Identity,
    thread: &str,
    query: &RangeQuery,
) -> Result<Reply, Problem> {
    let thread_id = thread_id(thread)?;
    let range = MessageRange {
        after: Seq(query.after_seq.unwrap_or(0)),
        before: Seq(query.before_seq.unwrap_or(u64::MAX)),
        limit: query.limit.unwrap_or(50).clamp(1, PAGE),
        newest: query.after_seq.is_none(),
    };
    let found = app.0.directory.messages(&who.scope(), thread_id, range).await?;
    let found = match found {
        Some(found) => found,
        None => announced(app, who, thread_id).map(|_| Vec::new())?,
    };
    let messages: Vec<Value> = found.iter().map(view).collect();
    Ok(json(StatusCode::OK, &value!({ "thread_id": thread_id, "messages": messages })))
}

fn accepted(message: Value) -> Reply {
    json(StatusCode::ACCEPTED, &message)
}

/// Answered with the `ack`, after the commit (DLV-12), and beside it the message as it is listed.
pub(super) async fn say(
    app: &App,
    who: &Identity,
    thread_id: Option<ThreadId>,
    said: Said,
) -> Result<Value, Problem> {
    let invalid = |detail: String| Problem::of(ErrorCode::ValidationFailed, detail);
    let content = said.content.filter(|content| !content.trim().is_empty());
    let content = content.ok_or_else(|| invalid("content is missing".into()))?;
    let most = app.0.connections.limits.content_bytes;
    if content.len() > most {
        let detail = format!("content is longer than {most} bytes");
        return Err(Problem::of(ErrorCode::MessageTooLarge, detail));
    }
    if content.contains('\0') {
        return Err(invalid("content holds a NUL character".into()));
    }
    let metadata = said.metadata.filter(|metadata| !metadata.is_null());
    if let Some(why) = metadata.as_ref().and_then(|metadata| metadata.check_object().err()) {
        return Err(invalid(format!("metadata (or context) {why}")));
    }
    let client_msg_id = match said.client_msg_id {
        Some(id) => id,
        None => ClientMsgId::new(&app.0.connections.draw_request_id().to_string())
            .map_err(|_| invalid("client_msg_id is missing".into()))?,
    };
    let message = UserMessage {
        client_msg_id,
        content,
        thread_id,
        multitask: said.multitask_strategy,
        // Nobody is connected, so nobody's leaving can mean anything.
        on_disconnect: OnDisconnect::Continue,
        expected_head_seq: said.expected_head_seq,
        metadata,
    };
    let (content, metadata) = (message.content.clone(), message.metadata.clone());
    let created_at = app.0.connections.clock.now().wall.to_rfc3339().to_string();
    let answered = ask(app, who, ClientBody::UserMessage(message)).await?;
    let mut message: Value = serde_json::from_slice(&answered.into_bytes())
        .map_err(|_| Problem::of(ErrorCode::Internal, "the answer could not be read"))?;
    message["id"] = message["message_id"].clone();
    message["role"] = "user".into();
    message["content"] = content.into();
    message["metadata"] = value!(metadata);
    message["created_at"] = created_at.into();
    Ok(message)
}

pub(super) fn view(message: &MessageView) -> Value {
    value!({
        "id": message.message_id,
        "thread_id": message.thread_id,
        "seq": message.seq,
        "run_id": message.run_id,
        "role": message.role.as_str(),
        "content": message.content,
        "metadata": message.metadata,
        "created_at": message.at.to_rfc3339().to_string(),
    })
}
