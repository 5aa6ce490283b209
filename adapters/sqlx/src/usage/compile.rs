//! From the semantic layer's words to parametrised SQL and back to a table.

use core::fmt::Write;

use goldenpath_runtime::usage::{
    Cell, Column, Condition, Dimension, Filter, Grain, Metric, Order, Query, Table, Tenant,
    UsageError, Usd,
};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::Param;

/// No answer has more groups than this.
const MAX_GROUPS: u32 = 10_000;
/// No filter names more values than this.
const MAX_FILTER_VALUES: usize = 100;

/// A query ready to run. Its last column counts the rows read for the whole answer.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Compiled {
    pub(super) sql: String,
    pub(super) params: Vec<Param>,
    limit: usize,
}

/// Compiles a query for one tenant.
pub(super) fn compile(tenant: &Tenant, query: &Query) -> Result<Compiled, UsageError> {
    if query.metrics.is_empty() {
        return Err(UsageError::Refused("a query needs a metric".into()));
    }
    let mut params = vec![
        Param::Tenant(tenant.as_str().to_owned()),
        Param::Number(query.period.from.0.into()),
        Param::Number(query.period.until.0.into()),
    ];
    let grain = query.grain.map(grain_sql);
    let dimensions = query.dimensions.iter().map(|dimension| dimension_sql(*dimension));
    let groups: Vec<&str> = grain.into_iter().chain(dimensions).collect();

    let mut sql = String::from("SELECT ");
    for group in &groups {
        let _ = write!(sql, "{group}, ");
    }
    for metric in &query.metrics {
        let _ = write!(sql, "{}, ", metric_sql(*metric));
    }
    sql.push_str(
        "SUM(COUNT(*)) OVER ()\nFROM usage_event\nWHERE tenant_id = ?1 AND day >= ?2 AND day < ?3",
    );
    for filter in &query.filters {
        push_filter(&mut sql, &mut params, filter)?;
    }
    let limit = query.limit.clamp(1, MAX_GROUPS);
    if !groups.is_empty() {
        let columns =
            |count: usize| (1..=count).map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
        let by_groups = columns(groups.len());
        let _ = write!(sql, "\nGROUP BY {by_groups}\nORDER BY ");
        if let (Order::FirstMetricDescending, Some(first)) = (query.order, query.metrics.first()) {
            let at = groups.len() + 1;
            let _ = write!(sql, "{at} DESC, ");
            if is_money(*first) {
                let _ = write!(sql, "{} DESC, ", at + 1);
            }
        }
        // One more than asked for shows whether there are more.
        let _ = write!(sql, "{by_groups}\nLIMIT {}", limit + 1);
    }
    Ok(Compiled { sql, params, limit: limit as usize })
}

impl Compiled {
    /// The table in the rows of this query.
    pub(super) fn table(&self, query: &Query, rows: &[SqliteRow]) -> Result<Table, UsageError> {
        let time = query.grain.map(Column::Time);
        let groups = query.dimensions.iter().map(|dimension| Column::Group(*dimension));
        let values = query.metrics.iter().map(|metric| Column::Value(*metric));
        let columns: Vec<Column> = time.into_iter().chain(groups).chain(values).collect();
        let read = |row: &SqliteRow| read_row(&columns, row).map_err(super::storage);
        let table_rows = rows.iter().take(self.limit).map(read).collect::<Result<_, _>>()?;
        Ok(Table { columns, rows: table_rows, truncated: rows.len() > self.limit })
    }
}

fn read_row(columns: &[Column], row: &SqliteRow) -> Result<Vec<Cell>, sqlx::Error> {
    let mut cells = Vec::with_capacity(columns.len());
    let mut at = 0;
    for column in columns {
        let (cell, width) = match column {
            Column::Value(metric) if is_money(*metric) => (Cell::Money(money(row, at)?), 2),
            Column::Value(_) => (Cell::Count(row.try_get::<Option<i64>, _>(at)?.unwrap_or(0)), 1),
            Column::Time(Grain::Month) | Column::Group(_) => {
                (row.try_get::<Option<String>, _>(at)?.map_or(Cell::Missing, Cell::Text), 1)
            }
            Column::Time(_) => (Cell::Count(row.try_get(at)?), 1),
        };
        cells.push(cell);
        at += width;
    }
    Ok(cells)
}

/// Money comes as two sums, whole micro-dollars and the pico-dollars beyond: neither can overflow.
pub(super) fn money(row: &SqliteRow, at: usize) -> Result<Usd, sqlx::Error> {
    let micros = row.try_get::<Option<i64>, _>(at)?.unwrap_or(0);
    let rest = row.try_get::<Option<i64>, _>(at + 1)?.unwrap_or(0);
    Ok(Usd::from_micros(micros) + Usd::from_pico(rest.into()))
}

fn push_filter(
    sql: &mut String,
    params: &mut Vec<Param>,
    filter: &Filter,
) -> Result<(), UsageError> {
    let column = dimension_sql(filter.dimension);
    let _ = match &filter.condition {
        Condition::Missing => write!(sql, " AND {column} IS NULL"),
        Condition::Present => write!(sql, " AND {column} IS NOT NULL"),
        Condition::In(values) => write!(sql, " AND {column} IN ({})", marks(params, values)?),
        Condition::NotIn(values) => {
            let marks = marks(params, values)?;
            write!(sql, " AND ({column} IS NULL OR {column} NOT IN ({marks}))")
        }
    };
    Ok(())
}

