//! What is written to the store, in which batches, and what becomes of it.

use super::*;
use crate::hub::state::Connection as Reading;
use crate::id::{EventId, Fence};
use crate::wire::{Draft, Entry, Event, Frame, Json, Metadata, RunScope, RunStatus, ThoughtKind};

fn question(name: &str, thread_id: Option<ThreadId>) -> UserMessage {
    let ClientBody::UserMessage(mut question) = message("more") else { unreachable!() };
    question.client_msg_id = ClientMsgId::new(name).unwrap();
    question.thread_id = thread_id;
    question
}

fn commit(outputs: &[Output]) -> Option<(EffectId, Batch)> {
    outputs.iter().find_map(|output| match output {
        Output::Commit { effect, batch } => Some((*effect, batch.clone())),
        _ => None,
    })
}

fn types(outputs: &[Output]) -> Vec<String> {
    heard(outputs).iter().map(|frame| String::from(frame["type"].as_str().unwrap())).collect()
}

/// The events of a batch.
fn events(batch: &Batch) -> Vec<&str> {
    batch.entries.iter().map(crate::wire::EntryBody::type_name).collect()
}

fn starts_run(outputs: &[Output]) -> Option<crate::run::Assignment> {
    outputs.iter().find_map(|output| match output {
        Output::StartRun { assignment, .. } => Some(assignment.clone()),
        _ => None,
    })
}

fn of_run(run_id: RunId, thread_id: ThreadId, event: Event) -> Draft {
    Draft {
        id: EventId(1),
        thread_id,
        epoch: Epoch(1),
        ts: Wall(0),
        scope: Some(RunScope { run_id, agent: None }),
        synthesized: false,
        event,
    }
}

fn plan() -> Event {
    Event::RunPlan { route: "full".into(), steps: vec![] }
}

/// Nobody in the run may say this: it names no agent.
fn thought() -> Event {
    let (text, kind) = (String::from("hm"), ThoughtKind::Status);
    Event::AgentThinking { thought_id: 0, text, kind, progress: None }
}

impl Asking {
    fn say(&mut self, question: UserMessage) -> Vec<Output> {
        self.ask(ClientBody::UserMessage(question))
    }

    fn drained(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        loop {
            match self.hub.poll_output() {
                Output::Idle(_) => return outputs,
                output => outputs.push(output),
            }
        }
    }

    fn wait(&mut self, span: Millis) -> Vec<Output> {
        self.now = self.now.after(span);
        self.hub.handle_timeout(self.now);
        self.drained()
    }

    fn open(&self, thread_id: ThreadId) -> &crate::hub::state::Open {
        match self.hub.threads.get(&thread_id) {
            Some(Thread::Open(open)) => open,
            other => panic!("not open: {other:?}"),
        }
    }

    fn reading(&self) -> &Reading {
        &self.hub.connections[&ASKER]
    }

    /// The store does what is asked.
    fn store(&mut self, outputs: &[Output]) -> Vec<Output> {
        let (effect, batch) = commit(outputs).expect("something is written");
        let first_seq = self.open(batch.thread_id).log.head().next();
        self.input(Input::Committed { effect, result: Ok(Committed::Done { first_seq }) })
    }

    /// Says something in a new thread; its run is at work.
    fn at_work(&mut self) -> (RunId, Fence, ThreadId) {
        let run_id = starting(self, "m1");
        let thread_id = self.hub.thread_of_run(run_id).unwrap();
        (run_id, self.open(thread_id).running.as_ref().unwrap().fence, thread_id)
    }

    /// The store fails again and again; how many frames are heard after each time.
    fn failing<const N: usize>(&mut self, outputs: &[Output], fault: Fault) -> [usize; N] {
        let (mut effect, _) = commit(outputs).expect("something is written");
        core::array::from_fn(|_| {
            let said = self.input(Input::Committed { effect, result: Err(fault) });
            if let Some((again, _)) = commit(&self.wait(Limits::default().store_retry_max)) {
                effect = again;
            }
            heard(&said).len()
        })
    }
}

