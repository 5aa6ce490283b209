//! Which refusals are recorded, and how many of them and of what users do all day.

use crate::time::Wall;
use crate::wire::ErrorCode;
use alloc::collections::BTreeMap;
use alloc::string::String;

/// Rows of refusals for one address in a minute.
pub const ROWS_PER_PLACE: u32 = 30;
/// Rows of refusals in a minute.
pub const ROWS: u32 = 600;
/// Rows of one user's everyday events in a minute.
pub const EVERYDAY_ROWS_PER_USER: u32 = 60;
/// Rows of everyday events in a minute.
pub const EVERYDAY_ROWS: u32 = 60_000;
/// Milliseconds of a minute.
const MINUTE: u64 = 60_000;

/// Whether a refusal is about who somebody is or what they may do.
#[must_use]
pub const fn is_about_identity(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::AuthAmbiguous
            | ErrorCode::Forbidden
            | ErrorCode::OriginNotAllowed
            | ErrorCode::TicketInvalid
            | ErrorCode::TokenExpired
            | ErrorCode::TokenRevoked
            | ErrorCode::Unauthorized
            | ErrorCode::UserMismatch
    )
}

/// How many events of a kind become rows: a flood is counted, and does not fill the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ration {
    of_each: u32,
    in_all: u32,
    minute: u64,
    rows: u32,
    whose: BTreeMap<String, u32>,
}

impl Ration {
    /// Of refusals, by the address they came from.
    //= specs/auth.md#auth-76
    //# Every refusal for want of a good credential or a right MUST be recorded with its reason, up to
    //# 30 rows for an address and 600 in all in a minute, and always when it ends a log-in; the others MUST
    //# be counted.
    #[must_use]
    pub const fn of_refusals() -> Self {
        Self::new(ROWS_PER_PLACE, ROWS)
    }

    /// Of what is granted all day, by user: whoever is in may renew a token, draw a ticket and open a socket as
    /// often as it likes.
    //= specs/auth.md#auth-93
    //# Refreshes, tickets and sockets that were granted MUST become up to 60 rows for a user and 60,000 in all in
    //# a minute, the others MUST be counted, and every other grant MUST become a row.
    #[must_use]
    pub const fn of_every_day() -> Self {
        Self::new(EVERYDAY_ROWS_PER_USER, EVERYDAY_ROWS)
    }

    const fn new(of_each: u32, in_all: u32) -> Self {
        Self { of_each, in_all, minute: 0, rows: 0, whose: BTreeMap::new() }
    }

    /// Whether one more becomes a row; what is nobody's shares one ration.
    pub fn admits(&mut self, whose: Option<&str>, at: Wall) -> bool {
        let minute = at.0 / MINUTE;
        if minute != self.minute {
            *self = Self { minute, ..Self::new(self.of_each, self.in_all) };
        }
        let whose = whose.unwrap_or_default();
        let of_this = self.whose.get(whose).copied().unwrap_or(0);
        if self.rows >= self.in_all || of_this >= self.of_each {
            return false;
        }
        self.rows += 1;
        self.whose.insert(String::from(whose), of_this + 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        #[test]
        fn no_flood_makes_more_rows_than_its_ration_and_nobody_else_loses_any(
            steps in prop::collection::vec((0usize..40, 0u64..100), 1..1500),
        ) {
            let mut ration = Ration::of_refusals();
            let mut at = Wall(1_800_000_000_000);
            let mut rows = BTreeMap::<(u64, usize), u32>::new();
            let mut minutes = BTreeMap::<u64, u32>::new();
            for (place, wait) in steps {
                at = Wall(at.0 + wait);
                let minute = at.0 / MINUTE;
                let admitted = ration.admits(Some(&place.to_string()), at);
                let before = rows.get(&(minute, place)).copied().unwrap_or(0);
                let all = minutes.get(&minute).copied().unwrap_or(0);
                prop_assert_eq!(admitted, before < ROWS_PER_PLACE && all < ROWS);
                *rows.entry((minute, place)).or_default() += u32::from(admitted);
                *minutes.entry(minute).or_default() += u32::from(admitted);
                prop_assert!(ration.whose.len() <= ROWS as usize);
            }
        }
    }

    #[test]
    fn a_place_has_its_ration_in_each_minute_and_all_places_have_theirs() {
        let mut ration = Ration::of_refusals();
        let at = Wall(1_800_000_000_000);
        for n in 0..ROWS_PER_PLACE + 2 {
            assert_eq!(ration.admits(Some("a"), at), n < ROWS_PER_PLACE, "{n}");
        }
        for n in ROWS_PER_PLACE..ROWS + 2 {
            assert_eq!(ration.admits(Some(&n.to_string()), at), n < ROWS, "{n}");
        }
        assert!(ration.admits(Some("a"), Wall(at.0 + MINUTE)));
    }

    #[test]
    fn a_user_has_a_ration_of_everyday_rows_in_each_minute_and_all_users_have_theirs() {
        let mut everyday = Ration::of_every_day();
        let at = Wall(1_800_000_000_000);
        for n in 0..EVERYDAY_ROWS_PER_USER + 2 {
            assert_eq!(everyday.admits(Some("ada"), at), n < EVERYDAY_ROWS_PER_USER, "{n}");
        }
        assert!(everyday.admits(None, at) && everyday.admits(Some("bob"), at));
        for n in EVERYDAY_ROWS_PER_USER + 2..EVERYDAY_ROWS + 2 {
            assert_eq!(everyday.admits(Some(&n.to_string()), at), n < EVERYDAY_ROWS, "{n}");
        }
        assert!(everyday.whose.len() <= EVERYDAY_ROWS as usize);
        assert!(!everyday.admits(Some("ada"), Wall(at.0 + MINUTE - 1)), "the minute is not over");
        assert!(everyday.admits(Some("ada"), Wall(at.0 + MINUTE)));
    }

    #[test]
    fn what_is_recorded_is_about_who_and_whether_they_may() {
        let recorded: Vec<_> = ErrorCode::ALL.iter().filter(|c| is_about_identity(**c)).collect();
        let statuses: Vec<u16> = recorded.iter().map(|code| code.http_status()).collect();
        assert!(statuses.iter().all(|status| [400, 401, 403].contains(status)), "{recorded:?}");
        let others = ErrorCode::ALL.iter().filter(|code| !is_about_identity(**code));
        for code in others {
            assert!(![401, 403].contains(&code.http_status()), "{code}");
        }
    }
}
