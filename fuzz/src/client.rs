//! The client machine against a server that says anything, a network that loses anything, and an
//! application that asks for anything: the view is each entry once and in order, whatever happens.

use crate::draw::{any_seq, entry, run, seq, text, thread};
use crate::frames::NAMING;
use crate::json_rpc::{ack, ready, server_frame};
use arbitrary::{Arbitrary, Result, Unstructured};
use goldenpath_core::client::{
    Client, Config, DialFailure, Event, Input, Link, MessageState, Output, Snapshot,
};
use goldenpath_core::fault::{Fault, Misuse};
use goldenpath_core::id::{ClientMsgId, EffectId, Epoch, FrameRef, Seq, ThreadId};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Mono, Now, Wall};
use goldenpath_core::wire::{
    Announced, ClientBody, CloseCode, Credential, Entry, ErrorCode, ErrorFrame, MultitaskStrategy,
    OnDisconnect, Reply, Secret, ServerEvent, ServerFrame, UserMessage, decode,
};
use std::collections::{BTreeMap, BTreeSet};

/// The most outputs of one input: a few for each thread, message and cancel there can be.
const OUTPUTS: usize = 200;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Act {
    Connect,
    Disconnect,
    Send,
    Cancel,
    Ask,
    Follow,
    Unfollow,
    Credential,
    Opened,
    DialFailed(u8),
    Ready,
    Says,
    Acks,
    Refuses,
    Entry,
    NextEntry,
    StrangeEntry,
    Noise,
    Closed(u8),
    Alive,
    Late(u8),
    Loaded(u8),
    Wait(u16),
    Deadline,
}

/// Bytes draw how the client is configured and what happens to it.
pub fn client(data: &[u8]) {
    let _ = live(&mut Unstructured::new(data));
}

fn live(u: &mut Unstructured<'_>) -> Result<()> {
    let mut bench = Bench::new(u)?;
    let way = [Act::Connect, Act::Opened, Act::Ready];
    for act in way.into_iter().take(u.int_in_range(0..=5)?) {
        bench.act(act, u)?;
    }
    let mut acts = 0;
    while !u.is_empty() && acts < 200 {
        let act = u.arbitrary()?;
        bench.act(act, u)?;
        acts += 1;
    }
    bench.comes_to_rest();
    Ok(())
}

struct Bench {
    client: Client,
    now: Now,
    deadline: Option<Mono>,
    dialed: Option<EffectId>,
    open: Option<EffectId>,
    loads: Vec<(EffectId, ThreadId, Option<Epoch>, Seq)>,
    /// Messages the client took, and whether their last word was said.
    messages: BTreeMap<ClientMsgId, bool>,
    /// The last message frame that was sent.
    last_frame: Option<(FrameRef, ClientMsgId)>,
    view: View,
}

/// What the application has seen of each thread.
#[derive(Default)]
struct View {
    read: BTreeMap<ThreadId, (Option<Epoch>, Seq)>,
    /// Entries of a kind nobody knows: they have a place and are not shown.
    strange: BTreeSet<(ThreadId, Epoch, Seq)>,
}

impl View {
    /// DLV-06: each once, in order, without a hole.
    fn apply(&mut self, shown: &Entry) {
        let (thread_id, seq) = (shown.thread_id, shown.seq);
        let Some((epoch, last)) = self.read.get_mut(&thread_id) else {
            self.read.insert(thread_id, (Some(shown.epoch), seq));
            return;
        };
        assert!(epoch.is_none_or(|epoch| epoch == shown.epoch), "two logs in one view: {shown:?}");
        assert!(*last < seq, "shown before: {shown:?} after {last}");
        assert!(seq.0 - last.0 <= 10_000, "a hole before {shown:?} after {last}");
        for missing in last.0 + 1..seq.0 {
            let place = (thread_id, shown.epoch, Seq(missing));
            assert!(self.strange.contains(&place), "a hole at {missing} before {shown:?}");
        }
        (*epoch, *last) = (Some(shown.epoch), seq);
    }
}

impl Bench {
    fn new(u: &mut Unstructured<'_>) -> Result<Self> {
        let config = Config {
            auth_by_frame: u.arbitrary()?,
            threads: u.int_in_range(1..=3)?,
            outbox_messages: u.int_in_range(1..=4)?,
            in_flight: u.int_in_range(1..=2)?,
            held_entries: u.int_in_range(0..=4)?,
            gap_entries: u.int_in_range(1..=500)?,
            ..Config::default()
        };
        let credential = u.arbitrary::<bool>()?.then(token);
        Ok(Self {
            client: Client::new(config, Seed::new(u.arbitrary()?), credential),
            now: Now { mono: Mono(1_000), wall: Wall(1_000_000) },
            deadline: None,
            dialed: None,
            open: None,
            loads: Vec::new(),
            messages: BTreeMap::new(),
            last_frame: None,
            view: View::default(),
        })
    }

