//! Who somebody is: log-ins, demo users, tickets, log-outs; one verdict for HTTP and WebSocket (F07).

mod account;
mod answer;
mod audit;
mod bypass;
mod event;
mod foreign;
mod housekeeping;
mod log_in;
mod once;
mod ports;
mod provider;
mod refresh_token;
mod revoked;
mod session;
mod throttle;
mod tickets;

pub use answer::{Denied, LoggedIn, Profile};
pub use audit::{Audit, AuditCounts};
pub use bypass::BypassDenied;
pub use foreign::{AWAY, Arrival, Departure};
pub use ports::{Entropy, Known, Passwords, Tokens};
pub use provider::{Begun, ForeignUser, Provider, ProviderFault, Returned};
pub use tickets::TICKET_LIFETIME;

use crate::Clock;
use crate::connection::{Sighting, Verifier};
use crate::ports::{Accounts, Sessions};
use event::Event;
use foreign::Foreign;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use goldenpath_core::auth::{Allowances, Environment, Lockout, RefreshPolicy};
use goldenpath_core::connection::Identity;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Now, Wall};
use goldenpath_core::wire::{Credential, ErrorCode, Secret};
use revoked::Revoked;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use throttle::Throttle;
use tickets::Tickets;

/// What [`Identities`] work with.
pub struct Sources {
    /// Accounts and preferences.
    pub accounts: Arc<dyn Accounts>,
    /// Who was let in and who was not.
    pub audit: Audit,
    /// Reads time.
    pub clock: Clock,
    /// Whether visitors get in without an account.
    pub demo: bool,
    /// Opens the door for tests; none: it is shut.
    pub e2e_key: Option<Secret>,
    /// Makes secrets.
    pub entropy: Arc<dyn Entropy>,
    /// Where this server runs.
    pub environment: Environment,
    /// Hashes passwords.
    pub passwords: Arc<dyn Passwords>,
    /// How long log-ins last.
    pub refresh: RefreshPolicy,
    /// Whether strangers may make an account.
    pub registration: bool,
    /// Log-ins.
    pub sessions: Arc<dyn Sessions>,
    /// How long an access token is good.
    pub token_lifetime: Millis,
    /// Makes and reads tokens.
    pub tokens: Arc<dyn Tokens>,
}

/// The one place that says who somebody is; cheap to clone.
#[derive(Clone)]
pub struct Identities {
    sources: Arc<Sources>,
    state: Arc<Mutex<State>>,
    foreign: Option<Arc<Foreign>>,
}

struct State {
    seed: Seed,
    tickets: Tickets,
    lockout: Lockout,
    throttle: Throttle,
    revoked: Revoked,
}

impl Identities {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(sources: Sources, seed: &mut Seed) -> Self {
        let state = State {
            seed: seed.fork(),
            tickets: Tickets::default(),
            lockout: Lockout::new(Allowances::default()),
            throttle: Throttle::default(),
            revoked: Revoked::default(),
        };
        Self { sources: Arc::new(sources), state: Arc::new(Mutex::new(state)), foreign: None }
    }

    /// Whether visitors get in without an account.
    #[must_use]
    pub fn demo(&self) -> bool {
        self.sources.demo
    }

    /// Whether strangers may make an account.
    #[must_use]
    pub fn registration(&self) -> bool {
        self.sources.registration
    }

    /// The public keys of our tokens as a JSON Web Key Set.
    #[must_use]
    pub fn published_keys(&self) -> String {
        self.sources.tokens.published()
    }

    /// A ticket for one upgrade from this origin within [`TICKET_LIFETIME`].
    ///
    /// # Errors
    /// `overloaded` when too many are waiting to be used.
    pub fn ticket(&self, identity: &Identity, origin: Option<&str>) -> Result<Secret, Denied> {
        let now = self.now();
        let bytes = self
            .sources
            .entropy
            .draw()
            .map_err(|_| Denied::new(ErrorCode::Internal, "no ticket could be made"))?;
        self.state()
            .tickets
            .make(bytes, identity.clone(), origin, now.mono)
            .ok_or_else(|| Denied::new(ErrorCode::Overloaded, "too many tickets are unused"))
    }

    fn now(&self) -> Now {
        self.sources.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Verifier for Identities {
    fn verify(
        &self,
        credential: &Credential,
        origin: Option<&str>,
        now: Wall,
    ) -> BoxFuture<'static, Result<Identity, ErrorCode>> {
        let found = match credential {
            Credential::Ticket(ticket) => {
                let mono = self.now().mono;
                self.state().tickets.redeem(ticket, origin, mono).ok_or(ErrorCode::TicketInvalid)
            }
            Credential::Token(token) => {
                self.sources.tokens.read(token, now).map(|known| known.identity)
            }
        };
        let identity = match found {
            Ok(identity) => identity,
            Err(code) => return ready(Err(code)).boxed(),
        };
        match self.state().revoked.known(identity.session_id) {
            Some(true) => return ready(Err(ErrorCode::TokenRevoked)).boxed(),
            Some(false) => return ready(Ok(identity)).boxed(),
            None => {}
        }
        let asked = self.sources.sessions.is_revoked(&identity.user_id, identity.session_id);
        let state = self.state.clone();
        async move {
            let revoked = asked.await.map_err(|_| ErrorCode::StorageUnavailable)?;
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.revoked.learnt(identity.session_id, revoked) {
                Err(ErrorCode::TokenRevoked)
            } else {
                Ok(identity)
            }
        }
        .boxed()
    }

    fn demo_user(&self, now: Wall) -> BoxFuture<'static, Result<Identity, ErrorCode>> {
        ready(self.make_demo_user(now)).boxed()
    }

    fn seen(&self, seen: Sighting<'_>) {
        self.note_socket(seen);
    }
}
