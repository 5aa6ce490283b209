//! Many users at once, through real sockets: nobody hears a foreign word, nothing fails.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use futures_util::future::join_all;
use goldenpath_tests::oracle::{CRITICAL, bare, check_log, entries};
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::{RUN_ENDS, Socket};
use serde_json::{Value, json};

const USERS: usize = 20;
const RUNS: usize = 5;

/// One user: five runs, everything heard is compared with the log; answers the ids heard.
async fn user(server: &Server, question: &str) -> (String, Vec<String>) {
    let (token, user) = server.demo().await;
    let (mut socket, ready) = Socket::ready(server, &token, json!([])).await;
    assert_eq!(ready["payload"]["user_id"], user.as_str());
    let mut ids = Vec::new();
    for n in 0..RUNS {
        let ack = socket.ask(&format!("m{n}"), question, None).await;
        let heard = entries(&socket.collect(&RUN_ENDS).await);
        assert_eq!(heard.last().unwrap()["type"], "run_completed");
        for kind in CRITICAL {
            assert!(heard.iter().any(|frame| frame["type"] == kind), "no {kind}");
        }
        let thread = ack["thread_id"].as_str().unwrap();
        assert!(heard.iter().all(|frame| frame["thread_id"] == thread), "a foreign thread");
        let log = server.log_of(&token, thread).await;
        assert_eq!(check_log(&log).len(), 1);
        let bares = |frames: &[Value]| frames.iter().map(bare).collect::<Vec<_>>();
        assert_eq!(bares(&heard), bares(&log));
        ids.extend(heard.iter().map(|frame| frame["id"].as_str().unwrap().to_owned()));
    }
    (user, ids)
}

async fn users_at_once(users: usize, server: Server, question: &str) {
    let all = join_all((0..users).map(|_| user(&server, question))).await;
    let mut seen = std::collections::BTreeMap::new();
    for (user, ids) in all {
        for id in ids {
            assert!(seen.insert(id, user.clone()).is_none(), "one entry, two readers");
        }
    }
    assert!(seen.len() >= users * RUNS * 20);
    let log = server.log();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn f31_twenty_users_with_five_runs_each_hear_their_own_and_all_of_it() {
    users_at_once(USERS, Server::bench().await, "measure").await;
}

#[tokio::test]
async fn f31_twenty_users_of_the_real_agents_hear_their_own_too() {
    users_at_once(USERS, Server::real().await, "Analyze my AI costs").await;
}
