//! The commands a person types: `goldenpath chat` and `goldenpath bench`, as processes of their own.

use goldenpath_tests::server::{PATIENCE, Server, binary};
use serde_json::Value;
use std::process::Stdio;
use std::time::Instant;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// What a command printed, and how it ended.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> Ended {
    let output = tokio::time::timeout(PATIENCE, command(arguments).output()).await;
    let output = output.expect("it ends in time").unwrap();
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

#[tokio::test]
async fn a_question_from_the_terminal_shows_the_agents_and_ends_with_the_report() {
    let server = Server::real().await;
    let ended = run(&["chat", "Analyze my AI costs", "--url", &server.url("")]).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
    let lines: Vec<&str> = ended.out.lines().collect();
    for what in ["started", "thinking", "tool ", "tool done", "completed"] {
        assert!(lines.iter().any(|line| line.contains(what)), "{what} in {}", ended.out);
    }
    let report = lines.iter().position(|line| line.starts_with('#')).expect("Markdown");
    let last_event = lines.iter().rposition(|line| line.contains(" completed ")).unwrap();
    assert!(last_event < report, "the report comes last: {}", ended.out);
    assert!(!ended.out.contains('\u{1b}'), "no escape sequences where there is no terminal");
}

#[tokio::test]
async fn events_are_printed_as_they_came_and_a_thread_goes_on() {
    let server = Server::bench().await;
    let (token, _) = server.demo().await;
    let url = server.url("");
    let ask = ["chat", "one", "--url", &url, "--token", &token, "--json"];
    let first = run(&ask).await;
    assert_eq!(first.code, Some(0), "{}", first.err);
    let entries = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let entries_of_first = entries(&first.out);
    let thread = entries_of_first[0]["thread_id"].as_str().unwrap().to_owned();
    assert_eq!(entries_of_first[0]["seq"], 1);
    assert_eq!(entries_of_first.last().unwrap()["type"], "run_completed");
    let again = [&ask[..], &["--thread", &thread]].concat();
    let second = run(&again).await;
    assert_eq!(second.code, Some(0), "{}", second.err);
    let mut printed = entries_of_first;
    printed.extend(entries(&second.out));
    let mut stored = server.log_of(&token, &thread).await;
    let plain = |entry: &mut Value| {
        entry.as_object_mut().unwrap().remove("replay");
    };
    stored.iter_mut().for_each(plain);
    printed.iter_mut().for_each(plain);
    assert_eq!(printed, stored, "what was printed is the log");
}

