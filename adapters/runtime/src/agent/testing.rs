//! For authors of agents: run a team without a server, and crash it at every step.

use super::runs::AgentRuns;
use super::task::Log;
use super::team::Team;
use crate::clock::Clock;
use crate::ports::{Answer, Artifact, ArtifactInfo, Artifacts};
use crate::shard::RunControl;
use futures_util::FutureExt as _;
use futures_util::future::ready;
use goldenpath_core::auth::Scope;
use goldenpath_core::id::{Epoch, MessageId, RunId, Seq, ThreadId, ToolCallId};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::{Assignment, CancelReason, Grammar};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{Draft, Entry, Frame, RunStatus};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// The longest any run here may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A team with a shelf and a user, ready to be asked.
pub struct Stage {
    team: Arc<Team>,
    /// Bounds of the runs.
    pub limits: Limits,
    /// The clock of the runs.
    pub clock: Clock,
    /// Who asks.
    pub user: Scope,
    /// What the runs keep.
    pub shelves: Arc<Shelves>,
}

/// What a run left behind.
#[derive(Clone, Debug)]
pub struct Played {
    /// The run's entries, from the supervisor's start to the terminal event.
    pub entries: Vec<Entry>,
    /// What was shown and not kept.
    pub transient: Vec<Frame>,
    /// In how many batches the entries came.
    pub batches: usize,
}

impl Played {
    /// How it ended; `None` when its task ended without.
    #[must_use]
    pub fn ended(&self) -> Option<RunStatus> {
        self.entries.last().and_then(|entry| entry.event.terminal_status())
    }
}

impl Stage {
    /// A stage with default limits and the system's clock; needs a tokio runtime.
    #[must_use]
    pub fn new(team: Arc<Team>, user: Scope) -> Self {
        let (limits, clock) = (Limits::default(), Clock::system());
        Self { team, limits, clock, user, shelves: Arc::default() }
    }

    /// Asks, and waits for the end.
    pub async fn ask(&self, question: &str) -> Played {
        self.play(question, 1, Vec::new(), None).await
    }

    /// Asks, and cancels as soon as the log has `after` entries.
    pub async fn ask_and_cancel(&self, question: &str, after: usize) -> Played {
        self.play(question, 1, Vec::new(), Some(after)).await
    }

    /// Goes on with a run whose process died after these entries. What comes back are all entries.
    pub async fn recover(&self, question: &str, history: Vec<Entry>) -> Played {
        self.play(question, 2, history, None).await
    }

    /// Asks and throws away what is said; how many entries that was. For measurements: nothing is
    /// encoded here.
    pub async fn drive(&self, question: &str) -> usize {
        let (log, mut heard) = Recorder::new();
        let control = self.begin(question, 1, Vec::new(), log);
        let mut entries = 0;
        while let Some(heard) = heard.recv().await {
            match heard {
                Heard::Confirm(tool_call_id) => control.confirmed(tool_call_id),
                Heard::Drafts(drafts) => entries += drafts.len(),
                Heard::Transient(_) => {}
            }
        }
        drop(control);
        entries
    }

    fn begin(
        &self,
        question: &str,
        attempt: u32,
        history: Vec<Entry>,
        log: Recorder,
    ) -> Box<dyn RunControl> {
        let began = history.first().map(|entry| entry.ts);
        let assignment = Assignment {
            run_id: RunId(7),
            thread_id: ThreadId(5),
            epoch: Epoch(1),
            message_id: MessageId(6),
            message_seq: Seq(1),
            question: question.into(),
            attempt,
            started_at: began.unwrap_or(self.clock.now().wall),
            history,
        };
        let artifacts = self.shelves.clone() as Arc<dyn Artifacts>;
        let limits = Arc::new(self.limits.clone());
        let runs = AgentRuns::new(self.team.clone(), limits, self.clock, artifacts);
        runs.start_with(self.user.clone(), assignment, log)
    }

