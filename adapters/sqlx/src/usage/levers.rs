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

/// Classifies every row (superseded by a retry, failed, truncated, kept), ranks outputs and inputs per
/// group, and sums. Row numbers are nearest ranks; ties cannot change a percentile.
pub(super) const SQL: &str = "\
WITH retried AS (
  SELECT DISTINCT source, retry_of FROM usage_event
  WHERE tenant_id = ?1 AND day >= ?2 AND day <= ?3 AND retry_of IS NOT NULL
), base AS (
  SELECT provider, model, feature, (batch = 1 OR service_tier IS 'flex') AS discounted,
         requests, cost_pico, output_cost_pico, input_tokens, cached_tokens, cache_write_5m, cache_write_1h,
         output_tokens, max_tokens, ts_us / 3600000000 AS hour, (requests = 1) AS single, can_wait,
         COALESCE(end_user, user_id, session_id) IS NOT NULL AS attended,
         outcome, finish_reason,
         (outcome <> 'ok' AND prompt_hash IS NOT NULL AND
          LEAD(ts_us) OVER (PARTITION BY prompt_hash, COALESCE(end_user, user_id), feature ORDER BY ts_us, id)
            - ts_us <= ?4) IS TRUE
         OR (source, source_id) IN (SELECT source, retry_of FROM retried)
         OR (attempt > 1 AND retry_of IS NULL AND prompt_hash IS NULL) IS TRUE AS superseded
  FROM usage_event
  WHERE tenant_id = ?1 AND day >= ?2 AND day < ?3
), ranked AS (
  SELECT *,
         CASE WHEN superseded THEN 'superseded'
              WHEN outcome <> 'ok' THEN 'failed'
              WHEN finish_reason IN ('length', 'content_filter') THEN 'truncated'
              ELSE 'kept' END AS class,
         COUNT(*) OVER grp AS n,
         COUNT(*) OVER (PARTITION BY provider, model, feature, discounted, single, hour) AS in_hour,
         ROW_NUMBER() OVER (PARTITION BY provider, model, feature, discounted, single ORDER BY output_tokens) AS o_rank,
         ROW_NUMBER() OVER (PARTITION BY provider, model, feature, discounted, single ORDER BY input_tokens) AS i_rank
  FROM base
  WINDOW grp AS (PARTITION BY provider, model, feature, discounted, single)
), measured AS (
  SELECT *, MIN(CASE WHEN o_rank * 100 >= n * 95 THEN output_tokens END)
              OVER (PARTITION BY provider, model, feature, discounted, single) AS o95
  FROM ranked
), excess AS (
  SELECT *, CASE WHEN single AND output_tokens > o95 THEN output_tokens - o95 ELSE 0 END AS over_tokens,
            CASE WHEN single AND output_tokens > o95
                 THEN (output_cost_pico / output_tokens) * (output_tokens - o95) ELSE 0 END AS over_pico
  FROM measured
)
SELECT provider, model, feature, discounted,
  COUNT(*), SUM(requests), SUM(cost_pico / 1000000), SUM(cost_pico % 1000000),
  SUM(output_cost_pico / 1000000), SUM(output_cost_pico % 1000000),
  SUM(input_tokens), SUM(cached_tokens), SUM(cache_write_5m), SUM(cache_write_1h), SUM(output_tokens),
  SUM(over_tokens), SUM(over_pico / 1000000), SUM(over_pico % 1000000),
  SUM(class = 'kept'), SUM((class = 'kept') * requests),
  SUM((class = 'kept') * (cost_pico / 1000000)), SUM((class = 'kept') * (cost_pico % 1000000)),
  SUM((class = 'kept') * (output_cost_pico / 1000000)), SUM((class = 'kept') * (output_cost_pico % 1000000)),
  SUM((class = 'kept') * input_tokens), SUM((class = 'kept') * cached_tokens),
  SUM((class = 'kept') * cache_write_5m), SUM((class = 'kept') * cache_write_1h),
  SUM((class = 'kept') * output_tokens), SUM((class = 'kept') * over_tokens),
  SUM((class = 'kept') * (over_pico / 1000000)), SUM((class = 'kept') * (over_pico % 1000000)),
  SUM(class = 'superseded'),
  SUM((class = 'superseded') * (cost_pico / 1000000)), SUM((class = 'superseded') * (cost_pico % 1000000)),
  SUM(class = 'failed'),
  SUM((class = 'failed') * (cost_pico / 1000000)), SUM((class = 'failed') * (cost_pico % 1000000)),
  SUM(class = 'truncated'),
  SUM((class = 'truncated') * (cost_pico / 1000000)), SUM((class = 'truncated') * (cost_pico % 1000000)),
  SUM(single),
  MIN(CASE WHEN single AND o_rank * 100 >= n * 50 THEN output_tokens END),
  MAX(CASE WHEN single THEN o95 END),
  MIN(CASE WHEN single AND o_rank * 100 >= n * 99 THEN output_tokens END),
  MIN(CASE WHEN single AND i_rank * 100 >= n * 50 THEN input_tokens END),
  MIN(CASE WHEN single AND i_rank * 100 >= n * 95 THEN input_tokens END),
  SUM(single AND output_tokens <= ?5), SUM(single AND max_tokens IS NOT NULL),
  SUM(single AND (hour % 24 >= ?6 OR hour % 24 < ?7)), SUM(single AND attended), SUM(single AND can_wait),
  COUNT(DISTINCT CASE WHEN single THEN hour END),
  MAX(CASE WHEN single THEN hour END) - MIN(CASE WHEN single THEN hour END) + 1,
  SUM(single * in_hour),
  SUM(COUNT(*)) OVER ()
FROM excess
GROUP BY provider, model, feature, discounted
ORDER BY SUM(cost_pico / 1000000) DESC, provider, model, feature, discounted
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
