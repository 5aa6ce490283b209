//! A connection with a clock, and its outputs in words.

use crate::connection::{Connection, Identity, Input, Opening, Output};
use crate::fault::End;
use crate::handshake::{Accepted, Dialect, Presented};
use crate::hub::HubReady;
use crate::id::{ConnectionId, EffectId, SessionId, UserId};
use crate::limits::Limits;
use crate::seed::Seed;
use crate::time::{Millis, Mono, Now, Wall};
use crate::wire::{AuthMethod, Credential, ErrorCode, Frame, Secret};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

pub(super) const START: Now = Now { mono: Mono(5_000), wall: Wall(1_800_000_000_000) };

/// When the tokens of the tests end, after [`START`].
pub(super) const TOKEN_LIFE: Millis = Millis::from_secs(600);

pub(super) const AUTH: &str = r#"{"type":"auth","id":"a1","payload":{"token":"t.o.k"}}"#;
pub(super) const HELLO: &str = r#"{"type":"user_message","id":"m1","payload":{"content":"hello"}}"#;
pub(super) const PING: &str = r#"{"type":"ping","id":"p1","payload":{"nonce":7}}"#;
pub(super) const REFRESH: &str = r#"{"type":"auth_refresh","id":"r1","payload":{"token":"n.e.w"}}"#;

#[derive(Clone)]
pub(super) struct Rig {
    pub(super) connection: Connection,
    pub(super) now: Now,
    /// The last question asked.
    pub(super) effect: EffectId,
}

pub(super) fn accepted(presented: Presented, demo: bool) -> Accepted {
    Accepted {
        subprotocol: Some("golden.v1".into()),
        dialect: Dialect::GoldenV1,
        presented,
        demo,
        verify_before_upgrade: false,
    }
}

pub(super) fn with_token() -> Accepted {
    let credential = Credential::Token(Secret("t.o.k".into()));
    accepted(Presented::Credential(AuthMethod::Subprotocol, credential), false)
}

pub(super) fn without_credential() -> Accepted {
    accepted(Presented::Nothing, false)
}

pub(super) fn demo() -> Accepted {
    accepted(Presented::Nothing, true)
}

pub(super) fn ada() -> Identity {
    Identity {
        user_id: UserId::new("ada").unwrap(),
        session_id: SessionId(1),
        issued_at: START.wall,
        expires_at: Some(START.wall.after(TOKEN_LIFE)),
        demo: false,
    }
}

pub(super) fn eve() -> Identity {
    Identity { user_id: UserId::new("eve").unwrap(), ..ada() }
}

pub(super) fn entry() -> Frame {
    Frame::encode(&"an entry")
}

impl Rig {
    pub(super) fn with_limits(accepted: Accepted, limits: Limits) -> Self {
        let opening = Opening { connection_id: ConnectionId(1), accepted, identity: None };
        let connection = Connection::new(opening, Arc::new(limits), Seed::new(1), START);
        Self { connection, now: START, effect: EffectId(u64::MAX) }
    }

    pub(super) fn new(accepted: Accepted) -> Self {
        Self::with_limits(accepted, Limits::default())
    }

    /// After the 101; what was said is dropped.
    pub(super) fn upgraded(accepted: Accepted) -> Self {
        let mut rig = Self::new(accepted);
        rig.input(Input::Upgraded);
        rig
    }

    /// The user is known and the hub is asked.
    pub(super) fn attaching() -> Self {
        let mut rig = Self::upgraded(with_token());
        rig.verdict(Ok(ada()));
        rig
    }

    pub(super) fn ready() -> Self {
        let mut rig = Self::attaching();
        rig.attached();
        rig
    }

    pub(super) fn ready_with(limits: Limits) -> Self {
        let mut rig = Self::with_limits(with_token(), limits);
        rig.input(Input::Upgraded);
        rig.verdict(Ok(ada()));
        rig.attached();
        rig
    }

