//! Exact money.

use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Neg, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const PICO_PER_USD: i128 = 1_000_000_000_000;
const PICO_PER_MICRO: i128 = 1_000_000;

/// US dollars in whole pico-dollars (10⁻¹² USD); exact, ordered, summable in any order.
///
/// In JSON a decimal string of dollars with as many decimals as needed: `"0.000000075"`.
///
/// ```
/// use goldenpath_runtime::usage::Usd;
/// let per_token = Usd::parse("7.5e-8").unwrap();
/// assert_eq!((per_token.times(1_000_000)).to_string(), "0.075");
/// assert_eq!(Usd::parse("1234.5").unwrap().display(), "$1,234.50");
/// ```
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Usd(i128);

impl Usd {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// From pico-dollars.
    pub const fn from_pico(pico: i128) -> Self {
        Self(pico)
    }

    /// From micro-dollars.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros as i128 * PICO_PER_MICRO)
    }

    /// In pico-dollars.
    pub const fn pico(self) -> i128 {
        self.0
    }

    /// In micro-dollars, rounded half away from zero: what totals are compared in.
    pub const fn micros(self) -> i128 {
        divide_rounded(self.0, PICO_PER_MICRO)
    }

    /// In dollars, for statistics and charts only.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / PICO_PER_USD as f64
    }

    /// The result of a statistic, rounded to the micro-dollar; `None` unless finite and below 10¹² USD.
    pub fn from_f64(dollars: f64) -> Option<Self> {
        let in_range = dollars.is_finite() && dollars.abs() < 1e12;
        in_range.then(|| Self((dollars * 1e6).round() as i128 * PICO_PER_MICRO))
    }

    /// `count` times this amount.
    pub const fn times(self, count: i64) -> Self {
        Self(self.0 * count as i128)
    }

    /// This amount times `numerator / denominator`, rounded towards zero; zero for a zero denominator.
    /// Falls back to a coarser exact step when the product would not fit.
    pub const fn scaled(self, numerator: i128, denominator: i128) -> Self {
        if denominator == 0 {
            return Self::ZERO;
        }
        match self.0.checked_mul(numerator) {
            Some(product) => Self(product / denominator),
            None => Self((self.0 / denominator).saturating_mul(numerator)),
        }
    }

    /// The smaller of two amounts.
    pub fn min(self, other: Self) -> Self {
        core::cmp::min(self, other)
    }

    /// The larger of two amounts.
    pub fn max(self, other: Self) -> Self {
        core::cmp::max(self, other)
    }

    /// The amount without its sign.
    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Reads a decimal number of dollars: `12.5`, `-0.1`, `1.2e-05`, `$1,234.50`. More than twelve
    /// decimals are rounded half away from zero. `None` for anything else or beyond 10¹² USD.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = text.strip_prefix('$').unwrap_or(text);
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let whole = if whole.contains(',') { without_groups(whole)? } else { whole.to_owned() };
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !all_digits(&whole) || !all_digits(fraction)
        {
            return None;
        }
        if whole.len() + fraction.len() > 40 || exponent.abs() > 40 {
            return None;
        }
        let digits: i128 = format!("0{whole}{fraction}").parse().ok()?;
        let shift = 12 + exponent - i32::try_from(fraction.len()).ok()?;
        let pico = if shift >= 0 {
            digits.checked_mul(10i128.checked_pow(shift.unsigned_abs())?)?
        } else {
            match 10i128.checked_pow(shift.unsigned_abs()) {
                Some(divisor) => divide_rounded(digits, divisor),
                None => 0,
            }
        };
        let in_range = pico.abs() < 1_000_000_000_000 * PICO_PER_USD;
        in_range.then_some(Self(if negative { -pico } else { pico }))
    }

    /// For people: two decimals from one dollar up, four from one cent, else six (micro-dollars).
    pub fn display(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.abs();
        if size == 0 {
            return "$0.00".into();
        }
        let decimals: u32 = match size {
            size if size >= PICO_PER_USD => 2,
            size if size >= PICO_PER_USD / 100 => 4,
            _ => 6,
        };
        let unit = 10i128.pow(decimals);
        let rounded = divide_rounded(size, PICO_PER_USD / unit);
        let width = decimals as usize;
        format!("{sign}${}.{:0width$}", grouped(rounded / unit), rounded % unit)
    }
}

/// A whole number with thousands separators.
fn grouped(number: i128) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1,234,567` without its separators; `None` when they are misplaced.
fn without_groups(text: &str) -> Option<String> {
    let mut groups = text.split(',');
    let first = groups.next()?;
    let well_formed = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    well_formed.then(|| text.replace(',', ""))
}

const fn divide_rounded(value: i128, divisor: i128) -> i128 {
    let half = divisor / 2;
    if value >= 0 { (value + half) / divisor } else { (value - half) / divisor }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for Usd {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Usd {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, rest) = (self.0.abs() / PICO_PER_USD, self.0.abs() % PICO_PER_USD);
        if rest == 0 {
            return write!(f, "{sign}{whole}");
        }
        let decimals = format!("{rest:012}");
        write!(f, "{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${self}")
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not an amount of dollars"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_and_written_back() {
        for (text, pico) in [
            ("1", PICO_PER_USD),
            ("0.000000075", 75_000),
            ("1.2e-05", 12_000_000),
            ("1E2", 100 * PICO_PER_USD),
            (".5", PICO_PER_USD / 2),
            ("$10,100.00 ", 10_100 * PICO_PER_USD),
            ("-3.25", -3_250_000_000_000),
            ("0.0000000000005", 1),
            ("1e-30", 0),
        ] {
            assert_eq!(Usd::parse(text), Some(Usd(pico)), "{text}");
        }
        for text in ["", ".", "abc", "1,23.4", "1.2.3", "--1", "1e999", "NaN", "inf", "1e13"] {
            assert_eq!(Usd::parse(text), None, "{text}");
        }
        assert_eq!(Usd(75_000).to_string(), "0.000000075");
        assert_eq!(Usd(-PICO_PER_USD / 4).to_string(), "-0.25");
    }

    #[test]
    fn amounts_are_displayed_with_the_decimals_people_need() {
        for (text, shown) in [
            ("0", "$0.00"),
            ("1234567.891", "$1,234,567.89"),
            ("0.125", "$0.1250"),
            ("0.000075", "$0.000075"),
            ("0.0000004", "$0.000000"),
            ("-12.5", "-$12.50"),
            ("999.999", "$1,000.00"),
        ] {
            assert_eq!(Usd::parse(text).unwrap().display(), shown, "{text}");
        }
    }

    #[test]
    fn micros_are_rounded_half_away_from_zero() {
        assert_eq!(Usd(1_499_999).micros(), 1);
        assert_eq!(Usd(1_500_000).micros(), 2);
        assert_eq!(Usd(-1_500_000).micros(), -2);
    }
}
