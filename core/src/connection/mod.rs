//! One socket's life: Upgrading → Authenticating → Ready → Draining → Closed.
//!
//! ```text
//!              Upgraded            Attached             Drain
//!  Upgrading ──────────► Authenticating ──────► Ready ──────► Draining
//!      │                     │    verdict: no     │ 44xx, 10xx     │ 1012
//!      └─────────────────────┴──────► Closed ◄────┴────────────────┘
//! ```
//!
//! What it promises: nothing is handled before the upgrade is complete and the user is known, `auth`,
//! `ping` and `pong` excepted (CONN-01); what came earlier is held and handled in order (CONN-02);
//! `connection_ready` is said once, before anything of a thread (CONN-08); the user never changes
//! (CONN-03, AUTH-04); whatever the peer does wrong is answered, and every close is explained (CONN-10);
//! after the close nothing more is said (CONN-05).

mod authenticating;
mod context;
mod io;
mod older;
mod rate;
mod ready;
mod upgrading;

pub use io::{Identity, Input, Opening, Output};
pub use rate::Cost;

use crate::auth::EndReason;
use crate::fault::End;
use crate::id::ConnectionId;
use crate::limits::Limits;
use crate::seed::Seed;
use crate::time::{Millis, Mono, Now, earliest};
use crate::wire::{CloseCode, ErrorCode, Reply, ServerFrame};
use alloc::sync::Arc;
use authenticating::Authenticating;
use context::Context;
use ready::{Draining, Ready, reason_in_words};
use upgrading::Upgrading;

/// The machine of one socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Connection {
    context: Context,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    Upgrading(Upgrading),
    Authenticating(Authenticating),
    Ready(Ready),
    Draining(Draining),
    Closed(Closed),
}

/// It is over; every input is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Closed {
    end: End,
}

impl Connection {
    /// A connection whose upgrade was accepted; the 101 is not sent yet.
    #[must_use]
    pub fn new(opening: Opening, limits: Arc<Limits>, seed: Seed, now: Now) -> Self {
        let dialect = opening.accepted.dialect;
        let context = Context::new(opening.connection_id, dialect, limits, seed, now);
        Self { context, state: State::Upgrading(Upgrading::new(opening)) }
    }

    /// Takes in what happened outside.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.step(now, |state, context| state.input(input, context));
    }

    /// Lets time pass; harmless at any time, any number of times.
    pub fn handle_timeout(&mut self, now: Now) {
        self.step(now, State::timeout);
    }

    /// What it has to say; call until [`Output::Idle`], which carries the deadline for `handle_timeout`.
    pub fn poll_output(&mut self) -> Output {
        self.context.take_output().unwrap_or_else(|| Output::Idle(self.deadline()))
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> ConnectionId {
        self.context.connection_id
    }

    /// Who the peer is, while that is known.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        match &self.state {
            State::Authenticating(state) => state.identity(),
            State::Ready(state) => state.identity(),
            State::Draining(state) => state.identity(),
            State::Closed(_) | State::Upgrading(_) => None,
        }
    }

    /// What a verdict comes to on this connection, for the record: a good one about another user is a
    /// refusal here (AUTH-04).
    ///
    /// # Errors
    /// `user_mismatch`, or what the verdict says.
    pub fn judge(&self, verdict: &Result<Identity, ErrorCode>) -> Result<Identity, ErrorCode> {
        match (verdict, self.identity()) {
            (Ok(newer), Some(known)) if newer.user_id != known.user_id => {
                Err(ErrorCode::UserMismatch)
            }
            (verdict, _) => verdict.clone(),
        }
    }

    /// The state in a word, for the dashboard.
    #[must_use]
    pub const fn state_name(&self) -> &'static str {
        match &self.state {
            State::Upgrading(_) => "upgrading",
            State::Authenticating(state) => state.step_name(),
            State::Ready(_) => "ready",
            State::Draining(_) => "draining",
            State::Closed(_) => "closed",
        }
    }

    /// Whether the last frame came too fast.
    #[must_use]
    pub const fn is_too_fast(&self) -> bool {
        self.context.is_too_fast()
    }

    /// How it ended, once it has.
    #[must_use]
    pub const fn end(&self) -> Option<End> {
        match &self.state {
            State::Closed(closed) => Some(closed.end),
            State::Authenticating(_)
            | State::Draining(_)
            | State::Ready(_)
            | State::Upgrading(_) => None,
        }
    }

    fn step(&mut self, now: Now, act: impl FnOnce(State, &mut Context) -> State) {
        //= specs/connection.md#conn-05
        //# A connection MUST NOT send anything after its close frame or after its transport was
        //# lost.
        if let State::Closed(_) = self.state {
            return;
        }
        self.context.advance(now);
        // What stands here while `act` runs is seen by nobody.
        let state = core::mem::replace(&mut self.state, State::Closed(Closed { end: End::Lost }));
        self.state = act(state, &mut self.context);
    }

    //= specs/connection.md#conn-19
    //# A connection that is left alone MUST end by itself after a finite number of wake-ups.
    fn deadline(&self) -> Option<Mono> {
        let deadline = match &self.state {
            State::Upgrading(_) => Upgrading::give_up_at(&self.context),
            State::Authenticating(state) => state.deadline(&self.context),
            State::Ready(state) => state.deadline(&self.context),
            State::Draining(state) => state.deadline(&self.context),
            State::Closed(_) => return None,
        };
        earliest(Some(deadline), self.context.holds_until())
    }
}

