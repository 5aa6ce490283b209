//! The next smaller model of the same provider: the candidate for right-sizing (R1).
//!
//! The price table knows no capabilities, so this is a list of families whose members share text input,
//! tools and a context window of at least 128k tokens. The rule takes a candidate only when the price
//! table knows it and it is cheaper.

/// Model and its next smaller sibling, as the price table names them.
const LADDER: &[(&str, &str)] = &[
    ("claude-3-5-sonnet", "claude-3-5-haiku-latest"),
    ("claude-3-7-sonnet-latest", "claude-3-5-haiku-latest"),
    ("claude-3-opus-latest", "claude-3-5-sonnet"),
    ("claude-opus-4-0", "claude-sonnet-4-0"),
    ("claude-opus-4-1", "claude-sonnet-4-5"),
    ("claude-opus-4-5", "claude-sonnet-4-5"),
    ("claude-opus-4-6", "claude-sonnet-4-6"),
    ("claude-opus-4-7", "claude-sonnet-4-6"),
    ("claude-opus-4-8", "claude-sonnet-4-6"),
    ("claude-opus-5", "claude-sonnet-5"),
    ("claude-opus-5-5", "claude-sonnet-5-5"),
    ("claude-sonnet-4-0", "claude-haiku-4-5"),
    ("claude-sonnet-4-5", "claude-haiku-4-5"),
    ("claude-sonnet-4-6", "claude-haiku-4-5"),
    ("claude-sonnet-5", "claude-haiku-5-5"),
    ("claude-sonnet-5-5", "claude-haiku-5-5"),
    ("deepseek-v4-pro", "deepseek-v4-flash"),
    ("gemini-1.5-pro", "gemini-1.5-flash"),
    ("gemini-2.5-flash", "gemini-2.5-flash-lite"),
    ("gemini-2.5-pro", "gemini-2.5-flash"),
    ("gemini-3-flash-preview", "gemini-3.1-flash-lite"),
    ("gemini-3-pro-preview", "gemini-3-flash-preview"),
    ("gemini-3.1-pro-preview", "gemini-3-flash-preview"),
    ("gemini-3.5-flash", "gemini-3.5-flash-lite"),
    ("gpt-4-turbo", "gpt-4o-mini"),
    ("gpt-4.1", "gpt-4.1-mini"),
    ("gpt-4.1-mini", "gpt-4.1-nano"),
    ("gpt-4o", "gpt-4o-mini"),
    ("gpt-5", "gpt-5-mini"),
    ("gpt-5-mini", "gpt-5-nano"),
    ("gpt-5-pro", "gpt-5"),
    ("gpt-5.1", "gpt-5-mini"),
    ("gpt-5.2", "gpt-5-mini"),
    ("gpt-5.4", "gpt-5.4-mini"),
    ("gpt-5.4-mini", "gpt-5.4-nano"),
    ("gpt-5.5", "gpt-5.4-mini"),
    ("grok-3", "grok-3-mini"),
    ("mistral-medium-latest", "mistral-small-latest"),
    ("o1", "o4-mini"),
    ("o3", "o4-mini"),
    ("o3-pro", "o3"),
];

/// The next smaller model, if we know one.
pub fn next_smaller(model: &str) -> Option<&'static str> {
    LADDER.iter().find(|(name, _)| *name == model).map(|(_, smaller)| *smaller)
}

#[cfg(test)]
mod tests {
    use goldenpath_runtime::usage::Day;

    use super::*;
    use crate::cost::prices::{PriceTable, Terms};

    #[test]
    fn every_step_of_the_ladder_is_known_and_cheaper() {
        let prices = PriceTable::bundled();
        let day = Day::of_date(2026, 11, 1).unwrap();
        let rates = |model: &str| prices.rates_on(None, model, &Terms::standard(), day);
        let holds = |(model, smaller): &&(&str, &str)| {
            rates(model).zip(rates(smaller)).is_some_and(|(large, small)| {
                let same = large.provider == small.provider;
                same && small.input < large.input && small.output < large.output
            })
        };
        let broken: Vec<_> = LADDER.iter().filter(|step| !holds(step)).collect();
        assert_eq!(broken, [] as [&(&str, &str); 0]);
    }
}
