//! The files a deployment begins with (`adapters/server/deploy`): nginx runs with that very file, the server
//! with the settings of that very unit.

use crate::nginx::{ALONE, Process, around};
use crate::tunnel::Tunnel;
use crate::{ask, is_golden};
use goldenpath_core::wire::{AuthMethod, Secret};
use goldenpath_tests::server::{PATIENCE, Server, binary};
use goldenpath_tests::socket::{GOLDEN, RUN_ENDS, Socket};
use goldenpath_tungstenite::Credentials;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// What the environment file beside the unit holds.
const OWN: [(&str, &str); 2] = [
    ("CORS_ORIGINS", "https://chat.example.org"),
    ("JWT_SECRET_KEY", "k3bNfW0Yt7vQh2ZsLx9RmUe5JpGd8CaToI1yXwHq6VEc4nBSMzKrPjFgDlOi"),
];

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../adapters/server/deploy")
}

fn file(name: &str) -> String {
    std::fs::read_to_string(deploy().join(name)).unwrap()
}

/// What a user changes, and nothing else: the line that ends with this comment gets another value.
fn changed(text: &str, changes: &[(&str, &str, &str)]) -> String {
    let places =
        text.lines().filter(|line| line.contains("; # here: ") || line.contains("  # here: "));
    assert_eq!(places.count(), changes.len(), "every place is changed by the test");
    changes.iter().fold(text.to_owned(), |text, (directive, written, other)| {
        let from = format!("{directive} {written};");
        let lines: Vec<&str> = text.lines().filter(|line| line.contains(&from)).collect();
        assert!(matches!(lines[..], [line] if line.contains("# here: ")), "{from}: {lines:?}");
        text.replace(&from, &format!("{directive} {other};"))
    })
}

/// nginx with the file of the deployment, speaking TLS before what listens on `upstream`.
struct Deployed {
    nginx: Process,
    tunnel: Tunnel,
}

impl Deployed {
    async fn before(upstream: u16) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let nginx = Process::start(2, |folder, ports| {
            std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
            std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
            let path = |name: &str| folder.join(name).display().to_string();
            let [upstream, plain, secure] =
                [upstream, ports[0], ports[1]].map(|port| format!("127.0.0.1:{port}"));
            let site = changed(
                &file("nginx.conf"),
                &[
                    ("server", "127.0.0.1:8000", &upstream),
                    ("listen", "80", &plain),
                    ("listen", "443 ssl", &format!("{secure} ssl")),
                    ("ssl_certificate", "/etc/goldenpath/cert.pem", &path("cert.pem")),
                    ("ssl_certificate_key", "/etc/goldenpath/key.pem", &path("key.pem")),
                    (
                        "access_log",
                        "/var/log/nginx/goldenpath.log goldenpath",
                        &format!("{} goldenpath", path("access.log")),
                    ),
                ],
            );
            std::fs::write(folder.join("goldenpath.conf"), site).unwrap();
            around(ALONE, "include goldenpath.conf;")
        })
        .await;
        let tunnel = Tunnel::to(nginx.ports[1], made.cert.der()).await;
        Self { nginx, tunnel }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.tunnel.port)
    }
}

/// The unit's settings, and those of the environment file beside it.
fn settings(unit: &str) -> Vec<(&str, &str)> {
    let set = unit.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
    set.chain(OWN).collect()
}

