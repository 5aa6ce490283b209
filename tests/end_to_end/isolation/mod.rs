//! Everything one user has an id for, tried by somebody else, over the whole surface: the answer is the
//! one for an id that does not exist, in status, headers, body and frame, and nothing has changed.

mod http;
mod older;
mod pace;
mod sockets;

use goldenpath_tests::server::Server;
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const SECRET: &str = "ada-secret";
/// Ids of each kind that are tried.
const EACH: usize = 2;
/// Kinds of ids, and how each begins.
const KINDS: [&str; 6] = ["thr", "run", "msg", "evt", "agr", "tc"];

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
        for kind in KINDS {
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

    /// One of her ids of this kind.
    fn id(&self, kind: &str) -> &str {
        let is_one = |id: &&String| id.split('_').next() == Some(kind);
        self.ids.iter().find(is_one).unwrap()
    }

    /// Nothing of hers is in what somebody else was told, who asked about `id`.
    fn is_in_none_of(&self, told: &str, id: &str) {
        assert!(!told.contains(SECRET), "about {id}: {told}");
        // Hers, but not what was asked with: that is said back.
        let hers = self.ids.iter().chain([&self.thread, &self.run]).filter(|hers| *hers != id);
        for hers in hers {
            assert!(!told.contains(hers.as_str()), "{hers} about {id}: {told}");
        }
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
    let said = said.replace(id, "ID");
    match serde_json::from_str::<Value>(&said) {
        Ok(mut value) => {
            forget(&mut value);
            value.to_string()
        }
        Err(_) => said,
    }
}

/// What differs from call to call, for whoever calls, is replaced by its kind.
fn forget(value: &mut Value) {
    const NEW: [&str; 7] = [
        "duration_ms",
        "epoch",
        "execution_time",
        "expires_in",
        "ticket",
        "ts_ms",
        "updated_at_ms",
    ];
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if NEW.contains(&name.as_str()) {
                    *member = name.as_str().into();
                } else {
                    forget(member);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(forget),
        Value::String(text) => {
            let made = ["demo-user-", "gpd_", "gpr_", "gpt_"];
            let kind = text.split_once('_').filter(|(_, digits)| digits.len() == 26);
            if let Some((kind, _)) = kind {
                *text = kind.to_uppercase();
            } else if let Some(kind) = made.iter().find(|kind| text.starts_with(**kind)) {
                *text = (*kind).to_owned();
            } else if text.len() == 24 && text.ends_with('Z') {
                *text = "TIME".into();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