fn rename() -> ClientBody {
    ClientBody::Thread(ThreadCommand::Rename {
        thread_id: THREAD,
        title: Some("May".into()),
        metadata: None,
    })
}

#[test]
fn metadata_are_written_with_what_makes_or_changes_a_thread_and_leave_its_title() {
    let metadata = |text: &str| Some(Metadata::new(Json::parse(text).unwrap()).unwrap());
    let written = |outputs: &[Output]| commit(outputs).expect("something is written").1;
    let create = ThreadCommand::Create { title: None, metadata: metadata("{\"a\":1}") };
    let batch = written(&Asking::new().ask(ClientBody::Thread(create)));
    assert_eq!((batch.new_thread.is_some(), batch.metadata), (true, metadata("{\"a\":1}")));

    let mut asking = Asking::new();
    let first = asking.ask_in_thread(rename(), 1);
    assert_eq!(written(&first).metadata, None);
    let change = ThreadCommand::Rename { thread_id: THREAD, title: None, metadata: metadata("{}") };
    assert_eq!(asking.ask(ClientBody::Thread(change)), [], "it waits for the title");
    let second = asking.store(&first);
    let batch = written(&second);
    assert_eq!((batch.title.as_deref(), batch.metadata.clone()), (None, metadata("{}")));
    // Others see the title there is now, not the one there was when this was asked.
    let said: serde_json::Value =
        serde_json::from_str(batch.entries[0].frame(Seq(2), false).as_str()).unwrap();
    assert_eq!(
        (&said["type"], &said["payload"]["title"]),
        (&"thread_updated".into(), &"May".into())
    );
    asking.store(&second);
    assert_eq!(asking.open(THREAD).title, "May");
}

#[test]
fn whoever_waits_for_a_store_that_is_silent_is_told_once() {
    let create = || ClientBody::Thread(ThreadCommand::Create { title: None, metadata: None });
    for body in [create(), message("hi")] {
        let mut asking = Asking::new();
        let outputs = asking.ask(body);
        assert_eq!(asking.failing(&outputs, Fault::Unknown), [0, 0, 1, 0, 0, 0]);
        assert_eq!(asking.hub.threads.len(), 1, "it may have been written");
    }
    let mut asking = Asking::new();
    let outputs = asking.ask(create());
    assert_eq!(asking.failing(&outputs, Fault::Unavailable), [0, 0, 1, 0]);
    assert_eq!(asking.hub.threads.len(), 0, "it was certainly not written");
}

#[test]
fn a_title_that_was_certainly_not_written_is_given_up_and_its_thread_stays() {
    let mut asking = Asking::new();
    let outputs = asking.ask_in_thread(rename(), 1);
    assert_eq!(asking.failing(&outputs, Fault::Unavailable), [0, 0, 1]);
    assert_eq!(commit(&asking.wait(Millis::from_secs(60))), None, "given up");
    let again = asking.ask(rename());
    assert!(commit(&again).is_some(), "the thread is known: {again:?}");
    assert!(asking.open(THREAD).stored);
}

#[test]
fn what_a_run_says_while_its_thread_is_busy_goes_into_one_batch() {
    let mut asking = Asking::new();
    let (run_id, fence, thread_id) = asking.at_work();
    let say = |asking: &mut Asking, event| {
        asking.input(Input::Append {
            run_id,
            fence,
            drafts: vec![of_run(run_id, thread_id, event)],
        })
    };
    let first = say(&mut asking, plan());
    assert_eq!(say(&mut asking, plan()), []);
    let answer = Event::AssistantMessage {
        message_id: MessageId(4),
        content: "# Yes".into(),
        partial: false,
    };
    assert_eq!(say(&mut asking, answer), []);
    let (_, batch) = commit(&asking.store(&first)).unwrap();
    assert_eq!(events(&batch), ["run_plan", "assistant_message"]);
    let answers = vec![NewAnswer { message_id: MessageId(4), run_id, entry: 1 }];
    assert_eq!(batch.answers, answers);
}

