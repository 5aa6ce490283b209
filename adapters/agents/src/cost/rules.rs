//! The optimization rules and how their savings add up.
//!
//! Every rule looks at groups of requests (one model, one feature) and says what they would cost less.
//! A saving is computed twice: *alone*, as if nothing else were done, and *in sequence*, on what the
//! levers before it have left: waste first, then verbosity, then the smaller model, then the batch price.
//! Savings in sequence can be added; they never exceed the spend.

mod findings;
#[cfg(test)]
mod tests;
mod waterfall;

use goldenpath_runtime::usage::{Day, LeverGroup, Usd};
use serde::{Deserialize, Serialize};

pub use findings::{Quality, quality};
pub use waterfall::{Waterfall, WaterfallStep};

use super::facts::{Unit, Value};
use super::ladder::next_smaller;
use super::prices::{PriceTable, Rates, Terms};
use super::thresholds::{Shares, Thresholds};

/// How far to trust a statement.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// An indication.
    Low,
    /// Likely.
    Medium,
    /// Sure, as far as the data go.
    High,
}

impl Confidence {
    /// As said to people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
            Self::Medium => "medium",
        }
    }

    /// Weight in the ranking, in percent.
    const fn weight(self) -> i128 {
        match self {
            Self::High => 100,
            Self::Low => 40,
            Self::Medium => 70,
        }
    }
}

/// A rule that saves money, in the order the levers are applied.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub enum Rule {
    /// Retry waste.
    R6,
    /// Failed and cut answers.
    R7,
    /// Verbose outputs.
    R10,
    /// A smaller model.
    R1,
    /// The batch API.
    R4,
}

impl Rule {
    /// Every rule, in the order the levers are applied: volume first, then price.
    pub const ALL: [Self; 5] = [Self::R6, Self::R7, Self::R10, Self::R1, Self::R4];

    /// Its name in the list of rules.
    pub const fn id(self) -> &'static str {
        match self {
            Self::R1 => "R1",
            Self::R4 => "R4",
            Self::R6 => "R6",
            Self::R7 => "R7",
            Self::R10 => "R10",
        }
    }

    /// As said to people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::R1 => "Use a smaller model where it is enough",
            Self::R4 => "Send work nobody waits for through the batch API",
            Self::R6 => "Stop paying twice for retried requests",
            Self::R7 => "Avoid failed and cut-off answers",
            Self::R10 => "Limit the longest outputs",
        }
    }

    /// As said in a chart.
    pub const fn short(self) -> &'static str {
        match self {
            Self::R1 => "R1 smaller model",
            Self::R4 => "R4 batch API",
            Self::R6 => "R6 retries",
            Self::R7 => "R7 failed and cut answers",
            Self::R10 => "R10 long outputs",
        }
    }

    /// What to do.
    pub const fn action(self) -> &'static str {
        match self {
            Self::R1 => {
                "Run an evaluation on 200 real samples with the smaller model; route by difficulty if the quality holds."
            }
            Self::R4 => {
                "Submit these requests as batches (answers within 24 hours) instead of one by one."
            }
            Self::R6 => {
                "Retry with backoff on the same connection, make requests idempotent, and time out later than the provider."
            }
            Self::R7 => {
                "Look at the errors of these features; set `max_tokens` to what the feature needs and ask for shorter answers."
            }
            Self::R10 => {
                "Set `max_tokens` near the 95th percentile and ask for concise answers; check the longest outputs by hand."
            }
        }
    }

    /// Effort from 1 (a setting) to 3 (a project).
    const fn effort(self) -> i128 {
        match self {
            Self::R6 | Self::R10 => 1,
            Self::R4 | Self::R7 => 2,
            Self::R1 => 3,
        }
    }
}

/// A saving in three scenarios, never more than what it is a saving of. Alone and in total it grows from
/// low to high; a single step of a sequence may shrink, because the levers before it took more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Saving {
    /// Cautious.
    pub low: Usd,
    /// Expected.
    pub expected: Usd,
    /// Everything goes well.
    pub high: Usd,
}

impl Saving {
    fn from_each([low, expected, high]: [Usd; 3]) -> Self {
        Self { low, expected, high }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            low: self.low + other.low,
            expected: self.expected + other.expected,
            high: self.high + other.high,
        }
    }

    /// The saving of `window_days` days, per month of thirty days.
    pub fn monthly(self, window_days: i32) -> Self {
        let month = |amount: Usd| amount.scaled(30, i128::from(window_days.max(1)));
        Self { low: month(self.low), expected: month(self.expected), high: month(self.high) }
    }
}

/// One group to which a rule applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// The model.
    pub model: Option<String>,
    /// The feature.
    pub feature: Option<String>,
    /// The model to use instead, for R1.
    pub candidate: Option<String>,
    /// What the group costs over the window.
    pub cost: Usd,
    /// Its requests.
    pub requests: i64,
    /// The saving over the window, by itself.
    pub alone: Saving,
    /// The saving over the window, after the levers before.
    pub in_sequence: Saving,
    /// Why the rule applies.
    pub trigger: Trigger,
}

