//! What a log-in and a change of password give away, and how often they may be tried.

use crate::accounts::{log_in, register, socket, text};
use crate::rig::{PATIENCE, Reply, Wishes, rig, token_of};
use crate::sockets::{GOLDEN, connect};
use futures_util::FutureExt as _;
use goldenpath_core::auth::{LOG_INS, PASSWORD_MAX};
use goldenpath_core::wire::Secret;
use goldenpath_runtime::identity::Passwords;
use goldenpath_runtime::memory::MemoryStore;
use goldenpath_runtime::ports::{Answer, AuditLog, AuditRecord};
use serde_json::json;
use std::collections::BTreeSet;
use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Remembers every password it was given.
#[derive(Clone, Default)]
struct Recording(Arc<Mutex<Vec<String>>>);

impl Passwords for Recording {
    fn hash(&self, password: Secret) -> Answer<String> {
        ready(Ok(password.0)).boxed()
    }

    fn matches(&self, password: Secret, hash: Option<String>) -> Answer<bool> {
        let is_it = hash.as_ref() == Some(&password.0);
        self.0.lock().unwrap().push(password.0);
        ready(Ok(is_it)).boxed()
    }

    fn is_outdated(&self, _: &str) -> bool {
        false
    }
}

/// Everything of an answer but when it was given.
fn said(reply: &Reply) -> (String, String) {
    let lines = reply.head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
    let (mut head, mut body) = (String::new(), reply.body.clone());
    for line in lines {
        // The id of a request is drawn for each; only that there is one is the same.
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("x-request-id") => {
                body = body.replace(value, "ID");
                head.push_str(name);
            }
            _ => head.push_str(line),
        }
        head.push('\n');
    }
    (head, body)
}

#[tokio::test]
async fn a_wrong_password_and_an_address_of_nobody_are_told_the_same() {
    let rig = rig(Wishes::default()).await;
    register(&rig, "ada@example.org").await;
    let wrong = log_in(&rig, "ada@example.org", "wrong horse").await;
    for nobody in ["bob@example.org", "no address"] {
        let reply = log_in(&rig, nobody, "wrong horse").await;
        assert_eq!(reply.status(), 401, "{nobody}");
        assert_eq!(said(&reply), said(&wrong), "{nobody}");
    }
    assert!(!wrong.body.contains("ada") && !wrong.body.contains("horse"), "{}", wrong.body);
}

#[tokio::test]
async fn a_password_that_is_too_long_is_refused_before_it_is_hashed() {
    let passwords = Recording::default();
    let rig = rig(Wishes { passwords: Arc::new(passwords.clone()), ..Wishes::default() }).await;
    let longest = "a long passphrase ".repeat(PASSWORD_MAX)[..PASSWORD_MAX].to_owned();
    let body = json!({"email": "ada@example.org", "password": longest}).to_string();
    assert_eq!(rig.send("POST", "/api/auth/register", None, &body).await.status(), 201);
    let mut last = longest.clone();
    last.pop();
    for (password, status) in [
        (longest.clone(), 200),
        (format!("{last}q"), 401),
        (last, 401),
        (format!("{longest}q"), 401),
    ] {
        let reply = log_in(&rig, "ada@example.org", &password).await;
        assert_eq!(reply.status(), status, "{} bytes", password.len());
    }
    let hashed: BTreeSet<usize> = passwords.0.lock().unwrap().iter().map(String::len).collect();
    assert!(hashed.iter().all(|length| *length <= PASSWORD_MAX), "{hashed:?}");
}

/// AUTH-88: whoever is crowded out hears of it as after a log-out (F39).
#[tokio::test]
async fn one_log_in_too_many_closes_the_sockets_of_the_oldest_and_no_others() {
    let rig = rig(Wishes::default()).await;
    let oldest = text(&register(&rig, "ada@example.org").await, "access_token");
    let mut crowded_out = socket(&rig, &oldest).await;
    // Within one millisecond there is no older one.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let second =
        text(&log_in(&rig, "ada@example.org", "correct horse").await.json(), "access_token");
    let mut stays = socket(&rig, &second).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    for n in 2..LOG_INS {
        assert_eq!(log_in(&rig, "ada@example.org", "correct horse").await.status(), 200, "{n}");
    }
    assert_eq!(rig.call("GET", "/auth/me", Some(&oldest)).await.status(), 200);
    let one_more = log_in(&rig, "ada@example.org", "correct horse").await;
    let began = Instant::now();
    assert_eq!(crowded_out.until_closed().await.1, 4441);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(rig.call("GET", "/auth/me", Some(&oldest)).await.status(), 401);
    let newest = text(&one_more.json(), "access_token");
    let listed = rig.call("GET", "/api/auth/sessions", Some(&newest)).await.json();
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(LOG_INS));
    stays.say(json!({ "type": "ping", "payload": {} })).await;
    stays.until("pong").await;
}

