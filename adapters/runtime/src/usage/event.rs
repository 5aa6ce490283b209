//! One usage record, normalised.

use core::fmt;

use serde::{Deserialize, Serialize};

use super::money::Usd;

/// The largest count a row may carry; sums of a million such rows still fit 64 bits.
const MAX_COUNT: i64 = 1_000_000_000_000;

/// One request to a model, or a bucket of them: the canonical record every import format becomes.
///
/// Input tokens *include* cached and cache-write tokens; formats that exclude them are converted on
/// import. Optional texts are absent rather than empty.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct UsageEvent {
    /// The label of the source, part of the row's identity.
    pub source: String,
    /// The row's identity inside its source; see [`UsageEvent::identified`].
    pub source_id: String,
    /// Whether `source_id` names the row by itself (a request id). Otherwise it is a digest of the
    /// row's content, and equal rows of one file are told apart by counting.
    pub identified: bool,
    /// Position in the file, for the count above; starts at 1.
    pub position: u64,
    /// Moment of the request, or start of the bucket, microseconds since the Unix epoch.
    pub ts_us: i64,
    /// `openai`, `anthropic`, … as the price table calls it when known.
    pub provider: Option<String>,
    /// The model as the source calls it.
    pub model_raw: Option<String>,
    /// The model as the price table calls it, else as the source does.
    pub model: Option<String>,
    /// `chat`, `embedding`, …
    pub operation: Option<String>,
    /// `default`, `flex`, `priority`.
    pub service_tier: Option<String>,
    /// Whether it went through a batch API.
    pub batch: bool,
    /// Whether its source marks it as not waited for by anybody: a candidate for batch processing.
    pub deferrable: bool,
    /// Who pays.
    pub team: Option<String>,
    /// The provider's or gateway's project.
    pub project: Option<String>,
    /// Who asked, as the gateway knows them.
    pub user: Option<String>,
    /// Who asked, as the product knows them.
    pub end_user: Option<String>,
    /// What part of the product it served.
    pub feature: Option<String>,
    /// Id or alias of the key; never the key.
    pub api_key_id: Option<String>,
    /// Conversation.
    pub session_id: Option<String>,
    /// Trace.
    pub trace_id: Option<String>,
    /// Further tags, a JSON array or object.
    pub tags: Option<String>,
    /// More than one for bucketed sources.
    pub requests: i64,
    /// All input tokens, cached and cache writes included.
    pub input_tokens: i64,
    /// Input tokens read from a cache.
    pub cached_tokens: i64,
    /// Input tokens written to a cache for five minutes.
    pub cache_write_5m: i64,
    /// Input tokens written to a cache for an hour.
    pub cache_write_1h: i64,
    /// All output tokens, reasoning included.
    pub output_tokens: i64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: i64,
    /// The limit the caller set.
    pub max_tokens: Option<i64>,
    /// Whole duration.
    pub latency_ms: Option<i64>,
    /// Time to the first token.
    pub ttft_ms: Option<i64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The provider's error.
    pub error_code: Option<String>,
    /// `stop`, `length`, `content_filter`, `tool_calls`.
    pub finish_reason: Option<String>,
    /// 1 for the first attempt.
    pub attempt: Option<i64>,
    /// `source_id` of the attempt this one repeats.
    pub retry_of: Option<String>,
    /// Digest of the prompt.
    pub prompt_hash: Option<String>,
    /// Digest of the prompt's reusable beginning.
    pub prefix_hash: Option<String>,
    /// What it cost.
    pub costing: Costing,
}

/// How a request ended.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With an answer, or the source does not say.
    #[default]
    Ok,
    /// With an error.
    Failed,
    /// Without an answer in time.
    TimedOut,
}

impl Outcome {
    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Ok => "ok",
            Self::TimedOut => "timed_out",
        }
    }
}

