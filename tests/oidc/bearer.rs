//! Access tokens of a real provider, presented as they are: in every place, through rotations and
//! outages.

use crate::places::{Place, Verdict, everywhere, present};
use crate::provider::{ALGORITHMS, Provider};
use crate::{Browser, log_in};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use goldenpath_tests::server::{PATIENCE, Server};
use goldenpath_tests::socket::Socket;
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::time::{Duration, Instant};

/// What the tokens of these tests are for.
const AUDIENCE: &str = "https://chat.example/api";

fn refused(code: &str) -> Verdict {
    Verdict::Refused(code.to_owned())
}

/// As whom a token is let in.
async fn user_of(server: &Server, token: &str) -> String {
    match present(server.port(), Place::Http, token, token).await {
        Verdict::In(user) => user,
        other => panic!("{other:?}"),
    }
}

/// The token with another key's name, for which the signature was not made.
fn naming(token: &str, kid: &str) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap();
    let mut header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"] = kid.into();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

async fn asked(provider: &Provider) -> u64 {
    provider.control("asked").await["asked"].as_u64().unwrap()
}

//= specs/auth.md#auth-38
//= type=test
//# A user of another issuer MUST be one of ours by issuer and subject together, and MUST NOT be
//# one that the subject names here.
#[tokio::test]
async fn a_token_of_a_trusted_issuer_has_one_verdict_everywhere_and_is_one_user_for_ever() {
    let provider = Provider::start().await;
    let mut server = provider.trusted_by("30", &[("JWT_MAX_AGE", "3600")]).await;
    for algorithm in ALGORITHMS {
        let ada = provider.token(&format!("{algorithm} ada"), AUDIENCE).await;
        let user = user_of(&server, &ada).await;
        // The subject is what the provider calls the client: `RS256 ada`.
        assert!(user.starts_with("user-") && !user.contains("ada"), "{user}");
        everywhere(&server, &ada, &Verdict::In(user.clone())).await;
        let again = provider.token(&format!("{algorithm} ada"), AUDIENCE).await;
        assert_ne!(again, ada);
        assert_eq!(user_of(&server, &again).await, user);
        let bob = provider.token(&format!("{algorithm} bob"), AUDIENCE).await;
        assert_ne!(user_of(&server, &bob).await, user);

        // A whole question, and the same user after a restart.
        let (mut socket, ready) = Socket::ready(&server, &ada, json!([])).await;
        assert_eq!(ready["payload"]["user_id"], user.as_str());
        assert_eq!(socket.ask("m1", "what does it cost?", None).await["status"], "accepted");
        socket.until("run_completed").await;
        drop(socket);
        server.kill().await;
        server.launch().await;
        everywhere(&server, &ada, &Verdict::In(user)).await;
        let (status, _) = server.get("/api/admin/audit", &ada).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "nobody gets a permission from elsewhere");
        assert!(!server.log().contains(&ada), "AUTH-05");
    }
}

#[tokio::test]
async fn a_subject_that_is_the_name_of_a_user_here_is_somebody_else() {
    let provider = Provider::start().await;
    let server = provider.trusted_by("30", &[]).await;
    let (_, eve) = server.register("eve@example.org").await;
    let thief = provider.token(&eve, AUDIENCE).await;
    assert_ne!(user_of(&server, &thief).await, eve);
}

#[tokio::test]
async fn a_user_is_the_same_by_the_pages_of_the_provider_and_by_its_token() {
    let provider = Provider::start().await;
    let more = [
        ("OIDC_ISSUER", provider.issuer()),
        ("OIDC_CLIENT_ID", "goldenpath-RS256".to_owned()),
        ("OIDC_CLIENT_SECRET", "the secret of a client in a test".to_owned()),
        ("OIDC_REDIRECT_URL", "PORT/api/auth/oidc/callback".to_owned()),
    ];
    let more: Vec<(&str, &str)> = more.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let server = provider.trusted_by("30", &more).await;
    let redirect = server.url("/api/auth/oidc/callback");
    provider.control(&format!("redirect?to={redirect}")).await;
    let token = provider.token("RS256 ada", AUDIENCE).await;
    let by_token = user_of(&server, &token).await;
    let (_, by_page) = log_in(&server, &mut Browser::new(), "RS256 ada").await;
    assert_eq!(by_page["id"], by_token.as_str());
    let (_, me) = server.get("/api/auth/me", &token).await;
    assert_eq!(me["name"], "RS256 ada of the provider", "what the page learnt is kept");
    user_of(&server, &provider.token("RS256 ada", AUDIENCE).await).await;
    let (_, me) = server.get("/api/auth/me", &token).await;
    assert_eq!(me["name"], "RS256 ada of the provider");
}

