//! The provider as a process of its own.

use crate::browser::Browser;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use goldenpath_tests::server::{PATIENCE, Server};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use url::{Url, form_urlencoded};

/// What signs the ID tokens of a client.
pub(crate) const ALGORITHMS: [&str; 2] = ["RS256", "ES256"];

/// A running provider; it is killed when dropped.
pub(crate) struct Provider {
    child: Child,
    port: u16,
}

/// Where `tests/oidc/install` put it: `GOLDENPATH_OIDC`, or `oidc` in the target folder.
fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("GOLDENPATH_OIDC") {
        return PathBuf::from(folder);
    }
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).expect("tests run from target/PROFILE/deps").join("oidc")
}

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let folder = folder();
        let library = folder.join("node_modules/oidc-provider");
        assert!(library.exists(), "{} is missing: run tests/oidc/install", library.display());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc/provider.js");
        let mut child = Command::new("node")
            .arg(script)
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node is there");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let line = first.expect("the provider starts in time").unwrap().expect("it says its port");
        let said: Value = serde_json::from_str(&line).unwrap();
        Self { child, port: u16::try_from(said["port"].as_u64().unwrap()).unwrap() }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A server whose users may log in here, with ID tokens signed like this.
    pub(crate) async fn server(&self, algorithm: &str) -> Server {
        let server = self.server_unknown_here(algorithm).await;
        let redirect = server.url("/api/auth/oidc/callback");
        self.control(&format!("redirect?to={redirect}")).await;
        server
    }

    /// The same, without the provider being told of it.
    pub(crate) async fn server_unknown_here(&self, algorithm: &str) -> Server {
        let (issuer, algorithm) = (self.issuer(), algorithm.to_owned());
        Server::start_at(&["--agents", "bench"], |port| {
            let redirect = format!("http://127.0.0.1:{port}/api/auth/oidc/callback");
            [
                ("DEMO_MODE", "0"),
                ("OIDC_ISSUER", &issuer),
                ("OIDC_CLIENT_ID", &format!("goldenpath-{algorithm}")),
                ("OIDC_CLIENT_SECRET", "the secret of a client in a test"),
                ("OIDC_REDIRECT_URL", &redirect),
                ("OIDC_KEYS_PAUSE", "1"),
                ("OIDC_NAME", "the test provider"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec()
        })
        .await
    }

    /// A server that trusts the tokens of this provider, and fetches its keys so often at most (in
    /// seconds). `PORT` in a setting stands for the server's own address.
    pub(crate) async fn trusted_by(&self, pause: &str, more: &[(&str, &str)]) -> Server {
        let trusted = format!("{} https://chat.example/api", self.issuer());
        Server::start_at(&["--agents", "bench"], |port| {
            let own = format!("http://127.0.0.1:{port}");
            [("JWT_TRUSTED_ISSUERS", trusted.as_str()), ("OIDC_KEYS_PAUSE", pause)]
                .iter()
                .chain(more)
                .map(|(name, value)| ((*name).to_owned(), value.replace("PORT", &own)))
                .collect()
        })
        .await
    }

    /// An access token for this audience, of a client that acts for itself: its name is the subject,
    /// and begins with the algorithm, if that is not RS256.
    pub(crate) async fn token(&self, client: &str, audience: &str) -> String {
        self.control(&format!("client?name={}", escaped(client))).await;
        let form = [("grant_type", "client_credentials"), ("resource", audience)];
        self.exchange(client, &form, "access_token").await
    }

    /// The ID token of a user, as the client gets it that the user logged in to.
    pub(crate) async fn id_token(&self, user: &str) -> String {
        let verifier =
            "a verifier that nobody else knows, of 43 characters".replace([' ', ','], "-");
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let redirect = "http://127.0.0.1:9/elsewhere";
        self.control(&format!("redirect?to={redirect}")).await;
        let url = format!(
            "{}/auth?client_id=goldenpath-RS256&response_type=code&scope=openid&state=s&nonce=n\
             &redirect_uri={redirect}&code_challenge={challenge}&code_challenge_method=S256",
            self.issuer()
        );
        let url = Url::parse(&url).unwrap();
        let callback = Browser::new().log_in_and_consent(url, user).await;
        let code = callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", redirect),
            ("code_verifier", &verifier),
        ];
        self.exchange("goldenpath-RS256", &form, "id_token").await
    }

    async fn exchange(&self, client: &str, form: &[(&str, &str)], wanted: &str) -> String {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let secret = "the secret of a client in a test";
        let request = reqwest::Client::new()
            .post(format!("{}/token", self.issuer()))
            .basic_auth(escaped(client), Some(escaped(secret)))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer[wanted].as_str().unwrap_or_else(|| panic!("{wanted} in {answer}")).to_owned()
    }

    /// Does something no provider offers its clients.
    pub(crate) async fn control(&self, what: &str) -> Value {
        let url = format!("{}/control/{what}", self.issuer());
        let answer = reqwest::get(url).await.unwrap();
        assert!(answer.status().is_success());
        answer.json().await.unwrap()
    }

    /// The provider is gone.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }
}
