//! The agent SDK on a real event loop: what authors write, what goes wrong, what a crash does.

#![allow(clippy::unwrap_used, reason = "a test")]

use futures_util::future::BoxFuture;
use goldenpath_core::id::{ConnectionId, Name, RunId};
use goldenpath_core::limits::Limits;
use goldenpath_core::outbox;
use goldenpath_core::run::Grammar;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{AgentStatus, ClientBody, Event, Json, Reply, RunStatus, ToolStatus};
use goldenpath_runtime::agent::testing::{Played, Shelves, Stage, clock_for_tests};
use goldenpath_runtime::agent::{
    Agent, AgentError, AgentRuns, Cx, Finish, Inputs, Route, StepSpec, Task, Team, TeamError, Tool,
    ToolCx, ToolError, ToolPolicy, Workflow, join, join_all,
};
use goldenpath_runtime::memory::{Failure, MemoryStore};
use goldenpath_runtime::shard::{Delivery, Shards, Surroundings};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn step(agent: &str, needs: &[&str]) -> StepSpec {
    let name = |text: &str| Name::new(text).unwrap();
    StepSpec {
        agent: name(agent),
        title: agent.into(),
        purpose: format!("do {agent}"),
        needs: needs.iter().map(|needs| name(needs)).collect(),
    }
}

fn workflow() -> Workflow {
    let report = || step("report", &[]);
    let routes = BTreeMap::from([
        (Route::Capabilities, vec![report()]),
        (Route::Fallback, vec![report()]),
        (Route::Full, vec![step("data", &[]), report()]),
        (Route::Guidance, vec![report()]),
        (Route::Partial, vec![step("data", &[]), report()]),
    ]);
    Workflow::new(step("supervisor", &[]), step("triage", &[]), routes).unwrap()
}

type Work = fn(Cx, Task) -> BoxFuture<'static, Result<Finish, AgentError>>;

/// An agent that is a function.
struct Does(&'static str, Work);

impl Agent for Does {
    fn name(&self) -> &'static str {
        self.0
    }

    fn title(&self) -> &'static str {
        self.0
    }

    fn run(&self, cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
        (self.1)(cx, task)
    }
}

fn triage(_: Cx, _: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
    Box::pin(async { Ok(Finish { route: Some(Route::Full), ..Finish::default() }) })
}

fn report(cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
    Box::pin(async move {
        let inputs = Inputs::of(&task)?;
        let data: Option<u64> = inputs.get("data")?;
        let missing = inputs.missing().len();
        cx.think(format!("{data:?} from data, {missing} missing")).await;
        let answer = Some(format!("The sum is {data:?}."));
        Ok(Finish { summary: "Reported".into(), answer, ..Finish::default() })
    })
}

/// Adds, in one of several ways to do it.
struct Add;

#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct AddArgs {
    a: u64,
    b: u64,
    how: String,
}

static FLAKY: AtomicU32 = AtomicU32::new(0);

impl Tool for Add {
    type Args = AddArgs;
    type Out = u64;
    const NAME: &'static str = "add";
    const TITLE: &'static str = "Add";

    fn policy() -> ToolPolicy {
        ToolPolicy { timeout: Millis(5_000), ..ToolPolicy::default() }
    }

    async fn call(&self, cx: ToolCx, args: AddArgs) -> Result<u64, ToolError> {
        match args.how.as_str() {
            "slow" => tokio::time::sleep(Duration::from_millis(20)).await,
            "hang" => std::future::pending().await,
            "panic" => panic!("as asked"),
            "flaky" if FLAKY.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) => {
                return Err(ToolError::transient("not now").retry_after(Millis(10)));
            }
            "report" => {
                cx.report(1, 2, "half way");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            "invalid" => return Err(ToolError::invalid("no such numbers")),
            _ => {}
        }
        Ok(args.a + args.b)
    }
}

/// Computes on a thread of its own.
struct Count;

