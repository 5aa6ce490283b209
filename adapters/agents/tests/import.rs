//! Imports through the real store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Cursor;
use std::sync::Arc;

use goldenpath_agents::cost::prices::PriceTable;
use goldenpath_agents::import::{
    Format, ImportError, ImportOptions, ImportReport, Mapping, Reason, Verdict, import, import_file,
};
use goldenpath_runtime::usage::{Day, Metric, Period, Query, Tenant, UsageStore, Usd};
use sqlx::Row;
use support::{Database, database, shared_data};

fn ann() -> Tenant {
    Tenant::at_the_machine("ann")
}

fn options(id: &str) -> ImportOptions {
    ImportOptions {
        id: Some(id.into()),
        name: "test".into(),
        now_us: 1,
        ..ImportOptions::default()
    }
}

async fn load(
    db: &Database,
    text: impl Into<Vec<u8>>,
    options: ImportOptions,
) -> Result<ImportReport, ImportError> {
    let input = Box::new(Cursor::new(text.into()));
    let report =
        import(&db.store, &ann(), Arc::new(PriceTable::bundled()), input, options, &mut |_| ())
            .await;
    if let Ok(report) = &report {
        assert!(report.adds_up(), "read = imported + duplicates + rejected: {report:?}");
    }
    report
}

async fn rows(db: &Database) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM usage_event").fetch_one(&db.pool).await.unwrap()
}

/// The total by arithmetic of our own over the file: dollars per million tokens times tokens, in integers.
fn azure_total_micros(file: &str, input_per_mtok: i128, output_per_mtok: i128) -> (u64, i128) {
    let text = std::fs::read_to_string(shared_data(file)).unwrap();
    let (mut rows, mut millionths) = (0, 0);
    for line in text.lines().skip(1) {
        let mut fields = line.split(',').skip(1).map(|field| field.trim().parse::<i128>().unwrap());
        let (input, output) = (fields.next().unwrap(), fields.next().unwrap());
        // A price of 1 $/Mtok is exactly one micro-dollar per token; prices come in 1/1000 $/Mtok.
        millionths += input * input_per_mtok + output * output_per_mtok;
        rows += 1;
    }
    (rows, (millionths + 500) / 1000)
}

#[tokio::test]
async fn totals_of_the_azure_traces_equal_an_independent_computation_to_the_micro_dollar() {
    for (file, model, input, output) in [
        ("azure/AzureLLMInferenceTrace_code.csv", "gpt-4o", 2_500, 10_000),
        ("azure/AzureLLMInferenceTrace_conv.csv", "gpt-4o", 2_500, 10_000),
        ("azure/AzureLLMInferenceTrace_conv.csv", "gpt-4o-mini", 150, 600),
    ] {
        let db = database().await;
        let prices = Arc::new(PriceTable::bundled());
        let options =
            ImportOptions { model: Some(model.into()), name: String::new(), ..options("azure") };
        let mut last = 0;
        let report = import_file(
            &db.store,
            &ann(),
            prices.clone(),
            &shared_data(file),
            options.clone(),
            &mut |so_far| {
                assert!(so_far.read >= last, "progress goes forward");
                last = so_far.read;
            },
        )
        .await
        .unwrap();
        let (rows, expected) = azure_total_micros(file, input, output);
        assert_eq!(
            (report.format, report.read, report.imported),
            (Format::AzureTrace, rows, rows),
            "{file}"
        );
        assert_eq!(last, rows);
        let day = Day::of_date(2023, 11, 16).unwrap();
        let query = Query::of("total", Period::of_days(day, day), &[Metric::Cost]);
        let answer = db.store.query(&ann(), &query).await.unwrap();
        assert_eq!(
            answer.value.value(0, Metric::Cost).money().micros(),
            expected,
            "{file} as {model}"
        );
        assert_eq!(answer.evidence.rows, rows);
        assert_eq!(report.cost.micros(), expected);

        // And by SQL of our own over the stored tokens.
        let sql = "SELECT SUM(input_tokens) * ?1 + SUM(output_tokens) * ?2 FROM usage_event";
        let by_hand: i64 = sqlx::query(sql)
            .bind(input as i64)
            .bind(output as i64)
            .fetch_one(&db.pool)
            .await
            .unwrap()
            .get(0);
        assert_eq!((i128::from(by_hand) + 500) / 1000, expected);

        let again = ImportOptions { id: Some("again".into()), ..options };
        let again = import_file(&db.store, &ann(), prices, &shared_data(file), again, &mut |_| ())
            .await
            .unwrap();
        assert_eq!(
            (again.imported, again.duplicates),
            (0, rows),
            "importing again changes nothing"
        );
        assert_eq!(db.store.query(&ann(), &query).await.unwrap(), answer);
    }
}

