//! How many runs a second the store takes: each run is three batches of 28 entries in all, 300 bytes
//! each, from so many producers at once. Prints one JSON line per number of producers.
//!
//! `cargo run --release -p goldenpath-sqlx --example commits -- [DIR] [RUNS] [full]`

use goldenpath_core::auth::Scope;
use goldenpath_core::hub::{Batch, Committed, NewAnswer, NewMessage, NewThread, RunChange};
use goldenpath_core::id::{ClientMsgId, Epoch, EventId, Fence, MessageId, RunId, ThreadId};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{
    AgentRef, Draft, EntryBody, Event, OnDisconnect, RunScope, RunStatus, ThoughtKind,
};
use goldenpath_runtime::ports::Store;
use goldenpath_sqlx::{Database, Durability, Options};
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Entries of the three batches of a run.
const ENTRIES: [usize; 3] = [4, 21, 3];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir =
        args.next().map_or_else(|| std::env::temp_dir().join("goldenpath-commits"), PathBuf::from);
    let runs: usize = args.next().map_or(Ok(20_000), |runs| runs.parse())?;
    let full = args.next().is_some_and(|word| word == "full");
    let durability = if full { Durability::PowerCut } else { Durability::ProcessCrash };
    for producers in [1, 64, 256, 1024] {
        let dir = dir.join(format!("{producers}"));
        if dir.exists() {
            std::fs::remove_dir_all(&dir)?;
        }
        let options = Options { durability, ..Options::in_dir(&dir) };
        let database = Database::open(options).await?;
        let each = if producers == 1 { runs.min(2000) } else { runs / producers };
        // Made before the clock starts: this measures the store, not the encoder.
        let made: Vec<_> = (0..producers).map(|n| batches(n as u64, each)).collect();
        let (start, cpu) = (Instant::now(), cpu_ms());
        let tasks: Vec<_> =
            made.into_iter().map(|made| tokio::spawn(produce(database.store(), made))).collect();
        for task in tasks {
            task.await?;
        }
        let (wall, cpu) = (start.elapsed().as_secs_f64(), (cpu_ms() - cpu) as f64 / 1000.0);
        let done = (each * producers) as f64;
        println!(
            "{{\"producers\":{producers},\"full\":{full},\"runs\":{done},\"runs_per_s\":{:.0},\
             \"runs_per_cpu_s\":{:.0},\"entries_per_s\":{:.0}}}",
            done / wall,
            done / cpu,
            done * 28.0 / wall
        );
        database.close().await;
    }
    Ok(())
}

/// A producer: each batch waits for the answer to the one before.
async fn produce(store: Arc<dyn Store>, batches: Vec<Batch>) {
    for batch in batches {
        let answer = store.commit(batch).await;
        assert!(matches!(answer, Ok(Committed::Done { .. })), "{answer:?}");
    }
}

/// One user who asks again and again in one thread.
fn batches(n: u64, runs: usize) -> Vec<Batch> {
    let mut seed = Seed::new(n);
    let start = Wall(1_700_000_000_000);
    let scope = goldenpath_simulator::scope_of(&format!("user-{n}"));
    let thread_id = ThreadId::draw(&mut seed, start);
    let mut batches = Vec::with_capacity(runs * ENTRIES.len());
    for run in 0..runs {
        // Ids begin with the time, as in life.
        let wall = start.after(Millis(100 * run as u64));
        let run_id = RunId::draw(&mut seed, wall);
        for (step, count) in ENTRIES.into_iter().enumerate() {
            let of = (&scope, thread_id, run_id);
            batches.push(batch(&mut seed, wall, of, (run, step, count)));
        }
    }
    batches
}

fn batch(
    seed: &mut Seed,
    wall: Wall,
    (scope, thread_id, run_id): (&Scope, ThreadId, RunId),
    (run, step, count): (usize, usize, usize),
) -> Batch {
    let status = if step == 2 { RunStatus::Completed } else { RunStatus::Running };
    let message = (step == 0).then(|| NewMessage {
        message_id: MessageId::draw(seed, wall),
        client_msg_id: ClientMsgId::new(&format!("message-{run}")).expect("a short name"),
        digest: 1,
        entry: 0,
        run_id,
        on_disconnect: OnDisconnect::Continue,
    });
    let answer = (step == 2).then(|| NewAnswer {
        message_id: MessageId::draw(seed, wall),
        run_id,
        entry: 0,
    });
    Batch {
        id: EventId::draw(seed, wall),
        scope: scope.clone(),
        thread_id,
        epoch: Epoch(1),
        at: wall,
        new_thread: (run == 0 && step == 0).then(|| NewThread { title: "Bench".into() }),
        title: None,
        metadata: None,
        expected_head: None,
        entries: (0..count).map(|_| entry(seed, wall, thread_id, run_id)).collect(),
        message,
        answers: answer.into_iter().collect(),
        runs: vec![RunChange { run_id, fence: Fence(1), status }],
        cancels: Vec::new(),
    }
}

/// About 300 bytes.
fn entry(seed: &mut Seed, wall: Wall, thread_id: ThreadId, run_id: RunId) -> EntryBody {
    let agent = goldenpath_core::id::Name::new("data").ok().map(|name| AgentRef {
        name,
        agent_run_id: goldenpath_core::id::AgentRunId::draw(seed, wall),
        parent: None,
        attempt: 1,
    });
    let event = Event::AgentThinking {
        thought_id: 1,
        text: String::new(),
        kind: ThoughtKind::Status,
        progress: None,
    };
    let scope = Some(RunScope { run_id, agent });
    let id = EventId::draw(seed, wall);
    Draft { id, thread_id, epoch: Epoch(1), ts: wall, scope, synthesized: false, event }.encode()
}

/// CPU time of this process, all threads, user and system; 0 where `/proc` is missing.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    // Fields 14 and 15 of proc(5), in hundredths of a second.
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
}
