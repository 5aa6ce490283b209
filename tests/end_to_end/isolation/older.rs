//! The same in the older dialect: its words and its aliases, flat, under `payload` and as JSON-RPC.

use super::sockets::FRAMES_WITH_IDS;
use super::{Ada, KINDS, about, unknown};
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::Socket;
use serde_json::{Value, json};

/// What only older clients say, and their names for what everybody says.
const OLDER_FRAMES: [(&str, &str); 13] = [
    ("handshake_acknowledged", r#"{"thread_id":"{id}"}"#),
    ("session_acknowledged", r#"{"thread_id":"{id}"}"#),
    ("session_restore", r#"{"thread_id":"{id}","after_seq":1}"#),
    ("session_restore", r#"{"threads":[{"thread_id":"{id}","after_seq":1}]}"#),
    ("chat", r#"{"message":"hello","thread_id":"{id}"}"#),
    ("user_input", r#"{"text":"hello","thread_id":"{id}","run_id":"mine"}"#),
    ("agent_request", r#"{"user_request":"hello","thread_id":"{id}"}"#),
    ("execute_agent", r#"{"request":{"query":"hello"},"thread_id":"{id}"}"#),
    ("start_agent", r#"{"query":"hello","thread_id":"{id}"}"#),
    ("cancel", r#"{"run_id":"{id}"}"#),
    ("stop_agent", r#"{"run_id":"{id}","thread_id":"{id}"}"#),
    ("list_threads", r#"{"thread_id":"{id}","cursor":"{id}"}"#),
    ("typing_started", r#"{"thread_id":"{id}"}"#),
];

/// As an older client may put it.
#[derive(Clone, Copy, Debug)]
enum Form {
    Payload,
    Flat,
    JsonRpc,
}

fn frame(form: Form, kind: &str, payload: &Value) -> Value {
    match form {
        Form::Payload => json!({ "type": kind, "payload": payload }),
        Form::Flat => {
            let mut flat = payload.clone();
            flat["type"] = kind.into();
            flat
        }
        Form::JsonRpc => json!({ "jsonrpc": "2.0", "id": 7, "method": kind, "params": payload }),
    }
}

/// A visitor of demo mode in the older dialect, after the first words.
async fn older(server: &Server) -> Socket {
    let mut socket = Socket::open(server, &[]).await.expect("demo mode lets everybody in");
    assert_eq!(socket.subprotocol, None);
    assert_eq!(socket.frame().await["type"], "connection_established");
    assert_eq!(socket.frame().await["type"], "handshake_response");
    socket
}

/// All that is said about it, up to the answer to the ping behind it.
async fn answers(socket: &mut Socket, said: &Value) -> Vec<Value> {
    socket.text(&said.to_string()).await;
    socket.text(&json!({ "type": "ping", "nonce": "behind" }).to_string()).await;
    let mut heard = Vec::new();
    loop {
        let frame = socket.frame().await;
        if frame["type"] == "pong" && frame["nonce"] == "behind" {
            return heard;
        }
        heard.push(frame);
    }
}

/// ISO-02.
#[tokio::test]
async fn in_the_older_dialect_an_id_of_somebody_else_is_an_id_of_nothing() {
    // As many sockets as there are questions, all from here.
    let settings = [
        ("GOLDENPATH_ATTEMPTS_PER_MINUTE", "600000"),
        ("GOLDENPATH_REQUESTS_PER_MINUTE", "600000"),
        ("GOLDENPATH_UPGRADES_PER_SECOND", "100000"),
    ];
    let server = Server::start(&[], &settings).await;
    let ada = Ada::at(&server).await;
    let before = ada.sees(&server).await;
    let frames: Vec<(&str, &str)> = FRAMES_WITH_IDS
        .iter()
        .map(|(kind, _, payload)| (*kind, *payload))
        .chain(OLDER_FRAMES)
        .collect();
    let (mut tried, mut answered) = (0, 0);
    for (kind, payload) in frames {
        for form in [Form::Payload, Form::Flat, Form::JsonRpc] {
            for of in KINDS {
                let hers = ada.id(of);
                let mut said = Vec::new();
                for id in [hers.to_owned(), unknown(hers)] {
                    let payload = serde_json::from_str(&payload.replace("{id}", &id)).unwrap();
                    // Each on a socket of its own: what one frame does to the next is no difference.
                    let mut eve = older(&server).await;
                    let heard = answers(&mut eve, &frame(form, kind, &payload)).await;
                    let text = Value::from(heard).to_string();
                    ada.is_in_none_of(&text, &id);
                    said.push(about(&id, &text));
                }
                assert_eq!(said[0], said[1], "{kind} {form:?} {of}");
                tried += 1;
                answered += usize::from(said[0] != "[]");
            }
        }
    }
    assert!(answered * 2 > tried, "{answered} of {tried} were answered");
    assert_eq!(ada.sees(&server).await, before, "nothing of hers has changed");
}

/// An older client names its runs itself: somebody else's run is a name like any other, for a run of one's
/// own, and what is done by that name is done to one's own.
#[tokio::test]
async fn in_the_older_dialect_a_run_named_as_somebody_elses_is_ones_own() {
    let server = Server::real().await;
    let ada = Ada::at(&server).await;
    let before = ada.sees(&server).await;
    let mut eve = older(&server).await;
    let ask = json!({ "type": "user_message", "content": "hello", "run_id": ada.run });
    eve.text(&ask.to_string()).await;
    let heard = eve.collect(&["agent_completed"]).await;
    let text = Value::from(heard.clone()).to_string();
    ada.is_in_none_of(&text, &ada.run);
    let end = heard.last().unwrap();
    assert_eq!((&end["run_id"], &end["status"]), (&json!(ada.run), &json!("completed")));
    assert_ne!(end["server_run_id"], ada.run.as_str(), "it is another run");
    let stop = json!({ "type": "stop_agent", "run_id": ada.run });
    let text = Value::from(answers(&mut eve, &stop).await).to_string();
    ada.is_in_none_of(&text, &ada.run);
    assert_eq!(ada.sees(&server).await, before, "nothing of hers has changed");
}