    fn act(&mut self, act: Act, u: &mut Unstructured<'_>) -> Result<()> {
        match act {
            Act::Connect => {
                let idle = self.client.link() == Link::Idle;
                let done = self.step(Client::connect);
                assert_eq!(done.is_ok(), idle, "it connects once");
            }
            Act::Disconnect if u.ratio(1, 8)? => self.step(|client, _| client.disconnect()),
            Act::Disconnect => {}
            Act::Send => self.send(u)?,
            Act::Cancel => {
                let run_id = run(u)?;
                let _ = self.step(|client, _| client.cancel(run_id));
            }
            Act::Ask => {
                let body = ClientBody::Ping { nonce: None };
                let asked = self.step(|client, _| client.ask(body.clone()));
                assert!(asked.is_err() || self.open.is_some(), "asked of nobody");
            }
            Act::Follow => self.follow(u)?,
            Act::Unfollow => {
                let thread_id = thread(u)?;
                self.step(|client, _| client.unfollow(thread_id));
                self.view.read.remove(&thread_id);
            }
            Act::Credential => {
                let _ = self.step(|client, now| client.set_credential(now, token()));
            }
            Act::Opened => {
                if let Some(dial) = self.dialed.take() {
                    self.open = Some(dial);
                    self.input(Input::Opened { dial });
                }
            }
            Act::DialFailed(kind) => self.dial_failed(kind),
            Act::Ready => {
                let frame = ServerFrame::Ready(ready(u)?);
                self.hear(&frame, &Reply::None);
            }
            Act::Says => {
                let frame = server_frame(u)?;
                let reply = self.a_reply(u)?;
                self.hear(&frame, &reply);
            }
            Act::Acks => {
                if let Some((frame, id)) = self.last_frame.clone() {
                    let ack = ServerFrame::Ack(ack(u, id.as_str())?);
                    self.hear(&ack, &Reply::Ref(frame));
                }
            }
            Act::Refuses => {
                if let Some((frame, _)) = self.last_frame.clone() {
                    let mut error = ErrorFrame::new(*u.choose(ErrorCode::ALL)?, "no");
                    error.retry_after = u.arbitrary::<Option<u16>>()?.map(|ms| Millis(ms.into()));
                    self.hear(&ServerFrame::Error(error), &Reply::Ref(frame));
                }
            }
            Act::Entry => {
                let (thread_id, seq) = (thread(u)?, any_seq(u)?);
                self.entry(u, thread_id, seq)?;
            }
            Act::NextEntry => {
                let thread_id = thread(u)?;
                let last = self.client.position(thread_id).map_or(0, |point| point.after_seq.0);
                let ahead = u.int_in_range(0..=2)?;
                self.entry(u, thread_id, Seq(last.saturating_add(1 + ahead)))?;
            }
            Act::StrangeEntry => {
                let (thread_id, epoch, seq) =
                    (thread(u)?, Epoch(u.int_in_range(1..=2)?), any_seq(u)?);
                let text = format!(
                    r#"{{"seq":{seq},"type":"song","payload":{{}},"thread_id":"{thread_id}","epoch":"{epoch}"}}"#
                );
                self.view.strange.insert((thread_id, epoch, seq));
                self.text(&text);
            }
            Act::Noise => {
                let noise = text(u)?;
                self.text(&noise);
            }
            Act::Closed(kind) => self.closed(kind),
            Act::Alive => {
                if let Some(dial) = self.open {
                    self.input(Input::Alive { dial });
                }
            }
            Act::Late(kind) => self.late(kind),
            Act::Loaded(kind) => self.loaded(kind, u)?,
            Act::Wait(ms) => {
                self.now = self.now.after(Millis(u64::from(ms)));
                self.timeout();
            }
            Act::Deadline => self.deadline_passes(),
        }
        let unfinished = self.messages.values().filter(|done| !**done).count();
        assert_eq!(self.client.unacknowledged(), unfinished, "no message is lost or kept too long");
        Ok(())
    }

