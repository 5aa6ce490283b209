//! What must hold of a whole history: of the logs, of every frame of every client, of every view.

use crate::ground::{Ground, Heard, Said, What};
use crate::history::Written;
use crate::node::limits;
use futures_util::FutureExt as _;
use goldenpath_core::client::Link;
use goldenpath_core::hub::{FirstOutcome, Load, Loaded};
use goldenpath_core::id::{ClientMsgId, RunId, Seq, ThreadId, UserId};
use goldenpath_core::run::Grammar;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{
    AckFrame, CloseCode, Entry, EntryBody, Event, Resumed, RunStatus, Said as Says, ServerEvent,
};
use goldenpath_runtime::ports::Store as _;
use goldenpath_simulator::{Broken, Invariant, Replays, scope_of};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// All logs of all users, each entry with the place that the store gave it.
#[derive(Clone)]
pub(crate) struct Logs(BTreeMap<UserId, BTreeMap<ThreadId, Vec<(Seq, EntryBody)>>>);

impl Logs {
    pub(crate) fn read(ground: &Ground) -> Self {
        let users: BTreeSet<UserId> = (0..ground.seats.len()).map(|n| ground.user(n)).collect();
        Self(users.into_iter().map(|user| (user.clone(), threads(ground, &user))).collect())
    }

    fn head(&self, user: &UserId, thread_id: ThreadId) -> Option<Seq> {
        self.0.get(user)?.get(&thread_id).map(|log| Seq(log.len() as u64))
    }

    fn body(&self, user: &UserId, thread_id: ThreadId, seq: Seq) -> Option<&EntryBody> {
        let log = self.0.get(user)?.get(&thread_id)?;
        log.get(usize::try_from(seq.0).ok()?.checked_sub(1)?).map(|(_, body)| body)
    }

    /// The logs themselves; notes how runs ended.
    pub(crate) fn check(&self, ground: &Ground, broken: &mut Vec<Broken>) {
        for (thread_id, log) in self.0.values().flatten() {
            let mut grammars: BTreeMap<RunId, Grammar> = BTreeMap::new();
            let mut kinds: BTreeMap<RunId, BTreeSet<&'static str>> = BTreeMap::new();
            let mut names = BTreeSet::new();
            for (seq, (read, body)) in (1..).map(Seq).zip(log) {
                if *read != seq {
                    let what = format!("{thread_id}: {read} is read where {seq} is next");
                    broken.push(not(Invariant::GapFree, what));
                }
                let decoded = Entry::decode(body.frame(seq, false).bytes());
                let Ok(entry) = decoded else {
                    broken.push(not(Invariant::SameBytes, format!("{thread_id} {seq}: no entry")));
                    continue;
                };
                if entry.synthesized {
                    ground.meet("log: an entry was written by recovery");
                }
                if let Event::UserMessage { client_msg_id, .. } = &entry.event
                    && !names.insert(client_msg_id.clone())
                {
                    let what = format!("{} is there twice", client_msg_id.as_str());
                    broken.push(not(Invariant::OneOutcome, what));
                }
                let Some(run_id) = entry.run_id else { continue };
                let grammar = grammars.entry(run_id).or_insert_with(|| Grammar::new(run_id));
                if let Err(violation) = grammar.observe_entry(&entry) {
                    let what = format!(
                        "{violation}: {} at {thread_id} {seq} of {run_id}",
                        entry.event.type_name()
                    );
                    broken.push(not(Invariant::Grammar, what));
                }
                let said = kinds.entry(run_id).or_default();
                said.insert(entry.event.type_name());
                if let Some(status) = entry.event.terminal_status() {
                    ground.meet(format!("run: {}", status.as_str()));
                    let missing = FIVE_KINDS.iter().find(|kind| !said.contains(*kind));
                    if let Some(kind) = missing.filter(|_| status == RunStatus::Completed) {
                        let what = format!("{run_id} is completed without {kind}");
                        broken.push(not(Invariant::FiveKinds, what));
                    }
                }
            }
            for (run_id, grammar) in grammars {
                if grammar.ended().is_none() {
                    broken.push(not(Invariant::Converges, format!("{run_id} has no end")));
                }
            }
        }
    }
}

/// What every run has that is completed: whatever its team is asked here, it looks something up.
const FIVE_KINDS: [&str; 5] =
    ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"];

fn threads(ground: &Ground, user: &UserId) -> BTreeMap<ThreadId, Vec<(Seq, EntryBody)>> {
    let memory = ground.disk.memory.snapshot();
    let Loaded::Threads(threads) =
        memory.load(&scope_of(user.as_str()), &Load::Threads { limit: u32::MAX })
    else {
        return BTreeMap::new();
    };
    let log = |thread_id| {
        let to_seq = Seq(u64::MAX);
        let load = Load::Entries { thread_id, after_seq: Seq::ZERO, to_seq, limit: u64::MAX };
        match memory.load(&scope_of(user.as_str()), &load) {
            Loaded::Entries(entries) => entries,
            _ => Vec::new(),
        }
    };
    threads.into_iter().map(|thread| (thread.thread_id, log(thread.thread_id))).collect()
}

