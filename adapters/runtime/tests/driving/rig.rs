//! Shards over a store in memory, runs that do as they are told, and a peer made of channels.

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use goldenpath_core::auth::{Claims, Endings, Policy, Scope, Signed, check_claims};
use goldenpath_core::connection::Identity;
use goldenpath_core::handshake::{Accepted, Dialect, Presented};
use goldenpath_core::id::{
    ClientMsgId, ConnectionId, EventId, FrameRef, MessageId, SessionId, ToolCallId,
};
use goldenpath_core::limits::Limits;
use goldenpath_core::outbox::{self, Received as FromOutbox, Receiver};
use goldenpath_core::run::{Assignment, CancelReason};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{
    AuthMethod, ClientBody, Credential, Draft, ErrorCode, Event, Frame, MultitaskStrategy,
    OnDisconnect, Reply, RunScope, RunStatus, Secret, Usage, UserMessage,
};
use goldenpath_runtime::Clock;
use goldenpath_runtime::connection::{Connections, Lost, Received, Transport, Verifier};
use goldenpath_runtime::memory::MemoryStore;
use goldenpath_runtime::shard::{
    Delivery, HubLink, Load, RunControl, RunSink, Runs, Shards, Surroundings,
};
use serde_json::Value;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::mpsc;

/// Longest wait, on a clock that stands still unless everybody waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

pub(crate) struct Rig {
    pub(crate) connections: Connections,
    pub(crate) store: MemoryStore,
    pub(crate) runs: Arc<Obedient>,
}

pub(crate) fn rig(limits: Limits) -> Rig {
    rig_on(MemoryStore::new(), limits, 3)
}

/// A process on a store that may hold something already.
pub(crate) fn rig_on(store: MemoryStore, limits: Limits, seed: u64) -> Rig {
    let mut seed = Seed::new(seed);
    let clock = Clock::starting_at(Wall(1_795_255_873_120));
    let limits = Arc::new(limits);
    let runs = Arc::new(Obedient::default());
    let around = Surroundings {
        clock,
        limits: limits.clone(),
        runs: runs.clone(),
        store: Arc::new(store.clone()),
    };
    let shards = Shards::start(2, &around, &mut seed);
    let connections = Connections::new(clock, limits, shards, Arc::new(Names), &mut seed);
    Rig { connections, store, runs }
}

pub(crate) fn message(id: &str, content: &str) -> ClientBody {
    ClientBody::UserMessage(UserMessage {
        client_msg_id: ClientMsgId::new(id).unwrap(),
        content: content.into(),
        thread_id: None,
        multitask: MultitaskStrategy::Enqueue,
        on_disconnect: OnDisconnect::Continue,
        expected_head_seq: None,
        metadata: None,
    })
}

/// A reader of a hub, without a connection's machine between.
pub(crate) struct Reader {
    pub(crate) id: ConnectionId,
    pub(crate) link: HubLink,
    receiver: Receiver<Delivery>,
    waiting: Vec<Delivery>,
}

impl Rig {
    pub(crate) async fn reader(&self, name: &str) -> Reader {
        let (sender, receiver) = outbox::channel(1000, 1_000_000);
        let id = self.connections.draw_id();
        let link =
            self.connections.shards.attach(&identity(name).scope(), id, vec![], true, sender).await;
        Reader { id, link, receiver, waiting: Vec::new() }
    }
}

impl Rig {
    /// Waits until no hub is kept, and nothing for one.
    pub(crate) async fn empty(&self) {
        let all_gone = async {
            while self.connections.shards.load().await != Load::default() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, all_gone).await.expect("nobody is kept for nothing");
    }
}

impl Reader {
    pub(crate) async fn ask(&self, id: &str, content: &str) {
        let reply = Reply::Ref(FrameRef::new(id).unwrap());
        self.link.command(self.id, reply, message(id, content)).await;
    }

    /// The next thing the hub says; `None` when it says nothing any more.
    pub(crate) async fn hear(&mut self) -> Option<Delivery> {
        while self.waiting.is_empty() {
            let mut taken = Vec::new();
            let received = poll_fn(|cx| self.receiver.poll_recv_many(cx, &mut taken, 100));
            match tokio::time::timeout(PATIENCE, received).await.expect("in time") {
                FromOutbox::Items(_) => self.waiting = taken,
                FromOutbox::Closed | FromOutbox::Overflow => return None,
            }
        }
        let delivery = self.waiting.remove(0);
        if let Delivery::Mark(mark) = delivery {
            // It has read everything before the mark: replays wait for this.
            self.link.marked(self.id, mark);
        }
        Some(delivery)
    }

