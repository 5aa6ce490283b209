//! The ends of a run: exactly one terminal event, after everything open has been closed.

use super::supervise::{Outcome, Step};
use super::{CancelReason, Closing, Grammar, Output, Run};
use crate::id::MessageId;
use crate::time::Now;
use crate::wire::{AgentStatus, ErrorCode, ErrorInfo, Event, RunStatus, ToolCount, Usage};
use alloc::format;
use alloc::string::String;

impl Run {
    /// All steps are done: the report's answer ends the run, or its absence does.
    pub(super) fn conclude(&mut self, now: Now) {
        let Some(Step::Done(report)) = self.steps.last() else { return };
        let summary = report.finish.summary.clone();
        if !self.answered {
            let error = report.error.clone().unwrap_or_else(|| {
                ErrorInfo::new(ErrorCode::AgentFailed, "the report came without an answer")
            });
            return self.fail(now, error);
        }
        if let Some(agent) = self.overtime.clone() {
            self.complete_supervisor(now, AgentStatus::TimedOut, summary);
            let duration_ms = self.age_ms(now);
            let event = Event::RunTimedOut { agent: Some(agent), duration_ms, partial: true };
            return self.end(now, Closing::TimedOut, event, false);
        }
        let whole = self.steps.iter().all(|step| match step {
            Step::Done(outcome) => outcome.status == AgentStatus::Completed,
            Step::Waiting | Step::Open(_) => false,
        });
        //= specs/runs.md#run-26
        //# A step that fails MUST NOT end the run: it goes on without its result and ends
        //# `degraded`.
        let (run, agent) = if whole {
            (RunStatus::Completed, AgentStatus::Completed)
        } else {
            (RunStatus::Degraded, AgentStatus::Degraded)
        };
        self.complete_supervisor(now, agent, summary);
        let (duration_ms, usage) = (self.age_ms(now), self.usage);
        let event = Event::RunCompleted { status: run, duration_ms, usage };
        self.end(now, Closing::Failed, event, false);
    }

    /// Even the report has nothing to say; what there is is kept.
    fn fail(&mut self, now: Now, error: ErrorInfo) {
        let partial = self.say_what_there_is(now, "the report could not be made");
        let duration_ms = self.age_ms(now);
        if let Some(agent) = self.overtime.clone() {
            let event = Event::RunTimedOut { agent: Some(agent), duration_ms, partial };
            return self.end(now, Closing::TimedOut, event, false);
        }
        let user_message = String::from(error.code.user_message());
        let event = Event::RunFailed { error, user_message, duration_ms };
        self.end(now, Closing::Failed, event, false);
    }

    /// The whole run is past its limit (RUN-11).
    pub(super) fn out_of_time(&mut self, now: Now) {
        let at_work = self.at_work().map(|(index, _)| self.spec(index).agent.clone());
        let agent = self.overtime.clone().or(at_work);
        let partial = self.say_what_there_is(now, "the time for it was over");
        let duration_ms = self.age_ms(now);
        self.end(now, Closing::TimedOut, Event::RunTimedOut { agent, duration_ms, partial }, false);
    }

    /// Only the report may still work: whoever else does ends timed out.
    pub(super) fn go_into_overtime(&mut self, now: Now) {
        if self.overtime.is_some() || self.is_reporting() {
            return;
        }
        if let Some((index, agent_run_id)) = self.at_work() {
            self.overtime = Some(self.spec(index).agent.clone());
            self.agent_timed_out(now, agent_run_id, Closing::TimedOut);
        }
    }

    /// Stops everything at once; nobody is waited for (RUN-09).
    pub(super) fn cancel(&mut self, now: Now, reason: CancelReason) -> bool {
        let duration_ms = self.age_ms(now);
        let event = Event::RunCancelled { reason: reason.as_str().into(), duration_ms };
        self.end(now, Closing::Cancelled, event, false);
        true
    }

    /// The run cannot be continued from its log; asking again is offered.
    pub(super) fn interrupt(&mut self, now: Now, reason: &str) {
        let event = Event::RunInterrupted { reason: reason.into(), retryable: true };
        self.end(now, Closing::Interrupted, event, true);
    }

    fn end(&mut self, now: Now, how: Closing, terminal: Event, synthesized: bool) {
        let agents: alloc::vec::Vec<_> = self.agents.keys().copied().collect();
        for agent_run_id in agents {
            self.abort_tools(agent_run_id);
            self.stop_code(agent_run_id);
        }
        self.past.clear();
        let empty = Grammar::new(self.assignment.run_id);
        let mut grammar = core::mem::replace(&mut self.grammar, empty);
        //= specs/runs.md#run-33
        //# Cancelling MUST close everything a run has open.
        let drafts = grammar.close(how, terminal, &mut self.desk(now, synthesized));
        self.grammar = grammar;
        self.append_closed(drafts);
        if let Some(status) = self.ended() {
            self.outputs.push_back(Output::Ended(status));
        }
    }

    fn complete_supervisor(&mut self, now: Now, status: AgentStatus, summary: String) {
        let Some(supervisor) = self.supervisor.clone() else { return };
        let Some(open) = self.grammar.agent(supervisor.agent_run_id) else { return };
        let event = Event::AgentCompleted {
            status,
            duration_ms: now.wall.since(open.started).as_millis(),
            summary,
            output: None,
            error: None,
            usage: Usage::default(),
            tools: ToolCount::default(),
        };
        self.append(now, Some(supervisor), event, false);
    }

    /// Stores the report's answer, unless it is empty.
    pub(super) fn answer_question(&mut self, now: Now, answer: &str) {
        if !answer.trim().is_empty() {
            self.say(now, answer.into(), self.overtime.is_some());
        }
    }

    /// Stores an answer, once.
    fn say(&mut self, now: Now, content: String, partial: bool) {
        if !self.answered {
            self.answered = true;
            let message_id = MessageId::draw(&mut self.seed, now.wall);
            self.append(now, None, Event::AssistantMessage { message_id, content, partial }, false);
        }
    }

    /// The partial answer of a run without a report: what its agents had finished, in their own words.
    /// Whether there is one.
    //= specs/runs.md#run-20
    //# A run that is out of time MUST keep the answer there is, marked as partial.
    fn say_what_there_is(&mut self, now: Now, why: &str) -> bool {
        let mut finished = String::new();
        let mut missing = String::new();
        for (index, step) in self.steps.iter().enumerate() {
            let title = &self.spec(index).title;
            match step {
                Step::Done(Outcome { finish, status, .. }) => {
                    let line = format!("- **{title}**: {}\n", finish.summary);
                    match status {
                        AgentStatus::Completed | AgentStatus::Degraded => finished += &line,
                        AgentStatus::Failed
                        | AgentStatus::TimedOut
                        | AgentStatus::Cancelled
                        | AgentStatus::Skipped => missing += &line,
                    }
                }
                Step::Open(_) => missing += &format!("- **{title}**: was at work\n"),
                Step::Waiting => missing += &format!("- **{title}**: had not begun\n"),
            }
        }
        if finished.is_empty() {
            return self.answered;
        }
        let mut text = format!("This answer is incomplete: {why}.\n\nFinished:\n\n{finished}");
        if !missing.is_empty() {
            text += &format!("\nNot finished:\n\n{missing}");
        }
        self.say(now, text, true);
        true
    }
}

impl CancelReason {
    /// The word in `run_cancelled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::Interrupt => "interrupt",
            Self::User => "user",
        }
    }
}
