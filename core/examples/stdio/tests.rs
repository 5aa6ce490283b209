use super::*;

fn types(frames: &[serde_json::Value]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame["type"].as_str()).collect()
}

#[test]
fn typing_a_question_walks_the_golden_path() {
    let (lines, heard) = mpsc::channel();
    lines.send(r#"{"type":"user_message","payload":{"content":"one two three"}}"#.into()).unwrap();
    let mut lines = Some(lines);
    let mut frames: Vec<serde_json::Value> = Vec::new();
    serve(&heard, |frame| {
        let frame: serde_json::Value = serde_json::from_str(frame).unwrap();
        // Standard input ends once the answer is there.
        if frame["type"] == "run_completed" {
            lines.take();
        }
        frames.push(frame);
    });
    let said = types(&frames);
    assert_eq!(said[0], "connection_ready");
    let place = |kind| said.iter().position(|said| *said == kind).expect(kind);
    let path = [
        "ack",
        "run_started",
        "agent_started",
        "agent_thinking",
        "tool_executing",
        "tool_completed",
        "agent_completed",
        "run_completed",
    ];
    assert!(path.iter().all(|kind| said.contains(kind)), "{said:?}");
    assert!(place("tool_executing") < place("tool_completed"));
    let answer = &frames[place("assistant_message")]["payload"]["content"];
    assert_eq!(answer, "Your question has 3 words.");
}

#[test]
fn nonsense_is_answered_and_the_line_stays_open() {
    let (lines, heard) = mpsc::channel();
    for line in ["nonsense", r#"{"type":"ping"}"#] {
        lines.send(line.to_owned()).unwrap();
    }
    drop(lines);
    let mut frames = Vec::new();
    serve(&heard, |frame| frames.push(serde_json::from_str(frame).unwrap()));
    assert_eq!(types(&frames), ["error", "pong"]);
}
