//! The life of a credential on one connection:
//! Anonymous → Verifying → Authenticated → Expiring → Ended.

use crate::connection::Identity;
use crate::fault::Misuse;
use crate::id::EffectId;
use crate::time::{Mono, Now, Wall};
use crate::wire::{CloseCode, ErrorCode};
use crate::{limits::Limits, time::Millis};
use alloc::collections::VecDeque;

/// From outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// The answer to a check begun with [`Session::begin_check`]; any other is late and ignored.
    Verdict {
        /// Which check.
        effect: EffectId,
        /// Who it is, or why not.
        verdict: Result<Identity, ErrorCode>,
    },
    /// The credential was revoked (AUTH-08).
    Revoked,
}

/// To the outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// The user is known; said once.
    Authenticated(Identity),
    /// A newer credential of the same user took the older one's place.
    Refreshed {
        /// When it ends.
        expires_at: Option<Wall>,
    },
    /// The newer credential was no good; the older one lives on until its end.
    RefreshRefused(ErrorCode),
    /// The credential ends soon; said once for each.
    Expiring {
        /// When.
        expires_at: Wall,
    },
    /// Nobody is known any more; the last thing said.
    Ended(EndReason),
    /// Nothing more for now.
    Idle(Option<Mono>),
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndReason {
    /// The time of the credential and its grace are over (AUTH-03).
    Expired,
    /// A newer credential was of another user (AUTH-04).
    OtherUser,
    /// The first credential was no good.
    Rejected(ErrorCode),
    /// The credential was revoked (AUTH-08).
    Revoked,
}

impl EndReason {
    /// What the peer is told in the error before the close.
    #[must_use]
    pub const fn error(self) -> ErrorCode {
        match self {
            Self::Expired => ErrorCode::TokenExpired,
            Self::OtherUser => ErrorCode::UserMismatch,
            Self::Rejected(code) => code,
            Self::Revoked => ErrorCode::TokenRevoked,
        }
    }

    /// How the connection closes: what could not be checked right now is worth another try (1013).
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self.error() {
            ErrorCode::AuthAmbiguous => CloseCode::ProtocolViolated,
            ErrorCode::Forbidden | ErrorCode::OriginNotAllowed | ErrorCode::UserMismatch => {
                CloseCode::Forbidden
            }
            ErrorCode::Internal => CloseCode::Internal,
            ErrorCode::ShuttingDown => CloseCode::Restarting,
            ErrorCode::TokenExpired => CloseCode::TokenExpired,
            ErrorCode::TokenRevoked => CloseCode::TokenRevoked,
            ErrorCode::UnsupportedVersion => CloseCode::VersionNotSupported,
            code if code.is_retryable() => CloseCode::TryAgainLater,
            _ => CloseCode::Unauthorized,
        }
    }
}

/// Who the peer of a connection is, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    state: State,
    now: Now,
    outputs: VecDeque<Output>,
    warning: Millis,
    grace: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Anonymous,
    Verifying(Verifying),
    Authenticated(Known),
    Expiring(Known),
    Ended(EndReason),
}

/// A first credential is being checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Verifying {
    effect: EffectId,
}

/// The user is known, and perhaps a newer credential is being checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Known {
    identity: Identity,
    refresh: Option<EffectId>,
}

