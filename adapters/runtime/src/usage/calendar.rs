//! Days and moments in UTC, and the ways export files write them.

use core::fmt;

use serde::{Deserialize, Serialize};

const US_PER_SECOND: i64 = 1_000_000;
const US_PER_DAY: i64 = 86_400 * US_PER_SECOND;

/// A day in UTC: days since 1970-01-01. Written `2026-10-14`.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Day(pub i32);

impl Day {
    /// The day of a moment in microseconds since the Unix epoch.
    pub fn of_timestamp(ts_us: i64) -> Self {
        // Four-digit years are far inside the range of `i32` days.
        Self(i32::try_from(ts_us.div_euclid(US_PER_DAY)).unwrap_or(i32::MAX))
    }

    /// A calendar date; `None` when there is no such date between the years 1970 and 9999.
    pub fn of_date(year: i32, month: u32, day: u32) -> Option<Self> {
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
            return None;
        }
        if day == 0 || day > days_in_month(year, month) {
            return None;
        }
        // Howard Hinnant's days_from_civil, for years after the epoch.
        let (y, m, d) = (i64::from(year), i64::from(month), i64::from(day));
        let y = if m <= 2 { y - 1 } else { y };
        let era = y.div_euclid(400);
        let year_of_era = y.rem_euclid(400);
        let day_of_year = (153 * ((m + 9) % 12) + 2) / 5 + d - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        i32::try_from(era * 146_097 + day_of_era - 719_468).ok().map(Self)
    }

    /// Year, month and day of the month.
    pub fn date(self) -> (i32, u32, u32) {
        let days = i64::from(self.0) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year as i32, month as u32, day as u32)
    }

    /// Midnight, in microseconds since the Unix epoch.
    pub fn start_us(self) -> i64 {
        i64::from(self.0) * US_PER_DAY
    }

    /// So many days later (or earlier).
    pub const fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Days from `earlier` to this day.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.saturating_sub(earlier.0)
    }

    /// 0 is Monday.
    pub const fn weekday(self) -> u32 {
        (self.0 + 3).rem_euclid(7) as u32
    }

    /// The first day of its month.
    pub fn month_start(self) -> Self {
        let (_, _, day) = self.date();
        Self(self.0 - day as i32 + 1)
    }

    /// The first day of the month after its own.
    pub fn next_month(self) -> Self {
        let (year, month, _) = self.date();
        Self(self.month_start().0 + days_in_month(year, month) as i32)
    }

    /// Reads `2026-10-14`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let year = digits(parts.next()?, 4)?;
        let (month, day) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        Self::of_date(year as i32, month as u32, day as u32)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whole days in UTC, from the first up to but without the last.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct Period {
    /// The first day.
    pub from: Day,
    /// The day after the last.
    pub until: Day,
}

impl Period {
    /// Both ends included; an earlier last day makes it one day long.
    pub fn of_days(first: Day, last: Day) -> Self {
        Self { from: first, until: Day(last.0.max(first.0)).plus(1) }
    }

    /// Its length in days, at least one.
    pub fn days(self) -> i32 {
        self.until.since(self.from).max(1)
    }

    /// The last day that belongs to it.
    pub fn last(self) -> Day {
        self.until.plus(-1)
    }

    /// The period of the same length just before.
    pub fn previous(self) -> Self {
        Self { from: self.from.plus(-self.days()), until: self.from }
    }

    /// Every day of it.
    pub fn iter(self) -> impl Iterator<Item = Day> {
        (self.from.0..self.until.0).map(Day)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.last())
    }
}

/// How dates with slashes are meant. Everything else is unambiguous.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampStyle {
    /// `10/14/2026` is the fourteenth of October.
    #[default]
    MonthFirst,
    /// `14/10/2026` is the fourteenth of October.
    DayFirst,
}

/// Reads a moment as export files write it, in microseconds since the Unix epoch: RFC 3339 with `T` or
/// a space, with or without fraction, offset or time; Unix seconds, milliseconds or microseconds; dates
/// with slashes in the given style. Without an offset it is UTC. Leap seconds count as the second
/// before. `None` for everything else.
pub fn parse_timestamp(text: &str, style: TimestampStyle) -> Option<i64> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return parse_unix(text);
    }
    let (date, rest) = match text.find(['T', 't', ' ']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.trim()),
        None => (text, ""),
    };
    let day = if date.contains('/') { parse_slashed(date, style)? } else { Day::parse(date)? };
    if rest.is_empty() {
        return Some(day.start_us());
    }
    let (time, offset_us) = split_offset(rest)?;
    Some(day.start_us() + parse_time(time)? - offset_us)
}

