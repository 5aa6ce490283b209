//! The event stream (F29): server-sent events for who asks for them with a token, else a finite answer.

use super::{json, reply};
use crate::app::App;
use crate::door::TakenUp;
use crate::problem::Problem;
use crate::request::{Tab, caller, identity};
use futures_util::{Stream, StreamExt as _};
use goldenpath_core::connection::Identity;
use goldenpath_core::id::{ConnectionId, Epoch, Seq, ThreadId};
use goldenpath_core::limits::Limits;
use goldenpath_core::outbox::{self, Received};
use goldenpath_core::wire::{Announced, ErrorCode, Frame, Reply as Say, ResumePoint, ServerFrame};
use goldenpath_runtime::connection::Entry;
use goldenpath_runtime::shard::{Delivery, HubLink};
use http::StatusCode;
use http::header::{ACCEPT, HeaderMap};
use serde::Deserialize;
use serde_json::json as value;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::{Reply as _, Response as Reply};
use warp::sse::Event;

/// A comment at least this often keeps proxies from cutting a quiet stream (F28).
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
struct StreamQuery {
    #[serde(default)]
    thread_id: Option<ThreadId>,
    #[serde(default)]
    epoch: Option<Epoch>,
    #[serde(default)]
    after_seq: u64,
}

pub(super) fn routes(app: &App) -> BoxedFilter<(Reply,)> {
    let with = app.clone();
    let describe = warp::path!("api" / "events" / "info")
        .and(warp::get())
        .map(|| json(StatusCode::OK, &about()));
    let stream = warp::path!("api" / "events" / "stream")
        .and(warp::get())
        .and(warp::header::headers_cloned())
        .and(warp::query())
        .and(caller())
        .and(warp::ext::get::<Tab>())
        .and(warp::ext::get::<Arc<TakenUp>>())
        .then(move |headers, query, caller, tab, taken_up| {
            let app = with.clone();
            async move { reply(caller, stream(&app, &headers, &query, &tab, taken_up).await) }
        });
    describe.or(stream).unify().boxed()
}

fn about() -> serde_json::Value {
    value!({
        "url": "/api/events/stream",
        "accept": "text/event-stream",
        "authorization": "Bearer",
        "parameters": ["thread_id", "epoch", "after_seq"],
        "event": "each event's data is a frame as on /ws; its id is EPOCH:SEQ; Last-Event-ID goes on from it",
    })
}

async fn stream(
    app: &App,
    headers: &HeaderMap,
    query: &StreamQuery,
    tab: &Tab,
    taken_up: Arc<TakenUp>,
) -> Result<Reply, Problem> {
    let wants_events = headers.get_all(ACCEPT).iter().any(|accept| {
        accept.to_str().is_ok_and(|accept| {
            accept.split(',').any(|kind| {
                kind.split(';').next().unwrap_or_default().trim() == "text/event-stream"
            })
        })
    });
    if !wants_events {
        return Ok(json(StatusCode::OK, &about()));
    }
    let who = identity(app, headers).await?;
    tab.count(app, &who)?;
    // Who comes back says in the header where it was; the query is still that of its first time.
    let asked = (query.epoch, Seq(query.after_seq));
    let (epoch, after_seq) = last_event(headers).unwrap_or(asked);
    let resume = query.thread_id.map(|thread_id| ResumePoint { thread_id, epoch, after_seq });
    let frames = follow(app, &who, resume.into_iter().collect(), taken_up).await?;
    let events = frames.map(|frame| {
        let event = Event::default().data(frame.as_str());
        Ok::<_, Infallible>(match place(&frame) {
            Some(place) => event.id(place),
            None => event,
        })
    });
    let keep_alive = warp::sse::keep_alive().interval(keep_alive(&app.0.connections.limits));
    Ok(warp::sse::reply(keep_alive.stream(events)).into_response())
}

/// As often as a socket is pinged, which fits into the proxy's patience (F30).
fn keep_alive(limits: &Limits) -> Duration {
    Duration::from_millis(limits.heartbeat_interval.0).min(KEEP_ALIVE)
}

