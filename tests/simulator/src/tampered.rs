//! Each rule can fail: worlds in which all is well are tampered with, and exactly one rule has to say so.
//! There is a row for each place that names a rule; a place without one is found, too.

use crate::invariant::{Broken, Invariant};
use crate::node::{Fate, Pending};
use crate::reader::Reader;
use crate::rules;
use crate::store::Log;
use crate::task::Work;
use crate::world::{HOME, Setup, World, message, scope_of};
use goldenpath_core::client::{self, MessageState, WhyCredential};
use goldenpath_core::hub::{self, HubReady, Output};
use goldenpath_core::id::{
    ClientMsgId, ConnectionId, EffectId, Epoch, EventId, Fence, MessageId, Name, RunId, Seq,
    ThreadId, ToolCallId,
};
use goldenpath_core::limits::Limits;
use goldenpath_core::run::CancelReason;
use goldenpath_core::time::{Millis, Mono};
use goldenpath_core::wire::{
    AckFrame, Announced, CloseCode, Entry, ErrorCode, ErrorFrame, Event, Frame, Head, Reply,
    Resumed, RunStatus, ServerFrame,
};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// The file of the place, the rule it names, the beginning of what it says, and how it is brought about.
type Row = (&'static str, Invariant, &'static str, fn(&mut Scene));

/// A world of one reader, or one client beside it, with what it is about.
struct Scene {
    world: World,
    reader: ConnectionId,
    thread_id: ThreadId,
    run_id: RunId,
}

impl Scene {
    /// A question is asked and answered, and whoever asked has seen all of it.
    fn after_a_run(clients: usize) -> Self {
        let mut scene = Self::at_work(Setup { clients, ..Setup::default() });
        scene.world.settle();
        scene
    }

    /// A question is asked, and its run is at work.
    fn at_work(setup: Setup) -> Self {
        let clients = setup.clients;
        let mut world = World::new(setup);
        let reader = world.attach(HOME, Vec::new());
        if clients > 0 {
            world.send(0, message("m1", None));
            while world.home().pending.is_empty() {
                if !world.seats[0].going.is_empty() {
                    world.reach(0);
                } else if world.seats[0].coming() > 0 {
                    world.hear(0);
                } else {
                    world.dialed(0, HOME, true);
                }
            }
        } else {
            world.say(reader, message("m1", None));
        }
        world.answer(0, Fate::Well);
        let (thread_id, run_id) = (world.only_thread(), *world.store.runs.keys().next().unwrap());
        Self { world, reader, thread_id, run_id }
    }

    fn log(&mut self) -> &mut Log {
        self.world.store.threads.get_mut(&self.thread_id).unwrap()
    }

    /// An entry of the log is another one; the readers have read it already.
    fn entry(&mut self, place: usize, change: impl FnOnce(&mut Entry)) {
        change(Arc::make_mut(&mut self.log().decoded[place]));
    }

    fn serve(&mut self, output: Output) {
        self.world.serve(HOME, output);
    }

    fn deliver(&mut self, connection_id: ConnectionId, frame: Frame) {
        self.serve(Output::Deliver { connection_id, frames: [frame].into(), droppable: false });
    }

    /// The entry at `seq` as it is sent.
    fn frame(&mut self, seq: u64, replay: bool) -> Frame {
        self.log().entries[seq as usize - 1].frame(Seq(seq), replay)
    }

