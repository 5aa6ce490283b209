//! A change of keys on a server that has users, threads, a run under way and an open socket.

use crate::forge::{Forge, Kind, Pair};
use crate::places::{Verdict, everywhere};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use goldenpath_tests::oracle::check_log;
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn member(answer: &Value, name: &str) -> String {
    answer[name].as_str().unwrap_or_else(|| panic!("{name} in {answer}")).to_owned()
}

/// By which key a token is signed.
fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    member(&serde_json::from_slice(&header).unwrap(), "kid")
}

async fn refresh(server: &Server, token: &str) -> (String, String) {
    let body = json!({ "refresh_token": token });
    let (status, pair) = server.call(Method::POST, "/api/auth/refresh", None, Some(body)).await;
    assert_eq!(status, StatusCode::OK, "{pair}");
    (member(&pair, "access_token"), member(&pair, "refresh_token"))
}

#[tokio::test]
async fn f20_who_is_in_at_a_rotation_stays_in_with_thread_run_socket_and_refresh() {
    let (older, newer) = (Forge::new(Kind::Hs256), Forge::new(Kind::Es256));
    let Pair::Hmac(secret) = &older.server else { unreachable!() };
    let secret = String::from_utf8(secret.clone()).unwrap();
    let keys = tempfile::tempdir().unwrap();
    let path = keys.path().join("key.pem");
    std::fs::write(&path, newer.server.private_pem()).unwrap();
    let path = path.display().to_string();
    let test = ("ENVIRONMENT", "test");
    let by_older = [test, ("JWT_SECRET_KEY", secret.as_str())];
    let by_both =
        [test, ("JWT_PRIVATE_KEY_FILE", path.as_str()), ("JWT_PREVIOUS_KEYS", secret.as_str())];
    let by_newer = [test, ("JWT_PRIVATE_KEY_FILE", path.as_str())];

    // Before: a thread with an answer, a run under way, a socket that hears it.
    let mut server = Server::start(&["--agents", "scripted"], &by_older).await;
    let account = json!({ "email": "ada@example.org", "password": "correct horse battery staple" });
    let (_, pair) = server.call(Method::POST, "/api/auth/register", None, Some(account)).await;
    let (first, refresh_1) = (member(&pair, "access_token"), member(&pair, "refresh_token"));
    let user = member(&pair["user"], "id");
    assert_eq!(kid(&first), older.kid);
    let (mut socket, _) = Socket::ready(&server, &first, json!([])).await;
    let thread = member(&socket.ask("m1", "hello", None).await, "thread_id");
    socket.collect(&RUN_ENDS).await;
    let slow = "data 0 slow; data 1 slow; report 0 slow";
    let run = member(&socket.ask("m2", slow, Some(&thread)).await, "run_id");
    let heard = socket.until("agent_started").await;
    let (epoch, seq) = (member(&heard, "epoch"), heard["seq"].as_u64().unwrap());

    // The rotation.
    server.terminate().await;
    let (_, end) = socket.rest().await;
    assert_eq!(end.map(|(code, _)| code), Some(1012), "come back, not: log in again");
    server.set(&by_both);
    server.launch().await;

    // The older token opens everything still, and the socket goes on where it was.
    everywhere(&server, &first, &Verdict::In(user.clone())).await;
    let resume = json!([{ "thread_id": thread, "epoch": epoch, "after_seq": seq }]);
    let (mut socket, ready) = Socket::ready(&server, &first, resume).await;
    let resumed = &ready["payload"]["resume"]["threads"][0];
    assert_eq!((&resumed["recovered"], &resumed["from_seq"]), (&json!(true), &json!(seq)));
    loop {
        let end = socket.collect(&RUN_ENDS).await.pop().unwrap();
        if end["run_id"] == run.as_str() {
            assert_eq!(end["type"], "run_completed", "{end}");
            break;
        }
    }
    let log = server.log_of(&first, &thread).await;
    assert_eq!(check_log(&log).len(), 2, "both runs, each ended once");

    // The log-in goes on, too: its next token is signed by the newer key, and the open socket takes it.
    let (second, refresh_2) = refresh(&server, &refresh_1).await;
    assert_eq!(kid(&second), newer.kid);
    let id = socket.say("auth_refresh", json!({ "token": second })).await;
    assert_eq!(socket.answer(&id).await["type"], "auth_ok");
    everywhere(&server, &second, &Verdict::In(user.clone())).await;

    // The older key is given up.
    server.terminate().await;
    server.set(&by_newer);
    server.launch().await;
    everywhere(&server, &first, &Verdict::Refused("unauthorized".into())).await;
    everywhere(&server, &second, &Verdict::In(user.clone())).await;
    let (third, _) = refresh(&server, &refresh_2).await;
    assert_eq!(kid(&third), newer.kid);
    let resume = json!([{ "thread_id": thread, "epoch": epoch, "after_seq": seq }]);
    let (_, ready) = Socket::ready(&server, &third, resume).await;
    assert_eq!(ready["payload"]["user_id"], user.as_str());
    assert_eq!(ready["payload"]["resume"]["threads"][0]["recovered"], true, "{ready}");
    assert_eq!(server.log_of(&third, &thread).await, log, "nothing is lost by it");
}
