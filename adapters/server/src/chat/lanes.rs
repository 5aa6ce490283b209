//! The agents of a run, each in its lane: what it does now, or how it ended.

use super::screen::one_line;
use goldenpath_core::id::AgentRunId;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{AgentRef, AgentStatus, Entry, Event, ToolStatus};

/// What is known of a run, for showing it.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    plan: Option<String>,
    waiting: Option<u32>,
    /// A word about the connection or the user's wish.
    pub(super) notice: Option<String>,
}

#[derive(Debug)]
struct Lane {
    id: AgentRunId,
    depth: usize,
    name: String,
    started: Wall,
    doing: Doing,
}

#[derive(Debug)]
enum Doing {
    Work(String),
    Ended(AgentStatus, String, u64),
}

impl Lanes {
    /// Takes an entry of the run in; returns its line for those who read events one by one.
    pub(super) fn apply(&mut self, entry: &Entry) -> Option<String> {
        let name = entry.agent.as_ref().map_or("", |agent| agent.name.as_str());
        let line = |what: &str, words: &str| Some(format!("{name:<14} {what:<10} {words}"));
        match &entry.event {
            Event::RunQueued { position, .. } => {
                // Position 0 is no waiting: it starts with the next entry.
                self.waiting = Some(*position).filter(|before| *before > 0);
                self.waiting.map(|before| format!("waiting, {before} before"))
            }
            Event::RunStarted { .. } => {
                self.waiting = None;
                None
            }
            Event::RunPlan { route, steps } => {
                let names: Vec<&str> = steps.iter().map(|step| step.agent.as_str()).collect();
                let plan = format!("plan ({route}): {}", names.join(" → "));
                self.plan = Some(plan.clone());
                Some(plan)
            }
            Event::AgentStarted { title, .. } => {
                self.begin(entry.agent.as_ref()?, entry.ts, title);
                line("started", title)
            }
            Event::AgentThinking { text, .. } => {
                self.works(entry, text.clone());
                line("thinking", text)
            }
            Event::ToolExecuting { tool, title, .. } => {
                self.works(entry, format!("{title} ({tool})"));
                line("tool", &format!("{title} ({tool})"))
            }
            Event::ToolCompleted { tool, status, duration_ms, .. } => {
                let words = format!("{tool} {} in {}", tool_word(*status), span(*duration_ms));
                self.works(entry, words.clone());
                line("tool done", &words)
            }
            Event::AgentCompleted { status, duration_ms, summary, .. } => {
                if let Some(lane) = self.lane(entry) {
                    lane.doing = Doing::Ended(*status, summary.clone(), *duration_ms);
                }
                line(agent_word(*status), &format!("{summary} ({})", span(*duration_ms)))
            }
            Event::ApprovalRequested { title, .. } => line("asks", title),
            Event::ThreadCreated { .. }
            | Event::ThreadUpdated { .. }
            | Event::UserMessage { .. }
            | Event::AssistantMessage { .. }
            | Event::RunCompleted { .. }
            | Event::RunFailed { .. }
            | Event::RunTimedOut { .. }
            | Event::RunCancelled { .. }
            | Event::RunInterrupted { .. } => None,
        }
    }

    /// The lines to show now.
    pub(super) fn lines(&self, now: Wall) -> Vec<String> {
        let mut lines = Vec::new();
        lines.extend(self.plan.as_deref().map(one_line));
        lines.extend(self.waiting.map(|position| format!("waiting, {position} before")));
        lines.extend(self.lanes.iter().map(|lane| lane.line(now)));
        lines.extend(self.notice.as_deref().map(|notice| format!("! {}", one_line(notice))));
        lines
    }

    fn begin(&mut self, agent: &AgentRef, started: Wall, title: &str) {
        let parent = agent.parent.and_then(|id| self.lanes.iter().find(|lane| lane.id == id));
        let lane = Lane {
            id: agent.agent_run_id,
            depth: parent.map_or(0, |parent| parent.depth + 1),
            name: agent.name.to_string(),
            started,
            doing: Doing::Work(title.to_owned()),
        };
        // A recovered run tells the same beginning again.
        match self.lanes.iter_mut().find(|known| known.id == lane.id) {
            Some(known) => *known = lane,
            None => self.lanes.push(lane),
        }
    }

    fn works(&mut self, entry: &Entry, words: String) {
        if let Some(lane) = self.lane(entry) {
            lane.doing = Doing::Work(words);
        }
    }

