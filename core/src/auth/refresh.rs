//! Refresh tokens: each is used once. A second use of one means that two hold it, and ends the whole
//! family (OAuth 2.0 Security Best Current Practice, RFC 9700 section 4.14.2).
//!
//! A token has two halves of 256 random bits: the first stays with its family and finds it, the second
//! changes with each use. Only digests are kept. So one row knows every token the family ever had
//! without keeping them: right family, wrong second half is a token of old.

use super::{Admission, Leave};
use crate::id::{SessionId, UserId};
use crate::time::{Millis, Wall};
use core::fmt;

/// Log-ins of one user that may go on at once; one more ends the one that was used longest ago.
pub const LOG_INS: usize = 100;

/// SHA-256 of half a refresh token. Whoever reads the store cannot use it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// How long refresh tokens are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RefreshPolicy {
    /// How long a retired token is answered once more, for a client that lost the answer.
    pub grace: Millis,
    /// Longest time between two uses.
    pub idle: Millis,
    /// From the log-in to the last use, however often it is used.
    pub lifetime: Millis,
}

impl Default for RefreshPolicy {
    /// 30 s of grace: our own page gives up a request after 20 s and asks again, and a reload may come
    /// between the answer and its being kept. Longer would be time for a thief.
    fn default() -> Self {
        Self {
            grace: Millis::from_secs(30),
            idle: Millis::from_secs(14 * 24 * 3600),
            lifetime: Millis::from_secs(30 * 24 * 3600),
        }
    }
}

/// All refresh tokens that came from one log-in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Family {
    /// Of the half that stays the same.
    pub key: Digest,
    /// Whose it is.
    pub user_id: UserId,
    /// The log-in its access tokens name.
    pub session_id: SessionId,
    /// Of the half that is good now.
    pub current: Digest,
    /// Of the half that was good before.
    pub previous: Option<Digest>,
    /// When the user logged in.
    pub began_at: Wall,
    /// When the current half became good for the first time of the last rotation.
    pub rotated_at: Wall,
    /// When all of it ends.
    pub ends_at: Wall,
    /// Whether it was ended early.
    pub ended: bool,
}

/// Somebody presents a token of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Presented {
    /// Of the half that changes.
    pub half: Digest,
    /// Of the half that takes its place if it is good. One process makes the same one for the same
    /// `half`, so that whoever asks twice is answered twice the same (AUTH-77).
    pub next: Digest,
    /// When.
    pub at: Wall,
    /// How long tokens are good.
    pub policy: RefreshPolicy,
}

/// What a use of a refresh token came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefreshVerdict {
    /// The family was ended before.
    Ended,
    /// Its time is over.
    Expired,
    /// A retired token shortly after its retirement: answered with the one that took its place, or,
    /// where that cannot be made any more, with a token instead of it.
    Repeated,
    /// A retired token: two hold it. The family has ended by this.
    Reused,
    /// The next token takes its place.
    Rotated,
}

impl RefreshVerdict {
    /// Whether the next token is good now.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        matches!(self, Self::Repeated | Self::Rotated)
    }
}

/// What a use of a refresh token came to, and for whom. Only [`Family::present`] makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Judgement {
    verdict: RefreshVerdict,
    admission: Admission,
}

impl Judgement {
    /// What it came to.
    #[must_use]
    pub const fn verdict(&self) -> RefreshVerdict {
        self.verdict
    }

    /// Who may go on, when the token was good.
    ///
    /// # Errors
    /// What it came to instead.
    pub fn admitted(&self) -> Result<&Admission, RefreshVerdict> {
        if self.verdict.is_answered() { Ok(&self.admission) } else { Err(self.verdict) }
    }

    /// The right to end this log-in, which whoever holds a token of it has, old ones included.
    #[must_use]
    pub fn leave(&self) -> Leave {
        Leave::of(self.admission.user_id().clone(), self.admission.session_id())
    }
}

impl Family {
    /// A log-in at this instant, with its first token.
    #[must_use]
    pub fn begin(
        admitted: &Admission,
        [key, current]: [Digest; 2],
        at: Wall,
        policy: RefreshPolicy,
    ) -> Self {
        Self {
            key,
            user_id: admitted.user_id().clone(),
            session_id: admitted.session_id(),
            current,
            previous: None,
            began_at: at,
            rotated_at: at,
            ends_at: at.after(policy.lifetime),
            ended: false,
        }
    }

    /// Uses a token. The store calls this with the family locked and keeps what it became, so that of
    /// two uses at once one is the second.
    pub fn present(&mut self, presented: &Presented) -> Judgement {
        let verdict = self.judge(presented);
        let admission = Admission::by_refresh(self.user_id.clone(), self.session_id);
        Judgement { verdict, admission }
    }

