//! Asking an agent over HTTP and waiting for the answer. Whichever is asked, the whole team is at work:
//! a run in a thread of its own, which goes on when nobody waits any longer.

use super::super::command::ask;
use super::super::messages::{Said, say};
use super::super::{id, json, reply};
use super::timestamp;
use crate::app::App;
use crate::problem::Problem;
use crate::request::{self, caller, signed_in};
use goldenpath_core::connection::Identity;
use goldenpath_core::hub::{Load, Loaded};
use goldenpath_core::id::{RunId, Seq, ThreadId};
use goldenpath_core::time::Millis;
use goldenpath_core::wire::older::Answered;
use goldenpath_core::wire::{self, ClientBody, ErrorCode, ErrorInfo, Event, Json};
use goldenpath_runtime::ports::{MessageRange, Role, RunView};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json as value};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// Longest wait for an answer, if no proxy waits for less: most cut a quiet request after a minute (F28).
const PATIENCE: Duration = Duration::from_secs(55);
/// First wait before looking whether a run has ended; it doubles up to the longest.
const LOOK_AFTER: Duration = Duration::from_millis(20);
/// Longest wait before looking again.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// Entries before the head among which a run's end is looked for.
const LAST_ENTRIES: u64 = 8;
/// Runs shown as agents, at most.
const SHOWN: u32 = 50;
/// What may be asked for besides the agents by their names.
const TYPES: [&str; 5] = ["data", "optimization", "reporting", "supervisor", "triage"];

#[derive(Deserialize)]
struct Asked {
    #[serde(default, rename = "type", alias = "agent_type", alias = "agent")]
    kind: Option<String>,
    #[serde(default, alias = "content", alias = "query", alias = "user_request")]
    message: Option<String>,
    #[serde(default)]
    context: Option<Json>,
    #[serde(default)]
    thread_id: Option<String>,
    /// How long the caller waits; shorter than our own patience.
    #[serde(default)]
    timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default, alias = "run_id")]
    agent_id: Option<String>,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let any = warp::path!("api" / "agents" / "execute")
        .and(warp::post())
        .and(signed_in(app))
        .and(request::json(app))
        .and(with())
        .and(caller())
        .then(|who, body: Asked, app: App, caller| async move {
            let kind = body.kind.clone().unwrap_or_default();
            reply(caller, execute(&app, &who, &kind, body).await)
        });
    let one = warp::path!("api" / "agents" / Fixed)
        .and(warp::post())
        .and(signed_in(app))
        .and(request::json(app))
        .and(with())
        .and(caller())
        .then(|Fixed(kind), who, body, app: App, caller| async move {
            reply(caller, execute(&app, &who, kind, body).await)
        });
    let begin_one =
        warp::path!("api" / "agents" / "start")
            .and(warp::post())
            .and(signed_in(app))
            .and(request::json(app))
            .and(with())
            .and(caller())
            .then(|who, body, app: App, caller| async move {
                reply(caller, start(&app, &who, body).await)
            });
    let end_one = warp::path!("api" / "agents" / Ending)
        .and(warp::post())
        .and(signed_in(app))
        .and(request::json(app))
        .and(with())
        .and(caller())
        .then(|Ending(action), who, body, app: App, caller| async move {
            reply(caller, stop(&app, &who, action, body).await)
        });
    let list = warp::path!("api" / "agents" / "status")
        .and(warp::get())
        .and(signed_in(app))
        .and(with())
        .and(caller())
        .then(|who, app: App, caller| async move { reply(caller, status(&app, &who).await) });
    any.or(one).unify().or(begin_one).unify().or(end_one).unify().or(list).unify().boxed()
}

/// An agent that has an address of its own.
struct Fixed(&'static str);

impl std::str::FromStr for Fixed {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let known = ["data", "optimization", "triage"];
        known.into_iter().find(|name| *name == text).map(Self).ok_or(())
    }
}