#[tokio::test]
async fn f06_the_golden_path_works_behind_the_nginx_of_the_deployment() {
    let unit = file("goldenpath.service");
    let server = Server::start(&[], &settings(&unit)).await;
    let deployed = Deployed::before(server.port()).await;
    let (token, _) = server.register("ada@example.org").await;
    let http = Client::new();

    // A file larger than what nginx takes unless told otherwise.
    let mut usage = "TIMESTAMP,ContextTokens,GeneratedTokens\n".to_owned();
    for n in 0..60_000 {
        usage += &format!(
            "2023-11-16 {:02}:{:02}:{:02}.0000000,4808,10\n",
            n / 3600,
            n / 60 % 60,
            n % 60
        );
    }
    assert!(usage.len() > 2 << 20, "{}", usage.len());
    let import = deployed.url("/api/usage/import?format=azure-trace&model=gpt-4o");
    let answer = http.post(import).bearer_auth(&token).body(usage).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());

    for (credentials, by) in [
        (Credentials::Header(Secret(token.clone())), AuthMethod::AuthorizationHeader),
        (Credentials::FirstFrame(Secret(token.clone())), AuthMethod::FirstMessage),
    ] {
        let told = ask(deployed.tunnel.port, credentials, "Analyze my AI costs", PATIENCE).await;
        is_golden(&told);
        assert_eq!(told.methods, [by]);
    }
    let answer = http.post(deployed.url("/api/auth/ticket")).bearer_auth(&token).send();
    let body: Value = answer.await.unwrap().json().await.unwrap();
    let ticket = body["ticket"].as_str().unwrap();
    let ws = deployed.url("/ws").replace("http:", "ws:");
    let in_protocol = format!("{GOLDEN}, jwt.{token}");
    for (url, offer, by) in [
        (ws.clone(), in_protocol.as_str(), "subprotocol"),
        (format!("{ws}?ticket={ticket}"), GOLDEN, "ticket"),
    ] {
        let offer = [("Sec-WebSocket-Protocol", offer)];
        let mut socket = Socket::try_open(&url, &offer).await.unwrap();
        assert_eq!(socket.subprotocol.as_deref(), Some(GOLDEN));
        let ready = socket.frame().await;
        assert_eq!(
            (&ready["type"], &ready["payload"]["auth_method"]),
            (&json!("connection_ready"), &json!(by))
        );
        socket.ask(by, "Analyze my AI costs", None).await;
        assert_eq!(socket.collect(&RUN_ENDS).await.last().unwrap()["type"], "run_completed");
    }

    // Browsers are told to stay with TLS: the server believes this nginx about it.
    let page = http.get(deployed.url("/")).send().await.unwrap();
    assert!(page.headers().contains_key("strict-transport-security"), "{:?}", page.headers());
    let noted = std::fs::read_to_string(deployed.nginx.folder.path().join("access.log")).unwrap();
    assert!(noted.contains("\"GET /ws\" 101 "), "{noted}");
    assert!(!noted.contains(ticket) && !noted.contains(&token), "no credential is noted");
    assert_eq!(deployed.nginx.log(), "", "nginx complains about nothing");
}

#[tokio::test]
async fn an_event_stream_is_passed_on_as_it_is_said_by_the_nginx_of_the_deployment() {
    let server = Server::bench().await;
    let deployed = Deployed::before(server.port()).await;
    let (token, _) = server.demo().await;
    let url = deployed.url("/api/events/stream");
    let request = Client::new().get(url).bearer_auth(&token).header("Accept", "text/event-stream");
    let heard = async {
        let mut stream = request.send().await.unwrap();
        assert_eq!(stream.status(), StatusCode::OK);
        let question = Some(json!({ "content": "hello" }));
        let asked = server.call(Method::POST, "/api/messages", Some(&token), question).await;
        assert!(asked.0.is_success(), "{asked:?}");
        let mut heard = String::new();
        while !heard.contains("run_completed") {
            let chunk = stream.chunk().await.unwrap().expect("the stream is open");
            heard += &String::from_utf8_lossy(&chunk);
        }
    };
    // The stream stays open: what waits to be more would wait for ever.
    let heard = tokio::time::timeout(Duration::from_secs(15), heard).await;
    heard.expect("nothing is held back");
}

