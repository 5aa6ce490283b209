//! What became of a question asked over HTTP, in the words of `POST /api/agents/…`.

use crate::wire::{ErrorInfo, RunStatus};
use alloc::format;
use alloc::string::String;

/// How a run that was waited for ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// `success`, `timeout`, `error` or `service_unavailable`.
    pub status: &'static str,
    /// Why there is no answer, or none that is whole.
    pub error: Option<String>,
}

/// Translates the end of a run; `failure` is what its terminal event says, if that is a failure.
#[must_use]
pub fn answered(run: RunStatus, failure: Option<ErrorInfo>) -> Answered {
    let status = match (run, &failure) {
        (RunStatus::Completed | RunStatus::Degraded, _) => {
            return Answered { status: "success", error: None };
        }
        (_, Some(error)) if error.code.http_status() == 503 => "service_unavailable",
        (RunStatus::TimedOut, _) => "timeout",
        (
            RunStatus::Cancelled
            | RunStatus::Failed
            | RunStatus::Interrupted
            | RunStatus::Queued
            | RunStatus::Running,
            _,
        ) => "error",
    };
    let error = match failure {
        Some(error) => error.message,
        None => format!("the run ended {}", run.as_str()),
    };
    Answered { status, error: Some(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ErrorCode;

    #[test]
    fn the_end_of_a_run_is_said_in_the_words_of_older_clients() {
        let because = |code| Some(ErrorInfo::new(code, "why"));
        for (run, failure, status, error) in [
            (RunStatus::Completed, None, "success", None),
            (RunStatus::Degraded, None, "success", None),
            (RunStatus::TimedOut, None, "timeout", Some("the run ended timed_out")),
            (RunStatus::Cancelled, None, "error", Some("the run ended cancelled")),
            (RunStatus::Interrupted, None, "error", Some("the run ended interrupted")),
            (RunStatus::Failed, because(ErrorCode::AgentFailed), "error", Some("why")),
            (
                RunStatus::Failed,
                because(ErrorCode::StorageUnavailable),
                "service_unavailable",
                Some("why"),
            ),
        ] {
            let answered = answered(run, failure);
            assert_eq!((answered.status, answered.error.as_deref()), (status, error), "{run:?}");
        }
    }
}