    fn judge(&mut self, presented: &Presented) -> RefreshVerdict {
        let Presented { half, next, at, policy } = *presented;
        if self.ended {
            return RefreshVerdict::Ended;
        }
        //= specs/auth.md#auth-41
        //# A log-in MUST NOT be prolonged beyond its lifetime, nor after it was idle too long.
        if self.ends_at <= at || self.rotated_at.after(policy.idle) <= at {
            return RefreshVerdict::Expired;
        }
        if half == self.current {
            (self.previous, self.current, self.rotated_at) = (Some(half), next, at);
            return RefreshVerdict::Rotated;
        }
        //= specs/auth.md#auth-42
        //# A client that lost the answer to a refresh MUST be answered when it repeats it within the
        //# grace, and of all tokens it was answered only the last MUST be good.
        if self.previous == Some(half) && at.since(self.rotated_at) < policy.grace {
            // The time of the rotation stays: repeating does not prolong the grace.
            self.current = next;
            return RefreshVerdict::Repeated;
        }
        //= specs/auth.md#auth-40
        //# A refresh token that is used again after its retirement MUST end every token of its log-in.
        self.ended = true;
        RefreshVerdict::Reused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: RefreshPolicy = RefreshPolicy {
        grace: Millis(30_000),
        idle: Millis(1_000_000),
        lifetime: Millis(10_000_000),
    };

    /// A family and a counter that makes halves.
    struct Desk {
        family: Family,
        made: u8,
        at: Wall,
    }

    impl Desk {
        fn new() -> Self {
            let user = UserId::new("ada").unwrap();
            let first = [Digest([0; 32]), half(0)];
            let admitted = Admission::by_new_account(user, SessionId(1));
            let family = Family::begin(&admitted, first, Wall(0), POLICY);
            Self { family, made: 0, at: Wall(0) }
        }

        /// Presents a half `wait` later; the half that would be answered, and the verdict.
        fn present(&mut self, old: u8, wait: u64) -> (u8, RefreshVerdict) {
            self.present_for(old, old + 1, wait)
        }

        /// The same where the half that would be answered is another one, as after a restart.
        fn present_for(&mut self, old: u8, next: u8, wait: u64) -> (u8, RefreshVerdict) {
            self.at = self.at.after(Millis(wait));
            let judgement = self.family.present(&Presented {
                half: half(old),
                next: half(next),
                at: self.at,
                policy: POLICY,
            });
            let verdict = judgement.verdict();
            assert_eq!(judgement.admitted().err(), (!verdict.is_answered()).then_some(verdict));
            assert_eq!(judgement.leave().user_id().as_str(), "ada");
            assert_eq!(judgement.leave().session_id(), SessionId(1));
            if verdict.is_answered() {
                self.made = self.made.max(next);
            }
            (next, verdict)
        }
    }

    fn half(n: u8) -> Digest {
        Digest([n; 32])
    }

    #[test]
    fn a_log_line_does_not_show_what_a_store_keeps_of_a_token() {
        assert_eq!(alloc::format!("{:?}", half(7)), "Digest(…)");
    }

    #[test]
    fn each_use_makes_a_new_token_and_retires_the_old_one() {
        let mut desk = Desk::new();
        assert_eq!(desk.present(0, 100_000), (1, RefreshVerdict::Rotated));
        assert_eq!(desk.present(1, 100_000), (2, RefreshVerdict::Rotated));
        assert_eq!(desk.present(1, 30_000).1, RefreshVerdict::Reused);
        assert_eq!(desk.present(2, 0).1, RefreshVerdict::Ended);
    }

    //= specs/auth.md#auth-42
    //= type=test
    //# A client that lost the answer to a refresh MUST be answered when it repeats it within the
    //# grace, and of all tokens it was answered only the last MUST be good.
    #[test]
    fn a_lost_answer_is_repeated_within_the_grace_and_only_the_last_answer_is_good() {
        let mut desk = Desk::new();
        assert_eq!(desk.present(0, 1), (1, RefreshVerdict::Rotated));
        assert_eq!(desk.present(0, 20_000), (1, RefreshVerdict::Repeated), "the same again");
        // The grace is counted from the rotation, not from the repetition.
        let family = desk.family.clone();
        assert_eq!(desk.present(0, 9_999), (1, RefreshVerdict::Repeated));
        assert_eq!(desk.present(0, 1).1, RefreshVerdict::Reused);
        desk.family = family.clone();
        assert_eq!(desk.present(1, 0).1, RefreshVerdict::Rotated);
        // After a restart nobody knows any more what was answered.
        desk.family = family;
        desk.at = Wall(20_001);
        assert_eq!(desk.present_for(0, 9, 1).1, RefreshVerdict::Repeated);
        let family = desk.family.clone();
        assert_eq!(desk.present(1, 0).1, RefreshVerdict::Reused, "the lost one");
        desk.family = family;
        assert_eq!(desk.present(9, 0).1, RefreshVerdict::Rotated);
    }

    //= specs/auth.md#auth-41
    //= type=test
    //# A log-in MUST NOT be prolonged beyond its lifetime, nor after it was idle too long.
    #[test]
    fn neither_idleness_nor_use_prolongs_a_log_in_beyond_its_end() {
        let mut idle = Desk::new();
        assert_eq!(idle.present(0, 999_999).1, RefreshVerdict::Rotated);
        assert_eq!(idle.present(1, 1_000_000).1, RefreshVerdict::Expired);
        let mut busy = Desk::new();
        let mut token = 0;
        let used = (0..).take_while(|_| {
            let (next, verdict) = busy.present(token, 900_000);
            token = next;
            verdict == RefreshVerdict::Rotated
        });
        assert_eq!(used.count(), 11, "11 times 900 s are less than 10,000 s, 12 times are more");
        assert_eq!(busy.present(token, 0).1, RefreshVerdict::Expired);
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        //= specs/auth.md#auth-40
        //= type=test
        //# A refresh token that is used again after its retirement MUST end every token of its log-in.
        #[test]
        fn a_thief_and_its_victim_cannot_both_go_on(
            before in 0u8..5,
            uses in prop::collection::vec((any::<bool>(), 0u64..60_000), 1..40),
        ) {
            let mut desk = Desk::new();
            let mut token = 0;
            for _ in 0..before {
                token = desk.present(token, 40_000).0;
            }
            // From here on two hold the same token, and each goes on with what it is answered.
            let mut held = [token; 2];
            for (thief, wait) in uses {
                let who = usize::from(thief);
                let (next, verdict) = desk.present(held[who], wait);
                let late = desk.at.since(desk.family.rotated_at) >= POLICY.grace;
                match verdict {
                    RefreshVerdict::Repeated => prop_assert!(!late, "after the grace"),
                    RefreshVerdict::Rotated => {}
                    RefreshVerdict::Reused => break,
                    other => prop_assert!(false, "{other:?}"),
                }
                held[who] = next;
            }
            // Who is not always as fast as the other is found out by the next use.
            if !desk.family.ended {
                let other = held[0].min(held[1]);
                desk.present(desk.made, 0);
                prop_assert_eq!(desk.present(other, 30_000).1, RefreshVerdict::Reused);
            }
            let verdict = desk.present(desk.made, 0).1;
            prop_assert_eq!(verdict, RefreshVerdict::Ended, "nothing of it is good");
        }

        #[test]
        fn whoever_asks_twice_at_once_goes_on_with_one_token(
            rounds in prop::collection::vec(prop::collection::vec(0u64..9_999, 1..4), 1..20),
        ) {
            // Up to four tabs share what they are given, and refresh at about the same time.
            let mut desk = Desk::new();
            let mut token = 0;
            for pauses in rounds {
                let (next, verdict) = desk.present(token, 40_000);
                prop_assert_eq!(verdict, RefreshVerdict::Rotated);
                for pause in pauses {
                    let again = desk.present(token, pause);
                    prop_assert_eq!(again, (next, RefreshVerdict::Repeated));
                }
                token = next;
            }
        }

        #[test]
        fn an_honest_client_that_loses_any_answers_is_never_thrown_out(
            steps in prop::collection::vec((any::<bool>(), 0u64..200_000), 1..40),
        ) {
            let mut desk = Desk::new();
            let mut token = 0;
            for (lost, wait) in steps {
                let (next, verdict) = desk.present(token, wait);
                prop_assert_eq!(verdict, RefreshVerdict::Rotated);
                if lost {
                    // It asks again after its own time-out, which is shorter than the grace.
                    let again = desk.present(token, 20_000);
                    prop_assert_eq!(again, (next, RefreshVerdict::Repeated));
                }
                token = next;
            }
        }

        #[test]
        fn never_is_more_than_the_newest_token_and_one_in_its_grace_answered(
            uses in prop::collection::vec((0u8..8, 0u64..50_000), 1..30),
        ) {
            let mut desk = Desk::new();
            for (back, wait) in uses {
                let old = desk.made.saturating_sub(back);
                desk.present(old, wait);
                let answered = (0..=desk.made).filter(|token| {
                    let mut copy = desk.family.clone();
                    let next = half(200);
                    let presented = Presented { half: half(*token), next, at: desk.at, policy: POLICY };
                    copy.present(&presented).verdict().is_answered()
                });
                let answered = answered.count();
                prop_assert!(answered <= 2);
                prop_assert!(!desk.family.ended || answered == 0);
            }
        }
    }
}
