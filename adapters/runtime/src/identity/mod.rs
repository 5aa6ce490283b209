//! Who somebody is: log-ins, demo users, tickets, log-outs; one verdict for HTTP and WebSocket (F07).

mod foreign;
mod once;
mod provider;
mod revoked;
mod throttle;
mod tickets;

use crate::Clock;
use crate::connection::{Registry, Verifier};
use crate::ports::{Account, Accounts, Answer, Created, Email};
use foreign::Foreign;
pub use foreign::{AWAY, Arrival, Departure};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use goldenpath_core::auth::Claims;
use goldenpath_core::connection::Identity;
use goldenpath_core::fault::Fault;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Now, Wall};
use goldenpath_core::wire::{Credential, ErrorCode, Secret};
pub use provider::{Begun, ForeignUser, Provider, ProviderFault, Returned};
use revoked::Revoked;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use throttle::{Allowance, Throttle};
pub use tickets::TICKET_LIFETIME;
use tickets::Tickets;

/// Shortest password, in characters.
const PASSWORD_MIN: usize = 8;
/// Longest password, in bytes: hashing more is work for a stranger's sake.
const PASSWORD_MAX: usize = 256;

/// Makes and reads access tokens.
pub trait Tokens: Send + Sync + 'static {
    /// Signs a token; `iss` and `aud` are the signer's own.
    ///
    /// # Errors
    /// [`Fault::Refused`] when the key cannot sign.
    fn issue(&self, claims: &Claims) -> Result<Secret, Fault>;

    /// Who a token is of.
    ///
    /// # Errors
    /// `unauthorized` or `token_expired`.
    fn check(&self, token: &Secret, now: Wall) -> Result<Identity, ErrorCode>;

    /// The public keys as a JSON Web Key Set; none where a shared secret signs.
    fn published(&self) -> String {
        r#"{"keys":[]}"#.to_owned()
    }
}

/// Hashes passwords, away from the event loop.
pub trait Passwords: Send + Sync + 'static {
    /// A hash with its salt, in PHC text form.
    fn hash(&self, password: Secret) -> Answer<String>;

    /// Whether the password is the one of the hash. Without a hash the answer is `false` after the
    /// time it takes to check one, so that nobody learns which addresses have an account.
    fn matches(&self, password: Secret, hash: Option<String>) -> Answer<bool>;
}

/// Random bytes for secrets, from the operating system.
pub trait Entropy: Send + Sync + 'static {
    /// 32 bytes nobody can guess.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the system has none.
    fn draw(&self) -> Result<[u8; 32], Fault>;
}

/// What somebody gets who logged in.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// The access token.
    pub token: Secret,
    /// How long it is good.
    pub expires_in: Millis,
    /// Who it is.
    pub user: Profile,
}

/// A user as the page shows one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The subject.
    pub user_id: UserId,
    /// How the user is called.
    pub name: String,
    /// The address, if there is one.
    pub email: Option<String>,
    /// Made by demo mode.
    pub demo: bool,
}

/// Why somebody was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The word both sides know.
    pub code: ErrorCode,
    /// For developers; no secret.
    pub message: String,
    /// Not before this.
    pub retry_after: Option<Millis>,
}

impl Denied {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None }
    }
}

impl From<Fault> for Denied {
    fn from(_: Fault) -> Self {
        Self::new(ErrorCode::StorageUnavailable, "accounts cannot be read right now")
    }
}

/// What [`Identities`] work with.
pub struct Sources {
    /// Accounts and revoked sessions.
    pub accounts: Arc<dyn Accounts>,
    /// Reads time.
    pub clock: Clock,
    /// Whether visitors get in without an account.
    pub demo: bool,
    /// Makes secrets.
    pub entropy: Arc<dyn Entropy>,
    /// Hashes passwords.
    pub passwords: Arc<dyn Passwords>,
    /// Whether strangers may make an account.
    pub registration: bool,
    /// How long a token is good.
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

    /// A demo user with a token.
    ///
    /// # Errors
    /// `forbidden` where there is no demo mode.
    pub fn log_in_demo(&self) -> Result<LoggedIn, Denied> {
        let now = self.now();
        let identity = self
            .make_demo_user(now.wall)
            .map_err(|code| Denied::new(code, "demo mode is off; log in with an account"))?;
        let user = Profile {
            user_id: identity.user_id.clone(),
            name: "Demo visitor".into(),
            email: None,
            demo: true,
        };
        self.token_for(user, identity.session_id, now)
    }

    /// Logs in with a password. `client` is where the request comes from: both it and the account
    /// are allowed a few tries a minute, so that no stranger locks others out (F18).
    ///
    /// # Errors
    /// `unauthorized`, `rate_limited`, `storage_unavailable`.
    pub async fn log_in(
        &self,
        email: &str,
        password: Secret,
        client: &str,
    ) -> Result<LoggedIn, Denied> {
        let now = self.now();
        self.may_try(&format!("client {client}"), throttle::CLIENT, now)?;
        //= specs/auth.md#auth-19
        //# Tries at a password MUST be limited for each account and client, and MUST NOT lock out
        //# other accounts.
        self.may_try(&format!("account {client} {email}"), throttle::ACCOUNT, now)?;
        let account = match email.parse::<Email>() {
            Ok(email) => self.sources.accounts.by_email(&email).await?,
            Err(_) => None,
        };
        let hash = account.as_ref().map(|account| account.password_hash.clone());
        let matches = self.sources.passwords.matches(password, hash).await?;
        match account {
            Some(account) if matches => {
                let session_id = SessionId::draw(&mut self.state().seed, now.wall);
                self.token_for(profile(&account), session_id, now)
            }
            Some(_) | None => {
                tracing::warn!(client, "a log-in was refused");
                Err(Denied::new(ErrorCode::Unauthorized, "the address or the password is wrong"))
            }
        }
    }

