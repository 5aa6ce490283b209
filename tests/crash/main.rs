//! kill -9 at random moments, again and again, with clients that resume and send again.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use goldenpath_core::seed::Seed;
use goldenpath_tests::oracle::{bare, check_log, entries};
use goldenpath_tests::server::{PATIENCE, Server};
use goldenpath_tests::socket::{GOLDEN, Heard, RUN_ENDS, Socket};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const KILLS: usize = 50;
const CLIENTS: usize = 4;

/// `GOLDENPATH_CRASH_KILLS` asks for more (tests/deep).
fn kills() -> usize {
    let wanted = std::env::var("GOLDENPATH_CRASH_KILLS").ok();
    wanted.map_or(KILLS, |n| n.parse().expect("GOLDENPATH_CRASH_KILLS is a number"))
}

/// What one client holds to be true.
#[derive(Default)]
struct Client {
    /// What it has applied of each thread, by the client rule.
    views: BTreeMap<String, Vec<Value>>,
    /// Messages the server acknowledged: name, thread and message id.
    acknowledged: BTreeMap<String, (String, String)>,
    asked: usize,
}

impl Client {
    fn resume(&self) -> Value {
        let points = self.views.iter().map(|(thread, view)| {
            json!({"thread_id": thread, "epoch": view[0]["epoch"], "after_seq": view.len()})
        });
        Value::Array(points.collect())
    }

    fn hear(&mut self, frame: &Value) {
        if frame["type"] == "ack"
            && let (Some(name), Some(thread), Some(message)) = (
                frame["payload"]["client_msg_id"].as_str(),
                frame["payload"]["thread_id"].as_str(),
                frame["payload"]["message_id"].as_str(),
            )
        {
            let known = (thread.to_owned(), message.to_owned());
            let before = self.acknowledged.insert(name.to_owned(), known.clone());
            assert!(before.is_none_or(|before| before == known), "another answer for {name}");
        }
        for entry in entries(std::slice::from_ref(frame)) {
            let thread = entry["thread_id"].as_str().unwrap().to_owned();
            let view = self.views.entry(thread).or_default();
            let seq = entry["seq"].as_u64().unwrap() as usize;
            assert!(seq <= view.len() + 1, "a hole before {entry}");
            if seq == view.len() + 1 {
                view.push(bare(&entry));
            } else {
                assert_eq!(view[seq - 1], bare(&entry), "the same place, other bytes");
            }
        }
    }

    /// A message, into the thread of the one eight before it, so that threads grow and are resumed.
    fn message(&self, name: &str) -> Value {
        let number: usize = name[1..].parse().expect("m and a number");
        let earlier = number.checked_sub(8).and_then(|n| self.acknowledged.get(&format!("m{n}")));
        let mut payload = json!({"client_msg_id": name, "content": "again"});
        if let Some((thread, _)) = earlier {
            payload["thread_id"] = thread.as_str().into();
        }
        payload
    }

    /// Names asked and not acknowledged yet.
    fn outbox(&self) -> Vec<String> {
        let names = (0..self.asked).map(|n| format!("m{n}"));
        names.filter(|name| !self.acknowledged.contains_key(name)).collect()
    }
}

/// Connects, resumes, sends again what was not acknowledged, and keeps asking until the connection
/// ends or `stop` is set and everything is quiet.
async fn live(server: &Arc<Mutex<Server>>, token: &str, client: &mut Client, stop: &AtomicBool) {
    let url = server.lock().await.ws_url();
    let Some(mut socket) = Socket::try_open(&url, &[("Sec-WebSocket-Protocol", GOLDEN)]).await
    else {
        return tokio::time::sleep(Duration::from_millis(20)).await;
    };
    socket.say("auth", json!({"token": token, "resume": {"threads": client.resume()}})).await;
    for name in client.outbox() {
        socket.say("user_message", client.message(&name)).await;
    }
    loop {
        match socket.hear().await {
            Heard::Frame(frame) => {
                client.hear(&frame);
                let ended = RUN_ENDS.iter().any(|end| frame["type"] == *end);
                // A message that was accepted before may have been answered before, too: then its
                // acknowledgement is the last thing to be heard of it.
                let again = frame["type"] == "ack" && frame["payload"]["status"] == "duplicate";
                let idle = frame["type"] == "connection_ready" || ended || again;
                if frame["type"] == "error" {
                    // Refused for now: sent again after the next connect, as any client does.
                    return;
                }
                if idle && !stop.load(Ordering::Relaxed) && client.outbox().is_empty() {
                    let name = format!("m{}", client.asked);
                    client.asked += 1;
                    socket.say("user_message", client.message(&name)).await;
                }
                if idle && stop.load(Ordering::Relaxed) && client.outbox().is_empty() {
                    return;
                }
            }
            Heard::Closed(..) | Heard::Lost => return,
        }
    }
}

