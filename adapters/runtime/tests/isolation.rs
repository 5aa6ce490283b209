//! Non-interference: two users on the same shards, and each of them alone.
//!
//! One random story is played three times over real shards, a store in memory and a team of agents: with
//! both users, and with each of them alone at the same instants. What a user hears must not depend on
//! whether the other one is there (ISO-01), and must hold nothing of the other's. Each user also names
//! threads and runs of the other; the one who is alone names the same ids, which then exist nowhere, so
//! the answers must be those for what does not exist.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use goldenpath_core::auth::Scope;
use goldenpath_core::id::{ClientMsgId, ConnectionId, FrameRef, Name, RunId, Seq, ThreadId};
use goldenpath_core::limits::Limits;
use goldenpath_core::outbox::{self, Receiver};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{
    ClientBody, Level, MultitaskStrategy, OnDisconnect, Reply, ResumePoint, ThreadCommand,
    UserMessage,
};
use goldenpath_runtime::Clock;
use goldenpath_runtime::agent::testing::Shelves;
use goldenpath_runtime::agent::{
    Agent, AgentError, AgentRuns, Cx, Finish, Route, StepSpec, Task, Team, Tool, ToolCx, ToolError,
    Workflow,
};
use goldenpath_runtime::memory::MemoryStore;
use goldenpath_runtime::shard::{Delivery, HubLink, Shards, Surroundings};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

const CASES: u32 = 20;
/// How long the one tool of the team takes, in milliseconds: long enough that messages meet runs.
const NAP: u64 = 9;
const READERS: usize = 4;

/// FNV-1a sends these two to different shards of two.
const USERS: [&str; 2] = ["ada", "bob"];

//= specs/isolation.md#iso-01
//= type=test
//# What one user does MUST NOT change what another hears while no shared limit is reached.
#[test]
fn on_one_shard_nobody_hears_whether_the_other_is_there() {
    nobody_hears_whether_the_other_is_there(1);
}

#[test]
fn on_two_shards_nobody_hears_whether_the_other_is_there() {
    nobody_hears_whether_the_other_is_there(2);
}

/// ISO-01.
fn nobody_hears_whether_the_other_is_there(shards: usize) {
    let seen = [const { Cell::new(Seen::NOTHING) }; 2];
    let config = Config { max_shrink_iters: 400, ..goldenpath_proof::counted_to(CASES) };
    let story = (any::<u64>(), proptest::collection::vec(step(), 20..60));
    let verdict = TestRunner::new(config).run(&story, |(seed, story)| {
        let named = BTreeMap::new();
        let together = play(shards, seed, &story, [true, true], &named);
        for (user, seen) in seen.iter().enumerate() {
            let present = [user == 0, user == 1];
            let alone = play(shards, seed, &story, present, &together.named);
            let (with, without) = (&together.heard[user], &alone.heard[user]);
            prop_assert_eq!(renamed(with), renamed(without), "what {} heard", USERS[user]);
            seen.set(seen.get().and(with));
        }
        let [ada, bob] = &together.heard;
        for (heard, other) in [(ada, "bob-secret"), (bob, "ada-secret")] {
            let leak = heard.iter().find(|said| said.contains(other));
            prop_assert_eq!(leak, None, "{} is not theirs", other);
        }
        // An id that one of them named is told back in the answer, and nothing else is.
        let (hers, his) = (ids_of(ada), ids_of(bob));
        let shared: Vec<&String> =
            hers.intersection(&his).filter(|id| !together.guessed.contains(*id)).collect();
        prop_assert_eq!(shared, Vec::<&String>::new(), "ids that both have heard");
        Ok(())
    });
    if let Err(failure) = verdict {
        panic!("{failure}");
    }
    for (user, seen) in USERS.into_iter().zip(seen.iter().map(Cell::get)) {
        println!("{shards} shards, {user}: {seen:?}");
        // Witness: the stories are about something. Far below what is usual: every run draws others.
        assert!(seen.durable > 500 && seen.ended > 20 && seen.cancelled > 0, "{user}: {seen:?}");
        assert!(seen.refused > 5 && seen.duplicates > 1, "{user}: {seen:?}");
    }
}