#[tokio::test]
async fn both_azure_traces_together_lose_no_row() {
    let db = database().await;
    let mut read = 0;
    for (id, file) in [
        ("a", "azure/AzureLLMInferenceTrace_code.csv"),
        ("b", "azure/AzureLLMInferenceTrace_conv.csv"),
    ] {
        let options = ImportOptions { model: Some("gpt-4o".into()), ..options(id) };
        let prices = Arc::new(PriceTable::bundled());
        let report =
            import_file(&db.store, &ann(), prices, &shared_data(file), options, &mut |_| ())
                .await
                .unwrap();
        assert_eq!(report.duplicates, 0);
        read += report.read;
    }
    assert_eq!(rows(&db).await as u64, read);
}

#[tokio::test]
async fn the_azure_trace_needs_a_model() {
    let db = database().await;
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n";
    assert_eq!(load(&db, text, options("a")).await, Err(ImportError::ModelRequired));
}

const LITELLM: &str = r#"[
 {"request_id":"r1","call_type":"acompletion","api_key":"hash","spend":0.0123,"prompt_tokens":1000,"completion_tokens":100,
  "startTime":"2026-10-20T10:00:00Z","endTime":"2026-10-20T10:00:02Z","completionStartTime":"2026-10-20T10:00:00.5Z",
  "model":"gpt-4o","custom_llm_provider":"openai","cache_hit":"False","request_tags":["feature:search","async"],
  "metadata":{"user_api_key_team_alias":"core","additional_usage_values":{"cache_read_input_tokens":200}},"status":"success"},
 {"request_id":"r2","call_type":"acompletion","spend":0,"prompt_tokens":10,"completion_tokens":0,"startTime":"2026-10-20T10:01:00Z",
  "model":"gpt-4o","custom_llm_provider":"openai","status":"failure",
  "metadata":"{\"error_information\":{\"error_class\":\"Timeout\",\"error_code\":\"408\"},\"spend_logs_metadata\":{\"feature\":\"chat\"}}"},
 {"request_id":"r3","call_type":"completion","spend":0.5,"prompt_tokens":10,"completion_tokens":1,"startTime":"2026-10-20T10:02:00Z","model":"in-house"},
 {"request_id":"r4","call_type":"acompletion","spend":0.0,"prompt_tokens":999,"completion_tokens":1,"startTime":"2026-10-20T10:03:00Z",
  "model":"gpt-4o","custom_llm_provider":"openai","cache_hit":"True"}
]"#;