    /// The types of all frames up to and with the first of this type.
    pub(crate) async fn until(&mut self, last: &str) -> Vec<String> {
        let mut kinds = Vec::new();
        loop {
            if let Some(Delivery::Frames(frames)) = self.hear().await {
                kinds.extend(frames.iter().map(kind));
            }
            if kinds.iter().any(|kind| kind == last) {
                return kinds;
            }
        }
    }
}

pub(crate) fn json(frame: &Frame) -> Value {
    serde_json::from_str(frame.as_str()).unwrap()
}

pub(crate) fn kind(frame: &Frame) -> String {
    json(frame)["type"].as_str().unwrap().to_owned()
}

/// Runs end at once. If the question says so, their first attempt does not: `hang` waits until it is
/// cancelled, `vanish` ends without a word; and starting an `explode` panics.
#[derive(Default)]
pub(crate) struct Obedient {
    pub(crate) started: Mutex<Vec<Assignment>>,
}

impl Runs for Obedient {
    fn start(&self, _: Scope, assignment: Assignment, sink: RunSink) -> Box<dyn RunControl> {
        assert!(!assignment.question.contains("explode") || assignment.attempt > 1, "as asked");
        self.started.lock().unwrap().push(assignment.clone());
        if assignment.question.contains("vanish") && assignment.attempt == 1 {
            return Box::new(Control(Mutex::new(None)));
        }
        if assignment.question.contains("hang") && assignment.attempt == 1 {
            return Box::new(Control(Mutex::new(Some((assignment, sink)))));
        }
        sink.append(vec![answered(&assignment), ended(&assignment)]);
        Box::new(Control(Mutex::new(None)))
    }
}

fn answered(assignment: &Assignment) -> Draft {
    let event = Event::AssistantMessage {
        message_id: MessageId(assignment.run_id.0 + 1),
        content: "Done.".into(),
        partial: false,
    };
    draft(assignment, 1, event)
}

fn ended(assignment: &Assignment) -> Draft {
    let event = Event::RunCompleted {
        status: RunStatus::Completed,
        duration_ms: 1,
        usage: Usage::default(),
    };
    draft(assignment, 2, event)
}

pub(crate) fn draft(assignment: &Assignment, nth: u128, event: Event) -> Draft {
    Draft {
        id: EventId(assignment.run_id.0 + u128::from(assignment.attempt) * 10 + nth),
        thread_id: assignment.thread_id,
        epoch: assignment.epoch,
        ts: assignment.started_at,
        scope: Some(RunScope { run_id: assignment.run_id, agent: None }),
        synthesized: false,
        event,
    }
}

struct Control(Mutex<Option<(Assignment, RunSink)>>);

impl RunControl for Control {
    fn cancel(&self, _: CancelReason) {
        if let Some((assignment, sink)) = self.0.lock().unwrap().take() {
            let event = Event::RunCancelled { reason: "user".into(), duration_ms: 1 };
            sink.append(vec![draft(&assignment, 2, event)]);
        }
    }

    fn confirmed(&self, _: ToolCallId) {}

    fn kill(&self) {
        self.0.lock().unwrap().take();
    }
}

/// A token is its user's name, up to a comma. The log-in of a token that ends with `leaving` is ended
/// between its verdict and the moment its socket can be found.
struct Names;

impl Verifier for Names {
    fn verify(
        &self,
        credential: &Credential,
        _: Option<&str>,
        _: Wall,
    ) -> BoxFuture<'static, Result<Identity, ErrorCode>> {
        let verdict = match credential {
            Credential::Token(Secret(name)) if name != "nobody" => Ok(identity(name)),
            Credential::Ticket(_) | Credential::Token(_) => Err(ErrorCode::Unauthorized),
        };
        ready(verdict).boxed()
    }

    fn is_over(&self, of: &Identity) -> bool {
        [identity("leaving"), identity("ada, leaving")]
            .iter()
            .any(|leaving| leaving.session_id() == of.session_id())
    }

    fn demo_user(&self, _: Wall) -> BoxFuture<'static, Result<Identity, ErrorCode>> {
        ready(Ok(identity("demo"))).boxed()
    }
}

