//! What a request costs: the price table, materialised into exact integers.
//!
//! The table is the crate `genai-prices`, whose arithmetic is floating point. We ask it for the price of
//! a thousand tokens of each kind (a million would hit long-context tiers), round that once to whole
//! pico-dollars per token, and multiply integers from then on. Models whose price depends on the length
//! of the input are priced request by request.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use genai_prices::{Calculator, PriceCalculation, PriceRequest, Usage, UsageKey};
use goldenpath_runtime::usage::{CostStatus, Day, Sums, UsageEvent, Usd};

/// The price table and its version, as every priced row names it. A test compares it with `Cargo.lock`.
pub const PRICE_TABLE: &str = "genai-prices 0.2.1";

/// Tokens of a probe: below every tier, large enough for six decimals per million tokens.
const PROBE_TOKENS: f64 = 1000.0;
/// Above every tier known to the table.
const HUGE_INPUT: f64 = 4_000_000.0;
/// Prices that depend on the time of day change at these steps.
const HALF_HOUR_US: i64 = 1_800_000_000;
const DAY_US: i64 = 86_400_000_000;
/// Bounds the cache; it is emptied beyond.
const MAX_CACHED: usize = 20_000;

/// How a request was processed, as far as its price depends on it.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Terms {
    /// Through a batch API.
    pub batch: bool,
    /// `flex`, `priority` or `fast`; anything else is priced as standard.
    pub tier: Option<String>,
}

impl Terms {
    /// Standard, answered at once.
    pub fn standard() -> Self {
        Self::default()
    }

    /// Through the batch API.
    pub fn batch() -> Self {
        Self { batch: true, tier: None }
    }

    fn of(event: &UsageEvent) -> Self {
        Self { batch: event.batch, tier: event.service_tier.clone() }
    }
}

/// The price of one model under given terms on a given day: pico-dollars per token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rates {
    /// The provider whose price this is; none for a price of the user's own.
    pub provider: Option<String>,
    /// The model, as the table calls it.
    pub model: String,
    /// An input token that is neither cached nor written to a cache.
    pub input: Usd,
    /// An input token read from a cache.
    pub cached: Usd,
    /// An input token written to a cache for five minutes.
    pub write_5m: Usd,
    /// An input token written to a cache for an hour.
    pub write_1h: Usd,
    /// An output token.
    pub output: Usd,
    /// An output token spent on reasoning.
    pub reasoning: Usd,
    /// Each request, besides its tokens.
    pub request: Usd,
    /// Whether long inputs cost more: then the rates above are those of short ones.
    pub tiered: bool,
    /// Whether the price depends on the time of day.
    pub hourly: bool,
    /// `genai-prices 0.2.1 openai/gpt-4o` or `override`.
    pub source: String,
}

impl Rates {
    /// What these tokens cost at these rates. Reasoning counts as output.
    pub fn cost(&self, sums: &Sums) -> Usd {
        let special = sums.cached_tokens + sums.cache_write_5m + sums.cache_write_1h;
        self.input.times((sums.input_tokens - special).max(0))
            + self.cached.times(sums.cached_tokens)
            + self.write_5m.times(sums.cache_write_5m)
            + self.write_1h.times(sums.cache_write_1h)
            + self.output.times(sums.output_tokens)
            + self.request.times(sums.requests)
    }
}

/// A price set by the user, in dollars per million tokens; wins over the table for every provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PriceOverride {
    /// The model as the source calls it.
    pub model: String,
    /// Dollars per million input tokens.
    pub input_per_mtok: Usd,
    /// Dollars per million cached input tokens; the input price when absent.
    pub cached_per_mtok: Option<Usd>,
    /// Dollars per million output tokens.
    pub output_per_mtok: Usd,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Key {
    provider: Option<String>,
    model: String,
    terms: Terms,
    /// Start of the day, or of the half hour for models priced by the time of day.
    at_us: i64,
    half_hour: bool,
}