/// The same records in every shape they are exported in.
fn litellm_shapes() -> Vec<(&'static str, String)> {
    let records: Vec<serde_json::Value> = serde_json::from_str(LITELLM).unwrap();
    let lines: Vec<String> = records.iter().map(ToString::to_string).collect();
    vec![
        ("array", LITELLM.to_owned()),
        ("lines", lines.join("\n")),
        ("lines, with blanks and an end", format!("\n{}\r\n\r\n", lines.join("\r\n"))),
        ("page", format!(r#"{{"total":4,"page":1,"data":{LITELLM},"total_pages":1}}"#)),
        ("pretty objects", records.iter().map(|record| format!("{record:#}\n")).collect()),
        ("byte order mark", format!("\u{feff}{LITELLM}")),
    ]
}

#[tokio::test]
async fn litellm_spend_logs_are_read_in_every_shape() {
    for (shape, text) in litellm_shapes() {
        let db = database().await;
        let report = load(&db, text, options("a")).await.unwrap();
        assert_eq!(
            (report.format, report.read, report.imported),
            (Format::Litellm, 4, 4),
            "{shape}: {report:?}"
        );
        let row = sqlx::query("SELECT cost_pico, cached_tokens, feature, team, can_wait, latency_ms, ttft_ms, cost_reported_pico FROM usage_event WHERE source_id = 'r1'")
            .fetch_one(&db.pool).await.unwrap();
        // 800 · 2.5 + 200 · 1.25 + 100 · 10 dollars per million tokens.
        assert_eq!(row.get::<i64, _>(0), 3_250_000_000);
        assert_eq!(
            (row.get::<i64, _>(1), row.get::<&str, _>(2), row.get::<&str, _>(3)),
            (200, "search", "core")
        );
        assert_eq!(
            (row.get::<i64, _>(4), row.get::<i64, _>(5), row.get::<i64, _>(6)),
            (1, 2000, 500)
        );
        assert_eq!(row.get::<i64, _>(7), 12_300_000_000);
        let outcomes: Vec<(String, Option<String>, String)> = sqlx::query_as(
            "SELECT outcome, feature, cost_status FROM usage_event ORDER BY source_id",
        )
        .fetch_all(&db.pool)
        .await
        .unwrap();
        assert_eq!(
            outcomes[1],
            ("timed_out".into(), Some("chat".into()), "priced".into()),
            "metadata written as text"
        );
        assert_eq!(outcomes[2].2, "reported", "an unknown model counts with what was reported");
        assert_eq!(
            outcomes[3].2, "reported",
            "an answer from the gateway's cache costs what was reported"
        );
    }
}

#[tokio::test]
async fn openai_usage_pages_are_read_with_their_tiers() {
    let page = r#"{"object":"page","data":[
      {"object":"bucket","start_time":1792454400,"end_time":1792540800,"results":[
        {"object":"organization.usage.completions.result","input_tokens":1000000,"output_tokens":1000,"input_cached_tokens":400000,
         "num_model_requests":250,"project_id":"p","user_id":null,"api_key_id":null,"model":"gpt-4o-2024-08-06","batch":false,"service_tier":"default"},
        {"object":"organization.usage.completions.result","input_tokens":1000000,"output_tokens":0,"num_model_requests":10,"model":"gpt-4o","batch":true}]},
      {"object":"bucket","start_time":1792540800,"end_time":1792627200,"results":[]}],"has_more":false,"next_page":null}"#;
    for text in [page.to_owned(), format!("[{page}]"), page.replace('\n', " ")] {
        let db = database().await;
        let report = load(&db, text, options("a")).await.unwrap();
        assert_eq!(
            (report.format, report.read, report.imported),
            (Format::OpenaiUsage, 2, 2),
            "{report:?}"
        );
        // 600k · 2.5 + 400k · 1.25 + 1k · 10 = 2.01; a million in batch at 1.25.
        assert_eq!(report.cost, Usd::parse("3.26").unwrap());
        let requests: i64 = sqlx::query_scalar("SELECT SUM(requests) FROM usage_event")
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert_eq!(requests, 260);
        let again = load(&db, page, options("b")).await.unwrap();
        assert_eq!((again.imported, again.duplicates), (0, 2));
    }
}

