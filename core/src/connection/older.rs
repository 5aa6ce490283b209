//! A conversation in the older dialect: what its images need beyond one frame, and the order of its
//! first words.
//!
//! ```text
//!               ready                acknowledged, anything said, a while
//!  Waiting ───────────────► Greeted ──────────────────────────────────────► Open
//!     │  acknowledged early                                                   ▲
//!     └───────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! While `Greeted`, what would be said is held for a moment, because the very next frame after the
//! client's acknowledgement must be `handshake_complete`; only what is about the end of the connection
//! is said at once.

use crate::id::{ClientMsgId, ConnectionId, Name, RunId, Seq, ThreadId};
use crate::limits::Limits;
use crate::time::{Millis, Mono, Now};
use crate::wire::older::{self, About, Greeting, Heard, Names};
use crate::wire::{
    ClientBody, Entry, ErrorCode, Event, Frame, Naming, ReadyHeard, Refused, Reply, ResumePoint,
    Resumed, RunStatus, Said, ServerEvent,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

/// How long an acknowledgement is waited for; a client that never sends one is served after it.
const PATIENCE: Millis = Millis::from_secs(1);
/// Runs remembered, the newest: more than can be under way in the threads of one conversation.
const RUNS: usize = 128;
/// Messages sent and not yet accepted whose runs have a name.
const ASKED: usize = 64;
/// Entries read before the place a resume asks for, to learn what their runs are called.
const LOOK_BACK: u64 = 1000;

/// Speaks the older dialect for one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Translator {
    stage: Stage,
    user_id: String,
    thread_id: ThreadId,
    runs: BTreeMap<RunId, Remembered>,
    /// The names of runs whose messages are on their way, the oldest first.
    asked: VecDeque<(ClientMsgId, String)>,
    /// Replays of which not everything is shown.
    partial: BTreeMap<ThreadId, Shown>,
    /// What is asked of the hub on behalf of the client.
    errands: VecDeque<ClientBody>,
    /// Frames that may wait for the acknowledgement; beyond it none does.
    most_held: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Waiting { acknowledged: bool },
    Greeted { until: Mono, held: Vec<Held> },
    Open,
}

/// A frame that waits for the acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Held {
    frame: Frame,
    of_thread: bool,
}

/// What the images of a run need of its earlier entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Remembered {
    name: Option<String>,
    supervisor: Option<Name>,
    answer: Option<String>,
}

/// What of a replay the client asked for; the rest is read to learn from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Shown {
    /// What comes after this.
    After(Seq),
    /// These runs; the client did not ask and does not hear of the replay itself.
    Runs(Vec<RunId>),
}

impl Translator {
    /// For a connection about which nothing has been said.
    pub(super) fn new(connection_id: ConnectionId, limits: &Limits) -> Self {
        Self {
            stage: Stage::Waiting { acknowledged: false },
            user_id: String::new(),
            thread_id: ThreadId::of(connection_id),
            runs: BTreeMap::new(),
            asked: VecDeque::new(),
            partial: BTreeMap::new(),
            errands: VecDeque::new(),
            most_held: limits.held_frames,
        }
    }

    /// Reads what the client says.
    pub(super) fn read(
        &mut self,
        text: &str,
        limits: &Limits,
        naming: Naming,
    ) -> Result<Heard, Refused> {
        let mut heard = older::read(text, limits, naming, self)?;
        if let Heard::Frame { frame, run_name } = &mut heard {
            match &mut frame.body {
                ClientBody::UserMessage(message) => {
                    if let Some(name) = run_name.take() {
                        self.asked.push_back((message.client_msg_id.clone(), name));
                        if self.asked.len() > ASKED {
                            self.asked.pop_front();
                        }
                    }
                }
                ClientBody::Resume { threads } => self.look_back(threads, limits),
                _ => {}
            }
        }
        Ok(heard)
    }

