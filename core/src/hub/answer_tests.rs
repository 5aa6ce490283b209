//! What one connection asks of its hub, and the answer, without a store or a world around.

use super::*;
use crate::fault::Fault;
use crate::id::{ClientMsgId, Epoch, MessageId, RunId, Seq};
use crate::time::{Millis, Mono, Wall};
use crate::wire::{
    ClientBody, Feedback, Level, MultitaskStrategy, OnDisconnect, Reply, ThreadCommand, UserMessage,
};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use serde_json::Value;

const ASKER: ConnectionId = ConnectionId(1);
const THREAD: ThreadId = ThreadId(5);

struct Asking {
    hub: Hub,
    now: Now,
}

impl Asking {
    fn with(limits: Limits) -> Self {
        let hub = Hub::new(
            Scope::of(crate::id::UserId::new("ada").unwrap()),
            Arc::new(limits),
            Seed::new(1),
        );
        let mut asking =
            Self { hub, now: Now { mono: Mono(1_000), wall: Wall(1_795_255_873_000) } };
        asking.attach(ASKER);
        asking
    }

    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn attach(&mut self, connection_id: ConnectionId) {
        self.input(Input::Attach { connection_id, resume: vec![], reader: true });
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        self.hub.handle_input(self.now, input);
        let mut outputs = Vec::new();
        loop {
            match self.hub.poll_output() {
                Output::Idle(_) => return outputs,
                output => outputs.push(output),
            }
        }
    }

    fn ask(&mut self, body: ClientBody) -> Vec<Output> {
        self.input(Input::Command { connection_id: ASKER, reply: Reply::None, body })
    }

    /// Asks something in [`THREAD`] and lets the store know of it, with `head` entries.
    fn ask_in_thread(&mut self, body: ClientBody, head: u64) -> Vec<Output> {
        let outputs = self.ask(body);
        let (effect, load) = loading(&outputs);
        assert_eq!(load, Load::Thread { thread_id: THREAD });
        let stored =
            StoredThread { epoch: Epoch(1), head: Seq(head), title: "T".into(), runs: vec![] };
        self.loaded(effect, Ok(Loaded::Thread(stored)))
    }

    fn loaded(&mut self, effect: EffectId, result: Result<Loaded, Fault>) -> Vec<Output> {
        self.input(Input::Loaded { effect, result })
    }
}