    /// The reader's acknowledgement comes again.
    fn acknowledges_again(&mut self) {
        let heard = self.world.readers[&self.reader].control.0.clone();
        let ack = heard.into_iter().find(|frame| frame.as_str().contains(r#""type":"ack""#));
        self.deliver(self.reader, ack.unwrap());
    }

    /// A connection that its hub has not taken in.
    fn stranger(&mut self) -> ConnectionId {
        self.world.new_connection(Reader::at(HOME, &[]))
    }

    fn attached(&mut self, connection_id: ConnectionId, resume: Vec<Resumed>) {
        let ready = HubReady { resume, ..HubReady::default() };
        self.serve(Output::Attached { connection_id, ready });
    }

    fn tells(&mut self, event: client::Event) {
        self.world.obeys(0, client::Output::Event(event));
    }

    fn message(&mut self, state: MessageState) {
        let client_msg_id = ClientMsgId::new("never-said").unwrap();
        self.tells(client::Event::Message { client_msg_id, state });
    }

    /// More runs of the thread.
    fn runs(&mut self, status: RunStatus, many: u128) {
        let run = self.world.store.runs[&self.run_id].clone();
        for nth in 0..many {
            self.world.store.runs.insert(RunId(nth), crate::store::Run { status, ..run.clone() });
        }
    }

    fn starts(&mut self, user: &str) {
        let assignment = self.world.home().tasks[&self.run_id].assignment.clone();
        self.serve(Output::StartRun { assignment, fence: Fence(9), scope: scope_of(user) });
    }

    /// What the task of the run says next, on its way to the store.
    fn said(&mut self) -> EventId {
        let before: BTreeSet<EventId> = self.world.said.0.keys().copied().collect();
        self.world.speak(self.run_id, 1);
        let said = self.world.said.0.keys().find(|id| !before.contains(id));
        *said.unwrap()
    }
}

const ROWS: [Row; 51] = [
    ("clock.rs", Invariant::Rests, "a deadline that is over, at", |scene| {
        scene.world.crash_at(HOME);
        scene.world.home_mut().deadline = Some(Mono(0));
        scene.world.set_clock(HOME, 1);
    }),
    ("heal.rs", Invariant::Converges, "runs: [StoredRun", |scene| {
        scene.runs(RunStatus::Queued, 1);
        scene.world.settle();
    }),
    ("heal.rs", Invariant::Converges, "a hub stays", |scene| {
        let (connection_id, resume) = (ConnectionId(404), Vec::new());
        let now = scene.world.now;
        let hub = scene.world.home_mut().hub.as_mut().unwrap();
        hub.handle_input(now, hub::Input::Attach { connection_id, resume, reader: true });
        while !matches!(hub.poll_output(), Output::Idle(_)) {}
        scene.world.leave();
    }),
    ("node.rs", Invariant::Rests, "a hub never", |scene| {
        let limits = Limits { connections_per_user: usize::MAX, ..Limits::default() };
        scene.world = World::with(limits);
        let now = scene.world.now;
        for _ in 0..10_000 {
            let (connection_id, resume) = (scene.stranger(), Vec::new());
            let hub = scene.world.home_mut().hub.as_mut().unwrap();
            hub.handle_input(now, hub::Input::Attach { connection_id, resume, reader: true });
        }
        scene.world.drain(HOME);
    }),
    ("node.rs", Invariant::OnlyWhatAsked, "a run of somebody", |scene| {
        *scene = Scene::at_work(Setup::default());
        let task = scene.world.home_mut().tasks.remove(&scene.run_id).unwrap();
        let (assignment, fence) = (task.assignment, Fence(9));
        scene.serve(Output::StartRun { assignment, fence, scope: scope_of("eve") });
    }),
    ("node.rs", Invariant::OnlyWhatAsked, "", |scene| {
        let (run_id, reason) = (scene.run_id, CancelReason::Disconnect);
        scene.serve(Output::CancelRun { run_id, reason });
    }),
    ("node.rs", Invariant::Converges, "a hub retires", |scene| scene.serve(Output::Retire)),
    ("node.rs", Invariant::FencedOff, "without another", |scene| scene.serve(Output::FencedOff)),
    ("node.rs", Invariant::CommittedFirst, "a reader is ahead", |scene| {
        let heads = vec![Head { thread_id: scene.thread_id, seq: Seq(1) }];
        scene.serve(Output::Heads { connection_id: scene.reader, heads });
    }),
    ("node.rs", Invariant::Rests, "", |scene| {
        *scene = Scene::at_work(Setup { work: Work::Team, ..Setup::default() });
        let run_id = scene.run_id;
        scene.world.drive(HOME, run_id, |team, now| team.babbles(now));
    }),
    ("node.rs", Invariant::OneRunning, "refused: ", |scene| {
        *scene = Scene::at_work(Setup::default());
        scene.said();
        for pending in &mut scene.world.home_mut().pending {
            if let Pending::Commit(_, batch) = pending {
                batch.epoch = Epoch(404);
            }
        }
        scene.world.answer(0, Fate::Well);
    }),
    ("node.rs", Invariant::Fenced, "agent_started of", |scene| {
        *scene = Scene::at_work(Setup::default());
        let id = scene.said();
        scene.world.said.0.insert(id, Fence(0));
        scene.world.answer(0, Fate::Well);
    }),
    ("node.rs", Invariant::NoGhosts, "agent_started is visible", |scene| {
        *scene = Scene::at_work(Setup::default());
        let id = scene.said();
        scene.world.ghostly.0.insert(id);
        scene.world.answer(0, Fate::Well);
    }),
    ("reader.rs", Invariant::AttachedFirst, "somebody unknown", |scene| {
        scene.attached(ConnectionId(404), Vec::new());
    }),
    ("reader.rs", Invariant::AttachedFirst, "", |scene| {
        let stranger = scene.stranger();
        scene.attached(stranger, Vec::new());
        scene.attached(stranger, Vec::new());
    }),
    ("reader.rs", Invariant::Order, "not recovered without", |scene| {
        let (thread_id, from_seq, to_seq) = (scene.thread_id, Seq(11), Seq(11));
        let one = Resumed {
            thread_id,
            recovered: false,
            epoch: None,
            from_seq,
            to_seq,
            reason: None,
            snapshot_url: None,
        };
        let stranger = scene.stranger();
        scene.attached(stranger, vec![one]);
    }),
    ("reader.rs", Invariant::FaultsCloseNothing, "closed with 1011", |scene| {
        let (connection_id, code) = (scene.reader, CloseCode::Internal);
        scene.serve(Output::Close { connection_id, code });
    }),
    ("reader.rs", Invariant::Order, "a frame for a connection", |scene| {
        let frame = scene.frame(1, true);
        scene.deliver(ConnectionId(404), frame);
    }),
    ("reader.rs", Invariant::AttachedFirst, "", |scene| {
        let (stranger, frame) = (scene.stranger(), scene.frame(1, true));
        scene.deliver(stranger, frame);
    }),
    ("reader.rs", Invariant::SameBytes, "nobody reads", |scene| {
        scene.deliver(scene.reader, Frame::encode(&"nonsense"));
    }),
    ("reader.rs", Invariant::CommittedFirst, "agent_started at 12", |scene| {
        let frame = scene.log().entries[4].frame(Seq(12), false);
        scene.deliver(scene.reader, frame);
    }),
    ("reader.rs", Invariant::SameBytes, "other bytes at 4", |scene| {
        let frame = scene.log().entries[4].frame(Seq(4), true);
        scene.deliver(scene.reader, frame);
    }),
    ("reader.rs", Invariant::Order, "a hole before 5", |scene| {
        let reader = scene.world.readers.get_mut(&scene.reader).unwrap();
        reader.positions.insert(scene.thread_id, Seq(3));
        let frame = scene.frame(5, true);
        scene.deliver(scene.reader, frame);
    }),
    ("reader.rs", Invariant::Order, "5 again", |scene| {
        let frame = scene.frame(5, false);
        scene.deliver(scene.reader, frame);
    }),
    ("reader.rs", Invariant::Kept, "m1 is acknowledged", |scene| {
        scene.world.store.messages.clear();
        scene.acknowledges_again();
    }),
    ("reader.rs", Invariant::OneOutcome, "m1: ", |scene| {
        scene.world.store.messages.values_mut().for_each(|one| one.message_id = MessageId(404));
        scene.acknowledges_again();
    }),
    ("replays.rs", Invariant::ReplayEnds, "", |scene| {
        let (thread_id, to_seq) = (scene.thread_id, Seq(1));
        let word = ServerFrame::ReplayComplete { thread_id, to_seq };
        let word = word.encode(&Reply::None, Announced { limits: &Limits::default() });
        scene.deliver(scene.reader, word);
    }),
    ("rules.rs", Invariant::Reported, "", |scene| {
        *scene = Scene::at_work(Setup { work: Work::Team, ..Setup::default() });
        scene.world.settle();
        let is_plan = |entry: &Arc<Entry>| matches!(entry.event, Event::RunPlan { .. });
        let place = scene.log().decoded.iter().position(is_plan).unwrap();
        scene.entry(place, |entry| {
            if let Event::RunPlan { steps, .. } = &mut entry.event {
                steps.last_mut().unwrap().agent = Name::new("nobody").unwrap();
            }
        });
    }),
    ("rules.rs", Invariant::GapFree, "12 where 3 is next", |scene| {
        scene.entry(2, |entry| entry.seq = Seq(12));
    }),
    ("rules.rs", Invariant::GapFree, "3 does not belong", |scene| {
        scene.entry(2, |entry| entry.epoch = Epoch(404));
    }),
    ("rules.rs", Invariant::Grammar, "", |scene| {
        let started = scene.log().decoded[4].event.clone();
        scene.entry(5, |entry| entry.event = started);
    }),
    ("rules.rs", Invariant::CancelHonoured, "", |scene| {
        scene.world.cancels.insert(scene.run_id);
    }),
    ("rules.rs", Invariant::OneEnd, "", |scene| {
        let run = scene.world.store.runs.get_mut(&scene.run_id).unwrap();
        run.status = RunStatus::Failed;
    }),
    ("rules.rs", Invariant::OneRunning, "2 runs at work", |scene| {
        scene.runs(RunStatus::Running, 2);
    }),
    ("rules.rs", Invariant::WithinLimits, "", |scene| {
        scene.runs(RunStatus::Queued, Limits::default().queued_runs_per_thread as u128 + 2);
    }),
    ("rules.rs", Invariant::OneRunning, "two tasks of", |scene| {
        *scene = Scene::at_work(Setup::default());
        scene.starts("ada");
    }),
    ("rules.rs", Invariant::WithinLimits, "too many runs", |scene| {
        let limits = Limits { running_runs_per_user: 1, ..Limits::default() };
        *scene = Scene::at_work(Setup { limits, ..Setup::default() });
        let mut assignment = scene.world.home().tasks[&scene.run_id].assignment.clone();
        assignment.run_id = RunId(404);
        scene.serve(Output::StartRun { assignment, fence: Fence(9), scope: scope_of("ada") });
    }),
    ("rules.rs", Invariant::InTurn, "", |scene| {
        *scene = Scene::at_work(Setup::default());
        scene.world.store.runs.get_mut(&scene.run_id).unwrap().order = 2;
        scene.runs(RunStatus::Queued, 1);
        scene.world.store.runs.get_mut(&RunId(0)).unwrap().order = 1;
        let task = scene.world.home_mut().tasks.remove(&scene.run_id).unwrap();
        let (assignment, fence) = (task.assignment, Fence(9));
        scene.serve(Output::StartRun { assignment, fence, scope: scope_of("ada") });
    }),
    ("rules.rs", Invariant::CancelInTime, "a cancelled task", |scene| {
        *scene = Scene::at_work(Setup::default());
        let task = scene.world.home_mut().tasks.values_mut().next().unwrap();
        task.cancelled = Some(Mono(0));
        scene.world.now.mono = Mono(0).after(Limits::default().cancel_grace);
        scene.world.check_cancels();
    }),
    ("rules.rs", Invariant::NoRepeat, "", |scene| {
        let log = scene.log().decoded.clone();
        let call = log.iter().find_map(|entry| match &entry.event {
            Event::ToolExecuting { tool_call_id, .. } => Some(*tool_call_id),
            _ => None,
        });
        scene.world.broken.extend(rules::of_call(call.unwrap(), &log, true, false));
    }),
    ("rules.rs", Invariant::AtMostOnce, "", |scene| {
        let log = scene.log().decoded.clone();
        scene.world.broken.extend(rules::of_call(ToolCallId(404), &log, false, false));
    }),
    ("seat.rs", Invariant::Rests, "a client writes what", |scene| {
        scene.world.seats[0].going.push_back(Frame::encode(&"nonsense"));
        scene.world.reach(0);
    }),
    ("seat.rs", Invariant::Order, "a client writes without", |scene| {
        scene.world.cut(0, None);
        let (dial, frame) = (EffectId(0), Frame::encode(&"anything"));
        scene.world.obeys(0, client::Output::Send { dial, frame });
    }),
    ("seat.rs", Invariant::Rests, "nobody asked", |scene| {
        scene.world.obeys(0, client::Output::NeedCredential(WhyCredential::Asked));
    }),
    ("seat.rs", Invariant::Rests, "a client never", |scene| {
        let crate::seat::Socket::Open { dial, .. } = scene.world.seats[0].socket else {
            panic!("it is connected")
        };
        let frame = ServerFrame::ServiceStatus { degraded: vec!["store".into()] };
        let frame = frame.encode(&Reply::None, Announced { limits: &Limits::default() });
        for _ in 0..1_000 {
            let input = client::Input::Text { dial, text: frame.as_str() };
            scene.world.seats[0].client.handle_input(scene.world.now, input);
        }
        scene.world.drain_seat(0);
    }),
    ("seat.rs", Invariant::Kept, "a message is given up", |scene| {
        scene.message(MessageState::Refused(ErrorFrame {
            code: ErrorCode::StorageUnavailable,
            message: "no".into(),
            retry_after: None,
            fatal: false,
            details: None,
            request_id: None,
        }));
    }),
    ("seat.rs", Invariant::Kept, "a client believes", |scene| {
        let stored = scene.world.store.messages.values().next().unwrap().clone();
        let ack = AckFrame {
            client_msg_id: ClientMsgId::new("never-said").unwrap(),
            message_id: stored.message_id,
            thread_id: stored.thread_id,
            seq: stored.seq,
            run_id: stored.run_id,
            duplicate: false,
            run_status: RunStatus::Queued,
            queue_position: 0,
        };
        scene.message(MessageState::Acked(ack));
    }),
    ("seat.rs", Invariant::EachOnce, "a log is replaced", |scene| {
        let (thread_id, epoch) = (scene.thread_id, Epoch(404));
        scene.tells(client::Event::Reset { thread_id, epoch });
    }),
    ("seat.rs", Invariant::EachOnce, "a thread is gone", |scene| {
        scene.tells(client::Event::ThreadGone(scene.thread_id));
    }),
    ("seat.rs", Invariant::EachOnce, "client 0 shows", |scene| {
        let entry = Entry::clone(&scene.log().decoded[4]);
        scene.tells(client::Event::Applied(Box::new(entry)));
    }),
    ("world.rs", Invariant::Rests, "a deadline that is over (", |scene| {
        scene.world.crash_at(HOME);
        scene.world.home_mut().deadline = Some(Mono(0));
        scene.world.pass(Millis(1));
    }),
];

/// One row, in a world in which all was well.
fn found((file, .., tamper): Row) -> Vec<Broken> {
    let mut scene = Scene::after_a_run(usize::from(file == "seat.rs"));
    assert_eq!(scene.world.check(), [], "before it is tampered with");
    tamper(&mut scene);
    scene.world.check()
}

#[test]
fn whatever_is_tampered_with_exactly_that_rule_says_so() {
    let mut silent = Vec::new();
    for row in ROWS {
        let (file, rule, says, _) = row;
        let found = found(row);
        let right = found.iter().all(|one| one.invariant == rule && one.what.starts_with(says));
        if found.is_empty() || !right {
            silent.push(format!("{file} {rule:?} '{says}': {found:?}"));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

/// Each place of the simulator that names a rule has its row.
#[test]
fn every_place_that_names_a_rule_is_tampered_with() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut named: BTreeMap<(String, String), usize> = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() || name == "tampered.rs" {
            continue;
        }
        let text: String = std::fs::read_to_string(&path).unwrap().split_whitespace().collect();
        for word in ["breaks(Invariant::", "not(Invariant::", "Broken{invariant:Invariant::"] {
            for after in text.split(word).skip(1) {
                let rule = after.chars().take_while(|one| one.is_alphanumeric()).collect();
                *named.entry((name.clone(), rule)).or_default() += 1;
            }
        }
    }
    let mut tampered: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (file, rule, ..) in ROWS {
        *tampered.entry((file.to_owned(), format!("{rule:?}"))).or_default() += 1;
    }
    assert_eq!(named, tampered, "what the simulator names, and what has a row here");
    // Two rules are about whole histories of a server, and fail in the tests of those.
    let there = [Invariant::FiveKinds, Invariant::OnGoodToken];
    let rules: BTreeSet<Invariant> = ROWS.iter().map(|row| row.1).chain(there).collect();
    assert_eq!(rules, BTreeSet::from(Invariant::ALL), "rules that can fail, and all of them");
}