/// What reaches a server behind it, byte by byte.
#[tokio::test]
async fn f06_the_nginx_of_the_deployment_forces_no_header_and_takes_none_away() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let deployed = Deployed::before(listener.local_addr().unwrap().port()).await;
    let passed = async |request: &str| {
        let said = async {
            let mut client =
                tokio::net::TcpStream::connect(("127.0.0.1", deployed.tunnel.port)).await.unwrap();
            client.write_all(request.as_bytes()).await.unwrap();
            let (mut upstream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(upstream.read_u8().await.unwrap());
            }
            drop(upstream);
            String::from_utf8(head).unwrap()
        };
        let head = tokio::time::timeout(PATIENCE, said).await.expect("it is passed on");
        let (line, rest) = head.split_once("\r\n").unwrap();
        let headers = rest.lines().filter_map(|line| line.split_once(": "));
        let headers: BTreeMap<String, String> =
            headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        (line.to_owned(), headers)
    };
    let forged =
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: ftp\r\nForwarded: for=192.0.2.1\r\n";
    let credentials =
        "Authorization: Bearer t.o.k\r\nSec-WebSocket-Protocol: golden.v1, jwt.t.o.k\r\n";
    let expected = |more: &[(&str, &str)]| {
        let mut all = BTreeMap::from(
            [
                ("host", "chat.example.org"),
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-proto", "https"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        all.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all
    };
    let authorization = ("authorization", "Bearer t.o.k");
    let protocol = ("sec-websocket-protocol", "golden.v1, jwt.t.o.k");

    let head = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: chat.example.org\r\n{credentials}{forged}{more}\r\n")
    };
    let ordinary = expected(&[authorization, protocol]);
    for (path, more) in [
        ("/api/threads?limit=1", ""),
        ("/api/threads?limit=1", "Connection: keep-alive, Upgrade\r\n"),
        // Whoever speaks HTTP/2 is not handed through to a second request behind our back.
        ("/api/threads?limit=1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"),
        ("/ws", ""),
        ("/api/events/stream", ""),
    ] {
        let (line, headers) = passed(&head(path, more)).await;
        assert_eq!(line, format!("GET {path} HTTP/1.1"));
        assert_eq!(headers, ordinary, "{path} {more}");
    }
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let upgrade = format!(
        "Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    let (line, headers) = passed(&head("/ws?ticket=abc", &upgrade)).await;
    assert_eq!(line, "GET /ws?ticket=abc HTTP/1.1");
    let upgraded = [
        authorization,
        protocol,
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", key),
    ];
    assert_eq!(headers, expected(&upgraded));

    let plain = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = format!("http://127.0.0.1:{}/x?y=1", deployed.nginx.ports[0]);
    let answer = plain.get(url).header("Host", "chat.example.org").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(answer.headers()["location"], "https://chat.example.org/x?y=1");
}

/// Names that nginx gives a value itself, as far as the file uses them.
const BUILT_IN: [&str; 9] = [
    "body_bytes_sent",
    "host",
    "remote_addr",
    "request_method",
    "request_time",
    "request_uri",
    "scheme",
    "status",
    "time_iso8601",
];

/// The text without its comments.
fn directives(text: &str) -> String {
    let bare =
        |line: &str| line.split_once('#').map_or(line, |(before, _)| before).to_owned() + "\n";
    text.lines().map(bare).collect()
}

fn names_after(mark: char, text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let after = text.split(mark).skip(1);
    after.map(|rest| rest.split(|c| !is_name(c)).next().unwrap()).collect()
}

/// F06: what broke the upgrade of the replaced system was a placeholder nobody filled in, and a header
/// on every request.
#[tokio::test]
async fn f06_nothing_in_the_files_of_the_deployment_is_a_placeholder() {
    let listed =
        Command::new(binary()).args(["check", "--list"]).env_clear().output().await.unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let known: BTreeSet<&str> = listed.lines().filter(|line| !line.starts_with(' ')).collect();
    assert!(known.contains("TRUSTED_PROXIES") && known.len() > 40, "{known:?}");
    let mut read = 0;
    for entry in std::fs::read_dir(deploy()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        for sign in ["${", "{{", "}}", "CHANGEME", "CHANGE_ME", "TODO", "YOUR_", "your-", "…"] {
            assert!(!text.contains(sign), "{name} has {sign}");
        }
        let angle =
            text.split('<').skip(1).find(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
        assert_eq!(angle, None, "{name} has a placeholder in angles");
        let is_word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        for word in text.split(|c| !is_word(c)) {
            let ours = [
                "CORS_",
                "DEMO_",
                "E2E_",
                "GOLDENPATH_",
                "JWT_",
                "OIDC_",
                "TLS_",
                "TRUSTED_",
                "WEBSOCKET_",
            ];
            let is_ours = ours.iter().any(|prefix| word.starts_with(prefix));
            assert!(!is_ours || known.contains(word), "{name}: no setting is called {word}");
        }
        read += 1;
    }
    assert_eq!(read, 3, "nginx, the unit, and how to use them");

    let nginx = directives(&file("nginx.conf"));
    let defined: BTreeSet<&str> = nginx
        .lines()
        .filter_map(|line| line.trim().strip_prefix("map "))
        .flat_map(|map| map.split('$').nth(2).and_then(|made| made.split(' ').next()))
        .collect();
    assert_eq!(defined.len(), 2);
    for used in names_after('$', &nginx) {
        let is_known =
            BUILT_IN.contains(&used) || defined.contains(used) || used.starts_with("http_");
        assert!(is_known || used == "uri", "nothing gives ${used} a value");
    }
    let set: BTreeMap<&str, &str> = nginx
        .lines()
        .filter_map(|line| {
            line.trim().strip_prefix("proxy_set_header ")?.strip_suffix(';')?.split_once(' ')
        })
        .collect();
    assert_eq!(set["Connection"], "$goldenpath_connection");
    assert_eq!(set["Upgrade"], "$goldenpath_upgrade");
    let sets = nginx.matches("proxy_set_header").count();
    assert_eq!(sets, set.len(), "each header is set once, none in a location");
}

/// How long things take fits together: nginx, the unit, the server.
#[tokio::test]
async fn the_files_of_the_deployment_agree_with_the_server_about_time() {
    let listed =
        Command::new(binary()).args(["check", "--list"]).env_clear().output().await.unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let unit = file("goldenpath.service");
    let settings: BTreeMap<&str, &str> = settings(&unit).into_iter().collect();
    let setting = |name: &str| -> u64 {
        let default = || {
            let about = listed.split(&format!("{name}\n")).nth(1).unwrap();
            about.split("Default: ").nth(1).unwrap().split('.').next().unwrap()
        };
        settings.get(name).copied().unwrap_or_else(default).parse().unwrap()
    };
    let nginx = directives(&file("nginx.conf"));
    let seconds = |text: &str, name: &str, after: &str| -> u64 {
        let value = text.split(name).nth(1).unwrap_or_else(|| panic!("no {name}"));
        value.split(after).next().unwrap().trim().parse().unwrap()
    };
    let idle = seconds(&nginx, "proxy_read_timeout", "s;");
    assert_eq!(idle, setting("GOLDENPATH_PROXY_TIMEOUT"), "the server checks its chain against it");
    assert!(idle > setting("WEBSOCKET_HEARTBEAT_TIMEOUT"));
    assert!(seconds(&nginx, "keepalive_timeout", "s;") < setting("GOLDENPATH_HEADER_TIMEOUT"));
    let stop = seconds(&unit, "\nTimeoutStopSec=", "\n");
    assert!(stop >= setting("GOLDENPATH_DRAIN_DEADLINE") + 5, "killed while it drains: {stop}");
    let gigabytes = seconds(&nginx, "client_max_body_size", "g;");
    assert_eq!(gigabytes << 30, setting("GOLDENPATH_IMPORT_MAX_BYTES"));
    let files = seconds(&unit, "\nLimitNOFILE=", "\n");
    assert!(files > 2 * setting("GOLDENPATH_MAX_CONNECTIONS"));
}

/// Settings that are wrong end the start with a code that systemd does not answer with another start.
#[tokio::test]
async fn the_unit_of_the_deployment_starts_what_is_set_right_and_gives_up_what_is_not() {
    let unit = file("goldenpath.service");
    let folder = tempfile::tempdir().unwrap();
    let check = async |settings: &[(&str, &str)]| {
        let mut command = Command::new(binary());
        command.arg("check").env_clear().envs(settings.iter().copied()).current_dir(folder.path());
        command.env("GOLDENPATH_DATA", folder.path()).output().await.unwrap()
    };
    let right = check(&settings(&unit)).await;
    assert!(right.status.success(), "{right:?}");
    let nothing: Vec<_> =
        settings(&unit).into_iter().filter(|setting| !OWN.contains(setting)).collect();
    let wrong = check(&nothing).await;
    let prevented =
        unit.split("\nRestartPreventExitStatus=").nth(1).unwrap().lines().next().unwrap();
    assert_eq!(wrong.status.code().map(|code| code.to_string()).as_deref(), Some(prevented));
    let said = String::from_utf8_lossy(&[wrong.stdout, wrong.stderr].concat()).into_owned();
    for (name, _) in OWN {
        assert!(said.contains(name), "{said}");
    }

    // What systemd itself says of it, where it is installed.
    let copy = folder.path().join("goldenpath.service");
    let program = binary().canonicalize().unwrap().display().to_string();
    assert_eq!(unit.matches("/usr/local/bin/goldenpath").count(), 1);
    std::fs::write(&copy, unit.replace("/usr/local/bin/goldenpath", &program)).unwrap();
    if let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg(&copy).output().await {
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        let about_it: Vec<&str> = said.lines().filter(|line| line.contains("goldenpath")).collect();
        assert!(verified.status.success() && about_it.is_empty(), "{said}");
    }
}