#[tokio::test]
async fn ctrl_c_cancels_the_run_and_says_so() {
    let server = Server::start(&["--agents", "scripted"], &[]).await;
    let url = server.url("");
    let mut child = command(&["chat", "data 1 hang", "--url", &url, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = Instant::now();
    let mut last = Value::Null;
    let mut interrupted = false;
    while let Ok(Some(line)) = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap() {
        last = serde_json::from_str(&line).unwrap();
        if last["type"] == "tool_executing" && !interrupted {
            interrupted = true;
            let pid = child.id().unwrap().to_string();
            assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
        }
        assert!(begun.elapsed() < PATIENCE, "it ends in time");
    }
    assert!(interrupted, "a tool was at work");
    assert_eq!(last["type"], "run_cancelled", "{last}");
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
}

#[tokio::test]
async fn what_went_wrong_is_told_by_the_exit_code() {
    assert_eq!(run(&["chat"]).await.code, Some(2));
    assert_eq!(run(&["chat", "hi", "--url", "https://example.org"]).await.code, Some(2));
    let alone = run(&["chat", "hi", "--url", "http://127.0.0.1:9"]).await;
    assert_eq!(alone.code, Some(3));
    for what in ["http://127.0.0.1:9", "goldenpath serve"] {
        assert!(alone.err.contains(what), "{what} in {}", alone.err);
    }
    assert_eq!(run(&["bench", "http://127.0.0.1:9"]).await.code, Some(3));
    let server = Server::bench().await;
    let wrong = run(&["chat", "hi", "--url", &server.url(""), "--token", "nonsense"]).await;
    assert_eq!(wrong.code, Some(3));
    assert!(wrong.err.contains("does not accept this token"), "{}", wrong.err);
    assert!(!(wrong.out + &wrong.err).contains("trying again"), "nothing is tried again");
}

#[tokio::test]
async fn on_a_terminal_the_report_is_text_in_columns_and_a_number_has_its_query() {
    let server = Server::real().await;
    let chat = format!(
        "{} chat 'Analyze my AI costs' --url {} --fact total.cost",
        binary().display(),
        server.url("")
    );
    // util-linux's `script` gives a terminal of 80 columns.
    let mut command = Command::new("script");
    command.args(["-qec", &format!("stty cols 80 rows 50; {chat}"), "/dev/null"]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let report = without_escapes(&said);
    let report = report.split_once("AI cost report").expect("the report").1;
    for mark in ["](fact:", "](artifact:", "| ---", "**"] {
        assert!(!report.contains(mark), "{mark} in {report}");
    }
    let column = |start: &str| {
        let line = report.lines().find(|line| line.starts_with(start)).expect(start);
        line.trim_end().chars().count()
    };
    assert_eq!(column("Requests  "), column("Input tokens  "), "numbers end in one column");
    assert!(report.contains("[chart on the page: Daily cost]"), "{report}");
    assert!(report.contains("(total.cost)") && report.contains("FROM usage_event"), "{report}");
    assert!(report.contains(&format!("charts: {}", server.url(""))), "{report}");
}

/// Text as a terminal shows it.
fn without_escapes(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    first
        + &pieces
            .map(|piece| piece.trim_start_matches(|c: char| !c.is_ascii_alphabetic()))
            .map(|piece| piece.get(1..).unwrap_or_default())
            .collect::<String>()
}

#[tokio::test]
async fn a_file_sent_to_a_server_is_reported_in_words() {
    let server = Server::real().await;
    let (token, _) = server.demo().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("usage.csv");
    let head = "timestamp,model,input_tokens,output_tokens,cost_usd\n";
    let good = "2026-11-01T10:00:00Z,gpt-4.1,1000,200,0.0036\n";
    let url = server.url("");
    let import = async |text: String, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let arguments = ["import", file.to_str().unwrap(), "--url", &url, "--token", &token];
        run(&[&arguments[..], more].concat()).await
    };
    let broken = import(format!("{head}{good}x,y,z,1,1\n"), &[]).await;
    assert_eq!(broken.code, Some(1), "{}{}", broken.out, broken.err);
    assert!(broken.out.contains("REFUSED") && broken.out.contains("line 3"), "{}", broken.out);
    let sent = import(format!("{head}{good}"), &[]).await;
    assert_eq!(sent.code, Some(0), "{}", sent.err);
    assert!(sent.out.starts_with("usage.csv: imported\n"), "{}", sent.out);
    let again = import(format!("{head}{good}"), &["--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&again.out).unwrap()["duplicates"], 1);
    let nobody = ["import", file.to_str().unwrap(), "--url", "http://127.0.0.1:9", "--token", "x"];
    let mut there = command(&nobody);
    let there = there.current_dir(folder.path()).output().await.unwrap();
    assert_eq!(there.status.code(), Some(1));
    assert!(!folder.path().join("data").exists(), "a client needs no data folder");
    let nobody = run(&nobody).await;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.err.contains("http://127.0.0.1:9"), "{}", nobody.err);
}

#[tokio::test]
async fn a_single_run_is_measured_within_the_rate_limit_and_more_are_told_what_to_do() {
    let server = Server::real().await;
    let url = server.url("");
    let one = run(&["bench", &url, "--connections", "1", "--runs", "1"]).await;
    assert_eq!(one.code, Some(0), "{}", one.err);
    let many = run(&["bench", &url, "--connections", "1", "--runs", "200"]).await;
    assert_eq!(many.code, Some(1), "{}", many.out);
    assert!((many.out + &many.err).contains("goldenpath serve --agents bench"), "{}", many.err);
}

#[tokio::test]
async fn a_bench_checks_every_run_and_prints_json() {
    let server = Server::bench().await;
    let url = server.url("");
    let pid = server.pid().unwrap().to_string();
    let arguments =
        ["bench", &url, "--connections", "3", "--runs", "4", "--idle", "24", "--pid", &pid];
    let ended = run(&arguments).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let report: Value = serde_json::from_str(&ended.out).unwrap();
    let paths = &report["golden_paths"];
    assert_eq!((&paths["runs"], &paths["failures"]), (&12.into(), &Value::Array(vec![])));
    assert!(paths["entries_per_run"]["min"].as_u64().unwrap() >= 10, "{report}");
    assert_eq!(report["bare"]["golden_paths"]["runs"], 12);
    assert_eq!(report["idle"]["connections"], 24);
    for path in ["single_user_ms", "round_trip_ms"] {
        assert!(report[path]["p50"].as_f64().unwrap() > 0.0, "{report}");
    }
    assert!(report["connect"]["cpu_us_per_connection"].as_f64().unwrap() > 0.0, "{report}");
    assert!(report["bare"]["ratio"]["golden_paths"].as_f64().unwrap() > 0.0, "{report}");
}
