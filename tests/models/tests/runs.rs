//! One hub and its runs: a second message that waits, is refused or interrupts; cancel; time limits;
//! agents that say nothing; results that come late or twice; tasks that die.

use goldenpath_core::wire::MultitaskStrategy;
use goldenpath_models::{Bounded, Fault, Healing, State};
use goldenpath_simulator::{Op, Setup, Talk, Witness, Work};
use stateright::Property;

const FIRST: Op = Op::Say(0, Talk::new(0, None));
const CANCEL: Op = Op::Cancel(0);

const fn second(strategy: MultitaskStrategy) -> Op {
    Op::Say(0, Talk::new(1, Some(0)).with(strategy))
}

/// One hub with one reader, who has these wishes; one fault at most.
fn one_hub(
    work: Work,
    wishes: &[&[Op]],
    faults: &[(Fault, u8)],
    sometimes: fn() -> Vec<Property<Bounded>>,
) -> Bounded {
    Bounded {
        setup: Setup { work, wall_stands: true, ..Setup::default() },
        wishes: wishes.iter().map(|one| one.to_vec()).collect(),
        faults: faults.to_vec(),
        at_most: 1,
        outbox: usize::MAX,
        quick: false,
        readers: vec![0],
        sometimes,
        healing: Healing::default(),
    }
}

fn in_the_end_of_one() -> Vec<Property<Bounded>> {
    vec![
        Property::sometimes("a run is cancelled", |_, s: &State| {
            s.world.seen.0.has(Witness::Cancelled)
        }),
        Property::sometimes("a process dies after a cancel was accepted", |_, s: &State| {
            s.world.seen.0.has(Witness::Crashed) && !s.world.cancels.is_empty()
        }),
        Property::sometimes("a run is out of time", |_, s: &State| {
            s.world.seen.0.has(Witness::TimedOut)
        }),
        Property::sometimes("a write is answered twice", |_, s: &State| {
            s.world.seen.0.has(Witness::Repeated)
        }),
        Property::sometimes("a result comes when nobody waits for it", |_, s: &State| {
            s.spent(Fault::LateTool) > 0
        }),
        Property::sometimes("an agent speaks that was stopped", |_, s: &State| {
            s.spent(Fault::LateAgent) > 0 && s.world.seen.0.has(Witness::StoppedAgent)
        }),
        Property::sometimes("a task is replaced", |_, s: &State| {
            s.world.nodes[0].tasks.values().any(|task| task.fence.0 > 1)
        }),
        Property::sometimes("a task of the past speaks", |_, s: &State| {
            s.world.nodes[0].hub.as_ref().is_some_and(|hub| hub.ignored() > 0)
        }),
    ]
}

/// One question, the real run with its agents and a tool: silence, failure, repetition, death, cancel.
#[test]
fn whatever_agents_and_tools_do_a_run_has_one_end() {
    let wishes: &[&[Op]] = &[&[FIRST], &[FIRST, CANCEL]];
    let faults = [
        (Fault::Crash, 1),
        (Fault::Die, 1),
        (Fault::DoneUnheard, 1),
        (Fault::Down, 1),
        (Fault::Ghost, 1),
        (Fault::LateAgent, 1),
        (Fault::LateTool, 1),
        (Fault::Pass, 4),
        (Fault::Repeat, 1),
        (Fault::ToolFails, 1),
    ];
    let model = one_hub(Work::Team, wishes, &faults, in_the_end_of_one);
    model.prove("runs_of_agents");
}

fn of_tools() -> Vec<Property<Bounded>> {
    vec![
        Property::sometimes("a tool fails twice", |m: &Bounded, s: &State| {
            s.spent(Fault::ToolFails) == 2 && s.is_over(m)
        }),
        Property::sometimes("a result comes when nobody waits for it", |_, s: &State| {
            s.spent(Fault::LateTool) > 0
        }),
        Property::sometimes(
            "a tool fails, and something is said to its run twice",
            |_, s: &State| s.spent(Fault::ToolFails) == 1 && s.spent(Fault::Repeat) == 1,
        ),
    ]
}

