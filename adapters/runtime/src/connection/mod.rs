//! One task per socket: it drives the connection's machine between transport, shard and clock.

mod driver;
mod registry;
mod transport;
mod verifier;

pub use registry::{Entry, Registry};
pub use transport::{Lost, Received, Transport};
pub use verifier::{Newcomer, Sighting, Verifier, Whence};

use crate::Clock;
use crate::shard::{Delivery, Shards};
use crate::tally;
use driver::Driver;
use futures_util::FutureExt as _;
use goldenpath_core::connection::{Connection, Identity, Opening};
use goldenpath_core::fault::End;
use goldenpath_core::handshake::Accepted;
use goldenpath_core::id::{ConnectionId, RequestId};
use goldenpath_core::limits::Limits;
use goldenpath_core::outbox;
use goldenpath_core::seed::Seed;
use goldenpath_core::wire::{
    Announced, CloseCode, ErrorCode, ErrorFrame, Frame, Reply, ServerFrame,
};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a connection that is over may take to say its last words.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What all connections of this process share; cheap to clone.
#[derive(Clone)]
pub struct Connections {
    /// Reads time.
    pub clock: Clock,
    /// The bounds.
    pub limits: Arc<Limits>,
    /// Who is connected.
    pub registry: Registry,
    /// Where the hubs are.
    pub shards: Shards,
    /// Checks credentials.
    pub verifier: Arc<dyn Verifier>,
    seed: Arc<Mutex<Seed>>,
}

impl Connections {
    /// No connection yet.
    #[must_use]
    pub fn new(
        clock: Clock,
        limits: Arc<Limits>,
        shards: Shards,
        verifier: Arc<dyn Verifier>,
        seed: &mut Seed,
    ) -> Self {
        let registry = Registry::default();
        let seed = Arc::new(Mutex::new(seed.fork()));
        Self { clock, limits, registry, shards, verifier, seed }
    }

    /// Drives a socket whose upgrade is complete, until it is over. `identity` is set when the
    /// credential was checked before the upgrade.
    ///
    /// Ten thousand of these futures wait at a time, so what is only needed to begin is not kept in it.
    pub fn serve<T: Transport>(
        &self,
        mut transport: T,
        accepted: Accepted,
        identity: Option<Identity>,
        whence: Whence,
    ) -> impl Future<Output = ()> + Send + use<T> {
        let (sender, receiver) =
            outbox::channel(self.limits.outbox_frames, self.limits.outbox_bytes);
        let now = self.clock.now();
        let (connection_id, seed) = {
            let mut seed = self.seed.lock().unwrap_or_else(PoisonError::into_inner);
            (ConnectionId::draw(&mut seed, now.wall), seed.fork())
        };
        let entry = self.registry.enter(connection_id, sender.clone());
        let opening = Opening { connection_id, accepted, identity };
        let machine = Connection::new(opening, self.limits.clone(), seed, now);
        let mut driver =
            Box::new(Driver::new(self.clone(), machine, receiver, sender, entry, whence));
        async move {
            let driven = AssertUnwindSafe(driver.run(&mut transport)).catch_unwind().await;
            if driven.is_err() {
                Box::pin(driver.around().failed(connection_id, &mut transport)).await;
            }
        }
    }

    /// An id that is not in use, for a request that attaches for one command.
    #[must_use]
    pub fn draw_id(&self) -> ConnectionId {
        let mut seed = self.seed.lock().unwrap_or_else(PoisonError::into_inner);
        ConnectionId::draw(&mut seed, self.clock.now().wall)
    }

    /// A name for one request, in answers and in the log.
    #[must_use]
    pub fn draw_request_id(&self) -> RequestId {
        let mut seed = self.seed.lock().unwrap_or_else(PoisonError::into_inner);
        RequestId::draw(&mut seed, self.clock.now().wall)
    }

    /// The machine or its driver panicked: the peer is told, with the id under which it is logged (F01, F42).
    async fn failed<T: Transport>(&self, connection_id: ConnectionId, transport: &mut T) {
        let request_id = self.draw_request_id();
        tracing::error!(%request_id, %connection_id, "a connection failed");
        let mut error = ErrorFrame::new(ErrorCode::Internal, "an internal error");
        (error.fatal, error.request_id) = (true, Some(request_id));
        let code = CloseCode::Internal;
        let disconnect = ServerFrame::Disconnect { code, reconnect_after: None };
        for frame in [ServerFrame::Error(error), disconnect] {
            let announced = Announced { limits: &self.limits };
            let _ = transport.send(frame.encode(&Reply::None, announced));
        }
        tally::ended(End::Closed(code));
        let _ = transport.close(code.code(), code.reason());
        let _ = tokio::time::timeout(LAST_WORDS, finished(transport)).await;
    }
}

/// Everything is written, and the peer has read it or is gone.
async fn finished<T: Transport>(transport: &mut T) {
    std::future::poll_fn(|context| transport.poll_finish(context)).await;
}

/// Encodes nothing: a frame with its weight in an outbox.
pub(crate) fn weight_of(frames: &[Frame]) -> outbox::Weight {
    let bytes = frames.iter().map(Frame::len).sum();
    outbox::Weight { frames: frames.len(), bytes }
}

pub(crate) type Outbox = outbox::Sender<Delivery>;
