//! Who asks for the end of a run, what is kept of it, and what they hear.

use super::*;
use crate::run::CancelReason;
use crate::wire::{ErrorCode, ErrorInfo};

fn cancel(run_id: RunId) -> ClientBody {
    ClientBody::CancelRun { run_id: Some(run_id) }
}

fn interrupting(name: &str, thread_id: ThreadId) -> UserMessage {
    UserMessage { multitask: MultitaskStrategy::Interrupt, ..question(name, Some(thread_id)) }
}

fn failed() -> Event {
    let error = ErrorInfo::new(ErrorCode::AgentFailed, "why");
    Event::RunFailed { error, user_message: "sorry".into(), duration_ms: 1 }
}

/// The wishes kept with a batch.
fn kept(batch: &Batch) -> Vec<CancelReason> {
    batch.cancels.iter().map(|cancel| cancel.reason).collect()
}

impl Asking {
    fn says(
        &mut self,
        (run_id, fence, thread_id): (RunId, Fence, ThreadId),
        event: Event,
    ) -> Vec<Output> {
        self.input(Input::Append { run_id, fence, drafts: vec![of_run(run_id, thread_id, event)] })
    }

    /// How many cancels wait before one is refused.
    fn cancels_before_overload(&mut self, run_id: RunId) -> usize {
        for waiting in 0..10 {
            let heard = heard(&self.ask(cancel(run_id)));
            if let [frame] = &heard[..] {
                assert_eq!(frame["payload"]["code"], "overloaded");
                return waiting;
            }
            assert_eq!(heard, Vec::<Value>::new());
        }
        panic!("nobody is refused");
    }
}

#[test]
fn a_cancel_is_kept_and_then_acknowledged_and_once_kept_at_once() {
    let mut asking = Asking::new();
    let run = asking.at_work();
    let outputs = asking.ask(cancel(run.0));
    assert_eq!(types(&outputs), Vec::<String>::new(), "not before it is kept");
    assert_eq!(kept(&commit(&outputs).unwrap().1), [CancelReason::User]);
    assert_eq!(types(&asking.store(&outputs)), ["ack"]);
    assert!(commit(&asking.says(run, plan())).is_some());
    let again = asking.ask(cancel(run.0));
    assert_eq!(types(&again), ["ack"], "it waits behind nothing that is being written");
}

#[test]
fn what_an_interrupt_has_kept_is_not_written_again_for_a_cancel() {
    let mut asking = Asking::new();
    let run = asking.at_work();
    let outputs = asking.say(interrupting("m2", run.2));
    assert_eq!(kept(&commit(&outputs).unwrap().1), [CancelReason::Interrupt]);
    assert_eq!(types(&asking.ask(cancel(run.0))), Vec::<String>::new());
    let outputs = asking.store(&outputs);
    assert_eq!(types(&outputs), ["ack", "user_message", "run_queued", "ack"]);
    assert_eq!(commit(&outputs), None);
}

#[test]
fn the_wish_that_nobody_was_promised_is_not_kept() {
    let mut asking = Asking::new();
    let mut leaving = question("m1", None);
    leaving.on_disconnect = OnDisconnect::Cancel;
    let outputs = asking.say(leaving);
    let (_, batch) = commit(&outputs).unwrap();
    let assigned = asking.store(&outputs);
    let run_id = starts_run(&assigned).unwrap().run_id;
    let fence = asking.open(batch.thread_id).running.as_ref().unwrap().fence;
    let outputs = asking.input(Input::Detach { connection_id: ASKER });
    assert_eq!(cancelled(&outputs), Some(run_id));
    let (_, batch) = commit(&asking.says((run_id, fence, batch.thread_id), plan())).unwrap();
    assert_eq!(kept(&batch), []);
}

#[test]
fn a_run_whose_claim_is_not_ours_is_interrupted_without_a_promise() {
    let mut asking = Asking::new();
    let (run_id, fence, thread_id) = asking.at_work();
    asking.input(Input::RunStopped { run_id, fence });
    let (_, batch) = commit(&asking.say(interrupting("m2", thread_id))).unwrap();
    assert_eq!(kept(&batch), []);

    let mut ending = Asking::new();
    let run = ending.at_work();
    let outputs = ending.says(run, plan());
    ending.say(interrupting("m2", run.2));
    ending.says(run, failed());
    let (_, batch) = commit(&ending.store(&outputs)).unwrap();
    assert!(batch.message.is_some());
    assert_eq!(kept(&batch), [], "its end is on its way");
}

#[test]
fn so_many_wait_for_the_end_of_a_run_and_no_more() {
    let tight = || Asking::with(Limits { waiting_commands: 2, ..Limits::default() });

    let mut ending = tight();
    let run = ending.at_work();
    let outputs = ending.says(run, failed());
    assert_eq!(ending.cancels_before_overload(run.0), 2, "on its way into the log");
    let codes: Vec<_> = heard(&ending.store(&outputs))
        .into_iter()
        .filter_map(|frame| Some(frame["payload"].get("code")?.clone()))
        .collect();
    assert_eq!(codes, ["run_not_active", "run_not_active"], "it was over");

    let mut busy = tight();
    let run = busy.at_work();
    busy.says(run, plan());
    assert_eq!(busy.cancels_before_overload(run.0), 2, "behind what is being written");

    let mut replaced = tight();
    let (run_id, fence, _) = replaced.at_work();
    replaced.input(Input::RunStopped { run_id, fence });
    assert_eq!(replaced.cancels_before_overload(run_id), 2, "until it is claimed again");
}

#[test]
fn messages_to_a_thread_that_is_not_written_yet_wait_to_the_bound() {
    let mut asking = Asking::with(Limits { waiting_commands: 2, ..Limits::default() });
    let own = ThreadId::of(ASKER);
    let (effect, _) = loading(&asking.say(question("m1", Some(own))));
    assert!(commit(&asking.loaded(effect, Ok(Loaded::NoThread))).is_some());
    for name in ["m2", "m3"] {
        assert_eq!(asking.say(question(name, Some(own))), []);
    }
    assert_eq!(refused(&asking.say(question("m4", Some(own)))), "overloaded");
}
