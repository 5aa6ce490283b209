//! What is read from the store: for a reader, and to go on after a crash.

use super::*;
use crate::hub::state::PageWeight;
use crate::wire::{EntryBody, ResumePoint};

fn point(after: u64) -> ResumePoint {
    ResumePoint { thread_id: THREAD, epoch: None, after_seq: Seq(after) }
}

fn resume(after: u64) -> ClientBody {
    ClientBody::Resume { threads: vec![point(after)] }
}

fn titled(seq: u64) -> (Seq, EntryBody) {
    let mut draft = of_run(RunId(2), THREAD, Event::ThreadUpdated { title: "T".into() });
    draft.scope = None;
    (Seq(seq), draft.encode())
}

#[test]
fn the_entries_of_a_history_are_in_the_answer() {
    let mut asking = Asking::new();
    let history = ThreadCommand::History { thread_id: THREAD, after_seq: Seq(2), limit: 5 };
    let (effect, _) = loading(&asking.ask_in_thread(ClientBody::Thread(history), 9));
    let outputs = asking.loaded(effect, Ok(Loaded::Entries(vec![titled(3), titled(4)])));
    let answer = heard(&outputs).swap_remove(0);
    let entries = answer["payload"]["result"]["entries"].as_array().unwrap();
    let seqs: Vec<_> = entries.iter().map(|entry| entry["seq"].as_u64()).collect();
    assert_eq!(seqs, [Some(3), Some(4)]);
    assert_eq!(entries[0]["type"], "thread_updated");
}

#[test]
fn a_thread_is_replayed_from_its_head_back_to_the_bound_and_not_further() {
    let cases = [(10, Some("cursor_invalid")), (9, None), (4, None), (3, Some("replay_too_large"))];
    for (after, reason) in cases {
        let mut asking = Asking::with(Limits { replay_entries: 5, ..Limits::default() });
        let answer = heard(&asking.ask_in_thread(resume(after), 9)).swap_remove(0);
        let resumed = &answer["payload"]["threads"][0];
        assert_eq!(resumed["recovered"], reason.is_none(), "{after}");
        assert_eq!(resumed["reason"].as_str(), reason, "{after}");
    }
}

#[test]
fn runs_that_asked_for_it_are_cancelled_with_the_last_reader_and_not_before() {
    let mut asking = Asking::new();
    let mut careful = question("m1", None);
    careful.on_disconnect = OnDisconnect::Cancel;
    let outputs = asking.say(careful);
    let outputs = asking.store(&outputs);
    let run_id = starts_run(&outputs).unwrap().run_id;
    let second = ConnectionId(2);
    asking.attach(second);
    assert_eq!(cancelled(&asking.input(Input::Detach { connection_id: second })), None);
    assert_eq!(cancelled(&asking.input(Input::Detach { connection_id: ASKER })), Some(run_id));
}

/// DLV-21: it is no open window yet, and will be one that must not have missed it.
#[test]
fn a_thread_that_begins_while_a_window_comes_is_followed_by_it_from_its_first_entry() {
    let mut asking = Asking::new();
    let coming = ConnectionId(2);
    let resume = vec![point(0)];
    let attach = Input::Attach { connection_id: coming, resume, reader: true };
    let (effect, _) = loading(&asking.input(attach));
    let outputs = asking.say(question("m1", None));
    let of_coming = |output: &Output| match output {
        Output::Attached { connection_id, .. } | Output::Deliver { connection_id, .. } => {
            *connection_id == coming
        }
        _ => false,
    };
    let outputs = asking.store(&outputs);
    let thread_id = starts_run(&outputs).unwrap().thread_id;
    assert!(!outputs.iter().any(of_coming), "nothing comes before it is attached");
    let head = Seq(0);
    let none = StoredThread { epoch: Epoch(1), head, title: "T".into(), runs: vec![] };
    let outputs = asking.loaded(effect, Ok(Loaded::Thread(none)));
    assert!(outputs.iter().any(|output| matches!(output, Output::Attached { .. })), "{outputs:?}");
    let (_, load) = loading(&outputs);
    let (after_seq, limit) = (Seq(0), Limits::default().load_page);
    assert_eq!(load, Load::Entries { thread_id, after_seq, to_seq: Seq(4), limit });
    assert!(asking.hub.connections[&coming].begun.is_empty());
}

