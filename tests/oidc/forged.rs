//! A provider that signs whatever it is told to, with the key it names or with another: what a correct one
//! never does.

use crate::browser::Browser;
use crate::parameter;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use goldenpath_tests::server::Server;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

const CLIENT: &str = "goldenpath";
const SECRET: &str = "the secret of a client in a test";
const E2E_KEY: &str = "a key for testers that is long enough to be one";
const KID: &str = "known";

/// Makes a token of the claims of a good one.
type Make = Box<dyn FnOnce(Value) -> String>;

/// A provider in this process; it is gone when dropped.
struct Forger {
    issuer: String,
    key: Arc<Ed25519KeyPair>,
    /// The ID token that whoever brings a code gets next.
    next: Arc<Mutex<String>>,
    _serving: JoinSet<()>,
}

impl Forger {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let key = Arc::new(Ed25519KeyPair::generate().unwrap());
        let next = Arc::new(Mutex::new(String::new()));
        let mut serving = JoinSet::new();
        let (at, public, given) = (issuer.clone(), key.clone(), next.clone());
        serving.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let token = given.lock().unwrap().clone();
                answer(stream, |path| said(path, &at, &public, &token)).await;
            }
        });
        Self { issuer, key, next, _serving: serving }
    }

    /// A server whose users log in here and come back to this address, where `PORT` stands for its own.
    async fn server(&self, redirect: &str) -> Server {
        Server::start_at(&["--agents", "bench"], |port| {
            let redirect = redirect.replace("PORT", &port.to_string());
            [
                ("DEMO_MODE", "0"),
                ("ENVIRONMENT", "test"),
                ("E2E_OAUTH_SIMULATION_KEY", E2E_KEY),
                ("OIDC_ISSUER", &self.issuer),
                ("OIDC_CLIENT_ID", CLIENT),
                ("OIDC_CLIENT_SECRET", SECRET),
                ("OIDC_REDIRECT_URL", &redirect),
                ("OIDC_NAME", "the forger"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
        })
        .await
    }

    /// The claims of a good ID token for a log-in with this nonce.
    fn claims(&self, nonce: &str) -> Value {
        let now = now();
        json!({
            "iss": self.issuer, "sub": "ada", "aud": CLIENT, "nonce": nonce,
            "iat": now, "exp": now + 300, "name": "ada of the forger",
        })
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// What stands at an address.
fn said(path: &str, issuer: &str, key: &Ed25519KeyPair, id_token: &str) -> Value {
    match path {
        "/.well-known/openid-configuration" => json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
        }),
        "/jwks" => {
            let x = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
            let key = json!({ "kty": "OKP", "crv": "Ed25519", "kid": KID, "use": "sig", "x": x });
            json!({ "keys": [key] })
        }
        "/token" => json!({ "access_token": "any", "token_type": "Bearer", "id_token": id_token }),
        other => panic!("{other} was asked for"),
    }
}

/// Reads one request and answers it with JSON.
async fn answer(mut stream: TcpStream, said: impl FnOnce(&str) -> Value) {
    let mut request = Vec::new();
    let (head, wanted) = loop {
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text[..end].lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            break (text[..end].to_owned(), end + 4 + length);
        }
    };
    while request.len() < wanted && stream.read_buf(&mut request).await.unwrap() > 0 {}
    let body = said(head.split(' ').nth(1).unwrap()).to_string();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let answer = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// A token of this header and these claims, without its signature.
fn unsigned(algorithm: &str, claims: &Value) -> String {
    let header = json!({ "alg": algorithm, "kid": KID, "typ": "JWT" });
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}", part(&header), part(claims))
}

fn signed(key: &Ed25519KeyPair, claims: &Value) -> String {
    let unsigned = unsigned("EdDSA", claims);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(unsigned.as_bytes()));
    format!("{unsigned}.{signature}")
}

/// Goes there and comes back: what stands behind the `#`.
async fn come_back(forger: &Forger, server: &Server, make: impl FnOnce(Value) -> String) -> String {
    let mut browser = Browser::new();
    let authorization = browser.depart(&server.url("")).await;
    let claims = forger.claims(&parameter(&authorization, "nonce"));
    *forger.next.lock().unwrap() = make(claims);
    let state = parameter(&authorization, "state");
    let callback = server.url(&format!("/api/auth/oidc/callback?code=any&state={state}"));
    let fragment = browser.arrive(&Url::parse(&callback).unwrap()).await;
    if fragment.starts_with("login=") {
        let (status, body) = browser.pick_up(&server.url(""), &fragment).await;
        assert_eq!((status, &body["user"]["name"]), (StatusCode::OK, &json!("ada of the forger")));
    }
    fragment
}

