//! The one query behind the optimization rules.

use goldenpath_runtime::usage::{
    Lengths, LeverGroup, LeverLimits, Period, Sums, Tenant, Usd, Wasted,
};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::Param;

/// The parameters of [`SQL`].
pub(super) fn params(tenant: &Tenant, period: Period, limits: &LeverLimits) -> Vec<Param> {
    vec![
        Param::Tenant(tenant.as_str().to_owned()),
        Param::Number(period.from.0.into()),
        Param::Number(period.until.0.into()),
        Param::Number(limits.retry_window_ms.saturating_mul(1000)),
        Param::Number(limits.short_output_tokens),
        Param::Number(limits.night_from_hour),
        Param::Number(limits.night_until_hour),
        Param::Number(limits.groups.into()),
    ]
}

/// Classifies every row (superseded by a retry, failed, truncated, kept), measures the lengths per group,
/// and sums. A moment at midnight sharp is a date without a time: it says nothing about hours. `grp` is one text for the four grouping columns: sorting by it is what takes the time. The
/// materialised steps keep SQLite from evaluating an expression once for each sum.
pub(super) const SQL: &str = "\
WITH base AS MATERIALIZED (
  SELECT id, provider, model, feature, (batch = 1 OR service_tier IS 'flex') AS discounted,
         COALESCE(provider, char(30)) || char(31) || COALESCE(model, char(30)) || char(31)
           || COALESCE(feature, char(30)) || char(31) || (batch = 1 OR service_tier IS 'flex') AS grp,
         requests, cost_pico, output_cost_pico, input_tokens, cached_tokens, cache_write_5m, cache_write_1h,
         output_tokens, max_tokens, ts_us / 3600000000 AS hour, (requests = 1) AS single, can_wait,
         (requests = 1 AND ts_us % 86400000000 <> 0) AS timed,
         COALESCE(end_user, user_id, session_id) IS NOT NULL AS attended,
         outcome, finish_reason, source, source_id,
         (attempt > 1 AND retry_of IS NULL AND prompt_hash IS NULL) IS TRUE AS billed_again
  FROM usage_event
  WHERE tenant_id = ?1 AND day >= ?2 AND day < ?3
), failed_prompts AS (
  SELECT prompt_hash FROM usage_event
  WHERE tenant_id = ?1 AND day >= ?2 AND day < ?3 AND outcome <> 'ok' AND prompt_hash IS NOT NULL
), repeated AS (
  SELECT id, outcome <> 'ok' AND LEAD(ts_us) OVER
           (PARTITION BY prompt_hash, COALESCE(end_user, user_id), feature ORDER BY ts_us, id) - ts_us <= ?4 AS again
  FROM usage_event
  WHERE tenant_id = ?1 AND day >= ?2 AND day < ?3 AND prompt_hash IN (SELECT prompt_hash FROM failed_prompts)
), retried AS (
  SELECT source, retry_of FROM usage_event
  WHERE tenant_id = ?1 AND day >= ?2 AND day <= ?3 AND retry_of IS NOT NULL
), outputs AS (
  SELECT grp, output_tokens AS length,
         SUM(COUNT(*)) OVER (PARTITION BY grp ORDER BY output_tokens) * 100 AS reached,
         SUM(COUNT(*)) OVER (PARTITION BY grp) AS n
  FROM base WHERE single GROUP BY grp, output_tokens
), inputs AS (
  SELECT grp, input_tokens AS length,
         SUM(COUNT(*)) OVER (PARTITION BY grp ORDER BY input_tokens) * 100 AS reached,
         SUM(COUNT(*)) OVER (PARTITION BY grp) AS n
  FROM base WHERE single GROUP BY grp, input_tokens
), output_ranks AS MATERIALIZED (
  SELECT grp, MIN(CASE WHEN reached >= n * 50 THEN length END) AS o50,
         MIN(CASE WHEN reached >= n * 95 THEN length END) AS o95,
         MIN(CASE WHEN reached >= n * 99 THEN length END) AS o99
  FROM outputs GROUP BY grp
), input_ranks AS MATERIALIZED (
  SELECT grp, MIN(CASE WHEN reached >= n * 50 THEN length END) AS i50,
         MIN(CASE WHEN reached >= n * 95 THEN length END) AS i95
  FROM inputs GROUP BY grp
), hours AS MATERIALIZED (
  SELECT grp, COUNT(*) AS active, MAX(hour) - MIN(hour) + 1 AS span, SUM(n * n) AS squares
  FROM (SELECT grp, hour, COUNT(*) AS n FROM base WHERE timed GROUP BY grp, hour) GROUP BY grp
), excess AS MATERIALIZED (
  SELECT base.*,
         CASE WHEN id IN (SELECT id FROM repeated WHERE again) OR billed_again
                OR (source, source_id) IN (SELECT source, retry_of FROM retried) THEN 'superseded'
              WHEN outcome <> 'ok' THEN 'failed'
              WHEN finish_reason IN ('length', 'content_filter') THEN 'truncated'
              ELSE 'kept' END AS class,
         CASE WHEN single AND output_tokens > o95 THEN output_tokens - o95 ELSE 0 END AS over_tokens,
         CASE WHEN single AND output_tokens > o95
              THEN (output_cost_pico / output_tokens) * (output_tokens - o95) ELSE 0 END AS over_pico
  FROM base LEFT JOIN output_ranks USING (grp)
), by_class AS (
  SELECT grp, class, provider, model, feature, discounted,
         COUNT(*) AS n, SUM(requests) AS requests, SUM(cost_pico / 1000000) AS micros, SUM(cost_pico % 1000000) AS rest,
         SUM(output_cost_pico / 1000000) AS out_micros, SUM(output_cost_pico % 1000000) AS out_rest,
         SUM(input_tokens) AS input, SUM(cached_tokens) AS cached, SUM(cache_write_5m) AS write_5m,
         SUM(cache_write_1h) AS write_1h, SUM(output_tokens) AS output,
         SUM(over_tokens) AS over, SUM(over_pico / 1000000) AS over_micros, SUM(over_pico % 1000000) AS over_rest,
         SUM(single) AS singles, SUM(single AND output_tokens <= ?5) AS short, SUM(single AND max_tokens IS NOT NULL) AS capped,
         SUM(timed AND (hour % 24 >= ?6 OR hour % 24 < ?7)) AS night, SUM(single AND attended) AS attended,
         SUM(single AND can_wait) AS can_wait
  FROM excess GROUP BY grp, class
)
SELECT provider, model, feature, discounted,
  SUM(n), SUM(requests), SUM(micros), SUM(rest), SUM(out_micros), SUM(out_rest), SUM(input), SUM(cached),
  SUM(write_5m), SUM(write_1h), SUM(output), SUM(over), SUM(over_micros), SUM(over_rest),
  SUM(IIF(class = 'kept', n, 0)), SUM(IIF(class = 'kept', requests, 0)), SUM(IIF(class = 'kept', micros, 0)),
  SUM(IIF(class = 'kept', rest, 0)), SUM(IIF(class = 'kept', out_micros, 0)), SUM(IIF(class = 'kept', out_rest,
  0)), SUM(IIF(class = 'kept', input, 0)), SUM(IIF(class = 'kept', cached, 0)), SUM(IIF(class = 'kept', write_5m,
  0)), SUM(IIF(class = 'kept', write_1h, 0)), SUM(IIF(class = 'kept', output, 0)), SUM(IIF(class = 'kept', over,
  0)), SUM(IIF(class = 'kept', over_micros, 0)), SUM(IIF(class = 'kept', over_rest, 0)),
  SUM(IIF(class = 'superseded', n, 0)), SUM(IIF(class = 'superseded', micros, 0)), SUM(IIF(class = 'superseded', rest, 0)),
  SUM(IIF(class = 'failed', n, 0)), SUM(IIF(class = 'failed', micros, 0)), SUM(IIF(class = 'failed', rest, 0)),
  SUM(IIF(class = 'truncated', n, 0)), SUM(IIF(class = 'truncated', micros, 0)), SUM(IIF(class = 'truncated', rest, 0)),
  SUM(singles), o50, o95, o99, i50, i95, SUM(short), SUM(capped), SUM(night), SUM(attended), SUM(can_wait),
  active, span, squares, SUM(SUM(n)) OVER ()
