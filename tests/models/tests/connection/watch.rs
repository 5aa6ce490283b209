//! Somebody who sees all that goes into a connection and comes out of it, knows the requirements, and
//! knows nothing of the machine's insides.

use crate::world::{Act, Answer, ENTRY, START, TOKENS, Text, drain, give, identity};
use goldenpath_core::connection::{Connection, Identity, Output};
use goldenpath_core::fault::End;
use goldenpath_core::id::UserId;
use goldenpath_core::limits::Limits;
use goldenpath_core::time::{Millis, Mono, Now, Wall};
use goldenpath_core::wire::{ClientBody, CloseCode, Frame};

/// A set of words, one bit each.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) struct $name(pub(crate) u32);

        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "positions of bits")]
        enum Bits { $($word,)* }

        impl $name {
            pub(crate) const NOTHING: Self = Self(0);
            #[allow(dead_code, reason = "of one set somebody asks whether all of it can be")]
            pub(crate) const ALL: Self = Self(0 $(| 1 << Bits::$word as u32)*);
            $($(#[$word_doc])* pub(crate) const $word: Self = Self(1 << Bits::$word as u32);)*

            pub(crate) const fn has(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }
        }
    };
}

mod wrong {
    words! {
        /// What was found to be broken.
        Wrong {
            AUTH_01, AUTH_02, AUTH_03, AUTH_04, AUTH_05, AUTH_08,
            CONN_01, CONN_02, CONN_03, CONN_04, CONN_05, CONN_07, CONN_08, CONN_09, CONN_10,
            DRAIN_04,
            /// Delivered on a credential that has ended.
            INV_11,
            /// A close that is not explained, or with another code.
            INV_14,
            /// Not exactly one end, or `Detach` not owed, or owed and not said.
            END,
            /// A deadline that has passed already.
            SPIN,
            /// The end of a credential that nobody was told of.
            WARN,
        }
    }
}
mod seen {
    words! {
        /// What was seen to happen: the bound is wide enough for it.
        Seen {
            DELIVERED_DRAINING, HELD_FORWARDED, HELD_REFUSED, LATE_VERDICT, READY, REFRESHED,
            REFRESH_REFUSED, WARNED,
        }
    }
}
pub(crate) use seen::Seen;
pub(crate) use wrong::Wrong;

/// What is known from outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    pub(crate) wrong: Wrong,
    /// How it ended.
    pub(crate) end: Option<End>,
    pub(crate) ready: u8,
    /// Questions are numbered; those below this were asked.
    pub(crate) questions: u64,
    /// Messages the peer has sent.
    pub(crate) messages: u8,
    upgraded: bool,
    /// The question without an answer.
    open: Option<u64>,
    /// Found before the 101.
    verified: Option<(UserId, Wall)>,
    credential: Option<(UserId, Wall)>,
    attached: bool,
    /// Messages neither forwarded nor refused.
    pending: u8,
    last_forwarded: u8,
    noise: u8,
    /// Frames before the 101, and whether there were more than are held.
    early: u8,
    overrun: bool,
    /// `token_expiring` was said for the credential.
    warned: bool,
    heard_at: Mono,
    draining_since: Option<Mono>,
    /// It speaks the older dialect.
    older: bool,
    bounds: Bounds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Bounds {
    warning: Millis,
    grace: Millis,
    auth: Millis,
    silence: Millis,
    linger: Millis,
    held: usize,
    violations: u32,
}

/// What one step said, in order.
struct Step<'a> {
    act: Act,
    now: Now,
    last: Option<&'a Frame>,
    errors: u32,
    closed: Option<CloseCode>,
    ends: u32,
    seen: Seen,
}

impl Watch {
    pub(crate) fn new(limits: &Limits, older: bool) -> Self {
        Self {
            wrong: Wrong::NOTHING,
            end: None,
            ready: 0,
            questions: 0,
            messages: 0,
            upgraded: false,
            open: None,
            verified: None,
            credential: None,
            attached: false,
            pending: 0,
            last_forwarded: 0,
            noise: 0,
            early: 0,
            overrun: false,
            warned: false,
            heard_at: START.mono,
            draining_since: None,
            older,
            bounds: Bounds {
                warning: limits.token_warning,
                grace: limits.token_grace,
                auth: limits.auth_timeout,
                silence: limits.heartbeat_timeout,
                linger: limits.drain_linger,
                held: limits.held_frames,
                violations: limits.violations,
            },
        }
    }

    pub(crate) fn verified_before(&mut self, identity: &Identity) {
        self.verified = facts(identity);
    }

