//! Every rule where it applies and where it does not, and what must hold for all of them together.

use goldenpath_runtime::usage::{Lengths, LeverGroup, Sums, Wasted};
use proptest::prelude::*;

use super::*;

fn usd(dollars: i64) -> Usd {
    Usd::from_micros(dollars * 1_000_000)
}

fn day() -> Day {
    Day::of_date(2026, 11, 21).unwrap()
}

/// A thousand ordinary requests of gpt-4o: 100 dollars, half of it output, nothing to complain about.
fn ordinary() -> LeverGroup {
    let sums = Sums {
        rows: 1000,
        requests: 1000,
        cost: usd(100),
        output_cost: usd(50),
        input_tokens: 20_000_000,
        output_tokens: 5_000_000,
        excess_output_tokens: 200_000,
        excess_output_cost: usd(2),
        ..Sums::default()
    };
    LeverGroup {
        provider: Some("openai".into()),
        model: Some("gpt-4o".into()),
        feature: Some("chat".into()),
        all: sums,
        kept: sums,
        lengths: Lengths {
            rows: 1000,
            output_p50: 500,
            output_p95: 900,
            output_p99: 1500,
            input_p50: 10_000,
            input_p95: 20_000,
            capped: 1000,
            night: 250,
            attended: 1000,
            active_hours: 700,
            span_hours: 720,
            hourly_squares: 2000,
            ..Lengths::default()
        },
        ..LeverGroup::default()
    }
}

fn with(change: impl FnOnce(&mut LeverGroup)) -> LeverGroup {
    let mut group = ordinary();
    change(&mut group);
    group
}

/// Makes some rows of a group wasted: they cost so much and are no longer kept.
fn waste(group: &mut LeverGroup, rows: i64, dollars: i64) -> Wasted {
    group.kept.rows -= rows;
    group.kept.cost = group.kept.cost - usd(dollars);
    Wasted { rows, cost: usd(dollars) }
}

fn applied(groups: &[LeverGroup]) -> Waterfall {
    apply(groups, 30, day(), &PriceTable::bundled(), &Thresholds::default())
}

fn saving(group: LeverGroup, rule: Rule) -> Option<Recommendation> {
    applied(&[group]).recommendations.into_iter().find(|found| found.rule == rule)
}

#[test]
fn ordinary_requests_offer_nothing() {
    assert_eq!(applied(&[ordinary()]).recommendations, []);
    assert_eq!(applied(&[]).total, Saving::default());
}

#[test]
fn r6_retries_that_were_paid_twice() {
    let found = saving(with(|group| group.superseded = waste(group, 50, 8)), Rule::R6).unwrap();
    assert_eq!(found.alone, Saving { low: usd(4), expected: usd(6), high: usd(8) });
    assert_eq!(found.confidence, Confidence::High);
    assert_eq!(
        saving(with(|group| group.superseded.rows = 50), Rule::R6),
        None,
        "retries that cost nothing"
    );
}

#[test]
fn r7_failed_answers_always_and_cut_answers_when_frequent() {
    let failed = saving(with(|group| group.failed = waste(group, 10, 4)), Rule::R7).unwrap();
    assert_eq!(failed.alone.high, usd(4));
    let frequent = saving(with(|group| group.truncated = waste(group, 21, 4)), Rule::R7).unwrap();
    assert_eq!(frequent.alone.high, usd(4), "2.1 % of the answers");
    assert_eq!(
        saving(with(|group| group.truncated = waste(group, 20, 4)), Rule::R7),
        None,
        "2.0 % are not above 2 %"
    );
    assert_eq!(
        saving(with(|group| group.failed.rows = 10), Rule::R7),
        None,
        "failures that cost nothing"
    );
}