/// RFC 3339 in UTC with milliseconds: `2026-10-14T09:00:00.000Z`.
pub fn format_timestamp(ts_us: i64) -> String {
    let day = Day::of_timestamp(ts_us);
    let ms = ts_us.rem_euclid(US_PER_DAY) / 1000;
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{day}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

fn parse_unix(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let value: i64 = whole.parse().ok()?;
    let us = match whole.len() {
        1..=10 => value * US_PER_SECOND + fraction_us(fraction)?,
        13 => value * 1000,
        16 => value,
        _ => return None,
    };
    Some(us)
}

fn parse_slashed(date: &str, style: TimestampStyle) -> Option<Day> {
    let mut parts = date.splitn(3, '/');
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next()?);
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.len() <= 4);
    if first.len() == 4 {
        return Day::of_date(number(first)? as i32, number(second)?, number(third)?);
    }
    let year = match third.len() {
        4 => number(third)?,
        2 => 2000 + number(third)?,
        _ => return None,
    };
    match style {
        TimestampStyle::MonthFirst => Day::of_date(year as i32, number(first)?, number(second)?),
        TimestampStyle::DayFirst => Day::of_date(year as i32, number(second)?, number(first)?),
    }
}

fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(time) = text.strip_suffix(['Z', 'z']) {
        return Some((time.trim_end(), 0));
    }
    if let Some(time) = text.strip_suffix("UTC") {
        return Some((time.trim_end(), 0));
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0)) };
    let sign = if text.as_bytes().get(at) == Some(&b'-') { -1 } else { 1 };
    let offset = text.get(at + 1..)?.replace(':', "");
    let (hours, minutes) = match offset.len() {
        2 => (digits(&offset, 2)?, 0),
        4 => (digits(offset.get(..2)?, 2)?, digits(offset.get(2..)?, 2)?),
        _ => return None,
    };
    let in_range = hours <= 18 && minutes < 60;
    in_range.then_some((
        text.get(..at)?.trim_end(),
        sign * (hours * 3600 + minutes * 60) * US_PER_SECOND,
    ))
}

fn parse_time(text: &str) -> Option<i64> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.splitn(3, ':');
    let hour = digits(parts.next()?, 2)?;
    let minute = digits(parts.next()?, 2)?;
    let second = match parts.next() {
        Some(text) => digits(text, 2)?.min(59 + i64::from(text == "60")),
        None => 0,
    };
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let second = second.min(59);
    Some((hour * 3600 + minute * 60 + second) * US_PER_SECOND + fraction_us(fraction)?)
}

/// The first six digits of a fraction of a second.
fn fraction_us(text: &str) -> Option<i64> {
    if text.len() > 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    format!("{text:0<6}").get(..6)?.parse().ok()
}

fn digits(text: &str, at_most: usize) -> Option<i64> {
    let well_formed =
        (1..=at_most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if well_formed { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_convert_both_ways() {
        let mut day = Day::of_date(1970, 1, 1).unwrap();
        assert_eq!(day, Day(0));
        while day.0 < 60_000 {
            let (year, month, of_month) = day.date();
            assert_eq!(Day::of_date(year, month, of_month), Some(day));
            assert_eq!(Day::parse(&day.to_string()), Some(day));
            day = day.plus(1);
        }
        assert_eq!(Day::of_date(2026, 2, 29), None);
        assert_eq!(Day::parse("2026-11-21").unwrap().weekday(), 5, "a Saturday");
        assert_eq!(Day::parse("2026-12-31").unwrap().next_month().to_string(), "2027-01-01");
    }

    #[test]
    fn moments_are_read_as_exports_write_them() {
        let midday = "2026-10-14T12:00:00Z";
        let us = parse_timestamp(midday, TimestampStyle::MonthFirst).unwrap();
        assert_eq!(format_timestamp(us), "2026-10-14T12:00:00.000Z");
        for same in [
            "2026-10-14 12:00:00",
            "2026-10-14T14:00:00+02:00",
            "2026-10-14T07:30:00-0430",
            "2026-10-14 12:00:00.0000000 UTC",
            "10/14/2026 12:00",
            "1791979200",
            "1791979200000",
            "1791979200.0",
        ] {
            assert_eq!(parse_timestamp(same, TimestampStyle::MonthFirst), Some(us), "{same}");
        }
        assert_eq!(parse_timestamp("14/10/2026 12:00", TimestampStyle::DayFirst), Some(us));
        assert_eq!(
            parse_timestamp("2023-11-16 18:17:03.9799600", TimestampStyle::MonthFirst)
                .map(|us| us % 1_000_000),
            Some(979_960)
        );
        for wrong in [
            "",
            "yesterday",
            "2026-13-01",
            "2026-10-14T25:00:00Z",
            "2026-10-14T1x:00",
            "14/10/2026",
        ] {
            assert_eq!(parse_timestamp(wrong, TimestampStyle::MonthFirst), None, "{wrong}");
        }
    }

    #[test]
    fn the_previous_period_has_the_same_length_and_touches() {
        let period = Period::of_days(Day(100), Day(106));
        assert_eq!(period.days(), 7);
        assert_eq!(period.previous(), Period { from: Day(93), until: Day(100) });
    }
}
