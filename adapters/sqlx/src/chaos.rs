//! Commits that go wrong on purpose, for the suites that show nothing is lost then.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What is lost of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The answer: it is durable, but nobody hears so.
    Answer,
    /// The request: it never happens, and nobody hears so either.
    Request,
}

/// Decides which commits go wrong; given to [`Options`](crate::Options) by tests only.
#[derive(Debug, Default)]
pub struct Chaos(Mutex<VecDeque<Option<Lost>>>);

impl Chaos {
    /// What is lost of the next commits of groups, one each, instead of what was said before; `None`
    /// lets one pass.
    pub fn lose(&self, commits: impl IntoIterator<Item = Option<Lost>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = commits.into_iter().collect();
    }

    pub(crate) fn next_commit(&self) -> Option<Lost> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front().flatten()
    }
}