#[tokio::test]
async fn any_csv_is_read_by_names_or_by_a_mapping() {
    let db = database().await;
    let text = "\u{feff}Usage Date;Model;prompt;completion;Team;Amount (USD);status\n\
                10/20/2026;gpt-4o;\"1,000\";100;core;\"$1,000.50 \";200\n\
                10/21/2026;mystery;5;5;;;500\n";
    let report = load(&db, text, options("a")).await.unwrap();
    assert_eq!(
        (report.format, report.read, report.imported),
        (Format::Csv, 2, 2),
        "{}",
        report.to_text()
    );
    assert_eq!(report.cost, Usd::parse("0.0035").unwrap());
    assert_eq!(report.unpriced_models.get("mystery"), Some(&1));
    assert!(report.to_text().contains("at least"), "{}", report.to_text());
    let mapped = ImportOptions {
        mapping: Mapping::parse("ts=when,input_tokens=a,output_tokens=b").unwrap(),
        model: Some("gpt-4o".into()),
        ..options("b")
    };
    let report = load(&db, "when,a,b\n1792454400,10,1\n1792454400,10,1\n", mapped).await.unwrap();
    assert_eq!(
        (report.imported, report.duplicates),
        (2, 0),
        "equal rows of one file are two requests"
    );
    let wrong = load(&db, "foo,bar\n1,2\n", options("c")).await.unwrap_err();
    assert!(wrong.to_string().contains("--map ts=COLUMN"), "{wrong}");
}

#[tokio::test]
async fn a_broken_file_names_line_and_reason_and_imports_nothing() {
    let header = "timestamp,model,input_tokens,output_tokens,cached_tokens,currency\n";
    let good = "2026-10-20,gpt-4o,10,1,0,USD\n";
    for (bad, reason, words) in [
        (
            "2026-10-20,gpt-4o,x,1,0,USD\n",
            Reason::BadNumber,
            "input_tokens is not a whole number: \"x\"",
        ),
        ("2026-10-20,gpt-4o,-1,1,0,USD\n", Reason::BadNumber, "input_tokens"),
        ("2026-10-20,gpt-4o,1.5,1,0,USD\n", Reason::BadNumber, "1.5"),
        ("soon,gpt-4o,10,1,0,USD\n", Reason::BadTimestamp, "\"soon\""),
        (",gpt-4o,10,1,0,USD\n", Reason::MissingField, "ts is empty"),
        ("2026-10-20,gpt-4o,10,1,11,USD\n", Reason::Inconsistent, "exceed input_tokens"),
        ("1999-10-20,gpt-4o,10,1,0,USD\n", Reason::Inconsistent, "timestamp"),
        ("2026-10-20,gpt-4o,10,1,0,EUR\n", Reason::Currency, "EUR"),
        ("2026-10-20,gpt-4o,10,1,0\n", Reason::Syntax, "5 fields where the header has 6"),
        ("2026-10-20,gpt-4o,10,1,0,USD,more\n", Reason::Syntax, "7 fields"),
    ] {
        let db = database().await;
        let text = format!("{header}{good}{bad}{good}");
        let report = load(&db, text.clone(), options("a")).await.unwrap();
        assert_eq!(report.verdict, Verdict::Refused);
        assert_eq!(rows(&db).await, 0, "nothing of it");
        assert_eq!((report.read, report.imported), (3, 0));
        assert_eq!(report.rejected.get(&reason), Some(&1), "{bad}: {report:?}");
        assert_eq!(report.rejected.get(&Reason::Withheld), Some(&2));
        let problem = &report.problems[0];
        assert_eq!(problem.line, 3, "{problem}");
        assert!(problem.message.contains(words), "{problem}");
        assert!(report.to_text().contains("line 3"));
        let partial =
            load(&db, text, ImportOptions { skip_bad: true, ..options("b") }).await.unwrap();
        assert_eq!((partial.verdict, partial.imported, rows(&db).await), (Verdict::Imported, 2, 2));
    }
}