#[test]
fn r10_long_outputs_without_a_limit_or_dominating_the_cost() {
    let long =
        |group: &mut LeverGroup| (group.lengths.output_p99, group.lengths.capped) = (4001, 100);
    let found = saving(with(long), Rule::R10).unwrap();
    assert_eq!(found.alone, Saving { low: usd(1), expected: usd(2), high: usd(2) });
    let limited = |group: &mut LeverGroup| group.lengths.output_p99 = 4001;
    assert_eq!(saving(with(limited), Rule::R10), None, "the caller sets a limit already");
    let even =
        |group: &mut LeverGroup| (group.lengths.output_p99, group.lengths.capped) = (4000, 0);
    assert_eq!(saving(with(even), Rule::R10), None, "eight times the median is not above it");
    assert!(
        saving(with(|group| group.all.output_cost = usd(61)), Rule::R10).is_some(),
        "61 % of the cost"
    );
    assert_eq!(saving(with(|group| group.all.output_cost = usd(60)), Rule::R10), None);
    let few = |group: &mut LeverGroup| (group.lengths.rows, group.all.output_cost) = (99, usd(90));
    assert_eq!(saving(with(few), Rule::R10), None, "too few requests");
}

#[test]
fn r1_short_outputs_on_a_large_model() {
    let short = |group: &mut LeverGroup| group.lengths.short_outputs = 800;
    let found = saving(with(short), Rule::R1).unwrap();
    assert_eq!(found.hits[0].candidate.as_deref(), Some("gpt-4o-mini"));
    // 20 M · 2.5 + 5 M · 10 = 100 $, on the small model 20 M · 0.15 + 5 M · 0.6 = 6 $: 94 % less.
    assert_eq!(found.alone.low, usd(94).scaled(35, 100));
    assert_eq!(found.alone.expected, usd(94).scaled(60, 100));
    assert_eq!(found.alone.high, usd(94).scaled(85, 100));
    assert_eq!(saving(with(|group| group.lengths.short_outputs = 799), Rule::R1), None);
    let small =
        |group: &mut LeverGroup| (group.lengths.output_p95, group.lengths.input_p95) = (200, 2000);
    assert!(saving(with(small), Rule::R1).is_some());
    for not in [
        |group: &mut LeverGroup| group.model = Some("gpt-4o-mini".into()),
        |group: &mut LeverGroup| group.model = Some("in-house".into()),
        |group: &mut LeverGroup| group.model = None,
        |group: &mut LeverGroup| group.all.output_tokens = 0,
        |group: &mut LeverGroup| group.lengths.rows = 99,
    ] {
        let mut group = with(short);
        not(&mut group);
        assert_eq!(saving(group, Rule::R1), None);
    }
}

#[test]
fn r4_work_nobody_waits_for() {
    let flagged = saving(with(|group| group.lengths.deferrable = 501), Rule::R4).unwrap();
    assert_eq!(flagged.alone.expected, usd(50), "the batch price of gpt-4o is half");
    assert_eq!(flagged.confidence, Confidence::High);
    let job = |group: &mut LeverGroup| {
        (group.lengths.attended, group.lengths.night, group.lengths.hourly_squares) =
            (0, 900, 40_000);
    };
    let guessed = saving(with(job), Rule::R4).unwrap();
    assert_eq!((guessed.alone.expected, guessed.confidence), (usd(25), Confidence::Low));
    for not in [
        |group: &mut LeverGroup| (group.lengths.rows, group.lengths.night) = (99, 99),
        |group: &mut LeverGroup| group.lengths.attended = 101,
        |group: &mut LeverGroup| group.lengths.night = 500,
        |group: &mut LeverGroup| group.lengths.hourly_squares = 2000,
        |group: &mut LeverGroup| group.discounted = true,
        |group: &mut LeverGroup| group.model = Some("deepseek-v3.2".into()),
    ] {
        let mut group = with(job);
        not(&mut group);
        assert_eq!(saving(group, Rule::R4), None);
    }
}

