//! Log in through another provider: what is kept while a browser is away, and who it is when it returns.

use super::provider::{Provider, ProviderFault, Returned};
use super::{Denied, Event, Identities, LoggedIn, Profile};
use crate::connection::Registry;
use crate::ports::{AuditAction, Credence, Guest, Link, Links};
use goldenpath_core::auth::{Admission, Once, Scope};
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{ErrorCode, Secret};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long a browser may be away.
pub const AWAY: Millis = Millis::from_secs(600);
/// How long a log-in waits for the page to pick it up.
const PICKED_UP: Millis = Millis::from_secs(60);
/// Log-ins under way at once, and as many that wait to be picked up; beyond it the address that has the
/// most of them loses its oldest.
const WAITING: usize = 20_000;
/// Longest name and address kept, in bytes.
const SHOWN: usize = 200;

/// A provider, and what is under way with it.
pub(super) struct Foreign {
    provider: Arc<dyn Provider>,
    links: Arc<dyn Links>,
    away: Mutex<Once<Away>>,
    arrived: Mutex<Once<Arrived>>,
}

/// A browser at the provider.
struct Away {
    browser: Secret,
    nonce: Secret,
    verifier: Secret,
}

/// A browser that is back, whose page has no token yet.
struct Arrived {
    browser: Secret,
    user: Profile,
}

/// Where to send a browser, and what to give it so that it is known when it returns.
#[derive(Clone, Debug)]
pub struct Departure {
    /// The provider's address.
    pub url: String,
    /// For a cookie that no script reads.
    pub browser: Secret,
    /// Whether that cookie may travel over TLS only.
    pub secure: bool,
}

/// What a browser brings back from the provider.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Names the log-in.
    pub state: Secret,
    /// What the provider gave it; absent when it said no.
    pub code: Option<Secret>,
    /// Who the provider says it is.
    pub issuer: Option<String>,
}

impl Identities {
    /// Lets users log in through a provider, too.
    #[must_use]
    pub fn with_provider(mut self, provider: Arc<dyn Provider>, links: Arc<dyn Links>) -> Self {
        let (away, arrived) = (Mutex::new(Once::new(WAITING)), Mutex::new(Once::new(WAITING)));
        let foreign = Foreign { provider, links, away, arrived };
        self.foreign = Some(Arc::new(foreign));
        self
    }

    /// What the provider is called, if there is one.
    #[must_use]
    pub fn provider_name(&self) -> Option<&str> {
        self.foreign.as_ref().map(|foreign| foreign.provider.name())
    }

    /// Begins a log-in through the provider, for somebody at a place.
    ///
    /// # Errors
    /// `forbidden` where there is none, `degraded` when it does not answer.
    pub async fn depart(&self, place: &str) -> Result<Departure, Denied> {
        let foreign = self.foreign()?;
        let begun = foreign.provider.begin().await.map_err(denied)?;
        let browser = self.unguessable()?;
        let away = Away { browser: browser.clone(), nonce: begun.nonce, verifier: begun.verifier };
        lock(&foreign.away).keep(&begun.state.0, place, away, AWAY, self.now().mono);
        Ok(Departure { url: begun.url, browser, secure: foreign.provider.returns_over_tls() })
    }

    /// The browser is back: who it is, is kept for its page to pick up with the code answered.
    ///
    /// # Errors
    /// `unauthorized` when nobody departed like this or the provider says no, `degraded` when it does
    /// not answer, `storage_unavailable`.
    //= specs/auth.md#auth-70
    //# A log-in through a provider MUST NOT be accepted unless the same browser began it, and at most
    //# once.
    pub async fn arrive(
        &self,
        browser: &Secret,
        arrival: Arrival,
        place: &str,
    ) -> Result<Secret, Denied> {
        let foreign = self.foreign()?;
        let unknown = || Denied::new(ErrorCode::Unauthorized, "this log-in was not begun here");
        let away = lock(&foreign.away).take(&arrival.state.0, self.now().mono);
        let away = away.filter(|away| away.browser == *browser).ok_or_else(unknown)?;
        let refused = || Denied::new(ErrorCode::Unauthorized, "the provider let nobody in");
        let returned = Returned {
            code: arrival.code.ok_or_else(refused)?,
            issuer: arrival.issuer,
            nonce: away.nonce,
            verifier: away.verifier,
        };
        let user = foreign.provider.finish(returned).await.map_err(denied)?;
        let now = self.now();
        let user_id = self.new_user_id(now.wall)?;
        //= specs/auth.md#auth-71
        //# A user of a provider MUST be found by issuer and subject, and MUST NOT be found by an
        //# e-mail address.
        let link = Link {
            user_id,
            issuer: user.issuer,
            subject: user.subject,
            name: user.name.filter(|name| shown(name)),
            email: user.email.filter(|email| shown(email)),
            at: now.wall,
        };
        let link = foreign.links.link(link).await?;
        let code = self.unguessable()?;
        let arrived = Arrived { browser: browser.clone(), user: profile(&link) };
        lock(&foreign.arrived).keep(&code.0, place, arrived, PICKED_UP, now.mono);
        Ok(code)
    }

