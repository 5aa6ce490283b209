//! CSV: any export with a header, and the Azure LLM inference trace.

use std::collections::BTreeMap;

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use goldenpath_runtime::usage::{
    Costing, Outcome, TimestampStyle, UsageEvent, Usd, parse_timestamp,
};
use sha2::{Digest, Sha256};

use super::ImportError;
use super::mapping::{Field, Mapping};
use super::reader::{Metered, is_too_long};
use super::report::{Problem, Reason};

/// The header of the Azure LLM inference trace.
pub(super) const AZURE_HEADER: &str = "TIMESTAMP,ContextTokens,GeneratedTokens";

/// What to do with each record and the line it starts on. `false` ends the reading.
pub(super) type Sink<'s> = dyn FnMut(u64, Result<UsageEvent, Problem>) -> bool + 's;

/// Reads every row. `delimiter` is told from the header.
pub(super) fn read(
    mut file: Metered,
    mapping: &Mapping,
    style: TimestampStyle,
    sink: &mut Sink<'_>,
) -> Result<(), ImportError> {
    let gauge = file.gauge();
    let delimiter = delimiter(file.beginning()?);
    let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(file);
    let columns: Vec<String> = match reader.headers() {
        Ok(headers) => headers.iter().map(str::to_owned).collect(),
        Err(error) => {
            sink(1, Err(broken(&error, 1)));
            return Ok(());
        }
    };
    let places = mapping.resolve(&columns).map_err(ImportError::Mapping)?;
    let mut record = StringRecord::new();
    loop {
        let mut line = reader.position().line();
        let result = match reader.read_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {
                gauge.record_done();
                line = record.position().map_or(line, csv::Position::line);
                let row = Row { record: &record, places: &places, style };
                row.event(columns.len())
                    .map_err(|(reason, message)| Problem::new(line, reason, message))
            }
            Err(error) => {
                let ends = !matches!(error.kind(), ErrorKind::Utf8 { .. });
                if let (ErrorKind::Io(io), false) = (error.kind(), is_too_long(&error)) {
                    return Err(ImportError::Read(io.to_string()));
                }
                if !sink(line, Err(broken(&error, line))) || ends {
                    return Ok(());
                }
                continue;
            }
        };
        if !sink(line, result) {
            return Ok(());
        }
    }
}

fn broken(error: &csv::Error, line: u64) -> Problem {
    let line = error.position().map_or(line, csv::Position::line);
    if is_too_long(error) {
        return Problem::new(
            line,
            Reason::RecordTooLong,
            "a single record exceeds 4 MiB (an unclosed quote?)",
        );
    }
    let message = match error.kind() {
        ErrorKind::Utf8 { .. } => "not valid UTF-8".to_owned(),
        _ => error.to_string(),
    };
    Problem::new(line, Reason::Syntax, message)
}

/// The separator that occurs most in the first line.
fn delimiter(beginning: &[u8]) -> u8 {
    let header = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: &u8| header.iter().filter(|byte| *byte == separator).count();
    // The last maximum wins, so the comma comes last.
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

type Refused = (Reason, String);

struct Row<'r> {
    record: &'r StringRecord,
    places: &'r BTreeMap<Field, usize>,
    style: TimestampStyle,
}

