//! Everything one user has an id for, tried by somebody else, over the whole surface: the answer is the
//! one for an id that does not exist, in status, headers, body and frame, and nothing has changed.

use goldenpath_tests::server::Server;
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const SECRET: &str = "ada-secret";
/// Ids of each kind that are tried.
const EACH: usize = 2;
/// Frames one stranger sends, fewer than any limit allows at once.
const FRAMES: usize = 8;

/// A user with a thread, a run, messages, artifacts and facts.
struct Ada {
    token: String,
    thread: String,
    run: String,
    /// Some of each kind: `thr`, `run`, `msg`, `evt`, `agr`, `tc`, and what she named herself.
    ids: BTreeSet<String>,
    artifacts: Vec<String>,
    fact: String,
}

impl Ada {
    async fn at(server: &Server) -> Self {
        let (token, _) = server.demo().await;
        let (mut socket, _) = Socket::ready(server, &token, json!([])).await;
        let ack = socket.ask(&format!("{SECRET}-m1"), "Analyze my AI costs", None).await;
        let frames = socket.collect(&RUN_ENDS).await;
        let (thread, run) = (text(&ack["thread_id"]), text(&ack["run_id"]));
        let title = json!({ "title": format!("{SECRET} title") });
        let path = format!("/api/threads/{thread}");
        let (status, body) = server.call(Method::PATCH, &path, Some(&token), Some(title)).await;
        assert!(status.is_success(), "{body}");

        let mut kinds: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for frame in &frames {
            collect(frame, &mut kinds);
        }
        for kind in ["thr", "run", "msg", "evt", "agr", "tc"] {
            assert!(kinds.contains_key(kind), "{kind} in {:?}", kinds.keys());
        }
        let ids = kinds.into_values().flat_map(|ids| ids.into_iter().take(EACH)).collect();
        let (_, run_view) = server.get(&format!("/api/runs/{run}"), &token).await;
        let list = run_view["artifacts"].as_array().unwrap();
        let artifacts: Vec<String> = list.iter().map(|a| text(&a["name"])).collect();
        assert!(artifacts.len() > 1, "{artifacts:?}");
        let facts = format!("/api/runs/{run}/artifacts/facts.json");
        let (_, facts) = server.get(&facts, &token).await;
        let fact = match &facts {
            Value::Array(list) => text(&list[0]["id"]),
            by_id => by_id.as_object().unwrap().keys().next().unwrap().clone(),
        };
        Self { token, thread, run, ids, artifacts, fact }
    }

    /// All she can see.
    async fn sees(&self, server: &Server) -> Vec<Value> {
        let mut seen = server.log_of(&self.token, &self.thread).await;
        for path in ["/api/threads", "/api/usage/summary"] {
            seen.push(server.get(path, &self.token).await.1);
        }
        seen.push(server.get(&format!("/api/runs/{}", self.run), &self.token).await.1);
        seen
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}")).to_owned()
}