fn not(invariant: Invariant, what: impl Into<String>) -> Broken {
    Broken { invariant, what: what.into() }
}

/// One socket, as its client hears it.
#[derive(Default)]
struct Socket {
    is_ready: bool,
    closed: bool,
    /// The code of the last `disconnect`.
    disconnect: Option<u16>,
    /// When its token ends, by the clock of the node.
    token_ends: Option<Wall>,
    positions: BTreeMap<ThreadId, Seq>,
    /// Heads a `ping` told that were ahead of what it had heard: its client may have asked for what is up to
    /// there, and what was on its way meanwhile comes twice.
    ahead: BTreeMap<ThreadId, Seq>,
    /// Which came twice for that reason: none comes three times.
    repeated: BTreeSet<(ThreadId, Seq)>,
    replays: Replays,
}

/// Every frame of every client, through the whole history.
pub(crate) fn check_frames(ground: &Ground, logs: &Logs, heard: &[Heard]) -> Vec<Broken> {
    let mut sockets: BTreeMap<u32, Socket> = BTreeMap::new();
    let mut acks: BTreeMap<(UserId, ClientMsgId), AckFrame> = BTreeMap::new();
    let mut last: BTreeMap<usize, u32> = BTreeMap::new();
    let set_back = ground.tape().set_back_at_ms;
    let written = Written::of(&ground.history.deeds());
    let mut broken = Vec::new();
    for Heard { ms, device, socket, what } in heard {
        let user = ground.user(*device);
        let one = sockets.entry(*socket).or_default();
        if !matches!(what, What::Shown(_)) {
            last.insert(*device, *socket);
        }
        let mut found = Vec::new();
        match what {
            What::Shown(_) => {}
            What::Close(code) => one.close(*code, ground, &mut found),
            What::Text(text) => {
                if std::mem::replace(&mut one.closed, false) {
                    found.push(not(Invariant::AttachedFirst, "a frame after the close"));
                }
                match ServerEvent::decode(text) {
                    ServerEvent::Entry(entry) => {
                        one.entry(&entry, text, &user, ground, logs, &mut found);
                        if written.entry(entry.thread_id, entry.seq).is_some_and(|at| *ms < at) {
                            let what =
                                format!("{} {} before its write", entry.thread_id, entry.seq);
                            found.push(not(Invariant::CommittedFirst, what));
                        }
                        // The node's clock goes on from what it wrote to when it sends that; until it is set back.
                        if !entry.replay && set_back.is_none_or(|at| *ms < at) {
                            found.extend(one.on_a_good_token(&entry));
                        }
                    }
                    ServerEvent::Control { said, .. } => {
                        one.said(&said, &user, ground, &mut found);
                        if let Says::Ack(ack) = said {
                            ground.meet(if ack.duplicate {
                                "ack: duplicate"
                            } else {
                                "ack: accepted"
                            });
                            let name = &ack.client_msg_id;
                            if written.message(&user, name).is_some_and(|at| *ms < at) {
                                let what = format!("{} is acknowledged early", name.as_str());
                                found.push(not(Invariant::Kept, what));
                            }
                            let stored = stored(ground, &user, name);
                            acknowledged(&user, &ack, stored, &mut acks, &mut found);
                        }
                    }
                    ServerEvent::UnknownEntry { .. } | ServerEvent::Unknown => {
                        found.push(not(Invariant::SameBytes, format!("nobody reads {text}")));
                    }
                }
            }
        }
        broken.extend(found.into_iter().map(|one| Broken {
            what: format!("at {ms} ms, device {device} ({user}), socket {socket}: {}", one.what),
            ..one
        }));
    }
    // What was cut may have had its word on the way; the sockets that are open in the end have heard all.
    for (device, socket) in last {
        let due = sockets[&socket].replays.due().filter(|_| !sockets[&socket].closed);
        broken.extend(due.map(|thread_id| {
            let what = format!("device {device}, socket {socket}: that of {thread_id} has no end");
            not(Invariant::ReplayEnds, what)
        }));
    }
    broken
}