/// Prices by model and day. Share it: looked-up prices are remembered.
pub struct PriceTable {
    table: &'static Calculator,
    overrides: BTreeMap<String, Rates>,
    known: Mutex<BTreeMap<Key, Option<Rates>>>,
}

impl core::fmt::Debug for PriceTable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PriceTable")
            .field("overrides", &self.overrides.len())
            .finish_non_exhaustive()
    }
}

impl Default for PriceTable {
    fn default() -> Self {
        Self::bundled()
    }
}

impl PriceTable {
    /// The table that comes with the program; decoded on first use (some tens of milliseconds).
    pub fn bundled() -> Self {
        Self {
            table: Calculator::bundled(),
            overrides: BTreeMap::new(),
            known: Mutex::new(BTreeMap::new()),
        }
    }

    /// With prices of the user's own.
    pub fn with_overrides(mut self, overrides: impl IntoIterator<Item = PriceOverride>) -> Self {
        for own in overrides {
            let per_token = |per_mtok: Usd| per_mtok.scaled(1, 1_000_000);
            let input = per_token(own.input_per_mtok);
            let output = per_token(own.output_per_mtok);
            let rates = Rates {
                provider: None,
                model: own.model.clone(),
                input,
                cached: own.cached_per_mtok.map_or(input, per_token),
                write_5m: input,
                write_1h: input,
                output,
                reasoning: output,
                request: Usd::ZERO,
                tiered: false,
                hourly: false,
                source: "override".into(),
            };
            self.overrides.insert(own.model, rates);
        }
        self
    }

    /// The rates of a model at a moment; `None` for a model the table does not know.
    pub fn rates(
        &self,
        provider: Option<&str>,
        model: &str,
        terms: &Terms,
        at_us: i64,
    ) -> Option<Rates> {
        if let Some(own) = self.overrides.get(model) {
            return Some(own.clone());
        }
        let key = |half_hour: bool| Key {
            provider: provider.map(str::to_owned),
            model: model.to_owned(),
            terms: terms.clone(),
            at_us: at_us - at_us.rem_euclid(if half_hour { HALF_HOUR_US } else { DAY_US }),
            half_hour,
        };
        let by_day = self.remembered(key(false), || {
            let rates = self.probe(provider, model, terms, at_us)?;
            Some(Rates { hourly: self.varies_by_hour(provider, model, terms, at_us), ..rates })
        })?;
        if !by_day.hourly {
            return Some(by_day);
        }
        self.remembered(key(true), || {
            Some(Rates { hourly: true, ..self.probe(provider, model, terms, at_us)? })
        })
    }

    /// The rates of a model for planning: on a day, at noon.
    pub fn rates_on(
        &self,
        provider: Option<&str>,
        model: &str,
        terms: &Terms,
        day: Day,
    ) -> Option<Rates> {
        self.rates(provider, model, terms, day.start_us() + DAY_US / 2)
    }

    /// Prices a record: fills in the model's name in the table, the computed cost, and where it comes
    /// from. An unknown model keeps its reported cost, or stays unpriced.
    pub fn price(&self, event: &mut UsageEvent) {
        event.model = event.model_raw.clone();
        let reported = event.costing.reported;
        event.costing.status =
            if reported.is_some() { CostStatus::Reported } else { CostStatus::Unpriced };
        let Some(raw) = event.model_raw.as_deref() else { return };
        let terms = Terms::of(event);
        let Some(rates) = self.rates(event.provider.as_deref(), raw, &terms, event.ts_us) else {
            return;
        };
        let Some((total, output)) = self.cost(&rates, event, &terms) else { return };
        event.costing.computed = Some(total);
        event.costing.computed_output = Some(output);
        event.costing.status = CostStatus::Priced;
        event.costing.price_source = Some(rates.source);
        event.costing.price_date = Some(Day::of_timestamp(event.ts_us).to_string());
        event.provider = event.provider.take().or(rates.provider);
        event.model = Some(rates.model);
    }

