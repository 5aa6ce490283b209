//! How numbers are written for people: the one place that rounds.

use goldenpath_runtime::usage::Period;

/// A whole number with thousands separators: `19,366`.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 day`, `30 days`. The plural is the noun with an s.
pub fn counted(number: i64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// The days of a period inside a sentence: `on 2026-11-12`, `from 2026-11-01 to 2026-11-12`.
pub fn days(period: Period) -> String {
    if period.days() == 1 { format!("on {}", period.from) } else { format!("from {period}") }
}

/// A sentence begins with a capital.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Some things in a row: `a`, `a and b`, `a, b and c`.
pub fn list(things: &[String]) -> String {
    match things {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// A share of one with one decimal: `0.1234` is `12.3 %`. Not-a-number is `n/a`.
pub fn percent(share: f64) -> String {
    decimal(share * 100.0, 1, " %")
}

/// A change with its sign: `+12.3 %`.
pub fn change(share: f64) -> String {
    let text = percent(share);
    if text.starts_with(['-', 'n']) || text == percent(0.0) { text } else { format!("+{text}") }
}

/// A number with two decimals: `1.25`.
pub fn ratio(value: f64) -> String {
    decimal(value, 2, "")
}

fn decimal(value: f64, decimals: usize, unit: &str) -> String {
    if !value.is_finite() {
        return "n/a".into();
    }
    let text = format!("{value:.decimals$}");
    // Rounding may leave a sign without a number.
    let zero = text.trim_start_matches('-').bytes().all(|byte| byte == b'0' || byte == b'.');
    format!("{}{unit}", if zero { text.trim_start_matches('-') } else { &text })
}

#[cfg(test)]
mod tests {
    use goldenpath_runtime::usage::Day;

    use super::*;

    #[test]
    fn words_agree_with_their_number() {
        assert_eq!(counted(1, "day"), "1 day");
        assert_eq!(counted(0, "number"), "0 numbers");
        assert_eq!(counted(1200, "row"), "1,200 rows");
        assert_eq!(days(Period::of_days(Day(19_677), Day(19_677))), "on 2023-11-16");
        assert_eq!(
            days(Period::of_days(Day(19_677), Day(19_678))),
            "from 2023-11-16 to 2023-11-17"
        );
        assert_eq!(sentence("on a day"), "On a day");
        let things = ["a", "b", "c"].map(String::from);
        assert_eq!(
            [list(&things[..1]), list(&things[..2]), list(&things)],
            ["a", "a and b", "a, b and c"]
        );
    }

    #[test]
    fn numbers_are_written_the_way_people_read_them() {
        assert_eq!(count(0), "0");
        assert_eq!(count(-1_234_567), "-1,234,567");
        assert_eq!(percent(0.1234), "12.3 %");
        assert_eq!(change(0.5), "+50.0 %");
        assert_eq!(change(-0.00001), "0.0 %");
        assert_eq!(percent(f64::NAN), "n/a");
        assert_eq!(ratio(1.005), "1.00");
    }
}
