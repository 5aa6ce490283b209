//! The table of addresses, and what the server answers at each of them.

use crate::rig::{Reply, Rig, Wishes, rig};
use goldenpath_core::edge::{ROUTES, Route, Who};

/// Every method there is but `CONNECT`, which asks for no address.
const METHODS: [&str; 8] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// An address of this row; its ids are ids of nothing.
fn address(route: &Route) -> String {
    let path = route.path.replace("{thread}", "thr_00000000000000000000000009");
    let path = path.replace("{run}", "run_00000000000000000000000009");
    path.replace(['{', '}'], "")
}

/// Asked with nothing to say, as if for events.
async fn ask(rig: &Rig, method: &str, path: &str, token: Option<&str>) -> Reply {
    let token = token.map(|t| format!("Authorization: Bearer {t}\r\n")).unwrap_or_default();
    let events = if token.is_empty() { "Accept: text/event-stream\r\n" } else { "" };
    rig.exchange(&format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{token}{events}Content-Type: application/json\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    ))
    .await
}

fn said(reply: &Reply, name: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap_or_default();
    body[name].as_str().unwrap_or_default().to_owned()
}

//= specs/safety.md#safe-80
//= type=test
//# An address that is not in the table of addresses, which says who may ask, MUST NOT be reached.
#[tokio::test]
async fn every_row_of_the_table_is_answered_and_to_those_it_names() {
    let rig = rig(Wishes::default()).await;
    for route in ROUTES {
        for method in route.methods() {
            let path = address(route);
            let ask_as = async |token: Option<&str>| {
                let reply = ask(&rig, method, &path, token).await;
                let code = said(&reply, "code");
                assert!(reply.status() > 0, "{method} {path}: no answer");
                assert!(
                    !["not_found", "method_not_allowed"].contains(&code.as_str()),
                    "{method} {path} is in the table and not in the router: {reply:?}"
                );
                reply
            };
            // Each its own: some of these end a log-in.
            let user = rig.token().await;
            let (stranger, user) = (ask_as(None).await, ask_as(Some(&user)).await);
            let is_sent_away = said(&stranger, "detail") == "Authorization: Bearer is missing";
            let statuses = (stranger.status(), user.status());
            match route.who {
                Who::Anyone => assert!(!is_sent_away, "{method} {path}: {stranger:?}"),
                Who::Permitted(_) => assert_eq!(statuses, (401, 403), "{method} {path}"),
                Who::Prober => assert_eq!(statuses, (200, 200), "{method} {path}"),
                Who::SignedIn => {
                    assert!(is_sent_away && statuses.0 == 401, "{method} {path}: {stranger:?}");
                    assert!(![401, 403].contains(&statuses.1), "{method} {path}: {user:?}");
                }
                Who::Socket => assert_eq!(statuses, (426, 426), "{method} {path}"),
            }
            let slashed = ask(&rig, method, &(path.clone() + "/"), None).await.status();
            assert_eq!(slashed, stranger.status(), "{method} {path}/");
        }
    }
}

//= specs/safety.md#safe-81
//= type=test
//# A method that an address does not have MUST be answered with 405 and the ones it has.
#[tokio::test]
async fn a_method_that_an_address_does_not_have_is_405_with_those_it_has() {
    let rig = rig(Wishes::default()).await;
    let token = rig.token().await;
    let page = [("/".to_owned(), "GET, HEAD"), ("/app/main.js".to_owned(), "GET, HEAD")];
    let rows = ROUTES.iter().filter(|route| route.who != Who::Socket);
    let mut refused = 0;
    for (path, allow) in rows.map(|route| (address(route), route.allow)).chain(page) {
        let others = METHODS.iter().filter(|other| allow.split(", ").all(|has| has != **other));
        for method in others {
            let reply = ask(&rig, method, &path, Some(&token)).await;
            let answered = (reply.status(), reply.header("allow"));
            assert_eq!(answered, (405, Some(allow)), "{method} {path}");
            if *method != "HEAD" {
                assert_eq!(said(&reply, "code"), "method_not_allowed", "{method} {path}");
            }
            refused += 1;
        }
    }
    assert!(refused > 6 * ROUTES.len(), "{refused}");
    let socket = ask(&rig, "POST", "/ws", None).await;
    assert_eq!((socket.status(), socket.header("upgrade")), (426, Some("websocket")));
    let nowhere = "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\nConnection: close\r\n\r\n";
    let nowhere = rig.exchange(nowhere).await;
    assert_eq!((nowhere.status(), nowhere.header("allow")), (405, Some("")));
    for path in ["/nothing", "/api/nothing", "/api/threads/a/b/c"] {
        for method in METHODS {
            let reply = ask(&rig, method, path, Some(&token)).await;
            assert_eq!((reply.status(), reply.header("allow")), (404, None), "{method} {path}");
        }
    }
}

/// A browser that looks at an address is shown a page, but where the addresses of programs are it is told as
/// they are, whatever it accepts.
#[tokio::test]
async fn beside_the_addresses_of_programs_nothing_is_a_problem_also_for_browsers() {
    let rig = rig(Wishes::default()).await;
    for (path, kind) in [
        ("/nothing", "text/html; charset=utf-8"),
        ("/api/nothing", "application/problem+json"),
        ("/api", "application/problem+json"),
        ("/auth/nothing", "application/problem+json"),
        ("/auth", "application/problem+json"),
        ("/ws/nothing", "application/problem+json"),
        ("/health/nothing", "application/problem+json"),
        ("/.well-known/openid-configuration", "application/problem+json"),
    ] {
        let accept = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\n{accept}\r\nConnection: close\r\n\r\n");
        let reply = rig.exchange(&head).await;
        assert_eq!((reply.status(), reply.header("content-type")), (404, Some(kind)), "{path}");
        if kind != "text/html; charset=utf-8" {
            assert_eq!(reply.json()["code"], "not_found", "{path}");
            assert!(reply.json()["message"].is_string());
        }
    }
}
