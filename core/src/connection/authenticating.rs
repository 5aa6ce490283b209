//! Between the 101 and `connection_ready`: who is this? What is said meanwhile is held (F09).

use super::context::{Context, Heard};
use super::ready::{Ready, reason_in_words};
use super::{Identity, Output, State};
use crate::auth::{self, EndReason, Session};
use crate::fault::PeerFault;
use crate::handshake::{Accepted, Dialect, Presented};
use crate::hub::HubReady;
use crate::id::EffectId;
use crate::time::Mono;
use crate::wire::{
    AuthMethod, ClientBody, ClientFrame, CloseCode, Credential, ErrorCode, Reply, ResumePoint,
    ServerFrame,
};
use alloc::vec::Vec;

/// The socket is up, the peer can read, nobody is known yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Authenticating {
    step: Step,
    session: Session,
    method: AuthMethod,
    /// The `auth` frame, which `connection_ready` answers.
    reply: Reply,
    resume: Vec<ResumePoint>,
    /// Frames that came too early, in order (CONN-02).
    held: Vec<ClientFrame>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// The first frame may bring a credential; in demo mode it need not.
    Awaiting { demo_at: Option<Mono> },
    /// A verdict is awaited.
    Verifying,
    /// The user is known; the hub takes the connection in.
    Attaching { since: Mono },
}

impl Authenticating {
    /// The 101 is complete: whatever the request brought is looked at now, and not before (F08).
    pub(super) fn begin(
        accepted: Accepted,
        verified: Option<Identity>,
        context: &mut Context,
    ) -> State {
        let this = Self {
            step: Step::Awaiting { demo_at: None },
            session: Session::new(&context.limits),
            method: AuthMethod::FirstMessage,
            reply: Reply::None,
            resume: Vec::new(),
            held: Vec::new(),
        };
        match (accepted.presented, verified) {
            (Presented::Unusable(PeerFault { code, message }), _) => {
                context.reject(&Reply::None, EndReason::Rejected(code), message)
            }
            (Presented::Credential(method, _), Some(identity)) => {
                let effect = context.next_effect();
                this.checking(effect, method).verdict(effect, Ok(identity), context)
            }
            (Presented::Credential(method, credential), None) => {
                State::Authenticating(this.verify(credential, method, context))
            }
            (Presented::Nothing, _) if accepted.demo => match accepted.dialect {
                // Older clients wait to be spoken to.
                Dialect::Older => State::Authenticating(this.make_demo_user(context)),
                Dialect::GoldenV1 => {
                    let demo_at = Some(context.now.mono.after(context.limits.demo_wait));
                    State::Authenticating(Self { step: Step::Awaiting { demo_at }, ..this })
                }
            },
            (Presented::Nothing, _) => {
                let timeout = context.limits.auth_timeout;
                context.say(&Reply::None, &ServerFrame::AuthRequired { timeout });
                State::Authenticating(this)
            }
        }
    }

    pub(super) fn text(mut self, text: &str, context: &mut Context) -> State {
        let frame = match context.hear(text) {
            Heard::Frame(frame) => frame,
            Heard::Answered => return State::Authenticating(self),
            // Whoever offers a credential is no visitor, however badly it is offered (AUTH-32).
            Heard::BadAuth => {
                if let Step::Awaiting { demo_at } = &mut self.step {
                    *demo_at = None;
                }
                return State::Authenticating(self);
            }
            Heard::Enough(closed) => return closed,
        };
        //= specs/connection.md#conn-01
        //# A client frame other than `auth`, `ping` and `pong` MUST NOT be handled before the
        //# connection is ready.
        match (frame.body, self.step) {
            (ClientBody::Ping { nonce }, _) => {
                context.say(&frame.reply, &ServerFrame::Pong { nonce });
            }
            (ClientBody::Pong, _) => {}
            (ClientBody::Auth { credential, resume }, Step::Awaiting { .. }) => {
                self.reply = frame.reply;
                self.resume = resume;
                self = self.verify(credential, AuthMethod::FirstMessage, context);
            }
            (ClientBody::Auth { .. }, _) if self.method == AuthMethod::Demo => {
                return context.too_late_for(&frame.reply);
            }
            (ClientBody::Auth { .. }, Step::Verifying | Step::Attaching { .. }) => {
                let message = "this connection already has a credential";
                context.refuse(&frame.reply, ErrorCode::Forbidden, message);
            }
            //= specs/connection.md#conn-11
            //# Early frames beyond the bound MUST be refused with an error, and those held MUST
            //# stay.
            (_, _) if self.held.len() >= context.limits.held_frames => {
                let message = "too many frames before connection_ready";
                context.refuse(&frame.reply, ErrorCode::Overloaded, message);
            }
            // In demo mode, too, `auth` may still be on its way behind it.
            (body, _) => self.held.push(ClientFrame { body, ..frame }),
        }
        State::Authenticating(self)
    }