//= specs/auth.md#auth-89
//= type=test
//# A connection that was let in while its user left everywhere MUST be closed like those that
//# were open, whoever issued its token.
#[tokio::test]
async fn who_leaves_everywhere_while_a_token_without_a_log_in_is_checked_closes_its_socket() {
    let rig = rig(Wishes { leaving_everywhere: true, ..Wishes::default() }).await;
    let token = token_of("ada", 1).0;
    assert_eq!(rig.call("GET", "/auth/me", Some(&token)).await.status(), 200);
    let mut socket = connect(&rig, "/ws", &[GOLDEN]).await.unwrap();
    socket.say(json!({ "type": "auth", "payload": { "token": token } })).await;
    let (kinds, code) = socket.until_closed().await;
    assert_eq!((kinds.last().map(String::as_str), code), (Some("disconnect"), 4441));
    assert!(!kinds.contains(&"connection_ready".to_owned()), "{kinds:?}");
    assert_eq!(rig.connections.shards.load().await.connections, 0);
    assert_eq!(rig.call("GET", "/auth/me", Some(&token)).await.status(), 401);
}

#[tokio::test]
async fn whoever_has_a_token_does_not_guess_its_users_password() {
    let rig = rig(Wishes::default()).await;
    let token = text(&register(&rig, "ada@example.org").await, "access_token");
    let mut told = Vec::new();
    for n in 0..40 {
        let guess =
            json!({"current_password": format!("guess {n}"), "new_password": "battery staple"});
        let reply = rig.send("POST", "/api/auth/password", Some(&token), &guess.to_string()).await;
        if reply.status() == 429 {
            assert!(reply.header("retry-after").is_some(), "{reply:?}");
        }
        told.push(reply.status());
    }
    let tried = told.iter().take_while(|status| **status == 401).count();
    assert!((1..=20).contains(&tried), "{told:?}");
    assert!(told[tried..].iter().all(|status| *status == 429), "{told:?}");
}

/// Whoever has stolen a credential of another kind than those it is read from gets nowhere with it.
#[tokio::test]
async fn a_cookie_is_no_credential() {
    let rig = rig(Wishes { demo: false, ..Wishes::default() }).await;
    let token = text(&register(&rig, "ada@example.org").await, "access_token");
    for name in ["access_token", "token", "jwt", "session", "Authorization", "goldenpath-login"] {
        for value in [token.clone(), format!("Bearer {token}")] {
            let cookie = format!("Cookie: {name}={value}\r\n");
            for path in ["/api/auth/me", "/auth/me", "/api/threads"] {
                let head =
                    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{cookie}Connection: close\r\n\r\n");
                assert_eq!(rig.exchange(&head).await.status(), 401, "{path} {name}");
            }
            let header = format!("{name}={value}");
            let opened = connect(&rig, "/ws", &[("Cookie", &header)]).await;
            assert_eq!(opened.err(), Some(401), "{name}");
        }
    }
    let mut socket =
        connect(&rig, "/ws", &[GOLDEN, ("Cookie", &format!("token={token}"))]).await.unwrap();
    socket.say(json!({ "type": "ping", "payload": {} })).await;
    let (kinds, code) = socket.until_closed().await;
    assert!(
        code / 100 == 44 && !kinds.contains(&"connection_ready".to_owned()),
        "{kinds:?} {code}"
    );
}

/// Waits for a record like this.
async fn record(store: &MemoryStore, is_it: impl Fn(&AuditRecord) -> bool) -> AuditRecord {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let rows = AuditLog::read(store, None, 1000).await.unwrap();
        if let Some(row) = rows.into_iter().find(|row| is_it(&row.record)) {
            return row.record;
        }
        assert!(Instant::now() < deadline, "no such record");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_wait_after_failures_is_recorded_and_so_is_who_opened_a_socket_from_where() {
    let store = MemoryStore::new();
    let rig = rig(Wishes { store: store.clone(), ..Wishes::default() }).await;
    let ada = register(&rig, "ada@example.org").await;
    let mut tries = 0;
    while log_in(&rig, "ada@example.org", "wrong horse").await.status() != 429 {
        tries += 1;
        assert!(tries < 100);
    }
    let limited = record(&store, |record| {
        record.reason.is_some_and(|reason| reason.as_str() == "rate_limited")
    })
    .await;
    assert_eq!((limited.action.as_str(), limited.outcome.as_str()), ("log_in", "refused"));
    let _socket = socket(&rig, &text(&ada, "access_token")).await;
    let opened = record(&store, |record| record.action.as_str() == "socket").await;
    let who = opened.user_id.as_ref().map(ToString::to_string);
    assert_eq!(who, Some(text(&ada["user"], "id")));
    assert_eq!(opened.outcome.as_str(), "accepted");
    assert_eq!(opened.place.as_deref(), Some("127.0.0.1"));
}