/// What a user has heard over all cases, as a witness.
#[derive(Clone, Copy, Debug)]
struct Seen {
    durable: usize,
    ended: usize,
    cancelled: usize,
    refused: usize,
    duplicates: usize,
}

impl Seen {
    const NOTHING: Self = Self { durable: 0, ended: 0, cancelled: 0, refused: 0, duplicates: 0 };

    fn and(self, heard: &[String]) -> Self {
        let count = |what: &str| heard.iter().filter(|said| said.contains(what)).count();
        Self {
            durable: self.durable + count(r#""seq":"#),
            ended: self.ended + count(r#""type":"run_completed""#),
            cancelled: self.cancelled + count(r#""type":"run_cancelled""#),
            refused: self.refused + count("thread_not_found") + count("run_not_found"),
            duplicates: self.duplicates + count(r#""status":"duplicate""#),
        }
    }
}

/// One thing one user does.
#[derive(Clone, Debug)]
struct Step {
    user: usize,
    /// Milliseconds since the step before.
    after: u64,
    /// Which of the user's readers does it.
    reader: usize,
    /// Which thread or run it names, if it names one.
    which: usize,
    /// Whether that is one of the other user.
    foreign: bool,
    deed: Deed,
}

#[derive(Clone, Debug)]
enum Deed {
    Attach { resumes: bool },
    CancelQueued,
    CancelRun,
    Create,
    Delete,
    Detach,
    Gap,
    History,
    List,
    Received,
    Rename,
    Resume { after: u64 },
    Say { id: u8, words: u8, anew: bool, multitask: MultitaskStrategy, cancels: bool },
    Subscribe { level: Level },
    Unsubscribe,
}

fn step() -> impl Strategy<Value = Step> {
    let foreign = prop::bool::weighted(0.25);
    // Not 0: of two threads made in one millisecond the drawn part of the id decides which is first.
    let place = (0..2usize, 1..12u64, 0..READERS, 0..6usize, foreign);
    (place, deed()).prop_map(|((user, after, reader, which, foreign), deed)| Step {
        user,
        after,
        reader,
        which,
        foreign,
        deed,
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    let multitask = prop_oneof![
        Just(MultitaskStrategy::Enqueue),
        Just(MultitaskStrategy::Reject),
        Just(MultitaskStrategy::Interrupt),
    ];
    // Few names for messages, so that they are repeated, by both users, now and then with other words.
    let say =
        (0..12u8, prop::bool::weighted(0.1), prop::bool::weighted(0.3), multitask, any::<bool>())
            .prop_map(|(id, other, anew, multitask, cancels)| Deed::Say {
                id,
                words: if other { 100 + id } else { id },
                anew,
                multitask,
                cancels,
            });
    prop_oneof![
        3 => any::<bool>().prop_map(|resumes| Deed::Attach { resumes }),
        1 => Just(Deed::CancelQueued),
        3 => Just(Deed::CancelRun),
        1 => Just(Deed::Create),
        1 => Just(Deed::Delete),
        1 => Just(Deed::Detach),
        1 => Just(Deed::Gap),
        1 => Just(Deed::History),
        1 => Just(Deed::List),
        1 => Just(Deed::Received),
        1 => Just(Deed::Rename),
        2 => (0..40u64).prop_map(|after| Deed::Resume { after }),
        12 => say,
        2 => any::<bool>().prop_map(|all| Deed::Subscribe {
            level: if all { Level::Full } else { Level::Summary },
        }),
        1 => Just(Deed::Unsubscribe),
    ]
}

/// What came of a story.
struct Played {
    /// For each user, all that was said to it, in order, with the reader it was said to.
    heard: [Vec<String>; 2],
    /// What the steps that name something of the other user have named.
    named: BTreeMap<usize, (ThreadId, RunId)>,
    /// The same as text.
    guessed: BTreeSet<String>,
}

/// Plays a story with those who are present; `named` is what the absent would have been asked for.
fn play(
    shards: usize,
    seed: u64,
    story: &[Step],
    present: [bool; 2],
    named: &BTreeMap<usize, (ThreadId, RunId)>,
) -> Played {
    let mut paused = tokio::runtime::Builder::new_current_thread();
    paused.enable_time().start_paused(true);
    paused.build().unwrap().block_on(async {
        let mut stage = Stage::set(shards, seed, present, named.clone());
        for (number, step) in story.iter().enumerate() {
            stage.wait(step.after).await;
            if present[step.user] {
                stage.act(number, step).await;
            }
        }
        // All runs end: at most all messages one after the other, three naps each.
        stage.wait(story.len() as u64 * NAP * 3 + 5_000).await;
        let load = stage.shards.load().await;
        assert_eq!((load.runs, load.effects), (0, 0), "nothing is under way at the end");
        let guessed =
            stage.named.values().flat_map(|(thread, run)| [thread.to_string(), run.to_string()]);
        let guessed = guessed.collect();
        Played { heard: stage.people.map(|person| person.heard), named: stage.named, guessed }
    })
}

struct Stage {
    shards: Shards,
    people: [Person; 2],
    together: bool,
    named: BTreeMap<usize, (ThreadId, RunId)>,
}

struct Person {
    user: Scope,
    readers: Vec<Reader>,
    next: u128,
    heard: Vec<String>,
    /// Its own, in the order in which it heard of them.
    threads: Vec<ThreadId>,
    runs: Vec<RunId>,
}

struct Reader {
    id: ConnectionId,
    link: HubLink,
    outbox: Receiver<Delivery>,
}

impl Stage {
    fn set(
        shards: usize,
        seed: u64,
        present: [bool; 2],
        named: BTreeMap<usize, (ThreadId, RunId)>,
    ) -> Self {
        let clock = Clock::starting_at(Wall(1_795_255_873_120));
        let limits = Arc::new(Limits::default());
        let runs = AgentRuns::new(team(), limits.clone(), clock, Arc::<Shelves>::default());
        let store = Arc::new(MemoryStore::new());
        let around = Surroundings { clock, limits, runs: Arc::new(runs), store };
        let people = [0, 1].map(|number| Person {
            user: goldenpath_simulator::scope_of(USERS[number]),
            readers: Vec::new(),
            next: (number as u128 + 1) << 100,
            heard: Vec::new(),
            threads: Vec::new(),
            runs: Vec::new(),
        });
        let shards = Shards::start(shards, &around, &mut Seed::new(seed));
        Self { shards, people, together: present == [true, true], named }
    }

    /// Lets time pass; everybody reads what it brings, millisecond by millisecond at first.
    async fn wait(&mut self, millis: u64) {
        let mut left = millis;
        while left > 0 {
            let pause = if left > 100 { 100 } else { 1 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
            // What became due together with this is done before anybody goes on.
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            self.people.iter_mut().for_each(Person::listen);
            left -= pause;
        }
    }

    async fn act(&mut self, number: usize, step: &Step) {
        let target = self.target(number, step);
        let person = &mut self.people[step.user];
        let thread = target.map(|(thread_id, _)| thread_id);
        let resume_from = |after| {
            let point = |thread_id| ResumePoint { thread_id, epoch: None, after_seq: Seq(after) };
            thread.map(point).into_iter().collect::<Vec<_>>()
        };
        match step.deed {
            Deed::Attach { resumes } if person.readers.len() < READERS => {
                let resume = if resumes { resume_from(0) } else { Vec::new() };
                person.attach(&self.shards, resume).await;
                return;
            }
            Deed::Detach => {
                if !person.readers.is_empty() {
                    let at = step.reader % person.readers.len();
                    let reader = person.readers.remove(at);
                    reader.link.detach(reader.id);
                }
                return;
            }
            _ => {}
        }
        if person.readers.is_empty() {
            person.attach(&self.shards, Vec::new()).await;
        }
        let body = match step.deed {
            Deed::Say { id, words, anew, multitask, cancels } => {
                let thread_id = if anew { None } else { thread };
                Some(message(USERS[step.user], id, words, thread_id, multitask, cancels))
            }
            Deed::Create => {
                let title = Some(format!("{}-secret title", USERS[step.user]));
                Some(ClientBody::Thread(ThreadCommand::Create { title, metadata: None }))
            }
            Deed::List => Some(ClientBody::Thread(ThreadCommand::List { limit: 50 })),
            Deed::Resume { after } => Some(ClientBody::Resume { threads: resume_from(after) }),
            _ => target.map(|target| naming(step, target)),
        };
        if let Some(body) = body {
            let reader = &person.readers[step.reader % person.readers.len()];
            let reply = Reply::Ref(FrameRef::new(&format!("step{number}")).unwrap());
            reader.link.command(reader.id, reply, body).await;
        }
    }

    /// What a step names. Of the other user it is what that one had when both were there.
    fn target(&mut self, number: usize, step: &Step) -> Option<(ThreadId, RunId)> {
        if step.foreign && !self.together {
            return self.named.get(&number).copied();
        }
        let owner = if step.foreign { 1 - step.user } else { step.user };
        let Person { threads, runs, .. } = &self.people[owner];
        // The latest is the most likely to be at work.
        let latest = |len: usize| len.checked_sub(1 + step.which % len.max(1));
        let target = (threads[latest(threads.len())?], *runs.get(latest(runs.len())?)?);
        if step.foreign {
            self.named.insert(number, target);
        }
        Some(target)
    }
}

fn naming(step: &Step, (thread_id, run_id): (ThreadId, RunId)) -> ClientBody {
    match step.deed {
        Deed::CancelQueued => ClientBody::CancelQueued { run_id },
        Deed::CancelRun => ClientBody::CancelRun { run_id: Some(run_id) },
        Deed::Delete => ClientBody::Thread(ThreadCommand::Delete { thread_id }),
        Deed::Gap => ClientBody::GapRequest { thread_id, after_seq: Seq(2), to_seq: Seq(9) },
        Deed::History => {
            let after_seq = Seq::ZERO;
            ClientBody::Thread(ThreadCommand::History { thread_id, after_seq, limit: 20 })
        }
        Deed::Received => ClientBody::Received { thread_id, seq: Seq(3) },
        Deed::Rename => {
            let title = Some(format!("{}-secret new title", USERS[step.user]));
            ClientBody::Thread(ThreadCommand::Rename { thread_id, title, metadata: None })
        }
        Deed::Unsubscribe => ClientBody::Unsubscribe { thread_id },
        Deed::Subscribe { level } => ClientBody::Subscribe { thread_id, level },
        // One reader too many; the others never come here.
        Deed::Attach { .. } | Deed::Create | Deed::Detach | Deed::List => {
            ClientBody::Subscribe { thread_id, level: Level::Full }
        }
        Deed::Resume { .. } | Deed::Say { .. } => unreachable!("they have a body of their own"),
    }
}

fn message(
    user: &str,
    id: u8,
    words: u8,
    thread_id: Option<ThreadId>,
    multitask: MultitaskStrategy,
    cancels: bool,
) -> ClientBody {
    ClientBody::UserMessage(UserMessage {
        client_msg_id: ClientMsgId::new(&format!("m{id}")).unwrap(),
        content: format!("{user}-secret {words}"),
        thread_id,
        multitask,
        on_disconnect: if cancels { OnDisconnect::Cancel } else { OnDisconnect::Continue },
        expected_head_seq: None,
        metadata: None,
    })
}

impl Person {
    async fn attach(&mut self, shards: &Shards, resume: Vec<ResumePoint>) {
        let (sender, outbox) = outbox::channel(10_000, 10_000_000);
        self.next += 1;
        let id = ConnectionId(self.next);
        let link = shards.attach(&self.user, id, resume, true, sender).await;
        self.readers.push(Reader { id, link, outbox });
    }

    /// Takes all that waits in the outboxes.
    fn listen(&mut self) {
        let mut said = Vec::new();
        for reader in &mut self.readers {
            let mut taken = Vec::new();
            let received = poll_fn(|cx| reader.outbox.poll_recv_many(cx, &mut taken, 10_000));
            let _ = received.now_or_never();
            for delivery in taken {
                match delivery {
                    Delivery::Frames(frames) => {
                        said.extend(
                            frames.iter().map(|frame| format!("{} {}", reader.id, frame.as_str())),
                        );
                    }
                    Delivery::Mark(mark) => {
                        reader.link.marked(reader.id, mark);
                        said.push(format!("{} mark {mark}", reader.id));
                    }
                    other => said.push(format!("{} {other:?}", reader.id)),
                }
            }
        }
        // Only entries name what is its own: an answer may repeat what it named of the other.
        for line in said.iter().filter(|line| line.contains(r#""seq":"#)) {
            for id in ids_in(line) {
                learn(&mut self.threads, id);
                learn(&mut self.runs, id);
            }
        }
        self.heard.append(&mut said);
    }
}

fn learn<T: std::str::FromStr + PartialEq>(known: &mut Vec<T>, text: &str) {
    if let Ok(id) = text.parse::<T>()
        && !known.contains(&id)
    {
        known.push(id);
    }
}

/// The ids in a text: a short prefix, `_`, and 26 digits of base 32.
fn ids_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| {
        let split = word.split_once('_');
        split.is_some_and(|(kind, digits)| kind.len() <= 3 && digits.len() == 26)
    })
}

fn ids_of(heard: &[String]) -> BTreeSet<String> {
    heard.iter().flat_map(|said| ids_in(said)).map(str::to_owned).collect()
}

/// All that was heard, with each id replaced by its place in the order of first appearance.
fn renamed(heard: &[String]) -> Vec<String> {
    let mut places = BTreeMap::new();
    let renamed = heard.iter().map(|said| {
        let mut said = said.clone();
        let ids: Vec<String> = ids_in(&said).map(str::to_owned).collect();
        for id in ids {
            let next = places.len();
            let place = *places.entry(id.clone()).or_insert(next);
            said = said.replace(&id, &format!("{}#{place}", &id[..3]));
        }
        said
    });
    renamed.collect()
}

/// Two agents that think and nap, and answer with the words of the question.
fn team() -> Arc<Team> {
    let step = |agent: &str| StepSpec {
        agent: Name::new(agent).unwrap(),
        title: agent.into(),
        purpose: format!("do {agent}"),
        needs: Vec::new(),
    };
    let routes =
        [Route::Capabilities, Route::Fallback, Route::Full, Route::Guidance, Route::Partial];
    let routes = routes.map(|route| (route, vec![step("data"), step("report")]));
    let workflow =
        Workflow::new(step("supervisor"), step("triage"), BTreeMap::from(routes)).unwrap();
    let team =
        Team::builder(workflow).agent(Does("triage")).agent(Does("data")).agent(Does("report"));
    Arc::new(team.tool(Nap).build().unwrap())
}

struct Does(&'static str);

impl Agent for Does {
    fn name(&self) -> &'static str {
        self.0
    }

    fn title(&self) -> &'static str {
        self.0
    }

    fn run(&self, cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
        let name = self.0;
        Box::pin(async move {
            cx.think(format!("About {}", task.text)).await;
            let dreamt = cx.tool::<Nap>(task.text).await?;
            Ok(Finish {
                summary: format!("Dreamt of {dreamt}"),
                route: (name == "triage").then_some(Route::Full),
                answer: (name == "report").then_some(dreamt),
                ..Finish::default()
            })
        })
    }
}

/// Takes its time and gives back what it was given.
struct Nap;

impl Tool for Nap {
    type Args = String;
    type Out = String;
    const NAME: &'static str = "nap";
    const TITLE: &'static str = "Nap";

    async fn call(&self, _: ToolCx, words: String) -> Result<String, ToolError> {
        tokio::time::sleep(Duration::from_millis(NAP)).await;
        Ok(words)
    }
}
