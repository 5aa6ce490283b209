//! Leaving and coming back: reload, stop, a killed server.

use crate::browser::{Browser, with_page, with_scripted_page};
use fantoccini::key::Key;
use serde_json::json;

/// The data agent is in the middle of a tool.
const AT_WORK: &str = "document.querySelector('.run[data-status=running] .lane[data-agent=data] .tool[data-status=running]')";

#[tokio::test]
async fn a_reload_in_the_middle_of_a_run_restores_everything() {
    with_scripted_page(|browser, _| async move {
        browser.enter_demo().await;
        browser.ask("data 1 slow; report 1 slow").await;
        browser.wait_for(AT_WORK).await;
        let before = browser.shown_of_runs().await;
        browser.reload().await;
        browser.wait_for("document.querySelector('.run[data-status=running] .lane[data-agent=triage][data-status=completed]')").await;
        browser.wait_for("document.querySelector('.lane[data-agent=data] .tool')").await;
        let after = browser.shown_of_runs().await;
        let (before, after) = (before.as_array().unwrap(), after.as_array().unwrap());
        assert!(before.len() > 5 && after.starts_with(before), "{before:?} {after:?}");

        // And it goes on living: the rest comes over the new connection.
        assert_eq!(browser.wait_for_ends(1).await, ["completed"]);
        assert_eq!(browser.text(".report").await, "Asked: data 1 slow; report 1 slow");
        assert_eq!(browser.shown_of_runs().await, browser.log_of_runs().await, "the view equals the log");
        assert_eq!(browser.get("document.querySelectorAll('.turn').length").await, json!(1));
        assert_eq!(browser.complaints().await, Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn the_stop_button_ends_the_work_and_a_waiting_question_is_taken_back_f50() {
    with_scripted_page(|browser, _| async move {
        browser.enter_demo().await;
        browser.ask("data 1 hang").await;
        browser.wait_for(AT_WORK).await;
        browser.ask("a second one").await;
        browser.wait_for("document.querySelectorAll('.run')[1]?.dataset.status === 'queued'").await;
        assert!(browser.get("document.querySelectorAll('.run')[1].querySelector('.run-words').textContent").await.as_str().unwrap().starts_with("Waiting for its turn"));
        browser.click(".run[data-status=queued] .stop").await;
        browser.wait_for("document.querySelectorAll('.run')[1].dataset.status === 'cancelled'").await;
        assert_eq!(browser.get("document.querySelector('.run').dataset.status").await, json!("running"), "the other goes on");

        // With the keyboard: the button goes, the focus stays at the run.
        browser.get("document.querySelector('.run[data-status=running] .stop').focus()").await;
        browser.press(Key::Enter).await;
        assert_eq!(browser.wait_for_ends(2).await, ["cancelled", "cancelled"]);
        assert_eq!(browser.get("document.activeElement.closest('.run') === document.querySelector('.run') && document.activeElement.checkVisibility()").await, json!(true), "the focus is at the run");
        assert!(browser.text(".ending[data-status=cancelled]").await.starts_with("You stopped it."));
        assert_eq!(browser.get("document.querySelectorAll('.lane[data-status=running], .tool[data-status=running]').length").await, json!(0));
        assert_eq!(browser.shown_of_runs().await, browser.log_of_runs().await, "the view equals the log");
    })
    .await;
}

#[tokio::test]
async fn a_killed_server_is_waited_for_and_everything_goes_on() {
    with_page(|browser, server| async move {
        browser.enter_demo().await;
        browser.ask("Analyze my AI costs").await;
        browser.wait_for_ends(1).await;
        browser.get("(window.states = [], new MutationObserver(() => states.push(document.getElementById('connection').dataset.state)).observe(document.getElementById('connection'), { attributes: true, attributeFilter: ['data-state'] }))").await;

        server.lock().await.kill().await;
        browser.wait_for("['waiting', 'offline'].includes(document.getElementById('connection').dataset.state)").await;
        // Between two tries: while one is under way there is nothing to press.
        browser.wait_for("document.getElementById('connect-now').checkVisibility()").await;
        browser.wait_for("/this page catches up|offline/.test(document.getElementById('line-banner').textContent)").await;
        browser.ask("What can you do?").await;
        browser.wait_for("document.querySelector('.pending-state')?.textContent === 'Waits for the connection …'").await;
        server.lock().await.launch().await;
        browser.wait_for_state("ready").await;

        assert_eq!(browser.wait_for_ends(2).await, ["completed", "completed"]);
        assert_eq!(browser.get("[...document.querySelectorAll('.ask-text')].map((e) => e.textContent)").await, json!(["Analyze my AI costs", "What can you do?"]));
        assert_eq!(browser.shown_of_runs().await, browser.log_of_runs().await, "the view equals the log");
        let states = browser.get("[...new Set(states)]").await;
        for state in ["connecting", "authenticating", "ready"] {
            assert!(states.as_array().unwrap().contains(&json!(state)), "{state} in {states}");
        }
        only_the_outage(&browser).await;
    })
    .await;
}

#[tokio::test]
async fn a_message_in_the_outbox_survives_a_reload_and_is_sent_once() {
    with_page(|browser, server| async move {
        browser.enter_demo().await;
        server.lock().await.kill().await;
        browser.wait_for("['waiting', 'offline'].includes(document.getElementById('connection').dataset.state)").await;
        browser.ask("What can you do?").await;
        browser.wait_for("document.querySelector('.pending-state')").await;
        server.lock().await.launch().await;
        browser.reload().await;
        browser.wait_for_state("ready").await;
        // The page may have sent it by itself just before it was reloaded: then the conversation is
        // in the list, and opened by whoever wants to see it.
        browser.wait_for("document.querySelector('.run, a.thread-link')").await;
        browser.get("document.querySelector('.run') || (document.querySelector('a.thread-link').click(), 1)").await;
        browser.wait_for_ends(1).await;
        browser.reload().await;
        browser.wait_for_state("ready").await;
        browser.wait_for_ends(1).await;
        assert_eq!(browser.get("document.querySelectorAll('.thread-link').length").await, json!(1));
        assert_eq!(browser.get("document.querySelectorAll('.turn').length").await, json!(1));
        assert_eq!(browser.get("sessionStorage.getItem('goldenpath.outbox')").await, json!(null));
    })
    .await;
}

#[tokio::test]
async fn a_run_cut_off_by_kill_9_goes_on_before_the_readers_eyes_f46() {
    with_scripted_page(|browser, server| async move {
        browser.enter_demo().await;
        browser.ask("data 1 slow; optimization 1 slow").await;
        browser.wait_for(AT_WORK).await;
        server.lock().await.kill().await;
        browser.wait_for("document.getElementById('connection').dataset.state !== 'ready'").await;
        server.lock().await.launch().await;
        browser.wait_for_state("ready").await;
        assert_eq!(browser.wait_for_ends(1).await, ["completed"]);
        assert_eq!(
            browser.shown_of_runs().await,
            browser.log_of_runs().await,
            "the view equals the log"
        );
        only_the_outage(&browser).await;
    })
    .await;
}

#[tokio::test]
async fn what_goes_wrong_inside_a_run_is_said_in_words() {
    with_scripted_page(|browser, _| async move {
        browser.enter_demo().await;
        browser.ask("data 0 panic").await;
        assert_eq!(browser.wait_for_ends(1).await, ["degraded"]);
        assert_eq!(browser.text(".run-words").await, "Completed, with a part missing");
        assert!(browser.text(".ending").await.contains("One step did not work"));
        browser
            .wait_for(
                "document.querySelector('.lane[data-agent=data]').dataset.status === 'failed'",
            )
            .await;
        assert!(browser.text(".lane[data-agent=data] .lane-error").await.len() > 10);
        assert!(
            browser.text(".report").await.contains("Asked"),
            "the report is there all the same"
        );
    })
    .await;
}

/// The browser itself reports every failed dial; anything else is ours.
async fn only_the_outage(browser: &Browser) {
    let dials =
        ["ERR_CONNECTION_", "ERR_EMPTY_RESPONSE", "ERR_SOCKET", "Unexpected response code: 503"];
    let complaints = browser.complaints().await;
    let ours: Vec<_> = complaints.iter().filter(|c| !dials.iter().any(|d| c.contains(d))).collect();
    assert!(ours.is_empty(), "{ours:?}");
}
