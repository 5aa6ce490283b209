//! The semantic layer's vocabulary: what may be asked, and what comes back.

use serde::{Deserialize, Serialize};

use super::calendar::Period;
use super::money::Usd;

/// A question to the semantic layer. Only enumerated names reach the SQL text; values are parameters.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// Names the query in the evidence: `totals`, `by-model`.
    pub id: String,
    /// What to compute, in column order; at least one.
    pub metrics: Vec<Metric>,
    /// What to group by, in column order, before the metrics.
    pub dimensions: Vec<Dimension>,
    /// Groups by time as well: the first column then.
    pub grain: Option<Grain>,
    /// All must hold.
    pub filters: Vec<Filter>,
    /// The days to look at.
    pub period: Period,
    /// How the rows are ordered.
    pub order: Order,
    /// At most so many groups; the store has a maximum of its own (10,000).
    pub limit: u32,
}

impl Query {
    /// A query for metrics over a period, ungrouped.
    pub fn of(id: impl Into<String>, period: Period, metrics: &[Metric]) -> Self {
        Self {
            id: id.into(),
            metrics: metrics.to_vec(),
            dimensions: Vec::new(),
            grain: None,
            filters: Vec::new(),
            period,
            order: Order::Groups,
            limit: 10_000,
        }
    }

    /// Grouped by dimensions, the largest first metric first.
    pub fn by(mut self, dimensions: &[Dimension]) -> Self {
        self.dimensions = dimensions.to_vec();
        self.order = Order::FirstMetricDescending;
        self
    }

    /// Grouped by time, the oldest first.
    pub fn over_time(mut self, grain: Grain) -> Self {
        self.grain = Some(grain);
        self.order = Order::Groups;
        self
    }

    /// Restricted.
    pub fn only(mut self, filters: &[Filter]) -> Self {
        self.filters.extend_from_slice(filters);
        self
    }
}

/// What can be computed over a group of rows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Requests with an attempt number above one.
    Attempts,
    /// Input tokens read from a cache.
    CachedTokens,
    /// Input tokens written to a cache.
    CacheWriteTokens,
    /// The effective cost (exact money).
    Cost,
    /// What the price table computed, over rows that also have a reported cost (exact money).
    CostComputedWhereReported,
    /// What the sources reported, over rows that also have a computed cost (exact money).
    CostReportedWhereComputed,
    /// The output's part of the cost (exact money).
    CostOfOutput,
    /// Distinct days with usage.
    Days,
    /// Requests that failed or timed out.
    Errors,
    /// All input tokens.
    InputTokens,
    /// The newest row's moment, microseconds since the Unix epoch.
    Newest,
    /// All output tokens.
    OutputTokens,
    /// Reasoning tokens.
    ReasoningTokens,
    /// Requests.
    Requests,
    /// Stored rows.
    Rows,
    /// Distinct sessions.
    Sessions,
    /// Requests whose cost is unknown.
    UnpricedRequests,
    /// Distinct users (the product's user, else the gateway's).
    Users,
}

/// What rows can be grouped and filtered by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Id or alias of the API key.
    ApiKey,
    /// How the cost is known.
    CostStatus,
    /// The part of the product.
    Feature,
    /// Why the model stopped.
    FinishReason,
    /// The model, as the price table calls it.
    Model,
    /// `chat`, `embedding`, …
    Operation,
    /// `ok`, `failed`, `timed_out`.
    Outcome,
    /// The project.
    Project,
    /// The provider.
    Provider,
    /// The service tier.
    ServiceTier,
    /// The source of the record.
    Source,
    /// The team.
    Team,
    /// The user.
    User,
}

impl Dimension {
    /// As said in a table header.
    pub const fn title(self) -> &'static str {
        match self {
            Self::ApiKey => "API key",
            Self::CostStatus => "Cost status",
            Self::Feature => "Feature",
            Self::FinishReason => "Finish reason",
            Self::Model => "Model",
            Self::Operation => "Operation",
            Self::Outcome => "Outcome",
            Self::Project => "Project",
            Self::Provider => "Provider",
            Self::ServiceTier => "Service tier",
            Self::Source => "Source",
            Self::Team => "Team",
            Self::User => "User",
        }
    }
}

/// The width of a time group, in UTC.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    /// Column value: hours since the Unix epoch.
    Hour,
    /// Column value: days since the Unix epoch.
    Day,
    /// Column value: day number of the week's Monday.
    Week,
    /// Column value: `2026-10`.
    Month,
}

/// A restriction of one dimension.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Which.
    pub dimension: Dimension,
    /// How.
    pub condition: Condition,
}

/// What a filter demands.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// One of these values; at most a hundred.
    In(Vec<String>),
    /// No value.
    Missing,
    /// None of these values, or no value; at most a hundred.
    NotIn(Vec<String>),
    /// Some value.
    Present,
}

/// The order of the groups.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// By the grouping columns, ascending.
    Groups,
    /// By the first metric, the largest first, then by the grouping columns.
    FirstMetricDescending,
}

/// One value of a table.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// No value: not attributed.
    Missing,
    /// A count.
    Count(i64),
    /// Money.
    Money(Usd),
    /// A name.
    Text(String),
}

impl Cell {
    /// The count; zero for anything else.
    pub const fn count(&self) -> i64 {
        if let Self::Count(count) = self { *count } else { 0 }
    }

    /// The money; zero for anything else.
    pub const fn money(&self) -> Usd {
        if let Self::Money(money) = self { *money } else { Usd::ZERO }
    }

    /// The text, if there is one.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    /// The time group.
    Time(Grain),
    /// A dimension's value.
    Group(Dimension),
    /// A metric.
    Value(Metric),
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What the columns hold.
    pub columns: Vec<Column>,
    /// As many cells as columns each.
    pub rows: Vec<Vec<Cell>>,
    /// Whether there are more groups than the limit let through.
    pub truncated: bool,
}

impl Table {
    /// The cell of a row in the column of this metric; `Missing` when there is none.
    pub fn value(&self, row: usize, metric: Metric) -> &Cell {
        let at = self.columns.iter().position(|column| *column == Column::Value(metric));
        at.and_then(|at| self.rows.get(row)?.get(at)).unwrap_or(&Cell::Missing)
    }
}

/// Something computed, with where it comes from.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Answer<T> {
    /// What was computed.
    pub value: T,
    /// Where it comes from.
    pub evidence: Evidence,
}

/// The query behind a number, so that anybody may run it again.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Names the query.
    pub query: String,
    /// The SQL as run.
    pub sql: String,
    /// Its parameters in order, as text; the tenant is shown as `<tenant>`.
    pub params: Vec<String>,
    /// Usage rows that went into the answer.
    pub rows: u64,
}
