//! The golden path behind real proxies that take things away.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod deployment;
mod nginx;
mod patience;
mod total_limit;
mod tunnel;

use goldenpath_core::client::{Event, Link};
use goldenpath_core::wire::{AuthMethod, Entry, Secret};
use goldenpath_tests::oracle::{CRITICAL, check_log};
use goldenpath_tests::server::{PATIENCE, Server};
use goldenpath_tests::socket::{GOLDEN, Heard as Said, RUN_ENDS, Socket};
use goldenpath_tungstenite::{Address, Chat, Credentials, Heard};
use nginx::{HABITS, Habit, Nginx};
use reqwest::StatusCode;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use total_limit::{RELOAD, TotalLimit};

/// No demo mode: without a credential nobody gets in.
const STRICT: [(&str, &str); 2] = [("DEMO_MODE", "0"), ("ENVIRONMENT", "test")];

/// Behind a proxy that cuts what is silent for five seconds.
const QUICK: [(&str, &str); 6] = [
    ("GOLDENPATH_PROXY_TIMEOUT", "5"),
    ("GOLDENPATH_HEADER_TIMEOUT", "4"),
    ("GOLDENPATH_BODY_TIMEOUT", "4"),
    ("GOLDENPATH_AUTH_TIMEOUT", "4"),
    ("WEBSOCKET_HEARTBEAT_INTERVAL", "1"),
    ("WEBSOCKET_HEARTBEAT_TIMEOUT", "4"),
];
/// Behind one that does so, and nobody has said it.
const SLOW: [(&str, &str); 1] = [("WEBSOCKET_HEARTBEAT_INTERVAL", "20")];

/// An address, the headers sent to it, and the place the credential then stands in.
type Place<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

/// What a conversation through a proxy came to.
#[derive(Debug, Default)]
struct Told {
    /// By which place the credential came, for each time the server took the client in.
    methods: Vec<AuthMethod>,
    /// When it did.
    since: Vec<Instant>,
    entries: Vec<Entry>,
}

/// Asks a question with the project's own client and listens to the end of its run.
async fn ask(port: u16, credentials: Credentials, question: &str, longest: Duration) -> Told {
    let address: Address = format!("http://127.0.0.1:{port}").parse().unwrap();
    let mut chat = Chat::connect(address, credentials);
    chat.send(question).await.unwrap();
    let mut told = Told::default();
    let end = Instant::now() + longest;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let heard = tokio::time::timeout(left, chat.next()).await;
        let heard = heard.unwrap_or_else(|_| panic!("the run does not end: {told:?}"));
        match heard.unwrap_or_else(|| panic!("the client gave up: {told:?}")) {
            Heard::Event(Event::Ready(ready)) => {
                told.methods.push(ready.auth_method);
                told.since.push(Instant::now());
            }
            Heard::Event(Event::Applied(entry)) => {
                let last = RUN_ENDS.contains(&entry.event.type_name());
                told.entries.push(*entry);
                if last {
                    chat.close().await;
                    return told;
                }
            }
            Heard::Event(Event::Connection(Link::Ended(_))) | Heard::NeedCredential(_) => {
                panic!("the client was sent away: {told:?}")
            }
            Heard::Event(_) => {}
        }
    }
}

/// Every entry once, in order, without a hole; the five events; a good end.
fn is_golden(told: &Told) {
    let places: Vec<u64> = told.entries.iter().map(|entry| entry.seq.0).collect();
    let expected: Vec<u64> = (1..=places.len() as u64).collect();
    assert_eq!(places, expected);
    for kind in CRITICAL {
        assert!(told.entries.iter().any(|entry| entry.event.type_name() == kind), "{kind}");
    }
    assert_eq!(told.entries.last().unwrap().event.type_name(), "run_completed");
}

#[tokio::test]
async fn f06_the_golden_path_works_behind_every_proxy_and_says_by_which_place() {
    let server = Server::start(&["--agents", "bench"], &STRICT).await;
    let (token, _) = server.register("ada@example.org").await;
    let nginx = Nginx::before(server.port()).await;
    for habit in HABITS {
        let stripped = matches!(habit, Habit::StripsAuthorization | Habit::StripsBoth);
        let by_header =
            if stripped { AuthMethod::FirstMessage } else { AuthMethod::AuthorizationHeader };
        for (credentials, method) in [
            (Credentials::Header(Secret(token.clone())), by_header),
            (Credentials::FirstFrame(Secret(token.clone())), AuthMethod::FirstMessage),
        ] {
            let told = ask(nginx.port(habit), credentials, "hello", PATIENCE).await;
            is_golden(&told);
            assert_eq!(told.methods, [method], "{habit:?}");
        }
    }
}

