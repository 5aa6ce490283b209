//! Threads: the list, one of them, its log.

use super::command::ask;
use super::{id, json, raw_json, reply};
use crate::app::App;
use crate::problem::Problem;
use crate::request::{self, caller, signed_in};
use bytes::{BufMut as _, BytesMut};
use goldenpath_core::connection::Identity;
use goldenpath_core::hub::{Load, Loaded};
use goldenpath_core::id::{Epoch, RunId, Seq, ThreadId};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{ClientBody, ErrorCode, Metadata, ThreadCommand};
use goldenpath_runtime::ports::{ThreadCursor, ThreadView};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// Threads in a page of the list, at most.
const PAGE: u32 = 100;
/// Entries in a page of a log, at most.
const LOG_PAGE: u64 = 1000;
/// Bytes of entries in a page of a log: the last one may go beyond.
const LOG_BYTES: usize = 4 * 1024 * 1024;
/// Longest title, in bytes.
const TITLE: usize = 200;

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct LogQuery {
    #[serde(default)]
    after_seq: u64,
    #[serde(default)]
    limit: Option<u64>,
}

/// What a client says of a thread; `null` is nothing said.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
}

/// A thread as it is shown; what a client keeps with it is given back byte for byte.
#[derive(Serialize)]
struct Shown<'a> {
    id: ThreadId,
    object: &'static str,
    title: &'a str,
    created_at: String,
    updated_at: String,
    updated_at_ms: Wall,
    epoch: Epoch,
    head_seq: Seq,
    message_count: u64,
    running_run_id: Option<RunId>,
    read_seq: Seq,
    metadata: &'a Metadata,
}

#[derive(Serialize)]
struct Listed<'a> {
    threads: Vec<Shown<'a>>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Done {
    result: Made,
}

#[derive(Deserialize)]
struct Made {
    thread_id: String,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let list = warp::path!("api" / "threads")
        .and(warp::get())
        .and(signed_in(app))
        .and(warp::query())
        .and(with())
        .and(caller())
        .then(|who, query, app: App, caller| async move {
            reply(caller, list(&app, &who, query).await)
        });
    let create = warp::path!("api" / "threads")
        .and(warp::post())
        .and(signed_in(app))
        .and(request::json(app))
        .and(with())
        .and(caller())
        .then(|who, body, app: App, caller| async move {
            reply(caller, create(&app, &who, body).await)
        });
    let one = warp::path!("api" / "threads" / String)
        .and(warp::get())
        .and(signed_in(app))
        .and(with())
        .and(caller())
        .then(|thread: String, who, app: App, caller| async move {
            reply(caller, one(&app, &who, &thread).await)
        });
    let rename = warp::path!("api" / "threads" / String)
        .and(warp::patch())
        .and(signed_in(app))
        .and(request::json(app))
        .and(with())
        .and(caller())
        .then(|thread: String, who, body, app: App, caller| async move {
            reply(caller, rename(&app, &who, &thread, body).await)
        });
    let delete = warp::path!("api" / "threads" / String)
        .and(warp::delete())
        .and(signed_in(app))
        .and(with())
        .and(caller())
        .then(|thread: String, who, app: App, caller| async move {
            reply(caller, delete(&app, &who, &thread).await)
        });
    let log = warp::path!("api" / "threads" / String / "log")
        .and(warp::get())
        .and(signed_in(app))
        .and(warp::query())
        .and(with())
        .and(caller())
        .then(|thread: String, who, query, app: App, caller| async move {
            reply(caller, log(&app, &who, &thread, query).await)
        });
    list.or(create)
        .unify()
        .or(one)
        .unify()
        .or(rename)
        .unify()
        .or(delete)
        .unify()
        .or(log)
        .unify()
        .boxed()
}

async fn list(app: &App, who: &Identity, query: ListQuery) -> Result<Reply, Problem> {
    let after = query.cursor.as_deref().map(cursor).transpose()?;
    let limit = query.limit.unwrap_or(30).clamp(1, PAGE);
    let page = app.0.directory.threads(&who.scope(), after, limit).await?;
    let next = page.next.map(|c| format!("{}-{}", c.updated_at.0, c.thread_id));
    let threads = page.items.iter().map(Shown::from).collect();
    Ok(json(StatusCode::OK, &Listed { threads, next_cursor: next }))
}

async fn create(app: &App, who: &Identity, body: Wanted) -> Result<Reply, Problem> {
    let (title, metadata) = (body.title.map(checked).transpose()?, body.metadata);
    let command = ClientBody::Thread(ThreadCommand::Create { title, metadata });
    let answered = ask(app, who, command).await?;
    let made: Done = serde_json::from_slice(&answered.into_bytes())
        .map_err(|_| Problem::of(ErrorCode::Internal, "the answer could not be read"))?;
    let mut reply = one(app, who, &made.result.thread_id).await?;
    *reply.status_mut() = StatusCode::CREATED;
    Ok(reply)
}

async fn one(app: &App, who: &Identity, thread: &str) -> Result<Reply, Problem> {
    let thread_id = thread_id(thread)?;
    let found = app.0.directory.thread(&who.scope(), thread_id).await?;
    let found = match found {
        Some(found) => found,
        None => announced(app, who, thread_id)?,
    };
    Ok(json(StatusCode::OK, &Shown::from(&found)))
}

