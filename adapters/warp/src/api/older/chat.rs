//! Messages as the replaced system listed them: in pages, counted.

use super::super::messages::{Said, say};
use super::super::threads::{announced, missing, thread_id};
use super::super::{json, reply};
use crate::app::App;
use crate::problem::Problem;
use crate::request::{self, caller, signed_in};
use goldenpath_core::connection::Identity;
use goldenpath_core::id::ThreadId;
use goldenpath_core::wire::ErrorCode;
use goldenpath_runtime::ports::{MessageRange, MessageView};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// Messages in a page, at most.
const PAGE: u32 = 100;
/// Messages before and in a page, at most: all of them are read.
const REACH: u32 = 2000;

#[derive(Deserialize)]
struct PageQuery {
    #[serde(default)]
    thread_id: Option<String>,
    #[serde(default)]
    page: Option<u32>,
    #[serde(default, alias = "limit")]
    page_size: Option<u32>,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let list = warp::path!("api" / "chat" / "messages")
        .and(warp::get())
        .and(signed_in(app))
        .and(warp::query())
        .and(with())
        .and(caller())
        .then(|who, query, app: App, caller| async move {
            reply(caller, list(&app, &who, query).await)
        });
    let write =
        warp::path!("api" / "chat" / "messages")
            .and(warp::post())
            .and(signed_in(app))
            .and(request::json(app))
            .and(with())
            .and(caller())
            .then(|who, body, app: App, caller| async move {
                reply(caller, write(&app, &who, body).await)
            });
    list.or(write).unify().boxed()
}

/// Of the thread that is named, else of the one that changed last.
async fn list(app: &App, who: &Identity, query: PageQuery) -> Result<Reply, Problem> {
    let (page, size) = (query.page.unwrap_or(1), query.page_size.unwrap_or(50));
    let end = page.saturating_mul(size);
    if page == 0 || size == 0 || size > PAGE || end > REACH {
        let detail = format!("page_size may be 1 to {PAGE}, and page * page_size {REACH} at most");
        return Err(Problem::of(ErrorCode::ValidationFailed, detail));
    }
    let directory = &app.0.directory;
    let thread = match query.thread_id.as_deref().map(thread_id).transpose()? {
        Some(thread_id) => {
            let found = directory.thread(&who.scope(), thread_id).await?;
            let found = found.map_or_else(|| announced(app, who, thread_id), Ok);
            Some(found?)
        }
        None => directory.threads(&who.scope(), None, 1).await?.items.into_iter().next(),
    };
    let (mut messages, mut total) = (Vec::new(), 0);
    if let Some(thread) = thread.as_ref().filter(|thread| thread.message_count > 0) {
        let range = MessageRange::first(end);
        let found = directory.messages(&who.scope(), thread.thread_id, range).await?;
        let skipped = (end - size) as usize;
        messages = found.ok_or_else(missing)?.iter().skip(skipped).map(view).collect();
        total = thread.message_count;
    }
    let body = value!({
        "messages": messages,
        "total_count": total,
        "page": page,
        "page_size": size,
        "has_more": u64::from(end) < total,
        "thread_id": thread.map(|thread| thread.thread_id),
    });
    Ok(json(StatusCode::OK, &body))
}

async fn write(app: &App, who: &Identity, mut said: Said) -> Result<Reply, Problem> {
    let message_type = said.message_type.take();
    let named: Option<ThreadId> = said.thread_id.as_deref().map(thread_id).transpose()?;
    let mut message = say(app, who, named, said).await?;
    message["message_type"] = message_type.map_or_else(|| "user".into(), Value::from);
    let body = value!({ "message": message, "status": "created" });
    Ok(json(StatusCode::CREATED, &body))
}

fn view(message: &MessageView) -> Value {
    let mut view = super::super::messages::view(message);
    view["message_type"] = message.role.as_str().into();
    view
}
