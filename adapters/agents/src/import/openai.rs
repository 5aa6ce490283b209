//! OpenAI's usage API: pages of `GET /v1/organization/usage/completions`.

use goldenpath_runtime::usage::UsageEvent;
use serde_json::Value;

use super::litellm::{optional_count, text};
use super::report::{Problem, Reason};

/// The records of one bucket of time.
pub(super) fn events(line: u64, bucket: &Value) -> Vec<Result<UsageEvent, Problem>> {
    let problem = |reason, message: &str| vec![Err(Problem::new(line, reason, message))];
    let Some(bucket) = bucket.as_object() else {
        return problem(Reason::NotARecord, "not a bucket");
    };
    let (start, end) =
        match (optional_count(bucket, "start_time"), optional_count(bucket, "end_time")) {
            (Ok(Some(start)), Ok(end)) => (start, end.unwrap_or(start)),
            (Ok(None), _) => return problem(Reason::MissingField, "start_time is missing"),
            (Err((_, message)), _) | (_, Err((_, message))) => {
                return problem(Reason::BadTimestamp, &message);
            }
        };
    let Some(results) =
        bucket.get("results").or_else(|| bucket.get("result")).and_then(Value::as_array)
    else {
        return problem(Reason::MissingField, "results is missing");
    };
    let read = |result| {
        event(start, end, result).map_err(|(reason, message)| Problem::new(line, reason, message))
    };
    results.iter().map(read).collect()
}

fn event(start: i64, end: i64, result: &Value) -> Result<UsageEvent, (Reason, String)> {
    let result =
        result.as_object().ok_or((Reason::NotARecord, "a result is not an object".to_owned()))?;
    let object = text(result, "object").unwrap_or_default();
    if !object.starts_with("organization.usage.") {
        let message = format!("object is not organization.usage.completions.result: {object:?}");
        return Err((Reason::NotARecord, message));
    }
    let count = |field| optional_count(result, field).map(|count| count.unwrap_or(0));
    let (project, user) = (text(result, "project_id"), text(result, "user_id"));
    let (key, model) = (text(result, "api_key_id"), text(result, "model"));
    let batch = result.get("batch").and_then(Value::as_bool);
    let tier = text(result, "service_tier");
    let parts =
        [project.as_deref(), user.as_deref(), key.as_deref(), model.as_deref(), tier.as_deref()];
    let parts = parts.map(|part| part.unwrap_or("-")).join("|");
    let batch_part = batch.map_or("-", |batch| if batch { "batch" } else { "online" });
    Ok(UsageEvent {
        source_id: format!("{object}|{start}|{end}|{parts}|{batch_part}"),
        identified: true,
        ts_us: start.saturating_mul(1_000_000),
        provider: Some("openai".into()),
        model_raw: model,
        operation: Some(if object.contains("embeddings") { "embedding" } else { "chat" }.into()),
        service_tier: tier,
        batch: batch.unwrap_or(false),
        project,
        user,
        api_key_id: key,
        requests: count("num_model_requests")?,
        input_tokens: count("input_tokens")?,
        cached_tokens: count("input_cached_tokens")?,
        cache_write_5m: count("input_cache_write_tokens")?,
        output_tokens: count("output_tokens")?,
        ..UsageEvent::default()
    })
}
