//! How numbers are written for people: the one place that rounds.

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
    use super::*;

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
