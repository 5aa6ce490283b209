//! The upgrade: who is let in, as what, and how a refusal is told.

use goldenpath_tests::server::{PATIENCE, Server};
use goldenpath_tests::socket::{GOLDEN, Socket};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn b64url(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            out.push(ALPHABET[(bits >> (18 - 6 * i) & 63) as usize] as char);
        }
    }
    out
}

#[tokio::test]
async fn f02_the_first_thing_heard_is_ready_and_the_connection_stays() {
    let server = Server::bench().await;
    let (token, user) = server.demo().await;
    let (mut socket, ready) = Socket::ready(&server, &token, json!([])).await;
    assert_eq!(ready["payload"]["user_id"], user.as_str());
    assert_eq!(ready["payload"]["protocol"], GOLDEN);
    assert_eq!(ready["payload"]["auth_method"], "first_message");
    for nonce in 0..3 {
        socket.say("ping", json!({"nonce": nonce})).await;
        let pong = socket.frame().await;
        assert_eq!((&pong["type"], &pong["payload"]["nonce"]), (&json!("pong"), &json!(nonce)));
    }
}

/// The table of `specs/protocol`: what is offered, what is selected.
#[tokio::test]
async fn f04_f05_only_what_was_offered_is_selected_and_never_a_token() {
    let server = Server::start(&["--agents", "bench"], &[("DEMO_MODE", "0")]).await;
    let (token, _) = server.register("ada@example.org").await;
    let encoded = b64url(&token);
    let protocols = |text: String| format!("Sec-WebSocket-Protocol: {text}\r\n");
    let authorization = format!("Authorization: Bearer {token}\r\n");
    let prefixed = "base64url.bearer.authorization.golden.";
    let cases = [
        (protocols(format!("golden.v1, jwt.{encoded}")), Some(GOLDEN)),
        (protocols(format!("jwt.{token}, golden.v1")), Some(GOLDEN)),
        (protocols(format!("golden.v1, {prefixed}{encoded}")), Some(GOLDEN)),
        (protocols(GOLDEN.into()) + &protocols(format!("jwt-auth.{encoded}")), Some(GOLDEN)),
        (authorization.clone() + &protocols(GOLDEN.into()), Some(GOLDEN)),
        (protocols(format!("jwt-auth, jwt.{encoded}")), Some("jwt-auth")),
        (authorization.clone() + &protocols("jwt-auth".into()), None),
        (protocols(format!("jwt.{encoded}")), None),
        (authorization, None),
    ];
    for (headers, expected) in cases {
        let shown = headers.replace(&token, "TOKEN").replace(&encoded, "ENCODED");
        let ready =
            if expected == Some(GOLDEN) { "connection_ready" } else { "handshake_response" };
        let said = upgrade(&server, &headers, &[], ready).await;
        let head = said.split("\r\n\r\n").next().unwrap_or_default().to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{shown}: {said}");
        let selected = head.lines().find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        assert_eq!(selected, expected, "{shown}");
    }
}