impl Session {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: State::Anonymous,
            now: Now::default(),
            outputs: VecDeque::new(),
            warning: limits.token_warning,
            grace: limits.token_grace,
        }
    }

    /// Who it is; nobody before the first good verdict and after the end.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        match &self.state {
            State::Authenticated(known) | State::Expiring(known) => Some(&known.identity),
            State::Anonymous | State::Verifying(_) | State::Ended(_) => None,
        }
    }

    /// Why it is over, once it is.
    #[must_use]
    pub const fn ended(&self) -> Option<EndReason> {
        match &self.state {
            State::Ended(reason) => Some(*reason),
            State::Anonymous
            | State::Verifying(_)
            | State::Authenticated(_)
            | State::Expiring(_) => None,
        }
    }

    /// A credential is sent away to be checked: the first one, or a newer one of a known user.
    ///
    /// # Errors
    /// [`Misuse::NotNow`] while another check is under way, [`Misuse::Ended`] after the end.
    pub fn begin_check(&mut self, effect: EffectId) -> Result<(), Misuse> {
        match &mut self.state {
            State::Anonymous => {
                self.state = State::Verifying(Verifying { effect });
                Ok(())
            }
            State::Authenticated(Known { refresh: refresh @ None, .. })
            | State::Expiring(Known { refresh: refresh @ None, .. }) => {
                *refresh = Some(effect);
                Ok(())
            }
            State::Verifying(_) | State::Authenticated(_) | State::Expiring(_) => {
                Err(Misuse::NotNow)
            }
            State::Ended(_) => Err(Misuse::Ended),
        }
    }

    /// Takes in what happened.
    pub fn handle_input(&mut self, now: Now, input: Input) {
        let state = core::mem::replace(&mut self.state, State::Anonymous);
        self.state = match (state, input) {
            (State::Ended(reason), _) => State::Ended(reason),
            (_, Input::Revoked) => self.end(EndReason::Revoked),
            (State::Verifying(asked), Input::Verdict { effect, verdict })
                if asked.effect == effect =>
            {
                match verdict {
                    Ok(identity) => {
                        self.outputs.push_back(Output::Authenticated(identity.clone()));
                        State::Authenticated(Known { identity, refresh: None })
                    }
                    Err(code) => self.end(EndReason::Rejected(code)),
                }
            }
            (State::Authenticated(known), Input::Verdict { effect, verdict })
                if known.refresh == Some(effect) =>
            {
                self.refreshed(known, verdict, State::Authenticated)
            }
            (State::Expiring(known), Input::Verdict { effect, verdict })
                if known.refresh == Some(effect) =>
            {
                self.refreshed(known, verdict, State::Expiring)
            }
            //= specs/auth.md#auth-16
            //# A verdict that answers no check under way MUST be ignored.
            (unchanged, Input::Verdict { .. }) => unchanged,
        };
        self.handle_timeout(now);
    }

    /// Lets time pass; harmless at any time.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        let state = core::mem::replace(&mut self.state, State::Anonymous);
        let state = match state {
            State::Authenticated(known) => match known.identity.expires_at {
                //= specs/auth.md#auth-15
                //# A peer MUST be warned before its credential ends.
                Some(expires_at) if self.warn_at(expires_at) <= now.wall => {
                    self.outputs.push_back(Output::Expiring { expires_at });
                    State::Expiring(known)
                }
                _ => State::Authenticated(known),
            },
            other => other,
        };
        self.state = match state {
            State::Expiring(known) => match known.identity.expires_at {
                //= specs/auth.md#auth-03
                //# A connection MUST be closed with 4440 when the grace of its credential ends,
                //# unless it was refreshed.
                Some(expires_at)
                    if expires_at.after(self.grace) <= now.wall && !canary!(ExpiryUnnoticed) =>
                {
                    self.end(EndReason::Expired)
                }
                _ => State::Expiring(known),
            },
            other => other,
        };
    }

    /// What it has to say; ends with [`Output::Idle`].
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| Output::Idle(self.deadline()))
    }

    /// Civil time may jump, so the deadline is worked out anew from the last instant seen.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        let (State::Authenticated(known) | State::Expiring(known)) = &self.state else {
            return None;
        };
        let expires_at = known.identity.expires_at?;
        let at = match &self.state {
            State::Authenticated(_) => self.warn_at(expires_at),
            _ => expires_at.after(self.grace),
        };
        Some(self.now.mono.after(at.since(self.now.wall)))
    }

    const fn warn_at(&self, expires_at: Wall) -> Wall {
        Wall(expires_at.0.saturating_sub(self.warning.0))
    }

    fn refreshed(
        &mut self,
        known: Known,
        verdict: Result<Identity, ErrorCode>,
        unchanged: fn(Known) -> State,
    ) -> State {
        match verdict {
            Ok(newer) if newer.user_id == known.identity.user_id || canary!(PreviousUser) => {
                self.outputs.push_back(Output::Refreshed { expires_at: newer.expires_at });
                State::Authenticated(Known { identity: newer, refresh: None })
            }
            //= specs/auth.md#auth-04
            //# A refresh with a token of another user MUST close the connection and MUST NOT
            //# transfer anything.
            Ok(_) => self.end(EndReason::OtherUser),
            Err(code) => {
                //= specs/auth.md#auth-14
                //# A refresh that fails MUST leave the older credential in place until its own end.
                self.outputs.push_back(Output::RefreshRefused(code));
                unchanged(Known { refresh: None, ..known })
            }
        }
    }

    fn end(&mut self, reason: EndReason) -> State {
        self.outputs.push_back(Output::Ended(reason));
        State::Ended(reason)
    }
}

#[cfg(test)]
mod tests;
