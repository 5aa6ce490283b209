//! Loading one's own usage records.

use crate::browser::with_page;
use serde_json::json;
use std::io::Write as _;

const HEADER: &str = "timestamp,model,input_tokens,output_tokens,cost_usd,team,feature\n";

/// What the import counted, by its words.
const COUNTS: &str = "Object.fromEntries([...document.querySelectorAll('.counts div')].map((d) => [d.querySelector('dt').textContent, d.querySelector('dd').textContent]))";

#[tokio::test]
async fn a_broken_file_names_its_line_and_a_good_one_is_counted() {
    with_page(|browser, _| async move {
        browser.enter_demo().await;
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, lines: &str| {
            let path = folder.path().join(name);
            std::fs::File::create(&path).unwrap().write_all(format!("{HEADER}{lines}").as_bytes()).unwrap();
            path
        };
        let good = write("good.csv", "2026-11-01T10:00:00Z,gpt-4.1,1000,200,0.0036,search,answers\n2026-11-02T10:00:00Z,gpt-4.1-mini,500,100,0.00036,search,answers\n");
        let broken = write("broken.csv", "2026-11-01T10:00:00Z,gpt-4.1,1000,200,0.0036,search,answers\n2026-11-02T10:00:00Z,gpt-4.1,many,100,0.1,search,answers\n2026-11-02T10:00:00Z,gpt-4.1,1,1,0.1,search,answers\nsoon,gpt-4.1,1,1,0.1,search,answers\n");
        browser.wait_for("document.getElementById('demo-banner-text').textContent.includes('not real spending')").await;

        browser.click("#open-import").await;
        browser.wait_for("document.activeElement.id === 'import-file'").await;
        browser.choose_file("#import-file", &broken).await;
        browser.click("#import-dialog [type=submit]").await;
        browser.wait_for("document.querySelector('.import-errors li, .import-result .alert')").await;
        let words = browser.text(".import-result").await;
        assert!(words.contains("ine 3"), "the broken line is named: {words}");
        assert!(words.contains("2 good lines withheld"), "what is good is not called broken: {words}");
        let counts = browser.get(COUNTS).await;
        assert_eq!((&counts["Read"], &counts["Broken"], &counts["Withheld"]), (&json!("4"), &json!("2"), &json!("2")), "{counts}");

        browser.choose_file("#import-file", &good).await;
        browser.click("#import-dialog .form-buttons .button:first-child").await;
        browser.wait_for("document.querySelector('.import-result .done')?.textContent.includes('Nothing was changed')").await;
        browser.click("#import-dialog [type=submit]").await;
        browser.wait_for("document.querySelector('.import-result .done')?.textContent === 'Imported.'").await;
        let counts = browser.get(COUNTS).await;
        assert_eq!((&counts["Read"], &counts["Imported"]), (&json!("2"), &json!("2")), "{counts}");
        browser.wait_for("document.getElementById('demo-banner-text').textContent.includes('you imported')").await;
        assert!(!browser.text("#demo-banner-text").await.contains("not real"), "these are real");
    })
    .await;
}
