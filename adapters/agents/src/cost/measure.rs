//! Measuring: the queries of an analysis, each a function of its own so that tools can run them in
//! parallel, and what they answer.

use core::fmt;

use futures_util::future::{join, join4, try_join_all};
use goldenpath_runtime::usage::{
    Answer, Cell, Condition, Coverage, Day, Dimension, Filter, Grain, LeverGroup, LeverLimits,
    Metric, Period, Query, Table, Tenant, UsageError, UsageStore, Usd,
};
use serde::{Deserialize, Serialize};

use super::display;
use super::thresholds::Thresholds;
use super::triage::{NAMED, Vocabulary};

/// What an analysis looks at.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// The days.
    pub period: Period,
    /// Only these rows.
    pub filters: Vec<Filter>,
}

impl Scope {
    /// A period, everything in it.
    pub fn of(period: Period) -> Self {
        Self { period, filters: Vec::new() }
    }

    /// The period a question means when it names none: the last days with data, `default_days` at most.
    /// `None` without data.
    pub fn default_period(coverage: &Coverage, thresholds: &Thresholds) -> Option<Period> {
        let (first, last) = coverage.days?;
        let earliest = last.plus(1 - thresholds.default_days.max(1));
        Some(Period::of_days(first.max(earliest), last))
    }

    /// Whether its filters leave or take whole groups of the savings rules: those of one provider, model
    /// and feature. A part of a group cannot be examined.
    pub fn is_of_groups(&self) -> bool {
        let whole = |filter: &Filter| {
            matches!(filter.dimension, Dimension::Feature | Dimension::Model | Dimension::Provider)
        };
        self.filters.iter().all(whole)
    }

    /// Its filters inside a sentence: `for the team “support” without the model “gpt-4o”`; `None` when
    /// it covers everything.
    pub fn only(&self) -> Option<String> {
        let (with, without): (Vec<&Filter>, Vec<&Filter>) = self
            .filters
            .iter()
            .partition(|filter| matches!(filter.condition, Condition::In(_) | Condition::Present));
        let all = |filters: Vec<&Filter>| {
            display::list(&filters.into_iter().map(restriction).collect::<Vec<_>>())
        };
        let with = (!with.is_empty()).then(|| format!("for {}", all(with)));
        let without = (!without.is_empty()).then(|| format!("without {}", all(without)));
        let parts: Vec<String> = with.into_iter().chain(without).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    fn previous(&self) -> Self {
        Self { period: self.period.previous(), filters: self.filters.clone() }
    }
}

/// Names a sentence lists before "others".
const NAMES_TOLD: usize = 6;

/// Whether a filter leaves a group of the savings rules.
fn leaves(filter: &Filter, group: &LeverGroup) -> bool {
    let value = match filter.dimension {
        Dimension::Feature => &group.feature,
        Dimension::Model => &group.model,
        Dimension::Provider => &group.provider,
        _ => return false,
    };
    match &filter.condition {
        Condition::In(values) => value.as_ref().is_some_and(|value| values.contains(value)),
        Condition::Missing => value.is_none(),
        Condition::NotIn(values) => !value.as_ref().is_some_and(|value| values.contains(value)),
        Condition::Present => value.is_some(),
    }
}

/// A dimension inside a sentence: "team", "API key".
pub fn noun(dimension: Dimension) -> String {
    let title = dimension.title();
    if title.starts_with("API") { title.to_owned() } else { title.to_lowercase() }
}

/// One filter in words.
fn restriction(filter: &Filter) -> String {
    let title = noun(filter.dimension);
    match &filter.condition {
        Condition::In(values) | Condition::NotIn(values) => {
            let quoted = values.iter().take(NAMES_TOLD).map(|value| format!("“{value}”"));
            let others = (values.len() > NAMES_TOLD).then(|| String::from("others"));
            let names = display::list(&quoted.chain(others).collect::<Vec<_>>());
            format!("the {title}{} {names}", if values.len() == 1 { "" } else { "s" })
        }
        Condition::Missing | Condition::Present => format!("any {title}"),
    }
}

/// Sums over a period: what totals, unit costs and ratios are made of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Effective cost.
    pub cost: Usd,
    /// The output's part of it.
    pub output_cost: Usd,
    /// What sources reported, where a price is known too.
    pub reported: Usd,
    /// What the price table computed, where a source reported too.
    pub computed: Usd,
    /// Rows.
    pub rows: i64,
    /// Requests.
    pub requests: i64,
    /// Failed requests.
    pub errors: i64,
    /// Requests without a known cost.
    pub unpriced: i64,
    /// Input tokens, cached included.
    pub input_tokens: i64,
    /// Cached input tokens.
    pub cached_tokens: i64,
    /// Output tokens, reasoning included.
    pub output_tokens: i64,
    /// Reasoning tokens.
    pub reasoning_tokens: i64,
    /// Distinct sessions.
    pub sessions: i64,
    /// Distinct users.
    pub users: i64,
    /// Days with usage.
    pub days: i64,
}

