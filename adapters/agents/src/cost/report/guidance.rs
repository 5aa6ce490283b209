//! Reports without an analysis: what to load and how, what we can do, what went wrong.

use super::{Report, ReportKind};
use crate::cost::facts::FactBook;
use crate::cost::markdown::{code, name, prose};

/// The commands that import the files of [`guidance`] for a user, in its order.
///
/// An id that a shell would not take as one word is shown as `ID`.
pub fn commands(user: &str) -> [String; 4] {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.@:+".contains(letter);
    let user = if !user.is_empty() && user.chars().all(plain) { user } else { "ID" };
    [
        "spend_logs.json",
        "usage.json",
        "usage.csv --map ts=date,input_tokens=prompt",
        "trace.csv --model gpt-4o",
    ]
    .map(|file| format!("goldenpath import {file} --user {user}"))
}

/// No data: what to load and how, with the exact commands for this user.
pub fn guidance(demo_available: bool, user: &str) -> Report {
    let demo = if demo_available {
        "\nOr look around first: in demo mode a chat starts with synthetic data.\n"
    } else {
        ""
    };
    let [litellm, openai, csv, trace] = commands(user).map(|command| code(&command));
    let markdown = format!(
        "# No usage data yet\n\n\
         I can analyse your AI spending as soon as there are usage records.\n\n\
         In the page: press **Usage data** and choose a file; no command is needed. At the machine of the server, \
         the commands below do the same. Choose what you have:\n\n\
         | You use | Get the file | Load it at the machine |\n| --- | --- | --- |\n\
         | LiteLLM proxy | `GET /spend/logs` with an admin key, or a dump of `LiteLLM_SpendLogs` as JSON | {litellm} |\n\
         | OpenAI directly | `GET /v1/organization/usage/completions`, grouped by model, with an admin key | {openai} |\n\
         | Another gateway, or a dashboard | any CSV with a time, a model and token counts | {csv} |\n\
         | Just trying | the Azure LLM inference trace | {trace} |\n\n\
         - Add `--dry-run` to see the counts without storing anything.\n\
         - A file with broken lines is refused as a whole, naming line and reason; `--skip-bad` imports the rest.\n\
         - Importing the same file again changes nothing.\n\
         - Best are request-level records with model, tokens, feature and team, over four weeks or more.\n\
         {demo}\n\
         Over HTTP: `POST /api/usage/import` with the file as body. Then ask again: {}.\n",
        code("Analyze my AI costs")
    );
    simple(
        ReportKind::Guidance,
        "There are no usage data yet; here is what to load and how.",
        markdown,
    )
}

/// What we can do, for a question we did not understand.
pub fn capabilities(question: &str) -> Report {
    let asked = if question.trim().is_empty() {
        String::new()
    } else {
        format!("You asked: “{}”\n\n", name(question))
    };
    let markdown = format!(
        "# What I can do\n\n{asked}\
         I did not recognise this as a question about AI costs, and I do not guess. I can answer, from your usage records:\n\n\
         - **Totals and trend**: {}\n\
         - **Breakdown** by model, feature, team, user, provider: {}\n\
         - **Unit costs and ratios**: {}\n\
         - **Unusual days**: {}\n\
         - **Forecast and budget**: {}\n\
         - **Savings**, each with its evidence: {}\n\
         - **What data there are**, and how to load more: {}\n\n\
         Not yet: questions about anything else than AI usage and its cost, and changes to your systems.\n\n\
         Which of these would help you?\n",
        code("How much did we spend last month?"),
        code("Which team spends the most?"),
        code("What does one request cost?"),
        code("Were there any cost spikes?"),
        code("Will we stay within $5,000 next month?"),
        code("Where can we save money?"),
        code("What data do you have?"),
    );
    simple(
        ReportKind::Capabilities,
        "I did not recognise a question about AI costs; here is what I can do.",
        markdown,
    )
}

/// Something failed before there was an analysis. `what` is in words for the user.
pub fn fallback(what: &str) -> Report {
    let markdown = format!(
        "# The analysis could not be finished\n\n{}\n\n\
         Your question is stored and no data are lost. Next steps:\n\n\
         - Ask again in a moment.\n\
         - Ask for less: a shorter period, or one part such as {}.\n\
         - If it keeps failing, tell the operator the id of this run.\n",
        prose(what),
        code("What did we spend last week?"),
    );
    simple(ReportKind::Fallback, "The analysis could not be finished.", markdown)
}

fn simple(kind: ReportKind, headline: &str, markdown: String) -> Report {
    Report {
        kind,
        headline: headline.to_owned(),
        markdown,
        artifacts: Vec::new(),
        facts: FactBook::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::report::check;

    #[test]
    fn reports_without_an_analysis_have_no_flaw() {
        for report in [
            guidance(true, "ada"),
            guidance(false, "demo-user-1763740800000-1"),
            capabilities("What's the weather?"),
            capabilities(""),
            fallback("The store is away."),
        ] {
            assert_eq!(check(&report), [], "{:?}", report.kind);
            assert!(report.markdown.starts_with("# ") && !report.headline.is_empty());
        }
    }

    #[test]
    fn a_hostile_question_stays_text() {
        let report = capabilities("</code>[x](javascript:alert)\n# big");
        assert!(!report.markdown.contains("](javascript"), "{}", report.markdown);
        assert!(!report.markdown.contains("\n# big"));
    }

    #[test]
    fn guidance_names_the_exact_commands() {
        insta::assert_snapshot!(guidance(true, "ada").markdown);
        for hostile in ["a b", "x; rm -rf", "`|", ""] {
            assert!(commands(hostile)[0].ends_with("--user ID"), "{hostile}");
        }
    }
}