/// Why a rule applies to a group: a sentence with a `{}` for each number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// The sentence.
    pub pattern: String,
    /// The numbers, in order, each with what it is.
    pub values: Vec<(String, Value)>,
}

impl Trigger {
    fn of(pattern: &str, values: &[(&str, Value)]) -> Self {
        let named = |(label, value): &(&str, Value)| ((*label).to_owned(), value.clone());
        Self { pattern: pattern.to_owned(), values: values.iter().map(named).collect() }
    }

    /// The sentence, each number written by `write`.
    pub fn fill(&self, mut write: impl FnMut(&str, &Value) -> String) -> String {
        let mut out = String::new();
        let mut values = self.values.iter();
        for (at, part) in self.pattern.split("{}").enumerate() {
            if let Some((label, value)) = (at > 0).then(|| values.next()).flatten() {
                out.push_str(&write(label, value));
            }
            out.push_str(part);
        }
        out
    }
}

/// A plain count, for a trigger.
const fn number(count: i64) -> Value {
    Value::Count(count, Unit::Number)
}

/// A count of tokens, for a trigger.
const fn tokens(count: i64) -> Value {
    Value::Count(count, Unit::Tokens)
}

/// A rule that applies somewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// The rule.
    pub rule: Rule,
    /// Where it applies, the largest saving first.
    pub hits: Vec<Hit>,
    /// All hits together, by themselves.
    pub alone: Saving,
    /// All hits together, after the levers before.
    pub in_sequence: Saving,
    /// How far to trust it.
    pub confidence: Confidence,
    /// Why no further.
    pub reasons: Vec<String>,
    /// The formula with names.
    pub formula: String,
}

impl Recommendation {
    /// What it is worth doing first: expected saving by confidence and effort.
    pub fn rank(&self) -> i128 {
        self.in_sequence.expected.pico() * self.rule_weight() / (100 * self.rule.effort())
    }

    const fn rule_weight(&self) -> i128 {
        self.confidence.weight()
    }
}

/// Applies every rule to the groups of a window of so many days. `day` selects the prices of the levers:
/// savings lie in the future, so it is today.
pub fn apply(
    groups: &[LeverGroup],
    window_days: i32,
    day: Day,
    prices: &PriceTable,
    thresholds: &Thresholds,
) -> Waterfall {
    waterfall::build(
        groups,
        window_days,
        &|group, rule| ratio(group, rule, day, prices, thresholds),
        thresholds,
    )
}

/// What a rule does to a group: which part of its cost it can touch, and which share of that it saves.
#[derive(Clone, Debug)]
struct Effect {
    shares: Shares,
    /// Part of the touched cost that a full success saves: numerator and denominator.
    part: (i128, i128),
    candidate: Option<String>,
    trigger: Trigger,
    confidence: Confidence,
}

/// Whether and how a rule applies to a group.
fn ratio(
    group: &LeverGroup,
    rule: Rule,
    day: Day,
    prices: &PriceTable,
    thresholds: &Thresholds,
) -> Option<Effect> {
    match rule {
        Rule::R1 => right_sizing(group, day, prices, thresholds),
        Rule::R4 => batch(group, day, prices, thresholds),
        Rule::R6 => retries(group, thresholds),
        Rule::R7 => errors(group, thresholds),
        Rule::R10 => verbosity(group, thresholds),
    }
}

const WHOLE: (i128, i128) = (1, 1);

fn retries(group: &LeverGroup, thresholds: &Thresholds) -> Option<Effect> {
    (group.superseded.cost > Usd::ZERO).then(|| Effect {
        shares: thresholds.retry_shares,
        part: WHOLE,
        candidate: None,
        trigger: Trigger::of(
            "attempts that were paid and then repeated: {}",
            &[("attempts that a retry replaced", number(group.superseded.rows))],
        ),
        confidence: Confidence::High,
    })
}

/// Whether cut answers are frequent enough to count.
fn truncation_counts(group: &LeverGroup, thresholds: &Thresholds) -> bool {
    group.truncated.rows as f64 * 100.0 > thresholds.truncated_percent * group.all.rows as f64
}

fn errors(group: &LeverGroup, thresholds: &Thresholds) -> Option<Effect> {
    let cut =
        if truncation_counts(group, thresholds) { group.truncated } else { Default::default() };
    (group.failed.cost + cut.cost > Usd::ZERO).then(|| Effect {
        shares: thresholds.error_shares,
        part: WHOLE,
        candidate: None,
        trigger: Trigger::of(
            "failed requests that were paid: {}; answers that were cut: {}",
            &[("failed requests", number(group.failed.rows)), ("cut answers", number(cut.rows))],
        ),
        confidence: Confidence::High,
    })
}

