//! Who somebody is: log-ins, demo users, tickets, log-outs; one verdict for HTTP and WebSocket (F07).

mod account;
mod answer;
mod audit;
mod bypass;
mod event;
mod foreign;
mod hashing;
mod housekeeping;
mod log_in;
mod ports;
mod provider;
mod refresh_token;
mod revoked;
mod session;
mod throttle;
mod tickets;
mod trusted;

pub use answer::{Denied, LoggedIn, Profile};
pub use audit::{Audit, AuditCounts};
pub use bypass::BypassDenied;
pub use foreign::{AWAY, Arrival, Departure};
pub use goldenpath_core::auth::TICKET_LIFETIME;
pub use ports::{Entropy, Known, Passwords, Read, Tokens};
pub use provider::{Begun, ForeignUser, Provider, ProviderFault, Returned};
pub use session::LONGEST_LEEWAY;
pub use trusted::Issuer;

use crate::Clock;
use crate::connection::{Sighting, Verifier};
use crate::ports::{Accounts, Sessions, Tickets};
use event::Event;
use foreign::Foreign;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use goldenpath_core::auth::{Allowances, Environment, Lockout, RefreshPolicy, Vouched};
use goldenpath_core::connection::Identity;
use goldenpath_core::edge::Policy;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Now, Wall};
use goldenpath_core::wire::{Credential, ErrorCode, Secret};
use hashing::Hashers;
use refresh_token::RotationKey;
use revoked::Revoked;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use throttle::Throttle;
use trusted::Trusted;

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
    /// How often one client may come in without a credential.
    pub entrances: Policy,
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
    /// Unused tickets.
    pub tickets: Arc<dyn Tickets>,
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
    trusted: Option<Arc<Trusted>>,
    hashers: Hashers,
}

struct State {
    seed: Seed,
    lockout: Lockout,
    throttle: Throttle,
    revoked: Revoked,
    /// Drawn when it is first needed.
    rotation_key: Option<RotationKey>,
}

impl Identities {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(sources: Sources, seed: &mut Seed) -> Self {
        let state = State {
            seed: seed.fork(),
            lockout: Lockout::new(Allowances::default()),
            throttle: Throttle::new(sources.entrances),
            revoked: Revoked::default(),
            rotation_key: None,
        };
        Self {
            sources: Arc::new(sources),
            state: Arc::new(Mutex::new(state)),
            foreign: None,
            trusted: None,
            hashers: Hashers::new(),
        }
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

    /// The identity of a credential that is good by itself, unless its log-in was ended.
    fn unless_ended(&self, vouched: Vouched) -> BoxFuture<'static, Result<Identity, ErrorCode>> {
        //= specs/auth.md#auth-75
        //# A credential of a user of demo mode, of developers or of tests MUST NOT be accepted where
        //# that way in is closed.
        if vouched.bypass().is_some_and(|way| !self.is_open_to(way)) {
            return ready(Err(ErrorCode::TokenRevoked)).boxed();
        }
        if let Some(endings) = self.state().revoked.known(&vouched) {
            return ready(vouched.unless_ended(&endings)).boxed();
        }
        let asked = self.sources.sessions.endings(&vouched);
        let state = self.state.clone();
        async move {
            let endings = asked.await.map_err(|_| ErrorCode::StorageUnavailable)?;
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let endings = state.revoked.learnt(&vouched, endings);
            vouched.unless_ended(&endings)
        }
        .boxed()
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
        match credential {
            Credential::Ticket(ticket) => {
                let (this, ticket) = (self.clone(), ticket.clone());
                let origin = origin.map(str::to_owned);
                async move {
                    let vouched = this.redeem(&ticket, origin.as_deref(), now).await?;
                    this.unless_ended(vouched).await
                }
                .boxed()
            }
            Credential::Token(token) if self.issuer_of(token).is_none() => {
                match self.sources.tokens.read(token, now) {
                    Ok(read) => self.unless_ended(read.vouched),
                    Err(code) => ready(Err(code)).boxed(),
                }
            }
            Credential::Token(token) => {
                let (this, token) = (self.clone(), token.clone());
                async move { this.known_at(&token, now).await.map(|known| known.identity) }.boxed()
            }
        }
    }

    fn demo_user(&self, now: Wall) -> BoxFuture<'static, Result<Identity, ErrorCode>> {
        ready(self.make_demo_user(now)).boxed()
    }

    fn is_over(&self, identity: &Identity) -> bool {
        //= specs/auth.md#auth-89
        //# A connection that was let in while its user left everywhere MUST be closed like those that
        //# were open, whoever issued its token.
        self.state().revoked.is_over(identity)
    }

    fn seen(&self, seen: Sighting<'_>) {
        self.note_socket(seen);
    }
}
