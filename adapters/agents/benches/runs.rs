//! What one run of the bench team costs without a store and without sockets: machine, agents, driver.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use goldenpath_agents::bench;
use goldenpath_runtime::agent::testing::Stage;
use std::sync::Arc;

fn runs(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the machine has a clock");
    let team = Arc::new(bench::team().expect("a test makes this very team"));
    let stage = runtime.block_on(async { Stage::new(team, goldenpath_simulator::scope_of("ada")) });
    let mut group = criterion.benchmark_group("run");
    group.throughput(Throughput::Elements(1));
    group.bench_function("28 entries, tools answer at once", |bencher| {
        bencher.iter(|| runtime.block_on(stage.drive("Analyze my AI costs")));
    });
    group.finish();
}

criterion_group!(benches, runs);
criterion_main!(benches);