impl Tool for Count {
    type Args = u64;
    type Out = u64;
    const NAME: &'static str = "count";
    const TITLE: &'static str = "Count";
    const BLOCKING: bool = true;

    async fn call(&self, cx: ToolCx, up_to: u64) -> Result<u64, ToolError> {
        for n in 0..up_to {
            if cx.is_cancelled() {
                return Err(ToolError::fatal("cancelled"));
            }
            std::thread::sleep(Duration::from_micros(n.min(100)));
        }
        Ok(up_to)
    }
}

/// Returns that many bytes.
struct Large;

impl Tool for Large {
    type Args = usize;
    type Out = String;
    const NAME: &'static str = "large";
    const TITLE: &'static str = "Large";

    async fn call(&self, cx: ToolCx, bytes: usize) -> Result<String, ToolError> {
        cx.shelf().put("note.txt", "text/plain", format!("{bytes} wanted")).await?;
        Ok("x".repeat(bytes))
    }
}

fn team(data: Work) -> Arc<Team> {
    let team = Team::builder(workflow())
        .agent(Does("triage", triage))
        .agent(Does("data", data))
        .agent(Does("report", report))
        .agent(Does("helper", helper))
        .tool(Add)
        .tool(Count)
        .tool(Large)
        .build();
    Arc::new(team.unwrap())
}

fn helper(cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
    Box::pin(async move {
        let sum = add(&cx, 40, 2, &task.text).await?;
        Ok(Finish::with(&sum, "Helped")?)
    })
}

async fn add(cx: &Cx, a: u64, b: u64, how: &str) -> Result<u64, AgentError> {
    Ok(cx.tool::<Add>(AddArgs { a, b, how: how.into() }).await?)
}

fn stage(data: Work) -> Stage {
    Stage::new(team(data), goldenpath_simulator::scope_of("ada"))
}

fn statuses(played: &Played) -> Vec<(String, AgentStatus)> {
    let completed = played.entries.iter().filter_map(|entry| match &entry.event {
        Event::AgentCompleted { status, .. } => {
            Some((entry.agent.as_ref().unwrap().name.to_string(), *status))
        }
        _ => None,
    });
    completed.collect()
}

fn tools(played: &Played) -> Vec<(ToolStatus, String, u32)> {
    let completed = played.entries.iter().filter_map(|entry| match &entry.event {
        Event::ToolCompleted { status, error, attempt, result, .. } => {
            let words = error.as_ref().map_or(result.as_str(), |error| error.message.as_str());
            Some((*status, words.to_owned(), *attempt))
        }
        _ => None,
    });
    completed.collect()
}

fn check(played: &Played) {
    let grammar = Grammar::replay(RunId(7), &played.entries).unwrap();
    assert_eq!(grammar.ended(), played.ended());
    assert!(played.ended().is_some());
}

#[tokio::test]
async fn agents_that_answer_at_once_need_one_batch() {
    let played = stage(|cx, _| {
        Box::pin(async move {
            cx.think("Two sums at once").await;
            let (a, b) = join(add(&cx, 1, 2, ""), add(&cx, 3, 4, "")).await;
            Ok(Finish::with(&(a? + b?), "Added")?)
        })
    })
    .ask("How much?")
    .await;
    check(&played);
    assert_eq!(played.batches, 1);
    assert_eq!(played.ended(), Some(RunStatus::Completed));
    let words = played.entries.iter().any(|entry| {
        matches!(&entry.event, Event::AssistantMessage { content, .. } if content == "The sum is Some(10).")
    });
    assert!(words, "{:?}", played.entries);
}

