//! The recorder behind what the runtime counts.

use crate::commands::Failed;
use goldenpath_runtime::tally::{Kind, METRICS, describe};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use std::time::Duration;

/// How often what was measured is put into its buckets; until then every measurement is kept.
const UPKEEP: Duration = Duration::from_secs(5);

/// From now on it is counted; what is returned shows the counts. Needs a runtime.
pub(crate) fn count() -> Result<impl Fn() -> String + Send + Sync + 'static, Failed> {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Kind::Histogram(buckets) = metric.kind {
            let name = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(name, buckets)?;
        }
    }
    let handle = builder.install_recorder()?;
    describe();
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(move || handle.render())
}
