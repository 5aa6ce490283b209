//! What all states of a connection share: its bounds, its counters, its voice.

use super::older::Translator;
use super::rate::{Cost, Rate};
use super::{Closed, Output, State};
use crate::auth::EndReason;
use crate::fault::End;
use crate::handshake::Dialect;
use crate::id::{ConnectionId, EffectId, RequestId};
use crate::limits::Limits;
use crate::seed::Seed;
use crate::time::{Millis, Mono, Now};
use crate::wire::{
    Announced, ClientFrame, CloseCode, ErrorCode, ErrorFrame, Frame, Naming, Refused, Reply,
    ServerFrame, decode, older,
};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Room kept for outputs between inputs; more is given back, so that an idle connection stays small.
const KEPT_OUTPUTS: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Context {
    pub(super) limits: Arc<Limits>,
    pub(super) connection_id: ConnectionId,
    pub(super) now: Now,
    pub(super) opened_at: Mono,
    /// When the peer last gave a sign of life.
    pub(super) heard_at: Mono,
    /// The 101 is complete: the peer can read.
    pub(super) upgraded: bool,
    /// `Attach` was said, so `Detach` is owed.
    pub(super) attached: bool,
    /// The parts that are not available.
    pub(super) degraded: Vec<String>,
    /// Speaks for a client of the older dialect.
    pub(super) older: Option<Box<Translator>>,
    effects: EffectId,
    outputs: VecDeque<Output>,
    seed: Seed,
    rate: Rate,
    rate_refusals: u32,
    violations: u32,
    frames: u64,
}

/// What a text frame turned out to be.
pub(super) enum Heard {
    /// Something to handle.
    Frame(ClientFrame),
    /// Nothing more to do: it was answered, or refused and its sender told.
    Answered,
    /// An `auth` that could not be read; its sender was told.
    BadAuth,
    /// It was one too many.
    Enough(State),
}

impl Context {
    pub(super) fn new(
        connection_id: ConnectionId,
        dialect: Dialect,
        limits: Arc<Limits>,
        seed: Seed,
        now: Now,
    ) -> Self {
        let older = match dialect {
            Dialect::GoldenV1 => None,
            Dialect::Older => Some(Box::new(Translator::new(connection_id, &limits))),
        };
        Self {
            rate: Rate::full(now.mono, &limits),
            limits,
            connection_id,
            now,
            opened_at: now.mono,
            heard_at: now.mono,
            upgraded: false,
            attached: false,
            degraded: Vec::new(),
            older,
            effects: EffectId::default(),
            outputs: VecDeque::new(),
            seed,
            rate_refusals: 0,
            violations: 0,
            frames: 0,
        }
    }

    /// Time never goes backwards here, whatever the driver says.
    pub(super) fn advance(&mut self, now: Now) {
        self.now = Now { mono: now.mono.max(self.now.mono), wall: now.wall };
    }

    pub(super) fn put(&mut self, output: Output) {
        match output {
            Output::Send(frame) if self.older.is_some() => {
                self.in_older(|older, now| older.say(now, &frame));
            }
            output @ (Output::Close(_) | Output::Detach | Output::Ended(_)) => {
                self.in_older(|older, _| older.last_words());
                self.outputs.push_back(output);
            }
            output => self.outputs.push_back(output),
        }
    }

    /// Whether the last frame came too fast.
    pub(super) const fn is_too_fast(&self) -> bool {
        self.rate_refusals > 0
    }

    /// Until when something is held back, if anything may be.
    pub(super) fn holds_until(&self) -> Option<Mono> {
        self.older.as_ref().and_then(|older| older.deadline())
    }

    /// Says what was held back long enough.
    pub(super) fn release(&mut self) {
        self.in_older(Translator::timeout);
    }

