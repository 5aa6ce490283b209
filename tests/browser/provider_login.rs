//! The way through another provider, as a person goes it: a button, the provider's pages, and back.

use crate::browser::tell;
use crate::provider::Provider;

#[tokio::test]
async fn a_person_logs_in_with_the_button_of_the_provider() {
    let provider = Provider::start().await;
    let server = provider.server("RS256").await;
    tell(server, |browser, _| async move {
        browser.wait_for("document.getElementById('provider-login').checkVisibility()").await;
        assert_eq!(browser.text("#provider-login").await, "Log in with the test provider");
        browser.click("#provider-login").await;
        browser.wait_for("document.querySelector('input[name=login]') !== null").await;
        browser
            .get(
                "(() => { document.querySelector('input[name=login]').value = 'ada';
                   document.querySelector('input[name=password]').value = 'any';
                   document.querySelector('form').submit(); return true; })()",
            )
            .await;
        browser
            .wait_for("document.querySelector('input[name=prompt][value=consent]') !== null")
            .await;
        browser.click("button[type=submit]").await;
        browser.wait_for_state("ready").await;
        assert_eq!(browser.text("#user-name").await, "ada of the provider");
        let address = browser.get("location.href + ' ' + document.referrer").await;
        assert!(!address.as_str().unwrap().contains("login="), "{address}");
        // The code was used up: coming back to its address does not sign anybody in.
        browser.get("(sessionStorage.clear(), localStorage.clear(), true)").await;
        browser.get("(location.hash = '#login=' + 'a'.repeat(64), location.reload(), true)").await;
        browser.wait_for("document.getElementById('welcome-alert').textContent !== ''").await;
        let said = browser.text("#welcome-alert").await;
        assert_eq!(said, "Logging in did not work. Please try again.");
    })
    .await;
    drop(provider);
}
