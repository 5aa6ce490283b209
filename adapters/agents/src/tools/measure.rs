//! Measuring: one query each, so that they run side by side and fail one by one.

use super::{Instruments, refused, shelve, tenant};
use crate::cost::measure::{self, Breakdown, Scope, Share, Totals};
use goldenpath_runtime::agent::{Tool, ToolCx, ToolError};
use goldenpath_runtime::usage::{Answer, Dimension, Usd};
use serde::{Deserialize, Serialize};

/// What a measurement looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Days and filters.
    pub scope: Scope,
    /// The dimension of a breakdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Dimension>,
}

impl Wanted {
    /// A measurement of a scope.
    #[must_use]
    pub const fn of(scope: Scope) -> Self {
        Self { scope, by: None }
    }
}

/// What a person wants to see of a measurement; all of it is on the shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Its name on the shelf.
    pub name: String,
    /// Usage rows that were read.
    pub rows: u64,
    /// Groups it has.
    pub groups: u64,
    /// Cost of all groups.
    pub cost: Usd,
}

/// A breakdown with its largest groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// The measurement.
    pub measured: Measured,
    /// The largest groups.
    pub largest: Vec<Share>,
}

/// Groups shown of a breakdown.
const SHOWN: usize = 5;

fn shown(answer: &Answer<Breakdown>, name: &str) -> Groups {
    let groups = &answer.value.groups;
    let measured = Measured {
        name: name.into(),
        rows: answer.evidence.rows,
        groups: groups.len() as u64,
        cost: groups.iter().map(|group| group.cost).sum(),
    };
    Groups { measured, largest: groups.iter().take(SHOWN).cloned().collect() }
}

/// Sums over the period.
pub struct UsageTotals(pub(super) Instruments);

impl Tool for UsageTotals {
    type Args = Wanted;
    type Out = Answer<Totals>;
    const NAME: &'static str = "usage_totals";
    const TITLE: &'static str = "Add up the period";

    async fn call(&self, cx: ToolCx, args: Wanted) -> Result<Answer<Totals>, ToolError> {
        let answer = measure::totals(&*self.0.usage, &tenant(&cx), &args.scope).await;
        let answer = answer.map_err(refused)?;
        shelve(cx.shelf(), "totals", &answer).await?;
        Ok(answer)
    }
}

/// Sums over the period before.
pub struct UsagePrevious(pub(super) Instruments);

impl Tool for UsagePrevious {
    type Args = Wanted;
    type Out = Answer<Totals>;
    const NAME: &'static str = "usage_previous";
    const TITLE: &'static str = "Add up the period before";

    async fn call(&self, cx: ToolCx, args: Wanted) -> Result<Answer<Totals>, ToolError> {
        let answer = measure::previous(&*self.0.usage, &tenant(&cx), &args.scope).await;
        let answer = answer.map_err(refused)?;
        shelve(cx.shelf(), "previous", &answer).await?;
        Ok(answer)
    }
}

/// Cost by one dimension.
pub struct UsageBreakdown(pub(super) Instruments);

impl Tool for UsageBreakdown {
    type Args = Wanted;
    type Out = Groups;
    const NAME: &'static str = "usage_breakdown";
    const TITLE: &'static str = "Split the cost";

    async fn call(&self, cx: ToolCx, args: Wanted) -> Result<Groups, ToolError> {
        let by = args.by.ok_or_else(|| ToolError::invalid("a breakdown needs a dimension"))?;
        let answer = measure::breakdown(&*self.0.usage, &tenant(&cx), &args.scope, by).await;
        let answer = answer.map_err(refused)?;
        let name = breakdown_name(by);
        shelve(cx.shelf(), &name, &answer).await?;
        Ok(shown(&answer, &name))
    }
}

/// What a breakdown is called on the shelf.
pub(super) fn breakdown_name(by: Dimension) -> String {
    format!("by-{}", by.title().to_lowercase().replace(' ', "-"))
}

/// Cost by day, model and feature.
pub struct UsageDaily(pub(super) Instruments);

impl Tool for UsageDaily {
    type Args = Wanted;
    type Out = Measured;
    const NAME: &'static str = "usage_daily";
    const TITLE: &'static str = "Follow the cost day by day";

    async fn call(&self, cx: ToolCx, args: Wanted) -> Result<Measured, ToolError> {
        let answer = measure::daily(&*self.0.usage, &tenant(&cx), &args.scope).await;
        let answer = answer.map_err(refused)?;
        shelve(cx.shelf(), "daily", &answer).await?;
        Ok(Measured {
            name: "daily".into(),
            rows: answer.evidence.rows,
            groups: answer.value.len() as u64,
            cost: answer.value.iter().map(|share| share.cost).sum(),
        })
    }
}

/// What the savings rules need, per provider, model and feature.
pub struct UsageLevers(pub(super) Instruments);

impl Tool for UsageLevers {
    type Args = Wanted;
    type Out = Measured;
    const NAME: &'static str = "usage_levers";
    const TITLE: &'static str = "Measure what the savings rules need";

    async fn call(&self, cx: ToolCx, args: Wanted) -> Result<Measured, ToolError> {
        let limits = &self.0.thresholds.levers;
        let answer = measure::levers(&*self.0.usage, &tenant(&cx), &args.scope, limits).await;
        let answer = answer.map_err(refused)?;
        shelve(cx.shelf(), "levers", &answer).await?;
        Ok(Measured {
            name: "levers".into(),
            rows: answer.evidence.rows,
            groups: answer.value.len() as u64,
            cost: answer.value.iter().map(|group| group.all.cost).sum(),
        })
    }
}
