//! A log-in's life: its tokens, how it goes on, and its end.

use super::answer::{Denied, LoggedIn, Profile};
use super::refresh_token::{self, RotationKey};
use super::{Event, Identities};
use crate::connection::Registry;
use crate::ports::{Account, AuditAction, Credence, Guest, LogIn, Refresh, Refreshed};
use goldenpath_core::auth::{
    Admission, Bypass, Claims, Cutoff, Family, Leave, Presented, RefreshVerdict, Scope,
};
use goldenpath_core::connection::Identity;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{ErrorCode, Secret};

/// A token is accepted so much after its end at most (clocks differ): a revocation is kept that long, so
/// that no configuration may allow more.
pub const LONGEST_LEEWAY: Millis = Millis::from_secs(120);

impl Identities {
    /// A new log-in of somebody who was admitted, with its first tokens.
    pub(super) async fn begin(
        &self,
        admitted: &Admission,
        user: Profile,
        guest: Option<Guest>,
        (by, place): (Credence, &str),
        registry: &Registry,
    ) -> Result<LoggedIn, Denied> {
        let (log_in, first) = self.draw_log_in(admitted, guest, by, place)?;
        let (family, until) = (log_in.family.clone(), self.revoked_until(None));
        let ended = self.sources.sessions.begin(&admitted.scope(), log_in, until).await?;
        self.make_room(admitted.user_id(), &ended, registry);
        self.begun(admitted, user, &family, first)
    }

    /// The same with a password that was compared with the hash of this account; `None`: the account has
    /// another by now.
    //= specs/auth.md#auth-86
    //# A log-in MUST NOT begin with a password that is no longer the account's, however long it
    //# waited to be compared.
    pub(super) async fn begin_with(
        &self,
        admitted: &Admission,
        account: &Account,
        place: &str,
        registry: &Registry,
    ) -> Result<Option<LoggedIn>, Denied> {
        let (log_in, first) = self.draw_log_in(admitted, None, Credence::Password, place)?;
        let (family, hash) = (log_in.family.clone(), account.password_hash.clone());
        let (sessions, until) = (&self.sources.sessions, self.revoked_until(None));
        let begun = sessions.begin_with(&admitted.scope(), log_in, hash, until).await?;
        let Some(ended) = begun else { return Ok(None) };
        self.make_room(admitted.user_id(), &ended, registry);
        self.begun(admitted, Profile::of(account), &family, first).map(Some)
    }

    fn draw_log_in(
        &self,
        admitted: &Admission,
        guest: Option<Guest>,
        by: Credence,
        place: &str,
    ) -> Result<(LogIn, Secret), Denied> {
        let policy = self.sources.refresh;
        let drawn = refresh_token::draw(&*self.sources.entropy).map_err(|_| Denied::internal())?;
        let family = Family::begin(admitted, drawn.digests, self.now().wall, policy);
        Ok((LogIn { family, by, place: place.to_owned(), guest }, drawn.text))
    }

    /// The store has ended these for a newer log-in of their user; now everybody here does.
    fn make_room(&self, user: &UserId, ended: &[SessionId], registry: &Registry) {
        for session_id in ended {
            tracing::info!(%user, %session_id, "a log-in was ended for a newer one");
            self.close(*session_id, registry);
        }
    }

    /// It is in the store: its first tokens.
    fn begun(
        &self,
        admitted: &Admission,
        user: Profile,
        family: &Family,
        first: Secret,
    ) -> Result<LoggedIn, Denied> {
        let token = self.access_token(admitted, &user, family.began_at)?;
        self.state().revoked.began(admitted.session_id());
        Ok(self.welcome(user, token, first, family.ends_at.since(family.began_at)))
    }

    /// The next pair of tokens for a refresh token.
    ///
    /// # Errors
    /// `unauthorized` for what is no refresh token of ours, `token_expired`, `token_revoked`,
    /// `storage_unavailable`.
    pub async fn refresh(
        &self,
        token: &Secret,
        place: &str,
        registry: &Registry,
    ) -> Result<LoggedIn, Denied> {
        let mut event = Event::new(AuditAction::Refresh, place).by(Credence::Refresh);
        let refreshed = self.refresh_noting(token, registry, &mut event).await;
        self.noted(event, refreshed)
    }

