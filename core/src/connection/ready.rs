//! The user is known and everything may be said; and the short time before a restart.

use super::context::{Context, Heard};
use super::{Identity, Output, State};
use crate::auth::{self, EndReason, Session};
use crate::hub::HubReady;
use crate::id::EffectId;
use crate::time::{Millis, Mono, earliest};
use crate::wire::{
    AuthMethod, ClientBody, ClientFrame, CloseCode, Credential, ErrorCode, ErrorFrame, Frame, Head,
    ReadyFrame, Reply, ServerFrame,
};
use alloc::vec::Vec;

/// `connection_ready` has been said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ready {
    session: Session,
    session_deadline: Option<Mono>,
    /// The `auth_refresh` under way, which `auth_ok` answers.
    refresh: Reply,
    heads: Vec<Head>,
    next_ping: Mono,
    /// Set once the server drains.
    draining: Option<Millis>,
}

/// The server goes away: what is under way is still delivered, nothing new begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Draining {
    ready: Ready,
    close_at: Mono,
    reconnect_after: Millis,
}

impl Ready {
    pub(super) fn begin(
        session: Session,
        method: AuthMethod,
        reply: &Reply,
        hub: HubReady,
        held: Vec<ClientFrame>,
        context: &mut Context,
    ) -> State {
        let mut this = Self {
            session,
            session_deadline: None,
            refresh: Reply::None,
            heads: Vec::new(),
            next_ping: context.now.mono.after(context.limits.heartbeat_interval),
            draining: None,
        };
        if let Some(identity) = this.session.identity() {
            //= specs/connection.md#conn-08
            //# A connection that becomes ready MUST say `connection_ready` exactly once, before
            //# anything of a thread.
            let frame = ServerFrame::Ready(ReadyFrame {
                connection_id: context.connection_id,
                user_id: identity.user_id.clone(),
                session_id: identity.session_id,
                auth_method: method,
                mode: if identity.demo { "demo" } else { "normal" },
                server_time: context.now.wall,
                token_expires_at: identity.expires_at,
                resume: hub.resume,
                active_runs: hub.active_runs,
                degraded: context.degraded.clone(),
            });
            context.say(reply, &frame);
        }
        this.session.handle_timeout(context.now);
        let mut state = this.listen_to_session(context);
        //= specs/connection.md#conn-02
        //# A frame that comes too early MUST be held and handled in its order once the connection
        //# is ready.
        for frame in held {
            state = match state {
                State::Ready(ready) => ready.frame(frame, context),
                ended => return ended,
            };
        }
        state
    }

    pub(super) fn text(self, text: &str, context: &mut Context) -> State {
        self.while_known(context, |this, context| match context.hear(text) {
            Heard::Frame(frame) => this.frame(frame, context),
            Heard::Answered | Heard::BadAuth => State::Ready(this),
            Heard::Enough(closed) => closed,
        })
    }

    pub(super) fn verdict(
        mut self,
        effect: EffectId,
        verdict: Result<Identity, ErrorCode>,
        context: &mut Context,
    ) -> State {
        self.session.handle_input(context.now, auth::Input::Verdict { effect, verdict });
        self.listen_to_session(context)
    }

    pub(super) fn deliver(self, frames: &[Frame], context: &mut Context) -> State {
        self.while_known(context, |this, context| {
            for frame in frames {
                context.put(Output::Send(frame.clone()));
            }
            State::Ready(this)
        })
    }

    pub(super) fn heads(mut self, heads: Vec<Head>) -> State {
        self.heads = heads;
        State::Ready(self)
    }

    //= specs/dependencies.md#dep-10
    //# A connection that learns which parts are not available MUST tell its client, and again when
    //# they are back.
    pub(super) fn service_status(self, context: &mut Context) -> State {
        let degraded = context.degraded.clone();
        context.say(&Reply::None, &ServerFrame::ServiceStatus { degraded });
        State::Ready(self)
    }

    pub(super) fn drain(mut self, reconnect_after: Millis, context: &mut Context) -> State {
        context.say(&Reply::None, &ServerFrame::ServerDraining { reconnect_after });
        self.draining = Some(reconnect_after);
        let close_at = context.now.mono.after(context.limits.drain_linger);
        State::Draining(Draining { ready: self, close_at, reconnect_after })
    }

    pub(super) fn timeout(mut self, context: &mut Context) -> State {
        let now = context.now.mono;
        //= specs/connection.md#conn-09
        //# A peer that is silent for the heartbeat timeout MUST be closed with 4421.
        if self.silent_until(context) <= now && !canary!(HeartbeatUnnoticed) {
            return context.close(CloseCode::HeartbeatLost, None);
        }
        //= specs/connection.md#conn-16
        //# A connection MUST be recycled with 4410 at its maximum age.
        if self.recycle_at(context) <= now {
            return context.close(CloseCode::MaxAge, None);
        }
        if self.next_ping <= now {
            self.next_ping = now.after(context.limits.heartbeat_interval);
            //= specs/delivery.md#dlv-23
            //# A ping MUST carry the heads of the threads that are followed.
            context.say(&Reply::None, &ServerFrame::Ping { heads: self.heads.clone() });
        }
        self.session.handle_timeout(context.now);
        let state = self.listen_to_session(context);
        if let State::Ready(_) = state {
            context.release();
        }
        state
    }

    pub(super) fn deadline(&self, context: &Context) -> Mono {
        let fixed = self.silent_until(context).min(self.recycle_at(context)).min(self.next_ping);
        earliest(Some(fixed), self.session_deadline).unwrap_or(fixed)
    }

    pub(super) const fn identity(&self) -> Option<&Identity> {
        self.session.identity()
    }