#[tokio::test(start_paused = true)]
async fn every_way_a_tool_can_go_wrong_is_an_answer_to_its_agent() {
    let mut stage = stage(|cx, _| {
        Box::pin(async move {
            let ways = ["invalid", "panic", "slow", "hang", "flaky"];
            let all = join_all(ways.map(|how| add(&cx, 1, 1, how))).await;
            let sum: u64 = all.into_iter().flatten().sum();
            let unknown = cx.tool_named("nothing", "Nothing", Json::null(), ToolPolicy::default());
            assert!(unknown.await.is_err());
            Ok(Finish::with(&sum, "Some of it")?)
        })
    });
    // Time stands still while somebody works, so a slow machine times nothing out.
    stage.clock = clock_for_tests();
    stage.limits.tool_timeout = Millis(300);
    let played = stage.ask("How much?").await;
    check(&played);
    let ended = tools(&played);
    let has = |status, words: &str, attempt| {
        assert!(ended.contains(&(status, words.into(), attempt)), "{words}: {ended:?}");
    };
    has(ToolStatus::Failed, "no such numbers", 1);
    has(ToolStatus::Failed, "the tool panicked", 1);
    has(ToolStatus::Completed, "2", 1);
    has(ToolStatus::TimedOut, "the tool's time is over", 1);
    has(ToolStatus::Completed, "2", 2);
    has(ToolStatus::Failed, "there is no tool nothing", 1);
}

/// F24, F26.
#[tokio::test]
async fn an_agent_that_panics_ends_failed_and_the_report_follows() {
    let played = stage(|cx, _| {
        Box::pin(async move {
            cx.think("about to").await;
            panic!("as asked")
        })
    })
    .ask("How much?")
    .await;
    check(&played);
    assert!(statuses(&played).contains(&("data".into(), AgentStatus::Failed)));
    assert!(statuses(&played).contains(&("report".into(), AgentStatus::Completed)));
    assert_eq!(played.ended(), Some(RunStatus::Degraded));
}

#[tokio::test]
async fn an_agent_that_waits_for_something_else_than_an_effect_is_told_so() {
    let played = stage(|_, _| {
        Box::pin(async move {
            tokio::task::yield_now().await;
            Ok(Finish::default())
        })
    })
    .ask("How much?")
    .await;
    check(&played);
    assert!(statuses(&played).contains(&("data".into(), AgentStatus::Failed)));
}

/// F24, RUN-11.
#[tokio::test(start_paused = true)]
async fn an_agent_that_never_answers_ends_by_its_time() {
    let mut stage = stage(|cx, _| {
        Box::pin(async move {
            add(&cx, 1, 1, "hang").await?;
            Ok(Finish::default())
        })
    });
    stage.clock = clock_for_tests();
    stage.limits.agent_timeout = Millis(2_000);
    let before = stage.clock.now().mono;
    let played = stage.ask("How much?").await;
    check(&played);
    assert!(statuses(&played).contains(&("data".into(), AgentStatus::TimedOut)));
    assert_eq!(stage.clock.now().mono, before.after(stage.limits.agent_timeout));
}

/// F50, RUN-09.
#[tokio::test]
async fn a_cancel_ends_a_run_whose_tool_hangs() {
    let stage = stage(|cx, _| {
        Box::pin(async move {
            let all = [add(&cx, 1, 1, "hang"), add(&cx, 1, 1, "hang")];
            join_all(all).await;
            Ok(Finish::default())
        })
    });
    let played = stage.ask_and_cancel("How much?", 7).await;
    check(&played);
    assert_eq!(played.ended(), Some(RunStatus::Cancelled));
    let cancelled = tools(&played).into_iter().filter(|(how, ..)| *how == ToolStatus::Cancelled);
    assert_eq!(cancelled.count(), 2);
}

/// F34.
#[tokio::test]
async fn a_blocking_tool_has_a_thread_of_its_own_and_hears_of_the_cancel() {
    let stage = stage(|cx, _| {
        Box::pin(async move {
            let quick = cx.tool::<Count>(10).await?;
            cx.tool::<Count>(u64::MAX).await?;
            Ok(Finish::with(&quick, "Counted")?)
        })
    });
    let played = stage.ask_and_cancel("How much?", 9).await;
    check(&played);
    assert_eq!(played.ended(), Some(RunStatus::Cancelled));
}