/// Both words end a run.
struct Ending(&'static str);

impl std::str::FromStr for Ending {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        ["cancel", "stop"].into_iter().find(|word| *word == text).map(Self).ok_or(())
    }
}

/// Asks, and waits for the run's end.
//= specs/wire.md#wire-64
//# An agent asked over HTTP MUST answer with the end of a real run, or say `timeout` while the run
//# goes on.
async fn execute(app: &App, who: &Identity, kind: &str, body: Asked) -> Result<Reply, Problem> {
    let agents = app.0.about.agents.iter().map(String::as_str);
    let known: BTreeSet<&str> = agents.chain(TYPES).collect();
    if !known.contains(kind) {
        let known: Vec<&str> = known.into_iter().collect();
        let detail = format!("type is none of: {}", known.join(", "));
        return Err(Problem::of(ErrorCode::ValidationFailed, detail));
    }
    let begun = Instant::now();
    let longest = app.0.limits.patience(PATIENCE);
    let patience = body.timeout_ms.map_or(longest, Duration::from_millis).min(longest);
    let (run_id, thread_id) = match begin(app, who, body).await {
        Ok(run) => run,
        Err(problem) if problem.is_unavailable() => {
            let error = problem.detail();
            let body = value!({ "status": "service_unavailable", "agent": kind, "error": error });
            return Ok(json(StatusCode::OK, &body));
        }
        Err(problem) => return Err(problem),
    };
    let ended = until_ended(app, who, run_id, begun + patience).await?;
    let outcome = match &ended {
        Some(run) => outcome(app, who, run).await?,
        None => Outcome::failed("timeout", "the run goes on; its thread will have the answer"),
    };
    let mut answer = value!({
        "status": outcome.status,
        "agent": kind,
        "execution_time": begun.elapsed().as_secs_f64(),
        "run_id": run_id,
        "thread_id": thread_id,
    });
    if let Some(response) = outcome.response {
        answer["response"] = response.into();
    }
    if let Some(error) = outcome.error {
        answer["error"] = error.into();
    }
    Ok(json(StatusCode::OK, &answer))
}

/// Says it in a thread, a new one unless it names one.
async fn begin(app: &App, who: &Identity, body: Asked) -> Result<(RunId, ThreadId), Problem> {
    let thread: Option<ThreadId> =
        body.thread_id.as_deref().map(super::super::threads::thread_id).transpose()?;
    let said = Said { content: body.message, metadata: body.context, ..Said::default() };
    let message = say(app, who, thread, said).await?;
    let read = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
    Ok((id(&read("run_id"), ErrorCode::Internal)?, id(&read("thread_id"), ErrorCode::Internal)?))
}

/// The run once it has ended; `None` when that took too long.
async fn until_ended(
    app: &App,
    who: &Identity,
    run_id: RunId,
    give_up: Instant,
) -> Result<Option<RunView>, Problem> {
    let mut pause = LOOK_AFTER;
    loop {
        let run = app.0.directory.run(&who.scope(), run_id).await?;
        if let Some(run) = run.filter(|run| run.status.is_terminal()) {
            return Ok(Some(run));
        }
        if Instant::now() >= give_up {
            return Ok(None);
        }
        tokio::time::sleep_until((Instant::now() + pause).min(give_up)).await;
        pause = (pause * 2).min(LOOK_EVERY);
    }
}

struct Outcome {
    status: &'static str,
    response: Option<String>,
    error: Option<String>,
}

impl Outcome {
    fn failed(status: &'static str, error: &str) -> Self {
        Self { status, response: None, error: Some(error.to_owned()) }
    }
}

