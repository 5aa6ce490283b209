//! The data helper: what is missing, and how to load it.

use super::workflow::DATA_HELPER;
use crate::cost::display;
use crate::tools::{InspectData, Nothing};
use futures_util::future::BoxFuture;
use goldenpath_runtime::agent::{Agent, AgentError, Cx, Finish, Task};

/// Works when data are missing, or when triage failed.
pub struct DataHelper;

impl Agent for DataHelper {
    fn name(&self) -> &'static str {
        DATA_HELPER
    }

    fn title(&self) -> &'static str {
        "Data helper"
    }

    fn run(&self, cx: Cx, _: Task) -> BoxFuture<'static, Result<Finish, AgentError>> {
        Box::pin(async move {
            let inspection = cx.tool::<InspectData>(Nothing {}).await?;
            let inventory = &inspection.inventory;
            let rows = i64::try_from(inventory.coverage.value.rows).unwrap_or(i64::MAX);
            let mut words = format!(
                "{} from {}.",
                display::counted(rows, "usage record"),
                display::counted(
                    i64::try_from(inspection.imports.len()).unwrap_or(i64::MAX),
                    "import"
                ),
            );
            for gap in &inventory.gaps {
                words.push_str(&format!(" Missing for {}: {}.", gap.what, gap.why));
            }
            if let Some(command) = inspection.commands.first() {
                words.push_str(&format!(
                    " A first step: press “Usage data” in the page, or at the machine: {command}"
                ));
            }
            cx.think(words.clone()).await;
            Ok(Finish::with(&inspection, words)?)
        })
    }
}