const TOTALS: [Metric; 15] = [
    Metric::Cost,
    Metric::CostOfOutput,
    Metric::CostReportedWhereComputed,
    Metric::CostComputedWhereReported,
    Metric::Rows,
    Metric::Requests,
    Metric::Errors,
    Metric::UnpricedRequests,
    Metric::InputTokens,
    Metric::CachedTokens,
    Metric::OutputTokens,
    Metric::ReasoningTokens,
    Metric::Sessions,
    Metric::Users,
    Metric::Days,
];

impl Totals {
    fn read(table: &Table) -> Self {
        let money = |metric| table.value(0, metric).money();
        let count = |metric| table.value(0, metric).count();
        Self {
            cost: money(Metric::Cost),
            output_cost: money(Metric::CostOfOutput),
            reported: money(Metric::CostReportedWhereComputed),
            computed: money(Metric::CostComputedWhereReported),
            rows: count(Metric::Rows),
            requests: count(Metric::Requests),
            errors: count(Metric::Errors),
            unpriced: count(Metric::UnpricedRequests),
            input_tokens: count(Metric::InputTokens),
            cached_tokens: count(Metric::CachedTokens),
            output_tokens: count(Metric::OutputTokens),
            reasoning_tokens: count(Metric::ReasoningTokens),
            sessions: count(Metric::Sessions),
            users: count(Metric::Users),
            days: count(Metric::Days),
        }
    }
}

/// One group of a breakdown. No name: the rows that carry none.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// The group.
    pub name: Option<String>,
    /// Effective cost.
    pub cost: Usd,
    /// Requests.
    pub requests: i64,
    /// Requests without a known cost.
    pub unpriced: i64,
    /// Input tokens.
    pub input_tokens: i64,
    /// Output tokens.
    pub output_tokens: i64,
}

/// Cost by one dimension, the most expensive first. All groups together are the total of the scope.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Breakdown {
    /// The dimension.
    pub dimension: Dimension,
    /// Its groups.
    pub groups: Vec<Share>,
    /// Whether there are more groups than were read; then they are missing here.
    pub truncated: bool,
}

/// One group on one day.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct DayShare {
    /// The day.
    pub day: Day,
    /// The model.
    pub model: Option<String>,
    /// The feature.
    pub feature: Option<String>,
    /// Effective cost.
    pub cost: Usd,
    /// Requests.
    pub requests: i64,
}