    fn cost(&self, rates: &Rates, event: &UsageEvent, terms: &Terms) -> Option<(Usd, Usd)> {
        if rates.tiered {
            return self.tiered_cost(event, terms);
        }
        let special = event.cached_tokens + event.cache_write_5m + event.cache_write_1h;
        let output = rates.output.times(event.output_tokens - event.reasoning_tokens)
            + rates.reasoning.times(event.reasoning_tokens);
        let total = rates.input.times(event.input_tokens - special)
            + rates.cached.times(event.cached_tokens)
            + rates.write_5m.times(event.cache_write_5m)
            + rates.write_1h.times(event.cache_write_1h)
            + rates.request.times(event.requests)
            + output;
        Some((total, output))
    }

    /// The tier depends on the input of one request: a bucket is priced as that many average requests.
    fn tiered_cost(&self, event: &UsageEvent, terms: &Terms) -> Option<(Usd, Usd)> {
        let requests = event.requests.max(1) as f64;
        let each = |tokens: i64| tokens as f64 / requests;
        let usage = usage([
            (UsageKey::INPUT_TOKENS, each(event.input_tokens)),
            (UsageKey::CACHE_READ_TOKENS, each(event.cached_tokens)),
            (UsageKey::CACHE_WRITE_TOKENS, each(event.cache_write_5m + event.cache_write_1h)),
            (UsageKey::CACHE_WRITE_1H_TOKENS, each(event.cache_write_1h)),
            (UsageKey::OUTPUT_TOKENS, each(event.output_tokens)),
            (UsageKey::OUTPUT_REASONING_TOKENS, each(event.reasoning_tokens)),
        ]);
        let model = event.model_raw.as_deref()?;
        let price = self.ask(event.provider.as_deref(), model, terms, event.ts_us, &usage)?;
        let pico = |dollars: f64| Usd::from_pico((dollars * requests * 1e12).round() as i128);
        Some((pico(price.total_price), pico(price.output_price)))
    }

