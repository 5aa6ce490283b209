//! Ways in with a password or without: demo mode, an account, a new account.

use super::answer::{Denied, LoggedIn, Profile};
use super::hashing::Line;
use super::throttle::Deed;
use super::{Event, Identities, refresh_token};
use crate::connection::Registry;
use crate::ports::{Account, AuditAction, Created, Credence, Email, Guest};
use goldenpath_core::auth::hashing::{Lane, Name};
use goldenpath_core::auth::{Admission, Digest, PASSWORD_MAX, Try, check_password};
use goldenpath_core::connection::Identity;
use goldenpath_core::id::SessionId;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{ErrorCode, Secret};

/// Times a log-in is begun at most while its account's hash is replaced by others.
const BEGINS: usize = 3;

impl Identities {
    /// A demo user with tokens.
    ///
    /// # Errors
    /// `forbidden` where there is no demo mode, `rate_limited`, `storage_unavailable`.
    pub async fn log_in_demo(&self, place: &str, registry: &Registry) -> Result<LoggedIn, Denied> {
        let now = self.now();
        let event = Event::new(AuditAction::LogIn, place).by(Credence::Demo);
        let off = || Denied::new(ErrorCode::Forbidden, "demo mode is off; log in with an account");
        let may = if self.demo() { self.may_try(Deed::Enter(place)) } else { Err(off()) };
        let made = may.and_then(|()| self.make_demo_user(now.wall).map_err(|_| off()));
        let identity = self.noted_if_refused(&event, made)?;
        let guest = Guest { name: "Demo visitor".into(), ..Guest::default() };
        let user = Profile::of_guest(identity.user_id().clone(), guest.clone(), true);
        let event = event.of(identity.user_id()).in_session(identity.session_id());
        let admitted = Admission::by_visit(&identity).ok_or_else(Denied::internal)?;
        let begun =
            self.begin(&admitted, user, Some(guest), (Credence::Demo, place), registry).await;
        self.noted(event, begun)
    }

    /// Logs in with a password, from a place, perhaps with the device credential of an earlier log-in.
    /// Like every way in it ends the user's log-in that was used longest ago where there are too many.
    ///
    /// # Errors
    /// `unauthorized`, `rate_limited`, `overloaded`, `storage_unavailable`.
    pub async fn log_in(
        &self,
        email: &str,
        password: Secret,
        place: &str,
        device: Option<&Secret>,
        registry: &Registry,
    ) -> Result<LoggedIn, Denied> {
        let mut event = Event::new(AuditAction::LogIn, place).by(Credence::Password);
        let from = (place, device);
        let tried = self.log_in_noting(email, password, from, registry, &mut event).await;
        self.noted(event, tried)
    }

    async fn log_in_noting(
        &self,
        email: &str,
        password: Secret,
        (place, device): (&str, Option<&Secret>),
        registry: &Registry,
        event: &mut Event,
    ) -> Result<LoggedIn, Denied> {
        let email = email.parse::<Email>().ok();
        let account = match &email {
            Some(email) => self.sources.accounts.by_email(email).await?,
            None => None,
        };
        event.user_id = account.as_ref().map(|account| account.user_id.clone());
        let sessions = &self.sources.sessions;
        let device = match (&email, device.and_then(refresh_token::read_device)) {
            (Some(email), Some(key)) => {
                sessions.is_device_of(email, key).await?.then(|| name_of(key))
            }
            _ => None,
        };
        let known = match &email {
            Some(email) => sessions.has_come_from(email, place).await?,
            None => false,
        };
        let account_name = email.as_ref().map(|email| email.as_str().to_owned());
        let tried = Try { account: account_name, place: place.to_owned(), known, device };
        let (matches, line) = self.check_tried(tried, account.as_ref(), password.clone()).await?;
        let session_id = SessionId::draw(&mut self.state().seed, self.now().wall);
        let wrong = || Denied::new(ErrorCode::Unauthorized, "the address or the password is wrong");
        let admitted = account.and_then(|account| {
            let user_id = account.user_id.clone();
            Some((Admission::by_password(user_id, matches, session_id)?, account))
        });
        let (admitted, mut account) = admitted.ok_or_else(wrong)?;
        self.keep_hash_strong(&admitted, &mut account, password.clone(), &line).await;
        for _ in 0..BEGINS {
            if let Some(logged_in) = self.begin_with(&admitted, &account, place, registry).await? {
                event.session_id = Some(session_id);
                return Ok(logged_in);
            }
            // Another hash stands there: of another password, or of this one, if a log-in at the same time
            // has renewed it.
            let now = self.sources.accounts.by_id(&admitted.scope()).await?;
            account = now.ok_or_else(wrong)?;
            let (password, hash) = (password.clone(), Some(account.password_hash.clone()));
            let seat = self.hashers.enter(&line)?;
            if !seat.work(|| self.sources.passwords.matches(password, hash)).await? {
                return Err(wrong());
            }
        }
        Err(Denied::new(ErrorCode::Overloaded, "the password is being changed over and over"))
    }