/// One question, and two things go wrong with its tool: it fails, answers twice, or too late.
#[test]
fn however_a_tool_fails_twice_a_run_has_one_end() {
    let wishes: &[&[Op]] = &[&[FIRST]];
    let faults = [
        (Fault::Die, 1),
        (Fault::LateTool, 1),
        (Fault::Pass, 4),
        (Fault::Repeat, 1),
        (Fault::ToolFails, 2),
    ];
    let model = one_hub(Work::Team, wishes, &faults, of_tools);
    let model = Bounded { at_most: 2, ..model };
    model.prove("runs_of_tools");
}

fn of_two() -> Vec<Property<Bounded>> {
    vec![
        Property::sometimes("a run is cancelled", |_, s: &State| {
            s.world.seen.0.has(Witness::Cancelled)
        }),
        Property::sometimes("a run waits for another", |_, s: &State| {
            s.world.seen.0.has(Witness::Waited)
        }),
        Property::sometimes("a message is refused", |_, s: &State| {
            s.world.seen.0.has(Witness::Rejected)
        }),
        Property::sometimes("a task is stopped by force", |_, s: &State| {
            s.world.seen.0.has(Witness::Killed)
        }),
        Property::sometimes("a task of the past speaks", |_, s: &State| {
            s.world.seen.0.has(Witness::Ghost)
        }),
    ]
}

/// Two messages for one thread; the second one waits, is refused, or interrupts.
#[test]
fn whatever_becomes_of_a_second_message_one_run_is_at_work() {
    let wishes: &[&[Op]] = &[
        &[FIRST, second(MultitaskStrategy::Enqueue), CANCEL],
        &[FIRST, second(MultitaskStrategy::Reject)],
        &[FIRST, second(MultitaskStrategy::Interrupt)],
    ];
    let faults = [
        (Fault::Crash, 1),
        (Fault::Die, 1),
        (Fault::DoneUnheard, 1),
        (Fault::Down, 1),
        (Fault::Ghost, 1),
        (Fault::Pass, 1),
        (Fault::Repeat, 1),
    ];
    let model = one_hub(Work::Answer, wishes, &faults, of_two);
    model.prove("runs_of_two_messages");
}

fn of_effects() -> Vec<Property<Bounded>> {
    vec![
        Property::sometimes("a tool is called that cannot be called again", |_, s: &State| {
            !s.world.effects.is_empty()
        }),
        Property::sometimes("a process dies after it was called", |_, s: &State| {
            s.world.seen.0.has(Witness::Crashed)
                && !s.world.effects.is_empty()
                && s.world.nodes[0].tasks.values().any(|task| task.fence.0 > 1)
        }),
    ]
}

/// One question, the real run with a tool that must not be called twice; the process or the task dies
/// at any moment, and the store loses writes and answers.
#[test]
fn whenever_a_process_dies_an_effect_that_cannot_be_repeated_happens_at_most_once() {
    let wishes: &[&[Op]] = &[&[FIRST], &[FIRST, CANCEL]];
    let faults = [
        (Fault::Crash, 2),
        (Fault::Die, 1),
        (Fault::DoneUnheard, 1),
        (Fault::LostUnheard, 1),
        (Fault::Pass, 1),
        (Fault::Repeat, 1),
        (Fault::ToolFails, 1),
    ];
    let model = one_hub(Work::Effects, wishes, &faults, of_effects);
    let model = Bounded { at_most: 2, ..model };
    model.prove("runs_of_effects");
}

fn of_replaced_tasks() -> Vec<Property<Bounded>> {
    vec![
        Property::sometimes("a task is replaced", |_, s: &State| {
            s.world.nodes[0].tasks.values().any(|task| task.fence.0 > 1)
        }),
        Property::sometimes("the replaced one speaks while the new one works", |_, s: &State| {
            s.world.seen.0.has(Witness::Ghost) && !s.world.nodes[0].tasks.is_empty()
        }),
    ]
}

/// One question; its task is replaced, and goes on to speak.
#[test]
fn whatever_a_replaced_task_says_nobody_hears_it() {
    let wishes: &[&[Op]] = &[&[FIRST]];
    let faults = [(Fault::Die, 1), (Fault::Ghost, 2), (Fault::DoneUnheard, 1)];
    let model = one_hub(Work::FiveKinds, wishes, &faults, of_replaced_tasks);
    let model = Bounded { at_most: 3, ..model };
    model.prove("runs_of_replaced_tasks");
}