    /// What the client hears instead of a frame.
    pub(super) fn say(&mut self, now: Now, frame: &Frame) -> Vec<Frame> {
        let event = ServerEvent::decode(frame.as_str());
        if let ServerEvent::Control { said: Said::Ready(ready), .. } = &event {
            return self.greet(now, ready);
        }
        let of_thread = !matches!(event, ServerEvent::Control { .. });
        let urgency = Urgency::of(&event);
        let images = self.images(now, frame, event);
        match &mut self.stage {
            Stage::Greeted { .. } if urgency == Urgency::Last => {
                let mut last = self.last_words();
                last.extend(images);
                last
            }
            Stage::Greeted { .. } if urgency == Urgency::Now => images,
            Stage::Greeted { held, .. } => {
                held.extend(images.into_iter().map(|frame| Held { frame, of_thread }));
                if held.len() > self.most_held { self.open() } else { Vec::new() }
            }
            Stage::Waiting { .. } | Stage::Open => images,
        }
    }

    /// The client has read the handshake.
    //= specs/wire.md#wire-51
    //# The very next frame after an older client's acknowledgement MUST be `handshake_complete`, and
    //# a client that never acknowledges is served all the same.
    pub(super) fn acknowledged(&mut self, now: Now) -> Vec<Frame> {
        if let Stage::Waiting { acknowledged } = &mut self.stage {
            *acknowledged = true;
            return Vec::new();
        }
        let mut frames = Vec::from([self.handshake_complete(now)]);
        frames.extend(self.open());
        frames
    }

    /// The client spoke of something nobody knows.
    pub(super) fn unknown(reply: &Reply, received_type: &str, now: Now) -> Vec<Frame> {
        let reference = match reply {
            Reply::Ref(id) => Some(id),
            Reply::None | Reply::JsonRpc(_) => None,
        };
        Vec::from([older::acknowledged(reference, received_type, now.wall)])
    }

    /// Nothing is held any more, because the client spoke of something else.
    pub(super) fn open(&mut self) -> Vec<Frame> {
        self.take_held().into_iter().map(|held| held.frame).collect()
    }

    /// The end is near. What is of a thread may be for a credential that has ended (AUTH-09): it is left
    /// out, and can be read again.
    pub(super) fn last_words(&mut self) -> Vec<Frame> {
        let held = self.take_held().into_iter();
        held.filter(|held| !held.of_thread).map(|held| held.frame).collect()
    }

    fn take_held(&mut self) -> Vec<Held> {
        let Stage::Greeted { held, .. } = &mut self.stage else { return Vec::new() };
        let held = core::mem::take(held);
        self.stage = Stage::Open;
        held
    }

    /// Lets time pass.
    pub(super) fn timeout(&mut self, now: Now) -> Vec<Frame> {
        if self.deadline().is_some_and(|at| at <= now.mono) { self.open() } else { Vec::new() }
    }

    /// Until when an acknowledgement is waited for.
    pub(super) const fn deadline(&self) -> Option<Mono> {
        match &self.stage {
            Stage::Greeted { until, .. } => Some(*until),
            Stage::Waiting { .. } | Stage::Open => None,
        }
    }