/// Adds the values of a filter to the parameters; their marks for the text.
fn marks(params: &mut Vec<Param>, values: &[String]) -> Result<String, UsageError> {
    if values.is_empty() || values.len() > MAX_FILTER_VALUES {
        return Err(UsageError::Refused("a filter names 1 to 100 values".into()));
    }
    let first = params.len() + 1;
    params.extend(values.iter().cloned().map(Param::Text));
    let marks: Vec<String> = (first..=params.len()).map(|at| format!("?{at}")).collect();
    Ok(marks.join(", "))
}

const fn grain_sql(grain: Grain) -> &'static str {
    match grain {
        Grain::Day => "day",
        Grain::Hour => "ts_us / 3600000000",
        Grain::Month => "strftime('%Y-%m', day * 86400, 'unixepoch')",
        // Day 0 was a Thursday.
        Grain::Week => "day - (day + 3) % 7",
    }
}

const fn dimension_sql(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::ApiKey => "api_key_id",
        Dimension::CostStatus => "cost_status",
        Dimension::Feature => "feature",
        Dimension::FinishReason => "finish_reason",
        Dimension::Model => "model",
        Dimension::Operation => "operation",
        Dimension::Outcome => "outcome",
        Dimension::Project => "project",
        Dimension::Provider => "provider",
        Dimension::ServiceTier => "service_tier",
        Dimension::Source => "source",
        Dimension::Team => "team",
        Dimension::User => "COALESCE(end_user, user_id)",
    }
}

const fn is_money(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::Cost
            | Metric::CostComputedWhereReported
            | Metric::CostOfOutput
            | Metric::CostReportedWhereComputed
    )
}

const fn metric_sql(metric: Metric) -> &'static str {
    match metric {
        Metric::Attempts => "SUM(CASE WHEN attempt > 1 THEN requests ELSE 0 END)",
        Metric::CacheWriteTokens => "SUM(cache_write_5m + cache_write_1h)",
        Metric::CachedTokens => "SUM(cached_tokens)",
        Metric::Cost => "SUM(cost_pico / 1000000), SUM(cost_pico % 1000000)",
        Metric::CostComputedWhereReported => {
            "SUM(CASE WHEN cost_reported_pico IS NOT NULL THEN cost_computed_pico / 1000000 END), \
             SUM(CASE WHEN cost_reported_pico IS NOT NULL THEN cost_computed_pico % 1000000 END)"
        }
        Metric::CostOfOutput => "SUM(output_cost_pico / 1000000), SUM(output_cost_pico % 1000000)",
        Metric::CostReportedWhereComputed => {
            "SUM(CASE WHEN cost_computed_pico IS NOT NULL THEN cost_reported_pico / 1000000 END), \
             SUM(CASE WHEN cost_computed_pico IS NOT NULL THEN cost_reported_pico % 1000000 END)"
        }
        Metric::Days => "COUNT(DISTINCT day)",
        Metric::Errors => "SUM(CASE WHEN outcome <> 'ok' THEN requests ELSE 0 END)",
        Metric::InputTokens => "SUM(input_tokens)",
        Metric::Newest => "MAX(ts_us)",
        Metric::OutputTokens => "SUM(output_tokens)",
        Metric::ReasoningTokens => "SUM(reasoning_tokens)",
        Metric::Requests => "SUM(requests)",
        Metric::Rows => "COUNT(*)",
        Metric::Sessions => "COUNT(DISTINCT session_id)",
        Metric::UnpricedRequests => {
            "SUM(CASE WHEN cost_status = 'unpriced' THEN requests ELSE 0 END)"
        }
        Metric::Users => "COUNT(DISTINCT COALESCE(end_user, user_id))",
    }
}

#[cfg(test)]
mod tests {
    use goldenpath_runtime::usage::{Day, Period};

    use super::*;

    #[test]
    fn values_of_a_filter_never_reach_the_text() {
        let nasty = "x'); DROP TABLE usage_event; --".to_owned();
        let query = Query::of("q", Period::of_days(Day(1), Day(2)), &[Metric::Cost])
            .by(&[Dimension::Model])
            .only(&[Filter {
                dimension: Dimension::Team,
                condition: Condition::In(vec![nasty.clone()]),
            }]);
        let compiled = compile(&Tenant::at_the_machine("o'hara"), &query).unwrap();
        assert!(
            !compiled.sql.contains("DROP") && !compiled.sql.contains("hara"),
            "{}",
            compiled.sql
        );
        assert_eq!(compiled.params.last(), Some(&Param::Text(nasty)));
        assert_eq!(compiled.params.first().map(Param::shown).as_deref(), Some("<tenant>"));
    }

    #[test]
    fn a_query_without_a_metric_is_refused() {
        let query = Query::of("q", Period::of_days(Day(1), Day(2)), &[]);
        assert!(matches!(
            compile(&Tenant::at_the_machine("a"), &query),
            Err(UsageError::Refused(_))
        ));
    }
}