    pub(super) fn take_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if self.outputs.is_empty() && self.outputs.capacity() > KEPT_OUTPUTS {
            self.outputs = VecDeque::new();
        }
        output
    }

    pub(super) fn next_effect(&mut self) -> EffectId {
        self.effects.take_next()
    }

    pub(super) fn say(&mut self, reply: &Reply, frame: &ServerFrame) {
        let encoded = frame.encode(reply, Announced { limits: &self.limits });
        self.put(Output::Send(encoded));
    }

    /// An error that leaves the connection as it is (F03).
    pub(super) fn refuse(&mut self, reply: &Reply, code: ErrorCode, message: &'static str) {
        self.say(reply, &ServerFrame::Error(ErrorFrame::new(code, message)));
    }

    /// Reads a text frame: decodes it, counts what is wrong with it, charges for it.
    pub(super) fn hear(&mut self, text: &str) -> Heard {
        let naming = Naming { connection_id: self.connection_id, nth: self.frames };
        self.frames += 1;
        let read = match &mut self.older {
            Some(older) => older.read(text, &self.limits, naming),
            None => decode(text, &self.limits, naming)
                .map(|frame| older::Heard::Frame { frame, run_name: None }),
        };
        // What is held waits for an acknowledgement and for nothing else.
        if !matches!(read, Ok(older::Heard::Acknowledged)) {
            self.in_older(|older, _| older.open());
        }
        let (cost, reply) = match &read {
            Ok(older::Heard::Acknowledged) => (Cost::Light, &Reply::None),
            Ok(older::Heard::Frame { frame, .. }) => (Cost::of(&frame.body), &frame.reply),
            Ok(older::Heard::Unknown { reply, .. }) => (Cost::Message, reply),
            Err(refused) => (Cost::Message, &refused.reply),
        };
        if let Err(retry_after) = self.rate.pay(self.now.mono, cost, &self.limits) {
            let reply = reply.clone();
            return self.too_fast(&reply, retry_after);
        }
        self.rate_refusals = 0;
        match read {
            Ok(older::Heard::Acknowledged) => {
                self.in_older(|older, now| older.acknowledged(now));
                Heard::Answered
            }
            Ok(older::Heard::Frame { frame, .. }) => {
                self.violations = 0;
                Heard::Frame(frame)
            }
            Ok(older::Heard::Unknown { reply, received_type }) => {
                self.in_older(|_, now| Translator::unknown(&reply, &received_type, now));
                Heard::Answered
            }
            Err(refused) => self.misunderstood(&refused),
        }
    }

    fn in_older(&mut self, say: impl FnOnce(&mut Translator, Now) -> Vec<Frame>) {
        if let Some(older) = &mut self.older {
            let frames = say(older, self.now);
            self.outputs.extend(frames.into_iter().map(Output::Send));
            while let Some(body) = older.errand() {
                self.outputs.push_back(Output::Forward { reply: Reply::None, body });
            }
        }
    }

    /// The last words of a session: the error that says why, then the close (F01: never a bare 1011).
    //= specs/auth.md#auth-17
    //# A refused credential MUST be explained by an error and closed with a code that says what to
    //# do.
    pub(super) fn reject(
        &mut self,
        reply: &Reply,
        reason: EndReason,
        message: impl Into<String>,
    ) -> State {
        if reason.close_code() != CloseCode::Internal {
            self.last_error(reply, ErrorFrame::new(reason.error(), message));
        }
        self.close(reason.close_code(), None)
    }

    /// A credential that came after its connection had become a visitor's.
    //= specs/auth.md#auth-21
    //# A client whose `auth` comes after it was made a demo user MUST NOT go on as that user: the
    //# connection MUST be closed with 4408.
    pub(super) fn too_late_for(&mut self, reply: &Reply) -> State {
        let message = "the credential came late, and the connection is a visitor's; \
            open another one and offer the credential with the upgrade";
        self.last_error(reply, ErrorFrame::new(ErrorCode::UserMismatch, message));
        self.close(CloseCode::AuthTimeout, None)
    }

    /// One connection too many of its user in a short time.
    pub(super) fn too_often(&mut self, retry_after: Millis) -> State {
        let mut error = ErrorFrame::new(ErrorCode::RateLimited, "too many new connections");
        error.retry_after = Some(retry_after);
        self.last_error(&Reply::None, error);
        self.close(CloseCode::RateLimited, Some(retry_after))
    }

    /// `disconnect`, close frame, `Detach` if owed, the end (invariant 14).
    //= specs/connection.md#conn-12
    //# A close it decides on MUST carry a code of the table, preceded by `disconnect` when the peer
    //# can read.
    pub(super) fn close(&mut self, code: CloseCode, reconnect_after: Option<Millis>) -> State {
        //= specs/connection.md#conn-17
        //# A bug of ours MUST be reported as an error with an id before the close with 1011.
        if code == CloseCode::Internal {
            let mut error = ErrorFrame::new(ErrorCode::Internal, "an internal error");
            error.request_id = Some(RequestId::draw(&mut self.seed, self.now.wall));
            self.last_error(&Reply::None, error);
        }
        if self.upgraded {
            let reconnect_after = reconnect_after.or_else(|| self.own_delay(code));
            self.say(&Reply::None, &ServerFrame::Disconnect { code, reconnect_after });
        }
        self.put(Output::Close(code));
        self.end(End::Closed(code))
    }

    pub(super) fn end(&mut self, end: End) -> State {
        if core::mem::take(&mut self.attached) {
            self.put(Output::Detach);
        }
        self.put(Output::Ended(end));
        State::Closed(Closed { end })
    }

    fn last_error(&mut self, reply: &Reply, error: ErrorFrame) {
        if self.upgraded {
            self.say(reply, &ServerFrame::Error(ErrorFrame { fatal: true, ..error }));
        }
    }

    /// 1013 promises a time; spread, so that not all come back at once (F35).
    fn own_delay(&mut self, code: CloseCode) -> Option<Millis> {
        (code == CloseCode::TryAgainLater).then(|| Millis(1000 + self.seed.below(1000)))
    }

    //= specs/connection.md#conn-14
    //# A peer that sends too fast MUST be told how long to wait, and MUST be closed with 4429 when
    //# it goes on.
    fn too_fast(&mut self, reply: &Reply, retry_after: Millis) -> Heard {
        self.rate_refusals += 1;
        let mut error = ErrorFrame::new(ErrorCode::RateLimited, "too many messages");
        error.retry_after = Some(retry_after);
        if self.rate_refusals > self.limits.rate_refusals {
            self.last_error(reply, error);
            return Heard::Enough(self.close(CloseCode::RateLimited, Some(retry_after)));
        }
        self.say(reply, &ServerFrame::Error(error));
        if self.rate_refusals == 1 {
            self.say(&Reply::None, &ServerFrame::RateLimit { retry_after });
        }
        Heard::Answered
    }

    //= specs/connection.md#conn-10
    //# A malformed, unknown or oversized message MUST be answered with an error and MUST NOT close
    //# the connection.
    fn misunderstood(&mut self, refused: &Refused) -> Heard {
        let error = refused.error_frame();
        match refused.fault.code {
            ErrorCode::AuthAmbiguous => {
                self.last_error(&refused.reply, error);
                return Heard::Enough(self.close(CloseCode::ProtocolViolated, None));
            }
            // Well-formed, but about what does not exist for this user: the hub would say the same.
            ErrorCode::RunNotFound | ErrorCode::ThreadNotFound | ErrorCode::UserMismatch => {}
            _ => self.violations += 1,
        }
        //= specs/connection.md#conn-13
        //# A peer that violates the protocol repeatedly MUST be closed with 4400.
        if self.violations >= self.limits.violations {
            self.last_error(&refused.reply, error);
            return Heard::Enough(self.close(CloseCode::ProtocolViolated, None));
        }
        self.say(&refused.reply, &ServerFrame::Error(error));
        if refused.is_auth { Heard::BadAuth } else { Heard::Answered }
    }
}
