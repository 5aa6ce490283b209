//! Who was let in and who was not, as it is recorded.

use crate::accounts::{KEY, e2e, log_in, register, socket, text};
use crate::rig::{PATIENCE, Wishes, rig};
use crate::sockets::{GOLDEN, connect};
use goldenpath_core::wire::{ErrorCode, Secret};
use goldenpath_runtime::memory::MemoryStore;
use goldenpath_runtime::ports::{AuditLog, Credence};
use serde_json::{Value, json};
use std::time::Instant;

//= specs/auth.md#auth-54
//= type=test
//# The audit log MUST be read only with its permission.
#[tokio::test]
async fn the_audit_log_says_who_came_how_and_is_read_by_those_who_may() {
    let key = Some(Secret(KEY.to_owned()));
    let rig = rig(Wishes { e2e_key: key, ..Wishes::default() }).await;
    let ada = register(&rig, "ada@example.org").await;
    let (token, user) = (text(&ada, "access_token"), text(&ada["user"], "id"));
    log_in(&rig, "ada@example.org", "wrong horse").await;
    log_in(&rig, "my-password-in-the-wrong-field", "x").await;
    e2e(&rig, Some("wrong key"), r#"{"email":"t@example.org"}"#).await;
    let path = "/api/admin/audit?limit=10";
    assert_eq!(rig.call("GET", path, None).await.status(), 401);
    let forbidden = rig.call("GET", path, Some(&token)).await;
    assert_eq!((forbidden.status(), &forbidden.json()["code"]), (403, &json!("forbidden")));
    let auditor = r#"{"email":"t@example.org","permissions":["audit:read"]}"#;
    let auditor = text(&e2e(&rig, Some(KEY), auditor).await.json(), "access_token");
    let reply = rig.call("GET", path, Some(&auditor)).await;
    assert_eq!(reply.status(), 200, "{reply:?}");
    assert!(!reply.body.contains("wrong-field") && !reply.body.contains("wrong key"));
    let body = reply.json();
    let told: Vec<Value> = body["records"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|r| {
            json!([r["action"], r["outcome"], r["reason"], r["method"], r["user_id"], r["place"]])
        })
        .collect();
    let home = "127.0.0.1";
    assert_eq!(
        told,
        [
            json!(["register", "accepted", null, "password", user, home]),
            json!(["log_in", "refused", "unauthorized", "password", user, home]),
            json!(["log_in", "refused", "unauthorized", "password", null, home]),
            json!(["log_in", "refused", "unauthorized", "e2e", null, home]),
            json!(["request", "refused", "unauthorized", null, null, home]),
            json!(["request", "refused", "forbidden", "header", user, home]),
            json!(["log_in", "accepted", null, "e2e", "e2e-t", home]),
        ]
    );
    assert_eq!(
        body["since_start"],
        json!([
            { "action": "log_in", "count": 1, "outcome": "accepted", "reason": null },
            { "action": "log_in", "count": 3, "outcome": "refused", "reason": "unauthorized" },
            { "action": "register", "count": 1, "outcome": "accepted", "reason": null },
            { "action": "request", "count": 1, "outcome": "refused", "reason": "forbidden" },
            { "action": "request", "count": 1, "outcome": "refused", "reason": "unauthorized" },
        ])
    );
}

/// Every row of the audit log so far, oldest first: action, outcome, reason, method.
async fn rows(store: &MemoryStore) -> Vec<Value> {
    let rows = AuditLog::read(store, None, 1000).await.unwrap();
    let rows = rows.iter().rev().map(|row| {
        let r = &row.record;
        let (reason, by) = (r.reason.map(ErrorCode::as_str), r.by.map(Credence::as_str));
        json!([r.action.as_str(), r.outcome.as_str(), reason, by])
    });
    rows.collect()
}

/// Waits for a row at this place of the log.
async fn row(store: &MemoryStore, at: usize) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(row) = rows(store).await.get(at) {
            return row.clone();
        }
        assert!(Instant::now() < deadline, "row {at}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn every_refusal_is_a_row_with_its_reason_and_so_is_a_ticket() {
    let store = MemoryStore::new();
    let rig = rig(Wishes { store: store.clone(), demo: false, ..Wishes::default() }).await;
    let refused = |action: &str, reason: &str, by: Value| json!([action, "refused", reason, by]);
    let bare = |line: &str| format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n");
    let upgrade = |line: &str, more: &str| {
        format!(
            "{line} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        )
    };
    let token = text(&register(&rig, "ada@example.org").await, "access_token");
    assert_eq!(row(&store, 0).await[0], "register");
    let twice = "Authorization: Bearer x\r\nAuthorization: Bearer y";
    for (request, expected) in [
        (
            bare("GET /api/threads HTTP/1.1\r\nAuthorization: Bearer nonsense"),
            refused("request", "unauthorized", json!("header")),
        ),
        (
            bare(
                "GET /api/events/stream HTTP/1.1\r\nAccept: text/event-stream\r\nAuthorization: Bearer nonsense",
            ),
            refused("request", "unauthorized", json!("header")),
        ),
        (
            bare(
                "POST /api/auth/ticket HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: Bearer nonsense",
            ),
            refused("request", "unauthorized", json!("header")),
        ),
        (
            bare(
                "POST /auth/logout HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: Bearer nonsense",
            ),
            refused("request", "unauthorized", json!("header")),
        ),
        (
            bare("POST /auth/validate HTTP/1.1\r\nContent-Length: 20") + r#"{"token":"nonsense"}"#,
            refused("request", "unauthorized", json!(null)),
        ),
        (
            bare(&format!("GET /api/threads HTTP/1.1\r\n{twice}")),
            refused("request", "auth_ambiguous", json!("header")),
        ),
        (
            bare(
                "POST /api/messages HTTP/1.1\r\nContent-Length: 0\r\nOrigin: https://evil.example",
            ),
            refused("request", "origin_not_allowed", json!(null)),
        ),
        (
            bare("GET /api/auth/oidc/callback?state=x&code=y HTTP/1.1"),
            refused("log_in", "forbidden", json!("oidc")),
        ),
        (
            upgrade("GET /ws", "Origin: https://evil.example\r\n"),
            refused("socket", "origin_not_allowed", json!(null)),
        ),
        (upgrade("GET /ws?token=abc.def.ghi", ""), refused("socket", "unauthorized", json!(null))),
        (
            upgrade("GET /ws", "Authorization: Bearer nonsense\r\n"),
            refused("socket", "unauthorized", json!("header")),
        ),
    ] {
        let at = rows(&store).await.len();
        rig.exchange(&request).await;
        assert_eq!(row(&store, at).await, expected, "{request}");
    }
    // What is told inside a socket is recorded, too.
    let at = rows(&store).await.len();
    let mut inside = connect(&rig, "/ws?token=abc.def.ghi", &[GOLDEN]).await.unwrap();
    while inside.hear().await.is_ok() {}
    assert_eq!(row(&store, at).await, refused("socket", "unauthorized", json!(null)));
    assert_eq!(rig.call("POST", "/api/auth/ticket", Some(&token)).await.status(), 200);
    assert_eq!(row(&store, at + 1).await, json!(["ticket", "accepted", null, null]));
    // A refresh with a good token of somebody else is a refusal, whatever the token is worth elsewhere.
    let eve = text(&register(&rig, "eve@example.org").await, "access_token");
    let mut ada = socket(&rig, &token).await;
    assert_eq!(row(&store, at + 3).await, json!(["socket", "accepted", null, "frame"]));
    ada.say(json!({ "type": "auth_refresh", "payload": { "token": eve } })).await;
    while ada.hear().await.is_ok() {}
    assert_eq!(row(&store, at + 4).await, refused("socket", "user_mismatch", json!("frame")));
    assert_eq!(rows(&store).await.len(), at + 5, "nothing is recorded twice");
}
