//! What the provider issues, and servers that trust it.

use crate::browser::Browser;
use crate::provider::Provider;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use goldenpath_tests::server::Server;
use serde_json::Value;
use url::{Url, form_urlencoded};

impl Provider {
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
}

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