/// Every log-in through the provider so far: its outcome and the reason.
async fn audited(server: &Server) -> Vec<(String, Value)> {
    let tester = json!({ "email": "t@example.org", "permissions": ["audit:read"] });
    let url = server.url("/auth/e2e/test-auth");
    let request = server.http().post(url).header("x-e2e-bypass-key", E2E_KEY).json(&tester);
    let said: Value = request.send().await.unwrap().json().await.unwrap();
    let token = said["access_token"].as_str().unwrap_or_else(|| panic!("{said}"));
    let path = "/api/admin/audit?limit=500";
    let (status, audit) = server.call(Method::GET, path, Some(token), None).await;
    assert_eq!(status, StatusCode::OK, "{audit}");
    let records = audit["records"].as_array().unwrap().iter();
    let of_oidc = records.filter(|r| r["action"] == "log_in" && r["method"] == "oidc");
    of_oidc
        .flat_map(|r| {
            assert_eq!(r["place"], "127.0.0.1", "{r}");
            let row = (r["outcome"].as_str().unwrap().to_owned(), r["reason"].clone());
            // The same from the same place in a row is one row that is counted.
            vec![row; usize::try_from(r["times"].as_u64().unwrap()).unwrap()]
        })
        .collect()
}

/// AUTH-68, AUTH-76: each thing an ID token can be wrong in lets nobody in, is a row of the audit log, and
/// is named in the log of the server.
#[tokio::test]
async fn an_id_token_that_is_wrong_in_one_thing_lets_nobody_in_and_is_recorded() {
    let forger = Forger::start().await;
    let server = forger.server("http://127.0.0.1:PORT/api/auth/oidc/callback").await;
    let own = forger.key.clone();
    let stranger = Ed25519KeyPair::generate().unwrap();
    let with = |name: &'static str, value: Value| {
        let own = own.clone();
        let changed = move |mut claims: Value| {
            claims[name] = value;
            signed(&own, &claims)
        };
        Box::new(changed) as Make
    };
    let public = own.public_key().as_ref().to_vec();
    let changed_later = {
        let own = own.clone();
        move |mut claims: Value| {
            let good = signed(&own, &claims);
            claims["sub"] = json!("root");
            let signature = good.rsplit_once('.').unwrap().1;
            format!("{}.{signature}", unsigned("EdDSA", &claims))
        }
    };
    let by_public_key = move |claims: Value| {
        let unsigned = unsigned("HS256", &claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), unsigned.as_bytes());
        format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let slash = format!("{}/", forger.issuer);
    let hostile: [(&str, &str, Make); 13] = [
        ("another audience", "Invalid audiences", with("aud", json!("another"))),
        ("an audience beside ours", "Invalid audiences", with("aud", json!([CLIENT, "another"]))),
        ("no audience", "Invalid audiences", with("aud", json!([]))),
        ("over for two minutes", "Expired", with("exp", json!(now() - 120))),
        ("over since 1970", "Expired", with("exp", json!(1))),
        ("another issuer", "Invalid issuer", with("iss", json!("https://login.evil.example"))),
        ("almost the issuer", "Invalid issuer", with("iss", json!(slash))),
        ("another nonce", "Invalid nonce", with("nonce", json!("the-nonce-of-another"))),
        ("no nonce", "Invalid nonce", with("nonce", Value::Null)),
        ("the key of a stranger under the known name", "Signature verification failed", {
            Box::new(move |claims| signed(&stranger, &claims))
        }),
        ("changed after it was signed", "Signature verification failed", Box::new(changed_later)),
        ("a public key taken for a secret", "Signature verification failed", {
            Box::new(by_public_key)
        }),
        ("not signed at all", "Signature verification failed", {
            Box::new(|claims| format!("{}.", unsigned("none", &claims)))
        }),
    ];
    let tried = hostile.len();
    for (what, why, make) in hostile {
        let before = server.log().len();
        assert_eq!(come_back(&forger, &server, make).await, "login-failed=unauthorized", "{what}");
        let log = server.log().split_off(before);
        assert!(log.contains("an ID token was refused") && log.contains(why), "{what}: {log}");
    }
    let refused = ("refused".to_owned(), json!("unauthorized"));
    assert_eq!(audited(&server).await, vec![refused; tried]);
    // The same without anything wrong is let in: each was refused for what it was wrong in.
    let good = come_back(&forger, &server, |claims| signed(&own, &claims)).await;
    assert!(good.starts_with("login="), "{good}");
    let all = audited(&server).await;
    let accepted = all.iter().filter(|(outcome, _)| outcome == "accepted").count();
    assert_eq!((all.len(), accepted), (tried + 1, 1));
}

#[tokio::test]
async fn the_cookie_of_a_log_in_travels_by_tls_alone_where_browsers_come_back_by_it() {
    let forger = Forger::start().await;
    let places = [
        ("https://chat.example/api/auth/oidc/callback", true),
        ("http://localhost:PORT/api/auth/oidc/callback", false),
    ];
    for (redirect, tls) in places {
        let server = forger.server(redirect).await;
        let mut browser = Browser::new();
        browser.depart(&server.url("")).await;
        let [cookie] = &browser.given[..] else { panic!("{:?}", browser.given) };
        let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
        let mut wanted = vec!["Path=/api/auth/oidc", "Max-Age=600", "HttpOnly", "SameSite=Lax"];
        wanted.extend(tls.then_some("Secure"));
        assert_eq!(attributes, wanted, "{redirect}");
    }
}
