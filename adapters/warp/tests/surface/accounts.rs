//! Log-ins over HTTP: staying, leaving, and the doors of tests and developers.

use crate::rig::{Reply, Rig, Wishes, rig};
use crate::sockets::{Client, GOLDEN, connect};
use goldenpath_core::auth::{Environment, Role};
use goldenpath_core::id::UserId;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::Secret;
use goldenpath_runtime::memory::MemoryStore;
use goldenpath_runtime::ports::{Account, Accounts as _, Email};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub(crate) const KEY: &str = "a key of sixteen bytes";

pub(crate) async fn register(rig: &Rig, email: &str) -> Value {
    let body = json!({"email": email, "password": "correct horse"}).to_string();
    let reply = rig.send("POST", "/api/auth/register", None, &body).await;
    assert_eq!(reply.status(), 201, "{reply:?}");
    reply.json()
}

pub(crate) async fn log_in(rig: &Rig, email: &str, password: &str) -> Reply {
    let body = json!({"email": email, "password": password}).to_string();
    rig.send("POST", "/auth/login", None, &body).await
}

pub(crate) fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_else(|| panic!("{member} in {body}")).to_owned()
}

async fn me(rig: &Rig, token: &str) -> u16 {
    rig.call("GET", "/auth/me", Some(token)).await.status()
}

