//! Every address of the server's own table, with every id of somebody else in every place that takes one.

use super::{Ada, EACH, about, unknown};
use futures_util::StreamExt as _;
use goldenpath_core::edge::{ROUTES, Who};
use goldenpath_tests::server::{PATIENCE, Server};
use reqwest::Method;
use std::collections::BTreeSet;

/// A method at an address of the table, a query, and a body.
pub(super) type Ask = (&'static str, &'static str, &'static str, &'static str);

/// What takes an id: `{id}` stands where it goes, in the address or elsewhere.
pub(super) const WITH_IDS: [Ask; 26] = [
    ("GET", "/api/threads", "?cursor={id}", ""),
    ("GET", "/api/threads", "?cursor=9999999999999-{id}", ""),
    ("GET", "/api/threads/{thread}", "", ""),
    ("PATCH", "/api/threads/{thread}", "", r#"{"title":"mine now"}"#),
    ("DELETE", "/api/threads/{thread}", "", ""),
    ("GET", "/api/threads/{thread}/log", "", ""),
    ("GET", "/api/threads/{thread}/log", "?after_seq=3&limit=2", ""),
    ("GET", "/api/threads/{thread}/messages", "", ""),
    ("POST", "/api/threads/{thread}/messages", "", r#"{"content":"hello","client_msg_id":"x"}"#),
    ("POST", "/api/messages", "", r#"{"content":"hello","thread_id":"{id}"}"#),
    ("GET", "/api/runs/{run}", "", ""),
    ("POST", "/api/runs/{run}/cancel", "", ""),
    ("GET", "/api/runs/{run}/facts/{fact}", "", ""),
    ("GET", "/api/runs/{run}/artifacts/{artifact}", "", ""),
    ("GET", "/api/events/stream", "?thread_id={id}", ""),
    ("GET", "/api/events/stream", "?thread_id={id}&after_seq=2", ""),
    ("POST", "/api/agents/cancel", "", r#"{"run_id":"{id}"}"#),
    ("POST", "/api/agents/stop", "", r#"{"agent_id":"{id}"}"#),
    ("POST", "/api/agents/data", "", r#"{"message":"x","thread_id":"{id}"}"#),
    ("POST", "/api/agents/execute", "", r#"{"type":"data","message":"x","thread_id":"{id}"}"#),
    ("POST", "/api/agents/optimization", "", r#"{"message":"x","thread_id":"{id}"}"#),
    ("POST", "/api/agents/start", "", r#"{"message":"x","thread_id":"{id}"}"#),
    ("POST", "/api/agents/triage", "", r#"{"message":"x","thread_id":"{id}"}"#),
    ("GET", "/api/chat/messages", "?thread_id={id}", ""),
    ("GET", "/api/chat/messages", "?thread_id={id}&page=1&page_size=5", ""),
    ("POST", "/api/chat/messages", "", r#"{"content":"hello","thread_id":"{id}"}"#),
];

/// What takes none. It is asked with ids all the same, under every name that ids have anywhere.
const WITHOUT: [Ask; 15] = [
    ("GET", "/api/agents/status", "", ""),
    ("POST", "/api/auth/logout", "", "{}"),
    ("POST", "/api/auth/logout-all", "", "{}"),
    ("GET", "/api/auth/me", "", ""),
    ("PATCH", "/api/auth/me", "", r#"{"name":"Eve"}"#),
    ("POST", "/api/auth/password", "", r#"{"current_password":"a","new_password":"b"}"#),
    ("GET", "/api/auth/preferences", "", ""),
    ("PUT", "/api/auth/preferences", "", r#"{"theme":"dark"}"#),
    ("GET", "/api/auth/sessions", "", ""),
    ("POST", "/api/auth/ticket", "", "{}"),
    ("POST", "/api/threads", "", r#"{"title":"Eve's"}"#),
    ("POST", "/api/usage/import", "?dry_run=true", "{}"),
    ("GET", "/api/usage/summary", "", ""),
    ("GET", "/auth/me", "", ""),
    ("GET", "/api/admin/audit", "", ""),
];

/// Names of ids in queries and bodies.
const NAMES: [&str; 9] = [
    "agent_id",
    "cursor",
    "id",
    "message_id",
    "run_id",
    "session_id",
    "thread",
    "thread_id",
    "user_id",
];

/// An id in each place where this ask has one.
pub(super) fn filled(template: &str, id: &str, ada: &Ada, artifact: &str) -> String {
    let text = template.replace("{thread}", id).replace("{run}", id).replace("{id}", id);
    text.replace("{fact}", &ada.fact).replace("{artifact}", artifact)
}

/// Headers that are new in every answer, whoever asks for what.
const NEW: [&str; 4] = ["date", "ratelimit", "set-cookie", "x-request-id"];

/// The status, the headers, and the words of an answer.
type Answer = (u16, BTreeSet<String>, String);

async fn ask(server: &Server, eve: &str, method: &str, path: &str, body: &str, id: &str) -> Answer {
    let mut request =
        server.http().request(method.parse().unwrap(), server.url(path)).bearer_auth(eve);
    if !body.is_empty() {
        request = request.header("content-type", "application/json").body(body.to_owned());
    }
    let is_stream = path.starts_with("/api/events/stream");
    if is_stream {
        request = request.header("accept", "text/event-stream");
    }
    let answer = request.send().await.unwrap();
    let told = answer.headers().iter().map(|(name, value)| match name.as_str() {
        name if NEW.contains(&name) => name.to_owned(),
        name => about(id, &format!("{name}: {}", value.to_str().unwrap())),
    });
    let headers = told.collect();
    let status = answer.status().as_u16();
    if !is_stream || status != 200 {
        return (status, headers, about(id, &answer.text().await.unwrap()));
    }
    // It goes on for ever: a thread of one's own is the end of what there is to say about this one.
    let own = Some(serde_json::json!({ "title": "heard so far" }));
    let (made, body) = server.call(Method::POST, "/api/threads", Some(eve), own).await;
    assert!(made.is_success(), "{body}");
    let (mut text, mut pieces) = (String::new(), answer.bytes_stream());
    let heard = async {
        while !text.contains("\"type\":\"thread_created\"") {
            text += &String::from_utf8_lossy(&pieces.next().await.expect("it goes on").unwrap());
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("one's own thread is heard of");
    let frames = text.lines().filter_map(|line| line.strip_prefix("data:"));
    (status, headers, frames.map(|frame| about(id, frame.trim())).collect())
}

/// A new address must be put into one of the lists above, and what is gone out of them.
#[test]
fn every_address_of_a_user_is_tried_as_somebody_else() {
    let served: BTreeSet<(&str, &str)> = ROUTES
        .iter()
        .filter(|route| matches!(route.who, Who::Permitted(_) | Who::SignedIn))
        .flat_map(|route| route.methods().map(|method| (method, route.path)))
        .collect();
    let named = |asks: &[Ask]| -> BTreeSet<(&str, &str)> {
        asks.iter().map(|(method, path, ..)| (*method, *path)).collect()
    };
    let (with, without) = (named(&WITH_IDS), named(&WITHOUT));
    let tried: BTreeSet<_> = with.union(&without).copied().collect();
    assert_eq!(tried, served, "what the server answers and what is tried here differ");
    let both: Vec<_> = with.intersection(&without).collect();
    assert!(both.is_empty(), "{both:?}");
    for (method, path, query, body) in WITH_IDS {
        let takes_one = [path, query, body]
            .iter()
            .any(|text| ["{thread}", "{run}", "{id}"].iter().any(|place| text.contains(place)));
        assert!(takes_one, "{method} {path} is asked without an id");
    }
    assert!(without.iter().all(|(_, path)| !path.contains('{')));
    // What anybody may ask takes no id in its address.
    let open = ROUTES.iter().filter(|route| matches!(route.who, Who::Anyone | Who::Prober));
    assert!(open.into_iter().all(|route| !route.path.contains('{')));
}

/// ISO-02.
#[tokio::test]
async fn over_http_an_id_of_somebody_else_is_an_id_of_nothing() {
    let server = Server::real().await;
    let ada = Ada::at(&server).await;
    let before = ada.sees(&server).await;
    let mut tried = 0;
    for (method, route, query, body) in WITH_IDS {
        let (eve, _) = server.demo().await;
        let all = ada.artifacts.len();
        let artifacts = if route.contains("{artifact}") { all } else { 1 };
        for id in &ada.ids {
            for artifact in ada.artifacts.iter().take(artifacts) {
                let mut said = Vec::new();
                for one in [id.clone(), unknown(id)] {
                    let fill = |text: &str| filled(text, &one, &ada, artifact);
                    let (path, body) = (fill(&format!("{route}{query}")), fill(body));
                    let answer = ask(&server, &eve, method, &path, &body, &one).await;
                    ada.is_in_none_of(&answer.2, id);
                    said.push(answer);
                }
                assert_eq!(said[0], said[1], "{method} {route}{query} {id}");
                // A stream begins and a list has no rows; everything else is about what is named.
                let may_begin = route.ends_with("/stream") || query.starts_with("?cursor=");
                assert!(may_begin || said[0].0 >= 400, "{method} {route}{query} {id}: {said:?}");
                tried += 1;
            }
        }
    }
    assert!(tried >= WITH_IDS.len() * 6 * EACH, "{tried} pairs");
    assert_eq!(ada.sees(&server).await, before, "nothing of hers has changed");
}

/// ISO-02, where an id has no business: a name that somebody reads there by mistake changes the answer.
#[tokio::test]
async fn where_no_id_is_asked_for_none_changes_the_answer() {
    let server = Server::real().await;
    let ada = Ada::at(&server).await;
    let before = ada.sees(&server).await;
    for (method, route, query, body) in WITHOUT {
        for id in [&ada.thread, &ada.run] {
            let mut said = Vec::new();
            for one in [id.clone(), unknown(id)] {
                // Each asks once: some of these end a log-in, others leave something behind.
                let (eve, _) = server.demo().await;
                let pairs: Vec<String> = NAMES.iter().map(|name| format!("{name}={one}")).collect();
                let sign = if query.is_empty() { "?" } else { "&" };
                let path = format!("{route}{query}{sign}{}", pairs.join("&"));
                let body = if body.is_empty() {
                    String::new()
                } else {
                    let mut body: serde_json::Value = serde_json::from_str(body).unwrap();
                    for name in NAMES {
                        body[name] = one.as_str().into();
                    }
                    body.to_string()
                };
                let answer = ask(&server, &eve, method, &path, &body, &one).await;
                ada.is_in_none_of(&answer.2, id);
                assert!(answer.0 < 500, "{method} {path}: {answer:?}");
                said.push(answer);
            }
            assert_eq!(said[0], said[1], "{method} {route} {id}");
        }
    }
    assert_eq!(ada.sees(&server).await, before, "nothing of hers has changed");
}