/// What the user's hub says to a reader, until it ends the connection.
async fn follow(
    app: &App,
    who: &Identity,
    resume: Vec<ResumePoint>,
    taken_up: Arc<TakenUp>,
) -> Result<impl Stream<Item = Frame> + Send + 'static, Problem> {
    let connections = &app.0.connections;
    let connection_id = connections.draw_id();
    let limits = &connections.limits;
    let (sender, receiver) = outbox::channel(limits.outbox_frames, limits.outbox_bytes);
    let entry = connections.registry.enter_reader(connection_id, who, sender.clone());
    if connections.verifier.is_over(who) {
        // Who ended it since its verdict found no stream of it here (AUTH-08).
        return Err(Problem::from(ErrorCode::TokenRevoked));
    }
    let link = connections.shards.attach(&who.scope(), connection_id, resume, true, sender).await;
    // Nothing is delivered on a credential that has ended (invariant 11); the client asks with a new one.
    // It ends when it does on a socket: what was let in by the grace is not cut off at once.
    let over_at = who.expires_at().map(|at| {
        let now = connections.clock.now();
        let left = at.after(limits.token_grace).since(now.wall);
        connections.clock.instant(now.mono.after(left))
    });
    let visit = Visit { link, connection_id, _entry: entry, _taken_up: taken_up };
    let reader = Reader { receiver, ready: VecDeque::new(), over_at, limits: limits.clone() };
    Ok(futures_util::stream::unfold((reader, visit), |(mut reader, visit)| async move {
        let frame = reader.next(|mark| visit.link.marked(visit.connection_id, mark)).await?;
        Some((frame, (reader, visit)))
    }))
}

/// Detaches when the stream is dropped.
struct Visit {
    link: HubLink,
    connection_id: ConnectionId,
    _entry: Entry,
    _taken_up: Arc<TakenUp>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.link.detach(self.connection_id);
    }
}

struct Reader {
    receiver: outbox::Receiver<Delivery>,
    ready: VecDeque<Frame>,
    over_at: Option<Instant>,
    limits: Arc<Limits>,
}

impl Reader {
    /// The next frame; `None` when nothing may be delivered any more. It is asked for when the peer has
    /// room, however late that is; `marked` hears of the marks that were passed.
    async fn next(&mut self, marked: impl Fn(u64)) -> Option<Frame> {
        let mut taken = Vec::new();
        loop {
            //= specs/auth.md#auth-82
            //# An event stream MUST NOT deliver anything after its credential's grace or after the end of
            //# its log-in, however slowly it is read.
            if self.is_over().await {
                return None;
            }
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            let received = poll_fn(|context| self.receiver.poll_recv_many(context, &mut taken, 16));
            let received = match self.over_at {
                Some(at) => tokio::time::timeout_at(at, received).await.ok()?,
                None => received.await,
            };
            match received {
                Received::Items(_) => {}
                Received::Closed | Received::Overflow => return None,
            }
            for delivery in taken.drain(..) {
                match delivery {
                    Delivery::Frames(frames) => self.ready.extend(frames.iter().cloned()),
                    // HTTP has taken what came before: the body asks for more only then.
                    Delivery::Mark(mark) => marked(mark),
                    Delivery::Close(_) | Delivery::Drain { .. } | Delivery::Revoked => return None,
                    //= specs/delivery.md#dlv-27
                    //# An event stream that is to go on from a position MUST say what became of that,
                    //# as a socket does.
                    Delivery::Attached(ready) if !ready.resume.is_empty() => {
                        let resumed = ServerFrame::Resumed { threads: ready.resume.clone() };
                        let announced = Announced { limits: &self.limits };
                        self.ready.push_back(resumed.encode(&Say::None, announced));
                    }
                    Delivery::Attached(_) | Delivery::Heads(_) | Delivery::ServiceStatus(_) => {}
                }
            }
        }
    }

    /// Whether its credential has ended, or something urgent has come: all of that ends a stream, however
    /// much waits before it.
    async fn is_over(&mut self) -> bool {
        let mut urgent = Vec::new();
        let heard =
            poll_fn(|context| Poll::Ready(self.receiver.poll_urgent(context, &mut urgent))).await;
        heard.is_ready() || self.over_at.is_some_and(|at| at <= Instant::now())
    }
}