#[test]
fn heads_are_told_one_interval_after_the_first_change() {
    let mut asking = Asking::new();
    let (run_id, fence, thread_id) = asking.at_work();
    let first = asking.hub.heads_at;
    assert_eq!(first, Some(asking.now.mono.after(Limits::default().heartbeat_interval)));
    asking.now = asking.now.after(Millis(10));
    let drafts = vec![of_run(run_id, thread_id, plan())];
    let outputs = asking.input(Input::Append { run_id, fence, drafts });
    asking.store(&outputs);
    assert_eq!(asking.hub.heads_at, first, "a change after it does not put it off");
}

#[test]
fn a_page_that_could_not_be_read_is_asked_for_again_after_a_while() {
    let mut asking = Asking::new();
    let (effect, _) = loading(&asking.ask_in_thread(resume(0), 9));
    asking.loaded(effect, Err(Fault::Unavailable));
    let pause = Limits::default().store_retry_max;
    let read_after = |span: u64| {
        let mut hub = asking.hub.clone();
        hub.read_on(asking.now.after(Millis(span)), THREAD);
        matches!(hub.poll_output(), Output::Load { .. })
    };
    assert!(!read_after(0));
    assert!(!read_after(pause.0 - 1));
    assert!(read_after(pause.0));
}

#[test]
fn a_log_that_ends_before_its_head_is_read_no_further() {
    let mut asking = Asking::new();
    let (effect, _) = loading(&asking.ask_in_thread(resume(0), 9));
    let outputs = asking.loaded(effect, Ok(Loaded::Entries(vec![])));
    assert_eq!(refused(&outputs), "thread_not_found");
    assert!(asking.reading().subscriptions.is_empty());
}

#[test]
fn each_page_has_its_own_mark_and_weighs_until_it_is_read() {
    let mut asking = Asking::new();
    let (mut effect, _) = loading(&asking.ask_in_thread(resume(0), 9));
    let mut marks = Vec::new();
    for page in [1..=3, 4..=6, 7..=9] {
        let entries: Vec<_> = page.map(titled).collect();
        let bytes = entries.iter().map(|(_, body)| body.bytes().len()).sum();
        let outputs = asking.loaded(effect, Ok(Loaded::Entries(entries)));
        assert_eq!(asking.reading().unread(), PageWeight { frames: 3, bytes });
        let mark = outputs.iter().find_map(|output| match output {
            Output::Mark { mark, .. } => Some(*mark),
            _ => None,
        });
        let mark = mark.unwrap();
        assert!(!marks.contains(&mark), "{mark} again");
        marks.push(mark);
        let outputs = asking.input(Input::Marked { connection_id: ASKER, mark });
        assert_eq!(asking.reading().unread(), PageWeight::default());
        if marks.len() < 3 {
            (effect, _) = loading(&outputs);
        }
    }
}

const LEFT: RunId = RunId(2);

fn left_behind() -> StoredRun {
    StoredRun {
        run_id: LEFT,
        thread_id: THREAD,
        message_id: MessageId(3),
        message_seq: Seq(1),
        status: RunStatus::Running,
        fence: Fence(3),
        on_disconnect: OnDisconnect::Continue,
        cancel: None,
    }
}

fn stored() -> Loaded {
    let (title, runs) = ("T".into(), vec![left_behind()]);
    Loaded::Thread(StoredThread { epoch: Epoch(1), head: Seq(5), title, runs })
}