    /// Invariant 11: a driver that is late with its timeouts delivers nothing on a credential that has ended.
    //= specs/auth.md#auth-09
    //# A connection MUST NOT deliver or forward anything after its credential's grace, however late
    //# its driver is.
    fn while_known(
        mut self,
        context: &mut Context,
        act: impl FnOnce(Self, &mut Context) -> State,
    ) -> State {
        // Whatever its deadline was: civil time may have been set meanwhile.
        self.session.handle_timeout(context.now);
        match self.listen_to_session(context) {
            State::Ready(this) => act(this, context),
            ended => ended,
        }
    }

    fn silent_until(&self, context: &Context) -> Mono {
        context.heard_at.after(context.limits.heartbeat_timeout)
    }

    fn recycle_at(&self, context: &Context) -> Mono {
        context.opened_at.after(context.limits.connection_max_age)
    }

    fn frame(mut self, frame: ClientFrame, context: &mut Context) -> State {
        let ClientFrame { reply, body, claimed_user } = frame;
        let ours = self.session.identity().map(|identity| identity.user_id.as_str());
        //= specs/isolation.md#iso-05
        //# A frame that names another user than its connection's MUST be refused as
        //# `user_mismatch`.
        if claimed_user.is_some() && claimed_user.as_deref() != ours {
            let message = "the frame names another user than this connection's";
            context.refuse(&reply, ErrorCode::UserMismatch, message);
            return State::Ready(self);
        }
        match body {
            ClientBody::Ping { nonce } => context.say(&reply, &ServerFrame::Pong { nonce }),
            ClientBody::Pong => {}
            ClientBody::Auth { .. }
                if self.session.identity().is_some_and(Identity::is_passing) =>
            {
                return context.too_late_for(&reply);
            }
            //= specs/connection.md#conn-03
            //# A second `auth` on a ready connection MUST be refused, and its user MUST NOT change.
            ClientBody::Auth { .. } => {
                let message = "this connection is authenticated; open another one";
                context.refuse(&reply, ErrorCode::Forbidden, message);
            }
            ClientBody::AuthRefresh { token } => {
                let effect = context.next_effect();
                if self.session.begin_check(effect).is_err() {
                    let message = "a refresh is already under way";
                    context.refuse(&reply, ErrorCode::RateLimited, message);
                } else {
                    self.refresh = reply;
                    let credential = Credential::Token(token);
                    let method = AuthMethod::FirstMessage;
                    context.put(Output::Verify { effect, credential, method });
                }
            }
            ClientBody::UserMessage(_) if self.draining.is_some() => {
                let mut error =
                    ErrorFrame::new(ErrorCode::ShuttingDown, "the server restarts; send it again");
                error.retry_after = self.draining;
                context.say(&reply, &ServerFrame::Error(error));
            }
            body @ (ClientBody::Approval { .. }
            | ClientBody::CancelQueued { .. }
            | ClientBody::CancelRun { .. }
            | ClientBody::Feedback(_)
            | ClientBody::GapRequest { .. }
            | ClientBody::Received { .. }
            | ClientBody::Resume { .. }
            | ClientBody::Subscribe { .. }
            | ClientBody::Thread(_)
            | ClientBody::Unsubscribe { .. }
            | ClientBody::UserMessage(_)) => context.put(Output::Forward { reply, body }),
        }
        State::Ready(self)
    }

    fn listen_to_session(mut self, context: &mut Context) -> State {
        loop {
            match self.session.poll_output() {
                // Said once, before `Ready` began.
                auth::Output::Authenticated(_) => {}
                auth::Output::Refreshed { expires_at } => {
                    let reply = core::mem::take(&mut self.refresh);
                    context.say(&reply, &ServerFrame::AuthOk { token_expires_at: expires_at });
                }
                auth::Output::RefreshRefused(code) => {
                    let reply = core::mem::take(&mut self.refresh);
                    context.refuse(&reply, code, "the newer credential was not accepted");
                }
                auth::Output::Expiring { expires_at } => {
                    context.say(&Reply::None, &ServerFrame::TokenExpiring { expires_at });
                }
                auth::Output::Ended(reason) => {
                    return context.reject(&self.refresh, reason, reason_in_words(reason));
                }
                auth::Output::Idle(deadline) => {
                    self.session_deadline = deadline;
                    return State::Ready(self);
                }
            }
        }
    }
}

impl Draining {
    /// Lets the ready connection go on; only its end is known already.
    pub(super) fn with(
        self,
        context: &mut Context,
        act: impl FnOnce(Ready, &mut Context) -> State,
    ) -> State {
        let Self { ready, close_at, reconnect_after } = self;
        match act(ready, context) {
            State::Ready(ready) => State::Draining(Self { ready, close_at, reconnect_after }),
            other => other,
        }
    }

    pub(super) fn timeout(self, context: &mut Context) -> State {
        //= specs/drain.md#drain-04
        //# A draining connection MUST refuse new messages, deliver what is under way, and close
        //# with 1012.
        if self.close_at <= context.now.mono {
            return context.close(CloseCode::Restarting, Some(self.reconnect_after));
        }
        self.with(context, Ready::timeout)
    }

    pub(super) fn deadline(&self, context: &Context) -> Mono {
        self.close_at.min(self.ready.deadline(context))
    }

    pub(super) const fn identity(&self) -> Option<&Identity> {
        self.ready.identity()
    }

    pub(super) const fn reconnect_after(&self) -> Millis {
        self.reconnect_after
    }
}

pub(super) const fn reason_in_words(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Expired => "the token expired and was not refreshed",
        EndReason::OtherUser => "the newer token is of another user",
        EndReason::Rejected(_) => "the credential was not accepted",
        EndReason::Revoked => "the token was revoked",
    }
}