    fn remembered(&self, key: Key, look_up: impl FnOnce() -> Option<Rates>) -> Option<Rates> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(rates) = known {
            return rates;
        }
        let rates = look_up();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_CACHED {
            known.clear();
        }
        known.insert(key, rates.clone());
        rates
    }

    fn probe(
        &self,
        provider: Option<&str>,
        model: &str,
        terms: &Terms,
        at_us: i64,
    ) -> Option<Rates> {
        let price = |kinds: &[UsageKey]| {
            let usage = usage(kinds.iter().cloned().map(|kind| (kind, PROBE_TOKENS)));
            self.ask(provider, model, terms, at_us, &usage)
        };
        let nothing = price(&[])?;
        let request = nothing.total_price;
        let per_token = |kinds: &[UsageKey]| {
            let dollars = price(kinds)?.total_price - request;
            Some(Usd::from_pico((dollars / PROBE_TOKENS * 1e12).round() as i128))
        };
        let input = per_token(&[UsageKey::INPUT_TOKENS])?;
        let write = [UsageKey::INPUT_TOKENS, UsageKey::CACHE_WRITE_TOKENS];
        let huge =
            usage([(UsageKey::INPUT_TOKENS, HUGE_INPUT), (UsageKey::OUTPUT_TOKENS, PROBE_TOKENS)]);
        let huge = self.ask(provider, model, terms, at_us, &huge)?;
        let output = per_token(&[UsageKey::OUTPUT_TOKENS])?;
        let as_if_flat = input.as_f64() * HUGE_INPUT + output.as_f64() * PROBE_TOKENS + request;
        Some(Rates {
            cached: per_token(&[UsageKey::INPUT_TOKENS, UsageKey::CACHE_READ_TOKENS])?,
            write_5m: per_token(&write)?,
            write_1h: per_token(&[write.as_slice(), &[UsageKey::CACHE_WRITE_1H_TOKENS]].concat())?,
            reasoning: per_token(&[UsageKey::OUTPUT_TOKENS, UsageKey::OUTPUT_REASONING_TOKENS])?,
            request: Usd::from_pico((request * 1e12).round() as i128),
            tiered: (huge.total_price - as_if_flat).abs() > 1e-6 * as_if_flat.max(1e-6),
            hourly: false,
            source: format!("{PRICE_TABLE} {}/{}", nothing.provider_id, nothing.model_id),
            provider: Some(nothing.provider_id),
            model: nothing.model_id,
            input,
            output,
        })
    }

    fn varies_by_hour(
        &self,
        provider: Option<&str>,
        model: &str,
        terms: &Terms,
        at_us: i64,
    ) -> bool {
        let usage = usage([
            (UsageKey::INPUT_TOKENS, PROBE_TOKENS),
            (UsageKey::OUTPUT_TOKENS, PROBE_TOKENS),
        ]);
        let midnight = at_us - at_us.rem_euclid(DAY_US);
        let at = |half_hour: i64| {
            let price =
                self.ask(provider, model, terms, midnight + half_hour * HALF_HOUR_US, &usage);
            price.map(|price| (price.total_price * 1e12) as i64)
        };
        let first = at(0);
        (1..48).any(|half_hour| at(half_hour) != first)
    }

    /// Asks the table: under the given provider, as a gateway's `provider/model`, by the model alone.
    fn ask(
        &self,
        provider: Option<&str>,
        model: &str,
        terms: &Terms,
        at_us: i64,
        usage: &Usage,
    ) -> Option<PriceCalculation> {
        let gateway = model.contains('/').then_some("litellm");
        let attempts =
            [provider.filter(|name| !name.is_empty()).map(Some), gateway.map(Some), Some(None)];
        attempts.into_iter().flatten().find_map(|provider| {
            let at = UNIX_EPOCH + Duration::from_micros(u64::try_from(at_us).unwrap_or(0));
            let mut request = PriceRequest::new(model, usage).with_timestamp(at);
            if let Some(provider) = provider {
                request = request.with_provider_id(provider);
            }
            if terms.batch {
                request = request.with_price_context("processing", "batch");
            }
            if let Some(tier) = terms.tier.as_deref() {
                request = request.with_price_context("service_tier", tier);
            }
            self.table.calculate(&request).ok()
        })
    }
}