/// Every text that looks like an id, by its prefix.
fn collect(value: &Value, kinds: &mut BTreeMap<String, Vec<String>>) {
    match value {
        Value::String(text) => {
            if let Some((kind, digits)) = text.split_once('_')
                && digits.len() == 26
                && digits.bytes().all(|b| b.is_ascii_alphanumeric())
            {
                let ids = kinds.entry(kind.to_owned()).or_default();
                if !ids.contains(text) {
                    ids.push(text.clone());
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|one| collect(one, kinds)),
        Value::Object(members) => members.values().for_each(|one| collect(one, kinds)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// An id of the same kind that nobody has.
fn unknown(id: &str) -> String {
    let last = if id.ends_with('0') { "1" } else { "0" };
    format!("{}ZZ{last}", &id[..id.len() - 3])
}

/// What was said about `id`, without the id and without what is new in every answer.
fn about(id: &str, said: &str) -> String {
    let mut said = said.replace(id, "ID");
    while let Some(at) = said.find("req_") {
        let end = said[at + 4..].find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(0) + at + 4;
        said.replace_range(at..end, "REQUEST");
    }
    said
}

const ROUTES: [(&str, &str, &str); 22] = [
    ("GET", "/api/threads/{id}", ""),
    ("PATCH", "/api/threads/{id}", r#"{"title":"mine now"}"#),
    ("DELETE", "/api/threads/{id}", ""),
    ("GET", "/api/threads/{id}/log", ""),
    ("GET", "/api/threads/{id}/log?after_seq=3&limit=2", ""),
    ("GET", "/api/threads/{id}/messages", ""),
    ("POST", "/api/threads/{id}/messages", r#"{"content":"hello","client_msg_id":"x"}"#),
    ("GET", "/api/messages?thread_id={id}", ""),
    ("POST", "/api/messages", r#"{"content":"hello","thread_id":"{id}"}"#),
    ("GET", "/api/threads?cursor={id}", ""),
    ("GET", "/api/runs/{id}", ""),
    ("POST", "/api/runs/{id}/cancel", ""),
    ("GET", "/api/runs/{id}/facts/{fact}", ""),
    ("GET", "/api/runs/{id}/artifacts/facts.json", ""),
    ("GET", "/api/runs/{id}/artifacts/{artifact}", ""),
    ("GET", "/api/events/stream?thread_id={id}", ""),
    ("POST", "/api/agents/stop", r#"{"agent_id":"{id}"}"#),
    ("POST", "/api/agents/cancel", r#"{"run_id":"{id}"}"#),
    ("POST", "/api/agents/execute", r#"{"type":"data","message":"x","thread_id":"{id}"}"#),
    ("POST", "/api/agents/start", r#"{"message":"x","thread_id":"{id}"}"#),
    ("GET", "/api/chat/messages?thread_id={id}", ""),
    ("POST", "/api/chat/messages", r#"{"content":"hello","thread_id":"{id}"}"#),
];

/// ISO-02.
#[tokio::test]
async fn over_http_an_id_of_somebody_else_is_an_id_of_nothing() {
    let server = Server::real().await;
    let ada = Ada::at(&server).await;
    let before = ada.sees(&server).await;
    let mut tried = 0;
    for (method, route, body) in ROUTES {
        let (eve, _) = server.demo().await;
        for id in &ada.ids {
            for artifact in &ada.artifacts {
                if !route.contains("{artifact}") && artifact != &ada.artifacts[0] {
                    continue;
                }
                let mut said = Vec::new();
                for one in [id.clone(), unknown(id)] {
                    let fill = |text: &str| {
                        let text = text.replace("{id}", &one).replace("{fact}", &ada.fact);
                        text.replace("{artifact}", artifact)
                    };
                    let mut request = server
                        .http()
                        .request(method.parse().unwrap(), server.url(&fill(route)))
                        .bearer_auth(&eve);
                    if !body.is_empty() {
                        request = request.header("content-type", "application/json");
                        request = request.body(fill(body));
                    }
                    let answer = request.send().await.unwrap();
                    let names: BTreeSet<String> =
                        answer.headers().keys().map(ToString::to_string).collect();
                    let status = answer.status().as_u16();
                    let text = about(&one, &answer.text().await.unwrap());
                    assert!(!text.contains(SECRET), "{method} {route} {id}: {text}");
                    said.push((status, names, text));
                }
                assert_eq!(said[0], said[1], "{method} {route} {id}");
                let needs_one = route.contains("/{id}");
                assert!(!needs_one || said[0].0 >= 400, "{method} {route} {id}: {:?}", said[0]);
                tried += 1;
            }
        }
    }
    assert!(tried >= 22 * 6 * EACH, "{tried} pairs");
    assert_eq!(ada.sees(&server).await, before, "nothing of hers has changed");
}

/// Frames that name something; `{id}` stands where the name goes.
const FRAMES_WITH_IDS: [(&str, &str); 15] = [
    ("resume", r#"{"threads":[{"thread_id":"{id}","epoch":"e1","after_seq":1}]}"#),
    ("subscribe", r#"{"thread_id":"{id}","level":"full"}"#),
    ("unsubscribe", r#"{"thread_id":"{id}"}"#),
    ("user_message", r#"{"client_msg_id":"e1","content":"hello","thread_id":"{id}"}"#),
    ("cancel_run", r#"{"run_id":"{id}"}"#),
    ("cancel_queued", r#"{"run_id":"{id}"}"#),
    ("gap_request", r#"{"thread_id":"{id}","after_seq":0,"to_seq":5}"#),
    ("approval", r#"{"run_id":"{id}","request_id":"r1","decision":"approve"}"#),
    ("feedback", r#"{"message_id":"{id}","rating":"up"}"#),
    ("received", r#"{"thread_id":"{id}","seq":2}"#),
    ("get_thread_history", r#"{"thread_id":"{id}"}"#),
    ("switch_thread", r#"{"thread_id":"{id}"}"#),
    ("rename_thread", r#"{"thread_id":"{id}","title":"mine now"}"#),
    ("delete_thread", r#"{"thread_id":"{id}"}"#),
    ("stop_agent", r#"{"run_id":"{id}"}"#),
];

/// ISO-02.
#[tokio::test]
async fn over_a_socket_an_id_of_somebody_else_is_an_id_of_nothing() {
    let server = Server::real().await;
    let ada = Ada::at(&server).await;
    let before = ada.sees(&server).await;
    let mut tries: Vec<(String, String, String)> = Vec::new();
    for (kind, payload) in FRAMES_WITH_IDS {
        for id in &ada.ids {
            for one in [id.clone(), unknown(id)] {
                tries.push((kind.to_owned(), payload.replace("{id}", &one), one));
            }
        }
    }
    let mut said = Vec::new();
    for some in tries.chunks(FRAMES) {
        let (eve, _) = server.demo().await;
        let (mut socket, _) = Socket::ready(&server, &eve, json!([])).await;
        for (kind, payload, id) in some {
            let asked = socket.say(kind, serde_json::from_str(payload).unwrap()).await;
            // A ping behind it: what a frame has no answer to is over when that is answered.
            let after = socket.say("ping", json!({})).await;
            let mut heard = Vec::new();
            loop {
                let frame = socket.frame().await;
                assert!(!frame.to_string().contains(SECRET), "{kind} {id}: {frame}");
                if frame["ref"] == *after {
                    break;
                }
                assert_eq!(frame["ref"], *asked, "{kind} {id}: {frame}");
                let bare = frame.to_string().replace(&asked, "REF");
                heard.push(about(id, &bare));
            }
            said.push(heard);
        }
    }
    for (pair, tried) in said.chunks(2).zip(tries.chunks(2)) {
        assert_eq!(pair[0], pair[1], "{:?}", tried[0]);
    }
    let answered = said.iter().filter(|heard| !heard.is_empty()).count();
    assert!(answered * 2 > said.len(), "{answered} of {} were answered", said.len());
    assert_eq!(ada.sees(&server).await, before, "nothing of hers has changed");
}

/// The same statement reads both, so that both take the same time: medians of turns, compared as a ratio.
#[tokio::test]
async fn an_id_of_somebody_else_takes_as_long_as_an_id_of_nothing() {
    let server = Server::real().await;
    let ada = Ada::at(&server).await;
    let (eve, _) = server.demo().await;
    let nothing = (unknown(&ada.thread), unknown(&ada.run));
    let pairs = [
        ("/api/threads/{id}/log", &ada.thread, &nothing.0),
        ("/api/threads/{id}/messages", &ada.thread, &nothing.0),
        ("/api/runs/{id}", &ada.run, &nothing.1),
        ("/api/runs/{id}/artifacts/facts.json", &ada.run, &nothing.1),
    ];
    for (route, theirs, nobodys) in pairs {
        let mut spans: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..100 {
            for (at, id) in [theirs, nobodys].into_iter().enumerate() {
                let path = route.replace("{id}", id);
                let begun = Instant::now();
                let (status, _) = server.get(&path, &eve).await;
                spans[at].push(begun.elapsed());
                assert_eq!(status.as_u16(), 404, "{path}");
            }
        }
        let [theirs, nobodys] = spans.map(|mut spans| {
            spans.sort_unstable();
            spans[spans.len() / 2].as_secs_f64()
        });
        let ratio = theirs / nobodys;
        assert!((0.5..2.0).contains(&ratio), "{route}: {theirs} s and {nobodys} s");
    }
}