/// A measurement that did not succeed: the report says so and goes on.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    /// What is missing.
    pub what: String,
    /// Why, in words.
    pub why: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Everything measured for one analysis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// What data there are.
    pub coverage: Option<Answer<Coverage>>,
    /// Sums over the period.
    pub totals: Option<Answer<Totals>>,
    /// Sums over the period before.
    pub previous: Option<Answer<Totals>>,
    /// Breakdowns by model, feature, team, in this order.
    pub breakdowns: Vec<Answer<Breakdown>>,
    /// Cost by day, model and feature.
    pub daily: Option<Answer<Vec<DayShare>>>,
    /// What the rules need.
    pub levers: Option<Answer<Vec<LeverGroup>>>,
    /// What could not be measured.
    pub missing: Vec<Missing>,
}

/// Sums over the scope.
pub async fn totals(
    store: &dyn UsageStore,
    tenant: &Tenant,
    scope: &Scope,
) -> Result<Answer<Totals>, UsageError> {
    sums(store, tenant, "totals", scope).await
}

/// Sums over the period of the same length before.
pub async fn previous(
    store: &dyn UsageStore,
    tenant: &Tenant,
    scope: &Scope,
) -> Result<Answer<Totals>, UsageError> {
    sums(store, tenant, "previous-totals", &scope.previous()).await
}

async fn sums(
    store: &dyn UsageStore,
    tenant: &Tenant,
    id: &str,
    scope: &Scope,
) -> Result<Answer<Totals>, UsageError> {
    let query = Query::of(id, scope.period, &TOTALS).only(&scope.filters);
    let answer = store.query(tenant, &query).await?;
    Ok(Answer { value: Totals::read(&answer.value), evidence: answer.evidence })
}

/// Cost by a dimension.
pub async fn breakdown(
    store: &dyn UsageStore,
    tenant: &Tenant,
    scope: &Scope,
    dimension: Dimension,
) -> Result<Answer<Breakdown>, UsageError> {
    let metrics = [
        Metric::Cost,
        Metric::Requests,
        Metric::UnpricedRequests,
        Metric::InputTokens,
        Metric::OutputTokens,
    ];
    let id = format!("by-{}", dimension.title().to_lowercase().replace(' ', "-"));
    let query = Query::of(id, scope.period, &metrics).by(&[dimension]).only(&scope.filters);
    let answer = store.query(tenant, &query).await?;
    let group = |row: &Vec<Cell>| match row.as_slice() {
        [name, cost, requests, unpriced, input, output] => Some(Share {
            name: name.text().map(str::to_owned),
            cost: cost.money(),
            requests: requests.count(),
            unpriced: unpriced.count(),
            input_tokens: input.count(),
            output_tokens: output.count(),
        }),
        _ => None,
    };
    let groups = answer.value.rows.iter().filter_map(group).collect();
    let value = Breakdown { dimension, groups, truncated: answer.value.truncated };
    Ok(Answer { value, evidence: answer.evidence })
}

/// The names in all records of a tenant: what a question may mean.
///
/// # Errors
/// Those of the store.
pub async fn names(store: &dyn UsageStore, tenant: &Tenant) -> Result<Vocabulary, UsageError> {
    let Some((first, last)) = store.coverage(tenant).await?.value.days else {
        return Ok(Vocabulary::default());
    };
    let period = Period::of_days(first, last);
    let names = NAMED.map(|dimension| async move {
        let id = format!("names-{}", dimension.title().to_lowercase().replace(' ', "-"));
        let query = Query::of(id, period, &[Metric::Requests]).by(&[dimension]);
        let answer = store.query(tenant, &query).await?;
        let names =
            answer.value.rows.iter().filter_map(|row| row.first()?.text().map(str::to_owned));
        Ok::<_, UsageError>((dimension, names.collect::<Vec<_>>()))
    });
    let all = try_join_all(names).await?;
    Ok(all.into_iter().fold(Vocabulary::default(), |all, (by, names)| all.with(by, names)))
}