#[tokio::test]
async fn a_token_for_another_audience_or_of_an_issuer_nobody_named_is_refused_everywhere() {
    let provider = Provider::start().await;
    let server = provider.trusted_by("30", &[]).await;
    let before = asked(&provider).await;
    let other = provider.token("RS256 ada", "https://other.example/api").await;
    everywhere(&server, &other, &refused("unauthorized")).await;
    assert_eq!(asked(&provider).await, before, "nobody is asked for what cannot be accepted");

    let good = provider.token("RS256 ada", AUDIENCE).await;
    let strict = Server::start(&["--agents", "bench"], &[]).await;
    everywhere(&strict, &good, &refused("unauthorized")).await;
    let (head, signature) = good.rsplit_once('.').unwrap();
    let broken = format!("{head}.{}", URL_SAFE_NO_PAD.encode(vec![7; signature.len() * 3 / 4]));
    everywhere(&server, &broken, &refused("unauthorized")).await;
    // An ID token says who logged in somewhere else: its audience is a client of the provider.
    let id_token = provider.id_token("ada").await;
    everywhere(&server, &id_token, &refused("unauthorized")).await;
    let client = format!("{} goldenpath-RS256", provider.issuer());
    let careless = [("JWT_TRUSTED_ISSUERS", client.as_str())];
    let careless = Server::start(&["--agents", "bench"], &careless).await;
    everywhere(&careless, &id_token, &refused("unauthorized")).await;
}

#[tokio::test]
async fn after_a_rotation_the_new_key_is_fetched_once_and_the_older_one_is_no_good() {
    let provider = Provider::start().await;
    let server = provider.trusted_by("1", &[]).await;
    let older = provider.token("ES256 ada", AUDIENCE).await;
    let user = user_of(&server, &older).await;
    provider.control("rotate").await;
    let newer = provider.token("ES256 ada", AUDIENCE).await;
    let before = asked(&provider).await;
    let begin = Instant::now();
    // The pause of one second may not be over yet: until then the key is unknown.
    while present(server.port(), Place::Http, &newer, &newer).await == refused("unauthorized") {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    everywhere(&server, &newer, &Verdict::In(user)).await;
    assert_eq!(asked(&provider).await, before + 1);
    everywhere(&server, &older, &refused("unauthorized")).await;
}

#[tokio::test]
async fn while_the_issuer_is_down_known_keys_count_and_what_is_unknown_is_for_later() {
    let mut provider = Provider::start().await;
    let server = provider.trusted_by("1", &[]).await;
    let ada = provider.token("RS256 ada", AUDIENCE).await;
    let bob = provider.token("RS256 bob", AUDIENCE).await;
    let user = user_of(&server, &ada).await;
    let fresh = provider.trusted_by("1", &[]).await;
    provider.kill().await;
    everywhere(&server, &ada, &Verdict::In(user)).await;
    // A user nobody has seen here before, by a key that is known.
    user_of(&server, &bob).await;
    // A server that never heard of the keys cannot say yes, and does not say no.
    everywhere(&fresh, &ada, &refused("degraded")).await;
    let (token, local) = fresh.register("eve@example.org").await;
    everywhere(&fresh, &token, &Verdict::In(local)).await;
}

//= specs/auth.md#auth-39
//= type=test
//# Nobody without a good token MUST be able to make the keys of a trusted issuer be fetched more
//# often than its pause allows, nor keep others from having them fetched.
#[tokio::test]
async fn a_flood_of_keys_nobody_has_asks_the_issuer_once_and_keeps_nobody_out() {
    let provider = Provider::start().await;
    let server = provider.trusted_by("30", &[]).await;
    let good = provider.token("ES256 ada", AUDIENCE).await;
    // Who comes first, and goes away before the keys are there, does not take the asking along.
    for n in 0..20 {
        let unknown = naming(&good, &format!("gone-{n}"));
        let request = server.http().get(server.url("/api/auth/me")).bearer_auth(unknown);
        let _ = tokio::time::timeout(Duration::from_millis(1), request.send()).await;
    }
    let user = user_of(&server, &good).await;
    let port = server.port();
    let flood = (0..200).map(|n| {
        let token = naming(&good, &format!("invented-{n}"));
        let (place, good) = (Place::ALL[n % Place::ALL.len()], good.as_str());
        async move { present(port, place, &token, good).await }
    });
    let during = async {
        for _ in 0..20 {
            assert_eq!(user_of(&server, &good).await, user);
        }
    };
    let (verdicts, ()) = tokio::join!(join_all(flood), during);
    assert!(verdicts.iter().all(|verdict| *verdict == refused("unauthorized")), "{verdicts:?}");
    // Once with what the provider says about itself, once for a key that was not among them.
    let asked = asked(&provider).await;
    assert!(asked <= 2, "{asked} times");
}

/// AUTH-33 for tokens that no log-in of ours made.
#[tokio::test]
async fn leaving_everywhere_ends_the_tokens_of_other_issuers_too() {
    let provider = Provider::start().await;
    let server = provider.trusted_by("30", &[]).await;
    let [one, two] = [(); 2].map(|()| provider.token("RS256 ada", AUDIENCE));
    let (one, two) = (one.await, two.await);
    let user = user_of(&server, &two).await;
    let (mut open, _) = Socket::ready(&server, &two, json!([])).await;
    let (status, _) = server.call(Method::POST, "/api/auth/logout-all", Some(&one), None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(open.rest().await.1.map(|(code, _)| code), Some(4441));
    for token in [&one, &two] {
        everywhere(&server, token, &refused("token_revoked")).await;
    }
    // `iat` counts seconds: what is issued in a later one is good.
    let begin = Instant::now();
    loop {
        let later = provider.token("RS256 ada", AUDIENCE).await;
        if present(server.port(), Place::Http, &later, &later).await == Verdict::In(user.clone()) {
            break;
        }
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
