//! The golden path as a person walks it.

use crate::browser::{Browser, with_page};
use fantoccini::key::Key;
use serde_json::json;
use std::path::Path;

/// The five critical events, in their order.
const FIVE: [&str; 5] =
    ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];

/// Counts of the five events as a run's card shows them.
async fn five_events(browser: &Browser) -> Vec<u64> {
    let counts = browser.get("[...document.querySelectorAll('.run .five [data-event]')].map((e) => [e.dataset.event, Number(e.querySelector('strong').textContent)])").await;
    let counts: Vec<(String, u64)> = serde_json::from_value(counts).unwrap();
    assert_eq!(counts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), FIVE);
    counts.into_iter().map(|(_, n)| n).collect()
}

#[tokio::test]
async fn a_question_is_answered_with_five_events_in_every_lane_and_a_report_with_charts_and_facts()
{
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        assert!(browser.get("!document.getElementById('demo-banner').hidden").await.as_bool().unwrap(), "demo mode says so");
        browser.ask("Analyze my AI costs").await;

        assert_eq!(browser.wait_for_ends(1).await, ["completed"]);
        let [started, thinking, executing, completed, ended] = five_events(&browser).await[..] else { panic!("five") };
        assert!(started >= 4 && thinking >= 1 && executing >= 1, "{started} {thinking} {executing}");
        assert_eq!((executing, started), (completed, ended), "everything begun has ended");
        let lanes = browser.get("[...document.querySelectorAll('.lane')].map((l) => [l.dataset.agent, l.dataset.status])").await;
        let lanes: Vec<(String, String)> = serde_json::from_value(lanes).unwrap();
        for agent in ["triage", "data", "optimization", "report"] {
            assert!(lanes.contains(&(agent.to_owned(), "completed".to_owned())), "{agent} in {lanes:?}");
        }
        assert_eq!(browser.shown_of_runs().await, browser.log_of_runs().await, "the view equals the log");

        // The report: a heading, a table, a chart that is really drawn, numbers with a source.
        browser.wait_for("document.querySelector('.report .md-h')").await;
        browser.wait_for("document.querySelector('.report table tbody tr')").await;
        browser.wait_for("[...document.querySelectorAll('.report .chart img')].some((i) => i.complete && i.naturalWidth > 50 && i.alt.length > 5 && i.src.startsWith('blob:'))").await;
        let number = browser.text(".report .fact").await;
        assert!(number.chars().any(|c| c.is_ascii_digit()), "{number}");
        browser.click(".report .fact").await;
        browser.wait_for("/SELECT/i.test(document.querySelector('#fact-dialog[open] .sql')?.textContent ?? '')").await;
        browser.wait_for("document.querySelector('#fact-dialog .fact-value').textContent.length > 0").await;
        browser.press(Key::Escape).await;
        browser.wait_for("!document.querySelector('dialog[open]')").await;

        assert_eq!(browser.complaints().await, Vec::<String>::new(), "no error, no violation of the policy");
        keep_picture(&browser).await;
    })
    .await;
}

#[tokio::test]
async fn everything_works_by_keyboard_alone() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        browser.ask("Analyze my AI costs").await;
        browser.wait_for_ends(1).await;
        browser.wait_for("document.querySelector('.report .fact')").await;

        // Back from the message box into the report, to a number; Enter opens it, Escape returns to it.
        let mut steps = 0;
        while browser.get("document.activeElement.classList.contains('fact')").await != json!(true)
        {
            steps += 1;
            assert!(steps < 80, "no number within reach");
            browser.press_back_tab().await;
        }
        assert_ne!(
            browser.get("getComputedStyle(document.activeElement).outlineStyle").await,
            json!("none"),
            "the focus is seen"
        );
        // All numbers are one stop; the arrow keys go from one to the next.
        assert!(steps < 20, "{steps} stops up to a number");
        let stops = browser.get("[...document.querySelectorAll('.report .fact')].filter((e) => e.tabIndex === 0).length").await;
        assert_eq!(stops, json!(1));
        let facts = browser.get("[...document.querySelectorAll('.report .fact')].slice(0, 3).map((e) => e.dataset.fact)").await;
        browser.press(Key::Right).await;
        browser.press(Key::Right).await;
        browser.press(Key::Left).await;
        let number = browser.get("document.activeElement.dataset.fact").await;
        assert_eq!(number, facts[1]);
        assert_eq!(browser.get("document.querySelector('.numbers-hint').getBoundingClientRect().width > 50").await, json!(true), "how to go on is said");
        browser.press(Key::Enter).await;
        browser.wait_for("document.querySelector('#fact-dialog[open] .sql')").await;
        assert_eq!(
            browser.get("document.activeElement.closest('dialog') !== null").await,
            json!(true),
            "the focus is inside the dialog"
        );
        browser.press(Key::Escape).await;
        browser.wait_for("!document.querySelector('dialog[open]')").await;
        assert_eq!(
            browser.get("document.activeElement.dataset.fact").await,
            number,
            "the focus is back where it was"
        );

        // The first stop of the page leads to the message box, past everything else.
        browser.reload().await;
        browser.wait_for_state("ready").await;
        browser.get("document.getElementById('thread-title').focus()").await;
        let mut steps = 0;
        while browser.get("document.activeElement.classList.contains('skip')").await != json!(true)
        {
            steps += 1;
            assert!(steps < 20, "no way to skip");
            browser.press_back_tab().await;
        }
        browser.press(Key::Enter).await;
        browser.wait_for("document.activeElement.id === 'question'").await;

        // A lane opens with the keyboard, too.
        browser.wait_for("document.querySelector('.lane[data-agent=data] summary')").await;
        browser.get("document.querySelector('.lane[data-agent=data] summary').focus()").await;
        browser.press(Key::Enter).await;
        browser
            .wait_for("document.querySelector('.lane[data-agent=data] .tool')?.checkVisibility()")
            .await;
    })
    .await;
}

