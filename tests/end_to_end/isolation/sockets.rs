//! Every command of a socket that takes an id.

use super::{Ada, about, unknown};
use goldenpath_core::id::ConnectionId;
use goldenpath_core::limits::Limits;
use goldenpath_core::wire::{
    ClientBody, Credential, Feedback, Naming, ResumePoint, ThreadCommand, UserMessage, decode,
};
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::Socket;
use serde_json::json;
use std::collections::BTreeSet;

/// Frames one stranger sends, fewer than any limit allows at once.
const FRAMES: usize = 8;

/// Tells a command by all its fields, none left out: a new command, or a new field of an old one, does
/// not compile before somebody has said here whether it takes an id.
macro_rules! commands {
    ($($pattern:pat => $name:literal $takes:ident,)*) => {
        /// The command, and whether it takes an id.
        fn command(body: &ClientBody) -> (&'static str, bool) {
            match body { $($pattern => ($name, stringify!($takes) == "id"),)* }
        }

        /// Every command that takes an id.
        fn with_ids() -> BTreeSet<&'static str> {
            let all = [$(($name, stringify!($takes) == "id"),)*];
            all.into_iter().filter(|(_, takes)| *takes).map(|(name, _)| name).collect()
        }
    };
}

commands! {
    ClientBody::Approval { run_id: _, request_id: _, approved: _, note: _ } => "approval" id,
    ClientBody::Auth { credential: Credential::Ticket(_) | Credential::Token(_), resume: _ } => "auth" none,
    ClientBody::AuthRefresh { token: _ } => "auth_refresh" none,
    ClientBody::CancelQueued { run_id: _ } => "cancel_queued" id,
    ClientBody::CancelRun { run_id: _ } => "cancel_run" id,
    ClientBody::Feedback(Feedback { message_id: _, rating: _, comment: _ }) => "feedback" id,
    ClientBody::GapRequest { thread_id: _, after_seq: _, to_seq: _ } => "gap_request" id,
    ClientBody::Ping { nonce: _ } => "ping" none,
    ClientBody::Pong => "pong" none,
    ClientBody::Received { thread_id: _, seq: _ } => "received" id,
    ClientBody::Resume { threads: _ } => "resume" id,
    ClientBody::Subscribe { thread_id: _, level: _ } => "subscribe" id,
    ClientBody::Thread(ThreadCommand::Create { title: _, metadata: _ }) => "create" none,
    ClientBody::Thread(ThreadCommand::Delete { thread_id: _ }) => "delete" id,
    ClientBody::Thread(ThreadCommand::History { thread_id: _, after_seq: _, limit: _ }) => "history" id,
    ClientBody::Thread(ThreadCommand::List { limit: _ }) => "list" none,
    ClientBody::Thread(ThreadCommand::Rename { thread_id: _, title: _, metadata: _ }) => "rename" id,
    ClientBody::Unsubscribe { thread_id: _ } => "unsubscribe" id,
    ClientBody::UserMessage(UserMessage {
        client_msg_id: _,
        content: _,
        thread_id: _,
        multitask: _,
        on_disconnect: _,
        expected_head_seq: _,
        metadata: _,
    }) => "user_message" id,
}

/// Frames that name something of a kind; `{id}` stands where the name goes.
pub(super) const FRAMES_WITH_IDS: [(&str, &str, &str); 16] = [
    ("resume", "thr", r#"{"threads":[{"thread_id":"{id}","epoch":"e1","after_seq":1}]}"#),
    ("subscribe", "thr", r#"{"thread_id":"{id}","level":"full"}"#),
    ("unsubscribe", "thr", r#"{"thread_id":"{id}"}"#),
    ("user_message", "thr", r#"{"client_msg_id":"e1","content":"hello","thread_id":"{id}"}"#),
    ("cancel_run", "run", r#"{"run_id":"{id}"}"#),
    ("cancel_queued", "run", r#"{"run_id":"{id}"}"#),
    ("gap_request", "thr", r#"{"thread_id":"{id}","after_seq":0,"to_seq":5}"#),
    ("approval", "run", r#"{"run_id":"{id}","request_id":"r1","decision":"approve"}"#),
    ("feedback", "msg", r#"{"message_id":"{id}","rating":"up"}"#),
    ("feedback", "msg", r#"{"message_id":"{id}","rating":5}"#),
    ("received", "thr", r#"{"thread_id":"{id}","seq":2}"#),
    ("get_thread_history", "thr", r#"{"thread_id":"{id}"}"#),
    ("switch_thread", "thr", r#"{"thread_id":"{id}"}"#),
    ("rename_thread", "thr", r#"{"thread_id":"{id}","title":"mine now"}"#),
    ("delete_thread", "thr", r#"{"thread_id":"{id}"}"#),
    ("stop_agent", "run", r#"{"run_id":"{id}"}"#),
];

/// A new command must be put into the list of frames above.
#[test]
fn every_command_that_takes_an_id_is_tried_as_somebody_else() {
    let naming = Naming { connection_id: ConnectionId(7), nth: 3 };
    let mut tried = BTreeSet::new();
    for (kind, of, payload) in FRAMES_WITH_IDS {
        let payload = payload.replace("{id}", &format!("{of}_00000000000000000000000009"));
        let text = format!(r#"{{"type":"{kind}","id":"c1","payload":{payload}}}"#);
        let read = decode(&text, &Limits::default(), naming);
        let frame = read.unwrap_or_else(|refused| panic!("{text} is refused: {refused:?}"));
        let (name, takes) = command(&frame.body);
        assert!(takes, "{name} takes no id");
        tried.insert(name);
    }
    assert_eq!(tried, with_ids());
    // Where an authentication goes on is read as a resume is.
    let ResumePoint { thread_id: _, epoch: _, after_seq: _ } = ResumePoint {
        thread_id: "thr_00000000000000000000000009".parse().unwrap(),
        epoch: None,
        after_seq: goldenpath_core::id::Seq(0),
    };
}

/// ISO-02.
#[tokio::test]
async fn over_a_socket_an_id_of_somebody_else_is_an_id_of_nothing() {
    let server = Server::real().await;
    let ada = Ada::at(&server).await;
    let before = ada.sees(&server).await;
    let mut tries: Vec<(String, String, String)> = Vec::new();
    for (kind, _, payload) in FRAMES_WITH_IDS {
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
                ada.is_in_none_of(&frame.to_string(), id);
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

/// ISO-02: what is gone on with while one says who one is.
#[tokio::test]
async fn a_log_in_on_a_socket_resumes_nothing_of_somebody_else() {
    let server = Server::real().await;
    let ada = Ada::at(&server).await;
    let before = ada.sees(&server).await;
    let mut said = Vec::new();
    for id in [ada.thread.clone(), unknown(&ada.thread)] {
        let (eve, _) = server.demo().await;
        let resume = json!([{ "thread_id": id, "epoch": before[0]["epoch"], "after_seq": 1 }]);
        let (mut socket, ready) = Socket::ready(&server, &eve, resume).await;
        let mut heard = vec![ready["payload"]["resume"].clone()];
        let after = socket.say("ping", json!({})).await;
        loop {
            let frame = socket.frame().await;
            ada.is_in_none_of(&frame.to_string(), &id);
            if frame["ref"] == *after {
                break;
            }
            heard.push(frame);
        }
        said.push(about(&id, &serde_json::Value::from(heard).to_string()));
    }
    assert_eq!(said[0], said[1]);
    assert!(said[0].contains("\"recovered\":false"), "{}", said[0]);
    assert_eq!(ada.sees(&server).await, before, "nothing of hers has changed");
}