/// Where a stream that was cut had come to: the id of its last event (HTML, Server-sent events,
/// `Last-Event-ID`). What is no id of ours is as if there was none.
//= specs/delivery.md#dlv-28
//# An event stream that comes back with `Last-Event-ID` MUST go on behind that entry.
fn last_event(headers: &HeaderMap) -> Option<(Option<Epoch>, Seq)> {
    let (epoch, seq) = headers.get("last-event-id")?.to_str().ok()?.split_once(':')?;
    Some((Some(epoch.parse().ok()?), Seq(seq.parse().ok()?)))
}

/// `EPOCH:SEQ` of a durable entry, to go on from.
fn place(frame: &Frame) -> Option<String> {
    #[derive(Deserialize)]
    struct Place<'a> {
        epoch: &'a str,
        seq: u64,
    }
    let place: Place<'_> = serde_json::from_str(frame.as_str()).ok()?;
    Some(format!("{}:{}", place.epoch, place.seq))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use goldenpath_core::time::Millis;
    use goldenpath_core::wire::CloseCode;

    /// More than is taken at once.
    const FRAMES: usize = 40;

    /// A reader for whom that many frames wait.
    fn reader(over_at: Option<Instant>) -> (outbox::Sender<Delivery>, Reader) {
        let limits = Arc::new(Limits::default());
        let (sender, receiver) = outbox::channel(FRAMES, 1_000_000);
        let announced = Announced { limits: &limits };
        let frame = ServerFrame::Ping { heads: Vec::new() }.encode(&Say::None, announced);
        for _ in 0..FRAMES {
            let one = outbox::Weight { frames: 1, bytes: frame.len() };
            let pushed = sender.push(Delivery::Frames(Arc::from([frame.clone()])), one);
            assert_eq!(pushed, outbox::Pushed::Queued);
        }
        (sender, Reader { receiver, ready: VecDeque::new(), over_at, limits })
    }

    /// Whether a frame is delivered; `None`: none is there yet.
    fn delivers(reader: &mut Reader) -> Option<bool> {
        reader.next(|_| {}).now_or_never().map(|frame| frame.is_some())
    }

    //= specs/auth.md#auth-82
    //= type=test
    //# An event stream MUST NOT deliver anything after its credential's grace or after the end of
    //# its log-in, however slowly it is read.
    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_given_nothing_more_once_its_credential_has_ended() {
        let (_sender, mut reader) = reader(Some(Instant::now() + Duration::from_secs(60)));
        for _ in 0..6 {
            tokio::time::advance(Duration::from_millis(9_990)).await;
            assert_eq!(delivers(&mut reader), Some(true));
        }
        tokio::time::advance(Duration::from_millis(60)).await;
        assert_eq!(delivers(&mut reader), Some(false), "some had been taken, others waited");
    }

    #[tokio::test]
    async fn whatever_ends_a_stream_overtakes_what_waits_for_a_slow_reader() {
        let reconnect_after = Millis::from_secs(1);
        for end in [
            Delivery::Revoked,
            Delivery::Drain { reconnect_after },
            Delivery::Close(CloseCode::Restarting),
        ] {
            for read in [0, 1] {
                let (sender, mut reader) = reader(None);
                for _ in 0..read {
                    assert_eq!(delivers(&mut reader), Some(true));
                }
                assert_eq!(sender.push_urgent(end.clone()), outbox::Pushed::Queued);
                assert_eq!(delivers(&mut reader), Some(false), "{end:?}");
            }
        }
    }

    #[tokio::test]
    async fn who_reads_everything_in_time_is_given_everything() {
        let (sender, mut reader) = reader(Some(Instant::now() + Duration::from_secs(60)));
        for _ in 0..FRAMES {
            assert_eq!(delivers(&mut reader), Some(true));
        }
        assert_eq!(delivers(&mut reader), None);
        drop(sender);
        assert_eq!(delivers(&mut reader), Some(false));
    }
}
