//! One connection between transport, shard and clock.

use crate::rig::{PATIENCE, Peer, Rig, Said, accepted, identity, rig, wire};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::CloseCode;
use goldenpath_runtime::connection::Whence;
use goldenpath_runtime::dependency::watch_store;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

fn connect(rig: &Rig, token: &'static str, room: Option<usize>) -> (Peer, JoinHandle<()>) {
    let (end, peer) = wire();
    peer.takes(room);
    let connections = rig.connections.clone();
    let served = tokio::spawn(async move {
        connections.serve(end, accepted(token), None, Whence::default()).await;
    });
    (peer, served)
}

fn ask(content: &str) -> serde_json::Value {
    json!({ "type": "user_message", "id": "c1", "payload": { "content": content } })
}

/// A message with this name.
fn ask_as(name: &str) -> serde_json::Value {
    let payload = json!({ "content": "hello", "client_msg_id": name });
    json!({ "type": "user_message", "id": name, "payload": payload })
}

#[tokio::test(start_paused = true)]
async fn a_question_is_acknowledged_and_its_run_is_heard_to_the_end() {
    let rig = rig(Limits::default());
    let (mut peer, served) = connect(&rig, "ada", None);
    peer.say(ask("hello"));
    let all = peer.until("run_completed").await;
    let first = all.iter().position(|kind| kind == "connection_ready");
    assert_eq!(first, Some(0), "{all:?}");
    assert!(all.contains(&"ack".to_owned()), "{all:?}");
    drop(peer);
    tokio::time::timeout(PATIENCE, served).await.unwrap().unwrap();
    tokio::time::timeout(PATIENCE, rig.connections.registry.emptied()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn f01_a_bad_credential_is_4401_and_never_1011() {
    let rig = rig(Limits::default());
    let (mut peer, _) = connect(&rig, "nobody", None);
    assert_eq!(peer.until("4401").await, ["error", "disconnect", "4401"]);
}

/// AUTH-08: whoever ends a log-in finds each of its sockets, or the socket finds that it has ended.
#[tokio::test(start_paused = true)]
async fn a_log_in_that_ends_while_its_socket_is_made_has_no_socket() {
    let rig = rig(Limits::default());
    let (mut peer, served) = connect(&rig, "leaving", None);
    assert_eq!(peer.until("4441").await, ["error", "disconnect", "4441"]);
    drop(peer);
    tokio::time::timeout(PATIENCE, served).await.unwrap().unwrap();
    assert_eq!(rig.connections.shards.load().await.connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_log_in_that_ends_while_a_socket_changes_to_it_keeps_no_socket() {
    let rig = rig(Limits::default());
    let (mut peer, served) = connect(&rig, "ada", None);
    peer.until("connection_ready").await;
    // The newer token is of a log-in that ends before the socket can be found under it.
    peer.say(json!({ "type": "auth_refresh", "payload": { "token": "ada, leaving" } }));
    assert_eq!(peer.until("4441").await, ["error", "disconnect", "4441"]);
    drop(peer);
    ends(served).await;
    assert_eq!(rig.connections.shards.load().await.connections, 0);
}

#[tokio::test(start_paused = true)]
async fn f42_a_panic_is_told_with_the_id_it_is_logged_under_then_1011() {
    let rig = rig(Limits::default());
    let (mut peer, _) = connect(&rig, "ada", None);
    peer.until("connection_ready").await;
    peer.says.send("panic".into()).unwrap();
    let Some(Said::Frame(error)) = peer.hear().await else { panic!("an error comes first") };
    assert_eq!((&error["type"], &error["payload"]["code"]), (&json!("error"), &json!("internal")));
    assert!(error["payload"]["request_id"].as_str().unwrap().starts_with("req_"));
    assert_eq!(peer.until("1011").await, ["disconnect", "1011"]);
    // The hub has let go of it: its user's next connection is served.
    let (mut next, _) = connect(&rig, "ada", None);
    next.until("connection_ready").await;
    tokio::task::yield_now().await;
    assert_eq!(rig.connections.shards.load().await.connections, 1);
}

#[tokio::test(start_paused = true)]
async fn f37_a_reader_that_does_not_read_is_let_go_while_its_socket_blocks() {
    let limits = Limits { outbox_frames: 8, ..Limits::default() };
    let rig = rig(limits);
    let (peer, served) = connect(&rig, "ada", Some(1));
    let (_other, _) = connect(&rig, "ada", None);
    for n in 0..20 {
        peer.say(ask(&format!("{n}")));
    }
    tokio::time::timeout(PATIENCE, served).await.expect("it is let go").unwrap();
    assert_eq!(rig.connections.registry.len(), 1, "the other window stays");
}

/// A connection of ada's that reads no further than `connection_ready` while an answer waits for it.
async fn blocked(rig: &Rig) -> (Peer, JoinHandle<()>) {
    let (mut peer, served) = connect(rig, "ada", Some(1));
    peer.until("connection_ready").await;
    let (mut other, _) = connect(rig, "ada", None);
    other.say(ask_as("early"));
    other.until("run_completed").await;
    (peer, served)
}

/// Waits for the end, which nothing can be said about any more, and answers how long that took.
async fn ends(served: JoinHandle<()>) -> Duration {
    let began = Instant::now();
    tokio::time::timeout(PATIENCE, served).await.unwrap().unwrap();
    began.elapsed()
}

/// What becomes of this message when it is said again: whether it was ever handled.
async fn status_of(rig: &Rig, name: &str) -> serde_json::Value {
    let (mut back, _) = connect(rig, "ada", None);
    back.say(ask_as(name));
    back.frame("ack").await["payload"]["status"].clone()
}

/// F39.
//= specs/delivery.md#dlv-29
//= type=test
//# What ends a connection MUST be heard although its peer does not read, and before anything
//# that this peer says later.
#[tokio::test(start_paused = true)]
async fn f39_a_log_out_is_heard_by_who_does_not_read_and_nothing_more_is_done_for_it() {
    let rig = rig(Limits::default());
    let (peer, served) = blocked(&rig).await;
    rig.connections.registry.revoke(identity("ada").session_id());
    peer.say(ask_as("late"));
    let took = ends(served).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(status_of(&rig, "early").await, "duplicate");
    assert_eq!(status_of(&rig, "late").await, "accepted", "it was not handled before");
}

#[tokio::test(start_paused = true)]
async fn who_reads_again_after_a_log_out_hears_of_nothing_else() {
    let rig = rig(Limits::default());
    let (mut peer, served) = blocked(&rig).await;
    // Who leaves everywhere is found by the log-in, and by the name.
    rig.connections.registry.revoke(identity("ada").session_id());
    rig.connections.registry.revoke_user(identity("ada").user_id(), None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    peer.takes(None);
    assert_eq!(peer.until("4441").await, ["error", "disconnect", "4441"]);
    ends(served).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_a_connection_is_heard_by_who_does_not_read() {
    let most = 3;
    let limits = Limits { connections_per_user: most, ..Limits::default() };
    let linger = Duration::from_millis(limits.drain_linger.0);
    for way in ["closed", "drained", "replaced"] {
        let rig = rig(limits.clone());
        let (peer, served) = blocked(&rig).await;
        let mut others = Vec::new();
        match way {
            "closed" => rig.connections.registry.close(CloseCode::Restarting),
            "drained" => rig.connections.registry.drain(|| Millis::from_secs(1)),
            _ => {
                // The oldest gives way, and time tells which that is.
                tokio::time::advance(Duration::from_secs(1)).await;
                for _ in 0..most {
                    let (mut other, served) = connect(&rig, "ada", None);
                    other.until("connection_ready").await;
                    others.push((other, served));
                }
            }
        }
        let took = ends(served).await;
        let most = Duration::from_secs(3) + linger;
        assert!(took < most, "{way}: {took:?}");
        drop(peer);
    }
}

//= specs/safety.md#safe-86
//= type=test
//# What a client sent before it left MUST be handled, also when nothing can be written to it any
//# more.
#[tokio::test(start_paused = true)]
async fn what_was_sent_is_handled_though_its_sender_hears_no_answer() {
    let rig = rig(Limits::default());
    let names = ["m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"];
    let (mut peer, served) = connect(&rig, "ada", None);
    peer.until("connection_ready").await;
    peer.hear_no_more();
    for name in names {
        peer.say(ask_as(name));
    }
    drop(peer);
    tokio::time::timeout(PATIENCE, served).await.unwrap().unwrap();
    let (mut back, _) = connect(&rig, "ada", None);
    for name in names {
        back.say(ask_as(name));
        let ack = back.frame("ack").await;
        assert_eq!(ack["payload"]["status"], "duplicate", "{name}: {ack}");
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_who_hears_nothing_is_listened_to_for_ever() {
    let rig = rig(Limits { message_burst: 1_000, ..Limits::default() });
    let (mut peer, served) = connect(&rig, "ada", None);
    peer.until("connection_ready").await;
    peer.hear_no_more();
    let began = Instant::now();
    while !served.is_finished() {
        peer.say(json!({ "type": "ping", "payload": {} }));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(began.elapsed() < Duration::from_secs(5), "it speaks on, and is let go");
    }
    assert!(began.elapsed() >= Duration::from_secs(2), "it was listened to for a while");
    assert_eq!(rig.connections.registry.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_met_although_nothing_happens() {
    let limits = Limits { heartbeat_timeout: Millis::from_secs(75), ..Limits::default() };
    let rig = rig(limits);
    let (mut peer, _) = connect(&rig, "ada", None);
    let all = peer.until("4421").await;
    assert_eq!(all, ["connection_ready", "ping", "ping", "disconnect", "4421"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_available_is_told_to_everybody() {
    let rig = rig(Limits::default());
    let (mut peer, _) = connect(&rig, "ada", None);
    peer.until("connection_ready").await;
    rig.connections.registry.service_status(&["storage".to_owned()]);
    let Some(Said::Frame(frame)) = peer.hear().await else { panic!("a frame") };
    assert_eq!(frame["type"], "service_status");
    assert_eq!(frame["payload"]["degraded"], json!(["storage"]));
}

//= specs/dependencies.md#dep-13
//= type=test
//# While the store is lost every connection MUST be told so, those that come later included, and all of
//# them when it is back.
#[tokio::test(start_paused = true)]
async fn f11_a_store_that_is_lost_is_told_to_everybody_and_its_return_too() {
    let rig = rig(Limits::default());
    let (mut peer, _) = connect(&rig, "ada", None);
    peer.until("connection_ready").await;
    let (store, connections) = (Arc::new(rig.store.clone()), rig.connections.clone());
    let watching = tokio::spawn(watch_store(store, connections, Seed::new(5)));
    // Lost while the server starts, and once it has worked.
    for name in ["bob", "carol"] {
        rig.store.set_down(true);
        let lost = peer.frame("service_status").await;
        assert_eq!(lost["payload"]["degraded"], json!(["storage"]));
        assert_eq!(rig.connections.registry.degraded(), ["storage"]);
        peer.say(ask_as(&format!("early-{name}")));
        assert_eq!(peer.frame("error").await["payload"]["code"], "storage_unavailable");
        let (mut later, _) = connect(&rig, name, None);
        let ready = later.frame("connection_ready").await;
        assert_eq!(ready["payload"]["degraded"], json!(["storage"]));
        rig.store.set_down(false);
        for peer in [&mut peer, &mut later] {
            let back = peer.frame("service_status").await;
            assert_eq!(back["payload"]["degraded"], json!([]));
            peer.say(ask_as(&format!("late-{name}")));
            peer.until("run_completed").await;
        }
    }
    watching.abort();
}

/// Ten thousand of them wait at a time: what is added here is added ten thousand times.
#[tokio::test(start_paused = true)]
async fn a_waiting_connection_keeps_little_beside_its_machine() {
    let rig = rig(Limits::default());
    let (end, _peer) = wire();
    let own = size_of_val(&end);
    let served = rig.connections.serve(end, accepted("ada"), None, Whence::default());
    assert!(size_of_val(&served) - own <= 1_408, "{} bytes", size_of_val(&served) - own);
}
