//! A demo visitor in several windows, and after all of them were closed.

use crate::browser::{Browser, tell, with_page};
use goldenpath_tests::server::Server;
use serde_json::json;

/// Who this window is, as the server knows it.
async fn user(browser: &Browser) -> serde_json::Value {
    browser
        .run(
            "const { token } = JSON.parse(localStorage.getItem('goldenpath.login'));
             return (await (await fetch('/api/auth/me', { headers: { Authorization: `Bearer ${token}` } })).json());",
        )
        .await
}

#[tokio::test]
async fn every_window_of_a_visitor_shows_the_same_live_and_closing_them_loses_nothing() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        browser.ask("What can you do?").await;
        browser.wait_for_ends(1).await;
        let first = browser.open_window().await;
        browser.wait_for_state("ready").await;
        assert_eq!(
            browser.get("document.getElementById('welcome').hidden").await,
            json!(true),
            "nobody is asked again"
        );
        browser.click(".thread-link").await;
        browser.wait_for_ends(1).await;
        browser.get("document.getElementById('question').focus()").await;
        browser.ask("Analyze my AI costs").await;
        browser.wait_for("document.querySelectorAll('.turn').length === 2").await;
        let second = browser.go_to(first).await;
        assert_eq!(
            browser.wait_for_ends(2).await,
            ["completed", "completed"],
            "the other window sees it"
        );
        browser.close_window(second).await;
        let before = user(&browser).await;
        assert_eq!(before["demo"], true, "{before}");

        // The last window of the page is closed; what is left shows nothing of it.
        let last = browser.open_window().await;
        let third = browser.go_to(last).await;
        browser.close_window(third).await;
        browser.reload().await;
        browser.wait_for_state("ready").await;
        browser.wait_for("document.querySelectorAll('.thread-link').length === 1").await;
        assert_eq!(user(&browser).await["id"], before["id"]);
    })
    .await;
}

#[tokio::test]
async fn signing_out_in_one_window_is_signing_out_in_all() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        let first = browser.open_window().await;
        browser.wait_for_state("ready").await;
        browser.click("#sign-out").await;
        browser.wait_for("!document.getElementById('welcome').hidden").await;
        assert_eq!(browser.get("localStorage.getItem('goldenpath.login')").await, json!(null));
        browser.go_to(first).await;
        browser.wait_for("!document.getElementById('welcome').hidden && document.getElementById('welcome-alert').textContent.length > 5").await;
        browser.enter_demo().await;
    })
    .await;
}

/// The second use of a refresh token ends its log-in: the windows must take turns.
#[tokio::test]
async fn windows_that_renew_one_log_in_do_not_end_it() {
    let server = Server::start(&[], &[("GOLDENPATH_TOKEN_LIFETIME", "20")]).await;
    tell(server, |browser, _| async move {
        browser.enter_demo().await;
        let token = "JSON.parse(localStorage.getItem('goldenpath.login')).token";
        let before = browser.get(token).await;
        let first = browser.open_window().await;
        browser.wait_for_state("ready").await;
        browser.wait_for(&format!("{token} !== {before}")).await;
        let between = browser.get(token).await;
        browser.wait_for(&format!("{token} !== {between}")).await;
        for window in [Some(first), None] {
            if let Some(window) = window {
                browser.go_to(window).await;
            }
            browser.wait_for_state("ready").await;
            assert_eq!(browser.get("document.getElementById('welcome').hidden").await, json!(true));
        }
    })
    .await;
}