impl State {
    /// Inputs that mean the same in every state are decided here; the others go to the state.
    //= specs/connection.md#conn-07
    //# A connection MUST take every input in every state without panic and with a bounded number of
    //# outputs.
    fn input(self, input: Input<'_>, context: &mut Context) -> Self {
        match input {
            Input::Upgraded => self.upgraded(context),
            Input::Text(text) => {
                context.heard_at = context.now.mono;
                self.text(text, context)
            }
            //= specs/connection.md#conn-20
            //# A sign of life MUST put off the end by silence.
            Input::Alive => {
                context.heard_at = context.now.mono;
                self
            }
            //= specs/connection.md#conn-15
            //# A binary frame MUST be closed with 1003, invalid UTF-8 with 1007, a frame above the
            //# hard limit with 1009.
            Input::Binary => context.close(CloseCode::Unsupported, None),
            Input::InvalidUtf8 => context.close(CloseCode::InvalidUtf8, None),
            Input::TooBig => context.close(CloseCode::TooBig, None),
            Input::PeerClosed(code) => context.end(End::Peer(code)),
            Input::Lost => context.end(End::Lost),
            Input::HubClose(code) => {
                let reconnect_after = self.reconnect_after();
                context.close(code, reconnect_after)
            }
            //= specs/delivery.md#dlv-14
            //# A reader that is too slow for its bounds MUST be told and closed with 4420.
            Input::Overflow => context.close(CloseCode::SlowReader, None),
            Input::Revoked => {
                let reason = EndReason::Revoked;
                context.reject(&Reply::None, reason, reason_in_words(reason))
            }
            Input::TooOften { retry_after } => context.too_often(retry_after),
            Input::Drain { reconnect_after } => self.drain(reconnect_after, context),
            Input::ServiceStatus { degraded } => {
                context.degraded = degraded;
                self.when_ready(context, Ready::service_status)
            }
            Input::Heads(heads) => self.when_ready(context, |ready, _| ready.heads(heads)),
            Input::Deliver(frames) => {
                self.when_ready(context, |ready, context| ready.deliver(frames, context))
            }
            Input::Attached(hub) => match self {
                Self::Authenticating(state) => state.attached(hub, context),
                other => other,
            },
            Input::Verdict { effect, verdict } => match self {
                Self::Authenticating(state) => state.verdict(effect, verdict, context),
                other => other
                    .when_ready(context, |ready, context| ready.verdict(effect, verdict, context)),
            },
        }
    }

    fn timeout(self, context: &mut Context) -> Self {
        match self {
            Self::Upgrading(state) => state.timeout(context),
            Self::Authenticating(state) => state.timeout(context),
            Self::Ready(state) => state.timeout(context),
            Self::Draining(state) => state.timeout(context),
            Self::Closed(_) => self,
        }
    }

    fn upgraded(self, context: &mut Context) -> Self {
        match self {
            Self::Upgrading(state) => state.upgraded(context),
            other => other,
        }
    }

    fn text(self, text: &str, context: &mut Context) -> Self {
        match self {
            Self::Upgrading(state) => state.text(text, context),
            Self::Authenticating(state) => state.text(text, context),
            other => other.when_ready(context, |ready, context| ready.text(text, context)),
        }
    }

    /// AUTH-02: what is of a thread reaches only a connection that is ready; elsewhere it is dropped.
    //= specs/auth.md#auth-02
    //# What belongs to a thread MUST NOT reach a connection that is not ready.
    fn when_ready(
        self,
        context: &mut Context,
        act: impl FnOnce(Ready, &mut Context) -> Self,
    ) -> Self {
        match self {
            Self::Ready(ready) => act(ready, context),
            Self::Draining(draining) => draining.with(context, act),
            other => other,
        }
    }

    fn drain(self, reconnect_after: Millis, context: &mut Context) -> Self {
        match self {
            Self::Ready(ready) => ready.drain(reconnect_after, context),
            Self::Draining(_) | Self::Closed(_) => self,
            //= specs/drain.md#drain-05
            //# A connection that is not ready MUST be closed with 1012 as soon as the server
            //# drains.
            Self::Authenticating(_) | Self::Upgrading(_) => {
                if context.upgraded {
                    context.say(&Reply::None, &ServerFrame::ServerDraining { reconnect_after });
                }
                context.close(CloseCode::Restarting, Some(reconnect_after))
            }
        }
    }

    const fn reconnect_after(&self) -> Option<Millis> {
        match self {
            Self::Draining(draining) => Some(draining.reconnect_after()),
            Self::Authenticating(_) | Self::Closed(_) | Self::Ready(_) | Self::Upgrading(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
