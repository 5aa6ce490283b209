//! All addresses, and what is said about those that are none.

use crate::app::App;
use crate::listener::Stream;
use crate::problem::Problem;
use crate::request::Caller;
use crate::socket::Socket;
use crate::{api, page, upgrade};
use goldenpath_core::edge::Route;
use goldenpath_core::wire::ErrorCode;
use goldenpath_runtime::connection::Transport;
use http::HeaderMap;
use http::header::ACCEPT;
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Response as Reply;
use warp::{Filter, Rejection};

/// The filters behind the addresses.
#[derive(Clone)]
pub(crate) struct Routes {
    /// Behind the table of addresses.
    listed: BoxedFilter<(Reply,)>,
    /// Everything else: the files of the page, or nothing.
    page: BoxedFilter<(Reply,)>,
}

impl Routes {
    /// All of them, for sockets on streams of this type with this above them; with JSON for whatever none
    /// answers.
    pub(crate) fn new<S: Stream, T: Transport + 'static>(
        app: &App,
        above: fn(Socket<S>) -> T,
    ) -> Self {
        let listed = upgrade::route(app, above).or(api::routes(app)).unify();
        Self { listed: with_problems(listed.boxed()), page: with_problems(page::route()) }
    }

    /// What answers this method at this address. A filter that the table does not know is not asked.
    ///
    /// # Errors
    /// The address has other methods.
    //= specs/safety.md#safe-81
    //# A method that an address does not have MUST be answered with 405 and the ones it has.
    pub(crate) fn of(
        self,
        route: Option<&Route>,
        method: &str,
    ) -> Result<BoxedFilter<(Reply,)>, Problem> {
        match route {
            None => Ok(self.page),
            Some(route) if route.takes(method) => Ok(self.listed),
            Some(route) => Err(Problem::method_not_allowed(route.allow)),
        }
    }
}

fn with_problems(found: BoxedFilter<(Reply,)>) -> BoxedFilter<(Reply,)> {
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
    kinds.any(|kinds| kinds.contains("text/html")) && !Route::is_beside(path.as_str())
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
        // Every other address is asked with its own methods only.
        Problem::method_not_allowed(page::ALLOW)
    } else if rejection.is_not_found() {
        Problem::not_found()
    } else {
        tracing::error!(?rejection, "a rejection without an answer");
        Problem::of(ErrorCode::Internal, "an internal error")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::Request;
    use http_body_util::Empty;
    use tower_service::Service as _;

    #[tokio::test]
    async fn a_filter_that_the_table_does_not_know_is_not_reached() {
        let answering = |path: &'static str| {
            let here = warp::path(path).and(warp::path::end());
            here.map(|| warp::reply::Reply::into_response("here")).boxed()
        };
        let routes = Routes { listed: answering("health"), page: page::route() };
        let forgotten = Routes { listed: answering("forgotten"), page: page::route() };
        for (routes, path, expected) in [(routes, "/health", 200), (forgotten, "/forgotten", 404)] {
            let filter = routes.of(Route::find(path), "GET").expect("it has the method");
            let request = Request::get(path).body(Empty::<Bytes>::new()).expect("a request");
            let answer = warp::service(filter).call(request).await.expect("an answer");
            assert_eq!(answer.status(), expected, "{path}");
        }
    }
}
