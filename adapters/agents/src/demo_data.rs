//! Demonstration data: usage records from a seeded generator, labelled `demo-synthetic`.
//!
//! The shape follows real traces (the Azure LLM inference trace 2023 and ServeGen's workloads): lengths
//! are log-normal with heavy tails, requests follow a daily and weekly rhythm, a few features make most
//! of the cost. What no trace has is invented and labelled so: teams, users, errors, retries, dollars.
//! Planted on purpose, for the analysis to find: one runaway day, retries that are paid twice, a
//! classifier on a large model, nightly work nobody waits for, verbose answers, spend without an owner,
//! and a model without a known price.

mod shared;

pub use shared::Demonstration;

use goldenpath_core::seed::Seed;
use goldenpath_runtime::usage::{
    Day, Finish, ImportOutcome, ImportSpec, Outcome, Tenant, UsageError, UsageEvent, UsageStore,
};

use crate::cost::prices::PriceTable;

/// The label of every generated row.
pub const SOURCE: &str = "demo-synthetic";
/// The id of the import that holds them.
pub const IMPORT_ID: &str = "demo";
/// Days generated: a month, and the month before to compare with.
pub const DAYS: i32 = 60;

const HOUR_US: i64 = 3_600_000_000;
const ROWS_PER_WRITE: usize = 1000;

/// When requests arrive: weights of the 24 hours, UTC.
type Rhythm = [u64; 24];
const OFFICE: Rhythm =
    [1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 20, 18, 14, 17, 20, 19, 16, 11, 6, 4, 3, 2, 2, 1];
const ROUND_THE_CLOCK: Rhythm =
    [6, 5, 5, 5, 5, 6, 7, 9, 10, 11, 11, 11, 10, 11, 11, 11, 10, 10, 9, 9, 8, 8, 7, 6];
const NIGHT: Rhythm = [0, 30, 40, 12, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6];

struct Workload {
    feature: Option<&'static str>,
    team: Option<&'static str>,
    provider: &'static str,
    model: &'static str,
    /// Requests on a weekday; a third of that on a weekend, unless it runs by itself.
    per_day: u64,
    rhythm: &'static Rhythm,
    /// Median and spread (in percent of a natural-log unit) of the input.
    input: (f64, f64),
    /// The same of the output.
    output: (f64, f64),
    /// Percent of the requests whose answer is ten times as long.
    verbose_percent: u64,
    /// Percent of the input that is read from a cache when it is.
    cached_percent: i64,
    /// Percent of the output spent on reasoning.
    reasoning_percent: i64,
    /// Distinct users; none for machines.
    users: u64,
    deferrable: bool,
    /// Failed requests in a thousand.
    failures_permille: u64,
    /// Requests in a thousand cut at their limit.
    cut_permille: u64,
    max_tokens: Option<i64>,
}

const NONE: Workload = Workload {
    feature: None,
    team: None,
    provider: "openai",
    model: "gpt-4o",
    per_day: 0,
    rhythm: &OFFICE,
    input: (1000.0, 60.0),
    output: (100.0, 60.0),
    verbose_percent: 0,
    cached_percent: 0,
    reasoning_percent: 0,
    users: 0,
    deferrable: false,
    failures_permille: 10,
    cut_permille: 2,
    max_tokens: None,
};

/// The workload that runs away on the planted day.
const RUNAWAY: usize = 0;

const WORKLOADS: [Workload; 9] = [
    Workload {
        feature: Some("code-assistant"),
        team: Some("platform"),
        provider: "anthropic",
        model: "claude-sonnet-4-6",
        per_day: 28,
        input: (14_000.0, 70.0),
        output: (700.0, 60.0),
        verbose_percent: 4,
        cached_percent: 60,
        users: 14,
        failures_permille: 25,
        cut_permille: 30,
        ..NONE
    },
    Workload {
        feature: Some("support-chat"),
        team: Some("support"),
        per_day: 46,
        rhythm: &ROUND_THE_CLOCK,
        input: (3200.0, 80.0),
        output: (330.0, 55.0),
        cached_percent: 40,
        users: 90,
        failures_permille: 30,
        max_tokens: Some(1500),
        ..NONE
    },
    Workload {
        feature: Some("ticket-triage"),
        team: Some("support"),
        per_day: 36,
        rhythm: &ROUND_THE_CLOCK,
        input: (1900.0, 50.0),
        output: (4.0, 35.0),
        max_tokens: Some(16),
        cut_permille: 0,
        ..NONE
    },
    Workload {
        feature: Some("nightly-summaries"),
        team: Some("research"),
        model: "gpt-4.1",
        per_day: 24,
        rhythm: &NIGHT,
        input: (16_000.0, 55.0),
        output: (650.0, 40.0),
        deferrable: true,
        max_tokens: Some(2000),
        ..NONE
    },
    Workload {
        feature: Some("document-extraction"),
        team: Some("growth"),
        model: "gpt-4o-mini",
        per_day: 20,
        input: (5200.0, 75.0),
        output: (420.0, 50.0),
        users: 6,
        max_tokens: Some(4000),
        ..NONE
    },
    Workload {
        feature: Some("semantic-search"),
        team: Some("platform"),
        model: "text-embedding-3-small",
        per_day: 12,
        rhythm: &ROUND_THE_CLOCK,
        input: (420.0, 60.0),
        output: (0.0, 0.0),
        cut_permille: 0,
        ..NONE
    },
    Workload {
        feature: Some("research-planner"),
        team: Some("research"),
        model: "o4-mini",
        per_day: 8,
        input: (2600.0, 60.0),
        output: (2400.0, 50.0),
        reasoning_percent: 72,
        users: 4,
        ..NONE
    },
    Workload { per_day: 15, input: (6500.0, 90.0), output: (620.0, 70.0), users: 9, ..NONE },
    Workload {
        feature: Some("experiments"),
        team: Some("research"),
        provider: "in-house",
        model: "in-house-llama-70b",
        per_day: 3,
        input: (1500.0, 60.0),
        output: (260.0, 60.0),
        users: 2,
        ..NONE
    },
];

