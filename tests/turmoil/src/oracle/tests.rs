//! Each rule can fail: a history in which all was well is tampered with, and exactly those rules say so.
//! There is a row for each place that names a rule; a place without one is found, too.

use super::*;
use crate::plan::{At, Plan, Step};
use crate::world::{Played, play};
use bytes::Bytes;
use goldenpath_core::wire::{Announced, Reply, ServerFrame};
use std::sync::Arc;

fn say(ms: u64, device: usize) -> At {
    let (text, multitask) = ("all is well".to_owned(), "enqueue".to_owned());
    let step = Step::Say { device, thread: None, text, multitask, cancel_on_disconnect: false };
    At { ms, step }
}

/// What was heard, and what is stored.
#[derive(Clone)]
struct Case {
    ground: Arc<Ground>,
    heard: Vec<Heard>,
    logs: Logs,
}

/// Two people ask once each, and nothing goes wrong.
fn peace() -> Case {
    let steps = vec![say(300, 0), say(400, 1)];
    let plan = Plan { seed: 5, users: 2, devices: 1, latency_ms: 20, first_frame: false, steps };
    let Played { ground, heard, broken, .. } = play(&plan);
    assert!(broken.is_empty(), "{broken:?}");
    let logs = Logs::read(&ground);
    let case = Case { ground, heard, logs };
    assert_eq!(case.judged(), []);
    assert!(unsettled(&case.ground).is_empty());
    case
}

impl Case {
    fn judged(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        self.logs.check(&self.ground, &mut broken);
        broken.extend(check_frames(&self.ground, &self.logs, &self.heard));
        broken.extend(check_views(&self.ground, &self.logs));
        broken
    }

    /// The nth frame of a type that the first device heard.
    fn find(&self, kind: &str, nth: usize) -> usize {
        let is_it = |one: &Heard| match &one.what {
            What::Text(text) => one.device == 0 && crate::tap::kind(text) == kind,
            What::Close(_) | What::Shown(_) => false,
        };
        let places = self.heard.iter().enumerate().filter(|(_, one)| is_it(one));
        places.map(|(place, _)| place).nth(nth).expect("it was heard")
    }

    fn text(&self, place: usize) -> String {
        match &self.heard[place].what {
            What::Text(text) => text.clone(),
            What::Close(_) | What::Shown(_) => panic!("no text"),
        }
    }

    fn rewrite(&mut self, place: usize, from: &str, to: &str) {
        let before = self.text(place);
        let after = before.replacen(from, to, 1);
        assert_ne!(before, after);
        self.heard[place].what = What::Text(after);
    }

    /// The frame comes again, elsewhere.
    fn again(&mut self, kind: &str, nth: usize, to: usize) {
        let place = self.find(kind, nth);
        self.heard.insert(to, self.heard[place].clone());
    }

    /// In the end the first device hears this on its socket.
    fn hears(&mut self, what: What) {
        let socket = self.heard[self.find("connection_ready", 0)].socket;
        let ms = self.heard[self.heard.len() - 1].ms;
        self.heard.push(Heard { ms, device: 0, socket, what });
    }

    /// A frame comes on a socket where nothing was heard before.
    fn on_a_new_socket(&mut self, kind: &str) {
        let place = self.find(kind, 0);
        let socket = 404;
        self.heard.push(Heard { socket, ..self.heard[place].clone() });
    }

    fn disconnects(&mut self, code: CloseCode) {
        let frame = ServerFrame::Disconnect { code, reconnect_after: None };
        let frame = frame.encode(&Reply::None, Announced { limits: &limits() });
        self.hears(What::Text(frame.as_str().to_owned()));
    }

    fn ack(&self) -> AckFrame {
        match ServerEvent::decode(&self.text(self.find("ack", 0))) {
            ServerEvent::Control { said: Says::Ack(ack), .. } => ack,
            other => panic!("no acknowledgement: {other:?}"),
        }
    }

    /// The thread of the first device.
    fn thread(&self) -> ThreadId {
        self.ack().thread_id
    }

    fn log(&mut self) -> &mut Vec<(Seq, EntryBody)> {
        let thread_id = self.thread();
        self.logs.0.values_mut().find_map(|threads| threads.get_mut(&thread_id)).expect("its log")
    }

    /// An entry is written once more.
    fn appended(&mut self, is_it: fn(&str) -> bool) {
        let log = self.log();
        let text = |body: &EntryBody| body.frame(Seq(1), false).as_str().to_owned();
        let (_, body) = log.iter().find(|(_, body)| is_it(crate::tap::kind(&text(body)))).unwrap();
        let (body, seq) = (body.clone(), Seq(log.len() as u64 + 1));
        log.push((seq, body));
    }