    fn lane(&mut self, entry: &Entry) -> Option<&mut Lane> {
        let id = entry.agent.as_ref()?.agent_run_id;
        self.lanes.iter_mut().find(|lane| lane.id == id)
    }
}

impl Lane {
    fn line(&self, now: Wall) -> String {
        let indent = "  ".repeat(self.depth);
        let (mark, time, words) = match &self.doing {
            Doing::Work(words) => ("\x1b[36m●\x1b[0m", now.since(self.started).0, words),
            Doing::Ended(status, words, duration) => (mark(*status), *duration, words),
        };
        let name = format!("{indent}{}", self.name);
        format!("{mark} {name:<16} {:>7}  {}", span(time), one_line(words))
    }
}

const fn mark(status: AgentStatus) -> &'static str {
    match status {
        AgentStatus::Completed => "\x1b[32m✔\x1b[0m",
        AgentStatus::Degraded | AgentStatus::Skipped => "\x1b[33m◐\x1b[0m",
        AgentStatus::Failed | AgentStatus::TimedOut | AgentStatus::Cancelled => "\x1b[31m✘\x1b[0m",
    }
}

const fn agent_word(status: AgentStatus) -> &'static str {
    match status {
        AgentStatus::Completed => "completed",
        AgentStatus::Failed => "failed",
        AgentStatus::TimedOut => "timed out",
        AgentStatus::Cancelled => "cancelled",
        AgentStatus::Skipped => "skipped",
        AgentStatus::Degraded => "degraded",
    }
}

const fn tool_word(status: ToolStatus) -> &'static str {
    match status {
        ToolStatus::Completed => "completed",
        ToolStatus::Failed => "failed",
        ToolStatus::TimedOut => "timed out",
        ToolStatus::Cancelled => "cancelled",
        ToolStatus::Abandoned => "abandoned",
    }
}

/// A length of time for people: `12 ms`, `3.4 s`.
pub(super) fn span(ms: u64) -> String {
    if ms < 1000 { format!("{ms} ms") } else { format!("{}.{} s", ms / 1000, ms % 1000 / 100) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldenpath_core::id::{Epoch, EventId, Name, RunId, Seq, ThreadId};
    use goldenpath_core::wire::{ThoughtKind, ToolCount, Usage};

    fn entry(agent: u128, parent: Option<u128>, event: Event) -> Entry {
        Entry {
            event,
            id: EventId(1),
            thread_id: ThreadId(1),
            epoch: Epoch(1),
            seq: Seq(1),
            ts: Wall(1000),
            run_id: Some(RunId(1)),
            agent: Some(AgentRef {
                name: Name::new(if parent.is_some() { "data" } else { "supervisor" }).unwrap(),
                agent_run_id: AgentRunId(agent),
                parent: parent.map(AgentRunId),
                attempt: 1,
            }),
            synthesized: false,
            replay: false,
        }
    }

    fn started(title: &str) -> Event {
        let deadline_at = Wall(9);
        Event::AgentStarted { title: title.into(), task: "t".into(), step: 0, of: 1, deadline_at }
    }

    #[test]
    fn a_lane_shows_what_its_agent_does_and_how_it_ended() {
        let mut lanes = Lanes::default();
        lanes.apply(&entry(1, None, started("Lead")));
        lanes.apply(&entry(2, Some(1), started("Count")));
        let text = "12 rows\u{1b}[2J".into();
        let thinking =
            Event::AgentThinking { thought_id: 1, text, kind: ThoughtKind::Status, progress: None };
        assert_eq!(
            lanes.apply(&entry(2, Some(1), thinking)).unwrap(),
            "data           thinking   12 rows\u{1b}[2J"
        );
        let lines = lanes.lines(Wall(2500));
        assert_eq!(lines[1], "\x1b[36m●\x1b[0m   data             1.5 s  12 rows [2J");
        let completed = Event::AgentCompleted {
            status: AgentStatus::Completed,
            duration_ms: 40,
            summary: "done".into(),
            output: None,
            error: None,
            usage: Usage::default(),
            tools: ToolCount::default(),
        };
        lanes.apply(&entry(2, Some(1), completed));
        assert_eq!(lanes.lines(Wall(9000))[1], "\x1b[32m✔\x1b[0m   data             40 ms  done");
    }

    #[test]
    fn spans_are_for_people() {
        assert_eq!(
            [span(0), span(999), span(1000), span(61_250)],
            ["0 ms", "999 ms", "1.0 s", "61.2 s"]
        );
    }
}
