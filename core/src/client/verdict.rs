//! What the end of a socket means: the close table of `specs/protocol`, and HTTP's words for the same.

use super::io::DialFailure;
use crate::time::Millis;
use crate::wire::{CloseCode, Reconnect};

/// What to do after a socket ended, or never came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verdict {
    /// Dial again, not before `after`.
    Backoff { after: Option<Millis> },
    /// Dial again now.
    Immediately,
    /// Dial once more; the second time in a row is the end.
    Once(CloseCode),
    /// Wait for a credential that replaces one that has ended.
    Expired,
    /// Wait for another credential.
    Refused,
    /// Never again.
    Never(CloseCode),
    /// Never again: the server refused the upgrade.
    NeverHttp(u16),
}

/// What the server said before it closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Parting {
    pub(super) code: Option<CloseCode>,
    pub(super) after: Option<Millis>,
}

/// A close code counts before what `disconnect` said; neither means a lost connection.
pub(super) fn of_close(code: Option<u16>, parting: Parting) -> Verdict {
    let after = parting.after;
    let Some(code) = code.and_then(CloseCode::from_code).or(parting.code) else {
        return Verdict::Backoff { after };
    };
    //= specs/client.md#clnt-06
    //# What a client does after a close MUST be what the table of close codes says.
    match code.reconnect() {
        Reconnect::AfterRefresh => Verdict::Expired,
        Reconnect::Backoff => Verdict::Backoff { after },
        Reconnect::Immediately => Verdict::Immediately,
        Reconnect::No => Verdict::Never(code),
        Reconnect::Once => Verdict::Once(code),
        Reconnect::WithNewCredential => Verdict::Refused,
    }
}

pub(super) fn of_dial(failure: DialFailure) -> Verdict {
    match failure {
        DialFailure::Unreachable => Verdict::Backoff { after: None },
        DialFailure::Refused { status: 401, .. } => Verdict::Refused,
        // Too early, too many, server trouble: later it may work.
        DialFailure::Refused { status: 408 | 425 | 429 | 500..=599, retry_after } => {
            Verdict::Backoff { after: retry_after }
        }
        DialFailure::Refused { status, .. } => Verdict::NeverHttp(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    //= specs/client.md#clnt-06
    //= type=test
    //# What a client does after a close MUST be what the table of close codes says.
    #[test]
    fn every_close_code_leads_to_what_the_table_says() {
        let after = Some(Millis(900));
        for code in CloseCode::ALL {
            let verdict = of_close(Some(code.code()), Parting { code: None, after });
            let expected = match code.code() {
                1000 | 1003 | 1007 | 4400 | 4403 | 4409 | 4412 | 4441 => Verdict::Never(*code),
                1001 | 1009 | 1011 | 1012 | 1013 | 4420 | 4421 | 4429 => Verdict::Backoff { after },
                4401 => Verdict::Refused,
                4408 => Verdict::Once(*code),
                4410 => Verdict::Immediately,
                4440 => Verdict::Expired,
                other => panic!("{other} is not in the table"),
            };
            assert_eq!(verdict, expected, "{code}");
        }
    }

    #[test]
    fn a_lost_socket_means_what_disconnect_said_before() {
        let parting = Parting { code: Some(CloseCode::TokenRevoked), after: None };
        assert_eq!(of_close(None, parting), Verdict::Never(CloseCode::TokenRevoked));
        assert_eq!(of_close(Some(1006), Parting::default()), Verdict::Backoff { after: None });
        assert_eq!(of_close(Some(4999), Parting::default()), Verdict::Backoff { after: None });
    }

    #[test]
    fn a_refused_upgrade_is_tried_again_only_where_that_can_help() {
        let refused =
            |status| of_dial(DialFailure::Refused { status, retry_after: Some(Millis(7)) });
        assert_eq!(refused(401), Verdict::Refused);
        assert_eq!(refused(403), Verdict::NeverHttp(403));
        assert_eq!(refused(426), Verdict::NeverHttp(426));
        assert_eq!(refused(503), Verdict::Backoff { after: Some(Millis(7)) });
        assert_eq!(refused(429), Verdict::Backoff { after: Some(Millis(7)) });
        assert_eq!(of_dial(DialFailure::Unreachable), Verdict::Backoff { after: None });
    }
}