    /// The store says something else of what it has when it is acknowledged.
    fn stored_otherwise(&self, change: fn(&mut FirstOutcome)) -> Vec<Broken> {
        let (user, ack) = (self.ground.user(0), self.ack());
        let mut outcome = stored(&self.ground, &user, &ack.client_msg_id).unwrap();
        change(&mut outcome);
        let (mut acks, mut found) = (BTreeMap::new(), Vec::new());
        acknowledged(&user, &ack, Some(outcome), &mut acks, &mut found);
        found
    }
}

/// The rule, a part of what it says, what else is wrong then, and the tampering; it answers what it has
/// found by itself.
type Row = (Invariant, &'static str, &'static [Invariant], fn(&mut Case) -> Vec<Broken>);

const ROWS: [Row; 29] = [
    (Invariant::GapFree, "is read where", &[], |case| {
        let (seq, _) = case.log().last_mut().unwrap();
        *seq = seq.next();
        vec![]
    }),
    (Invariant::SameBytes, "no entry", &[], |case| {
        let seq = Seq(case.log().len() as u64 + 1);
        case.log().push((seq, EntryBody::from_stored(Bytes::from_static(b"nonsense"))));
        vec![]
    }),
    (Invariant::OneOutcome, "is there twice", &[Invariant::Grammar], |case| {
        case.appended(|kind| kind == "user_message");
        vec![]
    }),
    (Invariant::Grammar, "agent_thinking at", &[], |case| {
        case.appended(|kind| kind == "agent_thinking");
        vec![]
    }),
    (Invariant::FiveKinds, "is completed without agent_started", &[], |case| {
        let text = |body: &EntryBody| body.frame(Seq(1), false).as_str().to_owned();
        let mut log = case.log().clone();
        log.retain(|(_, body)| {
            let text = text(body);
            let kind = crate::tap::kind(&text);
            !kind.starts_with("agent_") && !kind.starts_with("tool_")
        });
        (1..).map(Seq).zip(&mut log).for_each(|(place, (seq, _))| *seq = place);
        case.logs.0.values_mut().next().unwrap().insert(ThreadId(404), log);
        vec![]
    }),
    (
        Invariant::Converges,
        "has no end",
        &[Invariant::CommittedFirst, Invariant::EachOnce],
        |case| {
            case.log().pop();
            vec![]
        },
    ),
    (Invariant::AttachedFirst, "a frame after the close", &[], |case| {
        case.hears(What::Close(1000));
        case.again("ack", 0, case.heard.len());
        vec![]
    }),
    (Invariant::SameBytes, "nobody reads", &[], |case| {
        case.hears(What::Text("nonsense".into()));
        vec![]
    }),
    (Invariant::FaultsCloseNothing, "closed with 1011", &[], |case| {
        case.disconnects(CloseCode::Internal);
        case.hears(What::Close(1011));
        vec![]
    }),
    (Invariant::FaultsCloseNothing, "closed with 4420 after", &[], |case| {
        case.hears(What::Close(4420));
        vec![]
    }),
    (Invariant::AttachedFirst, "an entry before", &[], |case| {
        case.on_a_new_socket("agent_started");
        vec![]
    }),
    (Invariant::CommittedFirst, "is in no log", &[], |case| {
        let (seq, body) = case.log().last().unwrap().clone();
        case.hears(What::Text(body.frame(seq.next(), false).as_str().to_owned()));
        vec![]
    }),
    (Invariant::CommittedFirst, "before its write", &[], |case| {
        let place = case.find("agent_thinking", 0);
        case.heard[place].ms = 0;
        vec![]
    }),
    (Invariant::SameBytes, "has other bytes", &[], |case| {
        case.rewrite(case.find("agent_thinking", 1), "is at", "is not at");
        vec![]
    }),
    (Invariant::Order, "comes after", &[], |case| {
        case.heard.remove(case.find("agent_thinking", 1));
        vec![]
    }),
    (Invariant::Order, "comes after", &[], |case| {
        let place = case.find("agent_thinking", 1);
        case.again("agent_thinking", 1, place);
        vec![]
    }),
    (Invariant::ReplayEnds, "has no end", &[], |case| {
        let promised = Resumed {
            thread_id: case.thread(),
            recovered: true,
            epoch: None,
            from_seq: Seq(1),
            to_seq: Seq(2),
            reason: None,
            snapshot_url: None,
        };
        let frame = ServerFrame::Resumed { threads: vec![promised] };
        let frame = frame.encode(&Reply::None, Announced { limits: &limits() });
        case.hears(What::Text(frame.as_str().to_owned()));
        vec![]
    }),
    (Invariant::OnGoodToken, "on a token to", &[], |case| {
        case.rewrite(
            case.find("connection_ready", 0),
            r#""token_expires_at":18"#,
            r#""token_expires_at":17"#,
        );
        vec![]
    }),
    (Invariant::AttachedFirst, "connection_ready twice", &[], |case| {
        let place = case.find("connection_ready", 0);
        case.again("connection_ready", 0, place);
        vec![]
    }),
    (Invariant::AttachedFirst, "is taken for grace", &[], |case| {
        let place = case.find("connection_ready", 0);
        let text = case.text(place).replace(r#""user_id":"ada""#, r#""user_id":"grace""#);
        case.heard[place].what = What::Text(text);
        vec![]
    }),
    (Invariant::AttachedFirst, "an answer before", &[], |case| {
        case.on_a_new_socket("ack");
        vec![]
    }),
    (Invariant::Kept, "never-said is acknowledged", &[], |case| {
        let name = case.ack().client_msg_id;
        case.rewrite(case.find("ack", 0), name.as_str(), "never-said");
        vec![]
    }),
    (Invariant::Kept, "is acknowledged early", &[], |case| {
        let place = case.find("ack", 0);
        case.heard[place].ms = 0;
        vec![]
    }),
    (Invariant::OneOutcome, ", stored run_", &[], |case| {
        case.rewrite(case.find("ack", 0), "\"seq\":", "\"seq\":1");
        vec![]
    }),
    (Invariant::OneOutcome, ", then AckFrame", &[], |case| {
        case.again("ack", 0, case.heard.len());
        case.rewrite(case.find("ack", 0), "\"seq\":", "\"seq\":1");
        vec![]
    }),
    (Invariant::Converges, "its run is Running", &[], |case| {
        case.stored_otherwise(|outcome| outcome.run_status = RunStatus::Running)
    }),
    (Invariant::EachOnce, "is not as shown", &[], |case| {
        let mut seat = case.ground.seat(0);
        let view = seat.views.values_mut().next().unwrap();
        let last = view.last();
        view.entries.insert(last, goldenpath_core::id::EventId(1));
        vec![]
    }),
    (Invariant::EachOnce, "was shown twice", &[], |case| {
        case.ground.seat(0).broken.push("an entry was shown twice".into());
        vec![]
    }),
    (Invariant::CommittedFirst, "is in no log of ada", &[Invariant::Order], |case| {
        let (first, other) = (case.find("run_started", 0), |one: &Heard| one.device == 1);
        let foreign = case.heard.iter().position(|one| {
            other(one)
                && matches!(&one.what, What::Text(text) if crate::tap::kind(text) == "run_started")
        });
        case.heard[first].what = case.heard[foreign.unwrap()].what.clone();
        vec![]
    }),
];

#[test]
fn whatever_is_tampered_with_exactly_those_rules_say_so() {
    let fair = peace();
    let mut silent = Vec::new();
    for (rule, says, more, tamper) in ROWS {
        // What an application has shown is changed where it is.
        let mut case = if rule == Invariant::EachOnce { peace() } else { fair.clone() };
        let mut found = tamper(&mut case);
        found.extend(case.judged());
        let said = found.iter().any(|one| one.invariant == rule && one.what.contains(says));
        let named: BTreeSet<Invariant> = found.iter().map(|one| one.invariant).collect();
        let expected: BTreeSet<Invariant> = more.iter().copied().chain([rule]).collect();
        if !said || named != expected {
            silent.push(format!("{rule:?} '{says}': {found:?}"));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

/// Each place of the oracle that names a rule has its row.
#[test]
fn every_place_that_names_a_rule_is_tampered_with() {
    let text: String = include_str!("../oracle.rs").split_whitespace().collect();
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for after in text.split("not(Invariant::").skip(1) {
        let rule = after.chars().take_while(|one| one.is_alphanumeric()).collect();
        *named.entry(rule).or_default() += 1;
    }
    assert!(named.len() > 10, "{named:?}");
    for (rule, places) in named {
        let rows: BTreeSet<&str> =
            ROWS.iter().filter(|row| format!("{:?}", row.0) == rule).map(|row| row.1).collect();
        assert!(rows.len() >= places, "{rule}: {places} places, {rows:?}");
    }
}

#[test]
fn a_device_that_is_behind_is_found() {
    let Case { ground, .. } = peace();
    {
        let mut seat = ground.seat(0);
        let view = seat.views.values_mut().next().unwrap();
        let last = view.last();
        view.entries.remove(&last);
    }
    assert_eq!(unsettled(&ground).len(), 1);
}
