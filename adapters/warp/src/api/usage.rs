//! Usage records: importing a file, and what is there.

use super::{raw_json, reply};
use crate::app::{App, ImportRequest, Imported};
use crate::problem::Problem;
use crate::request::{caller, signed_in, too_slow};
use bytes::{Buf, Bytes};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _};
use goldenpath_core::connection::Identity;
use goldenpath_core::edge::Arrival;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{ErrorCode, Json};
use http::StatusCode;
use serde::Deserialize;
use std::io::{Error, ErrorKind, Result as IoResult};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// When to come back after too many files at once.
const LATER: Millis = Millis(5000);

#[derive(Deserialize)]
struct ImportQuery {
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    map: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    skip_bad: bool,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = || {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    let summary = warp::path!("api" / "usage" / "summary")
        .and(warp::get())
        .and(signed_in(app))
        .and(with())
        .and(caller())
        .then(|who, app: App, caller| async move { reply(caller, summary(&app, &who).await) });
    let import = warp::path!("api" / "usage" / "import")
        .and(warp::post())
        .and(signed_in(app))
        .and(warp::query())
        .and(warp::header::optional("content-length"))
        .and(warp::body::stream())
        .and(with())
        .and(caller())
        .then(|who, query, length, body, app: App, caller| async move {
            reply(caller, import(&app, &who, query, length, body).await)
        });
    summary.or(import).unify().boxed()
}

async fn summary(app: &App, who: &Identity) -> Result<Reply, Problem> {
    let summary = app.0.usage.summary(&who.scope()).await?;
    Ok(raw_json(StatusCode::OK, bytes_of(&summary)))
}

async fn import(
    app: &App,
    who: &Identity,
    query: ImportQuery,
    length: Option<u64>,
    body: impl Stream<Item = Result<impl Buf + Send + 'static, warp::Error>> + Send + Sync + 'static,
) -> Result<Reply, Problem> {
    let limits = app.0.limits;
    if length.is_some_and(|length| length > limits.import_bytes) {
        return Err(too_large(limits.import_bytes));
    }
    let door = &app.0.door;
    let Some(place) = door.import(who.user_id()) else {
        let detail = "other files of yours are still on their way";
        return Err(Problem::of(ErrorCode::RateLimited, detail).retry_after(LATER));
    };
    let ImportQuery { dry_run, format, map, model, name, skip_bad } = query;
    let request = ImportRequest { dry_run, format, map, model, name, skip_bad };
    let broken = Arc::new(Mutex::new(None));
    let arrival = door.arrival(limits.body_timeout);
    let file = bounded(body, limits.import_bytes, arrival, broken.clone());
    let imported = app.0.usage.import(&who.scope(), request, file).await;
    drop(place);
    if let Some(problem) = broken.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(problem);
    }
    match imported {
        Imported::Done(report) => Ok(raw_json(StatusCode::OK, bytes_of(&report))),
        Imported::Refused(report) => {
            Ok(raw_json(StatusCode::UNPROCESSABLE_ENTITY, bytes_of(&report)))
        }
        Imported::Failed(code, detail) => Err(Problem::of(code, detail)),
    }
}

/// The body as a file. What breaks it is left in `broken`; the reader sees an error and imports nothing.
fn bounded(
    body: impl Stream<Item = Result<impl Buf + Send + 'static, warp::Error>> + Send + Sync + 'static,
    most: u64,
    arrival: Arrival,
    broken: Arc<Mutex<Option<Problem>>>,
) -> BoxStream<'static, IoResult<Bytes>> {
    let state = (Box::pin(body), 0u64, arrival, broken, false);
    futures_util::stream::unfold(
        state,
        move |(mut body, read, mut arrival, broken, over)| async move {
            if over {
                return None;
            }
            let fail = |kind: ErrorKind, problem: Problem| {
                *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
                Err(Error::from(kind))
            };
            let begun = Instant::now();
            let patience = Duration::from_millis(arrival.patience().0);
            let (piece, read, over) = match tokio::time::timeout(patience, body.next()).await {
                Ok(None) => return None,
                Ok(Some(Ok(mut piece))) => {
                    let piece = piece.copy_to_bytes(piece.remaining());
                    arrival.came(since(begun), piece.len());
                    let read = read + piece.len() as u64;
                    if read > most {
                        (fail(ErrorKind::FileTooLarge, too_large(most)), read, true)
                    } else {
                        (Ok(piece), read, false)
                    }
                }
                Ok(Some(Err(_))) => {
                    let problem = Problem::of(ErrorCode::ValidationFailed, "the upload broke off");
                    (fail(ErrorKind::UnexpectedEof, problem), read, true)
                }
                Err(_) => (fail(ErrorKind::TimedOut, too_slow()), read, true),
            };
            Some((piece, (body, read, arrival, broken, over)))
        },
    )
    .boxed()
}

/// Rounded up: many short waits are one long one.
fn since(begun: Instant) -> Millis {
    Millis(u64::try_from(begun.elapsed().as_micros().div_ceil(1000)).unwrap_or(u64::MAX))
}

fn too_large(most: u64) -> Problem {
    Problem::of(ErrorCode::MessageTooLarge, format!("the file is larger than {most} bytes"))
}

fn bytes_of(json: &Json) -> Bytes {
    Bytes::copy_from_slice(json.as_str().as_bytes())
}
