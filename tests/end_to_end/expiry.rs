//! A token ends while its socket is open: warned, refreshed in band, or closed with 4440 (F38).

use goldenpath_core::auth::Policy;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_jsonwebtoken::{Grant, Key, Keys, Tokens};
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::{Heard, Socket};
use serde_json::json;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
/// How long a connection outlives its token: the server's usual grace.
const GRACE: i64 = 10;

async fn server() -> Server {
    let settings = [("JWT_SECRET_KEY", SECRET), ("DEMO_MODE", "0")];
    Server::start(&["--agents", "bench"], &settings).await
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A token of this user that ends so many seconds from now, or did before now.
fn token(user: &str, session: u128, ends_in: i64) -> String {
    let key = Key::hs256(SECRET.as_bytes()).unwrap();
    let policy = Policy {
        issuer: "goldenpath".into(),
        audience: Some("goldenpath".into()),
        leeway: Millis::ZERO,
        max_age: None,
        older_issuer: None,
    };
    let lifetime = Millis::from_secs(900);
    let grant = Grant::new(UserId::new(user).unwrap(), SessionId(session), lifetime);
    let issued_at = now().saturating_add_signed(ends_in * 1000) - lifetime.0;
    Tokens::new(Keys::new(key), policy).issue(grant, Wall(issued_at)).unwrap().token.0
}

#[tokio::test]
async fn f38_a_token_that_ends_on_a_live_socket_is_announced_and_ends_it_with_4440() {
    let server = server().await;
    // Two seconds before the end of the grace: accepted still, since clocks differ.
    let (mut socket, _) = Socket::ready(&server, &token("ada", 1, 3 - GRACE), json!([])).await;
    let begin = Instant::now();
    let warning = socket.until("token_expiring").await;
    let ends_at = warning["payload"]["expires_at"].as_u64().unwrap();
    assert!(ends_at <= now() && now() < ends_at + 12_000, "{warning}");
    socket.say("ping", json!({"nonce": 1})).await;
    socket.until("pong").await;
    let (frames, end) = socket.rest().await;
    let told = |kind: &str| {
        frames.iter().find(|f| f["type"] == kind).unwrap_or_else(|| panic!("{frames:?}"))
    };
    assert_eq!(told("error")["payload"]["code"], "token_expired");
    assert_eq!(told("disconnect")["payload"]["code"], 4440);
    assert_eq!(end.map(|(code, _)| code), Some(4440));
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn f38_a_warning_comes_a_minute_before_the_end_and_not_earlier() {
    let server = server().await;
    let (mut socket, ready) = Socket::ready(&server, &token("ada", 1, 62), json!([])).await;
    let ends_at = ready["payload"]["token_expires_at"].as_u64().unwrap();
    assert!((60_000..=62_000).contains(&(ends_at - now())), "{ready}");
    socket.say("ping", json!({"nonce": 1})).await;
    assert_eq!(socket.frame().await["type"], "pong", "nothing is said too early");
    socket.until("token_expiring").await;
    let (_, calm) = Socket::ready(&server, &token("ada", 1, 600), json!([])).await;
    assert_eq!(calm["payload"]["user_id"], "ada");
}

#[tokio::test]
async fn f38_a_newer_token_of_the_same_user_keeps_the_socket_and_its_work() {
    let server = server().await;
    let (mut socket, _) = Socket::ready(&server, &token("ada", 1, 3 - GRACE), json!([])).await;
    let ends = Instant::now() + Duration::from_secs(4);
    socket.until("token_expiring").await;
    let newer = socket.say("auth_refresh", json!({"token": token("ada", 2, 600)})).await;
    let answer = socket.answer(&newer).await;
    assert_eq!(answer["type"], "auth_ok", "{answer}");
    let ends_at = answer["payload"]["token_expires_at"].as_u64().unwrap();
    assert!(ends_at > now() + 590_000, "{answer}");
    let mut nonce = 0;
    while Instant::now() < ends {
        nonce += 1;
        socket.say("ping", json!({"nonce": nonce})).await;
        assert_eq!(socket.until("pong").await["payload"]["nonce"], nonce);
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let ack = socket.ask("after", "still there?", None).await;
    assert_eq!(ack["status"], "accepted");
    socket.until("run_completed").await;
}

#[tokio::test]
async fn f38_a_token_of_another_user_closes_the_socket_and_hands_nothing_over() {
    let server = server().await;
    let (mut ada, _) = Socket::ready(&server, &token("ada", 1, 600), json!([])).await;
    let thread = ada.ask("q", "mine", None).await["thread_id"].clone();
    ada.until("run_completed").await;
    ada.say("auth_refresh", json!({"token": token("eve", 2, 600)})).await;
    let (frames, end) = ada.rest().await;
    let error =
        frames.iter().find(|f| f["type"] == "error").unwrap_or_else(|| panic!("{frames:?}"));
    assert_eq!(error["payload"]["code"], "user_mismatch");
    assert!(!frames.iter().any(|f| f["type"] == "auth_ok"), "{frames:?}");
    assert_eq!(end.map(|(code, _)| code), Some(4403));
    let path = format!("/api/threads/{}/log", thread.as_str().unwrap());
    assert_eq!(server.get(&path, &token("eve", 2, 600)).await.0, 404);
    assert_eq!(server.get(&path, &token("ada", 3, 600)).await.0, 200);
}

#[tokio::test]
async fn f38_a_refresh_that_is_no_good_leaves_the_older_token_in_place() {
    let server = server().await;
    let (mut socket, _) = Socket::ready(&server, &token("ada", 1, 600), json!([])).await;
    let hostile = [token("ada", 1, -3600), format!("{}x", token("ada", 1, 600)), String::new()];
    for (hostile, code) in hostile.iter().zip(["token_expired", "unauthorized", "unauthorized"]) {
        let id = socket.say("auth_refresh", json!({"token": hostile})).await;
        let answer = socket.answer(&id).await;
        assert_eq!((&answer["type"], &answer["payload"]["code"]), (&json!("error"), &json!(code)));
        socket.say("ping", json!({"nonce": 1})).await;
        assert!(matches!(socket.hear().await, Heard::Frame(f) if f["type"] == "pong"));
    }
}
