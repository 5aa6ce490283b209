//! Ways in that are no proof of anything: for developers and for tests.

use super::answer::{Denied, LoggedIn, Profile};
use super::log_in::usable_name;
use super::throttle::Deed;
use super::{Event, Identities};
use crate::connection::Registry;
use crate::ports::{AuditAction, Credence, Email, Guest};
use goldenpath_core::auth::{Admission, Bypass, BypassRefusal, Opened, Try, check_bypass};
use goldenpath_core::id::SessionId;
use goldenpath_core::wire::{ErrorCode, Secret};

/// Permissions a test may ask for.
const PERMISSIONS_MAX: usize = 32;
/// Longest of them, in bytes.
const PERMISSION_MAX: usize = 64;

/// Why somebody was not let in by the E2E key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BypassDenied {
    /// The key does not open.
    Key(BypassRefusal),
    /// It does, but the rest is wrong.
    Other(Denied),
}

impl From<Denied> for BypassDenied {
    fn from(denied: Denied) -> Self {
        Self::Other(denied)
    }
}

impl Identities {
    /// Whether developers get in by asking.
    #[must_use]
    pub fn has_dev_login(&self) -> bool {
        self.sources.environment.has_dev_login()
    }

    /// Whether tests get in by a key.
    #[must_use]
    pub fn has_e2e(&self) -> bool {
        self.sources.e2e_key.is_some() && !self.sources.environment.is_production()
    }

    /// Whether a way in that proves nothing is there.
    pub(super) fn is_open_to(&self, way: Bypass) -> bool {
        match way {
            Bypass::Demo => self.demo(),
            Bypass::Dev => self.has_dev_login(),
            Bypass::E2e => self.has_e2e(),
        }
    }

    /// Lets in whoever somebody says they are, in development and test; as a user whose id begins with
    /// `dev-`, never as one with an account.
    ///
    /// # Errors
    /// `forbidden` elsewhere, `validation_failed`, `storage_unavailable`.
    pub async fn log_in_dev(
        &self,
        email: &str,
        place: &str,
        registry: &Registry,
    ) -> Result<LoggedIn, Denied> {
        let mut event = Event::new(AuditAction::LogIn, place).by(Credence::Dev);
        let entered = async {
            let opened = self.sources.environment.open_for_developers().ok_or_else(|| {
                let message = "developers log in this way in development and test only";
                Denied::new(ErrorCode::Forbidden, message)
            })?;
            self.may_try(Deed::Enter(place))?;
            let guest = guest(email, None, Vec::new())?;
            self.enter(opened, guest, (Credence::Dev, place), registry, &mut event).await
        };
        let entered = entered.await;
        self.noted(event, entered)
    }

    /// Lets in a test that knows the E2E key, as a user whose id begins with `e2e-`.
    ///
    /// # Errors
    /// [`BypassDenied`].
    pub async fn log_in_e2e(
        &self,
        key: Option<&Secret>,
        (email, name, permissions): (&str, Option<String>, Vec<String>),
        place: &str,
        registry: &Registry,
    ) -> Result<LoggedIn, BypassDenied> {
        let mut event = Event::new(AuditAction::LogIn, place).by(Credence::E2e);
        let opened = match self.check_key(key, place) {
            Ok(opened) => opened,
            Err(denied) => {
                let code = match &denied {
                    BypassDenied::Key(BypassRefusal::NotConfigured) => ErrorCode::Degraded,
                    BypassDenied::Key(BypassRefusal::Production) => ErrorCode::Forbidden,
                    BypassDenied::Key(BypassRefusal::Invalid | BypassRefusal::Missing) => {
                        ErrorCode::Unauthorized
                    }
                    BypassDenied::Other(denied) => denied.code,
                };
                let _ = self.noted::<()>(event, Err(Denied::new(code, "")));
                return Err(denied);
            }
        };
        let entered = match guest(email, name, permissions) {
            Ok(guest) => {
                self.enter(opened, guest, (Credence::E2e, place), registry, &mut event).await
            }
            Err(denied) => Err(denied),
        };
        Ok(self.noted(event, entered)?)
    }

    /// A wrong key counts against its place like a wrong password.
    fn check_key(&self, key: Option<&Secret>, place: &str) -> Result<Opened, BypassDenied> {
        let tried = Try { account: None, place: place.to_owned(), known: false, device: None };
        let now = self.now().mono;
        let mut state = self.state();
        let turn = state.lockout.begin(&tried, now).map_err(Denied::later)?;
        let configured = self.sources.e2e_key.as_ref();
        let opened = check_bypass(self.sources.environment, configured, key);
        if !matches!(opened, Err(BypassRefusal::Invalid)) {
            state.lockout.undecided(&turn, now);
        }
        opened.map_err(BypassDenied::Key)
    }

    async fn enter(
        &self,
        opened: Opened,
        guest: Guest,
        by_and_place: (Credence, &str),
        registry: &Registry,
        event: &mut Event,
    ) -> Result<LoggedIn, Denied> {
        let local = guest.email.as_deref().and_then(|email| email.rsplit_once('@'));
        let local = local.map_or("", |(local, _)| local);
        let session_id = SessionId::draw(&mut self.state().seed, self.now().wall);
        let admitted = Admission::by_bypass(opened, local, session_id)
            .map_err(|_| Denied::invalid("email is too long"))?;
        let user_id = admitted.user_id().clone();
        (event.user_id, event.session_id) = (Some(user_id.clone()), Some(session_id));
        let user = Profile::of_guest(user_id, guest.clone(), false);
        self.begin(&admitted, user, Some(guest), by_and_place, registry).await
    }
}

fn guest(email: &str, name: Option<String>, permissions: Vec<String>) -> Result<Guest, Denied> {
    let email: Email = email.parse().map_err(|_| Denied::invalid("email is no e-mail address"))?;
    let usable =
        |p: &String| !p.is_empty() && p.len() <= PERMISSION_MAX && !p.chars().any(char::is_control);
    if permissions.len() > PERMISSIONS_MAX || !permissions.iter().all(usable) {
        return Err(Denied::invalid("permissions are at most 32 short texts"));
    }
    let name = usable_name(name)?.unwrap_or_else(|| email.local_part().to_owned());
    Ok(Guest { name, email: Some(email.to_string()), permissions })
}