    fn send(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let id = ClientMsgId::new(&format!("m{}", self.messages.len())).expect("a name");
        let long = u.ratio(1, 16)?;
        let message = UserMessage {
            client_msg_id: id.clone(),
            content: if long { "x".repeat(9_000) } else { "hello".into() },
            thread_id: if u.arbitrary()? { Some(thread(u)?) } else { None },
            multitask: MultitaskStrategy::Enqueue,
            on_disconnect: OnDisconnect::Continue,
            expected_head_seq: None,
            metadata: None,
        };
        // Its first word is said at once, so the name must be known before.
        self.messages.insert(id.clone(), false);
        let sent = self.step(|client, now| client.send(now, message.clone()));
        match sent {
            Ok(()) => {
                let again = UserMessage { content: "other".into(), ..message };
                if self.messages[&id] {
                    return Ok(());
                }
                assert_eq!(
                    self.step(|client, now| client.send(now, again.clone())),
                    Err(Misuse::Conflict)
                );
            }
            Err(_) => {
                self.messages.remove(&id);
            }
        }
        Ok(())
    }

    fn follow(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (thread_id, after) = (thread(u)?, seq(u)?);
        let epoch = if u.arbitrary()? { Some(Epoch(u.int_in_range(1..=2)?)) } else { None };
        let is_new = self.client.position(thread_id).is_none();
        let done = self.step(|client, now| client.follow(now, thread_id, epoch, after));
        if done.is_ok() && is_new {
            self.view.read.insert(thread_id, (epoch, after));
        }
        Ok(())
    }

    fn a_reply(&self, u: &mut Unstructured<'_>) -> Result<Reply> {
        Ok(match u.int_in_range(0..=2)? {
            0 => Reply::None,
            1 => {
                self.last_frame.as_ref().map_or(Reply::None, |(frame, _)| Reply::Ref(frame.clone()))
            }
            _ => Reply::Ref(FrameRef::new("c1").expect("a reference")),
        })
    }

    fn dial_failed(&mut self, kind: u8) {
        let Some(dial) = self.dialed.take() else { return };
        let statuses = [401, 403, 408, 429, 426, 500, 503];
        let why = match kind & 15 {
            15 => DialFailure::Refused {
                status: statuses[usize::from(kind >> 4) % statuses.len()],
                retry_after: Some(Millis(u64::from(kind))),
            },
            _ => DialFailure::Unreachable,
        };
        self.input(Input::DialFailed { dial, why });
    }

    fn closed(&mut self, kind: u8) {
        let Some(dial) = self.open.take() else { return };
        // Mostly codes after which a client comes back.
        let code = match kind & 3 {
            0 => None,
            1 => Some(1012),
            2 => Some(1009),
            _ => Some(CloseCode::ALL[usize::from(kind >> 2) % CloseCode::ALL.len()].code()),
        };
        self.input(Input::Closed { dial, code });
    }

    /// What belongs to no open socket and no question changes nothing but the count of late inputs.
    fn late(&mut self, kind: u8) {
        let dial = EffectId(1 << 40);
        let mut before = self.client.clone();
        let late = before.late_inputs();
        self.input(match kind % 5 {
            0 => Input::Opened { dial },
            1 => Input::DialFailed { dial, why: DialFailure::Unreachable },
            2 => Input::Text { dial, text: "{\"type\":\"ping\",\"payload\":{}}" },
            3 => Input::Closed { dial, code: Some(4441) },
            _ => Input::Snapshot { effect: dial, result: Err(Fault::Refused) },
        });
        assert_eq!(self.client.late_inputs(), late + 1);
        before.handle_input(self.now, Input::Opened { dial });
        assert_eq!(self.client, before, "a late input changed something");
    }

    fn loaded(&mut self, kind: u8, u: &mut Unstructured<'_>) -> Result<()> {
        let Some((effect, thread_id, asked, after)) = self.loads.pop() else { return Ok(()) };
        let result = match kind % 8 {
            0 => Err(Fault::Refused),
            1 | 2 => Err(Fault::Unavailable),
            _ => {
                let epoch = match asked {
                    Some(epoch) if kind & 8 == 0 => epoch,
                    _ => Epoch(u.int_in_range(1..=2)?),
                };
                let first = if asked.is_none_or(|asked| asked == epoch) { after.0 } else { 0 };
                let mut entries = Vec::new();
                for ahead in 1..=u.int_in_range(0..=3)? {
                    let seq = Seq(first.saturating_add(ahead));
                    let body = entry(u, thread_id, epoch, seq)?.encode();
                    entries.push(Entry::decode(body.frame(seq, false).bytes()).expect("an entry"));
                }
                Ok(Snapshot { epoch, entries })
            }
        };
        self.input(Input::Snapshot { effect, result });
        Ok(())
    }