#[test]
fn what_breaks_the_order_of_a_run_is_not_written_nor_what_comes_with_it() {
    for events_said in [[thought(), plan()], [plan(), thought()]] {
        let mut asking = Asking::new();
        let (run_id, fence, thread_id) = asking.at_work();
        let drafts =
            events_said.into_iter().map(|event| of_run(run_id, thread_id, event)).collect();
        let outputs = asking.input(Input::Append { run_id, fence, drafts });
        let written = commit(&outputs).map(|(_, batch)| batch);
        let said: Vec<&str> = written.as_ref().map(events).unwrap_or_default();
        assert!(!said.contains(&"agent_thinking") && !said.contains(&"run_plan"), "{said:?}");
    }
}

#[test]
fn what_is_only_shown_reaches_who_reads_live_and_may_be_dropped() {
    let mut asking = Asking::new();
    let (run_id, ..) = asking.at_work();
    let frame = Frame::encode(&"half");
    let outputs = asking.input(Input::Transient { run_id, frame: frame.clone() });
    let frames = Arc::from([frame]);
    assert_eq!(outputs, [Output::Deliver { connection_id: ASKER, frames, droppable: true }]);
}

#[test]
fn waiting_runs_go_in_their_order_an_interrupting_one_first_and_a_cancelled_one_never() {
    let mut asking = Asking::with(Limits { running_runs_per_user: 1, ..Limits::default() });
    let (running, _, thread_id) = asking.at_work();
    let waits = |asking: &mut Asking, name: &str, multitask| {
        let mut question = question(name, Some(thread_id));
        question.multitask = multitask;
        let outputs = asking.say(question);
        let run_id = commit(&outputs).unwrap().1.message.unwrap().run_id;
        let outputs = asking.store(&outputs);
        let ack = heard(&outputs).swap_remove(0);
        assert_eq!(ack["type"], "ack");
        (run_id, ack["payload"]["queue_position"].as_u64().unwrap(), cancelled(&outputs))
    };
    let (second, place, _) = waits(&mut asking, "m2", MultitaskStrategy::Enqueue);
    assert_eq!(place, 1);
    let (third, place, _) = waits(&mut asking, "m3", MultitaskStrategy::Enqueue);
    assert_eq!(place, 2);
    let (urgent, place, stopped) = waits(&mut asking, "m4", MultitaskStrategy::Interrupt);
    assert_eq!((place, stopped), (1, Some(running)));
    let queue = |asking: &Asking| -> Vec<RunId> {
        asking.open(thread_id).queued.iter().map(|queued| queued.run_id).collect()
    };
    assert_eq!(queue(&asking), [urgent, second, third]);
    let outputs = asking.ask(ClientBody::CancelQueued { run_id: second });
    let (_, batch) = commit(&outputs).unwrap();
    let frame = batch.entries[0].frame(Seq(1), false);
    let entry: Value = serde_json::from_str(frame.as_str()).unwrap();
    assert_eq!(entry["payload"]["reason"], "user");
    asking.store(&outputs);
    assert_eq!(queue(&asking), [urgent, third]);
}

#[test]
fn who_writes_into_a_thread_it_does_not_follow_reads_it_from_its_message_on() {
    let mut asking = Asking::new();
    let body = ClientBody::UserMessage(question("m1", Some(THREAD)));
    let outputs = asking.ask_in_thread(body, 9);
    let outputs = asking.store(&outputs);
    assert_eq!(types(&outputs), ["ack", "user_message", "run_queued", "run_started"]);
    let patience = Millis::from_secs(65);
    let deadline = asking.hub.threads[&THREAD].deadline();
    assert_eq!(deadline, Some(asking.now.mono.after(patience)), "its time, and some grace");
}