    pub(super) fn verdict(
        mut self,
        effect: EffectId,
        verdict: Result<Identity, ErrorCode>,
        context: &mut Context,
    ) -> State {
        self.session.handle_input(context.now, auth::Input::Verdict { effect, verdict });
        if let Some(reason) = self.session.ended() {
            return context.reject(&self.reply, reason, reason_in_words(reason));
        }
        // What follows in the session's queue (a warning) is heard once ready.
        //= specs/auth.md#auth-01
        //# A connection MUST NOT become ready without a good verdict received in its own
        //# handshake.
        if self.step == Step::Verifying
            && let auth::Output::Authenticated(identity) = self.session.poll_output()
        {
            context.attached = true;
            let resume = core::mem::take(&mut self.resume);
            context.put(Output::Attach { identity, resume });
            self.step = Step::Attaching { since: context.now.mono };
        }
        State::Authenticating(self)
    }

    /// The hub has taken the connection in: `connection_ready`, then what was held, in order.
    pub(super) fn attached(mut self, ready: HubReady, context: &mut Context) -> State {
        match self.step {
            Step::Attaching { .. } => {
                self.session.handle_timeout(context.now);
                if let Some(reason) = self.session.ended() {
                    return context.reject(&self.reply, reason, reason_in_words(reason));
                }
                if canary!(LoseEarlyFrames) {
                    self.held.clear();
                }
                Ready::begin(self.session, self.method, &self.reply, ready, self.held, context)
            }
            Step::Awaiting { .. } | Step::Verifying => State::Authenticating(self),
        }
    }

    pub(super) fn timeout(mut self, context: &mut Context) -> State {
        // AUTH-03: a credential may end while the hub is slow.
        self.session.handle_timeout(context.now);
        if let Some(reason) = self.session.ended() {
            return context.reject(&self.reply, reason, reason_in_words(reason));
        }
        if self.give_up_at(context) <= context.now.mono {
            return match self.step {
                //= specs/connection.md#conn-04
                //# A connection that is not authenticated MUST be closed with 4408 no later than the
                //# authentication timeout.
                Step::Awaiting { .. } | Step::Verifying => {
                    context.close(CloseCode::AuthTimeout, None)
                }
                Step::Attaching { .. } => context.close(CloseCode::TryAgainLater, None),
            };
        }
        match self.step {
            Step::Awaiting { demo_at: Some(at) } if at <= context.now.mono => {
                State::Authenticating(self.make_demo_user(context))
            }
            Step::Attaching { .. } | Step::Awaiting { .. } | Step::Verifying => {
                State::Authenticating(self)
            }
        }
    }

    pub(super) fn deadline(&self, context: &Context) -> Mono {
        let give_up_at = self.give_up_at(context);
        match self.step {
            Step::Awaiting { demo_at: Some(at) } => at.min(give_up_at),
            Step::Attaching { .. } => {
                self.session.deadline().map_or(give_up_at, |at| at.min(give_up_at))
            }
            Step::Awaiting { demo_at: None } | Step::Verifying => give_up_at,
        }
    }

    pub(super) const fn identity(&self) -> Option<&Identity> {
        self.session.identity()
    }

    pub(super) const fn step_name(&self) -> &'static str {
        match self.step {
            Step::Awaiting { .. } => "awaiting",
            Step::Verifying => "verifying",
            Step::Attaching { .. } => "attaching",
        }
    }

    fn give_up_at(&self, context: &Context) -> Mono {
        let since = match self.step {
            Step::Awaiting { .. } | Step::Verifying => context.opened_at,
            Step::Attaching { since } => since,
        };
        since.after(context.limits.auth_timeout)
    }

    fn verify(self, credential: Credential, method: AuthMethod, context: &mut Context) -> Self {
        let effect = context.next_effect();
        context.put(Output::Verify { effect, credential, method });
        self.checking(effect, method)
    }

    //= specs/auth.md#auth-18
    //# In demo mode a client without a credential MUST become a demo user, and its first message
    //# MUST NOT be lost.
    fn make_demo_user(self, context: &mut Context) -> Self {
        let effect = context.next_effect();
        context.put(Output::MakeDemoUser { effect });
        self.checking(effect, AuthMethod::Demo)
    }

    fn checking(mut self, effect: EffectId, method: AuthMethod) -> Self {
        // Never refused: no step but `Awaiting` begins a check, and it is left here.
        let begun = self.session.begin_check(effect);
        debug_assert_eq!(begun, Ok(()));
        self.step = Step::Verifying;
        self.method = method;
        self
    }
}