#[tokio::test]
async fn progress_is_shown_and_not_kept() {
    let played = stage(|cx, _| {
        Box::pin(async move { Ok(Finish::with(&add(&cx, 1, 1, "report").await?, "Added")?) })
    })
    .ask("How much?")
    .await;
    check(&played);
    assert_eq!(played.transient.len(), 1);
    let text = played.transient[0].as_str();
    assert!(text.contains("half way") && text.contains("\"transient\":true"), "{text}");
}

#[tokio::test]
async fn a_large_result_travels_by_reference_and_reaches_its_agent_whole() {
    let stage = stage(|cx, _| {
        Box::pin(async move {
            let text = cx.tool::<Large>(20_000).await?;
            Ok(Finish::with(&(text.len() as u64), "Fetched")?)
        })
    });
    let played = stage.crash_everywhere("How much?").await;
    let kept = played.entries.iter().find_map(|entry| match &entry.event {
        Event::ToolCompleted { result, result_ref: Some(at), truncated: true, .. } => {
            Some((result.as_str().len(), at.clone()))
        }
        _ => None,
    });
    let (preview, at) = kept.unwrap();
    assert!(preview < 1_000);
    let name = at.rsplit('/').next().unwrap();
    assert_eq!(stage.shelves.text(name).unwrap().len(), 20_002);
    assert_eq!(stage.shelves.text("note.txt").unwrap(), "20000 wanted");
}

#[tokio::test]
async fn agents_ask_each_other_and_survive_a_crash_at_every_step() {
    let stage = stage(|cx, _| {
        Box::pin(async move {
            let task = |how: &str| Task { text: how.into(), inputs: Json::null() };
            let (own, theirs) = join(add(&cx, 1, 1, "slow"), cx.delegate("helper", task(""))).await;
            let nobody = cx.delegate("nobody", task("")).await;
            let theirs: u64 = theirs?.output.decode()?;
            cx.think_at(format!("{own:?} and {theirs}, nobody {}", nobody.is_err()), 1, 2).await;
            let late = cx.delegate("helper", task("slow")).await?.output.decode::<u64>()?;
            Ok(Finish::with(&(own? + theirs + late), "Added")?)
        })
    });
    let played = stage.crash_everywhere("How much?").await;
    assert_eq!(played.ended(), Some(RunStatus::Completed));
}

#[tokio::test]
#[should_panic(expected = "the events after a crash")]
async fn the_crash_helper_notices_an_agent_that_is_not_deterministic() {
    static TIMES: AtomicU32 = AtomicU32::new(0);
    let stage = stage(|cx, _| {
        Box::pin(async move {
            cx.think(format!("number {}", TIMES.fetch_add(1, Ordering::Relaxed))).await;
            Ok(Finish::with(&add(&cx, 1, 1, "").await?, "Added")?)
        })
    });
    stage.crash_everywhere("How much?").await;
}

#[test]
fn a_team_that_lacks_an_agent_is_refused() {
    let team = Team::builder(workflow()).agent(Does("triage", triage)).build();
    assert_eq!(team.unwrap_err(), TeamError::NoAgent(Name::new("report").unwrap()));
    let team = Team::builder(workflow()).tool(Add).tool(Add).build();
    assert_eq!(team.unwrap_err(), TeamError::Doubled(Name::new("add").unwrap()));
    let team = Team::builder(workflow()).agent(Does("", triage)).build();
    assert_eq!(team.unwrap_err(), TeamError::BadName(""));
}

/// Does something to the world that must not be done twice.
struct Pay(Arc<AtomicU32>);

impl Tool for Pay {
    type Args = ();
    type Out = u32;
    const NAME: &'static str = "pay";
    const TITLE: &'static str = "Pay";

