//! Runs: how far they are, stopping them, and what they left behind.

use super::command::ask;
use super::{id, json, raw_json, reply};
use crate::app::App;
use crate::problem::Problem;
use crate::request::{caller, signed_in};
use goldenpath_core::connection::Identity;
use goldenpath_core::id::RunId;
use goldenpath_core::wire::{ClientBody, ErrorCode};
use goldenpath_runtime::ports::{Artifact, RunView};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// The artifact in which a report keeps its facts, by id.
const FACTS: &str = "facts.json";
/// A drawing from a user's data is shown, but may run nothing and load nothing.
const ARTIFACT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let one = warp::path!("api" / "runs" / String)
        .and(warp::get())
        .and(signed_in(app))
        .and(with())
        .and(caller())
        .then(|run: String, who, app: App, caller| async move {
            reply(caller, one(&app, &who, &run).await)
        });
    let cancel = warp::path!("api" / "runs" / String / "cancel")
        .and(warp::post())
        .and(signed_in(app))
        .and(with())
        .and(caller())
        .then(|run: String, who, app: App, caller| async move {
            reply(caller, cancel(&app, &who, &run).await)
        });
    let fact = warp::path!("api" / "runs" / String / "facts" / String)
        .and(warp::get())
        .and(signed_in(app))
        .and(with())
        .and(caller())
        .then(|run: String, name: String, who, app: App, caller| async move {
            reply(caller, fact(&app, &who, &run, &name).await)
        });
    let artifact = warp::path!("api" / "runs" / String / "artifacts" / String)
        .and(warp::get())
        .and(signed_in(app))
        .and(with())
        .and(caller())
        .then(|run: String, name: String, who, app: App, caller| async move {
            reply(caller, artifact(&app, &who, &run, &name).await)
        });
    one.or(cancel).unify().or(fact).unify().or(artifact).unify().boxed()
}

async fn one(app: &App, who: &Identity, run: &str) -> Result<Reply, Problem> {
    let run_id = run_id(run)?;
    let found = app.0.directory.run(&who.scope(), run_id).await?.ok_or_else(missing)?;
    let artifacts = app.0.artifacts.list(&who.scope(), run_id).await?;
    let artifacts: Vec<Value> = artifacts
        .iter()
        .map(|a| value!({ "name": a.name, "media_type": a.media_type, "bytes": a.len }))
        .collect();
    let mut view = view(&found);
    view["artifacts"] = Value::from(artifacts);
    Ok(json(StatusCode::OK, &view))
}

async fn cancel(app: &App, who: &Identity, run: &str) -> Result<Reply, Problem> {
    let run_id = run_id(run)?;
    let answered = ask(app, who, ClientBody::CancelRun { run_id: Some(run_id) }).await?;
    Ok(raw_json(StatusCode::ACCEPTED, answered.into_bytes()))
}

async fn fact(app: &App, who: &Identity, run: &str, name: &str) -> Result<Reply, Problem> {
    let nothing = || Problem::of(ErrorCode::RunNotFound, "this run has no such fact");
    let facts = app.0.artifacts.get(&who.scope(), run_id(run)?, FACTS).await?;
    let facts = facts.ok_or_else(nothing)?;
    let facts: Value = serde_json::from_slice(&facts.bytes)
        .map_err(|_| Problem::of(ErrorCode::Internal, "the facts cannot be read"))?;
    let found = match &facts {
        Value::Array(list) => list.iter().find(|fact| fact["id"] == name),
        Value::Object(by_id) => by_id.get(name),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    Ok(json(StatusCode::OK, found.ok_or_else(nothing)?))
}

async fn artifact(app: &App, who: &Identity, run: &str, name: &str) -> Result<Reply, Problem> {
    let found = app.0.artifacts.get(&who.scope(), run_id(run)?, name).await?;
    let nothing = || Problem::of(ErrorCode::RunNotFound, "this run has no such artifact");
    let Artifact { media_type, bytes, .. } = found.ok_or_else(nothing)?;
    let mut reply = Response::new(bytes.into());
    let headers = reply.headers_mut();
    let plain = HeaderValue::from_static("application/octet-stream");
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(&media_type).unwrap_or(plain));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(ARTIFACT_POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(reply)
}

fn run_id(text: &str) -> Result<RunId, Problem> {
    id(text, ErrorCode::RunNotFound)
}

fn missing() -> Problem {
    Problem::of(ErrorCode::RunNotFound, "there is no such run")
}

fn view(run: &RunView) -> Value {
    let time = |at: Option<goldenpath_core::time::Wall>| at.map(|at| at.to_rfc3339().to_string());
    value!({
        "id": run.run_id,
        "run_id": run.run_id,
        "thread_id": run.thread_id,
        "message_id": run.message_id,
        "status": run.status.as_str(),
        "created_at": time(Some(run.created_at)),
        "started_at": time(run.started_at),
        "ended_at": time(run.ended_at),
        "duration_ms": run.duration(),
    })
}