#[test]
fn a_thread_that_is_not_written_yet_is_nobodys_to_name() {
    let mut asking = Asking::new();
    let outputs = asking.say(question("m1", None));
    let (effect, batch) = commit(&outputs).unwrap();
    let thread_id = batch.thread_id;
    let outputs = asking.say(question("m2", Some(thread_id)));
    assert_eq!(refused(&outputs), "thread_not_found");
    assert!(asking.open(thread_id).ops.is_empty());
    let outputs = asking.input(Input::Committed { effect, result: Ok(Committed::Conflict) });
    assert_eq!(refused(&outputs), "idempotency_conflict");
    assert!(asking.hub.threads.is_empty());
}

#[test]
fn a_thread_is_read_again_only_when_the_store_knows_what_we_do_not() {
    let cases = [
        (Committed::Conflict, false),
        (Committed::HeadMoved { head: Seq(12) }, true),
        (Committed::Fenced, true),
    ];
    for (result, again) in cases {
        let mut asking = Asking::new();
        let body = ClientBody::UserMessage(question("m1", Some(THREAD)));
        let (effect, _) = commit(&asking.ask_in_thread(body, 9)).unwrap();
        let outputs = asking.input(Input::Committed { effect, result: Ok(result) });
        let reads = outputs.iter().any(|output| matches!(output, Output::Load { .. }));
        assert_eq!(reads, again, "{outputs:?}");
    }
}

#[test]
fn how_a_thread_stands_is_said_in_a_word() {
    let mut asking = Asking::with(Limits { running_runs_per_user: 1, ..Limits::default() });
    let (.., busy) = asking.at_work();
    assert_eq!(asking.hub.thread_state(busy), "running");
    let outputs = asking.say(question("m2", None));
    let thread_id = commit(&outputs).unwrap().1.thread_id;
    assert_eq!(asking.hub.thread_state(thread_id), "accepting");
    asking.store(&outputs);
    assert_eq!(asking.hub.thread_state(thread_id), "queued");
    let outputs = asking.say(question("m3", Some(thread_id)));
    assert_eq!(asking.hub.thread_state(thread_id), "accepting");
    asking.store(&outputs);
    assert_eq!(asking.hub.thread_state(thread_id), "queued");
}

#[test]
fn a_refused_message_that_was_said_before_is_answered_as_then() {
    let digest = 0x0d1b_e7a2_c400_c080;
    let first = FirstOutcome {
        message_id: MessageId(3),
        thread_id: THREAD,
        seq: Seq(3),
        run_id: RunId(2),
        run_status: RunStatus::Completed,
    };
    let stale = || {
        let mut question = question("m1", Some(THREAD));
        question.expected_head_seq = Some(Seq(8));
        ClientBody::UserMessage(question)
    };
    let known = |digest| Ok(Loaded::Message(Some((digest, first.clone()))));
    let mut asking = Asking::new();
    let (effect, _) = loading(&asking.ask_in_thread(stale(), 9));
    let mut other = Asking { hub: asking.hub.clone(), now: asking.now };
    assert_eq!(refused(&other.loaded(effect, known(7))), "idempotency_conflict");
    let outputs = asking.loaded(effect, known(digest));
    assert_eq!(types(&outputs), ["ack", "resumed"], "and its thread from the start");

    let mut following = Asking::new();
    following.ask_in_thread(ClientBody::Subscribe { thread_id: THREAD, level: Level::Full }, 9);
    let (effect, _) = loading(&following.ask(stale()));
    assert_eq!(types(&following.loaded(effect, known(digest))), ["ack"], "it reads already");

    let mut writer = Asking::new();
    let (connection_id, resume) = (ConnectionId(2), vec![]);
    writer.input(Input::Attach { connection_id, resume, reader: false });
    writer.ask_in_thread(ClientBody::Subscribe { thread_id: THREAD, level: Level::Full }, 9);
    let (reply, body) = (Reply::None, stale());
    let outputs = writer.input(Input::Command { connection_id, reply, body });
    let (effect, _) = loading(&outputs);
    assert_eq!(types(&writer.loaded(effect, known(digest))), ["ack"], "it reads nothing");
}

#[path = "reading_tests.rs"]
mod reading;

#[path = "cancel_tests.rs"]
mod cancel;