FROM by_class LEFT JOIN output_ranks USING (grp) LEFT JOIN input_ranks USING (grp) LEFT JOIN hours USING (grp)
GROUP BY grp
ORDER BY SUM(micros) DESC, provider, model, feature, discounted
LIMIT ?8";

/// Reads columns in order: the select list above and the fields below must stay in step.
struct Columns<'r> {
    row: &'r SqliteRow,
    next: usize,
}

impl Columns<'_> {
    fn count(&mut self) -> i64 {
        let at = self.next;
        self.next += 1;
        self.row.get::<Option<i64>, _>(at).unwrap_or(0)
    }

    fn money(&mut self) -> Usd {
        let micros = self.count();
        Usd::from_micros(micros) + Usd::from_pico(self.count().into())
    }

    fn text(&mut self) -> Option<String> {
        let at = self.next;
        self.next += 1;
        self.row.get(at)
    }

    fn sums(&mut self) -> Sums {
        // A struct expression is evaluated in the order it is written.
        Sums {
            rows: self.count(),
            requests: self.count(),
            cost: self.money(),
            output_cost: self.money(),
            input_tokens: self.count(),
            cached_tokens: self.count(),
            cache_write_5m: self.count(),
            cache_write_1h: self.count(),
            output_tokens: self.count(),
            excess_output_tokens: self.count(),
            excess_output_cost: self.money(),
        }
    }

    fn wasted(&mut self) -> Wasted {
        Wasted { rows: self.count(), cost: self.money() }
    }
}

/// One row of [`SQL`].
pub(super) fn group(row: &SqliteRow) -> LeverGroup {
    let mut columns = Columns { row, next: 0 };
    let (provider, model, feature) = (columns.text(), columns.text(), columns.text());
    let discounted = columns.count() == 1;
    let (all, kept) = (columns.sums(), columns.sums());
    let (superseded, failed, truncated) = (columns.wasted(), columns.wasted(), columns.wasted());
    let lengths = Lengths {
        rows: columns.count(),
        output_p50: columns.count(),
        output_p95: columns.count(),
        output_p99: columns.count(),
        input_p50: columns.count(),
        input_p95: columns.count(),
        short_outputs: columns.count(),
        capped: columns.count(),
        night: columns.count(),
        attended: columns.count(),
        deferrable: columns.count(),
        active_hours: columns.count(),
        span_hours: columns.count(),
        hourly_squares: columns.count(),
    };
    LeverGroup {
        provider,
        model,
        feature,
        discounted,
        all,
        superseded,
        failed,
        truncated,
        kept,
        lengths,
    }
}
