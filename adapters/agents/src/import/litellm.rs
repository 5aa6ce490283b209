//! LiteLLM spend logs: rows of `LiteLLM_SpendLogs` as JSON, from a dump or from `/spend/logs`.

use goldenpath_runtime::usage::{
    Costing, Outcome, TimestampStyle, UsageEvent, Usd, parse_timestamp,
};
use serde_json::{Map, Value};

use super::report::{Problem, Reason};

type Object = Map<String, Value>;
type Refused = (Reason, String);

/// The record of one spend log.
pub(super) fn event(line: u64, record: &Value) -> Result<UsageEvent, Problem> {
    let refused = |(reason, message)| Problem::new(line, reason, message);
    let log =
        record.as_object().ok_or_else(|| refused((Reason::NotARecord, "not an object".into())))?;
    read(log).map_err(refused)
}

fn read(log: &Object) -> Result<UsageEvent, Refused> {
    let missing = |field: &str| (Reason::MissingField, format!("{field} is missing"));
    let request_id = text(log, "request_id").ok_or_else(|| missing("request_id"))?;
    let started = moment(log, "startTime")?.ok_or_else(|| missing("startTime"))?;
    let ended = moment(log, "endTime")?;
    let first_token = moment(log, "completionStartTime")?;
    let metadata = object(log, "metadata");
    let own = object(&metadata, "spend_logs_metadata");
    let usage = object(&metadata, "additional_usage_values");
    let usage_object = object(&metadata, "usage_object");
    let prompt_details = object(&usage_object, "prompt_tokens_details");
    let completion_details = object(&usage_object, "completion_tokens_details");
    let tags = tags(log);

    let cached =
        first_count(&[(&usage, "cache_read_input_tokens"), (&prompt_details, "cached_tokens")])?;
    let writes = first_count(&[(&usage, "cache_creation_input_tokens")])?;
    let reasoning =
        first_count(&[(&completion_details, "reasoning_tokens"), (&usage, "reasoning_tokens")])?;
    let prompt = first_count(&[(log, "prompt_tokens")])?;
    // Older versions exclude an Anthropic model's cache tokens from the prompt. What is too large for
    // a number stays too large, and is refused with the record.
    let in_cache = cached.saturating_add(writes);
    let input_tokens = if in_cache > prompt { prompt.saturating_add(in_cache) } else { prompt };

    let failed = text(log, "status").is_some_and(|status| status.eq_ignore_ascii_case("failure"));
    let error = object(&metadata, "error_information");
    let error_code = text(&error, "error_code").or_else(|| text(&error, "error_class"));
    let timed_out = text(&error, "error_class").is_some_and(|class| class.contains("Timeout"))
        || error_code.as_deref() == Some("408");
    let attempt =
        first_count(&[(&metadata, "billed_retry_attempt"), (&metadata, "attempted_retries")])?;
    let from_cache = text(log, "cache_hit").is_some_and(|hit| hit.eq_ignore_ascii_case("true"));
    let spend = match log.get("spend") {
        None | Some(Value::Null) => None,
        Some(spend) => {
            let bad = || (Reason::BadNumber, format!("spend is not an amount: {spend}"));
            Some(Usd::parse(&plain(spend)).filter(|spend| *spend >= Usd::ZERO).ok_or_else(bad)?)
        }
    };
    let elapsed_ms = |until: Option<i64>| until.map(|until| ((until - started) / 1000).max(0));
    Ok(UsageEvent {
        source_id: request_id,
        identified: true,
        ts_us: started,
        provider: text(log, "custom_llm_provider"),
        model_raw: text(log, "model").or_else(|| text(log, "model_group")),
        operation: Some(if from_cache { CACHE_HIT.into() } else { operation(log) }),
        service_tier: text(&usage_object, "service_tier")
            .or_else(|| text(&metadata, "service_tier")),
        batch: text(log, "call_type").is_some_and(|call| call.contains("batch")),
        deferrable: tags.iter().any(|tag| DEFERRABLE.contains(&tag.to_lowercase().as_str())),
        team: text(&metadata, "user_api_key_team_alias").or_else(|| text(log, "team_id")),
        project: text(&metadata, "user_api_key_project_alias")
            .or_else(|| text(log, "organization_id")),
        user: text(&metadata, "user_api_key_user_id").or_else(|| text(log, "user")),
        end_user: text(log, "end_user"),
        feature: text(&own, "feature")
            .or_else(|| text(&metadata, "feature"))
            .or_else(|| tagged(&tags, "feature"))
            .or_else(|| text(log, "agent_id")),
        api_key_id: text(&metadata, "user_api_key_alias").or_else(|| text(log, "api_key")),
        session_id: text(log, "session_id"),
        trace_id: text(&metadata, "trace_id"),
        tags: (!tags.is_empty()).then(|| Value::from(tags.clone()).to_string()),
        requests: 1,
        input_tokens,
        cached_tokens: cached,
        cache_write_5m: writes,
        output_tokens: first_count(&[(log, "completion_tokens")])?,
        reasoning_tokens: reasoning,
        max_tokens: optional_count(&metadata, "max_tokens")?,
        latency_ms: optional_count(log, "request_duration_ms")?.or_else(|| elapsed_ms(ended)),
        ttft_ms: elapsed_ms(first_token),
        outcome: match (failed, timed_out) {
            (true, true) => Outcome::TimedOut,
            (true, false) => Outcome::Failed,
            (false, _) => Outcome::Ok,
        },
        error_code: error_code.filter(|_| failed),
        finish_reason: text(&metadata, "finish_reason").or_else(|| finish_reason(log)),
        attempt: (attempt > 0).then_some(attempt.saturating_add(1)),
        retry_of: text(&metadata, "retry_of"),
        prompt_hash: text(log, "cache_key").filter(|key| !key.eq_ignore_ascii_case("cache off")),
        costing: Costing {
            reported: spend.or(from_cache.then_some(Usd::ZERO)),
            ..Costing::default()
        },
        ..UsageEvent::default()
    })
}

