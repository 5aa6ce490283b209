//! Leaving and coming back: reload, stop, a killed server.

use crate::browser::{Browser, with_page};
use serde_json::json;

/// Tries of a test that has to meet a run while it is at work, which built-in agents are for a moment only.
const TRIES: usize = 5;

/// Clicks the stop button of a run at work in the moment it appears.
const STOP_AT_ONCE: &str = "
    window.stopped = 0;
    const look = () => {
      const button = document.querySelector('.run[data-status=running] .stop');
      if (button && !button.disabled && document.querySelector('.run[data-status=running] .lane')) { button.click(); window.stopped += 1; }
      else if (!window.stopped) requestAnimationFrame(look);
    };
    look();";

#[tokio::test]
async fn a_reload_in_the_middle_of_a_run_restores_everything() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        for attempt in 1..=TRIES {
            browser.ask("Analyze my AI costs").await;
            browser.wait_for("document.querySelector('.run:is([data-status=queued], [data-status=running])')").await;
            browser.reload().await;
            let statuses = browser.wait_for(&format!("document.querySelectorAll('.run').length === {attempt} && [...document.querySelectorAll('.run')].map((r) => r.dataset.status)")).await;
            let met_at_work = statuses.as_array().unwrap().iter().any(|s| s == "running" || s == "queued");
            let ends = browser.wait_for_ends(attempt).await;
            assert!(ends.iter().all(|s| s == "completed"), "{ends:?}");
            browser.wait_for(&format!("document.querySelectorAll('.report .md-h1, .report .md-h2').length >= {attempt}")).await;
            assert_eq!(browser.shown_of_runs().await, browser.log_of_runs().await, "the view equals the log");
            assert_eq!(browser.get("document.querySelectorAll('.turn').length").await, json!(attempt), "each question once");
            if met_at_work {
                assert_eq!(browser.complaints().await, Vec::<String>::new());
                return;
            }
        }
        panic!("every run had ended before the page was back");
    })
    .await;
}

#[tokio::test]
async fn the_stop_button_ends_the_work_and_a_waiting_question_is_taken_back_f50() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        let mut asked = 0;
        for _ in 0..TRIES {
            browser.get(&format!("(() => {{ {STOP_AT_ONCE} }})()")).await;
            browser.ask("Analyze my AI costs").await;
            asked += 1;
            let ends = browser.wait_for_ends(asked).await;
            if ends.last().unwrap() == "cancelled" {
                browser.wait_for("document.querySelector('.ending[data-status=cancelled]')?.checkVisibility()").await;
                assert!(browser.text(".ending[data-status=cancelled]").await.starts_with("You stopped it."));
                assert_eq!(browser.get("document.querySelectorAll('.lane[data-status=running]').length").await, json!(0));
                assert_eq!(browser.shown_of_runs().await, browser.log_of_runs().await, "the view equals the log");
                return;
            }
        }
        panic!("no run was met at work");
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
        assert!(browser.text("#line-banner").await.contains("agents go on working"), "{}", browser.text("#line-banner").await);
        assert_eq!(browser.get("document.getElementById('connect-now').checkVisibility()").await, json!(true));
        browser.ask("What can you do?").await;
        assert_eq!(browser.text(".pending-state").await, "Waits for the connection …");
        // What waits is not lost by a reload either, once the server is there again.
        server.lock().await.launch().await;
        browser.click("#connect-now").await;
        browser.wait_for_state("ready").await;

        let ends = browser.wait_for_ends(2).await;
        assert_eq!(ends, ["completed", "completed"]);
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
        browser.wait_for_ends(1).await;
        browser.reload().await;
        browser.wait_for_state("ready").await;
        browser.wait_for_ends(1).await;
        assert_eq!(browser.get("document.querySelectorAll('.turn').length").await, json!(1));
        assert_eq!(browser.get("sessionStorage.getItem('goldenpath.outbox')").await, json!(null));
    })
    .await;
}

#[tokio::test]
async fn a_run_cut_off_by_kill_9_is_finished_or_says_that_it_was_interrupted_f46() {
    with_page(|browser, server| async move {
        browser.enter_demo().await;
        browser.ask("Analyze my AI costs").await;
        browser.wait_for("document.querySelector('.run .lane')").await;
        server.lock().await.kill().await;
        browser.wait_for("document.getElementById('connection').dataset.state !== 'ready'").await;
        server.lock().await.launch().await;
        browser.wait_for_state("ready").await;
        let ends = browser.wait_for_ends(1).await;
        assert!(["completed", "degraded", "interrupted"].contains(&ends[0].as_str()), "{ends:?}");
        if ends[0] == "interrupted" {
            assert!(browser.text(".ending").await.contains("Please ask again."));
        }
        assert_eq!(
            browser.shown_of_runs().await,
            browser.log_of_runs().await,
            "the view equals the log"
        );
        only_the_outage(&browser).await;
    })
    .await;
}

/// The browser itself reports every failed dial; anything else is ours.
async fn only_the_outage(browser: &Browser) {
    let complaints = browser.complaints().await;
    let ours: Vec<_> = complaints
        .iter()
        .filter(|c| {
            !c.contains("ERR_CONNECTION_")
                && !c.contains("ERR_EMPTY_RESPONSE")
                && !c.contains("ERR_SOCKET")
        })
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}
