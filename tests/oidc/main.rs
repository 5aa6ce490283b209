//! Log in through a real OpenID Connect provider: its pages, its keys, its outages.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod bearer;
mod browser;
mod forged;
mod issuing;
#[path = "../tokens/places.rs"]
mod places;
mod provider;
mod secrets;

use browser::Browser;
use goldenpath_tests::server::{PATIENCE, Server};
use goldenpath_tests::socket::Socket;
use provider::{ALGORITHMS, Provider};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use url::Url;

/// The whole way; answers the token and the user.
async fn log_in(server: &Server, browser: &mut Browser, user: &str) -> (String, Value) {
    let base = server.url("");
    let authorization = browser.depart(&base).await;
    let callback = browser.log_in_and_consent(authorization, user).await;
    let fragment = browser.arrive(&callback).await;
    let (status, body) = browser.pick_up(&base, &fragment).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    (body["access_token"].as_str().unwrap().to_owned(), body["user"].clone())
}

fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{name} in {url}")).1.into()
}

fn with(url: &Url, name: &str, value: &str) -> Url {
    let mut changed = url.clone();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    changed.query_pairs_mut().clear().extend_pairs(
        pairs.into_iter().map(|(n, v)| if n == name { (n, value.to_owned()) } else { (n, v) }),
    );
    changed
}

#[tokio::test]
async fn a_user_logs_in_through_the_pages_of_the_provider_and_is_the_same_the_next_time() {
    let provider = Provider::start().await;
    for algorithm in ALGORITHMS {
        let server = provider.server(algorithm).await;
        let mut browser = Browser::new();
        let (token, user) = log_in(&server, &mut browser, "ada").await;
        assert_eq!(user["name"], "ada of the provider");
        assert_eq!(user["email"], "ada@example.org");
        let (_, ready) = Socket::ready(&server, &token, json!([])).await;
        assert_eq!(ready["payload"]["user_id"], user["id"]);
        let (status, me) = server.get("/api/auth/me", &token).await;
        assert_eq!((status, &me["id"], &me["name"]), (StatusCode::OK, &user["id"], &user["name"]));

        let (_, again) = log_in(&server, &mut Browser::new(), "ada").await;
        assert_eq!(again["id"], user["id"]);
        let (_, other) = log_in(&server, &mut Browser::new(), "bob").await;
        assert_ne!(other["id"], user["id"]);

        let cookie = browser.given.iter().find(|c| c.starts_with("goldenpath-login=")).unwrap();
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/api/auth/oidc", "Max-Age=600"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        for address in &browser.history {
            assert!(!address.contains(&token), "a token is never part of an address");
        }
        let log = server.log();
        assert!(!log.contains(&token) && !log.contains("the secret of a client"), "AUTH-05");
    }
}

//= specs/auth.md#auth-71
//= type=test
//# A user of a provider MUST be found by issuer and subject, and MUST NOT be found by an
//# e-mail address.
#[tokio::test]
async fn an_address_of_an_account_is_no_way_into_it() {
    let provider = Provider::start().await;
    let server = provider.server("RS256").await;
    let (_, account) = server.register("eve@example.org").await;
    // The provider says that this is eve's address, verified or not.
    for subject in ["eve", "thief-of-eve", "unverified-eve"] {
        let (_, user) = log_in(&server, &mut Browser::new(), subject).await;
        assert_ne!(user["id"], account.as_str(), "{subject}");
        assert_eq!(user["email"].is_string(), !subject.starts_with("unverified"), "{user}");
    }
    let body = json!({"email": "eve@example.org", "password": "correct horse battery staple"});
    let (status, own) = server.call(Method::POST, "/api/auth/login", None, Some(body)).await;
    assert_eq!((status, own["user"]["id"].as_str()), (StatusCode::OK, Some(account.as_str())));
}

#[tokio::test]
async fn a_state_of_nobody_or_of_another_browser_lets_nobody_in() {
    let provider = Provider::start().await;
    let server = provider.server("RS256").await;
    let base = server.url("");
    let mut browser = Browser::new();
    let authorization = browser.depart(&base).await;
    let callback = browser.log_in_and_consent(authorization, "ada").await;

    // The victim's browser is sent to the attacker's callback: another cookie, and none.
    let mut victim = Browser::new();
    let mut begun = Browser::new();
    begun.depart(&base).await;
    assert_eq!(
        begun.arrive(&with(&callback, "state", "made-up")).await,
        "login-failed=unauthorized"
    );
    assert_eq!(victim.arrive(&callback).await, "login-failed=unauthorized");
    // The try has used the log-in up, for its own browser, too.
    assert_eq!(browser.arrive(&callback).await, "login-failed=unauthorized");
}