impl Row<'_> {
    fn event(&self, columns: usize) -> Result<UsageEvent, Refused> {
        if self.record.len() != columns {
            let message = format!("{} fields where the header has {columns}", self.record.len());
            return Err((Reason::Syntax, message));
        }
        if let Some(currency) =
            self.text(Field::Currency).filter(|currency| !currency.eq_ignore_ascii_case("usd"))
        {
            return Err((Reason::Currency, currency));
        }
        let (outcome, status_code) = self.outcome();
        let tokens = |field| self.count(field).map(|count| count.unwrap_or(0));
        let id = self.text(Field::Id);
        Ok(UsageEvent {
            identified: id.is_some(),
            source_id: id.unwrap_or_else(|| self.digest()),
            ts_us: self.moment()?,
            provider: self.text(Field::Provider).map(|provider| provider.to_lowercase()),
            model_raw: self.text(Field::Model),
            operation: self.text(Field::Operation),
            service_tier: self.text(Field::ServiceTier).map(|tier| tier.to_lowercase()),
            batch: self.text(Field::Batch).is_some_and(|text| is_yes(&text)),
            team: self.text(Field::Team),
            project: self.text(Field::Project),
            user: self.text(Field::User),
            end_user: self.text(Field::EndUser),
            feature: self.text(Field::Feature),
            api_key_id: self.text(Field::ApiKey),
            session_id: self.text(Field::Session),
            trace_id: self.text(Field::Trace),
            requests: self.count(Field::Requests)?.unwrap_or(1),
            input_tokens: tokens(Field::InputTokens)?,
            cached_tokens: tokens(Field::CachedTokens)?,
            cache_write_5m: tokens(Field::CacheWriteTokens)?,
            cache_write_1h: tokens(Field::CacheWrite1hTokens)?,
            output_tokens: tokens(Field::OutputTokens)?,
            reasoning_tokens: tokens(Field::ReasoningTokens)?,
            max_tokens: self.count(Field::MaxTokens)?,
            latency_ms: self.count(Field::LatencyMs)?,
            ttft_ms: self.count(Field::TtftMs)?,
            outcome,
            error_code: self.text(Field::ErrorCode).or(status_code),
            finish_reason: self.text(Field::FinishReason),
            attempt: self.count(Field::Attempt)?,
            retry_of: self.text(Field::RetryOf),
            prompt_hash: self.text(Field::PromptHash),
            prefix_hash: self.text(Field::PrefixHash),
            costing: Costing { reported: self.cost()?, ..Costing::default() },
            ..UsageEvent::default()
        })
    }

    fn text(&self, field: Field) -> Option<String> {
        let text = self.record.get(*self.places.get(&field)?)?.trim();
        (!text.is_empty() && !text.eq_ignore_ascii_case("null")).then(|| text.to_owned())
    }

    fn moment(&self) -> Result<i64, Refused> {
        let text =
            self.text(Field::Ts).ok_or_else(|| (Reason::MissingField, "ts is empty".to_owned()))?;
        let moment = parse_timestamp(&text, self.style);
        moment.ok_or_else(|| (Reason::BadTimestamp, format!("ts is not a moment: {text:?}")))
    }

    /// A whole number; `1,234` and `12.0` are whole, an empty field is none.
    fn count(&self, field: Field) -> Result<Option<i64>, Refused> {
        let Some(text) = self.text(field) else { return Ok(None) };
        let bad =
            || (Reason::BadNumber, format!("{} is not a whole number: {text:?}", field.name()));
        // Money has the same notation; a whole count is a whole number of dollars.
        let number = Usd::parse(&text).filter(|_| !text.contains('$')).ok_or_else(bad)?;
        let one = Usd::from_micros(1_000_000).pico();
        let whole = number.pico() >= 0 && number.pico() % one == 0;
        let count = i64::try_from(number.pico() / one).ok().filter(|_| whole);
        count.map(Some).ok_or_else(bad)
    }

    fn cost(&self) -> Result<Option<Usd>, Refused> {
        let Some(text) = self.text(Field::Cost) else { return Ok(None) };
        let cost = Usd::parse(&text).filter(|cost| *cost >= Usd::ZERO);
        cost.map(Some)
            .ok_or_else(|| (Reason::BadNumber, format!("cost is not an amount: {text:?}")))
    }

    fn outcome(&self) -> (Outcome, Option<String>) {
        let Some(status) = self.text(Field::Status).map(|status| status.to_lowercase()) else {
            return (Outcome::Ok, None);
        };
        match status.as_str() {
            "408" | "504" | "timed_out" | "timeout" => (Outcome::TimedOut, Some(status)),
            "error" | "fail" | "failed" | "failure" | "false" => (Outcome::Failed, None),
            code if code.len() == 3 && code.starts_with(['4', '5']) => {
                (Outcome::Failed, Some(status))
            }
            _ => (Outcome::Ok, None),
        }
    }

    /// Identifies a row without an id: by everything in it.
    fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for field in self.record {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn is_yes(text: &str) -> bool {
    ["1", "batch", "true", "yes"].iter().any(|yes| text.eq_ignore_ascii_case(yes))
}
