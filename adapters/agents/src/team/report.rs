//! The report agent: always an answer, with what there is.

use super::data::Collected;
use super::triage::Understood;
use super::workflow::{DATA, OPTIMIZATION, REPORT, TRIAGE};
use crate::cost::display;
use crate::cost::measure::Missing;
use crate::cost::triage::Intent;
use crate::tools::{Ask, ComposeReport, Inspection, Kind};
use futures_util::future::BoxFuture;
use goldenpath_core::wire::AgentStatus;
use goldenpath_runtime::agent::{Agent, AgentError, Cx, Finish, Inputs, Task};
use serde::Serialize;

/// Answers.
pub struct Report;

/// What the report leaves behind besides the answer.
#[derive(Serialize)]
struct Written {
    headline: String,
    facts: u64,
    artifacts: Vec<String>,
}

impl Agent for Report {
    fn name(&self) -> &'static str {
        REPORT
    }

    fn title(&self) -> &'static str {
        "Report"
    }

    fn run(&self, cx: Cx, task: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
        Box::pin(async move {
            let inputs = Inputs::of(&task)?;
            let understood: Option<Understood> = inputs.get(TRIAGE)?;
            let collected: Option<Collected> = inputs.get(DATA)?;
            let inspected: Option<Inspection> = inputs.get(super::workflow::DATA_HELPER)?;
            let levers: Option<Vec<String>> = inputs.get(OPTIMIZATION)?;
            let mut missing = troubles(&inputs);
            let troubles: Vec<String> = missing.iter().map(Missing::to_string).collect();
            let kind = kind(understood.as_ref(), collected.as_ref(), inspected, &troubles);
            let mut measured = Vec::new();
            if let Some(collected) = collected {
                measured = collected.measured;
                missing.extend(collected.missing);
            }
            measured.extend(levers.unwrap_or_default());
            measured.extend(understood.as_ref().map(|_| String::from("coverage")));
            let degraded = !troubles.is_empty();
            cx.think(if degraded {
                format!("Writing with what there is; {}.", troubles.join("; "))
            } else {
                let measured = i64::try_from(measured.len()).unwrap_or(i64::MAX);
                format!("Writing the answer from {}.", display::counted(measured, "measurement"))
            })
            .await;
            let triage = understood.map(|understood| understood.reading);
            let question = task.text.clone();
            let ask = Ask { question, triage, kind, measured, missing };
            let composed = cx.tool::<ComposeReport>(ask).await?;
            let checked = match (composed.flaws.len(), composed.facts) {
                (0, 0) => String::new(),
                (0, 1) => " One number, with its source.".into(),
                (0, facts) => format!(" {facts} numbers, each with its source."),
                (1, _) => " One flaw was found in the text.".into(),
                (flaws, _) => format!(" {flaws} flaws were found in the text."),
            };
            cx.think(format!("{}{checked}", composed.headline)).await;
            let written = Written {
                headline: composed.headline.clone(),
                facts: composed.facts,
                artifacts: composed.artifacts.into_iter().map(|kept| kept.url).collect(),
            };
            Ok(Finish {
                answer: Some(composed.markdown),
                degraded: !composed.flaws.is_empty(),
                ..Finish::with(&written, composed.headline)?
            })
        })
    }
}

/// Steps before this one without a result, in words for the user. What was skipped on purpose is none.
fn troubles(inputs: &Inputs) -> Vec<Missing> {
    let what = |agent: &str| match agent {
        TRIAGE => "understanding the question",
        DATA => "the measurements",
        OPTIMIZATION => "savings",
        _ => "help with the data",
    };
    let why = |status, message: Option<&str>| match (status, message) {
        (AgentStatus::Skipped, _) => "skipped, because what it needs is missing".into(),
        (_, Some(message)) => message.into(),
        (AgentStatus::TimedOut, None) => "out of time".into(),
        (_, None) => "failed".into(),
    };
    let steps = inputs.missing().iter().map(|step| {
        let message = step.error.as_ref().map(|error| error.message.as_str());
        Missing { what: what(step.agent.as_str()).into(), why: why(step.status, message) }
    });
    steps.collect()
}

fn kind(
    understood: Option<&Understood>,
    collected: Option<&Collected>,
    inspected: Option<Inspection>,
    troubles: &[String],
) -> Kind {
    let Some(understood) = understood else {
        return Kind::Fallback { what: troubles.join("; ") };
    };
    let rows = understood.inventory.coverage.value.rows;
    match understood.reading.intent {
        Intent::Capabilities | Intent::Unknown => Kind::Capabilities,
        Intent::Data if rows > 0 => {
            let inventory = inspected.map(|inspected| inspected.inventory);
            Kind::Data { inventory: inventory.unwrap_or_else(|| understood.inventory.clone()) }
        }
        Intent::Data | Intent::Import => Kind::Guidance,
        _ if rows == 0 || understood.scope.is_none() => Kind::Guidance,
        _ => match collected {
            Some(collected) => Kind::Analysis { scope: collected.scope.clone() },
            None => Kind::Fallback { what: troubles.join("; ") },
        },
    }
}
