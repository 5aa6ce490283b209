//! What is wrong with a configuration, in words an operator can act on.

use core::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The setting's name, as in the environment.
    pub(crate) setting: String,
    /// What is wrong, and where it came from; never the value of a secret.
    pub(crate) problem: String,
    /// What to do.
    pub(crate) remedy: String,
}

impl Finding {
    /// A finding with its remedy.
    pub(crate) fn new(
        setting: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { setting: setting.into(), problem: problem.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}. {}.", self.setting, self.problem, self.remedy)
    }
}

/// All that is wrong, in the order it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings(pub(super) Vec<Finding>);

impl Findings {
    /// Just this one.
    pub(crate) fn of(finding: Finding) -> Self {
        Self(vec![finding])
    }

    /// One more.
    pub(crate) fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    /// Whether something is wrong with this setting.
    pub(super) fn names(&self, setting: &str) -> bool {
        self.0.iter().any(|finding| finding.setting == setting)
    }

    /// Whether all is well.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "finding" } else { "findings" };
        writeln!(f, "The configuration has {count} {noun}:")?;
        for finding in &self.0 {
            writeln!(f, "  {finding}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Findings {}
