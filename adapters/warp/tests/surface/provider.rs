//! Log-ins through a provider, with one that believes everybody.

use crate::rig::{Rig, Wishes, rig};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use goldenpath_core::edge::EdgeLimits;
use goldenpath_core::wire::Secret;
use goldenpath_runtime::identity::{Begun, ForeignUser, Provider, ProviderFault, Returned};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Numbers the log-ins that begin, and knows whoever comes back.
#[derive(Default)]
struct Gullible(AtomicUsize);

impl Provider for Gullible {
    fn name(&self) -> &'static str {
        "Gullible"
    }

    fn returns_over_tls(&self) -> bool {
        false
    }

    fn begin(&self) -> BoxFuture<'static, Result<Begun, ProviderFault>> {
        let state = format!("state-{}", self.0.fetch_add(1, Ordering::Relaxed));
        let (nonce, verifier) = (Secret(String::new()), Secret(String::new()));
        let url = format!("https://provider.example/?state={state}");
        ready(Ok(Begun { url, state: Secret(state), nonce, verifier })).boxed()
    }

    fn finish(&self, _: Returned) -> BoxFuture<'static, Result<ForeignUser, ProviderFault>> {
        let (issuer, subject) = ("https://provider.example".into(), "ada".into());
        ready(Ok(ForeignUser { issuer, subject, name: None, email: None })).boxed()
    }
}

/// Leaves for the provider from this address: the state of the log-in, and the cookie.
async fn depart(rig: &Rig, from: &str) -> (String, String) {
    let reply = rig
        .exchange(&format!(
            "GET /api/auth/oidc/login HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {from}\r\nConnection: close\r\n\r\n"
        ))
        .await;
    let to = reply.header("location").unwrap();
    let (_, state) = to.split_once("?state=").unwrap_or_else(|| panic!("{reply:?}"));
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap();
    (state.to_owned(), cookie.to_owned())
}

/// Comes back; where the page goes on.
async fn arrive(rig: &Rig, (state, cookie): (String, String)) -> String {
    let reply = rig
        .exchange(&format!(
            "GET /api/auth/oidc/callback?state={state}&code=x HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        ))
        .await;
    reply.header("location").unwrap().to_owned()
}

#[tokio::test]
async fn one_address_that_begins_log_ins_without_end_keeps_no_other_from_logging_in() {
    let mut edge = EdgeLimits::unbounded();
    edge.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let provider: Option<Arc<dyn Provider>> = Some(Arc::new(Gullible::default()));
    let rig = rig(Wishes { edge, provider, ..Wishes::default() }).await;
    let early = depart(&rig, "192.0.2.7").await;
    // As many as fit, and more; over HTTP it would take minutes.
    for _ in 0..25_000 {
        rig.identities.depart("198.51.100.1").await.unwrap();
    }
    let last = depart(&rig, "198.51.100.1").await;
    let late = depart(&rig, "192.0.2.8").await;
    for log_in in [early, late, last] {
        let page = arrive(&rig, log_in.clone()).await;
        assert!(page.starts_with("/#login="), "{log_in:?}: {page}");
        assert_eq!(arrive(&rig, log_in).await, "/#login-failed=unauthorized", "once");
    }
}