#[tokio::test]
async fn what_the_agents_do_is_told_to_a_screen_reader() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        browser.get("(window.told = [], new MutationObserver((all) => all.forEach((m) => m.addedNodes.forEach((n) => told.push(n.textContent)))).observe(document.getElementById('announcer'), { childList: true }))").await;
        browser.ask("Analyze my AI costs").await;
        browser.wait_for_ends(1).await;
        browser.wait_for("told.join(' ').includes('The answer is here.')").await;
        assert_eq!(browser.get("document.getElementById('announcer').getAttribute('aria-live')").await, json!("polite"));
        let missing = browser.get("['main', 'header', 'nav[aria-label]', 'aside[aria-label]'].filter((s) => ![...document.querySelectorAll(s)].some((e) => e.checkVisibility()))").await;
        assert_eq!(missing, json!([]), "landmarks");
        let nameless = browser.get("[...document.querySelectorAll('button, input, select, textarea')].filter((e) => e.checkVisibility() && !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length)).map((e) => e.outerHTML)").await;
        assert_eq!(nameless, json!([]), "every control has a name");
    })
    .await;
}

#[tokio::test]
async fn an_earlier_conversation_is_found_in_the_list_renamed_and_deleted() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        browser.ask("Analyze my AI costs").await;
        browser.wait_for_ends(1).await;
        browser.click("#new-thread").await;
        browser.wait_for("document.querySelector('.invitation')").await;
        browser.get("document.getElementById('question').focus()").await;
        browser.ask("What can you do?").await;
        browser.wait_for_ends(1).await;
        browser.wait_for("document.querySelectorAll('.thread-row').length === 2").await;
        browser.wait_for("document.querySelector('.report').textContent.trim().length > 20").await;

        browser.click(".thread-row:nth-child(2) .thread-link").await;
        browser.wait_for("document.querySelector('.ask-text')?.textContent === 'Analyze my AI costs' && document.querySelector('.report table')").await;

        browser.click(".thread-row:nth-child(2) [aria-label^=Rename]").await;
        browser.wait_for("document.activeElement.id === 'thread-name-input'").await;
        browser.type_text("November").await;
        browser.press(Key::Enter).await;
        browser.wait_for("[...document.querySelectorAll('.thread-name')].some((e) => e.textContent === 'November')").await;
        browser.reload().await;
        browser.wait_for("document.getElementById('thread-title').textContent === 'November'").await;

        browser.click(".thread-row:has([aria-current]) [aria-label^=Delete]").await;
        browser.click("#thread-dialog[open] [type=submit]").await;
        browser.wait_for("document.querySelectorAll('.thread-row').length === 1 && document.querySelector('.invitation')").await;
    })
    .await;
}

/// The picture in the README, made here when asked for.
async fn keep_picture(browser: &Browser) {
    if std::env::var("GOLDENPATH_UPDATE_PICTURES").as_deref() != Ok("1") {
        return;
    }
    browser.resize(1280, 960).await;
    browser
        .get("(document.getElementById('scroller').scrollTop = 0, document.activeElement.blur())")
        .await;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/pictures/page.png");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, browser.picture().await).unwrap();
}