#[tokio::test]
async fn broken_json_names_line_and_reason_and_imports_nothing() {
    let one = r#"{"request_id":"a","startTime":"2026-10-20T10:00:00Z","model":"gpt-4o","prompt_tokens":1,"completion_tokens":1}"#;
    for (name, text, line, reason, read) in [
        ("cut array", format!("[\n{one},\n{}", &one[..50]), 3, Reason::Syntax, 2),
        ("garbage in array", format!("[\n{one},\nnope]"), 3, Reason::Syntax, 2),
        ("garbage line", format!("{one}\n{{nope\n{one}"), 2, Reason::Syntax, 3),
        (
            "no id",
            format!("[\n{one},\n{}\n]", one.replace("request_id", "id")),
            3,
            Reason::MissingField,
            2,
        ),
        (
            "no time",
            format!("[\n{one},\n{}\n]", one.replace("startTime", "t")),
            3,
            Reason::MissingField,
            2,
        ),
        ("no object", format!("[\n{one},\n42\n]"), 3, Reason::NotARecord, 2),
        (
            "bad number",
            format!("[\n{one},\n{}\n]", one.replace(":1,", ":1.5,")),
            3,
            Reason::BadNumber,
            2,
        ),
        (
            "bad time",
            format!("[\n{one},\n{}\n]", one.replace("2026-10", "2026-13")),
            3,
            Reason::BadTimestamp,
            2,
        ),
    ] {
        let db = database().await;
        let report = load(&db, text, options("a")).await.unwrap();
        assert_eq!((report.verdict, rows(&db).await), (Verdict::Refused, 0), "{name}");
        assert_eq!(report.rejected.get(&reason), Some(&1), "{name}: {report:?}");
        assert_eq!((report.problems[0].line, report.read), (line, read), "{name}: {report:?}");
    }
}

#[tokio::test]
async fn files_that_are_something_else_are_refused_with_words() {
    let db = database().await;
    assert_eq!(load(&db, "", options("a")).await, Err(ImportError::Empty));
    assert_eq!(load(&db, "  \n ", options("a")).await, Err(ImportError::Empty));
    for text in ["hello world", "{\"hello\":1}", "\u{0}\u{1}\u{2}"] {
        assert_eq!(
            load(&db, text, options("a")).await,
            Err(ImportError::UnknownFormat),
            "{text:?}"
        );
    }
    let invalid = [
        b"timestamp,input_tokens\n2026-10-20,1\n2026-10-20,\xff\n".to_vec(),
        b"2026-10-20,2\n".to_vec(),
    ]
    .concat();
    let report = load(&db, invalid, options("a")).await.unwrap();
    assert_eq!(report.rejected.get(&Reason::Syntax), Some(&1), "{report:?}");
    assert_eq!((report.problems[0].line, report.read), (3, 3));
}

#[tokio::test]
async fn a_record_without_end_is_cut_off_before_it_fills_the_memory() {
    for (beginning, filler) in [
        ("timestamp,input_tokens\n2026-10-20,\"", "1\n"),
        ("[{\"request_id\":\"", "a"),
        ("{\"request_id\":\"a\",\"startTime\":\"2026-10-20\"}\n{\"request_id\":\"", "a"),
    ] {
        let db = database().await;
        let text = format!("{beginning}{}", filler.repeat(5 * 1024 * 1024 / filler.len()));
        let report = load(&db, text, options("a")).await.unwrap();
        assert_eq!(report.rejected.get(&Reason::RecordTooLong), Some(&1), "{report:?}");
        assert_eq!(report.verdict, Verdict::Refused);
        assert!(report.bytes < 5 * 1024 * 1024, "{}", report.bytes);
    }
}

#[tokio::test]
async fn a_dry_run_counts_what_an_import_would_do() {
    let db = database().await;
    let text = "id,timestamp,model,input_tokens\na,2026-10-20,gpt-4o,1\nb,2026-10-20,gpt-4o,1\na,2026-10-20,gpt-4o,1\n";
    let tried = load(&db, text, ImportOptions { dry_run: true, ..options("a") }).await.unwrap();
    assert_eq!((tried.verdict, rows(&db).await), (Verdict::Tried, 0));
    let done = load(&db, text, options("a")).await.unwrap();
    assert_eq!((tried.imported, tried.duplicates), (2, 1));
    assert_eq!((done.imported, done.duplicates), (2, 1));
    let tried = load(&db, text, ImportOptions { dry_run: true, ..options("b") }).await.unwrap();
    assert_eq!((tried.imported, tried.duplicates), (0, 3));
}

/// Rows made while they are read: a file far larger than what may be in memory.
struct Endless {
    row: u64,
    rows: u64,
    line: Vec<u8>,
}