fn usage(parts: impl IntoIterator<Item = (UsageKey, f64)>) -> Usage {
    let mut usage = Usage::new();
    for (kind, tokens) in parts {
        if tokens > 0.0 {
            usage.insert(kind, tokens);
        }
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-10-20, after the table's batch and flex rates begin.
    fn october() -> i64 {
        Day::of_date(2026, 10, 20).unwrap().start_us()
    }

    fn per_mtok(rate: Usd) -> String {
        rate.times(1_000_000).to_string()
    }

    #[test]
    fn prices_are_exact_integers_per_token() {
        let rates =
            PriceTable::bundled().rates(None, "gpt-4o", &Terms::standard(), october()).unwrap();
        assert_eq!((per_mtok(rates.input), per_mtok(rates.output)), ("2.5".into(), "10".into()));
        assert_eq!(per_mtok(rates.cached), "1.25");
        assert_eq!(rates.source, format!("{PRICE_TABLE} openai/gpt-4o"));
        assert!(!rates.tiered && !rates.hourly);
        let mini = PriceTable::bundled().rates(
            Some("openai"),
            "gpt-4o-mini",
            &Terms::standard(),
            october(),
        );
        assert_eq!(mini.unwrap().input.pico(), 150_000);
    }

    #[test]
    fn batch_and_flex_cost_half_where_the_table_has_them() {
        let table = PriceTable::bundled();
        let batch = table.rates(None, "gpt-4o", &Terms::batch(), october()).unwrap();
        assert_eq!((per_mtok(batch.input), per_mtok(batch.output)), ("1.25".into(), "5".into()));
        let flex = Terms { batch: false, tier: Some("flex".into()) };
        let flex = table.rates(None, "gpt-5-mini", &flex, october()).unwrap();
        assert_eq!(per_mtok(flex.output), "1");
    }

    #[test]
    fn a_cheap_request_is_priced_below_the_micro_dollar() {
        let mut event = UsageEvent {
            ts_us: october(),
            model_raw: Some("gpt-4o-mini-2024-07-18".into()),
            requests: 1,
            input_tokens: 3,
            output_tokens: 1,
            ..UsageEvent::default()
        };
        PriceTable::bundled().price(&mut event);
        assert_eq!(event.costing.computed, Usd::parse("0.00000105"));
        assert_eq!(event.model.as_deref(), Some("gpt-4o-mini"));
        assert_eq!(event.provider.as_deref(), Some("openai"));
        assert_eq!(event.costing.price_date.as_deref(), Some("2026-10-20"));
    }

    #[test]
    fn an_unknown_model_stays_unpriced_or_as_reported() {
        let table = PriceTable::bundled();
        let unknown = UsageEvent { model_raw: Some("our-own-7b".into()), ..UsageEvent::default() };
        let mut silent = unknown.clone();
        table.price(&mut silent);
        assert_eq!(
            (silent.costing.status, silent.costing.effective()),
            (CostStatus::Unpriced, Usd::ZERO)
        );
        let mut reported = unknown;
        reported.costing.reported = Usd::parse("0.25");
        table.price(&mut reported);
        assert_eq!(reported.costing.status, CostStatus::Reported);
        assert_eq!(reported.costing.effective(), Usd::parse("0.25").unwrap());
    }

    #[test]
    fn long_inputs_of_tiered_models_cost_more() {
        let table = PriceTable::bundled();
        let before = Day::of_date(2026, 1, 10).unwrap().start_us();
        let rates = table
            .rates(Some("anthropic"), "claude-sonnet-4-6", &Terms::standard(), before)
            .unwrap();
        assert!(rates.tiered);
        let cost = |input_tokens| {
            let mut event = UsageEvent {
                ts_us: before,
                model_raw: Some("claude-sonnet-4-6".into()),
                requests: 1,
                input_tokens,
                ..UsageEvent::default()
            };
            table.price(&mut event);
            event.costing.effective()
        };
        assert_eq!(cost(100_000), Usd::parse("0.3").unwrap());
        assert_eq!(cost(300_000), Usd::parse("1.8").unwrap());
    }

    #[test]
    fn prices_by_the_time_of_day_are_told_apart() {
        let table = PriceTable::bundled();
        let day = Day::of_date(2025, 6, 1).unwrap().start_us();
        let at = |hour: i64| {
            let rates = table.rates(
                Some("deepseek"),
                "deepseek-chat",
                &Terms::standard(),
                day + hour * 3_600_000_000,
            );
            rates.unwrap().output
        };
        assert_ne!(at(2), at(20));
        assert_eq!(at(2), at(3));
    }

    #[test]
    fn a_users_price_wins() {
        let own = PriceOverride {
            model: "our-own-7b".into(),
            input_per_mtok: Usd::parse("0.1").unwrap(),
            cached_per_mtok: None,
            output_per_mtok: Usd::parse("0.4").unwrap(),
        };
        let table = PriceTable::bundled().with_overrides([own]);
        let rates = table.rates(None, "our-own-7b", &Terms::batch(), 0).unwrap();
        assert_eq!(
            (rates.input.pico(), rates.output.pico(), rates.source.as_str()),
            (100_000, 400_000, "override")
        );
    }

    #[test]
    fn the_named_version_is_the_one_in_the_lock_file() {
        let lock = include_str!("../../../../Cargo.lock");
        let (name, version) = PRICE_TABLE.split_once(' ').unwrap();
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")));
    }
}