/// The log of the run that was left behind: it was begun twice, and said one thing.
fn log(said: Event) -> Vec<(Seq, EntryBody)> {
    let started = |attempt| Event::RunStarted { attempt, deadline_at: Wall(0) };
    let asked = Event::UserMessage {
        message_id: MessageId(3),
        client_msg_id: ClientMsgId::new("m1").unwrap(),
        content: "Costs of May".into(),
        metadata: None,
    };
    let queued = Event::RunQueued {
        message_id: MessageId(3),
        position: 0,
        on_disconnect: OnDisconnect::Continue,
    };
    let events = [asked, queued, started(1), said, started(2)];
    let placed = events.into_iter().zip(1..).map(|(event, seq)| {
        let draft = Draft { ts: Wall(100 * seq), ..of_run(LEFT, THREAD, event) };
        (Seq(seq), draft.encode())
    });
    placed.collect()
}

/// Reads the thread of the run that was left behind, and then asks for its log.
fn recovering() -> (Asking, EffectId) {
    let mut asking = Asking::new();
    let (effect, load) = loading(&asking.input(Input::Recover { runs: vec![left_behind()] }));
    assert_eq!(load, Load::Thread { thread_id: THREAD });
    let (effect, load) = loading(&asking.loaded(effect, Ok(stored())));
    assert!(matches!(load, Load::Entries { after_seq: Seq(0), to_seq: Seq(5), .. }));
    (asking, effect)
}

#[test]
fn a_run_left_behind_goes_on_with_what_its_log_has() {
    let (mut asking, effect) = recovering();
    let outputs = asking.loaded(effect, Ok(Loaded::Entries(log(plan()))));
    assert_eq!(commit(&outputs).unwrap().1.runs[0].fence, Fence(4));
    let outputs = asking.store(&outputs);
    let assignment = starts_run(&outputs).unwrap();
    assert_eq!(assignment.question, "Costs of May");
    assert_eq!((assignment.attempt, assignment.started_at), (3, Wall(300)));
    let said: Vec<&Entry> = assignment.history.iter().collect();
    assert_eq!(said.len(), 1);
    assert_eq!((said[0].seq, &said[0].event), (Seq(4), &plan()));
}

#[test]
fn a_log_out_of_order_is_not_gone_on_with() {
    let (mut asking, effect) = recovering();
    let mut broken = log(thought());
    broken.extend(log(plan()).into_iter().skip(3).take(1).map(|(_, body)| (Seq(6), body)));
    let outputs = asking.loaded(effect, Ok(Loaded::Entries(broken)));
    let (_, batch) = commit(&outputs).unwrap();
    assert_eq!(events(&batch).last(), Some(&"run_interrupted"));
    assert_eq!(starts_run(&asking.store(&outputs)), None);
}

#[test]
fn the_answer_to_an_older_reading_of_a_log_is_ignored() {
    let (mut asking, first) = recovering();
    asking.hub.heal(THREAD);
    let (effect, _) = loading(&asking.drained());
    let (second, _) = loading(&asking.loaded(effect, Ok(stored())));
    assert_ne!(first, second);
    let page = || Ok(Loaded::Entries(log(plan())));
    assert!(commit(&asking.loaded(first, page())).is_some());
    let ignored = asking.hub.ignored();
    assert_eq!(asking.loaded(second, page()), []);
    assert_eq!(asking.hub.ignored(), ignored + 1);
}

#[test]
fn a_run_that_is_known_is_not_read_again() {
    let mut asking = Asking::new();
    let (run_id, _, thread_id) = asking.at_work();
    let known = StoredRun { run_id, thread_id, ..left_behind() };
    assert_eq!(asking.input(Input::Recover { runs: vec![known] }), []);
    let unknown = StoredRun { thread_id, ..left_behind() };
    let (_, load) = loading(&asking.input(Input::Recover { runs: vec![unknown] }));
    assert_eq!(load, Load::Thread { thread_id });
}