/// Each of the four places through each proxy; what was taken off is not there, the rest works.
#[tokio::test]
async fn f06_each_place_for_a_credential_gets_through_unless_it_is_taken_off() {
    let server = Server::start(&["--agents", "bench"], &STRICT).await;
    let (token, _) = server.register("ada@example.org").await;
    let nginx = Nginx::before(server.port()).await;
    let bearer = format!("Bearer {token}");
    let in_protocol = format!("{GOLDEN}, jwt.{token}");
    for habit in
        [Habit::Plain, Habit::StripsAuthorization, Habit::StripsSubprotocol, Habit::StripsBoth]
    {
        let port = nginx.port(habit);
        let no_header = matches!(habit, Habit::StripsAuthorization | Habit::StripsBoth);
        let no_protocol = matches!(habit, Habit::StripsSubprotocol | Habit::StripsBoth);
        let ticket = {
            let url = format!("http://127.0.0.1:{port}/api/auth/ticket");
            let answer = server.http().post(url).bearer_auth(&token).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            let body: serde_json::Value = answer.json().await.unwrap();
            body["ticket"].as_str().unwrap().to_owned()
        };
        // A library that insists on the subprotocol it offered would hang up where it is taken off.
        let by_name = format!("ws://127.0.0.1:{port}/ws?protocol={GOLDEN}");
        let with_ticket = format!("{by_name}&ticket={ticket}");
        let cases: [Place<'_>; 4] = [
            (&by_name, &[("Authorization", &bearer)], "authorization_header"),
            (&by_name, &[("Sec-WebSocket-Protocol", &in_protocol)], "subprotocol"),
            (&with_ticket, &[], "ticket"),
            (&by_name, &[], "first_message"),
        ];
        for (url, headers, place) in cases {
            if place == "subprotocol" && no_protocol {
                assert!(Socket::try_open(url, headers).await.is_none(), "{habit:?}");
                continue;
            }
            let mut socket = Socket::try_open(url, headers).await.unwrap();
            let first = socket.frame().await;
            let is_gone = place == "authorization_header" && no_header;
            let ready = if place == "first_message" || is_gone {
                assert_eq!(first["type"], "auth_required", "{habit:?} {place}");
                socket.say("auth", json!({ "token": token })).await;
                socket.until("connection_ready").await
            } else {
                first
            };
            assert_eq!(ready["type"], "connection_ready", "{habit:?} {place}: {ready}");
            let expected = if is_gone { "first_message" } else { place };
            assert_eq!(ready["payload"]["auth_method"], expected, "{habit:?}");
            let ack = socket.ask(&format!("{habit:?}-{place}"), "hello", None).await;
            let _ = socket.collect(&RUN_ENDS).await;
            let log = server.log_of(&token, ack["thread_id"].as_str().unwrap()).await;
            assert_eq!(check_log(&log).len(), 1, "{habit:?} {place}");
        }
    }
}

#[tokio::test]
async fn a_proxy_that_cuts_what_is_silent_cuts_nothing_while_the_server_pings() {
    let after_silence = async |settings: &[(&str, &str)]| {
        let server = Server::start(&["--agents", "bench"], settings).await;
        let (token, _) = server.demo().await;
        let nginx = Nginx::before(server.port()).await;
        let url = format!("ws://127.0.0.1:{}/ws", nginx.port(Habit::IdleLimit));
        let golden = [("Sec-WebSocket-Protocol", GOLDEN)];
        let mut socket = Socket::try_open(&url, &golden).await.unwrap();
        socket.say("auth", json!({ "token": token })).await;
        socket.until("connection_ready").await;
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(8) {
            match socket.hear().await {
                Said::Frame(frame) if frame["type"] == "ping" => {
                    socket.say("pong", json!({})).await;
                }
                Said::Frame(frame) => panic!("nobody asked for {frame}"),
                Said::Closed(..) | Said::Lost => return Err(began.elapsed()),
            }
        }
        socket.ask("m1", "hello", None).await;
        Ok(socket.collect(&RUN_ENDS).await)
    };
    let (kept, cut) = tokio::join!(after_silence(&QUICK), after_silence(&SLOW));
    assert_eq!(kept.unwrap().last().unwrap()["type"], "run_completed");
    let cut = cut.expect_err("this nginx does cut what is silent");
    assert!((4..8).contains(&cut.as_secs()), "after {cut:?}");
}

/// Seconds after which a connection is cut, and how often a run is cut at least: 15 s, as some load
/// balancers have it, and a shorter limit that cuts the same run again and again.
const TOTAL_LIMITS: [(u64, usize); 2] = [(15, 1), (3, 3)];

/// From a cut to the next connection: the client's backoff, a reload, a slow machine.
const RETURN: Duration = Duration::from_secs(8);