    /// The page picks up what its browser brought back.
    ///
    /// # Errors
    /// `unauthorized` for a code that was used, is too old or belongs to another browser.
    pub async fn pick_up(
        &self,
        browser: &Secret,
        code: &Secret,
        place: &str,
        registry: &Registry,
    ) -> Result<LoggedIn, Denied> {
        let mut event = Event::new(AuditAction::LogIn, place).by(Credence::Oidc);
        let now = self.now();
        let arrived = lock(&self.foreign()?.arrived).take(&code.0, now.mono);
        let arrived = arrived.filter(|arrived| arrived.browser == *browser).ok_or_else(|| {
            Denied::new(ErrorCode::Unauthorized, "this log-in was used or took too long")
        });
        let user = self.noted_if_refused(&event, arrived)?.user;
        let session_id = SessionId::draw(&mut self.state().seed, now.wall);
        (event.user_id, event.session_id) = (Some(user.user_id.clone()), Some(session_id));
        let admitted = Admission::by_provider(user.user_id.clone(), session_id);
        let (name, email) = (user.name.clone(), user.email.clone());
        let guest = Guest { name, email, permissions: Vec::new() };
        let begun =
            self.begin(&admitted, user, Some(guest), (Credence::Oidc, place), registry).await;
        self.noted(event, begun)
    }

    /// A user whom a provider knows, as a page shows one.
    pub(super) async fn foreign_profile(&self, scope: &Scope) -> Result<Option<Profile>, Denied> {
        let links = self.foreign.as_ref().map(|foreign| &foreign.links);
        let Some(links) = links.or_else(|| self.trusted.as_ref().map(|known| known.links())) else {
            return Ok(None);
        };
        Ok(links.linked(scope).await?.as_ref().map(profile))
    }

    /// An id that no account and no other link has.
    pub(super) fn new_user_id(&self, at: Wall) -> Result<UserId, Denied> {
        let number = self.state().seed.id_bits(at);
        UserId::new(&format!("user-{number:032x}"))
            .map_err(|_| Denied::new(ErrorCode::Internal, "no id could be made"))
    }

    fn foreign(&self) -> Result<&Foreign, Denied> {
        self.foreign.as_deref().ok_or_else(|| {
            Denied::new(ErrorCode::Forbidden, "no provider is configured to log in through")
        })
    }

    fn unguessable(&self) -> Result<Secret, Denied> {
        let drawn = self.sources.entropy.draw();
        let bytes =
            drawn.map_err(|_| Denied::new(ErrorCode::Internal, "there is no randomness"))?;
        let mut text = String::with_capacity(64);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Secret(text))
    }
}

fn denied(fault: ProviderFault) -> Denied {
    match fault {
        ProviderFault::Refused(why) => Denied::new(ErrorCode::Unauthorized, why),
        ProviderFault::Unavailable => {
            Denied::new(ErrorCode::Degraded, "the provider does not answer right now")
        }
    }
}

fn profile(link: &Link) -> Profile {
    let called = link.name.clone().or_else(|| link.email.clone());
    Profile {
        user_id: link.user_id.clone(),
        name: called.unwrap_or_else(|| link.user_id.as_str().to_owned()),
        email: link.email.clone(),
        permissions: Vec::new(),
        demo: false,
    }
}

fn shown(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= SHOWN && !text.chars().any(char::is_control)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