/// Sends an upgrade byte by byte, and `frames` with it; answers all that is heard up to `until`.
async fn upgrade(server: &Server, headers: &str, frames: &[u8], until: &str) -> String {
    let port = server.port();
    let mut raw = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(frames);
    raw.write_all(&bytes).await.unwrap();
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&heard).contains(until) {
        let count = tokio::time::timeout(PATIENCE, raw.read(&mut buffer))
            .await
            .unwrap_or_else(|_| panic!("no {until} in {}", String::from_utf8_lossy(&heard)))
            .unwrap();
        assert!(count > 0, "closed early: {}", String::from_utf8_lossy(&heard));
        heard.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn f04_the_python_library_websockets_connects_in_each_of_its_ways() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let script = r#"
import asyncio, json, sys, websockets
from websockets.asyncio.client import connect
url, token = sys.argv[1], sys.argv[2]
async def first(**options):
    async with connect(url, **options) as socket:
        if options.get("subprotocols") == ["golden.v1"] and "additional_headers" not in options:
            await socket.send(json.dumps({"type": "auth", "payload": {"token": token}}))
        for _ in range(5):
            frame = json.loads(await asyncio.wait_for(socket.recv(), 20))
            if frame["type"] in ("connection_ready", "connection_established"):
                return socket.subprotocol, frame["payload"]["auth_method"]
        return socket.subprotocol, frame["type"]
async def main():
    print(await first(subprotocols=["golden.v1"]))
    print(await first(subprotocols=["golden.v1"], additional_headers={"Authorization": "Bearer " + token}))
    print(await first(subprotocols=["golden.v1", "jwt." + token]))
    print(await first(additional_headers={"Authorization": "Bearer " + token}))
asyncio.run(main())
"#;
    let python = std::env::var("GOLDENPATH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let url = server.ws_url();
    let run = tokio::process::Command::new(python).args(["-c", script, &url, &token]).output();
    let output = run.await.expect("python3 with the package websockets");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let expected = "('golden.v1', 'first_message')\n('golden.v1', 'authorization_header')\n\
                    ('golden.v1', 'subprotocol')\n(None, 'authorization_header')\n";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn f08_frames_sent_with_the_upgrade_are_handled_after_it_in_order() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let auth = json!({"type": "auth", "payload": {"token": token}}).to_string();
    let ask = json!({"type": "user_message", "id": "q", "payload": {"content": "hello"}});
    let frames: Vec<u8> = [ask.to_string(), auth].iter().flat_map(|t| masked_text(t)).collect();
    let golden = "Sec-WebSocket-Protocol: golden.v1\r\n";
    let text = upgrade(&server, golden, &frames, "run_completed").await;
    assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
    let at = |word: &str| text.find(word).unwrap_or_else(|| panic!("no {word} in {text}"));
    assert!(at("connection_ready") < at("\"ack\""), "ready before anything else");
}

fn masked_text(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut frame = vec![0x81];
    if length < 126 {
        frame.push(0x80 | length as u8);
    } else {
        frame.push(0x80 | 126);
        frame.extend((length as u16).to_be_bytes());
    }
    let mask = [1u8, 2, 3, 4];
    frame.extend(mask);
    frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[tokio::test]
async fn f09_a_message_sent_before_ready_is_handled_after_it() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let mut socket = Socket::open(&server, &[("Sec-WebSocket-Protocol", GOLDEN)]).await.unwrap();
    socket.say("ping", json!({})).await;
    socket.say("auth", json!({"token": token})).await;
    let early = socket.say("user_message", json!({"content": "early"})).await;
    let frames = socket.collect(&["run_completed"]).await;
    let place = |kind: &str| frames.iter().position(|frame| frame["type"] == kind).unwrap();
    assert!(place("connection_ready") < place("ack"));
    assert!(frames.iter().any(|frame| frame["ref"] == early.as_str() && frame["type"] == "ack"));
}

//= specs/handshake.md#hand-08
//= type=test
//# A client that offers `golden.v1` MUST be told inside the socket why its credential is refused.
#[tokio::test]
async fn f36_a_refused_credential_is_explained_inside_the_socket() {
    let server = Server::start(&["--agents", "bench"], &[("DEMO_MODE", "0")]).await;
    let mut socket = Socket::open(&server, &[("Sec-WebSocket-Protocol", GOLDEN)]).await.unwrap();
    socket.say("auth", json!({"token": "not-a-token"})).await;
    let (frames, close) = socket.rest().await;
    let error = frames.iter().find(|frame| frame["type"] == "error").expect("an error");
    assert_eq!(error["payload"]["code"], "unauthorized");
    let goodbye = frames.last().unwrap();
    assert_eq!(goodbye["type"], "disconnect");
    assert_eq!(goodbye["payload"]["code"], 4401);
    assert_eq!(close.map(|(code, _)| code), Some(4401));
}

#[tokio::test]
async fn f36_an_older_client_without_a_credential_hears_http_401() {
    let server = Server::start(&["--agents", "bench"], &[("DEMO_MODE", "0")]).await;
    let refused = Socket::open(&server, &[]).await.err().expect("refused before the upgrade");
    assert_eq!(refused.status, 401, "{}", refused.body);
    assert!(refused.body.contains("unauthorized"));
}

#[tokio::test]
async fn a_foreign_page_is_refused_before_the_upgrade() {
    let server = Server::bench().await;
    for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
        let headers = [("Origin", origin), ("Sec-WebSocket-Protocol", GOLDEN)];
        let refused = Socket::open(&server, &headers).await.err().expect("a foreign page");
        assert_eq!(refused.status, 403, "{origin}");
    }
    let own = format!("http://127.0.0.1:{}", server.port());
    let headers = [("Origin", own.as_str()), ("Sec-WebSocket-Protocol", GOLDEN)];
    assert!(Socket::open(&server, &headers).await.is_ok(), "its own page is let in");
}

#[tokio::test]
async fn what_is_no_websocket_request_hears_426() {
    let server = Server::bench().await;
    let (status, body) = server.call(reqwest::Method::GET, "/ws", None, None).await;
    assert_eq!(status, 426, "{body}");
}
