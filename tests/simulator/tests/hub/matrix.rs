//! The whole matrix: every state a thread of a hub can be in, against every kind of input, and what the
//! hub says to it. A changed transition is a changed line.

use crate::page::{Page, Row};
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::{Committed, Hub, Input, Load, Loaded, Output};
use goldenpath_core::id::{ConnectionId, EffectId, Fence, RunId, Seq, ThreadId, ToolCallId};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Now};
use goldenpath_core::wire::{ClientBody, Level, MultitaskStrategy, Reply, ResumePoint};
use goldenpath_simulator::store::Store;
use goldenpath_simulator::{World, message, scope_of};
use std::fmt::Write as _;
use std::sync::Arc;

/// A hub brought into a state, with what the inputs refer to.
struct Stage {
    hub: Hub,
    now: Now,
    reader: ConnectionId,
    thread_id: ThreadId,
    run_id: RunId,
    fence: Fence,
    /// The commit asked for last, and where it begins.
    commit: Option<(EffectId, Seq)>,
    load: Option<(EffectId, Load)>,
    store: Store,
}

impl Stage {
    fn new() -> Self {
        let now = World::with(Limits::default()).now;
        Self {
            hub: Hub::new(scope_of("ada"), Arc::new(Limits::default()), Seed::new(7)),
            now,
            reader: ConnectionId(1),
            thread_id: ThreadId(404),
            run_id: RunId(404),
            fence: Fence(1),
            commit: None,
            load: None,
            store: Store::default(),
        }
    }

    /// Gives an input and notes what is asked for; answers the names of all outputs.
    fn give(&mut self, input: Input) -> Vec<&'static str> {
        self.hub.handle_input(self.now, input);
        self.listen()
    }

    fn listen(&mut self) -> Vec<&'static str> {
        let mut said = Vec::new();
        loop {
            let output = self.hub.poll_output();
            said.push(match &output {
                Output::Attached { .. } => "Attached",
                Output::CancelRun { .. } => "CancelRun",
                Output::Close { .. } => "Close",
                Output::Commit { effect, batch } => {
                    self.thread_id = batch.thread_id;
                    if let Some(message) = &batch.message {
                        self.run_id = message.run_id;
                    }
                    if let Ok(Committed::Done { first_seq }) = self.store.commit(batch) {
                        self.commit = Some((*effect, first_seq));
                    }
                    "Commit"
                }
                Output::Deliver { frames, .. } => match frames.len() {
                    1 => "Deliver(1)",
                    _ => "Deliver(n)",
                },
                Output::Confirmed { .. } => "Confirmed",
                Output::FencedOff => "FencedOff",
                Output::Heads { .. } => "Heads",
                Output::Idle(_) => return said,
                Output::KillRun { .. } => "KillRun",
                Output::Load { effect, load } => {
                    self.load = Some((*effect, load.clone()));
                    "Load"
                }
                Output::Mark { .. } => "Mark",
                Output::Record { .. } => "Record",
                Output::Retire => "Retire",
                Output::StartRun { fence, assignment, .. } => {
                    self.fence = *fence;
                    self.run_id = assignment.run_id;
                    "StartRun"
                }
            });
        }
    }

    fn attach(mut self) -> Self {
        let connection_id = self.reader;
        self.give(Input::Attach { connection_id, resume: Vec::new(), reader: true });
        self
    }

    fn command(&mut self, body: ClientBody) -> Vec<&'static str> {
        let connection_id = self.reader;
        self.give(Input::Command { connection_id, reply: Reply::None, body })
    }

    fn say(mut self, name: &str) -> Self {
        let thread = (self.thread_id != ThreadId(404)).then_some(self.thread_id);
        self.command(ClientBody::UserMessage(message(name, thread)));
        self
    }

    /// The store says that the batch asked for last is written.
    fn commit_done(&mut self) -> Vec<&'static str> {
        let (effect, first_seq) = self.commit.unwrap_or((EffectId(99), Seq(1)));
        self.give(Input::Committed { effect, result: Ok(Committed::Done { first_seq }) })
    }

    fn done(mut self) -> Self {
        self.commit_done();
        self
    }

    fn cancel(mut self) -> Self {
        let run_id = Some(self.run_id);
        self.command(ClientBody::CancelRun { run_id });
        self
    }

    fn drain(mut self) -> Self {
        self.give(Input::Drain);
        self
    }

    /// The run did not end within its grace: the hub ends it.
    fn overdue(mut self) -> Self {
        self.now = self.now.after(Millis::from_secs(60));
        self.hub.handle_timeout(self.now);
        self.listen();
        self
    }

    fn stopped(mut self) -> Self {
        let (run_id, fence) = (self.run_id, self.fence);
        self.give(Input::RunStopped { run_id, fence });
        self
    }

    fn loaded(mut self) -> Self {
        if let Some((effect, load)) = self.load.clone() {
            let result = self.store.load(&load);
            self.give(Input::Loaded { effect, result: Ok(result) });
        }
        self
    }

    /// Its user leaves and comes back.
    fn again(mut self) -> Self {
        let connection_id = self.reader;
        self.give(Input::Detach { connection_id });
        self.attach()
    }

    /// All that is to be written is.
    fn settled(mut self) -> Self {
        for _ in 0..8 {
            if self.hub.thread_state(self.thread_id) != "idle" {
                self.commit_done();
            }
        }
        self
    }

    fn read(mut self) -> Self {
        let threads =
            vec![ResumePoint { thread_id: self.thread_id, epoch: None, after_seq: Seq(0) }];
        self.command(ClientBody::Resume { threads });
        self
    }
}