    async fn refresh_noting(
        &self,
        token: &Secret,
        registry: &Registry,
        event: &mut Event,
    ) -> Result<LoggedIn, Denied> {
        let now = self.now().wall;
        let (refreshed, next) = self.present(token, event).await?;
        let Refreshed { log_in, judgement } = refreshed;
        let ends_at = log_in.family.ends_at;
        let admitted = match judgement.admitted() {
            Ok(admitted) => admitted,
            Err(RefreshVerdict::Reused) => {
                event.action = AuditAction::Reuse;
                let leave = judgement.leave();
                let (user, session_id) = (leave.user_id(), leave.session_id());
                tracing::warn!(%user, %session_id, "a refresh token was used twice");
                self.close(session_id, registry);
                let message = "this refresh token was used before; the log-in has ended";
                return Err(Denied::new(ErrorCode::TokenRevoked, message));
            }
            Err(RefreshVerdict::Expired) => {
                return Err(Denied::new(ErrorCode::TokenExpired, "the log-in is too old"));
            }
            Err(RefreshVerdict::Ended | RefreshVerdict::Repeated | RefreshVerdict::Rotated) => {
                return Err(Denied::new(ErrorCode::TokenRevoked, "the log-in has ended"));
            }
        };
        let user = if self.is_open(log_in.by) {
            self.who(admitted, log_in.by, log_in.guest).await?
        } else {
            None
        };
        let Some(user) = user else {
            self.end(&judgement.leave(), registry).await?;
            let message = "the way this log-in began is closed";
            return Err(Denied::new(ErrorCode::TokenRevoked, message));
        };
        let token = self.access_token(admitted, &user, now)?;
        Ok(self.welcome(user, token, next, ends_at.since(now)))
    }

    fn rotation_key(&self) -> Result<RotationKey, Denied> {
        if let Some(key) = self.state().rotation_key {
            return Ok(key);
        }
        let drawn = self.sources.entropy.draw().map_err(|_| Denied::internal())?;
        Ok(*self.state().rotation_key.get_or_insert(RotationKey(drawn)))
    }

    async fn present(
        &self,
        token: &Secret,
        event: &mut Event,
    ) -> Result<(Refreshed, Secret), Denied> {
        let unknown = || Denied::new(ErrorCode::Unauthorized, "this is no refresh token");
        let given = refresh_token::read(token).ok_or_else(unknown)?;
        let next = given.next(&self.rotation_key()?);
        let at = self.now().wall;
        let presented =
            Presented { half: given.half(), next: next.half(), at, policy: self.sources.refresh };
        let until = self.revoked_until(None);
        let refresh = Refresh { key: given.key(), presented, until };
        let refreshed = self.sources.sessions.refresh(refresh).await?.ok_or_else(unknown)?;
        let leave = refreshed.judgement.leave();
        event.user_id = Some(leave.user_id().clone());
        event.session_id = Some(leave.session_id());
        Ok((refreshed, next.text))
    }

    /// Whether a way in is still there: a log-in through one that was closed ends.
    //= specs/auth.md#auth-51
    //# A log-in MUST NOT go on when the way it began is closed.
    fn is_open(&self, by: Credence) -> bool {
        match by {
            Credence::Demo => self.is_open_to(Bypass::Demo),
            Credence::Dev => self.is_open_to(Bypass::Dev),
            Credence::E2e => self.is_open_to(Bypass::E2e),
            Credence::Frame
            | Credence::Header
            | Credence::Oidc
            | Credence::Password
            | Credence::Refresh
            | Credence::Subprotocol
            | Credence::Ticket => true,
        }
    }

    /// Who somebody is by now: roles and names change while a log-in lasts.
    async fn who(
        &self,
        admitted: &Admission,
        by: Credence,
        guest: Option<Guest>,
    ) -> Result<Option<Profile>, Denied> {
        if let Some(account) = self.sources.accounts.by_id(&admitted.scope()).await? {
            return Ok(Some(Profile::of(&account)));
        }
        let demo = by == Credence::Demo;
        Ok(guest.map(|guest| Profile::of_guest(admitted.user_id().clone(), guest, demo)))
    }

    /// Ends a session: its tokens are no good from now on, its sockets close with 4441 (F39).
    ///
    /// # Errors
    /// `storage_unavailable`: then the session goes on.
    pub async fn log_out(
        &self,
        identity: &Identity,
        place: &str,
        registry: &Registry,
    ) -> Result<(), Denied> {
        let (user_id, session_id) = (identity.user_id(), identity.session_id());
        let event = Event::new(AuditAction::LogOut, place).of(user_id).in_session(session_id);
        let until = self.revoked_until(identity.expires_at());
        let ended = self.sources.sessions.revoke(&identity.leave(), until).await;
        self.noted(event, ended.map_err(Denied::from))?;
        self.close(session_id, registry);
        Ok(())
    }