#[test]
fn levers_work_on_what_the_ones_before_have_left() {
    let group = with(|group| {
        group.superseded = waste(group, 10, 20);
        group.lengths.short_outputs = 1000;
        group.lengths.deferrable = 1000;
    });
    let waterfall = applied(&[group]);
    let of = |rule| waterfall.recommendations.iter().find(|found| found.rule == rule).unwrap();
    // 80 $ kept: 94 % · 60 % to the smaller model, half of the rest by batch.
    let small = usd(80).scaled(94, 100).scaled(60, 100);
    assert_eq!(of(Rule::R1).in_sequence.expected, small);
    assert_eq!(of(Rule::R4).in_sequence.expected, (usd(80) - small).scaled(1, 2));
    // Alone it is applied to all that was spent, the retries included.
    assert_eq!(of(Rule::R4).alone.expected, usd(50));
    assert_eq!(of(Rule::R1).alone.expected, usd(94).scaled(60, 100));
    let last = waterfall.steps.last().unwrap();
    assert_eq!(last.remaining, waterfall.remaining());
}

#[test]
fn few_days_or_requests_limit_the_confidence() {
    let group = with(|group| group.superseded = waste(group, 50, 8));
    let on = |days| {
        apply(
            core::slice::from_ref(&group),
            days,
            day(),
            &PriceTable::bundled(),
            &Thresholds::default(),
        )
    };
    let confidence = |days| on(days).recommendations[0].confidence;
    assert_eq!(
        [confidence(3), confidence(7), confidence(14)],
        [Confidence::Low, Confidence::Medium, Confidence::High]
    );
    assert!(!on(3).recommendations[0].reasons.is_empty());
}

#[test]
fn a_month_is_thirty_days() {
    let saving = Saving { low: usd(1), expected: usd(2), high: usd(3) };
    assert_eq!(saving.monthly(15), Saving { low: usd(2), expected: usd(4), high: usd(6) });
}

fn any_group() -> impl Strategy<Value = LeverGroup> {
    let names = (
        prop::option::of(prop::sample::select(vec![
            "gpt-4o",
            "gpt-4.1",
            "claude-sonnet-4-6",
            "o4-mini",
            "unknown",
        ])),
        prop::option::of(prop::sample::select(vec!["a", "b", "c"])),
        any::<bool>(),
    );
    let costs = prop::array::uniform4(0i64..1_000_000_000);
    let counts = (0i64..5000, 0i64..300, 0i64..300, 0i64..300);
    let tokens = (0i64..50_000_000, 0i64..9_000_000, 0u8..=100, 0u8..=100);
    let shape = prop::array::uniform6(0i64..6000);
    let shares = prop::array::uniform5(0u8..=100);
    (names, costs, counts, tokens, shape, shares).prop_map(
        |(
            (model, feature, discounted),
            costs,
            (kept, superseded, failed, cut),
            (input, output, out, excess),
            shape,
            shares,
        )| {
            let cost = costs.map(|pico| Usd::from_pico(i128::from(pico) * 1000));
            let rows = kept + superseded + failed + cut;
            let part = |percent: u8| rows * i64::from(percent) / 100;
            let sums = |rows: i64, cost: Usd| {
                let output_cost = cost.scaled(out.into(), 100);
                Sums {
                    rows,
                    requests: rows,
                    cost,
                    output_cost,
                    input_tokens: input,
                    cached_tokens: input / 3,
                    output_tokens: output,
                    excess_output_tokens: output / 10,
                    excess_output_cost: output_cost.scaled(excess.into(), 100),
                    ..Sums::default()
                }
            };
            let mut percentiles = [shape[0], shape[1], shape[2] * 10];
            percentiles.sort_unstable();
            LeverGroup {
                provider: None,
                model: model.map(str::to_owned),
                feature: feature.map(str::to_owned),
                discounted,
                all: sums(rows, cost.into_iter().sum()),
                kept: sums(kept, cost[0]),
                superseded: Wasted { rows: superseded, cost: cost[1] },
                failed: Wasted { rows: failed, cost: cost[2] },
                truncated: Wasted { rows: cut, cost: cost[3] },
                lengths: Lengths {
                    rows,
                    output_p50: percentiles[0],
                    output_p95: percentiles[1],
                    output_p99: percentiles[2],
                    input_p50: shape[3],
                    input_p95: shape[3] + shape[4],
                    short_outputs: part(shares[0]),
                    capped: part(shares[1]),
                    night: part(shares[2]),
                    attended: part(shares[3]),
                    deferrable: part(shares[4]),
                    active_hours: 100,
                    span_hours: 720,
                    hourly_squares: shape[5] * 100,
                },
            }
        },
    )
}

