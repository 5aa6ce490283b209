//! The conversation of an older client: every stage meets everything that may be said in it.

use super::older::{ACKNOWLEDGED, QUESTION, control, older, run};
use super::rig::{Rig, ada};
use crate::connection::Input;
use crate::hub::HubReady;
use crate::id::{EffectId, RunId, Seq, ThreadId};
use crate::matrix::{Page, Row};
use crate::time::Millis;
use crate::wire::{ActiveRun, CloseCode, RunStatus, ServerFrame};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

const PAGE: Page = Page {
    name: "older",
    title: "A conversation in the older dialect",
    about: "What a connection says to a client of the replaced system: the first words in their order, then\n\
            the image of each of our frames. It belongs to a connection and is told what that would say.",
    states: &[
        (
            "waiting",
            "Nothing has been said. An acknowledgement that is here already is kept: it is answered after the \
             handshake it is for.",
        ),
        (
            "greeted",
            "`connection_established` and `handshake_response` have been said. What follows is held until the \
             client acknowledges, says anything else, or a second has passed: the next frame after an \
             acknowledgement is `handshake_complete`.",
        ),
        ("open", "Each of our frames is said as its image, at once."),
    ],
    begins: &["waiting"],
    rows: Vec::new(),
};

fn attaching() -> Rig {
    let mut rig = Rig::upgraded(older());
    rig.effect = EffectId(0);
    rig.verdict(Ok(ada()));
    rig
}

fn states() -> Vec<(&'static str, Rig)> {
    let mut early = attaching();
    early.text(ACKNOWLEDGED);
    let mut greeted = attaching();
    greeted.attached();
    let mut holding = greeted.clone();
    holding.input(Input::ServiceStatus { degraded: Vec::new() });
    let mut open = greeted.clone();
    open.text(ACKNOWLEDGED);
    vec![
        ("waiting", attaching()),
        ("waiting, acknowledged", early),
        ("greeted", greeted),
        ("greeted, holding", holding),
        ("open", open),
    ]
}

type Step = fn(&mut Rig) -> Vec<String>;

const STEPS: &[(&str, Step)] = &[
    ("attached", |rig| rig.input(Input::Attached(HubReady::default()))),
    ("attached, a run under way", |rig| {
        let active_runs = vec![ActiveRun {
            run_id: RunId(77),
            thread_id: ThreadId(1),
            status: RunStatus::Running,
        }];
        rig.input(Input::Attached(HubReady { resume: Vec::new(), active_runs }))
    }),
    ("acknowledged", |rig| rig.text(ACKNOWLEDGED)),
    ("user_message", |rig| rig.text(QUESTION)),
    ("ping", |rig| rig.text(r#"{"type":"ping"}"#)),
    ("not json", |rig| rig.text("{")),
    ("unknown type", |rig| rig.text(r#"{"type":"dance","id":"d1"}"#)),
    ("an entry", |rig| {
        let entry = &run()[0];
        let draft = crate::wire::Draft {
            id: entry.id,
            thread_id: entry.thread_id,
            epoch: entry.epoch,
            ts: entry.ts,
            scope: None,
            synthesized: false,
            event: entry.event.clone(),
        };
        rig.input(Input::Deliver(&[draft.encode().frame(Seq(2), false)]))
    }),
    ("an answer", |rig| {
        let threads = Vec::new();
        rig.input(Input::Deliver(&[control(&ServerFrame::Resumed { threads })]))
    }),
    ("service status", |rig| rig.input(Input::ServiceStatus { degraded: Vec::new() })),
    ("a second passes", |rig| rig.wait(Millis::from_secs(1))),
    ("the end", |rig| rig.input(Input::HubClose(CloseCode::Replaced))),
];

#[test]
fn the_matrix_of_an_older_conversation() {
    let (mut rows, mut seen) = (Vec::new(), Vec::new());
    for (name, before) in states() {
        for (step, act) in STEPS {
            let mut rig = before.clone();
            let said = act(&mut rig).join("; ");
            let (from, to) = (stage(&before), stage(&rig));
            rows.push(format!("{name} × {step} → {to}: {said}"));
            seen.push(Row::of(name, from, step, to, &said));
        }
    }
    insta::assert_snapshot!(rows.join("\n"));
    Page { rows: seen, ..PAGE }.check();
}

fn stage(rig: &Rig) -> &'static str {
    rig.connection.context.older.as_ref().unwrap().stage_name()
}
