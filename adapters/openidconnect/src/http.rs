//! Asking the provider: bounded in time and size, and never redirected.

use core::fmt;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use std::time::Duration;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// Longest answer, in bytes; a set of keys has a few thousand.
const MOST: usize = 256 * 1024;

/// A client for the provider's endpoints.
pub(crate) struct Http(reqwest::Client);

/// Why there was no answer; it holds no secret.
#[derive(Debug)]
pub(crate) struct NoAnswer(String);

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for NoAnswer {}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        // The address of a request may hold what nobody else should read.
        Self(error.without_url().to_string())
    }
}

impl Http {
    pub(crate) fn new(tls_only: bool) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            // A provider that sends us elsewhere would have us ask on somebody else's behalf.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .https_only(tls_only)
            .build();
        client.map(Self).map_err(|error| format!("no client for the OIDC provider: {error}"))
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = NoAnswer;
    type Future = BoxFuture<'c, Result<HttpResponse, NoAnswer>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        async move {
            let mut answer = self.0.execute(request.try_into()?).await?;
            let mut response = http::Response::new(Vec::new());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            while let Some(piece) = answer.chunk().await? {
                if response.body().len() + piece.len() > MOST {
                    return Err(NoAnswer(format!("the answer is longer than {MOST} bytes")));
                }
                response.body_mut().extend_from_slice(&piece);
            }
            Ok(response)
        }
        .boxed()
    }
}
