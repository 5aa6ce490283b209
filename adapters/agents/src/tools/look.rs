//! Looking at the question, and at what data there are.

use super::{Instruments, Nothing, refused, shelve, tenant, today};
use crate::cost::analysis::{Sufficiency, sufficiency};
use crate::cost::display;
use crate::cost::measure::{self, Missing};
use crate::cost::report::commands;
use crate::cost::triage::{Triage, Vocabulary, may_name, triage};
use goldenpath_runtime::agent::{Tool, ToolCx, ToolError};
use goldenpath_runtime::usage::{Answer, Coverage};
use serde::{Deserialize, Serialize};

/// Reads what a question asks for, by a grammar and the names in the user's records, not by guessing.
pub struct ClassifyQuestion(pub(super) Instruments);

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// In the user's words.
    pub question: String,
}

impl Tool for ClassifyQuestion {
    type Args = Question;
    type Out = Triage;
    const NAME: &'static str = "classify_question";
    const TITLE: &'static str = "Read the question";

    async fn call(&self, cx: ToolCx, args: Question) -> Result<Triage, ToolError> {
        let question = args.question.as_str();
        if !may_name(question) {
            return Ok(triage(question, today(&cx), &Vocabulary::default()));
        }
        match measure::names(&*self.0.usage, &tenant(&cx)).await {
            Ok(names) => Ok(triage(question, today(&cx), &names)),
            Err(error) => {
                tracing::warn!(%error, "the names in a question could not be looked up");
                let mut read = triage(question, today(&cx), &Vocabulary::default());
                read.missing.push(Missing {
                    what: "the names in your question".into(),
                    why: "they could not be looked up in your records; this covers everything"
                        .into(),
                });
                Ok(read)
            }
        }
    }
}

/// Counts what data the user has.
pub struct DataInventory(pub(super) Instruments);

/// What data there are, and whether they suffice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Rows, days, sources.
    pub coverage: Answer<Coverage>,
    /// Enough for what.
    pub sufficiency: Sufficiency,
    /// What is missing.
    pub gaps: Vec<Missing>,
}

impl Tool for DataInventory {
    type Args = Nothing;
    type Out = Inventory;
    const NAME: &'static str = "data_inventory";
    const TITLE: &'static str = "Look at the usage records";

    async fn call(&self, cx: ToolCx, _: Nothing) -> Result<Inventory, ToolError> {
        let coverage = self.0.usage.coverage(&tenant(&cx)).await.map_err(refused)?;
        shelve(cx.shelf(), "coverage", &coverage).await?;
        let (sufficiency, gaps) = sufficiency(&coverage.value);
        Ok(Inventory { coverage, sufficiency, gaps })
    }
}

/// Finds out what is missing, and which command would bring it.
pub struct InspectData(pub(super) Instruments);

/// What the data helper found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// What there is.
    pub inventory: Inventory,
    /// What was loaded when, the newest first.
    pub imports: Vec<String>,
    /// What would help, as exact commands.
    pub commands: Vec<String>,
}

impl Tool for InspectData {
    type Args = Nothing;
    type Out = Inspection;
    const NAME: &'static str = "inspect_data";
    const TITLE: &'static str = "Find out what data are missing";

    async fn call(&self, cx: ToolCx, _: Nothing) -> Result<Inspection, ToolError> {
        let tenant = tenant(&cx);
        let coverage = self.0.usage.coverage(&tenant).await.map_err(refused)?;
        let (sufficiency, gaps) = sufficiency(&coverage.value);
        let imports = self.0.usage.imports(&tenant).await.map_err(refused)?;
        let commands = match sufficiency {
            Sufficiency::Sufficient => Vec::new(),
            Sufficiency::Partial | Sufficiency::None => {
                commands(cx.user().user_id().as_str()).into()
            }
        };
        let imports = imports.iter().take(10).map(|import| {
            format!(
                "{} ({}): {}, {} known before",
                import.name,
                import.source,
                display::counted(i64::try_from(import.rows).unwrap_or(i64::MAX), "row"),
                import.duplicates
            )
        });
        let imports = imports.collect();
        let inventory = Inventory { coverage, sufficiency, gaps };
        Ok(Inspection { inventory, imports, commands })
    }
}
