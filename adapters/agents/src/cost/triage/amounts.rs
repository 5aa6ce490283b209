//! Amounts of money and counts in a question.

use goldenpath_runtime::usage::Usd;

use super::words::Words;

/// The budget: an amount with a currency, or a number after a word that means a limit.
pub(super) fn budget(words: &Words) -> Option<Usd> {
    for at in 0..words.len() {
        let (Some(word), next) = (words.get(at), words.get(at + 1)) else { continue };
        let before = at.checked_sub(1).and_then(|at| words.get(at)).unwrap_or("");
        let scale = next.and_then(scale_word);
        let after = if scale.is_some() { words.get(at + 2) } else { next };
        let currency = word.starts_with(['$', '€', '£'])
            || word.ends_with("usd")
            || matches!(before, "usd" | "us$")
            || after.is_some_and(|word| matches!(word, "bucks" | "dollar" | "dollars" | "usd"));
        let limited =
            matches!(before, "below" | "budget" | "exceed" | "over" | "than" | "under" | "within")
                || (matches!(before, "of" | "is")
                    && at >= 2
                    && words.get(at - 2) == Some("budget"));
        let counted = after.is_some_and(|word| COUNTED.contains(&word));
        let is_money = (currency || (limited && !counted)) && !is_year(word, currency);
        if let Some(amount) = amount(word).filter(|_| is_money) {
            return Some(scale.map_or(amount, |scale| amount.times(scale)));
        }
    }
    None
}

/// What a number without a currency counts, when it is no money.
const COUNTED: &[&str] = &[
    "day", "days", "errors", "hours", "months", "requests", "tokens", "users", "weeks", "years",
    "percent", "%",
];

/// How many groups: "top 5", "five most expensive".
pub(super) fn top(words: &Words) -> Option<u32> {
    let after = ["top", "biggest", "largest", "first"].iter().find_map(|phrase| {
        let at = words.find(phrase)?;
        number(words.get(at)?)
    });
    after.or_else(|| {
        ["most expensive", "biggest", "largest", "costliest"].iter().find_map(|phrase| {
            let start = words.find(phrase)?.checked_sub(phrase.split(' ').count() + 1)?;
            number(words.get(start)?)
        })
    })
}

/// A small whole number in digits or in words.
pub(super) fn number(word: &str) -> Option<u32> {
    const SMALL: [&str; 13] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
        "eleven", "twelve",
    ];
    let spelled =
        SMALL.iter().position(|small| *small == word).and_then(|at| u32::try_from(at).ok());
    let digits = || (word.len() <= 4).then(|| word.parse().ok()).flatten();
    let other = match word {
        "a" | "an" => Some(1),
        "couple" => Some(2),
        "thirty" => Some(30),
        "ninety" => Some(90),
        _ => None,
    };
    spelled.or_else(digits).or(other)
}

fn scale_word(word: &str) -> Option<i64> {
    match word {
        "grand" | "thousand" => Some(1000),
        "million" => Some(1_000_000),
        _ => None,
    }
}

/// `5000`, `$5,000`, `1.5k`, `2m`, `500usd`.
fn amount(word: &str) -> Option<Usd> {
    let word = word.trim_start_matches(['$', '€', '£']).trim_end_matches("usd");
    let (digits, scale) = match word.strip_suffix('k') {
        Some(digits) => (digits, 1000),
        None => word.strip_suffix('m').map_or((word, 1), |digits| (digits, 1_000_000)),
    };
    digits.starts_with(|letter: char| letter.is_ascii_digit()).then_some(())?;
    Usd::parse(digits).map(|amount| amount.times(scale))
}

/// "over 2025" is a year, "$2025" is money.
fn is_year(word: &str, currency: bool) -> bool {
    !currency
        && word.len() == 4
        && word.parse::<u32>().is_ok_and(|year| (2000..2100).contains(&year))
}