type Made = (&'static str, fn() -> Stage);

const STATES: [Made; 15] = [
    ("nobody", Stage::new),
    ("attached", || Stage::new().attach()),
    ("loading", || Stage::new().attach().read()),
    ("accepting", || Stage::new().attach().say("m1")),
    ("running", || Stage::new().attach().say("m1").done()),
    ("running, a page is read", || Stage::new().attach().say("m1").done().read()),
    ("running, one arrives", || Stage::new().attach().say("m1").done().say("m2")),
    ("cancelling", || Stage::new().attach().say("m1").done().cancel().done()),
    ("ending", || Stage::new().attach().say("m1").done().cancel().done().overdue()),
    ("idle", || Stage::new().attach().say("m1").done().cancel().done().overdue().settled()),
    ("claiming", || Stage::new().attach().say("m1").done().stopped()),
    ("claiming, log read", || Stage::new().attach().say("m1").done().stopped().loaded()),
    ("loading, stored", || {
        Stage::new().attach().say("m1").done().cancel().done().overdue().settled().again().read()
    }),
    ("queued", || Stage::new().attach().say("m1").done().drain().stopped()),
    ("draining", || Stage::new().attach().say("m1").done().drain()),
];

type Given = (&'static str, fn(&mut Stage) -> Vec<&'static str>);

fn inputs() -> Vec<Given> {
    vec![
        ("Attach", |stage| {
            let connection_id = ConnectionId(2);
            stage.give(Input::Attach { connection_id, resume: Vec::new(), reader: true })
        }),
        ("Detach", |stage| {
            let connection_id = stage.reader;
            stage.give(Input::Detach { connection_id })
        }),
        ("UserMessage, new thread", |stage| {
            stage.command(ClientBody::UserMessage(message("m9", None)))
        }),
        ("UserMessage, this thread", |stage| {
            let thread = Some(stage.thread_id);
            stage.command(ClientBody::UserMessage(message("m9", thread)))
        }),
        ("UserMessage, rejecting", |stage| {
            let mut rejecting = message("m9", Some(stage.thread_id));
            rejecting.multitask = MultitaskStrategy::Reject;
            stage.command(ClientBody::UserMessage(rejecting))
        }),
        ("CancelRun", |stage| {
            let run_id = Some(stage.run_id);
            stage.command(ClientBody::CancelRun { run_id })
        }),
        ("CancelQueued", |stage| {
            let run_id = stage.run_id;
            stage.command(ClientBody::CancelQueued { run_id })
        }),
        ("Subscribe", |stage| {
            let thread_id = stage.thread_id;
            stage.command(ClientBody::Subscribe { thread_id, level: Level::Full })
        }),
        ("Resume", |stage| {
            let thread_id = stage.thread_id;
            let point = ResumePoint { thread_id, epoch: None, after_seq: Seq(0) };
            stage.command(ClientBody::Resume { threads: vec![point] })
        }),
        ("Confirm", |stage| {
            let (run_id, fence) = (stage.run_id, stage.fence);
            stage.give(Input::Confirm { run_id, fence, tool_call_id: ToolCallId(1) })
        }),
        ("Committed, done", Stage::commit_done),
        ("Committed, fenced", |stage| {
            let effect = stage.commit.map_or(EffectId(99), |(effect, _)| effect);
            stage.give(Input::Committed { effect, result: Ok(Committed::Fenced) })
        }),
        ("Committed, unavailable", |stage| {
            let effect = stage.commit.map_or(EffectId(99), |(effect, _)| effect);
            stage.give(Input::Committed { effect, result: Err(Fault::Unavailable) })
        }),
        ("Loaded", |stage| {
            let (effect, result) = match &stage.load {
                Some((effect, load)) => (*effect, stage.store.load(load)),
                None => (EffectId(99), Loaded::NoThread),
            };
            stage.give(Input::Loaded { effect, result: Ok(result) })
        }),
        ("Loaded, unavailable", |stage| {
            let effect = stage.load.as_ref().map_or(EffectId(99), |(effect, _)| *effect);
            stage.give(Input::Loaded { effect, result: Err(Fault::Unavailable) })
        }),
        ("RunStopped", |stage| {
            let (run_id, fence) = (stage.run_id, stage.fence);
            stage.give(Input::RunStopped { run_id, fence })
        }),
        ("RunStopped, older fence", |stage| {
            let run_id = stage.run_id;
            stage.give(Input::RunStopped { run_id, fence: Fence(0) })
        }),
        ("Recover, nothing", |stage| stage.give(Input::Recover { runs: Vec::new() })),
        ("Drain", |stage| stage.give(Input::Drain)),
        ("timeout, early", |stage| {
            stage.hub.handle_timeout(stage.now);
            stage.listen()
        }),
        ("timeout, after a day", |stage| {
            stage.now = stage.now.after(Millis::from_secs(86_400));
            stage.hub.handle_timeout(stage.now);
            stage.listen()
        }),
    ]
}

const PAGE: Page = Page {
    name: "hub",
    title: "A thread in its hub",
    about: "A hub is one user. Of each of the user's threads it knows the head, the batch on its way to the store,\n\
            the run at work and the runs that wait; it says what is to be committed and tells what was.",
    states: &[
        ("unknown", "Nothing is under way here; what the thread is stands in the store."),
        ("loading", "Its head is being read; commands for it wait, within their bound."),
        ("idle", "Its head is known, nothing is to be written, no run is at work or waits."),
        (
            "accepting",
            "A message and its run are on their way into the store; nobody is told before they are there (DLV-12).",
        ),
        (
            "queued",
            "Runs wait and none is at work: the server drains, or as many are at work as one user may have.",
        ),
        (
            "claiming",
            "A run is to go to work: its log is being read, or its claim is on its way into the store.",
        ),
        (
            "running",
            "A run is at work. Its events are committed and then told; further messages wait for it, interrupt it, \
             or are refused, as they ask for.",
        ),
        (
            "cancelling",
            "The run at work is told to stop. It ends itself within the grace, or the hub ends it (RUN-09).",
        ),
        (
            "ending",
            "The terminal event of the run is on its way into the store; then the next run begins.",
        ),
    ],
    begins: &["unknown"],
    rows: Vec::new(),
};

#[test]
fn the_matrix_of_states_and_inputs() {
    let (mut matrix, mut seen) = (String::new(), Vec::new());
    for (state, make) in STATES {
        writeln!(matrix, "{state}").unwrap();
        let mut silent = Vec::new();
        for (name, give) in inputs() {
            let mut stage = make();
            let from = stage.hub.thread_state(stage.thread_id);
            let said = give(&mut stage);
            // Of a message to a new thread that thread is looked at, not the one before.
            let to = if name.ends_with("new thread") && from != "unknown" {
                from
            } else {
                stage.hub.thread_state(stage.thread_id)
            };
            if said.is_empty() {
                silent.push(name);
            } else {
                writeln!(matrix, "  {name:<26} {}", said.join(" ")).unwrap();
            }
            // Without anybody in it a hub is given back at every occasion, which says nothing of threads.
            if state != "nobody" {
                seen.push(Row::of(state, from, name, to, &said.join(" ")));
            }
        }
        writeln!(matrix, "  nothing: {}", silent.join(", ")).unwrap();
    }
    insta::assert_snapshot!(matrix);
    Page { rows: seen, ..PAGE }.check();
}

#[test]
fn every_input_twice_is_no_worse_than_once() {
    for (state, make) in STATES {
        for (name, give) in inputs() {
            let mut stage = make();
            give(&mut stage);
            let again = give(&mut stage);
            let starts = again.iter().filter(|said| **said == "StartRun").count();
            assert!(starts <= 1, "{state}, {name}: {again:?}");
            assert!(again.len() < 50, "{state}, {name}: a bounded number of outputs (CONN-07)");
        }
    }
}