    /// Checks a password within what [`Lockout`](goldenpath_core::auth::Lockout) allows; `false`: it is
    /// wrong. Without an account it takes as long and counts as much. Also says in which line the next
    /// password of the same client is hashed.
    //= specs/auth.md#auth-19
    //# Tries at a password MUST be limited for each account and client, and MUST NOT lock out
    //# other accounts.
    pub(super) async fn check_tried(
        &self,
        tried: Try,
        account: Option<&Account>,
        password: Secret,
    ) -> Result<(bool, Line), Denied> {
        let now = self.now().mono;
        let turn = self.state().lockout.begin(&tried, now).map_err(Denied::later)?;
        let (lane, names) = turn.line();
        let line = Line { lane, names };
        let seat = self.hashers.enter(&line).inspect_err(|_| {
            self.state().lockout.undecided(&turn, now);
        })?;
        // Hashing what nobody could have chosen is work for a stranger's sake.
        let possible = password.0.len() <= PASSWORD_MAX;
        let password = if possible { password } else { Secret(String::new()) };
        let hash = account.map(|account| account.password_hash.clone());
        let matches = seat.work(|| self.sources.passwords.matches(password, hash)).await;
        let matches = match matches {
            Ok(matches) => matches && possible,
            Err(fault) => {
                let now = self.now().mono;
                self.state().lockout.undecided(&turn, now);
                return Err(fault.into());
            }
        };
        if matches {
            let now = self.now().mono;
            self.state().lockout.succeeded(&turn, now);
        }
        Ok((matches, line))
    }

    /// A hash of weaker parameters is replaced while the password is at hand.
    //= specs/auth.md#auth-50
    //# A password hash of weaker parameters than today's MUST be replaced when its user logs in.
    async fn keep_hash_strong(
        &self,
        admitted: &Admission,
        account: &mut Account,
        password: Secret,
        line: &Line,
    ) {
        if !self.sources.passwords.is_outdated(&account.password_hash) {
            return;
        }
        let Ok(new) = self.hash(password, line).await else { return };
        let (user, old) = (admitted.scope(), account.password_hash.clone());
        let written = self.sources.accounts.set_password(&user, old, new.clone()).await;
        tracing::info!(user = %account.user_id, ?written, "a password hash was renewed");
        if written == Ok(true) {
            account.password_hash = new;
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
        place: &str,
        registry: &Registry,
    ) -> Result<LoggedIn, Denied> {
        let mut event = Event::new(AuditAction::Register, place).by(Credence::Password);
        let who = (email, password, name);
        let made = self.register_noting(who, place, registry, &mut event).await;
        self.noted(event, made)
    }

    async fn register_noting(
        &self,
        (email, password, name): (&str, Secret, Option<String>),
        place: &str,
        registry: &Registry,
        event: &mut Event,
    ) -> Result<LoggedIn, Denied> {
        if !self.sources.registration {
            return Err(Denied::new(ErrorCode::Forbidden, "registration is closed"));
        }
        let email: Email =
            email.parse().map_err(|_| Denied::invalid("email is no e-mail address"))?;
        check_password(&password.0, email.as_str()).map_err(Denied::invalid)?;
        let name = usable_name(name)?;
        let now = self.now();
        self.may_try(Deed::Register(place))?;
        let names = vec![Name::Place(place.to_owned())];
        let password_hash = self.hash(password, &Line { lane: Lane::Open, names }).await?;
        let (user_id, session_id) = {
            let seed = &mut self.state().seed;
            (Account::draw_id(seed, now.wall), SessionId::draw(seed, now.wall))
        };
        (event.user_id, event.session_id) = (Some(user_id.clone()), Some(session_id));
        let roles = Vec::new();
        let created_at = now.wall;
        let account = Account { user_id, email, name, password_hash, roles, created_at };
        match self.sources.accounts.create(account.clone()).await? {
            Created::Done => {
                let user = Profile::of(&account);
                let admitted = Admission::by_new_account(account.user_id, session_id);
                let by = (Credence::Password, place);
                self.begin(&admitted, user, None, by, registry).await
            }
            Created::EmailTaken | Created::IdTaken => {
                (event.user_id, event.session_id) = (None, None);
                Err(Denied::invalid("email belongs to an account already"))
            }
        }
    }

    /// The hash of a new password, when it is its turn.
    pub(super) async fn hash(&self, password: Secret, line: &Line) -> Result<String, Denied> {
        let seat = self.hashers.enter(line)?;
        Ok(seat.work(|| self.sources.passwords.hash(password)).await?)
    }

    pub(super) fn make_demo_user(&self, wall: Wall) -> Result<Identity, ErrorCode> {
        if !self.sources.demo {
            return Err(ErrorCode::Forbidden);
        }
        let seed = &mut self.state().seed;
        let number = seed.draw() >> 16;
        let visitor = Identity::visitor(number, SessionId::draw(seed, wall), wall);
        tracing::warn!(user = %visitor.user_id(), "demo mode let a visitor in");
        Ok(visitor)
    }

    /// What costs us work and has no password to fail at.
    pub(super) fn may_try(&self, deed: Deed<'_>) -> Result<(), Denied> {
        let now = self.now().mono;
        self.state().throttle.try_once(deed, now).map_err(Denied::later)
    }
}

/// What a device is called where its failures are counted.
fn name_of(device: Digest) -> String {
    format!("device {}", refresh_token::hex(&device.0))
}

/// A name a person may have; none for an empty one.
pub(super) fn usable_name(name: Option<String>) -> Result<Option<String>, Denied> {
    Account::usable_name(name).map_err(Denied::invalid)
}
