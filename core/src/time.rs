//! Time as the machines see it: passed in, integer, never read from a clock.

use core::fmt;
use serde::{Deserialize, Serialize};

/// A length of time in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// The span in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A point on the monotonic clock, in milliseconds since an arbitrary start; for deadlines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// The point `span` later; stops at the end of time instead of wrapping.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// A point in civil time, in milliseconds since the Unix epoch, UTC; for token expiry and records.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Wall(pub u64);

impl Wall {
    /// The point `span` later.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The time from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// RFC 3339 in UTC with milliseconds, `2026-11-21T10:11:13.120Z`; 24 characters up to the year 9999.
    #[must_use]
    pub fn to_rfc3339(self) -> Rfc3339 {
        Rfc3339(self)
    }
}

/// Displays a [`Wall`] as RFC 3339.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(Wall);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.0;
        let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        if year > 9999 {
            return write!(f, "+{year}-{month:02}-{day:02}T00:00:00.000Z");
        }
        let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
        let second = rest / 1000 % 60;
        // Written digit by digit, the last ones of each number: every entry of every log has one.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts = [(0, 4, year), (5, 2, month), (8, 2, day), (11, 2, hour), (14, 2, minute)];
        for (at, width, mut value) in parts.into_iter().chain([(17, 2, second), (20, 3, rest)]) {
            for digit in text[at..at + width].iter_mut().rev() {
                *digit = b'0' + (value % 10) as u8;
                value /= 10;
            }
        }
        f.write_str(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Days since 1970-01-01 to year, month, day in the proleptic Gregorian calendar: the 400-year cycle
/// has 146,097 days, and a year that starts in March ends with the leap day.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Both clocks at one instant. The driver never lets `mono` go backwards; `wall` may jump.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Now {
    /// For deadlines.
    pub mono: Mono,
    /// For token expiry and records.
    pub wall: Wall,
}

impl Now {
    /// Both clocks moved on by `span`; what tests and simulations use.
    #[must_use]
    pub const fn after(self, span: Millis) -> Self {
        Self { mono: self.mono.after(span), wall: self.wall.after(span) }
    }
}

/// The earlier of two optional deadlines.
#[must_use]
pub fn earliest(a: Option<Mono>, b: Option<Mono>) -> Option<Mono> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn wall_time_is_written_as_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_255_873_120, "2026-11-21T10:11:13.120Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (ms, text) in cases {
            assert_eq!(Wall(ms).to_rfc3339().to_string(), text);
        }
    }

    #[test]
    fn a_year_of_more_than_four_digits_is_still_a_time() {
        assert_eq!(Wall(253_402_300_799_999).to_rfc3339().to_string(), "9999-12-31T23:59:59.999Z");
        let beyond = Wall(253_402_300_800_000).to_rfc3339().to_string();
        assert_eq!(beyond, "+10000-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_span_says_its_unit() {
        assert_eq!(Millis(250).to_string(), "250 ms");
    }

    #[test]
    fn deadlines_saturate_instead_of_wrapping() {
        assert_eq!(Mono(u64::MAX).after(Millis(1)), Mono(u64::MAX));
        assert_eq!(Mono(1).since(Mono(2)), Millis::ZERO);
    }
}