/// The operation of an answer from the gateway's own cache: no provider was asked, so the price table has
/// no say in its cost.
pub(super) const CACHE_HIT: &str = "cache_hit";

/// Tags that say nobody waits for the answer.
const DEFERRABLE: [&str; 4] = ["async", "batch", "offline", "background"];

fn operation(log: &Object) -> String {
    let call = text(log, "call_type").unwrap_or_default();
    match call.as_str() {
        "" | "acompletion" | "anthropic_messages" | "aresponses" | "atext_completion"
        | "completion" | "responses" | "text_completion" => "chat".into(),
        "aembedding" | "embedding" => "embedding".into(),
        _ => call,
    }
}

fn tags(log: &Object) -> Vec<String> {
    let tags = match log.get("request_tags") {
        // A dump writes the JSON column as text.
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
        Some(tags) => tags.clone(),
        None => Value::Null,
    };
    let Value::Array(tags) = tags else { return Vec::new() };
    tags.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The value of a tag like `feature:search`.
fn tagged(tags: &[String], name: &str) -> Option<String> {
    let value = |tag: &String| {
        tag.split_once([':', '='])
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
    };
    tags.iter().find_map(value).filter(|value| !value.is_empty())
}

fn finish_reason(log: &Object) -> Option<String> {
    let response = object(log, "response");
    let choices = response.get("choices")?.as_array()?;
    Some(choices.first()?.get("finish_reason")?.as_str()?.to_owned())
}

/// A field that is an object, or an object written as text.
pub(super) fn object(parent: &Object, field: &str) -> Object {
    match parent.get(field) {
        Some(Value::Object(object)) => object.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => Object::new(),
    }
}

/// A field that is a non-empty text, a number or a boolean.
pub(super) fn text(parent: &Object, field: &str) -> Option<String> {
    let text = match parent.get(field)? {
        Value::String(text) => text.trim().to_owned(),
        value @ (Value::Number(_) | Value::Bool(_)) => value.to_string(),
        Value::Array(_) | Value::Null | Value::Object(_) => return None,
    };
    (!text.is_empty() && text != "None").then_some(text)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A field that is a whole number, if it is there.
pub(super) fn optional_count(parent: &Object, field: &str) -> Result<Option<i64>, Refused> {
    let Some(value) = parent.get(field) else { return Ok(None) };
    let count = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().filter(|f| f.fract() == 0.0).map(|f| f as i64)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Array(_) | Value::Bool(_) | Value::Object(_) => None,
    };
    match count {
        Some(count) if count >= 0 => Ok(Some(count)),
        _ => Err((Reason::BadNumber, format!("{field} is not a whole number: {value}"))),
    }
}

fn first_count(places: &[(&Object, &str)]) -> Result<i64, Refused> {
    for (parent, field) in places {
        if let Some(count) = optional_count(parent, field)? {
            return Ok(count);
        }
    }
    Ok(0)
}

fn moment(log: &Object, field: &str) -> Result<Option<i64>, Refused> {
    let Some(text) = text(log, field) else { return Ok(None) };
    let moment = parse_timestamp(&text, TimestampStyle::MonthFirst);
    moment
        .map(Some)
        .ok_or_else(|| (Reason::BadTimestamp, format!("{field} is not a moment: {text}")))
}
