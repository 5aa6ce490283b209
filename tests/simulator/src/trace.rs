//! A history as a file: the name of its world first, then one operation a line.

use crate::op::Op;
use serde::{Deserialize, Serialize};

/// A history to keep, and to replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// What the setup is called that it begins with.
    pub world: String,
    /// What happens.
    #[serde(skip)]
    pub ops: Vec<Op>,
}

impl Trace {
    /// As a file.
    ///
    /// # Panics
    /// Never: an operation has no shape that JSON lacks.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |value: serde_json::Result<String>| value.expect("an operation is JSON") + "\n";
        let head = line(serde_json::to_string(self));
        head + &self.ops.iter().map(|op| line(serde_json::to_string(op))).collect::<String>()
    }

    /// Reads what [`text`](Self::text) wrote.
    ///
    /// # Errors
    /// The first line that is none of a trace.
    pub fn read(text: &str) -> serde_json::Result<Self> {
        let mut lines = text.lines();
        let mut trace: Self = serde_json::from_str(lines.next().unwrap_or_default())?;
        trace.ops = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(trace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goldenpath_core::seed::Seed;

    #[test]
    fn a_trace_is_read_as_it_was_written() {
        let mut seed = Seed::new(1);
        let ops = std::iter::from_fn(|| Op::draw(&mut seed)).take(5_000).collect();
        let trace = Trace { world: "readers".into(), ops };
        assert_eq!(Trace::read(&trace.text()).ok(), Some(trace));
        assert!(Trace::read("{\"world\":\"readers\"}\n\"nonsense\"").is_err());
    }
}
