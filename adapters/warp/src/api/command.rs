//! A command over HTTP goes through the user's hub like one over a socket: it attaches for the time of
//! one answer.

use crate::app::App;
use crate::problem::Problem;
use bytes::Bytes;
use goldenpath_core::connection::Identity;
use goldenpath_core::id::FrameRef;
use goldenpath_core::outbox::{self, Received};
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{ClientBody, ErrorCode, Frame, Reply};
use goldenpath_runtime::shard::{Delivery, HubLink};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::future::poll_fn;
use std::time::Duration;

/// Longest wait for an answer, if no proxy waits for less; the store may be trying again.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the hub answered: the payload of its `ack`.
pub(super) struct Answered(Bytes);

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(rename = "ref", default)]
    reference: Option<&'a str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

#[derive(Deserialize)]
struct Refused {
    code: ErrorCode,
    message: String,
    #[serde(default)]
    retry_after_ms: Option<Millis>,
}

/// Sends a command and waits for what the hub says to it.
pub(super) async fn ask(
    app: &App,
    identity: &Identity,
    body: ClientBody,
) -> Result<Answered, Problem> {
    let connections = &app.0.connections;
    let connection_id = connections.draw_id();
    let limits = &connections.limits;
    let (sender, mut receiver) = outbox::channel(limits.outbox_frames, limits.outbox_bytes);
    let link = connections
        .shards
        .attach(&identity.scope(), connection_id, Vec::new(), false, sender)
        .await;
    let visit = Visit { link, connection_id };
    let name = "http";
    // A constant of four letters is a valid reference.
    let reply = FrameRef::new(name).map_or(Reply::None, Reply::Ref);
    visit.link.command(connection_id, reply, body).await;
    let patience = app.0.limits.patience(PATIENCE);
    let answer = tokio::time::timeout(patience, answer(&mut receiver, name)).await;
    match answer {
        Ok(Some(frame)) => read(&frame),
        Ok(None) => Err(Problem::of(ErrorCode::Internal, "the answer was lost")),
        Err(_) => {
            Err(Problem::of(ErrorCode::Overloaded, "no answer in time; it may still be done"))
        }
    }
}

impl Answered {
    /// The JSON of the payload.
    pub(super) fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// Detaches also when the request is given up.
struct Visit {
    link: HubLink,
    connection_id: goldenpath_core::id::ConnectionId,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.link.detach(self.connection_id);
    }
}

async fn answer(receiver: &mut outbox::Receiver<Delivery>, name: &str) -> Option<Frame> {
    let mut taken = Vec::new();
    loop {
        match poll_fn(|context| receiver.poll_recv_many(context, &mut taken, 16)).await {
            Received::Items(_) => {}
            Received::Closed | Received::Overflow => return None,
        }
        for delivery in taken.drain(..) {
            if let Delivery::Frames(frames) = delivery
                && let Some(frame) = frames.iter().find(|frame| is_for(frame, name))
            {
                return Some(frame.clone());
            }
        }
    }
}

fn is_for(frame: &Frame, name: &str) -> bool {
    serde_json::from_str::<Payload<'_>>(frame.as_str())
        .is_ok_and(|payload| payload.reference == Some(name))
}

fn read(frame: &Frame) -> Result<Answered, Problem> {
    let unreadable = || Problem::of(ErrorCode::Internal, "the answer could not be read");
    let said: Payload<'_> = serde_json::from_str(frame.as_str()).map_err(|_| unreadable())?;
    if said.kind == "error" {
        let refused: Refused =
            serde_json::from_str(said.payload.get()).map_err(|_| unreadable())?;
        let problem = Problem::of(refused.code, refused.message);
        return Err(match refused.retry_after_ms {
            Some(span) => problem.retry_after(span),
            None => problem,
        });
    }
    Ok(Answered(Bytes::copy_from_slice(said.payload.get().as_bytes())))
}