    /// Sees one step, judges it, and answers what it was a witness of.
    pub(crate) fn see(
        &mut self,
        act: Act,
        before: &Connection,
        after: &Connection,
        now: Now,
        outputs: &[Output],
    ) -> Seen {
        let known_before = self.credential.clone();
        let asked = self.hear(act, now);
        let mut step =
            Step { act, now, last: None, errors: 0, closed: None, ends: 0, seen: Seen::NOTHING };
        self.rule(outputs.len() <= 2 * self.bounds.held + 8, Wrong::CONN_07);
        for output in outputs {
            self.rule(step.ends == 0, Wrong::END);
            self.output(output, &mut step);
        }
        self.end = after.end();
        self.rule(step.ends == u32::from(after.end().is_some()), Wrong::END);
        self.rule(before.end().is_none(), Wrong::END);
        self.identity(after);
        self.answered(asked, known_before, &mut step);
        self.consequences(outputs, &step);
        if self.end.is_none() {
            let looks = act == Act::Deadline || step.seen.has(Seen::READY);
            self.in_time(looks, now, after);
        }
        self.rule(self.end.is_some() || self.ready == 0 || self.pending == 0, Wrong::CONN_02);
        step.seen
    }

    /// Once it has ended, nothing is said any more, whatever comes. What led there no longer matters.
    pub(crate) fn check_deaf(&mut self, ended: &Connection, now: Now) {
        let acts = [
            Act::Upgraded,
            Act::Peer(Text::Auth),
            Act::Peer(Text::Message),
            Act::Binary,
            Act::Lost,
            Act::Verdict(0, Answer::Ada),
            Act::Verdict(1, Answer::Eve),
            Act::Attached,
            Act::Deliver,
            Act::HubCloses(CloseCode::Replaced),
            Act::Revoked,
            Act::Drain,
            Act::Deadline,
        ];
        let mut machine = ended.clone();
        for act in acts {
            give(&mut machine, now.after(Millis::from_secs(100)), act, 7);
            self.rule(drain(&mut machine).is_empty() && machine == *ended, Wrong::CONN_05);
        }
        let (wrong, end, ready) = (self.wrong, self.end, self.ready);
        *self = Self { wrong, end, ready, ..Self::new(&Limits::default(), false) };
    }

    fn rule(&mut self, holds: bool, wrong: Wrong) {
        if !holds {
            self.wrong.0 |= wrong.0;
        }
    }

    fn expired(&self, now: Now) -> bool {
        self.credential.as_ref().is_some_and(|(_, ends)| ends.after(self.bounds.grace) <= now.wall)
    }

    /// What goes in. Answers the verdict, if it is the one waited for.
    fn hear(&mut self, act: Act, now: Now) -> Option<Answer> {
        match act {
            Act::Upgraded if !self.upgraded => {
                self.upgraded = true;
                self.heard_at = now.mono;
                self.credential = self.verified.take();
            }
            Act::Peer(text) => {
                self.heard_at = now.mono;
                let held = self.upgraded || usize::from(self.early) < self.bounds.held;
                self.early += u8::from(!self.upgraded);
                self.overrun |= !held;
                match text {
                    Text::Message if !held => self.messages += 1,
                    Text::Message => {
                        self.messages += 1;
                        self.pending |= 1 << self.messages;
                    }
                    Text::Noise => self.noise += 1,
                    Text::Auth | Text::ForAnother | Text::Ping | Text::Refresh => {}
                }
            }
            Act::Alive => self.heard_at = now.mono,
            Act::Verdict(effect, answer) if self.open == Some(effect) => {
                self.open = None;
                let found = identity(answer).as_ref().and_then(facts);
                let same = |(user, _): &(UserId, Wall)| {
                    self.credential.as_ref().is_none_or(|(known, _)| known == user)
                };
                if let Some(found) = found.filter(same) {
                    self.credential = Some(found);
                    self.warned = false;
                }
                return Some(answer);
            }
            _ => {}
        }
        None
    }

