//! A log-in through a provider leaves none of its secrets where people look.

use crate::provider::Provider;
use crate::{Browser, parameter};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use goldenpath_tests::secrets::{Secrets, files};
use goldenpath_tests::server::Server;
use reqwest::StatusCode;
use url::Url;

const CLIENT_SECRET: &str = "the secret of a client in a test";
const WRONG_SECRET: &str = "a secret the provider never heard of";

/// A log-in up to where the server takes over: what was secret about it, and the way back.
async fn come_back(server: &Server, browser: &mut Browser, secrets: &mut Secrets) -> Url {
    let authorization = browser.depart(&server.url("")).await;
    secrets.add("state", parameter(&authorization, "state"));
    let own = browser.given.iter().filter_map(|cookie| cookie.strip_prefix("goldenpath-login="));
    for value in own.filter_map(|cookie| cookie.split(';').next()) {
        secrets.add("cookie of a log-in", value);
    }
    let callback = browser.log_in_and_consent(authorization, "ada").await;
    secrets.add("code of the provider", parameter(&callback, "code"));
    callback
}

/// AUTH-55.
#[tokio::test]
async fn no_secret_of_a_log_in_through_a_provider_is_found_in_a_log_an_error_or_a_file() {
    let provider = Provider::start().await;
    let mut secrets = Secrets::default();
    for secret in [CLIENT_SECRET, WRONG_SECRET] {
        secrets.add("client secret", secret);
        // As it is sent: in a form, and in a header.
        let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let header = STANDARD.encode(format!("goldenpath-RS256:{form}"));
        secrets.add("client secret in a form", form);
        secrets.add("client secret in a header", header);
    }
    let trace = ("LOG_LEVEL", "trace");
    let good = provider.server_with("RS256", &[trace]).await;
    let base = good.url("");
    let mut answers = Vec::new();

    let mut browser = Browser::new();
    let callback = come_back(&good, &mut browser, &mut secrets).await;
    let fragment = browser.arrive(&callback).await;
    secrets.add("code of the page", fragment.strip_prefix("login=").unwrap());
    let (status, body) = browser.pick_up(&base, &fragment).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    secrets.pair(&body);
    secrets.add("device", body["device"].as_str().unwrap());
    // Each once more, where it is refused.
    answers.push(browser.arrive(&callback).await);
    let (status, body) = browser.pick_up(&base, &fragment).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    answers.push(body.to_string());
    // A code of another log-in, which the provider refuses.
    let mut first = Browser::new();
    let stolen = come_back(&good, &mut first, &mut secrets).await;
    let mut second = Browser::new();
    let state = parameter(&second.depart(&base).await, "state");
    answers.push(second.arrive(&crate::with(&stolen, "state", &state)).await);
    assert!(good.log().contains("the provider refused a code"));

    // A server whose secret is wrong.
    let bad = provider.server_with("RS256", &[trace, ("OIDC_CLIENT_SECRET", WRONG_SECRET)]).await;
    let mut browser = Browser::new();
    let callback = come_back(&bad, &mut browser, &mut secrets).await;
    answers.push(browser.arrive(&callback).await);
    assert!(answers.last().unwrap().starts_with("login-failed="), "{answers:?}");

    for answer in &answers {
        assert_eq!(secrets.found_in(answer.as_bytes()), [""; 0], "{answer}");
    }
    for mut server in [good, bad] {
        server.terminate().await;
        let log = server.log();
        assert!(log.contains("serving") && log.contains("stopped"), "{log}");
        assert_eq!(secrets.found_in(log.as_bytes()), [""; 0]);
        let files = files(&server.data());
        assert!(files.iter().any(|file| file.ends_with("goldenpath.db")), "{files:?}");
        for file in files {
            let bytes = std::fs::read(&file).unwrap();
            assert_eq!(secrets.found_in(&bytes), [""; 0], "{}", file.display());
        }
    }
}