pub(crate) fn identity(name: &str) -> Identity {
    let (iss, sid) = (Some(String::from("rig")), Some(SessionId(name.len() as u128)));
    let user = name.split(',').next().unwrap_or(name);
    let claims = Claims { sub: user.into(), exp: u64::MAX >> 20, iss, sid, ..Claims::default() };
    let (issuer, leeway) = (String::from("rig"), Millis(0));
    let vouched = check_claims(
        &Signed::by("rig", claims),
        &Policy { issuer, audience: None, leeway, max_age: None, older_issuer: None },
        Wall(0),
    );
    vouched.unwrap().unless_ended(&Endings::default()).unwrap()
}

pub(crate) fn accepted(token: &str) -> Accepted {
    let token = Credential::Token(Secret(token.into()));
    Accepted {
        subprotocol: Some("golden.v1".into()),
        dialect: Dialect::GoldenV1,
        presented: Presented::Credential(AuthMethod::Subprotocol, token),
        demo: false,
        verify_before_upgrade: false,
    }
}

/// The server's end of a socket made of channels.
pub(crate) struct Wire {
    incoming: mpsc::UnboundedReceiver<String>,
    outgoing: mpsc::UnboundedSender<Said>,
    room: Arc<Mutex<Room>>,
}

/// What the peer's side still takes.
#[derive(Default)]
struct Room {
    /// Frames; `None`: any number.
    left: Option<usize>,
    /// Who waits for more room.
    waker: Option<Waker>,
}

impl Room {
    fn is_full(&mut self, context: &Context<'_>) -> bool {
        self.waker = Some(context.waker().clone());
        self.left == Some(0)
    }
}

/// What the server said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Said {
    Close(u16),
    Frame(Value),
}

/// The peer's end.
pub(crate) struct Peer {
    pub(crate) says: mpsc::UnboundedSender<String>,
    hears: mpsc::UnboundedReceiver<Said>,
    room: Arc<Mutex<Room>>,
}

pub(crate) fn wire() -> (Wire, Peer) {
    let (says, incoming) = mpsc::unbounded_channel();
    let (outgoing, hears) = mpsc::unbounded_channel();
    let room = Arc::<Mutex<Room>>::default();
    (Wire { incoming, outgoing, room: room.clone() }, Peer { says, hears, room })
}

impl Peer {
    /// From now on nothing can be written to it.
    pub(crate) fn hear_no_more(&mut self) {
        self.hears.close();
    }

    /// From now on it takes that many frames before it is full; `None`: any number.
    pub(crate) fn takes(&self, frames: Option<usize>) {
        let mut room = self.room.lock().unwrap();
        room.left = frames;
        if let Some(waker) = room.waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn say(&self, frame: Value) {
        self.says.send(frame.to_string()).unwrap();
    }

    pub(crate) async fn hear(&mut self) -> Option<Said> {
        tokio::time::timeout(PATIENCE, self.hears.recv()).await.expect("in time")
    }

    /// The next frame of this type.
    pub(crate) async fn frame(&mut self, kind: &str) -> Value {
        loop {
            match self.hear().await {
                Some(Said::Frame(frame)) if frame["type"] == kind => return frame,
                Some(_) => {}
                None => panic!("{kind} did not come"),
            }
        }
    }

    /// Types of frames and codes of closes, up to and with the first of this name.
    pub(crate) async fn until(&mut self, last: &str) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        while all.last().is_none_or(|name| name != last) {
            all.push(match self.hear().await {
                Some(Said::Close(code)) => code.to_string(),
                Some(Said::Frame(frame)) => frame["type"].as_str().unwrap().to_owned(),
                None => panic!("{all:?} came, {last} did not"),
            });
        }
        all
    }
}

impl Transport for Wire {
    type Text = String;

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Received<String>> {
        self.incoming.poll_recv(context).map(|text| match text {
            Some(text) if text == "panic" => panic!("as asked"),
            Some(text) => Received::Text(text),
            None => Received::Lost,
        })
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        if self.room.lock().unwrap().is_full(context) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn send(&mut self, frame: Frame) -> Result<(), Lost> {
        let mut room = self.room.lock().unwrap();
        room.left = room.left.map(|left| left.saturating_sub(1));
        drop(room);
        self.outgoing.send(Said::Frame(json(&frame))).map_err(|_| Lost)
    }

    fn close(&mut self, code: u16, _: &'static str) -> Result<(), Lost> {
        self.outgoing.send(Said::Close(code)).map_err(|_| Lost)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        self.poll_ready(context)
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