//= specs/auth.md#auth-70
//= type=test
//# A log-in through a provider MUST NOT be accepted unless the same browser began it, and at most
//# once.
#[tokio::test]
async fn a_code_is_good_once_and_for_the_browser_that_began() {
    let provider = Provider::start().await;
    let server = provider.server("RS256").await;
    let base = server.url("");
    let mut browser = Browser::new();
    let authorization = browser.depart(&base).await;
    let callback = browser.log_in_and_consent(authorization, "ada").await;
    let fragment = browser.arrive(&callback).await;
    assert_eq!(browser.arrive(&callback).await, "login-failed=unauthorized", "the same again");

    // What stands behind the # is good once, and only with the cookie.
    let mut thief = Browser::new();
    thief.depart(&base).await;
    assert_eq!(thief.pick_up(&base, &fragment).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(browser.pick_up(&base, &fragment).await.0, StatusCode::UNAUTHORIZED, "used up");

    // A code of one log-in in another: the provider wants the verifier of the first.
    let mut first = Browser::new();
    let authorization = first.depart(&base).await;
    let stolen = first.log_in_and_consent(authorization, "ada").await;
    let mut second = Browser::new();
    let authorization = second.depart(&base).await;
    let own_state = parameter(&authorization, "state");
    let injected = with(&stolen, "state", &own_state);
    assert_eq!(second.arrive(&injected).await, "login-failed=unauthorized");
    assert!(server.log().contains("the provider refused a code"), "PKCE and single use");
}

//= specs/auth.md#auth-68
//= type=test
//# An ID token MUST NOT be accepted unless its signature, issuer, audience, expiry and nonce
//# are those of the log-in that was begun.
#[tokio::test]
async fn an_id_token_of_another_nonce_or_issuer_lets_nobody_in() {
    let provider = Provider::start().await;
    let server = provider.server("RS256").await;
    let base = server.url("");

    let mut browser = Browser::new();
    let authorization = browser.depart(&base).await;
    for name in ["state", "nonce", "code_challenge"] {
        assert!(parameter(&authorization, name).len() >= 22, "{name} cannot be guessed");
    }
    assert_eq!(parameter(&authorization, "code_challenge_method"), "S256");
    let other_nonce = with(&authorization, "nonce", "the-nonce-of-another");
    let callback = browser.log_in_and_consent(other_nonce, "ada").await;
    assert_eq!(browser.arrive(&callback).await, "login-failed=unauthorized");
    assert!(server.log().contains("an ID token was refused"));

    let mut browser = Browser::new();
    let authorization = browser.depart(&base).await;
    let callback = browser.log_in_and_consent(authorization, "ada").await;
    let mixed_up = with(&callback, "iss", "https://login.evil.example");
    assert_eq!(browser.arrive(&mixed_up).await, "login-failed=unauthorized");

    let mut browser = Browser::new();
    let state = parameter(&browser.depart(&base).await, "state");
    let refused = format!("{base}/api/auth/oidc/callback?error=access_denied&state={state}");
    let refused = Url::parse(&refused).unwrap();
    assert_eq!(browser.arrive(&refused).await, "login-failed=unauthorized", "the user said no");
}

#[tokio::test]
async fn while_the_provider_is_down_everybody_who_is_in_goes_on() {
    let mut provider = Provider::start().await;
    let server = provider.server("RS256").await;
    let (token, user) = log_in(&server, &mut Browser::new(), "ada").await;
    let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
    provider.kill().await;

    let mut browser = Browser::new();
    let authorization = browser.depart(&server.url("")).await;
    assert!(authorization.as_str().starts_with(&provider.issuer()), "it was asked before");
    let state = parameter(&authorization, "state");
    let callback = format!("/api/auth/oidc/callback?code=x&state={state}");
    let callback = Url::parse(&server.url(&callback)).unwrap();
    assert_eq!(browser.arrive(&callback).await, "login-failed=degraded");

    let ack = socket.ask("m1", "still here?", None).await;
    assert_eq!(ack["status"], "accepted");
    socket.until("run_completed").await;
    let (status, me) = server.get("/api/auth/me", &token).await;
    assert_eq!((status, &me["id"]), (StatusCode::OK, &user["id"]));
    let (_, fresh) = Socket::ready(&server, &token, json!([])).await;
    assert_eq!(fresh["payload"]["user_id"], user["id"]);
}

#[tokio::test]
async fn a_server_starts_without_its_provider_and_says_so_at_the_log_in() {
    let mut gone = Provider::start().await;
    gone.kill().await;
    let server = gone.server_unknown_here("RS256").await;
    let mut browser = Browser::new();
    let url = Url::parse(&server.url("/api/auth/oidc/login")).unwrap();
    let answer = browser.get(&url).await;
    assert_eq!(answer.location.unwrap().fragment(), Some("login-failed=degraded"));
    let (status, config) = server.call(Method::GET, "/api/config", None, None).await;
    assert_eq!((status, &config["oidc"]["name"]), (StatusCode::OK, &json!("the test provider")));
}

#[tokio::test]
async fn after_a_rotation_the_new_key_is_fetched_once_and_while_keys_are_hidden_the_known_ones_count()
 {
    let provider = Provider::start().await;
    let server = provider.server("ES256").await;
    log_in(&server, &mut Browser::new(), "ada").await;
    let asked = || async { provider.control("asked").await["asked"].as_u64().unwrap() };
    let before = asked().await;

    provider.control("hide?keys=yes").await;
    log_in(&server, &mut Browser::new(), "bob").await;
    assert_eq!(asked().await, before, "a known key is not asked for");

    // A new key that cannot be fetched: not let in, and nobody is asked in vain more than once a pause.
    provider.control("rotate").await;
    let base = server.url("");
    let mut browser = Browser::new();
    let authorization = browser.depart(&base).await;
    let callback = browser.log_in_and_consent(authorization, "ada").await;
    assert_eq!(browser.arrive(&callback).await, "login-failed=degraded");
    assert_eq!(asked().await, before + 1);

    provider.control("hide?keys=no").await;
    let begin = Instant::now();
    loop {
        let mut browser = Browser::new();
        let authorization = browser.depart(&base).await;
        let callback = browser.log_in_and_consent(authorization, "ada").await;
        let fragment = browser.arrive(&callback).await;
        if fragment.starts_with("login=") {
            break;
        }
        assert_eq!(fragment, "login-failed=degraded");
        assert!(begin.elapsed() < PATIENCE, "the pause of one second is over");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(asked().await, before + 2);
    log_in(&server, &mut Browser::new(), "carol").await;
    assert_eq!(asked().await, before + 2, "the new key is known now");
}