    /// The stage in a word.
    #[cfg(test)]
    pub(super) const fn stage_name(&self) -> &'static str {
        match &self.stage {
            Stage::Waiting { .. } => "waiting",
            Stage::Greeted { .. } => "greeted",
            Stage::Open => "open",
        }
    }

    /// What is to be asked of the hub on behalf of the client, once nothing is held: what the hub says to
    /// it need not wait.
    pub(super) fn errand(&mut self) -> Option<ClientBody> {
        match &self.stage {
            Stage::Open => self.errands.pop_front(),
            Stage::Greeted { .. } | Stage::Waiting { .. } => None,
        }
    }

    fn images(&mut self, now: Now, frame: &Frame, event: ServerEvent) -> Vec<Frame> {
        match event {
            ServerEvent::Entry(entry) => self.of_entry(&entry),
            ServerEvent::Control { reference, said } => {
                let Some(said) = self.heard(said) else { return Vec::new() };
                let name = self.name_of(&said);
                let (reference, user_id) = (reference.as_ref(), &self.user_id);
                let image = older::of_control(&said, reference, name.as_deref(), user_id, now.wall);
                Vec::from([image])
            }
            // The answer to a JSON-RPC request has no older form, and what nobody knows has none.
            ServerEvent::Unknown | ServerEvent::UnknownEntry { .. } => Vec::from([frame.clone()]),
        }
    }

    fn of_entry(&mut self, entry: &Entry) -> Vec<Frame> {
        let shown = match self.partial.get(&entry.thread_id) {
            Some(Shown::After(seq)) if entry.replay => *seq < entry.seq,
            Some(Shown::Runs(runs)) if entry.replay => {
                entry.run_id.is_some_and(|run_id| runs.contains(&run_id))
            }
            Some(_) | None => true,
        };
        let Some(run_id) = entry.run_id else {
            let about = About { user_id: &self.user_id, ..About::default() };
            return if shown { older::of_entry(entry, &about) } else { Vec::new() };
        };
        self.learn(run_id, entry);
        let run = self.runs.get(&run_id);
        let about = About {
            user_id: &self.user_id,
            run_name: run.and_then(|run| run.name.as_deref()),
            supervisor: run.and_then(|run| run.supervisor.as_ref()),
            answer: run.and_then(|run| run.answer.as_deref()),
        };
        let images = if shown { older::of_entry(entry, &about) } else { Vec::new() };
        if entry.event.terminal_status().is_some()
            && let Some(run) = self.runs.get_mut(&run_id)
        {
            run.answer = None;
        }
        images
    }

    fn learn(&mut self, run_id: RunId, entry: &Entry) {
        let run = self.runs.entry(run_id).or_default();
        match &entry.event {
            event @ Event::UserMessage { .. } => {
                if let Some(name) = older::run_name(event) {
                    run.name = Some(name);
                }
            }
            Event::AssistantMessage { content, .. } => run.answer = Some(content.clone()),
            Event::AgentStarted { .. } => {
                if let Some(agent) = entry.agent.as_ref().filter(|agent| agent.parent.is_none()) {
                    run.supervisor = Some(agent.name.clone());
                }
            }
            _ => {}
        }
        self.bound_runs();
    }

    /// Ids sort by time: the oldest is forgotten first.
    fn bound_runs(&mut self) {
        while self.runs.len() > RUNS {
            self.runs.pop_first();
        }
    }

    /// What of a control frame is the client's to hear.
    fn heard(&mut self, said: Said) -> Option<Said> {
        match said {
            Said::Ack(ack) => {
                let asked = self.asked.iter().rposition(|(id, _)| *id == ack.client_msg_id);
                if let Some((_, name)) = asked.and_then(|at| self.asked.remove(at)) {
                    self.runs.entry(ack.run_id).or_default().name = Some(name);
                    self.bound_runs();
                }
                Some(Said::Ack(ack))
            }
            Said::Resumed { threads } => {
                let count = threads.len();
                let threads: Vec<_> =
                    threads.into_iter().filter_map(|resumed| self.resumed(resumed)).collect();
                (count == 0 || !threads.is_empty()).then_some(Said::Resumed { threads })
            }
            Said::ReplayComplete { thread_id, to_seq } => {
                let asked_for = !matches!(self.partial.remove(&thread_id), Some(Shown::Runs(_)));
                asked_for.then_some(Said::ReplayComplete { thread_id, to_seq })
            }
            said => Some(said),
        }
    }

    //= specs/wire.md#wire-62
    //# An older client that connects while a run is under way MUST be given that run's thread and
    //# hear the run from its beginning to its end.
    fn greet(&mut self, now: Now, ready: &ReadyHeard) -> Vec<Frame> {
        self.user_id = ready.user_id.as_str().into();
        let running = ready.active_runs.iter().filter(|run| run.status == RunStatus::Running);
        let newest = running.max_by_key(|run| run.run_id);
        let newest = newest.or_else(|| ready.active_runs.iter().max_by_key(|run| run.run_id));
        if let Some(newest) = newest {
            self.thread_id = newest.thread_id;
            let same = ready.active_runs.iter().filter(|run| run.thread_id == newest.thread_id);
            let runs = same.map(|run| run.run_id).collect();
            self.partial.insert(newest.thread_id, Shown::Runs(runs));
            let point =
                ResumePoint { thread_id: newest.thread_id, epoch: None, after_seq: Seq::ZERO };
            self.errands.push_back(ClientBody::Resume { threads: Vec::from([point]) });
        }
        let run_id = newest.map(|run| run.run_id);
        let greeting = Greeting { ready, thread_id: self.thread_id, run_id };
        let mut frames = Vec::from(greeting.encode());
        self.stage = match self.stage {
            Stage::Waiting { acknowledged: true } => {
                frames.push(self.handshake_complete(now));
                Stage::Open
            }
            Stage::Waiting { .. } | Stage::Greeted { .. } | Stage::Open => {
                Stage::Greeted { until: now.mono.after(PATIENCE), held: Vec::new() }
            }
        };
        frames
    }

    fn handshake_complete(&self, now: Now) -> Frame {
        older::handshake_complete(&self.user_id, self.thread_id, now.wall)
    }

    /// What became of a resume, as the client asked for it.
    fn resumed(&mut self, mut resumed: Resumed) -> Option<Resumed> {
        let thread_id = resumed.thread_id;
        match self.partial.get(&thread_id) {
            None => Some(resumed),
            Some(Shown::Runs(_)) => {
                if !resumed.recovered {
                    // Too long to be read again: what comes from now on is heard all the same.
                    self.partial.remove(&thread_id);
                    let level = crate::wire::Level::Full;
                    self.errands.push_back(ClientBody::Subscribe { thread_id, level });
                }
                None
            }
            Some(Shown::After(seq)) => {
                resumed.from_seq = *seq;
                if resumed.to_seq < *seq {
                    (resumed.recovered, resumed.reason) = (false, Some(ErrorCode::CursorInvalid));
                }
                if !resumed.recovered {
                    self.partial.remove(&thread_id);
                }
                Some(resumed)
            }
        }
    }

    /// The names of runs are told before the place an older client may ask for.
    //= specs/wire.md#wire-61
    //# A replay MUST have the images of what was live, apart from the `replay` mark, from whatever
    //# place it is asked for.
    fn look_back(&mut self, threads: &mut [ResumePoint], limits: &Limits) {
        for point in threads.iter_mut() {
            if self.partial.len() < limits.subscriptions_per_connection {
                self.partial.insert(point.thread_id, Shown::After(point.after_seq));
                point.after_seq = Seq(point.after_seq.0.saturating_sub(LOOK_BACK));
            }
        }
    }

    fn name_of(&self, said: &Said) -> Option<String> {
        let run_id = match said {
            Said::Ack(ack) => ack.run_id,
            Said::ToolProgress { run_id, .. } => *run_id,
            _ => return None,
        };
        self.runs.get(&run_id)?.name.clone()
    }
}

/// What a frame does not wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    /// It waits for the acknowledgement.
    None,
    /// It is about the connection's own end, and cannot wait for a client that may never acknowledge.
    Now,
    /// Nothing comes after it.
    Last,
}

impl Urgency {
    const fn of(event: &ServerEvent) -> Self {
        match event {
            ServerEvent::Control { said: Said::Disconnect { .. }, .. } => Self::Last,
            ServerEvent::Control {
                said:
                    Said::AuthOk { .. }
                    | Said::Error { .. }
                    | Said::ServerDraining { .. }
                    | Said::TokenExpiring { .. },
                ..
            } => Self::Now,
            ServerEvent::Control { .. }
            | ServerEvent::Entry(_)
            | ServerEvent::Unknown
            | ServerEvent::UnknownEntry { .. } => Self::None,
        }
    }
}

impl Names for Translator {
    fn thread(&self) -> ThreadId {
        self.thread_id
    }

    /// The newest run of that name: older clients may give several the same.
    fn run(&self, name: &str) -> Option<RunId> {
        let named = |run: &Remembered| run.name.as_deref() == Some(name);
        self.runs.iter().rev().find(|(_, run)| named(run)).map(|(run_id, _)| *run_id)
    }
}