/// How a run ended, as its log has it.
async fn outcome(app: &App, who: &Identity, run: &RunView) -> Result<Outcome, Problem> {
    let (thread_id, last) = (run.thread_id, MessageRange::last(2));
    let said = app.0.directory.messages(&who.scope(), thread_id, last).await?.unwrap_or_default();
    let response = said.into_iter().rev().find_map(|message| {
        let answers = message.role == Role::Assistant && message.run_id == run.run_id;
        answers.then_some(message.content)
    });
    let Answered { status, error } =
        wire::older::answered(run.status, failure(app, who, run).await?);
    Ok(Outcome { status, response, error })
}

/// Why a run failed, from its terminal entry.
async fn failure(app: &App, who: &Identity, run: &RunView) -> Result<Option<ErrorInfo>, Problem> {
    let (store, thread_id) = (&app.0.store, run.thread_id);
    let Loaded::Thread(head) = store.load(&who.scope(), Load::Thread { thread_id }).await? else {
        return Ok(None);
    };
    let (after_seq, to_seq) = (Seq(head.head.0.saturating_sub(LAST_ENTRIES)), head.head);
    let load = Load::Entries { thread_id, after_seq, to_seq, limit: LAST_ENTRIES };
    let Loaded::Entries(entries) = store.load(&who.scope(), load).await? else { return Ok(None) };
    let entries = entries.iter().filter_map(|(_, body)| wire::Entry::decode(body.bytes()).ok());
    let mut of_run = entries.filter(|entry| entry.run_id == Some(run.run_id));
    Ok(of_run.find_map(|entry| match entry.event {
        Event::RunFailed { error, .. } => Some(error),
        _ => None,
    }))
}

async fn start(app: &App, who: &Identity, body: Asked) -> Result<Reply, Problem> {
    let (run_id, thread_id) = begin(app, who, body).await?;
    let body = value!({
        "success": true,
        "agent_id": run_id,
        "action": "start",
        "message": "the agents are at work",
        "thread_id": thread_id,
        "timestamp": timestamp(app),
    });
    Ok(json(StatusCode::OK, &body))
}

async fn stop(
    app: &App,
    who: &Identity,
    action: &'static str,
    body: Named,
) -> Result<Reply, Problem> {
    let missing = || Problem::of(ErrorCode::ValidationFailed, "agent_id is missing");
    let agent_id = body.agent_id.ok_or_else(missing)?;
    let run_id: RunId = id(&agent_id, ErrorCode::RunNotFound)?;
    ask(app, who, ClientBody::CancelRun { run_id: Some(run_id) }).await?;
    let body = value!({
        "success": true,
        "agent_id": run_id,
        "action": action,
        "message": "the run is being cancelled",
        "timestamp": timestamp(app),
    });
    Ok(json(StatusCode::OK, &body))
}

/// The user's runs, the newest first.
//= specs/wire.md#wire-65
//# The older HTTP surface MUST show nothing of another user, and MUST answer for an id of theirs as
//# for one that does not exist.
async fn status(app: &App, who: &Identity) -> Result<Reply, Problem> {
    let runs = app.0.directory.runs(&who.scope(), SHOWN).await?;
    let mut counts = BTreeMap::new();
    for run in &runs {
        if let Entry::Vacant(count) = counts.entry(run.thread_id) {
            let thread = app.0.directory.thread(&who.scope(), run.thread_id).await?;
            count.insert(thread.map_or(0, |thread| thread.message_count));
        }
    }
    let shown: Vec<Value> = runs
        .iter()
        .map(|run| {
            let last = run.ended_at.or(run.started_at).unwrap_or(run.created_at);
            value!({
                "agent_id": run.run_id,
                "status": run.status.as_str(),
                "agent_type": "supervisor",
                "start_time": run.started_at.unwrap_or(run.created_at).to_rfc3339().to_string(),
                "last_activity": last.to_rfc3339().to_string(),
                "message_count": counts.get(&run.thread_id),
                "thread_id": run.thread_id,
                "duration_ms": run.duration().map(|Millis(ms)| ms),
            })
        })
        .collect();
    Ok(json(StatusCode::OK, &shown))
}