fn loading(outputs: &[Output]) -> (EffectId, Load) {
    let found = outputs.iter().find_map(|output| match output {
        Output::Load { effect, load } => Some((*effect, load.clone())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing is read: {outputs:?}"))
}

fn recording(outputs: &[Output]) -> (EffectId, Record) {
    let found = outputs.iter().find_map(|output| match output {
        Output::Record { effect, record } => Some((*effect, record.clone())),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing is recorded: {outputs:?}"))
}

fn heard(outputs: &[Output]) -> Vec<Value> {
    let frames = outputs.iter().filter_map(|output| match output {
        Output::Deliver { frames, .. } => Some(frames.iter()),
        _ => None,
    });
    frames.flatten().map(|frame| serde_json::from_str(frame.as_str()).unwrap()).collect()
}

/// The code of the only thing heard.
fn refused(outputs: &[Output]) -> String {
    let frames = heard(outputs);
    assert_eq!(frames.len(), 1, "{frames:?}");
    String::from(frames[0]["payload"]["code"].as_str().unwrap_or("no error"))
}

fn message(content: &str) -> ClientBody {
    ClientBody::UserMessage(UserMessage {
        client_msg_id: ClientMsgId::new("m1").unwrap(),
        content: content.into(),
        thread_id: None,
        multitask: MultitaskStrategy::Enqueue,
        on_disconnect: OnDisconnect::Continue,
        expected_head_seq: None,
        metadata: None,
    })
}

fn rating() -> ClientBody {
    ClientBody::Feedback(Feedback { message_id: MessageId(3), rating: 5, comment: None })
}

fn title(outputs: &[Output]) -> String {
    let found = outputs.iter().find_map(|output| match output {
        Output::Commit { batch, .. } => batch.new_thread.as_ref().map(|new| new.title.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no thread is made: {outputs:?}"))
}

#[test]
fn the_first_line_with_words_is_the_title_and_a_long_one_is_cut_at_a_word() {
    let sixty = "x".repeat(60);
    let words = format!("{} and more of it than fits", "word ".repeat(11).trim_end());
    let cases = [
        ("  \n\n Costs of May \nand more", String::from("Costs of May")),
        (&sixty, sixty.clone()),
        (&format!("{sixty}y"), format!("{sixty}…")),
        (&words, format!("{} and…", "word ".repeat(11).trim_end())),
        (&format!("{} b", "é".repeat(59)), format!("{} b", "é".repeat(59)).replace(" b", "…")),
    ];
    for (content, expected) in cases {
        assert_eq!(title(&Asking::new().ask(message(content))), expected, "{content}");
    }
    let create = ClientBody::Thread(ThreadCommand::Create { title: None, metadata: None });
    assert_eq!(title(&Asking::new().ask(create)), "New conversation");
}

#[test]
fn feedback_is_recorded_and_what_became_of_it_is_told() {
    let cases = [
        (Ok(true), None),
        (Ok(false), Some("thread_not_found")),
        (Err(Fault::Unknown), Some("storage_unavailable")),
    ];
    for (result, code) in cases {
        let mut asking = Asking::new();
        let (effect, record) = recording(&asking.ask(rating()));
        let wall = asking.now.wall;
        assert!(matches!(record, Record::Feedback { at, .. } if at == wall));
        let outputs = asking.input(Input::Recorded { effect, result });
        match code {
            Some(code) => assert_eq!(refused(&outputs), code),
            None => assert_eq!(heard(&outputs)[0]["payload"]["what"], "feedback"),
        }
        assert_eq!(asking.input(Input::Recorded { effect, result: Ok(true) }), [], "once");
        assert_eq!(asking.hub.ignored(), 1);
    }
}

#[test]
fn a_read_position_is_recorded_without_an_answer() {
    let mut asking = Asking::new();
    let body = ClientBody::Received { thread_id: THREAD, seq: Seq(4) };
    let (effect, record) = recording(&asking.ask(body));
    assert_eq!(record, Record::Position { thread_id: THREAD, seq: Seq(4) });
    assert_eq!(
        heard(&asking.input(Input::Recorded { effect, result: Ok(true) })),
        Vec::<Value>::new()
    );
}

#[test]
fn nothing_waits_for_an_approval_and_no_run_is_there_to_cancel() {
    let (run_id, naming) = (RunId(2), crate::wire::Naming { connection_id: ASKER, nth: 0 });
    let text = format!(
        r#"{{"type":"approval","payload":{{"request_id":"q","decision":"approve","run_id":"{run_id}"}}}}"#
    );
    let body = crate::wire::decode(&text, &Limits::default(), naming).unwrap().body;
    assert_eq!(refused(&Asking::new().ask(body)), "run_not_active");
    let cancel = ClientBody::CancelRun { run_id: None };
    assert_eq!(refused(&Asking::new().ask(cancel)), "run_not_found");
    let mut asking = Asking::new();
    let outputs = asking.ask(ClientBody::CancelRun { run_id: Some(RunId(9)) });
    let (effect, load) = loading(&outputs);
    assert_eq!(load, Load::Run { run_id: RunId(9) });
    let run = |status| Loaded::Run(Some(RunAt { thread_id: THREAD, status }));
    let answers = [
        (Ok(run(crate::wire::RunStatus::Completed)), "run_not_active"),
        (Ok(run(crate::wire::RunStatus::Running)), "degraded"),
        (Ok(Loaded::Run(None)), "run_not_found"),
        (Err(Fault::Unavailable), "storage_unavailable"),
    ];
    for (result, code) in answers {
        let mut asking = Asking { hub: asking.hub.clone(), now: asking.now };
        assert_eq!(refused(&asking.loaded(effect, result)), code);
    }
}

#[test]
fn the_list_of_threads_is_read_from_the_store() {
    let mut asking = Asking::new();
    let list = ClientBody::Thread(ThreadCommand::List { limit: 7 });
    let (effect, load) = loading(&asking.ask(list));
    assert_eq!(load, Load::Threads { limit: 7 });
    let thread = ThreadSummary {
        thread_id: THREAD,
        title: "Costs".into(),
        head: Seq(4),
        updated_at: Wall(0),
    };
    let outputs = asking.loaded(effect, Ok(Loaded::Threads(vec![thread])));
    let answer = &heard(&outputs)[0];
    let first = &answer["payload"]["result"]["threads"][0];
    assert_eq!(first["title"], "Costs", "{answer}");
    assert_eq!(first["head_seq"], 4);
    assert_eq!(first["updated_at"], "1970-01-01T00:00:00.000Z");
}

#[test]
fn a_history_is_read_by_pages_of_at_least_one_entry_and_at_most_the_bound() {
    let most = Limits::default().load_page;
    for (asked, read) in [(0, 1), (7, 7), (u32::MAX, most)] {
        let mut asking = Asking::new();
        let history = ThreadCommand::History { thread_id: THREAD, after_seq: Seq(2), limit: asked };
        let outputs = asking.ask_in_thread(ClientBody::Thread(history), 9);
        let (effect, load) = loading(&outputs);
        let (thread_id, after_seq) = (THREAD, Seq(2));
        let entries = Load::Entries { thread_id, after_seq, to_seq: Seq(u64::MAX), limit: read };
        assert_eq!(load, entries);
        let outputs = asking.loaded(effect, Ok(Loaded::Entries(vec![])));
        assert_eq!(heard(&outputs)[0]["payload"]["what"], "get_thread_history");
    }
}

#[test]
fn what_nobody_asked_and_who_is_not_attached_is_ignored() {
    let mut asking = Asking::new();
    let stranger = ConnectionId(99);
    let outputs = asking.input(Input::Command {
        connection_id: stranger,
        reply: Reply::None,
        body: rating(),
    });
    assert_eq!((outputs, asking.hub.ignored()), (vec![], 1));
    assert_eq!(asking.ask(ClientBody::Pong), []);
    assert_eq!(asking.hub.ignored(), 2);
    assert_eq!(asking.loaded(EffectId(99), Ok(Loaded::NoThread)), []);
    assert_eq!(asking.hub.ignored(), 3);
    assert_eq!(asking.hub.scope().user_id().as_str(), "ada");
}

#[test]
fn while_a_thread_is_read_commands_wait_to_the_bound_and_are_answered_together() {
    let mut asking = Asking::with(Limits { waiting_commands: 2, ..Limits::default() });
    let subscribe = || ClientBody::Subscribe { thread_id: THREAD, level: Level::Full };
    let (effect, _) = loading(&asking.ask(subscribe()));
    assert_eq!(asking.ask(subscribe()), []);
    assert_eq!(refused(&asking.ask(subscribe())), "overloaded");
    let outputs = asking.loaded(effect, Ok(Loaded::NoThread));
    let codes: Vec<_> =
        heard(&outputs).iter().map(|frame| frame["payload"]["code"].clone()).collect();
    assert_eq!(codes, ["thread_not_found", "thread_not_found"]);
}

#[test]
fn a_thread_that_cannot_be_read_refuses_who_waits_and_is_tried_again_when_asked() {
    let mut asking = Asking::new();
    let subscribe = || ClientBody::Subscribe { thread_id: THREAD, level: Level::Full };
    let (effect, _) = loading(&asking.ask(subscribe()));
    assert_eq!(refused(&asking.loaded(effect, Err(Fault::Unavailable))), "storage_unavailable");
    let (again, _) = loading(&asking.ask(subscribe()));
    assert_ne!(effect, again);
}

/// Connection by connection, which threads' transients reach it.
#[test]
fn a_reader_follows_so_many_threads_and_then_the_first_gives_way() {
    let mut asking = Asking::with(Limits { subscriptions_per_connection: 2, ..Limits::default() });
    for id in 1..=3 {
        let body = ClientBody::Subscribe { thread_id: ThreadId(id), level: Level::Full };
        let (effect, _) = loading(&asking.ask(body));
        let stored =
            StoredThread { epoch: Epoch(1), head: Seq(1), title: "T".into(), runs: vec![] };
        asking.loaded(effect, Ok(Loaded::Thread(stored)));
    }
    let followed: Vec<_> = asking.hub.connections[&ASKER].subscriptions.keys().copied().collect();
    assert_eq!(followed, [ThreadId(2), ThreadId(3)]);
    let unsubscribe = ClientBody::Unsubscribe { thread_id: ThreadId(2) };
    assert_eq!(heard(&asking.ask(unsubscribe))[0]["payload"]["what"], "unsubscribe");
    let followed: Vec<_> = asking.hub.connections[&ASKER].subscriptions.keys().copied().collect();
    assert_eq!(followed, [ThreadId(3)]);
}

#[test]
fn time_that_passes_in_an_idle_hub_changes_nothing() {
    let mut asking = Asking::new();
    asking.hub.handle_timeout(asking.now.after(Millis(1)));
    assert!(matches!(asking.hub.poll_output(), Output::Idle(_)));
}

/// Says something in a new thread and lets the store do all that follows; the run that starts.
fn starting(asking: &mut Asking, name: &str) -> RunId {
    let ClientBody::UserMessage(mut question) = message("Costs of May") else { unreachable!() };
    question.client_msg_id = ClientMsgId::new(name).unwrap();
    let mut outputs = asking.ask(ClientBody::UserMessage(question));
    let mut next = 1;
    for _ in 0..10 {
        let run = outputs.iter().find_map(|output| match output {
            Output::StartRun { assignment, .. } => Some(assignment.run_id),
            _ => None,
        });
        if let Some(run_id) = run {
            return run_id;
        }
        let (effect, entries) = outputs
            .iter()
            .find_map(|output| match output {
                Output::Commit { effect, batch } => Some((*effect, batch.entries.len() as u64)),
                _ => None,
            })
            .expect("the store is asked");
        let result = Ok(Committed::Done { first_seq: Seq(next) });
        next += entries;
        outputs = asking.input(Input::Committed { effect, result });
    }
    panic!("no run starts");
}

fn cancelled(outputs: &[Output]) -> Option<RunId> {
    outputs.iter().find_map(|output| match output {
        Output::CancelRun { run_id, .. } => Some(*run_id),
        _ => None,
    })
}

#[test]
fn a_cancel_without_a_name_means_the_only_run_and_nothing_when_there_are_two() {
    let mut asking = Asking::with(Limits { running_runs_per_user: 2, ..Limits::default() });
    let run_id = starting(&mut asking, "m1");
    let mut alone = Asking { hub: asking.hub.clone(), now: asking.now };
    let cancel = || ClientBody::CancelRun { run_id: None };
    assert_eq!(cancelled(&alone.ask(cancel())), Some(run_id));
    assert_ne!(starting(&mut asking, "m2"), run_id);
    assert_eq!(refused(&asking.ask(cancel())), "run_not_found");
}

#[test]
fn a_new_log_is_of_the_second_in_which_it_began() {
    let outputs = Asking::new().ask(message("Costs of May"));
    let epoch = outputs.iter().find_map(|output| match output {
        Output::Commit { batch, .. } => Some(batch.epoch),
        _ => None,
    });
    assert_eq!(epoch, Some(Epoch(1_795_255_873)));
}

#[test]
fn a_thread_that_was_deleted_is_read_again_before_it_is_believed_and_only_that_one() {
    let mut asking = Asking::new();
    let subscribe = || ClientBody::Subscribe { thread_id: THREAD, level: Level::Full };
    asking.ask_in_thread(subscribe(), 1);
    asking.ask(ClientBody::Unsubscribe { thread_id: THREAD });
    let delete = ClientBody::Thread(ThreadCommand::Delete { thread_id: THREAD });
    let (effect, record) = recording(&asking.ask(delete));
    assert_eq!(record, Record::DeleteThread { thread_id: THREAD });
    let outputs = asking.input(Input::Recorded { effect, result: Ok(true) });
    assert_eq!(heard(&outputs)[0]["payload"]["what"], "delete_thread");
    assert_eq!(loading(&asking.ask(subscribe())).1, Load::Thread { thread_id: THREAD });
}

#[test]
fn who_waits_in_a_thread_that_is_forgotten_is_told() {
    let mut asking = Asking::new();
    let rename = || {
        ClientBody::Thread(ThreadCommand::Rename {
            thread_id: THREAD,
            title: Some("May".into()),
            metadata: None,
        })
    };
    let outputs = asking.ask_in_thread(rename(), 1);
    let effect = outputs.iter().find_map(|output| match output {
        Output::Commit { effect, .. } => Some(*effect),
        _ => None,
    });
    assert_eq!(asking.ask(rename()), [], "it waits for the first");
    let lost = Input::Committed { effect: effect.unwrap(), result: Ok(Committed::Fenced) };
    let outputs = asking.input(lost);
    let codes: Vec<_> =
        heard(&outputs).iter().map(|frame| frame["payload"]["code"].clone()).collect();
    assert_eq!(codes, ["thread_not_found", "storage_unavailable"]);
}

fn batch(outputs: &[Output]) -> Batch {
    let found = outputs.iter().find_map(|output| match output {
        Output::Commit { batch, .. } => Some(batch.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("nothing is written: {outputs:?}"))
}

#[test]
fn the_digest_of_a_message_is_fnv_1a_of_its_content() {
    let batch = batch(&Asking::new().ask(message("a")));
    assert_eq!(batch.message.unwrap().digest, 0xaf63_dc4c_8601_ec8c);
}

#[test]
fn a_message_is_taken_at_the_head_it_expects_and_at_no_other() {
    for (expected, code) in [(9, None), (8, Some("thread_advanced")), (10, Some("thread_advanced"))]
    {
        let ClientBody::UserMessage(mut question) = message("more") else { unreachable!() };
        question.thread_id = Some(THREAD);
        question.expected_head_seq = Some(Seq(expected));
        let mut asking = Asking::new();
        let outputs = asking.ask_in_thread(ClientBody::UserMessage(question), 9);
        match code {
            None => assert_eq!(batch(&outputs).expected_head, Some(Seq(9))),
            Some(code) => {
                let (effect, load) = loading(&outputs);
                assert!(matches!(load, Load::Message { .. }), "was it said before?");
                assert_eq!(refused(&asking.loaded(effect, Ok(Loaded::Message(None)))), code);
            }
        }
    }
}

#[test]
fn the_end_of_a_waiting_run_is_written_behind_a_higher_fence() {
    let mut asking = Asking::with(Limits { running_runs_per_user: 1, ..Limits::default() });
    starting(&mut asking, "m1");
    let ClientBody::UserMessage(mut question) = message("more") else { unreachable!() };
    question.client_msg_id = ClientMsgId::new("m2").unwrap();
    let outputs = asking.ask(ClientBody::UserMessage(question));
    let run_id = batch(&outputs).message.unwrap().run_id;
    assert_eq!(batch(&outputs).runs, [], "it only waits");
    let effect = outputs.iter().find_map(|output| match output {
        Output::Commit { effect, .. } => Some(*effect),
        _ => None,
    });
    let result = Ok(Committed::Done { first_seq: Seq(1) });
    asking.input(Input::Committed { effect: effect.unwrap(), result });
    let ended = batch(&asking.ask(ClientBody::CancelQueued { run_id }));
    assert_eq!(ended.runs[0].status, crate::wire::RunStatus::Cancelled);
    assert_eq!(ended.runs[0].fence, crate::id::Fence(1));
}

#[path = "writing_tests.rs"]
mod writing;