/// Cost by day, model and feature.
pub async fn daily(
    store: &dyn UsageStore,
    tenant: &Tenant,
    scope: &Scope,
) -> Result<Answer<Vec<DayShare>>, UsageError> {
    let query = Query::of("by-day-model-feature", scope.period, &[Metric::Cost, Metric::Requests])
        .by(&[Dimension::Model, Dimension::Feature])
        .over_time(Grain::Day)
        .only(&scope.filters);
    let answer = store.query(tenant, &query).await?;
    if answer.value.truncated {
        return Err(UsageError::LimitExceeded("groups"));
    }
    let share = |row: &Vec<Cell>| match row.as_slice() {
        [day, model, feature, cost, requests] => Some(DayShare {
            day: Day(i32::try_from(day.count()).ok()?),
            model: model.text().map(str::to_owned),
            feature: feature.text().map(str::to_owned),
            cost: cost.money(),
            requests: requests.count(),
        }),
        _ => None,
    };
    let value = answer.value.rows.iter().filter_map(share).collect();
    Ok(Answer { value, evidence: answer.evidence })
}

/// What the rules need, of the groups the filters leave; see [`Scope::is_of_groups`].
pub async fn levers(
    store: &dyn UsageStore,
    tenant: &Tenant,
    scope: &Scope,
    limits: &LeverLimits,
) -> Result<Answer<Vec<LeverGroup>>, UsageError> {
    let mut answer = store.levers(tenant, scope.period, limits).await?;
    answer.value.retain(|group| scope.filters.iter().all(|filter| leaves(filter, group)));
    Ok(answer)
}

/// Measures everything, in parallel; what fails is named in [`Measurements::missing`].
pub async fn everything(
    store: &dyn UsageStore,
    tenant: &Tenant,
    scope: &Scope,
    thresholds: &Thresholds,
) -> Measurements {
    let by = |dimension| breakdown(store, tenant, scope, dimension);
    let sums = join4(
        store.coverage(tenant),
        totals(store, tenant, scope),
        previous(store, tenant, scope),
        daily(store, tenant, scope),
    );
    let groups = join4(
        by(Dimension::Model),
        by(Dimension::Feature),
        by(Dimension::Team),
        levers(store, tenant, scope, &thresholds.levers),
    );
    let ((coverage, totals, previous, daily), (model, feature, team, levers)) =
        join(sums, groups).await;
    let mut measurements = Measurements::default();
    measurements.coverage = measurements.keep("what data there are", coverage);
    measurements.totals = measurements.keep("totals", totals);
    measurements.previous = measurements.keep("the period before", previous);
    measurements.daily = measurements.keep("cost by day", daily);
    for (what, breakdown) in
        [("cost by model", model), ("cost by feature", feature), ("cost by team", team)]
    {
        let kept = measurements.keep(what, breakdown);
        measurements.breakdowns.extend(kept);
    }
    if scope.is_of_groups() {
        measurements.levers = measurements.keep("savings", levers);
    }
    measurements
}

impl Measurements {
    /// Keeps an answer, or notes what is missing. The text for the user names no internals.
    pub fn keep<T>(&mut self, what: &str, answer: Result<T, UsageError>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(error) => {
                let why = match error {
                    UsageError::LimitExceeded(limit) => {
                        format!("it took more {limit} than allowed")
                    }
                    UsageError::Refused(why) => why,
                    UsageError::ImportExists | UsageError::Storage(_) => {
                        "the usage store did not answer".into()
                    }
                };
                self.missing.push(Missing { what: what.to_owned(), why });
                None
            }
        }
    }

    /// Cost per day over the whole period; days without usage cost nothing.
    pub fn cost_by_day(&self, period: Period) -> Vec<(Day, Usd)> {
        let shares = self.daily.as_ref().map(|daily| daily.value.as_slice()).unwrap_or_default();
        let mut days: Vec<(Day, Usd)> = period.iter().map(|day| (day, Usd::ZERO)).collect();
        for share in shares {
            let at = usize::try_from(share.day.since(period.from)).ok();
            if let Some((_, cost)) = at.and_then(|at| days.get_mut(at)) {
                *cost += share.cost;
            }
        }
        days
    }
}
