//! Batches as a hub makes them, with ids that are easy to read.

use goldenpath_core::auth::{Claims, Endings, Leave, Policy, Scope, Signed, Vouched, check_claims};
use goldenpath_core::hub::{Batch, NewAnswer, NewMessage, NewThread, RunChange};
use goldenpath_core::id::{
    ClientMsgId, Epoch, EventId, Fence, MessageId, RunId, SessionId, ThreadId,
};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{
    Draft, EntryBody, Event, Json, Metadata, OnDisconnect, RunScope, RunStatus, ThoughtKind,
};
use goldenpath_simulator::scope_of;

pub(crate) const EPOCH: Epoch = Epoch(7);

pub(crate) fn user(name: &str) -> Scope {
    scope_of(name)
}

/// A good credential of this user's log-in.
pub(crate) fn vouched(name: &str, session_id: SessionId) -> Vouched {
    let claims = Claims {
        sub: name.into(),
        iss: Some("store".into()),
        exp: 1,
        sid: Some(session_id),
        ..Claims::default()
    };
    let (issuer, leeway) = (String::from("store"), Millis(0));
    let policy = Policy { issuer, audience: None, leeway, max_age: None, older_issuer: None };
    check_claims(&Signed::by("key", claims), &policy, Wall(0)).unwrap()
}

/// The right to end this log-in.
pub(crate) fn leave(name: &str, session_id: SessionId) -> Leave {
    vouched(name, session_id).unless_ended(&Endings::default()).unwrap().leave()
}

pub(crate) fn client(name: &str) -> ClientMsgId {
    ClientMsgId::new(name).unwrap()
}

/// An entry of this batch; `n` makes its bytes differ from the others.
pub(crate) fn entry(batch: u128, thread_id: ThreadId, n: u128, event: Event) -> EntryBody {
    let draft = Draft {
        id: EventId(batch + n),
        thread_id,
        epoch: EPOCH,
        ts: Wall(1000),
        scope: Some(RunScope { run_id: RunId(1), agent: None }),
        synthesized: false,
        event,
    };
    draft.encode()
}

pub(crate) fn thought(text: &str) -> Event {
    Event::AgentThinking {
        thought_id: 1,
        text: text.to_owned(),
        kind: ThoughtKind::Status,
        progress: None,
    }
}

/// A batch with as many plain entries, and nothing else in it.
pub(crate) fn plain(id: u128, user: &Scope, thread_id: ThreadId, entries: u128) -> Batch {
    let body = |n| entry(id * 1000, thread_id, n, thought("hm"));
    let at = Wall(1000 + u64::try_from(id).unwrap());
    let entries = (0..entries).map(body).collect();
    Batch::of(EventId(id * 1000), user.clone(), (thread_id, EPOCH), at, entries)
}

/// Opens a thread; one entry.
pub(crate) fn opening(id: u128, user: &Scope, thread_id: ThreadId) -> Batch {
    let mut batch = plain(id, user, thread_id, 0);
    batch.entries =
        vec![entry(id * 1000, thread_id, 0, Event::ThreadCreated { title: "First".into() })];
    batch.new_thread = Some(NewThread { title: "First".into() });
    batch
}

/// What somebody keeps with a thread.
pub(crate) fn metadata(text: &str) -> Metadata {
    Metadata::new(Json::parse(text).unwrap()).unwrap()
}

/// A message and its queued run; two entries.
pub(crate) fn asking(id: u128, user: &Scope, thread_id: ThreadId, name: &str, run: RunId) -> Batch {
    let mut batch = plain(id, user, thread_id, 0);
    let message_id = MessageId(run.0 + 10_000);
    let said = Event::UserMessage {
        message_id,
        client_msg_id: client(name),
        content: format!("What about {name}?"),
        metadata: Some(Json::null()),
    };
    let queued = Event::RunQueued { message_id, position: 0, on_disconnect: OnDisconnect::Cancel };
    batch.entries =
        vec![entry(id * 1000, thread_id, 0, said), entry(id * 1000, thread_id, 1, queued)];
    batch.message = Some(NewMessage {
        message_id,
        client_msg_id: client(name),
        digest: u64::MAX - 5,
        entry: 0,
        run_id: run,
        on_disconnect: OnDisconnect::Cancel,
    });
    batch
}

/// A run goes on, with two entries.
pub(crate) fn working(
    id: u128,
    user: &Scope,
    thread_id: ThreadId,
    run: RunId,
    fence: u64,
    status: RunStatus,
) -> Batch {
    let mut batch = plain(id, user, thread_id, 2);
    batch.runs = vec![RunChange { run_id: run, fence: Fence(fence), status }];
    batch
}

/// A run answers and ends; two entries.
pub(crate) fn answering(
    id: u128,
    user: &Scope,
    thread_id: ThreadId,
    run: RunId,
    fence: u64,
) -> Batch {
    let mut batch = working(id, user, thread_id, run, fence, RunStatus::Completed);
    let message_id = MessageId(run.0 + 20_000);
    let said = Event::AssistantMessage { message_id, content: "This.".into(), partial: false };
    batch.entries[0] = entry(id * 1000, thread_id, 0, said);
    batch.answers = vec![NewAnswer { message_id, run_id: run, entry: 0 }];
    batch
}
