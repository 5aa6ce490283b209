//! All addresses, and what is said about those that are none.

use crate::app::App;
use crate::listener::Stream;
use crate::problem::Problem;
use crate::request::Caller;
use crate::{api, page, upgrade};
use goldenpath_core::wire::ErrorCode;
use http::HeaderMap;
use http::header::ACCEPT;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Response as Reply;
use warp::{Filter, Rejection};

/// Every route, with JSON for whatever none of them answers.
pub(crate) fn all<S: Stream>(app: &App) -> BoxedFilter<(Reply,)> {
    let found = upgrade::route::<S>(app).or(api::routes(app)).unify().or(page::route()).unify();
    let caller = warp::ext::optional::<Caller>();
    let reader = warp::header::headers_cloned().and(warp::path::full());
    // A rejection has lost its request; the caller is read before and handed on beside it.
    caller
        .and(
            found.map(Ok).or_else(|rejection: Rejection| async move {
                Ok::<_, Rejection>((Err(rejection),))
            }),
        )
        .and(reader)
        .map(|caller: Option<Caller>, found: Result<Reply, Rejection>, headers, path| match found {
            Ok(reply) => reply,
            Err(rejection) if rejection.is_not_found() && is_person(&headers, &path) => {
                page::nowhere()
            }
            Err(rejection) => problem(&rejection).reply(caller.map(|c| c.request_id)),
        })
        .boxed()
}

/// Whether a browser asks, for something to look at.
fn is_person(headers: &HeaderMap, path: &FullPath) -> bool {
    let mut kinds = headers.get_all(ACCEPT).iter().filter_map(|kinds| kinds.to_str().ok());
    kinds.any(|kinds| kinds.contains("text/html")) && !path.as_str().starts_with("/api/")
}

fn problem(rejection: &Rejection) -> Problem {
    use warp::reject;
    if let Some(problem) = rejection.find::<Problem>() {
        problem.clone()
    } else if rejection.find::<reject::InvalidQuery>().is_some() {
        Problem::of(ErrorCode::ValidationFailed, "a parameter of the address has a wrong value")
    } else if let Some(missing) = rejection.find::<reject::MissingHeader>() {
        let detail = format!("the header {} is missing", missing.name());
        Problem::of(ErrorCode::ValidationFailed, detail)
    } else if rejection.find::<reject::MethodNotAllowed>().is_some() {
        Problem::method_not_allowed()
    } else if rejection.is_not_found() {
        Problem::not_found()
    } else {
        tracing::error!(?rejection, "a rejection without an answer");
        Problem::of(ErrorCode::Internal, "an internal error")
    }
}