    pub(super) fn draining() -> Self {
        let mut rig = Self::ready();
        rig.input(Input::Drain { reconnect_after: Millis(700) });
        rig
    }

    pub(super) fn input(&mut self, input: Input<'_>) -> Vec<String> {
        self.connection.handle_input(self.now, input);
        self.said()
    }

    pub(super) fn text(&mut self, text: &str) -> Vec<String> {
        self.input(Input::Text(text))
    }

    pub(super) fn verdict(&mut self, verdict: Result<Identity, ErrorCode>) -> Vec<String> {
        self.input(Input::Verdict { effect: self.effect, verdict })
    }

    pub(super) fn attached(&mut self) -> Vec<String> {
        self.input(Input::Attached(HubReady::default()))
    }

    pub(super) fn wait(&mut self, span: Millis) -> Vec<String> {
        self.now = self.now.after(span);
        self.connection.handle_timeout(self.now);
        self.said()
    }

    /// Sleeps to the deadline, as a driver does.
    pub(super) fn wait_for_deadline(&mut self) -> Vec<String> {
        let deadline = self.deadline().expect("something is due");
        self.wait(deadline.since(self.now.mono))
    }

    pub(super) fn deadline(&mut self) -> Option<Mono> {
        match self.connection.poll_output() {
            Output::Idle(deadline) => deadline,
            other => panic!("not drained: {other:?}"),
        }
    }

    pub(super) fn outputs(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        loop {
            match self.connection.poll_output() {
                Output::Idle(_) => return outputs,
                output => outputs.push(output),
            }
        }
    }

    fn said(&mut self) -> Vec<String> {
        let outputs = self.outputs();
        for output in &outputs {
            if let Output::Verify { effect, .. } | Output::MakeDemoUser { effect } = output {
                self.effect = *effect;
            }
        }
        outputs.iter().map(words).collect()
    }
}

/// One line per output; frames by their type and what matters of them.
pub(super) fn words(output: &Output) -> String {
    match output {
        Output::Send(frame) => format!("send {}", frame_words(frame)),
        Output::Verify { method, .. } => format!("verify {method:?}"),
        Output::MakeDemoUser { .. } => "make demo user".into(),
        Output::Attach { identity, resume } => {
            format!("attach {} resume {}", identity.user_id, resume.len())
        }
        Output::Forward { body, .. } => {
            let name = format!("{body:?}");
            format!("forward {}", name.split(['(', ' ']).next().unwrap_or_default())
        }
        Output::Detach => "detach".into(),
        Output::Close(code) => format!("close {}", code.code()),
        Output::Ended(End::Closed(code)) => format!("ended closed {}", code.code()),
        Output::Ended(end) => format!("ended {end:?}"),
        Output::Idle(_) => "idle".into(),
    }
}

fn frame_words(frame: &Frame) -> String {
    let value: serde_json::Value = serde_json::from_str(frame.as_str()).unwrap();
    let Some(kind) = value["type"].as_str() else { return value.to_string() };
    let mut words = kind.to_string();
    if let Some(code) = value["payload"]["code"].as_str() {
        words += &format!(" {code}");
    }
    if let Some(reason) = value["payload"]["reason"].as_str() {
        words += &format!(" {reason}");
    }
    if value["payload"]["fatal"] == true {
        words += " fatal";
    }
    if let Some(reference) = value["ref"].as_str() {
        words += &format!(" ref {reference}");
    }
    words
}

/// The last frame it says because of an input.
pub(super) fn last_frame(rig: &mut Rig, input: Input<'_>) -> serde_json::Value {
    rig.connection.handle_input(rig.now, input);
    let frames = rig.outputs().into_iter().filter_map(|output| match output {
        Output::Send(frame) => Some(frame),
        _ => None,
    });
    serde_json::from_str(frames.last().expect("a frame").as_str()).unwrap()
}
