//! What goes into the audit log about one attempt.

use super::answer::Denied;
use super::{Audit, Identities};
use crate::connection::Sighting;
use crate::ports::{AuditAction, AuditOutcome, AuditRecord, Credence};
use goldenpath_core::auth::is_about_identity;
use goldenpath_core::connection::Identity;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::wire::{AuthMethod, ErrorCode};

/// An attempt, as far as it is known while it is under way.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) action: AuditAction,
    pub(super) by: Option<Credence>,
    pub(super) user_id: Option<UserId>,
    pub(super) session_id: Option<SessionId>,
    place: Option<String>,
}

impl Event {
    pub(super) fn new(action: AuditAction, place: &str) -> Self {
        let place = Some(place.to_owned());
        Self { action, by: None, user_id: None, session_id: None, place }
    }

    pub(super) fn by(mut self, by: Credence) -> Self {
        self.by = Some(by);
        self
    }

    pub(super) fn of(mut self, user_id: &UserId) -> Self {
        self.user_id = Some(user_id.clone());
        self
    }

    pub(super) fn in_session(mut self, session_id: SessionId) -> Self {
        self.session_id = Some(session_id);
        self
    }
}

impl Identities {
    /// Who was let in and who was not.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.sources.audit
    }

    /// Records how an attempt ended, and hands its end on.
    pub(super) fn noted<T>(&self, event: Event, end: Result<T, Denied>) -> Result<T, Denied> {
        self.note(event, end.as_ref().err().map(|denied| denied.code));
        end
    }

    /// The same for a step that is not the last one.
    pub(super) fn noted_if_refused<T>(
        &self,
        event: &Event,
        end: Result<T, Denied>,
    ) -> Result<T, Denied> {
        if let Err(denied) = &end {
            self.note(event.clone(), Some(denied.code));
        }
        end
    }

    fn note(&self, event: Event, refused: Option<ErrorCode>) {
        let Event { action, by, user_id, session_id, place } = event;
        if let Some(code) = refused {
            let (action, by) = (action.as_str(), by.map(Credence::as_str));
            tracing::warn!(action, by, place, %code, "refused");
        }
        let outcome =
            if refused.is_some() { AuditOutcome::Refused } else { AuditOutcome::Accepted };
        let at = self.now().wall;
        let times = 1;
        let reason = refused;
        self.sources.audit.note(AuditRecord {
            at,
            action,
            outcome,
            reason,
            by,
            user_id,
            session_id,
            place,
            times,
        });
    }

    /// Records a refusal that was said by whoever heard the request, for want of a good credential or a
    /// right; what else is refused is not about anybody.
    pub fn note_refused(
        &self,
        (action, by): (AuditAction, Option<Credence>),
        of: Option<&Identity>,
        place: &str,
        code: ErrorCode,
    ) {
        if is_about_identity(code) {
            let mut event = Event::new(action, place);
            event.by = by;
            event.user_id = of.map(|identity| identity.user_id().clone());
            event.session_id = of.map(Identity::session_id);
            self.note(event, Some(code));
        }
    }

    /// Records that somebody was given a ticket.
    pub fn note_ticket(&self, identity: &Identity, place: &str) {
        let (user_id, session_id) = (identity.user_id(), identity.session_id());
        let event = Event::new(AuditAction::Ticket, place).of(user_id).in_session(session_id);
        self.note(event, None);
    }

    /// Records what became of a credential on a socket.
    pub(super) fn note_socket(&self, seen: Sighting<'_>) {
        let by = match seen.method {
            AuthMethod::AuthorizationHeader => Credence::Header,
            AuthMethod::Demo => Credence::Demo,
            AuthMethod::FirstMessage => Credence::Frame,
            AuthMethod::Subprotocol => Credence::Subprotocol,
            AuthMethod::Ticket => Credence::Ticket,
        };
        let identity = seen.verdict.as_ref().ok();
        let event = Event {
            action: AuditAction::Socket,
            by: Some(by),
            user_id: identity.map(|identity| identity.user_id().clone()),
            session_id: identity.map(Identity::session_id),
            place: seen.place.map(str::to_owned),
        };
        self.note(event, seen.verdict.as_ref().err().copied());
    }
}
