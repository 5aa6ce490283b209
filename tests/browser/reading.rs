//! What one is looking at: the newest question comes into view, and the reader is left in peace.

use crate::browser::{Browser, with_page, with_scripted_page};
use serde_json::json;

/// Whether the last question's turn is within what is seen.
const LAST_SEEN: &str = "(() => { const box = document.getElementById('scroller').getBoundingClientRect(); const last = document.querySelector('.turn:last-child .ask').getBoundingClientRect(); return last.top < box.bottom && last.bottom > box.top; })()";

/// Waits until nothing moves any more.
async fn settled(browser: &Browser) {
    browser
        .run(
            "const scroller = document.getElementById('scroller');
             const at = () => `${scroller.scrollTop} ${scroller.scrollHeight}`;
             const begun = performance.now();
             for (let before = null, same = 0; same < 20 && performance.now() - begun < 10_000;) {
               await new Promise((resolve) => setTimeout(resolve, 25));
               same = at() === before ? same + 1 : 0;
               before = at();
             }",
        )
        .await;
}

#[tokio::test]
async fn a_further_question_and_its_answer_are_seen_after_a_long_report() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        browser.ask("Analyze my AI costs").await;
        browser.wait_for_ends(1).await;
        browser.wait_for("document.querySelector('.report .md-h')").await;
        settled(&browser).await;
        let rest = "(() => { const s = document.getElementById('scroller'); return s.scrollHeight - s.scrollTop - s.clientHeight; })()";
        assert!(browser.get(rest).await.as_f64().unwrap() > 1000.0, "the report's beginning is shown, not its end");
        assert_eq!(browser.get(LAST_SEEN).await, json!(true));

        browser.ask("What can you do?").await;
        browser.wait_for("document.querySelectorAll('.turn').length === 2").await;
        browser.wait_for(LAST_SEEN).await;
        assert_eq!(browser.wait_for_ends(2).await, ["completed", "completed"]);
        browser.wait_for("document.querySelector('.turn:last-child .report')?.textContent.length > 20").await;
        settled(&browser).await;
        assert_eq!(browser.get(LAST_SEEN).await, json!(true), "the question is seen above its answer");
    })
    .await;
}

#[tokio::test]
async fn whoever_reads_above_is_not_pulled_down_by_the_agents_work() {
    with_scripted_page(|browser, _| async move {
        browser.resize(1280, 400).await;
        browser.enter_demo().await;
        for (nth, question) in ["data 0", "data 0", "data 1 slow; report 1 slow"].into_iter().enumerate() {
            browser.ask(question).await;
            browser.wait_for(&format!("document.querySelectorAll('.run').length === {}", nth + 1)).await;
            if nth < 2 {
                browser.wait_for_ends(nth + 1).await;
            }
        }
        browser.wait_for("document.querySelector('.turn:last-child .tool[data-status=running]')").await;
        assert_eq!(browser.get("(() => { const s = document.getElementById('scroller'); return s.scrollHeight - s.scrollTop - s.clientHeight < 120; })()").await, json!(true), "one's own question is followed");
        browser.get("(document.getElementById('scroller').scrollTop = 0)").await;
        browser.wait_for_ends(3).await;
        settled(&browser).await;
        assert_eq!(browser.get("document.getElementById('scroller').scrollTop").await, json!(0));
    })
    .await;
}

#[tokio::test]
async fn a_chart_can_be_read_on_a_narrow_screen_and_in_the_dark_and_a_lane_shows_whole_names() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        browser.ask("Analyze my AI costs").await;
        browser.wait_for_ends(1).await;
        browser.wait_for("document.querySelectorAll('.chart-frame[data-state=shown]').length > 1").await;
        // The names of tools in the column beside the report.
        browser.click(".lane[data-agent=data] summary").await;
        browser.wait_for("document.querySelector('.lane[data-agent=data] .tool-title').checkVisibility()").await;
        let cut = browser.get("[...document.querySelectorAll('.tool-title')].filter((e) => e.checkVisibility() && (e.clientWidth < 40 || e.scrollWidth > e.clientWidth)).map((e) => e.textContent)").await;
        assert_eq!(cut, json!([]));

        // The drawing's letters are 12 pixels high where it is as wide as it was drawn.
        browser.resize(390, 800).await;
        let smallest = browser.get("Math.min(...[...document.querySelectorAll('.chart img')].map((i) => 12 * i.getBoundingClientRect().width / i.naturalWidth))").await;
        assert!(smallest.as_f64().unwrap() >= 9.0, "letters of {smallest} pixels");
        let wider = browser.get("[document.documentElement, document.getElementById('scroller')].some((e) => e.scrollWidth > e.clientWidth)").await;
        assert_eq!(wider, json!(false), "a chart scrolls in its frame, not the page");

        let look = "[...document.querySelectorAll('.chart-frame')].map((f) => [getComputedStyle(f).backgroundColor, getComputedStyle(f.querySelector('img')).filter])";
        let light = browser.get(look).await;
        assert_eq!(light[0], json!(["rgb(255, 255, 255)", "none"]));
        browser.prefer("dark").await;
        let dark = browser.get(look).await;
        assert_eq!(dark[0][0], json!("rgb(27, 29, 34)"), "no white slab");
        assert!(dark[0][1].as_str().unwrap().contains("invert"), "{dark}");
    })
    .await;
}