    /// Ends the log-in of a refresh token, for somebody whose access token is over. What is no refresh
    /// token of ours ends nothing.
    ///
    /// # Errors
    /// `storage_unavailable`, `unauthorized`.
    pub async fn log_out_with(
        &self,
        token: &Secret,
        place: &str,
        registry: &Registry,
    ) -> Result<(), Denied> {
        let mut event = Event::new(AuditAction::LogOut, place).by(Credence::Refresh);
        let presented = self.present(token, &mut event).await;
        let (Refreshed { judgement, .. }, _) = self.noted_if_refused(&event, presented)?;
        let ended = self.end(&judgement.leave(), registry).await;
        self.noted(event, ended)
    }

    /// Ends all log-ins of this user, and every other token issued to them before; how many log-ins
    /// those were.
    ///
    /// # Errors
    /// `storage_unavailable`: then all go on.
    pub async fn log_out_everywhere(
        &self,
        identity: &Identity,
        place: &str,
        registry: &Registry,
    ) -> Result<usize, Denied> {
        let (user_id, session_id) = (identity.user_id(), identity.session_id());
        let event = Event::new(AuditAction::LogOut, place).of(user_id).in_session(session_id);
        let ended = self.end_others(&identity.scope(), None, registry).await;
        let ended = self.noted_if_refused(&event, ended)?;
        // The token itself may be of a clock that is ahead of ours.
        let until = self.revoked_until(identity.expires_at());
        let own = self.sources.sessions.revoke(&identity.leave(), until).await;
        self.noted(event, own.map_err(Denied::from))?;
        self.close(session_id, registry);
        Ok(ended)
    }

    /// Ends all log-ins of this user but perhaps one; how many those were.
    async fn end_others(
        &self,
        user: &Scope,
        but: Option<SessionId>,
        registry: &Registry,
    ) -> Result<usize, Denied> {
        let (cutoff, until) = self.cutoff(but);
        let ended = self.sources.sessions.revoke_all(user, cutoff, until).await?;
        self.close_others(user, cutoff, &ended, registry);
        Ok(ended.len())
    }

    /// Everything issued until now is over but what belongs to this log-in; and until when that is kept.
    pub(super) fn cutoff(&self, but: Option<SessionId>) -> (Cutoff, Wall) {
        (Cutoff { at: self.now().wall, but }, self.revoked_until(None))
    }

    /// The store knows what has ended; now everybody here does.
    pub(super) fn close_others(
        &self,
        user: &Scope,
        cutoff: Cutoff,
        ended: &[SessionId],
        registry: &Registry,
    ) {
        {
            let revoked = &mut self.state().revoked;
            revoked.leave(user.user_id(), cutoff);
            ended.iter().for_each(|session_id| revoked.revoke(*session_id));
        }
        // Whatever is open now was let in by something issued before.
        registry.revoke_user(user.user_id(), cutoff.but);
    }

    async fn end(&self, log_in: &Leave, registry: &Registry) -> Result<(), Denied> {
        let until = self.revoked_until(None);
        self.sources.sessions.revoke(log_in, until).await?;
        self.close(log_in.session_id(), registry);
        Ok(())
    }

    /// The store knows that it has ended; now everybody here does.
    fn close(&self, session_id: SessionId, registry: &Registry) {
        self.state().revoked.revoke(session_id);
        registry.revoke(session_id);
    }

    /// When the last access token of a session that ends now would have expired.
    fn revoked_until(&self, expires_at: Option<Wall>) -> Wall {
        let newest = self.now().wall.after(self.sources.token_lifetime);
        expires_at.map_or(newest, |expires_at| newest.max(expires_at)).after(LONGEST_LEEWAY)
    }

    fn access_token(
        &self,
        admitted: &Admission,
        user: &Profile,
        now: Wall,
    ) -> Result<Secret, Denied> {
        let claims = Claims {
            sub: admitted.user_id().as_str().to_owned(),
            exp: now.after(self.sources.token_lifetime).0 / 1000,
            iat: Some(now.0 / 1000),
            sid: Some(admitted.session_id()),
            demo: user.demo,
            email: user.email.clone(),
            permissions: user.permissions.clone(),
            ..Claims::default()
        };
        let issued = self.sources.tokens.issue(&claims);
        issued.map_err(|_| Denied::new(ErrorCode::Internal, "no token could be made"))
    }

    fn welcome(
        &self,
        user: Profile,
        token: Secret,
        refresh_token: Secret,
        refresh_expires_in: Millis,
    ) -> LoggedIn {
        let expires_in = self.sources.token_lifetime;
        let device = refresh_token::device_of(&refresh_token);
        LoggedIn { token, expires_in, refresh_token, refresh_expires_in, device, user }
    }
}