pub(crate) async fn e2e(rig: &Rig, key: Option<&str>, body: &str) -> Reply {
    let key = key.map(|key| format!("X-E2E-Bypass-Key: {key}\r\n")).unwrap_or_default();
    rig.exchange(&format!(
        "POST /auth/e2e/test-auth HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{key}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await
}

#[tokio::test]
async fn a_refresh_token_is_good_once_under_each_of_its_names_and_its_reuse_ends_all() {
    let rig = rig(Wishes::default()).await;
    let mut pair = register(&rig, "ada@example.org").await;
    let first = text(&pair, "refresh_token");
    for (path, member) in [
        ("/auth/refresh", "refresh_token"),
        ("/auth/refresh", "refreshToken"),
        ("/auth/refresh", "token"),
        ("/api/auth/refresh", "refresh_token"),
    ] {
        let body = json!({ member: text(&pair, "refresh_token") }).to_string();
        let reply = rig.send("POST", path, None, &body).await;
        assert_eq!(reply.status(), 200, "{path} {member} {reply:?}");
        let next = reply.json();
        assert_ne!(next["refresh_token"], pair["refresh_token"]);
        assert_eq!(me(&rig, &text(&next, "access_token")).await, 200);
        pair = next;
    }
    // Under several names at once the first counts, whichever address is asked.
    for path in ["/auth/refresh", "/api/auth/refresh"] {
        let token = text(&pair, "refresh_token");
        let both = json!({ "refresh_token": token, "refreshToken": "x", "token": 7 }).to_string();
        let reply = rig.send("POST", path, None, &both).await;
        assert_eq!(reply.status(), 200, "{path} {reply:?}");
        pair = reply.json();
    }
    let again = json!({ "refresh_token": first }).to_string();
    let reused = rig.send("POST", "/auth/refresh", None, &again).await;
    assert_eq!((reused.status(), &reused.json()["code"]), (401, &json!("token_revoked")));
    // Access tokens of the log-in go with it, and so does the newest refresh token.
    assert_eq!(me(&rig, &text(&pair, "access_token")).await, 401);
    let newest = json!({ "refresh_token": text(&pair, "refresh_token") }).to_string();
    assert_eq!(rig.send("POST", "/auth/refresh", None, &newest).await.status(), 401);
    // An access token is no refresh token, and none is missing a token.
    let other = register(&rig, "bob@example.org").await;
    let wrong = json!({ "refresh_token": text(&other, "access_token") }).to_string();
    assert_eq!(rig.send("POST", "/auth/refresh", None, &wrong).await.status(), 401);
    assert_eq!(rig.send("POST", "/auth/refresh", None, "{}").await.status(), 422);
    assert_eq!(me(&rig, &text(&other, "refresh_token")).await, 401);
}

//= specs/auth.md#auth-77
//= type=test
//# Whoever repeats a refresh within the grace MUST be answered with the same token as before, unless
//# the server was restarted in between.
#[tokio::test]
async fn two_tabs_that_refresh_at_once_stay_logged_in_both() {
    let rig = rig(Wishes::default()).await;
    let mut held = text(&register(&rig, "ada@example.org").await, "refresh_token");
    for _ in 0..3 {
        let body = json!({ "refresh_token": held }).to_string();
        let both = [(); 2].map(|()| rig.send("POST", "/api/auth/refresh", None, &body));
        let both = futures_util::future::join_all(both).await;
        let next: Vec<String> = both
            .iter()
            .map(|reply| {
                assert_eq!(reply.status(), 200, "{reply:?}");
                text(&reply.json(), "refresh_token")
            })
            .collect();
        assert_eq!(next[0], next[1]);
        assert_ne!(next[0], held);
        for reply in &both {
            assert_eq!(me(&rig, &text(&reply.json(), "access_token")).await, 200);
        }
        held.clone_from(&next[0]);
    }
}

#[tokio::test]
async fn leaving_always_answers_200_to_older_clients_and_ends_what_it_can() {
    let rig = rig(Wishes::default()).await;
    let pair = register(&rig, "ada@example.org").await;
    let nothing = rig.call("POST", "/auth/logout", None).await;
    assert_eq!((nothing.status(), &nothing.json()["success"]), (200, &json!(true)));
    assert_eq!(rig.call("POST", "/api/auth/logout", None).await.status(), 401);
    // By the refresh token alone, as after the end of the access token.
    let body = json!({ "refresh_token": text(&pair, "refresh_token") }).to_string();
    assert_eq!(rig.send("POST", "/auth/logout", None, &body).await.status(), 200);
    assert_eq!(me(&rig, &text(&pair, "access_token")).await, 401);
    assert_eq!(rig.send("POST", "/auth/refresh", None, &body).await.status(), 401);
}

//= specs/auth.md#auth-78
//= type=test
//# The older address to log out MUST answer 200 to whatever is sent, and MUST NOT call it a success
//# when a log-in goes on.
#[tokio::test]
async fn f44_leaving_is_no_success_when_the_store_did_not_end_the_log_in() {
    let store = MemoryStore::new();
    let rig = rig(Wishes { store: store.clone(), ..Wishes::default() }).await;
    let pair = register(&rig, "ada@example.org").await;
    let token = text(&pair, "access_token");
    for body in ["x", "{bad", r#"{"token":5}"#, "[]", "null", r#"{"refresh_token":""}"#] {
        let reply = rig.send("POST", "/auth/logout", None, body).await;
        assert_eq!((reply.status(), &reply.json()["success"]), (200, &json!(true)), "{body}");
        let plain = format!(
            "POST /auth/logout HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(rig.exchange(&plain).await.status(), 200, "{body}");
    }
    assert_eq!(me(&rig, &token).await, 200, "nobody was logged out by any of it");
    store.set_down(true);
    let refresh = json!({ "refresh_token": text(&pair, "refresh_token") }).to_string();
    for (token, body) in [(Some(&*token), "x"), (None, &*refresh)] {
        let reply = rig.send("POST", "/auth/logout", token, body).await;
        assert_eq!((reply.status(), &reply.json()["success"]), (200, &json!(false)), "{body}");
    }
    assert_eq!(rig.call("POST", "/api/auth/logout", Some(&token)).await.status(), 503);
    store.set_down(false);
    assert_eq!(me(&rig, &token).await, 200);
    let reply = rig.send("POST", "/auth/logout", Some(&token), "{bad").await;
    assert_eq!((reply.status(), &reply.json()["success"]), (200, &json!(true)));
    assert_eq!(me(&rig, &token).await, 401);
}

//= specs/auth.md#auth-79
//= type=test
//# One address MUST NOT try more than 20 registrations at once, and one in five minutes after that.
#[tokio::test]
async fn whoever_asks_which_addresses_have_an_account_is_stopped_soon() {
    let rig = rig(Wishes::default()).await;
    register(&rig, "ada@example.org").await;
    let body = json!({"email": "ada@example.org", "password": "correct horse"}).to_string();
    let mut statuses = Vec::new();
    for _ in 0..21 {
        statuses.push(rig.send("POST", "/auth/register", None, &body).await);
    }
    assert!(statuses[..19].iter().all(|reply| reply.status() == 422));
    for reply in &statuses[19..] {
        assert_eq!(reply.status(), 429);
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((290..=300).contains(&wait), "{wait}");
    }
}

//= specs/auth.md#auth-53
//= type=test
//# Changing a password MUST end every other log-in of the user.
#[tokio::test]
async fn a_new_password_ends_the_other_log_ins_and_leaving_everywhere_ends_all() {
    let rig = rig(Wishes::default()).await;
    let here = register(&rig, "ada@example.org").await;
    let there = log_in(&rig, "ada@example.org", "correct horse").await.json();
    let (here, there) = (text(&here, "access_token"), text(&there, "access_token"));
    let list = rig.call("GET", "/api/auth/sessions", Some(&here)).await.json();
    assert_eq!(list["sessions"].as_array().unwrap().len(), 2, "{list}");
    let change = |current: &str, new: &str| {
        json!({"current_password": current, "new_password": new}).to_string()
    };
    let path = "/api/auth/password";
    let wrong = rig.send("POST", path, Some(&here), &change("wrong horse", "battery staple")).await;
    assert_eq!(wrong.status(), 401);
    let weak = rig.send("POST", path, Some(&here), &change("correct horse", "password1")).await;
    assert_eq!(weak.status(), 422);
    assert_eq!(me(&rig, &there).await, 200, "nothing has changed so far");
    let done =
        rig.send("POST", path, Some(&here), &change("correct horse", "battery staple")).await;
    assert_eq!((done.status(), &done.json()["sessions_ended"]), (200, &json!(1)), "{done:?}");
    assert_eq!([me(&rig, &here).await, me(&rig, &there).await], [200, 401]);
    assert_eq!(log_in(&rig, "ada@example.org", "correct horse").await.status(), 401);
    let third = log_in(&rig, "ada@example.org", "battery staple").await.json();
    let third = text(&third, "access_token");
    let all = rig.call("POST", "/api/auth/logout-all", Some(&here)).await;
    assert_eq!((all.status(), &all.json()["sessions_ended"]), (200, &json!(2)));
    assert_eq!([me(&rig, &here).await, me(&rig, &third).await], [401, 401]);
}

//= specs/auth.md#auth-50
//= type=test
//# A password hash of weaker parameters than today's MUST be replaced when its user logs in.
#[tokio::test]
async fn a_weak_hash_is_replaced_by_a_log_in_and_only_by_a_good_one() {
    let store = MemoryStore::new();
    let rig = rig(Wishes { store: store.clone(), ..Wishes::default() }).await;
    let email: Email = "ada@example.org".parse().unwrap();
    let account = Account {
        user_id: UserId::new("user-1").unwrap(),
        email: email.clone(),
        name: None,
        password_hash: "weak:correct horse".into(),
        roles: vec![Role::Auditor],
        created_at: Wall(1),
    };
    store.create(account).await.unwrap();
    for (password, status, hash) in [
        ("wrong horse", 401, "weak:correct horse"),
        ("correct horse", 200, "correct horse"),
        ("correct horse", 200, "correct horse"),
    ] {
        let reply = log_in(&rig, "ada@example.org", password).await;
        assert_eq!(reply.status(), status);
        assert_eq!(store.by_email(&email).await.unwrap().unwrap().password_hash, hash);
        if status == 200 {
            // What a role gives is in the token, and opens what it is for.
            assert_eq!(reply.json()["user"]["permissions"], json!(["audit:read"]));
            let token = text(&reply.json(), "access_token");
            let audit = rig.call("GET", "/api/admin/audit", Some(&token)).await;
            assert_eq!(audit.status(), 200);
        }
    }
}

//= specs/auth.md#auth-52
//= type=test
//# Preferences MUST be an object and MUST be bounded.
#[tokio::test]
async fn users_keep_a_name_and_preferences_of_their_own() {
    let rig = rig(Wishes::default()).await;
    let ada = text(&register(&rig, "ada@example.org").await, "access_token");
    let bob = text(&register(&rig, "bob@example.org").await, "access_token");
    let renamed = rig.send("PATCH", "/api/auth/me", Some(&ada), r#"{"name":"Countess"}"#).await;
    assert_eq!((renamed.status(), &renamed.json()["name"]), (200, &json!("Countess")));
    let path = "/api/auth/preferences";
    assert_eq!(rig.call("GET", path, Some(&ada)).await.json(), json!({}));
    let put = rig.send("PUT", path, Some(&ada), r#"{"theme":"dark"}"#).await;
    assert_eq!(put.status(), 200);
    assert_eq!(rig.call("GET", path, Some(&ada)).await.json(), json!({"theme": "dark"}));
    assert_eq!(rig.call("GET", path, Some(&bob)).await.json(), json!({}));
    let long = json!({ "x": "y".repeat(17_000) }).to_string();
    for bad in ["[]", "7", &long] {
        assert_eq!(rig.send("PUT", path, Some(&ada), bad).await.status(), 422, "{bad:.20}");
    }
    assert_eq!(rig.call("GET", path, Some(&ada)).await.json(), json!({"theme": "dark"}));
}

#[tokio::test]
async fn f15_a_missing_a_wrong_and_an_absent_key_are_three_answers() {
    let tester = json!({"email": "t@example.org", "name": "T", "permissions": ["audit:read"]});
    let tester = tester.to_string();
    for environment in Environment::ALL {
        for configured in [None, Some(Secret(KEY.to_owned()))] {
            let has_key = configured.is_some();
            let rig = rig(Wishes { environment, e2e_key: configured, ..Wishes::default() }).await;
            let mut statuses = Vec::new();
            for key in [None, Some("not the key"), Some(KEY)] {
                let reply = e2e(&rig, key, &tester).await;
                assert!(!reply.body.contains(KEY) && !reply.body.contains("not the key"));
                statuses.push((reply.status(), reply.json()["message"].clone()));
            }
            let told: Vec<u16> = statuses.iter().map(|(status, _)| *status).collect();
            match (environment.is_production(), has_key) {
                (true, _) => {
                    assert_eq!(told, [403; 3]);
                    for bad in ["{bad", r#"{"email":7}"#, "[]", ""] {
                        assert_eq!(e2e(&rig, Some(KEY), bad).await.status(), 403, "{bad}");
                    }
                }
                (false, false) => assert_eq!(told, [503; 3]),
                (false, true) => {
                    assert_eq!(told, [401, 401, 200]);
                    assert_eq!(statuses[0].1, "E2E bypass key required");
                    assert_eq!(statuses[1].1, "Invalid E2E bypass key");
                    let user = e2e(&rig, Some(KEY), &tester).await.json()["user"].clone();
                    assert_eq!(
                        (&user["id"], &user["email"]),
                        (&json!("e2e-t"), &json!("t@example.org"))
                    );
                    for bad in [r#"{"email":"x"}"#, "{}", r#"{"email":7}"#, "{bad"] {
                        assert_eq!(e2e(&rig, Some(KEY), bad).await.status(), 422, "{bad}");
                    }
                }
            }
            let dev = rig.send("POST", "/auth/dev/login", None, "{}").await.status();
            assert_eq!(dev, if environment.has_dev_login() { 200 } else { 403 });
        }
    }
}

/// On one thread, as the recorder of these counters is that thread's own.
#[tokio::test]
async fn f15_every_use_of_the_key_is_counted_with_its_reason() {
    let tester = json!({"email": "t@example.org"}).to_string();
    let configured = || Some(Secret(KEY.to_owned()));
    for (environment, e2e_key, refused, accepted) in [
        (Environment::Test, configured(), ("unauthorized", 3), Some(2)),
        (Environment::Test, None, ("degraded", 5), None),
        (Environment::Production, configured(), ("forbidden", 5), None),
    ] {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _counting = metrics::set_default_local_recorder(&recorder);
        let rig = rig(Wishes { environment, e2e_key, ..Wishes::default() }).await;
        for key in [None, Some("not the key"), None, Some(KEY), Some(KEY)] {
            e2e(&rig, key, &tester).await;
        }
        let shown = recorder.handle().render();
        assert!(!shown.contains(KEY) && !shown.contains("not the key"));
        let count = |start: &str| -> Option<u64> {
            let line = shown.lines().find(|line| line.starts_with(start))?;
            line.rsplit(' ').next()?.parse().ok()
        };
        let (reason, times) = refused;
        let uses = |result: &str| {
            count(&format!("goldenpath_bypass_uses_total{{method=\"e2e\",result=\"{result}\"}}"))
        };
        assert_eq!((uses("refused"), uses("accepted")), (Some(times), accepted), "{shown}");
        let log_ins = format!(
            "goldenpath_log_ins_total{{method=\"e2e\",result=\"refused\",reason=\"{reason}\"}}"
        );
        assert_eq!(count(&log_ins), Some(times), "{shown}");
    }
}

#[tokio::test]
async fn f16_no_header_lets_an_unsigned_token_in() {
    let key = Some(Secret(KEY.to_owned()));
    let rig = rig(Wishes { e2e_key: key, ..Wishes::default() }).await;
    // {"alg":"none"} and {"sub":"ada","iss":"goldenpath","aud":["goldenpath"],"exp":9999999999}
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJpc3MiOiJnb2xkZW5wYXRoIiwiYXVkIjpbImdvbGRlbnBhdGgiXSwiZXhwIjo5OTk5OTk5OTk5fQ.";
    for header in [
        format!("X-E2E-Bypass-Key: {KEY}"),
        format!("X-E2E-Bypass: true\r\nX-E2E-Bypass-Key: {KEY}\r\nX-Test-Environment: e2e"),
        "X-E2E-Test: true\r\nX-Test-Mode: 1\r\nE2E-OAUTH-SIMULATION-KEY: x".to_owned(),
    ] {
        for (method, path) in [("GET", "/auth/me"), ("GET", "/api/threads")] {
            let reply = rig
                .exchange(&format!(
                    "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {unsigned}\r\n{header}\r\nConnection: close\r\n\r\n"
                ))
                .await;
            assert_eq!(reply.status(), 401, "{header} {path}");
        }
        let reply = rig
            .exchange(&format!(
                "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {unsigned}\r\n{header}\r\n\r\n"
            ))
            .await;
        assert_eq!(reply.status(), 401, "{header} /ws");
    }
    let body = json!({ "token": unsigned }).to_string();
    let validated = rig.send("POST", "/auth/validate", None, &body).await;
    assert_eq!(validated.json(), json!({"valid": false, "error": "unauthorized"}));
}

#[tokio::test]
async fn f17_nobody_is_answered_as_somebody_else() {
    let rig = rig(Wishes::default()).await;
    let mut users = Vec::new();
    for n in 0..8 {
        let pair = register(&rig, &format!("user{n}@example.org")).await;
        users.push((text(&pair, "access_token"), text(&pair["user"], "id")));
        // The same user from another browser: another session, the same user.
        let again = log_in(&rig, &format!("user{n}@example.org"), "correct horse").await.json();
        users.push((text(&again, "access_token"), text(&again["user"], "id")));
    }
    let asks = (0..10).flat_map(|_| users.iter()).map(async |(token, user)| {
        let reply = rig.call("GET", "/auth/me", Some(token)).await.json();
        (reply["id"].clone(), json!(user))
    });
    for (answered, expected) in futures_util::future::join_all(asks).await {
        assert_eq!(answered, expected);
    }
    let different: std::collections::BTreeSet<_> = users.iter().map(|(_, user)| user).collect();
    assert_eq!(different.len(), 8);
}

//= specs/auth.md#auth-51
//= type=test
//# A log-in MUST NOT go on when the way it began is closed.
#[tokio::test]
async fn f19_what_came_in_by_demo_mode_does_not_go_on_where_there_is_none() {
    // The same data, once in a server with demo mode and E2E key, once in one without.
    let store = MemoryStore::new();
    let wishes =
        |demo, e2e_key| Wishes { demo, e2e_key, store: store.clone(), ..Wishes::default() };
    let open = rig(wishes(true, Some(Secret(KEY.to_owned())))).await;
    let shut = rig(wishes(false, None)).await;
    let demo = open.call("POST", "/api/auth/demo", None).await.json();
    let test = e2e(&open, Some(KEY), r#"{"email":"t@example.org"}"#).await.json();
    let own = register(&open, "ada@example.org").await;
    for (pair, expected) in [(demo, 401), (test, 401), (own, 200)] {
        let body = json!({ "refresh_token": text(&pair, "refresh_token") }).to_string();
        let reply = shut.send("POST", "/auth/refresh", None, &body).await;
        assert_eq!(reply.status(), expected, "{pair}");
    }
}

//= specs/auth.md#auth-75
//= type=test
//# A credential of a user of demo mode, of developers or of tests MUST NOT be accepted where that way
//# in is closed.
#[tokio::test]
async fn f19_a_token_of_another_environment_is_worth_nothing_where_its_door_is_shut() {
    // The same key and the same data, and then production.
    let store = MemoryStore::new();
    let wishes = |demo, e2e_key, environment| Wishes {
        demo,
        e2e_key,
        environment,
        store: store.clone(),
        ..Wishes::default()
    };
    let key = Some(Secret(KEY.to_owned()));
    let open = rig(wishes(true, key.clone(), Environment::Test)).await;
    let shut = rig(wishes(false, key, Environment::Production)).await;
    let demo = open.call("POST", "/api/auth/demo", None).await.json();
    let test = e2e(&open, Some(KEY), r#"{"email":"t@example.org"}"#).await.json();
    let dev = open.send("POST", "/auth/dev/login", None, "{}").await.json();
    let own = register(&open, "ada@example.org").await;
    for (pair, expected) in [(demo, 401), (test, 401), (dev, 401), (own, 200)] {
        let token = text(&pair, "access_token");
        assert_eq!(me(&open, &token).await, 200, "{pair}");
        let reply = shut.call("GET", "/auth/me", Some(&token)).await;
        assert_eq!(reply.status(), expected, "{pair}");
        if expected == 401 {
            assert_eq!(reply.json()["code"], "token_revoked");
            let said = r#"{"content":"hello"}"#;
            let posted = shut.send("POST", "/api/messages", Some(&token), said).await;
            assert_eq!(posted.status(), 401);
            let ticket = shut.call("POST", "/api/auth/ticket", Some(&token)).await;
            assert_eq!(ticket.status(), 401);
        }
    }
}

#[tokio::test]
async fn a_token_is_explained_to_those_who_hold_it() {
    let rig = rig(Wishes::default()).await;
    let ada = register(&rig, "ada@example.org").await;
    let body = json!({ "token": text(&ada, "access_token") }).to_string();
    for bad in [r#"{"token":5}"#, "{}", "x", "[]"] {
        let reply = rig.send("POST", "/auth/validate", None, bad).await;
        assert_eq!(
            (reply.status(), reply.json()),
            (200, json!({"valid": false, "error": "unauthorized"})),
            "{bad}"
        );
    }
    let reply = rig.send("POST", "/auth/validate", None, &body).await.json();
    assert_eq!((&reply["valid"], &reply["user_id"]), (&json!(true), &ada["user"]["id"]));
    assert_eq!((&reply["email"], &reply["permissions"]), (&json!("ada@example.org"), &json!([])));
    assert!(reply["expires_at"].is_string());
    let config = rig.call("GET", "/auth/config", None).await.json();
    assert_eq!(config["endpoints"]["dev_login"], "/auth/dev/login");
    assert_eq!(config["endpoints"]["e2e_test_auth"], Value::Null);
}

/// A socket of this token that is ready.
pub(crate) async fn socket(rig: &Rig, token: &str) -> Client<TcpStream> {
    let mut socket = connect(rig, "/ws", &[GOLDEN]).await.unwrap();
    socket.say(json!({ "type": "auth", "payload": { "token": token } })).await;
    socket.until("connection_ready").await;
    socket
}

#[tokio::test]
async fn f39_every_way_to_end_a_log_in_closes_its_sockets_within_two_seconds() {
    let rig = rig(Wishes::default()).await;
    let staying = register(&rig, "bob@example.org").await;
    let bearer = format!("Bearer {}", text(&staying, "access_token"));
    let mut staying_older = connect(&rig, "/ws", &[("Authorization", &bearer)]).await.unwrap();
    let mut staying = socket(&rig, &text(&staying, "access_token")).await;
    for way in ["logout", "logout-all", "other logout-all", "password", "refresh token", "reuse"] {
        let email = format!("{}@example.org", way.replace(' ', "-"));
        let pair = register(&rig, &email).await;
        let other = log_in(&rig, &email, "correct horse").await.json();
        let (token, other) = (text(&pair, "access_token"), text(&other, "access_token"));
        let mut leaving = socket(&rig, &token).await;
        let bearer = format!("Bearer {token}");
        let mut older = connect(&rig, "/ws", &[("Authorization", &bearer)]).await.unwrap();
        older.until("handshake_response").await;
        let refresh = json!({ "refresh_token": text(&pair, "refresh_token") }).to_string();
        let begun = std::time::Instant::now();
        let reply = match way {
            "logout" => rig.call("POST", "/api/auth/logout", Some(&token)).await,
            "logout-all" => rig.call("POST", "/api/auth/logout-all", Some(&token)).await,
            "other logout-all" => rig.call("POST", "/api/auth/logout-all", Some(&other)).await,
            "password" => {
                let body =
                    r#"{"current_password":"correct horse","new_password":"battery staple"}"#;
                rig.send("POST", "/api/auth/password", Some(&other), body).await
            }
            "refresh token" => rig.send("POST", "/auth/logout", None, &refresh).await,
            _ => {
                let next = rig.send("POST", "/auth/refresh", None, &refresh).await.json();
                let next = json!({ "refresh_token": text(&next, "refresh_token") }).to_string();
                rig.send("POST", "/auth/refresh", None, &next).await;
                // Two uses ago: no grace for that.
                let reused = rig.send("POST", "/auth/refresh", None, &refresh).await;
                assert_eq!(reused.status(), 401, "{way}");
                rig.call("GET", "/health", None).await
            }
        };
        assert_eq!(reply.status(), 200, "{way} {reply:?}");
        // In both dialects.
        for socket in [&mut leaving, &mut older] {
            let (kinds, code) = socket.until_closed().await;
            assert_eq!(
                (kinds.last().map(String::as_str), code),
                (Some("disconnect"), 4441),
                "{way}"
            );
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{way}");
    }
    staying.say(json!({ "type": "ping", "payload": {} })).await;
    assert_eq!(staying.hear().await.unwrap()["type"], "pong");
    staying_older.say(json!({ "type": "ping" })).await;
    staying_older.until("pong").await;
}

#[tokio::test]
async fn where_registration_is_closed_nobody_registers_and_who_is_known_logs_in() {
    let store = MemoryStore::new();
    let open = rig(Wishes { store: store.clone(), ..Wishes::default() }).await;
    register(&open, "ada@example.org").await;
    let closed = rig(Wishes { registration: false, store, ..Wishes::default() }).await;
    let body = json!({ "email": "bob@example.org", "password": "correct horse" }).to_string();
    for path in ["/auth/register", "/api/auth/register"] {
        let reply = closed.send("POST", path, None, &body).await;
        assert_eq!((reply.status(), &reply.json()["code"]), (403, &json!("forbidden")), "{path}");
    }
    for (email, status) in [("ada@example.org", 200), ("bob@example.org", 401)] {
        assert_eq!(log_in(&closed, email, "correct horse").await.status(), status, "{email}");
    }
}