/// What a row cost, and how we know.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Costing {
    /// What the source says it cost.
    pub reported: Option<Usd>,
    /// What the price table says it cost.
    pub computed: Option<Usd>,
    /// The output's part of `computed`.
    pub computed_output: Option<Usd>,
    /// Which of the two counts.
    pub status: CostStatus,
    /// Where the price comes from: `genai-prices 0.2.1 openai/gpt-4o`.
    pub price_source: Option<String>,
    /// The day whose price was applied, `2026-10-14`.
    pub price_date: Option<String>,
}

impl Costing {
    /// The amount that counts in totals: computed, else reported, else nothing.
    pub fn effective(&self) -> Usd {
        match self.status {
            CostStatus::Priced => self.computed.unwrap_or_default(),
            CostStatus::Reported => self.reported.unwrap_or_default(),
            CostStatus::Unpriced => Usd::ZERO,
        }
    }
}

/// How a row's cost is known.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum CostStatus {
    /// From the price table.
    Priced,
    /// From the source, because the price table does not know the model.
    Reported,
    /// Not at all: totals with such rows are a floor.
    #[default]
    Unpriced,
}

impl CostStatus {
    /// As stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priced => "priced",
            Self::Reported => "reported",
            Self::Unpriced => "unpriced",
        }
    }
}

/// Why a record cannot be one of ours; the text names the field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventFault {
    /// Cached and cache-write tokens exceed the input.
    CacheExceedsInput,
    /// A cost is negative or beyond nine million dollars for one row.
    CostOutOfRange,
    /// A count is negative or absurdly large.
    CountOutOfRange(&'static str),
    /// Reasoning tokens exceed the output.
    ReasoningExceedsOutput,
    /// The moment is before 2000 or after 2200.
    TimestampOutOfRange,
}

impl fmt::Display for EventFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CacheExceedsInput => {
                f.write_str("cached and cache-write tokens exceed input_tokens")
            }
            Self::CostOutOfRange => f.write_str("cost is negative or too large"),
            Self::CountOutOfRange(field) => write!(f, "{field} is negative or too large"),
            Self::ReasoningExceedsOutput => f.write_str("reasoning_tokens exceed output_tokens"),
            Self::TimestampOutOfRange => f.write_str("timestamp is outside the years 2000 to 2200"),
        }
    }
}

impl UsageEvent {
    /// Whether the record can be stored and summed.
    pub fn check(&self) -> Result<(), EventFault> {
        let counts = [
            (self.requests, "requests"),
            (self.input_tokens, "input_tokens"),
            (self.cached_tokens, "cached_tokens"),
            (self.cache_write_5m, "cache_write_tokens"),
            (self.cache_write_1h, "cache_write_1h_tokens"),
            (self.output_tokens, "output_tokens"),
            (self.reasoning_tokens, "reasoning_tokens"),
            (self.max_tokens.unwrap_or(0), "max_tokens"),
            (self.latency_ms.unwrap_or(0), "latency_ms"),
            (self.ttft_ms.unwrap_or(0), "ttft_ms"),
            (self.attempt.unwrap_or(0), "attempt"),
        ];
        if let Some((_, field)) =
            counts.into_iter().find(|(count, _)| !(0..=MAX_COUNT).contains(count))
        {
            return Err(EventFault::CountOutOfRange(field));
        }
        if self.cached_tokens + self.cache_write_5m + self.cache_write_1h > self.input_tokens {
            return Err(EventFault::CacheExceedsInput);
        }
        if self.reasoning_tokens > self.output_tokens {
            return Err(EventFault::ReasoningExceedsOutput);
        }
        let years = 946_684_800_000_000..7_258_118_400_000_000;
        if !years.contains(&self.ts_us) {
            return Err(EventFault::TimestampOutOfRange);
        }
        let costs = [self.costing.reported, self.costing.computed, self.costing.computed_output];
        let storable = |cost: Usd| cost >= Usd::ZERO && i64::try_from(cost.pico()).is_ok();
        if costs.into_iter().flatten().all(storable) {
            Ok(())
        } else {
            Err(EventFault::CostOutOfRange)
        }
    }
}