/// Generates the rows of [`DAYS`] days up to and including `last_day`, priced, oldest day first. The same
/// seed and day give the same rows.
pub fn generate(seed: u64, last_day: Day, prices: &PriceTable) -> Vec<UsageEvent> {
    let mut generator = Generator { draws: Draws(Seed::new(seed)), rows: Vec::new(), seed };
    let runaway = runaway_day(last_day);
    for day in (0..DAYS).map(|day| last_day.plus(day + 1 - DAYS)) {
        for (at, workload) in WORKLOADS.iter().enumerate() {
            let factor = if at == RUNAWAY && day == runaway { 7 } else { 1 };
            generator.day(day, workload, factor, day.since(last_day) + DAYS);
        }
    }
    for row in &mut generator.rows {
        prices.price(row);
    }
    generator.rows
}

/// The day of the planted anomaly: a weekday about a week before the end.
pub fn runaway_day(last_day: Day) -> Day {
    let day = last_day.plus(-8);
    day.plus(-(day.weekday() as i32 - 4).max(0))
}

/// Gives a tenant the demonstration data, once: a second call does nothing and imports no rows.
pub async fn seed_tenant(
    store: &dyn UsageStore,
    tenant: &Tenant,
    prices: &PriceTable,
    seed: u64,
    last_day: Day,
) -> Result<ImportOutcome, UsageError> {
    let spec = ImportSpec {
        id: IMPORT_ID.into(),
        source: SOURCE.into(),
        name: "demonstration data (synthetic)".into(),
        started_at_us: last_day.plus(1).start_us(),
    };
    let mut writer = match store.begin_import(tenant, spec).await {
        Err(UsageError::ImportExists) => return Ok(ImportOutcome::default()),
        opened => opened?,
    };
    let mut rows = generate(seed, last_day, prices);
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS_PER_WRITE));
        writer.write(core::mem::replace(&mut rows, rest)).await?;
    }
    match writer.finish(Finish::Commit).await {
        // Another connection of the same visitor was faster.
        Err(UsageError::ImportExists) => Ok(ImportOutcome::default()),
        finished => finished,
    }
}

struct Generator {
    draws: Draws,
    rows: Vec<UsageEvent>,
    seed: u64,
}

impl Generator {
    fn day(&mut self, day: Day, workload: &Workload, factor: u64, age: i32) {
        let weekend = day.weekday() >= 5 && !workload.deferrable;
        let base = if weekend { workload.per_day / 3 } else { workload.per_day } as f64;
        // A slow growth of a quarter over the two months, and a day-to-day spread of a tenth.
        let growth = 1.0 + 0.25 * f64::from(age) / f64::from(DAYS);
        let requests = base * growth * (self.draws.normal() * 0.1).exp() * factor as f64;
        for _ in 0..requests.round() as u64 {
            let hour = self.draws.weighted(workload.rhythm);
            let at = day.start_us() + hour * HOUR_US + self.draws.0.below(HOUR_US as u64) as i64;
            self.request(at, workload);
        }
    }

    fn request(&mut self, ts_us: i64, workload: &Workload) {
        let mut row = self.row(ts_us, workload);
        let fails = self.draws.permille(workload.failures_permille);
        if !fails {
            self.push(row);
            return;
        }
        let timed_out = self.draws.permille(400);
        let mut failed = row.clone();
        failed.outcome = if timed_out { Outcome::TimedOut } else { Outcome::Failed };
        failed.error_code = Some(if timed_out { "timeout" } else { "500" }.into());
        failed.finish_reason = None;
        // What was generated before the failure is paid for.
        failed.output_tokens /= 3;
        failed.reasoning_tokens /= 3;
        let retried = self.draws.permille(700);
        self.push(failed);
        if retried {
            row.ts_us += 3_000_000 + self.draws.0.below(40_000_000) as i64;
            row.attempt = Some(2);
            self.push(row);
        }
    }

