//! Before the 101 is complete: nothing is said and nothing is handled (F08).

use super::authenticating::Authenticating;
use super::context::Context;
use super::{Opening, State};
use crate::time::Mono;
use crate::wire::{CloseCode, ErrorCode, Reply};
use alloc::string::String;
use alloc::vec::Vec;

/// The upgrade was accepted; the socket is not up yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Upgrading {
    opening: Opening,
    /// A transport that reads ahead may have frames already; they wait (CONN-02).
    early: Vec<String>,
    overrun: bool,
}

impl Upgrading {
    pub(super) const fn new(opening: Opening) -> Self {
        Self { opening, early: Vec::new(), overrun: false }
    }

    /// The time to authenticate began with the request (CONN-04).
    pub(super) fn give_up_at(context: &Context) -> Mono {
        context.opened_at.after(context.limits.auth_timeout)
    }

    //= specs/connection.md#conn-18
    //# A connection MUST NOT say or handle anything before its upgrade is complete.
    pub(super) fn text(mut self, text: &str, context: &Context) -> State {
        if self.early.len() < context.limits.held_frames && text.len() <= context.limits.frame_bytes
        {
            self.early.push(text.into());
        } else {
            self.overrun = true;
        }
        State::Upgrading(self)
    }

    pub(super) fn upgraded(self, context: &mut Context) -> State {
        context.upgraded = true;
        context.heard_at = context.now.mono;
        let Opening { accepted, identity, .. } = self.opening;
        let mut state = Authenticating::begin(accepted, identity, context);
        for text in &self.early {
            state = state.text(text, context);
        }
        if self.overrun && !matches!(state, State::Closed(_)) {
            let message =
                "too many frames before the upgrade was complete; the last were not handled";
            context.refuse(&Reply::None, ErrorCode::Overloaded, message);
        }
        state
    }

    pub(super) fn timeout(self, context: &mut Context) -> State {
        if Self::give_up_at(context) <= context.now.mono {
            context.close(CloseCode::AuthTimeout, None)
        } else {
            State::Upgrading(self)
        }
    }
}
