use super::*;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Wall;
use metrics_exporter_prometheus::PrometheusBuilder;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What is shown after `act`.
fn shown_after(act: impl FnOnce()) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        act();
    });
    recorder.handle().render()
}

/// The lines that are numbers: name, labels.
fn samples(shown: &str) -> Vec<(String, BTreeMap<String, String>)> {
    let numbers = shown.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    numbers
        .map(|line| {
            let (sample, _) = line.rsplit_once(' ').unwrap();
            let Some((name, labels)) = sample.split_once('{') else {
                return (sample.to_owned(), BTreeMap::new());
            };
            let labels = labels.strip_suffix("\"}").unwrap().split("\",");
            let pair = |pair: &str| {
                let (name, value) = pair.split_once("=\"").unwrap();
                (name.to_owned(), value.to_owned())
            };
            (name.to_owned(), labels.map(pair).collect())
        })
        .collect()
}

/// Every sample has a name of the table, its labels, and of their values.
fn check(shown: &str) -> usize {
    let samples = samples(shown);
    for (name, labels) in &samples {
        let metric = METRICS.iter().find(|metric| metric.name == name);
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in the table"));
        assert_eq!(labels.len(), metric.labels.len(), "{name} {labels:?}");
        for (label, values) in metric.labels {
            assert!(values().iter().any(|value| *value == labels[*label]), "{name} {labels:?}");
        }
    }
    samples.len()
}

fn any_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    (0..all.len()).prop_map(|n| all[n])
}

prop_compose! {
    fn record()(
        action in any_of(AuditAction::ALL),
        outcome in any_of(AuditOutcome::ALL),
        reason in proptest::option::of(any_of(ErrorCode::ALL)),
        by in proptest::option::of(any_of(Credence::ALL)),
        user in "zz[a-z]{8}",
        place in "zz[ -~]{1,20}",
    ) -> AuditRecord {
        let session_id = SessionId::draw(&mut Seed::new(7), Wall(1_795_255_873_120));
        let user_id = UserId::new(&user).ok();
        let (session_id, place) = (Some(session_id), Some(place));
        AuditRecord { at: Wall(7), action, outcome, reason, by, user_id, session_id, place, times: 1 }
    }
}

proptest! {
    #![proptest_config(goldenpath_proof::counted())]

    //= specs/safety.md#safe-51
    //= type=test
    //# A label of a metric MUST come from a closed set, whatever a user or a stranger sends.
    #[test]
    fn whatever_happens_the_labels_are_those_of_the_table_and_name_nobody(
        records in prop::collection::vec(record(), 1..20),
        closes in prop::collection::vec(any::<Option<u16>>(), 1..20),
        refusals in prop::collection::vec(any_of(ErrorCode::ALL), 1..20),
    ) {
        let shown = shown_after(|| {
            records.iter().for_each(noted);
            closes.iter().for_each(|code| ended(End::Peer(*code)));
            for code in &refusals {
                refused(code.as_str());
                upgrade(Err(*code));
            }
            upgrade(Ok(Dialect::Older));
            Limit::ALL.iter().copied().for_each(limited);
        });
        prop_assert!(check(&shown) > 10, "{shown}");
        for record in &records {
            let place = record.place.as_deref().unwrap();
            let user = record.user_id.as_ref().unwrap().as_str();
            prop_assert!(!shown.contains(place) && !shown.contains(user), "{shown}");
        }
    }
}

#[test]
fn a_bypass_and_a_log_in_too_many_are_counted_beside_the_log_in() {
    let record = AuditRecord {
        at: Wall(7),
        action: AuditAction::LogIn,
        outcome: AuditOutcome::Refused,
        reason: Some(ErrorCode::RateLimited),
        by: Some(Credence::E2e),
        user_id: None,
        session_id: None,
        place: None,
        times: 1,
    };
    let shown = shown_after(|| {
        noted(&record);
        noted(&record);
    });
    for line in [
        "goldenpath_log_ins_total{method=\"e2e\",result=\"refused\",reason=\"rate_limited\"} 2",
        "goldenpath_bypass_uses_total{method=\"e2e\",result=\"refused\"} 2",
        "goldenpath_rate_limited_total{limit=\"log_ins\"} 2",
        "# TYPE goldenpath_log_ins_total counter",
    ] {
        assert!(shown.lines().any(|l| l == line), "{line} in\n{shown}");
    }
}

#[test]
fn what_is_open_is_counted_until_it_is_dropped() {
    let shown = shown_after(|| {
        let (one, other) = (Open::socket(), Open::events());
        drop(one);
        std::mem::forget(other);
    });
    assert!(shown.contains("goldenpath_connections_open{kind=\"socket\"} 0"), "{shown}");
    assert!(shown.contains("goldenpath_connections_open{kind=\"events\"} 1"), "{shown}");
}

/// Prometheus' own conventions, and the page that lists them for people.
#[test]
fn the_table_is_in_order_follows_the_conventions_and_is_written_down() {
    assert!(METRICS.windows(2).all(|pair| pair[0].name < pair[1].name));
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../specs/metrics.md"));
    let page = page.unwrap();
    let mut rows = BTreeSet::new();
    for metric in METRICS {
        let counts = metric.kind == Kind::Counter;
        assert_eq!(metric.name.ends_with("_total"), counts, "{}", metric.name);
        assert!(metric.name.starts_with("goldenpath_") && metric.help.ends_with('.'));
        assert!(metric.labels.windows(2).all(|pair| pair[0].0 < pair[1].0), "{}", metric.name);
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> =
            metric.labels.iter().map(|(name, _)| format!("`{name}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        rows.insert(format!("| `{}` | {kind} | {labels} | {} |", metric.name, metric.help));
    }
    let written: BTreeSet<String> =
        page.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    assert_eq!(written, rows);
}
