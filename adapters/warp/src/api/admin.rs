//! What operators read.

use super::{json, reply};
use crate::app::App;
use crate::problem::Problem;
use crate::request::{caller, permitted};
use goldenpath_core::auth::AUDIT_READ;
use goldenpath_core::wire::ErrorCode;
use goldenpath_runtime::ports::{AuditRow, Credence};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json as value};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response as Reply;

/// Most rows at once.
const MOST: u32 = 500;

#[derive(Deserialize)]
struct Asked {
    before: Option<u64>,
    limit: Option<u32>,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = {
        let app = app.clone();
        warp::any().map(move || app.clone())
    };
    //= specs/auth.md#auth-54
    //# The audit log MUST be read only with its permission.
    warp::path!("api" / "admin" / "audit")
        .and(warp::get())
        .and(permitted(app, AUDIT_READ))
        .and(warp::query::<Asked>())
        .and(with)
        .and(caller())
        .then(|asked, app: App, caller| async move { reply(caller, audit(&app, asked).await) })
        .boxed()
}

async fn audit(app: &App, Asked { before, limit }: Asked) -> Result<Reply, Problem> {
    let limit = limit.unwrap_or(100);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::of(ErrorCode::ValidationFailed, "limit is not between 1 and 500"));
    }
    let audit = app.0.identities.audit();
    // Whoever looks sees what has happened before.
    audit.flush().await;
    let rows = audit.read(before, limit).await?;
    let next = (rows.len() == limit as usize).then(|| rows.last().map(|row| row.n)).flatten();
    let counts: Vec<Value> = audit
        .counts()
        .into_iter()
        .map(|((action, outcome, reason), count)| {
            let reason = reason.map(ErrorCode::as_str);
            value!({
                "action": action.as_str(),
                "outcome": outcome.as_str(),
                "reason": reason,
                "count": count,
            })
        })
        .collect();
    let records: Vec<Value> = rows.iter().map(record).collect();
    let body = value!({
        "records": records,
        "next_before": next,
        "since_start": counts,
        "lost": audit.lost(),
    });
    Ok(json(StatusCode::OK, &body))
}

fn record(row: &AuditRow) -> Value {
    let record = &row.record;
    value!({
        "n": row.n,
        "at": record.at.to_rfc3339().to_string(),
        "action": record.action.as_str(),
        "outcome": record.outcome.as_str(),
        "reason": record.reason.map(ErrorCode::as_str),
        "method": record.by.map(Credence::as_str),
        "user_id": record.user_id,
        "session_id": record.session_id,
        "place": record.place,
        "times": record.times,
    })
}