impl Socket {
    fn close(&mut self, code: u16, ground: &Ground, found: &mut Vec<Broken>) {
        ground.meet(format!("close: {code}"));
        self.closed = true;
        if code == CloseCode::Internal.code() || code == CloseCode::ProtocolViolated.code() {
            found.push(not(Invariant::FaultsCloseNothing, format!("closed with {code}")));
        }
        // The answer to a client's own goodbye carries the code of that: it is done, or heard nothing.
        let own = [CloseCode::Normal, CloseCode::HeartbeatLost].map(CloseCode::code);
        let ours = CloseCode::from_code(code).is_some();
        if !own.contains(&code) && (!ours || self.disconnect != Some(code)) {
            let what = format!("closed with {code} after disconnect {:?}", self.disconnect);
            found.push(not(Invariant::FaultsCloseNothing, what));
        }
    }

    fn entry(
        &mut self,
        entry: &Entry,
        text: &str,
        user: &UserId,
        ground: &Ground,
        logs: &Logs,
        found: &mut Vec<Broken>,
    ) {
        let (thread_id, seq) = (entry.thread_id, entry.seq);
        if !self.is_ready {
            found.push(not(Invariant::AttachedFirst, "an entry before connection_ready"));
        }
        let place = format!("{} at {thread_id} {seq}", entry.event.type_name());
        match logs.body(user, thread_id, seq) {
            None => {
                let what = format!("{place} is in no log of {user}");
                found.push(not(Invariant::CommittedFirst, what));
            }
            Some(body) if body.frame(seq, entry.replay).as_str() != text => {
                found.push(not(Invariant::SameBytes, format!("{place} has other bytes: {text}")));
            }
            Some(_) => {}
        }
        ground.meet(if entry.replay { "entry: replayed" } else { "entry: live" });
        let before = Seq(seq.0.saturating_sub(1));
        let position = self.positions.entry(thread_id).or_insert(before);
        // What is live comes once and in its place; only what is replayed may be there already, or what was
        // asked for while it was on its way.
        let asked = self.ahead.get(&thread_id).is_some_and(|to| seq <= *to);
        let again = !entry.replay && seq < position.next();
        if seq > position.next() || (again && !(asked && self.repeated.insert((thread_id, seq)))) {
            found.push(not(Invariant::Order, format!("{place} comes after {position}")));
        }
        *position = (*position).max(seq);
        found.extend(self.replays.entry(entry));
    }

    /// What is live is not older than what it says: nothing is written after the end of a token, and its grace,
    /// and comes on it all the same.
    fn on_a_good_token(&self, entry: &Entry) -> Option<Broken> {
        let end = self.token_ends?.after(limits().token_grace);
        let what =
            || format!("{} of {:?} on a token to {end:?}", entry.event.type_name(), entry.ts);
        (entry.ts > end).then(|| not(Invariant::OnGoodToken, what()))
    }

    fn said(&mut self, said: &Says, user: &UserId, ground: &Ground, found: &mut Vec<Broken>) {
        match said {
            Says::Ready(ready) => {
                self.token_ends = ready.token_expires_at;
                if std::mem::replace(&mut self.is_ready, true) {
                    found.push(not(Invariant::AttachedFirst, "connection_ready twice"));
                }
                if ready.user_id != *user {
                    let what = format!("is taken for {}", ready.user_id);
                    found.push(not(Invariant::AttachedFirst, what));
                }
                self.resumed(&ready.resume.threads, ground);
            }
            Says::Resumed { threads } => self.resumed(threads, ground),
            Says::Disconnect { code, .. } => {
                self.disconnect = code.map(CloseCode::code);
            }
            Says::Ping { heads } => {
                for head in heads {
                    if self.positions.get(&head.thread_id).is_some_and(|at| *at < head.seq) {
                        self.ahead.insert(head.thread_id, head.seq);
                    }
                }
            }
            Says::ReplayComplete { thread_id, to_seq } => {
                let position = self.positions.get(thread_id).copied().unwrap_or_default();
                found.extend(self.replays.complete(*thread_id, *to_seq, position));
            }
            Says::ServerDraining { .. } => ground.meet("drain: a client was told"),
            Says::Ack(_) | Says::Done { .. } | Says::Pong { .. } | Says::ToolProgress { .. } => {
                if !self.is_ready {
                    found.push(not(Invariant::AttachedFirst, "an answer before connection_ready"));
                }
            }
            Says::AuthOk { token_expires_at } => self.token_ends = *token_expires_at,
            Says::AuthRequired { .. }
            | Says::Error { .. }
            | Says::RateLimit { .. }
            | Says::ServiceStatus { .. }
            | Says::TokenExpiring { .. } => {}
        }
    }

    fn resumed(&mut self, threads: &[Resumed], ground: &Ground) {
        for resumed in threads {
            self.replays.answered(resumed);
            if resumed.recovered {
                ground.meet("resume: recovered");
                let position = self.positions.entry(resumed.thread_id).or_default();
                *position = (*position).max(resumed.from_seq);
            } else {
                let why = resumed.reason.map_or("no reason", |reason| reason.as_str());
                ground.meet(format!("resume: not recovered, {why}"));
                self.positions.remove(&resumed.thread_id);
            }
        }
    }
}