fn verbosity(group: &LeverGroup, thresholds: &Thresholds) -> Option<Effect> {
    let lengths = group.lengths;
    if lengths.rows < thresholds.verbosity_min_requests || group.all.excess_output_cost.is_zero() {
        return None;
    }
    let spread = lengths.output_p99 > thresholds.verbosity_ratio * lengths.output_p50.max(1);
    let uncapped = lengths.capped * 2 < lengths.rows;
    let share = group.all.output_cost.pico() * 100;
    let dominant = share > i128::from(thresholds.verbosity_cost_percent) * group.all.cost.pico();
    if !((spread && uncapped) || dominant) {
        return None;
    }
    let mut trigger = Trigger::of(
        "outputs: median {}, 95th percentile {}, 99th percentile {} tokens",
        &[
            ("median output", tokens(lengths.output_p50)),
            ("95th percentile of outputs", tokens(lengths.output_p95)),
            ("99th percentile of outputs", tokens(lengths.output_p99)),
        ],
    );
    if uncapped {
        trigger.pattern.push_str(", no limit set");
    }
    if dominant {
        trigger.pattern.push_str(", output is most of the cost");
    }
    let shares = thresholds.verbosity_shares;
    Some(Effect { shares, part: WHOLE, candidate: None, trigger, confidence: Confidence::Medium })
}

fn right_sizing(
    group: &LeverGroup,
    day: Day,
    prices: &PriceTable,
    thresholds: &Thresholds,
) -> Option<Effect> {
    let lengths = group.lengths;
    let short = lengths.short_outputs * 100 >= thresholds.right_size_short_percent * lengths.rows;
    let small = lengths.output_p95 <= thresholds.right_size_output_p95
        && lengths.input_p95 <= thresholds.right_size_input_p95;
    if lengths.rows < thresholds.right_size_min_requests
        || group.all.output_tokens == 0
        || !(short || small)
    {
        return None;
    }
    let model = group.model.as_deref()?;
    let candidate = next_smaller(model)?;
    let terms = Terms { batch: group.discounted, tier: None };
    let now = prices.rates_on(group.provider.as_deref(), model, &terms, day)?;
    let then = prices.rates_on(group.provider.as_deref(), candidate, &terms, day)?;
    let trigger = Trigger::of(
        "{} of {} outputs have at most {} tokens; inputs up to {} tokens (95th percentile)",
        &[
            ("short outputs", number(lengths.short_outputs)),
            ("outputs", number(lengths.rows)),
            ("tokens of a short output", tokens(thresholds.levers.short_output_tokens)),
            ("95th percentile of inputs", tokens(lengths.input_p95)),
        ],
    );
    Some(Effect {
        shares: thresholds.right_size_shares,
        part: cheaper(&now, &then, group)?,
        candidate: Some(candidate.to_owned()),
        trigger,
        confidence: Confidence::Medium,
    })
}

fn batch(
    group: &LeverGroup,
    day: Day,
    prices: &PriceTable,
    thresholds: &Thresholds,
) -> Option<Effect> {
    let lengths = group.lengths;
    if group.discounted || lengths.rows == 0 {
        return None;
    }
    let model = group.model.as_deref()?;
    let flagged = lengths.deferrable * 2 > lengths.rows;
    let unattended = lengths.attended * 10 <= lengths.rows;
    let night = lengths.night * 100 > thresholds.batch_night_percent * lengths.rows;
    let bursty = burstiness(group) > thresholds.batch_burstiness;
    let enough = lengths.rows >= thresholds.batch_min_requests;
    let looks_like_a_job = enough && unattended && night && bursty;
    if !flagged && !looks_like_a_job {
        return None;
    }
    let provider = group.provider.as_deref();
    let now = prices.rates_on(provider, model, &Terms::standard(), day)?;
    let then = prices.rates_on(provider, model, &Terms::batch(), day)?;
    let part = cheaper(&now, &then, group)?;
    let (shares, confidence, trigger) = if flagged {
        let trigger = Trigger::of(
            "{} of {} requests are marked as deferrable",
            &[
                ("deferrable requests", number(lengths.deferrable)),
                ("requests", number(lengths.rows)),
            ],
        );
        (thresholds.batch_flagged_shares, Confidence::High, trigger)
    } else {
        let trigger = Trigger::of(
            "no user or session, {} of {} requests at night, in bursts (coefficient of variation {})",
            &[
                ("requests at night", number(lengths.night)),
                ("requests", number(lengths.rows)),
                ("variation of hourly requests", Value::Ratio(burstiness(group))),
            ],
        );
        (thresholds.batch_guessed_shares, Confidence::Low, trigger)
    };
    Some(Effect { shares, part, candidate: None, trigger, confidence })
}

/// Coefficient of variation of the requests per hour, over the hours from the first to the last.
fn burstiness(group: &LeverGroup) -> f64 {
    let lengths = group.lengths;
    let hours = lengths.span_hours.max(1) as f64;
    let mean = lengths.rows as f64 / hours;
    let variance = (lengths.hourly_squares as f64 / hours - mean * mean).max(0.0);
    if mean > 0.0 { variance.sqrt() / mean } else { 0.0 }
}

/// Which part of the cost another price saves, for the tokens of this group; none if it is not cheaper.
fn cheaper(now: &Rates, then: &Rates, group: &LeverGroup) -> Option<(i128, i128)> {
    let (now, then) = (now.cost(&group.all), then.cost(&group.all));
    (Usd::ZERO < now && then < now).then(|| ((now - then).pico(), now.pico()))
}