/// F28. The proxy's limit is on the whole life of a connection.
#[tokio::test]
async fn f28_a_run_that_outlives_every_connection_is_heard_once_and_to_its_end() {
    let settings = [
        ("DEMO_MODE", "0"),
        ("ENVIRONMENT", "test"),
        ("GOLDENPATH_AGENT_TIMEOUT", "30"),
        ("GOLDENPATH_RUN_TIMEOUT", "60"),
    ];
    let server = Server::start(&["--agents", "scripted"], &settings).await;
    // Thirteen times a second and a half: the run outlives the first connection.
    let script: Vec<String> = [("triage", 5), ("data", 5), ("report", 3)]
        .iter()
        .flat_map(|(agent, times)| (0..*times).map(move |n| format!("{agent} {n} slow")))
        .collect();
    let script = script.join("; ");
    let through = async |seconds: u64, cuts: usize, by: AuthMethod| {
        let limit = Duration::from_secs(seconds);
        let nginx = TotalLimit::before(server.port(), limit).await;
        // One run at a time is under way for each user.
        let (token, _) = server.register(&format!("{seconds}-{by:?}@example.org")).await;
        let credentials = match by {
            AuthMethod::AuthorizationHeader => Credentials::Header(Secret(token.clone())),
            _ => Credentials::FirstFrame(Secret(token.clone())),
        };
        let told = ask(nginx.port(), credentials, &script, Duration::from_secs(90)).await;
        is_golden(&told);
        let thread = told.entries[0].thread_id.to_string();
        assert_eq!(server.log_of(&token, &thread).await.len(), told.entries.len());
        assert!(told.methods.len() > cuts, "cut after {seconds} s, {cuts} times: {told:?}");
        assert!(told.methods.iter().all(|method| *method == by), "{by:?}: {:?}", told.methods);
        for life in told.since.windows(2).map(|pair| pair[1] - pair[0]) {
            assert!(life > limit, "{life:?} is shorter than {limit:?}: something else cut it");
            assert!(life < limit + RELOAD + RETURN, "{life:?}: not cut after {limit:?}");
        }
    };
    let [long, short] = TOTAL_LIMITS;
    tokio::join!(
        through(long.0, long.1, AuthMethod::AuthorizationHeader),
        through(long.0, long.1, AuthMethod::FirstMessage),
        through(short.0, short.1, AuthMethod::AuthorizationHeader),
        through(short.0, short.1, AuthMethod::FirstMessage),
    );
}

/// The client is at 127.0.0.2 and writes what it likes; nginx at 127.0.0.1 is trusted.
#[tokio::test]
async fn what_a_client_writes_about_its_address_counts_for_nothing_behind_a_trusted_proxy() {
    let settings = [
        ("ENVIRONMENT", "test"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("GOLDENPATH_REQUESTS_PER_MINUTE", "12"),
    ];
    let server = Server::start(&["--agents", "bench"], &settings).await;
    let nginx = Nginx::before(server.port()).await;
    let port = nginx.port(Habit::Plain);
    let status = async |from: [u8; 4], forged: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await.unwrap();
        let head = format!(
            "GET /api/config HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {forged}\r\nForwarded: for={forged}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut reply = String::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut reply)).await;
        read.unwrap().unwrap();
        reply.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let mut heard = Vec::new();
    for n in 0..4 {
        heard.push(status([127, 0, 0, 2], &format!("192.0.2.{n}")).await);
    }
    assert_eq!(heard, ["200", "200", "429", "429"], "two at once, then one in five seconds");
    assert_eq!(status([127, 0, 0, 3], "127.0.0.2").await, "200", "nobody else is counted for it");
}

/// Whoever sees it first refuses it: no second request of the client's own making reaches the server.
#[tokio::test]
async fn what_could_be_two_requests_gets_through_no_proxy() {
    let server = Server::start(&["--agents", "bench"], &STRICT).await;
    let nginx = Nginx::before(server.port()).await;
    let hidden = "GET /ws/config HTTP/1.1\r\nHost: x\r\n\r\n";
    let login = "POST /auth/validate HTTP/1.1\r\nHost: x\r\n";
    let (length, coding) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for port in [nginx.port(Habit::Plain), server.port()] {
        let through_proxy = port != server.port();
        for (head, statuses) in [
            ("GET /api/config HTTP/1.1\r\n".to_owned(), &[400][..]),
            ("GET /api/config HTTP/1.1\r\nHost: x\r\nHost: y\r\n".to_owned(), &[400]),
            ("GET /api/config HTTP/1.1\r\nHost: x y\r\n".to_owned(), &[400]),
            (format!("{login}{length}Content-Length: 6\r\n"), &[400]),
            // The server alone reads by the coding and hangs up (RFC 9112 section 6.3).
            (format!("{login}{length}{coding}"), if through_proxy { &[400] } else { &[200, 400] }),
            (format!("{login}{coding}{length}"), if through_proxy { &[400] } else { &[200, 400] }),
        ] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let bytes = format!("{head}\r\n0\r\n\r\n{hidden}");
            stream.write_all(bytes.as_bytes()).await.unwrap();
            let mut heard = Vec::new();
            let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
            assert!(read.is_ok(), "{head:?}: the connection is left open");
            let said = String::from_utf8_lossy(&heard);
            let status = said.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            assert!(statuses.contains(&status), "{head:?} at {port}: {said}");
            assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{head:?} was two requests: {said}");
            assert!(!said.contains("websocket_config"), "{head:?}: {said}");
        }
        let url = format!("http://127.0.0.1:{port}/health");
        assert_eq!(server.http().get(url).send().await.unwrap().status(), StatusCode::OK);
    }
}