/// What the store has of a message.
fn stored(ground: &Ground, user: &UserId, name: &ClientMsgId) -> Option<FirstOutcome> {
    let memory = ground.disk.memory.snapshot();
    let load = Load::Message { client_msg_id: name.clone() };
    match memory.load(&scope_of(user.as_str()), &load) {
        Loaded::Message(found) => found.map(|(_, outcome)| outcome),
        _ => None,
    }
}

/// What is acknowledged is stored, and stays the one outcome of that message.
fn acknowledged(
    user: &UserId,
    ack: &AckFrame,
    stored: Option<FirstOutcome>,
    acks: &mut BTreeMap<(UserId, ClientMsgId), AckFrame>,
    found: &mut Vec<Broken>,
) {
    let name = ack.client_msg_id.as_str();
    let told = (ack.message_id, ack.thread_id, ack.run_id, ack.seq);
    let Some(stored) = stored else {
        return found.push(not(Invariant::Kept, format!("{name} is acknowledged, not stored")));
    };
    let FirstOutcome { message_id, thread_id, seq, run_id, run_status } = stored;
    if (message_id, thread_id, run_id, seq) != told {
        found.push(not(Invariant::OneOutcome, format!("{name}: {told:?}, stored {run_id}")));
    }
    if !run_status.is_terminal() {
        found.push(not(Invariant::Converges, format!("{name}: its run is {run_status:?}")));
    }
    let first =
        acks.entry((user.clone(), ack.client_msg_id.clone())).or_insert_with(|| ack.clone());
    if (first.message_id, first.thread_id, first.run_id, first.seq) != told {
        found.push(not(Invariant::OneOutcome, format!("{name}: {first:?}, then {ack:?}")));
    }
}

/// The runs of which any client heard that they are cancelled.
pub(crate) fn cancelled(heard: &[Heard]) -> BTreeSet<RunId> {
    let run_of = |one: &Heard| {
        let What::Text(text) = &one.what else { return None };
        let ServerEvent::Control { said: Says::Done { what, result }, .. } =
            ServerEvent::decode(text)
        else {
            return None;
        };
        let result: serde_json::Value = serde_json::from_str(result.as_str()).ok()?;
        (what == "cancel_run").then(|| result["run_id"].as_str()?.parse().ok())?
    };
    heard.iter().filter_map(run_of).collect()
}

/// What every application shows is what the logs hold.
pub(crate) fn check_views(ground: &Ground, logs: &Logs) -> Vec<Broken> {
    let mut broken = Vec::new();
    for device in 0..ground.seats.len() {
        let user = ground.user(device);
        let mut seat = ground.seat(device);
        let told = std::mem::take(&mut seat.broken).into_iter();
        broken
            .extend(told.map(|what| not(Invariant::EachOnce, format!("device {device}: {what}"))));
        for (thread_id, view) in &seat.views {
            for (seq, id) in &view.entries {
                let body = logs.body(&user, *thread_id, *seq);
                let stored = body.and_then(|b| Entry::decode(b.frame(*seq, false).bytes()).ok());
                if stored.is_none_or(|entry| entry.id != *id) {
                    let what = format!("device {device}: {thread_id} {seq} is not as shown");
                    broken.push(not(Invariant::EachOnce, what));
                }
            }
        }
    }
    broken
}

/// What keeps a healed world from having converged.
pub(crate) fn unsettled(ground: &Ground) -> Vec<String> {
    let mut open = Vec::new();
    match ground.disk.memory.unfinished_runs().now_or_never() {
        Some(Ok(users)) if users.is_empty() => {}
        unfinished => open.push(format!("runs: {unfinished:?}")),
    }
    let logs = Logs::read(ground);
    for device in 0..ground.seats.len() {
        let user = ground.user(device);
        let seat = ground.seat(device);
        if seat.link != Some(Link::Ready) {
            open.push(format!("device {device} is {:?}", seat.link));
        }
        for (thread_id, view) in &seat.views {
            let head = logs.head(&user, *thread_id);
            if head != Some(view.last()) {
                let last = view.last();
                open.push(format!(
                    "device {device} has {thread_id} to {last}, it goes to {head:?}"
                ));
            }
        }
        for (name, said) in &seat.said {
            match said {
                Said::Waiting => open.push(format!("device {device}: {} waits", name.as_str())),
                Said::Acked(ack) if !seat.views.contains_key(&ack.thread_id) => {
                    open.push(format!("device {device} does not see its {}", name.as_str()));
                }
                Said::Acked(_) | Said::Refused(_) => {}
            }
        }
    }
    open
}