impl std::io::Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.line.is_empty() && self.row <= self.rows {
            self.line = match self.row {
                0 => b"id,timestamp,model,input_tokens,output_tokens\n".to_vec(),
                row => format!("{row},2026-10-20,gpt-4o,{row},1\n").into_bytes(),
            };
            self.row += 1;
        }
        let taken = self.line.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&self.line[..taken]);
        self.line.drain(..taken);
        Ok(taken)
    }
}

#[tokio::test]
async fn a_large_file_is_streamed_with_progress() {
    let db = database().await;
    let input = Box::new(Endless { row: 0, rows: 20_000, line: Vec::new() });
    let mut steps = Vec::new();
    let prices = Arc::new(PriceTable::bundled());
    let report = import(&db.store, &ann(), prices, input, options("a"), &mut |so_far| {
        steps.push(so_far.read)
    })
    .await
    .unwrap();
    assert_eq!((report.read, report.imported), (20_000, 20_000));
    assert!(steps.len() >= 20 && steps.is_sorted(), "progress while reading: {steps:?}");
    // 2.5 micro-dollars for each of 1 + 2 + … + 20,000 tokens in, 10 for each out.
    assert_eq!(report.cost.micros(), 20_001 * 20_000 / 2 * 5 / 2 + 200_000);
}

/// A network delivers a file in pieces of any size.
struct InPieces(Cursor<Vec<u8>>, usize);

impl std::io::Read for InPieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(self.1);
        self.0.read(&mut buffer[..most])
    }
}

#[tokio::test]
async fn what_a_file_contains_does_not_depend_on_how_it_is_delivered() {
    let csv = "\u{feff}date;model;prompt tokens\n2026-10-14;gpt-4o;7\n".to_owned();
    let files = litellm_shapes().into_iter().map(|(_, text)| text).chain([csv]);
    for file in files {
        let db = database().await;
        let dry = ImportOptions { dry_run: true, ..options("whole") };
        let whole = load(&db, file.as_str(), dry.clone()).await.unwrap();
        assert!(whole.imported > 0, "{file}");
        for piece in [1, 2, 7] {
            let input = Box::new(InPieces(Cursor::new(file.clone().into_bytes()), piece));
            let prices = Arc::new(PriceTable::bundled());
            let report =
                import(&db.store, &ann(), prices, input, dry.clone(), &mut |_| ()).await.unwrap();
            assert_eq!(report, whole, "in pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn counts_at_the_end_of_numbers_are_refused_with_their_record() {
    let most = i64::MAX;
    for fields in [
        format!(
            r#""metadata":{{"additional_usage_values":{{"cache_read_input_tokens":{most},"cache_creation_input_tokens":{most}}}}}"#
        ),
        format!(
            r#""prompt_tokens":1,"metadata":{{"additional_usage_values":{{"cache_read_input_tokens":{most}}}}}"#
        ),
        format!(r#""metadata":{{"billed_retry_attempt":{most}}}"#),
    ] {
        let db = database().await;
        let log = format!(r#"{{"request_id":"a","startTime":"2026-10-14T12:00:00Z",{fields}}}"#);
        let report = load(&db, log, options("a")).await.unwrap();
        assert_eq!(report.rejected.get(&Reason::Inconsistent), Some(&1), "{report:?}");
    }
}

#[tokio::test]
async fn an_import_nobody_waits_for_ends_and_stores_nothing() {
    let db = database().await;
    let input = Box::new(Endless { row: 0, rows: u64::MAX - 1, line: Vec::new() });
    let prices = Arc::new(PriceTable::bundled());
    let (mut seen, tenant) = (0, ann());
    let mut count = |so_far: goldenpath_agents::import::Progress| seen = so_far.read;
    let endless = import(&db.store, &tenant, prices, input, options("a"), &mut count);
    let limited = tokio::time::timeout(core::time::Duration::from_millis(300), endless).await;
    assert!(limited.is_err(), "an endless file is still being read");
    assert!(seen > 0);
    assert_eq!(rows(&db).await, 0);
    // The runtime waits for its blocking threads when it is dropped: the test ends because the reader has.
}