    fn push(&mut self, mut row: UsageEvent) {
        let number = self.rows.len() + 1;
        row.source_id = format!("{:x}-{number}", self.seed);
        row.position = number as u64;
        self.rows.push(row);
    }

    fn row(&mut self, ts_us: i64, workload: &Workload) -> UsageEvent {
        let draws = &mut self.draws;
        let input_tokens = draws.log_normal(workload.input).clamp(8, 180_000);
        let mut output_tokens = draws.log_normal(workload.output).min(8000);
        if workload.output.0 > 0.0 {
            output_tokens = output_tokens.max(1);
        }
        if draws.0.below(100) < workload.verbose_percent {
            output_tokens *= 10;
        }
        let limit = workload.max_tokens.unwrap_or(16_000);
        let cut = draws.permille(workload.cut_permille) || output_tokens > limit;
        let reads_cache = workload.cached_percent > 0 && draws.permille(550);
        let user = draws.0.below(workload.users.max(1)) + 1;
        let session = draws.0.below(400);
        let feature = workload.feature.unwrap_or("none");
        UsageEvent {
            source: SOURCE.into(),
            identified: true,
            ts_us,
            provider: Some(workload.provider.into()),
            model_raw: Some(workload.model.into()),
            operation: Some(if workload.output.0 > 0.0 { "chat" } else { "embedding" }.into()),
            deferrable: workload.deferrable,
            team: workload.team.map(str::to_owned),
            feature: workload.feature.map(str::to_owned),
            user: (workload.users > 0).then(|| format!("user-{user:02}")),
            session_id: (workload.users > 0).then(|| format!("{feature}-{user:02}-{session}")),
            requests: 1,
            input_tokens,
            cached_tokens: if reads_cache {
                input_tokens * workload.cached_percent / 100
            } else {
                0
            },
            output_tokens: output_tokens.min(limit),
            reasoning_tokens: output_tokens.min(limit) * workload.reasoning_percent / 100,
            max_tokens: workload.max_tokens,
            latency_ms: Some(300 + output_tokens.min(limit) * 14 + draws.0.below(400) as i64),
            ttft_ms: Some(180 + draws.0.below(500) as i64),
            finish_reason: Some(if cut { "length" } else { "stop" }.into()),
            attempt: Some(1),
            prompt_hash: Some(format!("{:016x}", draws.0.draw())),
            ..UsageEvent::default()
        }
    }
}

struct Draws(Seed);

impl Draws {
    /// Strictly between 0 and 1.
    fn uniform(&mut self) -> f64 {
        ((self.0.draw() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (core::f64::consts::TAU * angle).cos()
    }

    fn log_normal(&mut self, (median, spread): (f64, f64)) -> i64 {
        (median * (self.normal() * spread / 100.0).exp()).round() as i64
    }

    fn permille(&mut self, chance: u64) -> bool {
        self.0.below(1000) < chance
    }

    fn weighted(&mut self, weights: &[u64]) -> i64 {
        let mut left = self.0.below(weights.iter().sum());
        for (at, weight) in weights.iter().enumerate() {
            if left < *weight {
                return at as i64;
            }
            left -= weight;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_day() -> Day {
        Day::of_date(2026, 11, 20).unwrap()
    }

    #[test]
    fn the_same_seed_and_day_give_the_same_rows() {
        let prices = PriceTable::bundled();
        let rows = generate(7, last_day(), &prices);
        assert_eq!(rows, generate(7, last_day(), &prices));
        assert_ne!(rows, generate(8, last_day(), &prices));
        assert!((5_000..20_000).contains(&rows.len()), "{}", rows.len());
    }

    #[test]
    fn every_row_is_labelled_synthetic_and_can_be_stored() {
        for row in generate(1, last_day(), &PriceTable::bundled()) {
            assert_eq!(row.source, SOURCE);
            assert_eq!(row.check(), Ok(()));
            let day = Day::of_timestamp(row.ts_us - 120_000_000);
            assert!(day <= last_day() && day.since(last_day()) > -DAYS - 1);
        }
    }

    #[test]
    fn the_runaway_day_is_a_weekday_in_the_last_two_weeks() {
        for offset in 0..7 {
            let last = last_day().plus(offset);
            let runaway = runaway_day(last);
            assert!(runaway.weekday() < 5 && (8..=10).contains(&last.since(runaway)));
        }
    }
}