    async fn play(
        &self,
        question: &str,
        attempt: u32,
        history: Vec<Entry>,
        cancel_after: Option<usize>,
    ) -> Played {
        let (log, mut heard) = Recorder::new();
        let control = self.begin(question, attempt, history.clone(), log);
        let mut played = Played { entries: history, transient: Vec::new(), batches: 0 };
        let hearing = async {
            loop {
                if cancel_after.is_some_and(|after| played.entries.len() >= after) {
                    control.cancel(CancelReason::User);
                }
                match heard.recv().await {
                    Some(Heard::Drafts(drafts)) => {
                        played.batches += 1;
                        for draft in drafts {
                            let seq = Seq(played.entries.len() as u64 + 1);
                            let frame = draft.encode().frame(seq, false);
                            let entry = Entry::decode(frame.bytes());
                            played.entries.push(entry.expect("our own frames can be read"));
                        }
                    }
                    Some(Heard::Confirm(tool_call_id)) => control.confirmed(tool_call_id),
                    Some(Heard::Transient(frame)) => played.transient.push(frame),
                    None => return,
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, hearing).await;
        assert!(in_time.is_ok(), "the run did not end");
        played
    }

    /// Asks, then lets the run die after every one of its entries and go on from there: each time the
    /// grammar must hold and every agent must have the same events, apart from ids and times (RUN-16).
    ///
    /// # Panics
    /// When that is not so, which means that the team's code is not deterministic.
    pub async fn crash_everywhere(&self, question: &str) -> Played {
        let whole = self.ask(question).await;
        let expected = by_agent(&whole.entries);
        for keep in 0..whole.entries.len() {
            let again = self.recover(question, whole.entries[..keep].to_vec()).await;
            let grammar = Grammar::replay(RunId(7), &again.entries);
            assert_eq!(
                grammar.map(|grammar| grammar.ended()),
                Ok(whole.ended()),
                "the order of events after a crash behind {keep} entries"
            );
            let got = by_agent(&again.entries);
            assert_eq!(got, expected, "the events after a crash behind {keep} entries");
        }
        whole
    }
}

/// Events without what a second run may have otherwise, per agent, in an order that does not depend on
/// which of several parallel tools was faster.
fn by_agent(entries: &[Entry]) -> BTreeMap<String, Vec<String>> {
    let mut lists = BTreeMap::<String, Vec<String>>::new();
    for entry in entries {
        let who = entry.agent.as_ref().map_or("run", |agent| agent.name.as_str());
        let mut event = serde_json::to_value(&entry.event).unwrap_or_default();
        if let Some(payload) = event.get_mut("payload").and_then(|payload| payload.as_object_mut())
        {
            for other in [
                "attempt",
                "deadline_at",
                "duration_ms",
                "message_id",
                "result_ref",
                "tool_call_id",
            ] {
                payload.remove(other);
            }
        }
        lists.entry(who.into()).or_default().push(event.to_string());
    }
    lists.values_mut().for_each(|list| list.sort());
    lists
}

enum Heard {
    Confirm(ToolCallId),
    Drafts(Vec<Draft>),
    Transient(Frame),
}

/// A log in memory.
struct Recorder(mpsc::UnboundedSender<Heard>);

impl Recorder {
    fn new() -> (Self, mpsc::UnboundedReceiver<Heard>) {
        let (log, heard) = mpsc::unbounded_channel();
        (Self(log), heard)
    }
}

impl Log for Recorder {
    fn append(&self, drafts: Vec<Draft>) {
        let _ = self.0.send(Heard::Drafts(drafts));
    }

    fn confirm(&self, tool_call_id: ToolCallId) {
        let _ = self.0.send(Heard::Confirm(tool_call_id));
    }

    fn transient(&self, frame: Frame) {
        let _ = self.0.send(Heard::Transient(frame));
    }
}

type Key = (Scope, RunId, String);

/// Artifacts in memory, for any run.
#[derive(Debug, Default)]
pub struct Shelves(Mutex<BTreeMap<Key, Artifact>>);

impl Shelves {
    /// The names of all that is kept, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.lock().keys().map(|(.., name)| name.clone()).collect()
    }

    /// Reads one as text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let shelves = self.lock();
        let found = shelves.iter().find(|((.., kept), _)| kept == name);
        found.map(|(_, artifact)| String::from_utf8_lossy(&artifact.bytes).into_owned())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Artifact>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Artifacts for Shelves {
    fn put(&self, user: &Scope, run_id: RunId, artifact: Artifact) -> Answer<bool> {
        self.lock().insert((user.clone(), run_id, artifact.name.clone()), artifact);
        ready(Ok(true)).boxed()
    }

    fn get(&self, user: &Scope, run_id: RunId, name: &str) -> Answer<Option<Artifact>> {
        let found = self.lock().get(&(user.clone(), run_id, name.into())).cloned();
        ready(Ok(found)).boxed()
    }

    fn list(&self, user: &Scope, run_id: RunId) -> Answer<Vec<ArtifactInfo>> {
        let shelves = self.lock();
        let of_run = shelves.iter().filter(|((of, run, _), _)| of == user && *run == run_id);
        let info = of_run.map(|(_, artifact)| ArtifactInfo {
            name: artifact.name.clone(),
            media_type: artifact.media_type.clone(),
            len: artifact.bytes.len() as u64,
            at: artifact.at,
        });
        ready(Ok(info.collect())).boxed()
    }
}

/// A stage's clock for tests with paused time.
#[must_use]
pub fn clock_for_tests() -> Clock {
    Clock::starting_at(Wall(1_795_255_873_000))
}