/// A thread that an open socket of this user was told of: it is written with its first message, and
/// until then there is nothing in it.
//= specs/wire.md#wire-68
//# A thread named to an older client MUST read as empty until its first message, and only to the
//# user it was named to.
pub(super) fn announced(
    app: &App,
    who: &Identity,
    thread_id: ThreadId,
) -> Result<ThreadView, Problem> {
    if !app.0.connections.registry.has_announced(who.user_id(), thread_id) {
        return Err(missing());
    }
    let now = app.0.connections.clock.now().wall;
    Ok(ThreadView {
        thread_id,
        title: String::new(),
        created_at: now,
        updated_at: now,
        epoch: Epoch::default(),
        head: Seq::ZERO,
        message_count: 0,
        running: None,
        position: Seq::ZERO,
        metadata: Metadata::default(),
    })
}

async fn rename(app: &App, who: &Identity, thread: &str, body: Wanted) -> Result<Reply, Problem> {
    let thread_id = thread_id(thread)?;
    let (title, metadata) = (body.title.map(checked).transpose()?, body.metadata);
    if title.is_none() && metadata.is_none() {
        return Err(Problem::of(ErrorCode::ValidationFailed, "title or metadata is missing"));
    }
    let command = ThreadCommand::Rename { thread_id, title, metadata };
    ask(app, who, ClientBody::Thread(command)).await?;
    one(app, who, thread).await
}

async fn delete(app: &App, who: &Identity, thread: &str) -> Result<Reply, Problem> {
    let thread_id = thread_id(thread)?;
    ask(app, who, ClientBody::Thread(ThreadCommand::Delete { thread_id })).await?;
    Ok(json(StatusCode::OK, &value!({ "thread_id": thread_id, "deleted": true })))
}

async fn log(app: &App, who: &Identity, thread: &str, query: LogQuery) -> Result<Reply, Problem> {
    let thread_id = thread_id(thread)?;
    let store = &app.0.store;
    let loaded = store.load(&who.scope(), Load::Thread { thread_id }).await?;
    let Loaded::Thread(head) = loaded else { return Err(missing()) };
    let (after_seq, to_seq) = (Seq(query.after_seq), head.head);
    if after_seq > to_seq {
        return Err(Problem::of(ErrorCode::CursorInvalid, "after_seq is beyond the head"));
    }
    let limit = query.limit.unwrap_or(200).clamp(1, LOG_PAGE);
    let load = Load::Entries { thread_id, after_seq, to_seq, limit };
    let Loaded::Entries(entries) = store.load(&who.scope(), load).await? else {
        return Err(missing());
    };
    // The entries' own bytes are put in as they are: the same as on a socket (invariant 6).
    let mut body = BytesMut::new();
    let mut last = after_seq;
    for (seq, entry) in entries {
        if body.len() > LOG_BYTES {
            break;
        }
        if !body.is_empty() {
            body.put_u8(b',');
        }
        body.extend_from_slice(entry.frame(seq, true).bytes());
        last = seq;
    }
    let more = if last < to_seq { value!(last) } else { Value::Null };
    let mut whole = BytesMut::from(
        format!(
            "{{\"thread_id\":\"{thread_id}\",\"epoch\":\"{}\",\"head_seq\":{to_seq},\"next_after_seq\":{more},\"entries\":[",
            head.epoch
        )
        .as_bytes(),
    );
    whole.extend_from_slice(&body);
    whole.extend_from_slice(b"]}");
    Ok(raw_json(StatusCode::OK, whole.freeze()))
}

pub(super) fn thread_id(text: &str) -> Result<ThreadId, Problem> {
    id(text, ErrorCode::ThreadNotFound)
}

pub(super) fn missing() -> Problem {
    Problem::of(ErrorCode::ThreadNotFound, "there is no such thread")
}

fn cursor(text: &str) -> Result<ThreadCursor, Problem> {
    let wrong = || Problem::of(ErrorCode::CursorInvalid, "cursor is none of ours");
    let (updated_at, thread_id) = text.split_once('-').ok_or_else(wrong)?;
    let updated_at = Wall(updated_at.parse().map_err(|_| wrong())?);
    Ok(ThreadCursor { updated_at, thread_id: thread_id.parse().map_err(|_| wrong())? })
}

fn checked(title: String) -> Result<String, Problem> {
    let title = title.trim().to_owned();
    if title.is_empty() || title.len() > TITLE || title.chars().any(char::is_control) {
        let detail = "title must have 1 to 200 bytes without control characters";
        return Err(Problem::of(ErrorCode::ValidationFailed, detail));
    }
    Ok(title)
}

impl<'a> From<&'a ThreadView> for Shown<'a> {
    fn from(thread: &'a ThreadView) -> Self {
        Self {
            id: thread.thread_id,
            object: "thread",
            title: &thread.title,
            created_at: thread.created_at.to_rfc3339().to_string(),
            updated_at: thread.updated_at.to_rfc3339().to_string(),
            updated_at_ms: thread.updated_at,
            epoch: thread.epoch,
            head_seq: thread.head,
            message_count: thread.message_count,
            running_run_id: thread.running,
            read_seq: thread.position,
            metadata: &thread.metadata,
        }
    }
}