    fn output<'a>(&mut self, output: &'a Output, step: &mut Step<'a>) {
        let speaks = !matches!(output, Output::Detach | Output::Ended(_));
        let silenced = step.closed.is_some() || matches!(step.act, Act::Lost | Act::PeerClosed);
        self.rule(!(speaks && silenced), Wrong::CONN_05);
        match output {
            Output::Send(frame) => self.sent(frame, step),
            Output::Verify { effect, .. } | Output::MakeDemoUser { effect } => {
                self.rule(self.upgraded, Wrong::CONN_01);
                self.rule(self.open.is_none() && self.questions <= effect.0, Wrong::CONN_03);
                self.open = Some(effect.0);
                self.questions = effect.0 + 1;
            }
            Output::Attach { identity, .. } => {
                self.rule(!self.attached && self.ready == 0, Wrong::CONN_03);
                let known = self.credential.as_ref().is_some_and(|(u, _)| u == identity.user_id());
                self.rule(known, Wrong::AUTH_01);
                self.attached = true;
            }
            Output::Forward { body, .. } => {
                self.rule(self.ready == 1, Wrong::CONN_01);
                self.rule(!self.expired(step.now), Wrong::INV_11);
                self.forwarded(body, step);
            }
            Output::Detach => {
                self.rule(self.attached, Wrong::END);
                self.attached = false;
            }
            Output::Close(code) => {
                let explained = step.last.is_some_and(|frame| {
                    let text = frame.as_str();
                    kind(text) == "disconnect" && text.contains(&format!(":{}", code.code()))
                });
                self.rule(explained || !self.upgraded, Wrong::INV_14);
                step.closed = Some(*code);
            }
            Output::Ended(end) => {
                step.ends += 1;
                self.rule(!self.attached, Wrong::END);
                if let End::Closed(code) = end {
                    self.rule(step.closed == Some(*code), Wrong::INV_14);
                }
            }
            Output::Idle(_) => {}
        }
        step.last = if let Output::Send(_) = output { step.last } else { None };
    }

    fn sent<'a>(&mut self, frame: &'a Frame, step: &mut Step<'a>) {
        let text = frame.as_str();
        self.rule(self.upgraded, Wrong::CONN_01);
        self.rule(!TOKENS.iter().any(|token| text.contains(token)), Wrong::AUTH_05);
        match kind(text) {
            "connection_ready" | "connection_established" => {
                self.ready += 1;
                step.seen.0 |= Seen::READY.0;
                self.rule(self.ready == 1, Wrong::CONN_08);
                self.rule(!self.expired(step.now), Wrong::INV_11);
                let user = self.credential.as_ref().map(|(user, _)| user.as_str());
                self.rule(user.is_some_and(|user| text.contains(user)), Wrong::AUTH_01);
            }
            "error" => {
                step.errors += 1;
                for nth in 1..=self.messages {
                    if text.contains(&format!(r#""ref":"m{nth}""#)) {
                        self.pending &= !(1 << nth);
                        step.seen.0 |= if self.ready == 0 { Seen::HELD_REFUSED.0 } else { 0 };
                    }
                }
            }
            "auth_required" | "disconnect" | "pong" | "rate_limit" | "server_draining" => {}
            "" => {
                // An older client hears what was held once it has acknowledged, spoken or waited.
                let when = step.act == Act::Deliver || self.older;
                self.rule(text.contains(ENTRY) && when, Wrong::AUTH_02);
                self.rule(self.ready == 1, Wrong::AUTH_02);
                self.rule(!self.expired(step.now), Wrong::INV_11);
                step.seen.0 |= self.draining_since.map_or(0, |_| Seen::DELIVERED_DRAINING.0);
            }
            other => {
                self.rule(self.ready == 1, Wrong::CONN_08);
                self.warned |= other == "token_expiring";
                step.seen.0 |= match other {
                    "auth_ok" => Seen::REFRESHED.0,
                    "token_expiring" => Seen::WARNED.0,
                    _ => 0,
                };
            }
        }
        step.last = Some(frame);
    }

    fn forwarded(&mut self, body: &ClientBody, step: &mut Step<'_>) {
        let ClientBody::UserMessage(message) = body else { return };
        self.rule(self.draining_since.is_none(), Wrong::DRAIN_04);
        // One that names another user is never forwarded: it has no number.
        let nth = message.content.strip_prefix("number ").and_then(|n| n.parse::<u8>().ok());
        let Some(nth) = nth else { return self.rule(false, Wrong::AUTH_04) };
        self.rule(self.pending & (1 << nth) != 0 && nth > self.last_forwarded, Wrong::CONN_02);
        self.pending &= !(1 << nth);
        self.last_forwarded = nth;
        step.seen.0 |= if step.act == Act::Attached { Seen::HELD_FORWARDED.0 } else { 0 };
    }

    /// Who the machine says it is talking to is who the verdicts said, or nobody.
    fn identity(&mut self, after: &Connection) {
        let said = after.identity().map(Identity::user_id);
        let known = self.credential.as_ref().map(|(user, _)| user);
        let right = if self.end.is_some() { said.is_none() } else { said == known };
        self.rule(right, Wrong::AUTH_04);
    }

    /// What a verdict leads to.
    fn answered(
        &mut self,
        asked: Option<Answer>,
        known_before: Option<(UserId, Wall)>,
        step: &mut Step<'_>,
    ) {
        let Act::Verdict(..) = step.act else { return };
        let ended = self.end;
        match (asked, known_before) {
            (None, _) => {
                // Late, twice, or never asked for: only time may have its effect.
                self.rule(step.errors == 0 || ended.is_some(), Wrong::AUTH_01);
                self.rule(!step.seen.has(Seen::READY), Wrong::AUTH_01);
                step.seen.0 |= Seen::LATE_VERDICT.0;
            }
            (Some(Answer::No), None) => {
                let expected = Some(End::Closed(CloseCode::Unauthorized));
                self.rule(ended == expected, Wrong::AUTH_01);
            }
            (Some(Answer::No), Some(_)) => {
                self.rule(step.errors > 0, Wrong::AUTH_01);
                step.seen.0 |= Seen::REFRESH_REFUSED.0;
            }
            (Some(answer), Some((user, _))) => {
                let same = identity(answer).is_some_and(|identity| *identity.user_id() == user);
                let expected = Some(End::Closed(CloseCode::Forbidden));
                self.rule(same || ended == expected, Wrong::AUTH_04);
            }
            (Some(_), None) => self.rule(self.attached || ended.is_some(), Wrong::AUTH_01),
        }
    }

    /// What an act has to lead to at once.
    fn consequences(&mut self, outputs: &[Output], step: &Step<'_>) {
        let closed = |code| self.end == Some(End::Closed(code));
        let (right, wrong) = match step.act {
            Act::Binary => (closed(CloseCode::Unsupported), Wrong::INV_14),
            Act::InvalidUtf8 => (closed(CloseCode::InvalidUtf8), Wrong::INV_14),
            Act::TooBig => (closed(CloseCode::TooBig), Wrong::INV_14),
            Act::HubCloses(code) => (closed(code), Wrong::INV_14),
            Act::Overflow => (closed(CloseCode::SlowReader), Wrong::INV_14),
            Act::Revoked => (closed(CloseCode::TokenRevoked), Wrong::AUTH_08),
            Act::Lost => (self.end == Some(End::Lost), Wrong::END),
            Act::PeerClosed => (self.end == Some(End::Peer(Some(1000))), Wrong::END),
            Act::Drain if self.ready == 0 => (closed(CloseCode::Restarting), Wrong::DRAIN_04),
            Act::Drain => (self.end.is_none(), Wrong::DRAIN_04),
            Act::Upgraded if self.overrun => {
                self.overrun = false;
                (step.errors > 0 || self.end.is_some(), Wrong::CONN_02)
            }
            Act::Peer(Text::Noise) if self.upgraded => {
                let patient = u32::from(self.noise) < self.bounds.violations;
                let fast = closed(CloseCode::RateLimited);
                let kept = self.end.is_none() || self.expired(step.now) || fast || !patient;
                (step.errors > 0 && kept, Wrong::CONN_10)
            }
            Act::Peer(Text::Ping) if self.upgraded && self.end.is_none() => {
                let pong = |output: &Output| matches!(output, Output::Send(frame) if kind(frame.as_str()) == "pong");
                (outputs.iter().any(pong), Wrong::CONN_01)
            }
            _ => (true, Wrong::NOTHING),
        };
        self.rule(right, wrong);
        if step.act == Act::Drain && self.draining_since.is_none() {
            let told = |output: &Output| matches!(output, Output::Send(frame) if kind(frame.as_str()) == "server_draining");
            self.rule(outputs.iter().any(told) || !self.upgraded, Wrong::DRAIN_04);
            self.draining_since = Some(step.now.mono);
        }
    }

    /// It lives: so nothing that ends it may be overdue, and it wants to be woken in time for each.
    fn in_time(&mut self, looks: bool, now: Now, after: &Connection) {
        let next = match after.clone().poll_output() {
            Output::Idle(next) => next,
            _ => None,
        };
        let Some(next) = next else { return self.rule(false, Wrong::SPIN) };
        let bounds = self.bounds;
        let mono = |at: Wall| START.mono.after(at.since(START.wall));
        let credential = self.credential.as_ref().map(|(_, ends)| *ends);
        let ready = self.ready == 1;
        let dues = [
            (credential.map(|ends| mono(ends.after(bounds.grace))), Wrong::AUTH_03),
            (credential.is_none().then(|| START.mono.after(bounds.auth)), Wrong::CONN_04),
            (ready.then(|| self.heard_at.after(bounds.silence)), Wrong::CONN_09),
            (self.draining_since.map(|since| since.after(bounds.linger)), Wrong::DRAIN_04),
        ];
        for (due, wrong) in dues {
            self.rule(due.is_none_or(|due| next <= due), wrong);
            self.rule(due.is_none_or(|due| !looks || due > now.mono), wrong);
        }
        self.rule(!looks || next > now.mono, Wrong::SPIN);
        let warn = credential.is_some_and(|ends| ends.since(now.wall) <= bounds.warning);
        self.rule(self.warned || !warn || !(ready && looks), Wrong::WARN);
    }
}

fn facts(identity: &Identity) -> Option<(UserId, Wall)> {
    Some((identity.user_id().clone(), identity.expires_at()?))
}

/// The `type` of a frame; nothing for an entry of the model.
fn kind(text: &str) -> &str {
    text.split_once(r#""type":""#).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}