//= specs/delivery.md#dlv-03
//= type=test
//# Thread, epoch and sequence number MUST name the same bytes for ever, across retries and dead
//# processes.
//= specs/delivery.md#dlv-20
//= type=test
//# An acknowledged message MUST be in its thread exactly once, however often the process is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f46_fifty_kills_lose_nothing_and_double_nothing() {
    let seed = std::env::var("GOLDENPATH_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(46);
    println!("seed {seed}; replay with GOLDENPATH_SEED={seed}");
    let mut random = Seed::new(seed);
    // A message a second must not be too fast for a test that sends as fast as it hears.
    let settings =
        [("GOLDENPATH_MESSAGES_PER_MINUTE", "60000"), ("GOLDENPATH_MESSAGE_BURST", "10000")];
    let server = Server::start(&["--agents", "bench"], &settings).await;
    let mut tokens = Vec::new();
    for n in 0..CLIENTS {
        tokens.push(server.register(&format!("user{n}@example.org")).await.0);
    }
    let server = Arc::new(Mutex::new(server));
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for token in tokens.clone() {
        let (server, stop) = (server.clone(), stop.clone());
        tasks.push(tokio::spawn(async move {
            let mut client = Client::default();
            let mut quiet = false;
            while !quiet {
                live(&server, &token, &mut client, &stop).await;
                quiet = stop.load(Ordering::Relaxed) && client.outbox().is_empty();
            }
            client
        }));
    }
    let kills = kills();
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.below(120))).await;
        let mut server = server.lock().await;
        server.kill().await;
        server.launch().await;
        println!("kill {} of {kills}", kill + 1);
    }
    goldenpath_proof::note("crash", "kills", kills);
    stop.store(true, Ordering::Relaxed);
    let mut clients = Vec::new();
    for task in tasks {
        clients.push(tokio::time::timeout(PATIENCE, task).await.expect("quiet in time").unwrap());
    }
    let server = server.lock().await;
    let mut runs = 0;
    for (mut client, token) in clients.into_iter().zip(tokens) {
        // Everything accepted is answered: wait for the last runs, then compare views and logs.
        let begin = Instant::now();
        let threads: BTreeSet<String> =
            client.acknowledged.values().map(|(thread, _)| thread.clone()).collect();
        for thread in &threads {
            let log = loop {
                let log = server.log_of(&token, thread).await;
                if log.iter().any(|f| RUN_ENDS.iter().any(|end| f["type"] == *end)) {
                    break log;
                }
                assert!(begin.elapsed() < PATIENCE, "{thread} never ends");
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            runs += check_log(&log).len();
        }
        let (mut socket, _) = Socket::ready(&server, &token, client.resume()).await;
        let mut waiting = client.views.len();
        while waiting > 0 {
            let frame = socket.frame().await;
            waiting -= usize::from(frame["type"] == "replay_complete");
            client.hear(&frame);
        }
        let mut logs = BTreeMap::<&String, Vec<Value>>::new();
        for thread in &threads {
            let log = server.log_of(&token, thread).await.iter().map(bare).collect();
            if let Some(view) = client.views.get(thread) {
                assert_eq!(view, &log, "the view is the log");
            }
            logs.insert(thread, log);
        }
        for (thread, message) in client.acknowledged.values() {
            let log = &logs[thread];
            let stored = log.iter().filter(|f| f["payload"]["message_id"] == message.as_str());
            let said = stored.filter(|f| f["type"] == "user_message").count();
            assert_eq!(said, 1, "acknowledged and present once");
        }
    }
    println!("{runs} runs over {kills} kills");
    assert!(runs >= kills, "the load was real: {runs} runs");
}

/// Runs that are cancelled and then left to themselves.
const CANCELS: usize = 12;

//= specs/runs.md#run-34
//= type=test
//# A cancel that was accepted MUST be honoured after a crash of the process.
#[tokio::test]
async fn f50_a_cancel_that_was_accepted_is_honoured_after_a_kill() {
    let settings = [("ENVIRONMENT", "test"), ("GOLDENPATH_MESSAGE_BURST", "1000")];
    let mut server = Server::start(&["--agents", "scripted"], &settings).await;
    let (token, _) = server.register("ada@example.org").await;
    for n in 0..CANCELS {
        let (mut socket, _) = Socket::ready(&server, &token, json!([])).await;
        let ack = socket.ask(&format!("m{n}"), "data 1 hang", None).await;
        // Stopped wherever it is by then: before its agent hangs, or after.
        for _ in 0..n {
            socket.frame().await;
        }
        socket.say("cancel_run", json!({"run_id": ack["run_id"]})).await;
        loop {
            let frame = socket.frame().await;
            assert_ne!(frame["type"], "error", "{frame}");
            if frame["type"] == "ack" && frame["payload"]["what"] == "cancel_run" {
                break;
            }
        }
        server.kill().await;
        server.launch().await;
        let begin = Instant::now();
        let log = loop {
            let log = server.log_of(&token, ack["thread_id"].as_str().unwrap()).await;
            if log.iter().any(|f| RUN_ENDS.iter().any(|end| f["type"] == *end)) {
                break log;
            }
            assert!(begin.elapsed() < PATIENCE, "the run never ends");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let _ = check_log(&log);
        assert_eq!(log.last().unwrap()["type"], "run_cancelled", "cancel {n}");
        let starts = log.iter().filter(|f| f["type"] == "run_started").count();
        assert_eq!(starts, 1, "nothing of it was done again");
    }
}