    fn entry(&mut self, u: &mut Unstructured<'_>, thread_id: ThreadId, seq: Seq) -> Result<()> {
        let epoch = Epoch(if u.ratio(1, 8)? { 2 } else { 1 });
        let draft = entry(u, thread_id, epoch, seq)?;
        let frame = draft.encode().frame(seq, u.arbitrary()?);
        match ServerEvent::decode(frame.as_str()) {
            ServerEvent::Entry(heard) => {
                assert_eq!((heard.seq, heard.id, &heard.event), (seq, draft.id, &draft.event));
            }
            other => assert!(seq > Seq::MAX && other == ServerEvent::Unknown, "{}", frame.as_str()),
        }
        self.text(frame.as_str());
        Ok(())
    }

    fn hear(&mut self, frame: &ServerFrame, reply: &Reply) {
        let text = frame.encode(reply, Announced { limits: &Limits::default() });
        assert_ne!(ServerEvent::decode(text.as_str()), ServerEvent::Unknown, "{}", text.as_str());
        self.text(text.as_str());
    }

    fn text(&mut self, text: &str) {
        if let Some(dial) = self.open {
            self.input(Input::Text { dial, text });
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.step(|client, now| client.handle_input(now, input.clone()));
    }

    fn timeout(&mut self) {
        self.step(Client::handle_timeout);
        let deadline = self.deadline;
        assert!(deadline.is_none_or(|at| at > self.now.mono), "a deadline in the past would spin");
    }

    fn deadline_passes(&mut self) {
        if let Some(at) = self.deadline {
            self.now = self.now.after(at.since(self.now.mono));
            self.timeout();
        }
    }

    /// Acts on the client and on a twin of it, which must do the same, and looks at what comes of it.
    fn step<T: PartialEq + core::fmt::Debug>(&mut self, act: impl Fn(&mut Client, Now) -> T) -> T {
        let ended = matches!(self.client.link(), Link::Ended(_));
        let mut twin = self.client.clone();
        let done = act(&mut self.client, self.now);
        assert_eq!(act(&mut twin, self.now), done);
        for count in 0.. {
            let output = self.client.poll_output();
            assert_eq!(twin.poll_output(), output, "the same inputs, the same outputs");
            assert!(count <= OUTPUTS, "the client does not come to rest");
            if let Output::Idle(deadline) = output {
                assert!(!ended || deadline.is_none(), "after the end nothing is waited for");
                self.deadline = deadline;
                break;
            }
            assert!(!ended, "after the end {output:?}");
            self.see(output);
        }
        done
    }

    fn see(&mut self, output: Output) {
        match output {
            Output::Dial { dial, .. } => {
                assert!(self.dialed.is_none_or(|before| before < dial));
                (self.dialed, self.open, self.last_frame) = (Some(dial), None, None);
            }
            Output::Send { dial, frame } => {
                assert_eq!(Some(dial), self.open, "a frame for a socket that is not open");
                let read = decode(frame.as_str(), &Limits::default(), NAMING);
                let read = read.unwrap_or_else(|refused| panic!("{}: {refused:?}", frame.as_str()));
                match (read.body, read.reply) {
                    (ClientBody::UserMessage(message), Reply::Ref(reference)) => {
                        self.last_frame = Some((reference, message.client_msg_id));
                    }
                    (ClientBody::Unsubscribe { thread_id }, _) => {
                        self.view.read.remove(&thread_id);
                    }
                    _ => {}
                }
            }
            Output::Hangup { dial, .. } => {
                assert!(self.open == Some(dial) || self.dialed == Some(dial));
                (self.dialed, self.open) = (None, None);
            }
            Output::LoadSnapshot { effect, thread_id, epoch, after_seq, .. } => {
                self.loads.push((effect, thread_id, epoch, after_seq));
            }
            Output::Event(event) => self.event(event),
            Output::NeedCredential(_) | Output::Idle(_) => {}
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Applied(entry) => self.view.apply(&entry),
            Event::Reset { thread_id, epoch } => {
                self.view.read.insert(thread_id, (Some(epoch), Seq::ZERO));
            }
            Event::ThreadGone(thread_id) => {
                self.view.read.remove(&thread_id);
            }
            Event::Message { client_msg_id, state } => {
                let done = self.messages.get_mut(&client_msg_id).expect("a message we gave it");
                assert!(!*done, "{client_msg_id} is over and now {state:?}");
                *done = matches!(state, MessageState::Acked(_) | MessageState::Refused(_));
            }
            Event::Answered { .. }
            | Event::Connection(_)
            | Event::Error { .. }
            | Event::Ready(_)
            | Event::ServiceStatus(_)
            | Event::Transient(_) => {}
        }
    }

    /// Nobody speaks any more: each wake-up is later than the one before.
    fn comes_to_rest(&mut self) {
        for _ in 0..30 {
            self.deadline_passes();
        }
    }
}

fn token() -> Credential {
    Credential::Token(Secret("t.o.k".into()))
}