    fn policy() -> ToolPolicy {
        ToolPolicy { repeatable: false, ..ToolPolicy::default() }
    }

    async fn call(&self, _: ToolCx, (): ()) -> Result<u32, ToolError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(ToolError::transient("paid, and the answer was lost"))
    }
}

/// A team that pays, and how often it has paid.
fn paying() -> (Arc<Team>, Arc<AtomicU32>) {
    let paid = Arc::new(AtomicU32::new(0));
    let team = Team::builder(workflow())
        .agent(Does("triage", triage))
        .agent(Does("data", |cx, _| {
            Box::pin(async move {
                cx.think("Paying").await;
                let paid = cx.tool::<Pay>(()).await.is_ok();
                Ok(Finish::with(&u64::from(paid), "Paid, perhaps")?)
            })
        }))
        .agent(Does("report", report))
        .tool(Pay(paid.clone()))
        .build();
    (Arc::new(team.unwrap()), paid)
}

/// RUN-22, RUN-35.
#[tokio::test]
async fn a_tool_that_is_not_repeatable_is_called_once_whatever_it_says_and_never_after_a_crash() {
    let (team, paid) = paying();
    let stage = Stage::new(team, goldenpath_simulator::scope_of("ada"));
    let whole = stage.ask("Pay").await;
    check(&whole);
    assert_eq!(paid.load(Ordering::Relaxed), 1, "a failure for a moment is not tried again");
    let called = |entry: &goldenpath_core::wire::Entry| matches!(&entry.event, Event::ToolExecuting { tool, .. } if tool.as_str() == "pay");
    let called = whole.entries.iter().position(called).unwrap();
    for keep in 0..whole.entries.len() {
        let before = paid.load(Ordering::Relaxed);
        let again = stage.recover("Pay", whole.entries[..keep].to_vec()).await;
        check(&again);
        let times = paid.load(Ordering::Relaxed) - before;
        assert_eq!(times, u32::from(keep <= called), "after {keep} entries");
        let expected = if keep == called + 1 { ToolStatus::Abandoned } else { ToolStatus::Failed };
        assert_eq!(tools(&again)[0].0, expected, "after {keep} entries");
    }
}

/// RUN-35, with the hub and a store that takes its time.
#[tokio::test(start_paused = true)]
async fn a_tool_that_is_not_repeatable_waits_until_its_call_is_in_the_store() {
    let (team, paid) = paying();
    let (clock, limits) = (clock_for_tests(), Arc::new(Limits::default()));
    let store = MemoryStore::new();
    let slow = Failure::Delay(Duration::from_secs(5));
    // The message, then what the run says up to the call.
    store.fail_commits([Failure::None, slow]);
    let shelves = Arc::new(Shelves::default());
    let runs = Arc::new(AgentRuns::new(team, limits.clone(), clock, shelves));
    let around = Surroundings { clock, limits, runs, store: Arc::new(store) };
    let shards = Shards::start(1, &around, &mut Seed::new(1));
    let scope = goldenpath_simulator::scope_of("ada");
    let (sender, mut heard) = outbox::channel(1000, 1_000_000);
    let id = ConnectionId(1);
    let link = shards.attach(&scope, id, Vec::new(), true, sender).await;
    let body = ClientBody::UserMessage(goldenpath_simulator::message("m1", None));
    link.command(id, Reply::None, body).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(paid.load(Ordering::Relaxed), 0, "nobody knows of the call yet");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(paid.load(Ordering::Relaxed), 1);
    let mut all = String::new();
    while !all.contains("run_completed") {
        let mut taken = Vec::new();
        std::future::poll_fn(|cx| heard.poll_recv_many(cx, &mut taken, 100)).await;
        for delivery in taken {
            if let Delivery::Frames(frames) = delivery {
                all.extend(frames.iter().map(|frame| frame.as_str().to_owned()));
            }
        }
    }
    assert_eq!(paid.load(Ordering::Relaxed), 1);
}