/// The same usage at prices so many times as high.
fn scaled(group: &LeverGroup, factor: i64) -> LeverGroup {
    let mut group = group.clone();
    for sums in [&mut group.all, &mut group.kept] {
        sums.cost = sums.cost.times(factor);
        sums.output_cost = sums.output_cost.times(factor);
        sums.excess_output_cost = sums.excess_output_cost.times(factor);
    }
    for wasted in [&mut group.superseded, &mut group.failed, &mut group.truncated] {
        wasted.cost = wasted.cost.times(factor);
    }
    group
}

proptest! {
    #![proptest_config(goldenpath_proof::counted())]

    #[test]
    fn no_saving_is_negative_or_exceeds_its_cost(groups in prop::collection::vec(any_group(), 0..12)) {
        let waterfall = applied(&groups);
        for recommendation in &waterfall.recommendations {
            for hit in &recommendation.hits {
                for saving in [hit.alone, hit.in_sequence] {
                    for amount in [saving.low, saving.expected, saving.high] {
                        prop_assert!(Usd::ZERO <= amount && amount <= hit.cost, "{hit:?}");
                    }
                }
                prop_assert!(hit.alone.low <= hit.alone.expected && hit.alone.expected <= hit.alone.high);
                prop_assert!(hit.in_sequence.expected <= hit.alone.expected);
            }
        }
    }

    #[test]
    fn savings_in_sequence_never_exceed_the_spend(groups in prop::collection::vec(any_group(), 0..12)) {
        let waterfall = applied(&groups);
        prop_assert!(waterfall.total.low <= waterfall.total.expected && waterfall.total.expected <= waterfall.total.high);
        prop_assert!(waterfall.total.high <= waterfall.spend);
        let sum: Usd = waterfall.steps.iter().map(|step| step.saving).sum();
        prop_assert_eq!(sum, waterfall.total.expected);
        prop_assert!(waterfall.steps.iter().all(|step| step.remaining >= Usd::ZERO));
    }

    #[test]
    fn groups_in_another_order_change_nothing(groups in prop::collection::vec(any_group(), 0..8), turn in 0usize..8) {
        let mut turned = groups.clone();
        turned.rotate_left(turn.min(groups.len()));
        let (one, other) = (applied(&groups), applied(&turned));
        prop_assert_eq!(one.total, other.total);
        prop_assert_eq!(one.steps, other.steps);
    }

    #[test]
    fn groups_without_tokens_or_cost_change_nothing(groups in prop::collection::vec(any_group(), 0..8)) {
        let nothing = LeverGroup { model: Some("gpt-4o".into()), ..LeverGroup::default() };
        let with_nothing = [groups.clone(), vec![nothing]].concat();
        prop_assert_eq!(applied(&groups), applied(&with_nothing));
    }

    #[test]
    fn savings_scale_with_prices(groups in prop::collection::vec(any_group(), 0..8), factor in 2i64..1000) {
        let expensive: Vec<LeverGroup> = groups.iter().map(|group| scaled(group, factor)).collect();
        let (one, other) = (applied(&groups), applied(&expensive));
        prop_assert_eq!(one.spend.times(factor), other.spend);
        // Each saving is rounded down to the pico-dollar a few times.
        let rounding = Usd::from_pico(i128::from(factor) * 8 * (groups.len() as i128 + 1) * 5);
        for (one, other) in [
            (one.total.low, other.total.low),
            (one.total.expected, other.total.expected),
            (one.total.high, other.total.high),
        ] {
            prop_assert!((one.times(factor) - other).abs() <= rounding, "{one:?} × {factor} ≠ {other:?}");
        }
    }
}