    /// Makes an account and logs in.
    ///
    /// # Errors
    /// `forbidden` where strangers may not, `validation_failed`, `rate_limited`, `storage_unavailable`.
    pub async fn register(
        &self,
        email: &str,
        password: Secret,
        name: Option<String>,
        client: &str,
    ) -> Result<LoggedIn, Denied> {
        if !self.sources.registration {
            return Err(Denied::new(ErrorCode::Forbidden, "registration is closed"));
        }
        let invalid = |message: &str| Denied::new(ErrorCode::ValidationFailed, message);
        let email: Email = email.parse().map_err(|_| invalid("email is no e-mail address"))?;
        if password.0.chars().count() < PASSWORD_MIN {
            return Err(invalid("password has fewer than 8 characters"));
        }
        if password.0.len() > PASSWORD_MAX {
            return Err(invalid("password has more than 256 bytes"));
        }
        if name.as_ref().is_some_and(|n| n.len() > 200 || n.chars().any(char::is_control)) {
            return Err(invalid("name is too long or holds control characters"));
        }
        let now = self.now();
        self.may_try(&format!("client {client}"), throttle::CLIENT, now)?;
        let password_hash = self.sources.passwords.hash(password).await?;
        let (user_id, session_id) = {
            let seed = &mut self.state().seed;
            let number = seed.id_bits(now.wall);
            (format!("user-{number:032x}"), SessionId::draw(seed, now.wall))
        };
        let user_id = UserId::new(&user_id)
            .map_err(|_| Denied::new(ErrorCode::Internal, "no id could be made"))?;
        let name = name.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty());
        let account = Account { user_id, email, name, password_hash, created_at: now.wall };
        match self.sources.accounts.create(account.clone()).await? {
            Created::Done => self.token_for(profile(&account), session_id, now),
            Created::EmailTaken | Created::IdTaken => {
                Err(invalid("email belongs to an account already"))
            }
        }
    }

    /// The user of an identity.
    ///
    /// # Errors
    /// `storage_unavailable`.
    pub async fn profile(&self, identity: &Identity) -> Result<Profile, Denied> {
        let account = self.sources.accounts.by_id(&identity.user_id).await?;
        let foreign = match account {
            Some(_) => None,
            None => self.foreign_profile(&identity.scope()).await?,
        };
        let known = account.as_ref().map(profile).or(foreign);
        Ok(known.unwrap_or_else(|| Profile {
            user_id: identity.user_id.clone(),
            name: if identity.demo { "Demo visitor" } else { identity.user_id.as_str() }.into(),
            email: None,
            demo: identity.demo,
        }))
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

    /// Ends a session: its tokens are no good from now on, its sockets close with 4441 (F39).
    ///
    /// # Errors
    /// `storage_unavailable`: then the session goes on.
    pub async fn log_out(&self, identity: &Identity, registry: &Registry) -> Result<(), Denied> {
        let until = identity.expires_at.unwrap_or(Wall(u64::MAX >> 1));
        let Identity { user_id, session_id, .. } = identity;
        self.sources.accounts.revoke(user_id, *session_id, until).await?;
        self.state().revoked.revoke(*session_id);
        registry.revoke(*session_id);
        Ok(())
    }

    fn token_for(
        &self,
        user: Profile,
        session_id: SessionId,
        now: Now,
    ) -> Result<LoggedIn, Denied> {
        let claims = Claims {
            sub: user.user_id.as_str().to_owned(),
            exp: now.wall.after(self.sources.token_lifetime).0 / 1000,
            iat: Some(now.wall.0 / 1000),
            sid: Some(session_id),
            demo: user.demo,
            email: user.email.clone(),
            ..Claims::default()
        };
        let token = self
            .sources
            .tokens
            .issue(&claims)
            .map_err(|_| Denied::new(ErrorCode::Internal, "no token could be made"))?;
        // A session of a moment ago cannot have been revoked: its first check need not ask the store.
        self.state().revoked.learnt(session_id, false);
        Ok(LoggedIn { token, expires_in: self.sources.token_lifetime, user })
    }

    fn make_demo_user(&self, wall: Wall) -> Result<Identity, ErrorCode> {
        if !self.sources.demo {
            return Err(ErrorCode::Forbidden);
        }
        let seed = &mut self.state().seed;
        let number = seed.draw() >> 16;
        let visitor = Identity::visitor(number, SessionId::draw(seed, wall), wall);
        tracing::warn!(user = %visitor.user_id, "demo mode let a visitor in");
        Ok(visitor)
    }

    fn may_try(&self, name: &str, allowance: Allowance, now: Now) -> Result<(), Denied> {
        self.state().throttle.try_once(name, allowance, now.mono).map_err(|retry_after| {
            let mut denied = Denied::new(ErrorCode::RateLimited, "too many tries");
            denied.retry_after = Some(retry_after);
            denied
        })
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
            Credential::Token(token) => self.sources.tokens.check(token, now),
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
        let asked = self.sources.accounts.is_revoked(&identity.user_id, identity.session_id);
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
}

fn profile(account: &Account) -> Profile {
    Profile {
        user_id: account.user_id.clone(),
        name: account.name.clone().unwrap_or_else(|| account.email.local_part().to_owned()),
        email: Some(account.email.to_string()),
        demo: false,
    }
}
