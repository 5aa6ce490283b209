//! A question as words, and phrases found in it.

/// The words of a question: lower case, without punctuation except inside numbers and names.
#[derive(Clone, Debug)]
pub(super) struct Words(Vec<String>);

impl Words {
    pub(super) fn of(question: &str, at_most: usize) -> Self {
        let lower = question.to_lowercase().replace(['’', 'ʼ'], "'");
        let pieces = lower.split(|letter: char| {
            letter.is_whitespace() || "?!;:()[]{}\"“”„|<>=*`~".contains(letter)
        });
        let word = |piece: &str| {
            let piece = piece.trim_matches(|letter: char| ".,'’-–—/_&#@+".contains(letter));
            let piece = piece.strip_suffix("'s").unwrap_or(piece);
            (!piece.is_empty()).then(|| piece.to_owned())
        };
        Self(pieces.filter_map(word).take(at_most).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn get(&self, at: usize) -> Option<&str> {
        self.0.get(at).map(String::as_str)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the words of a phrase stand next to each other. A word ending in `*` is a beginning.
    pub(super) fn contains(&self, phrase: &str) -> bool {
        self.find(phrase).is_some()
    }

    pub(super) fn contains_any(&self, phrases: &[&str]) -> bool {
        phrases.iter().any(|phrase| self.contains(phrase))
    }

    /// The place after the first occurrence of a phrase.
    pub(super) fn find(&self, phrase: &str) -> Option<usize> {
        let pattern: Vec<&str> = phrase.split(' ').collect();
        let at = self.0.windows(pattern.len()).position(|window| {
            window.iter().zip(&pattern).all(|(word, wanted)| match wanted.strip_suffix('*') {
                Some(beginning) => word.starts_with(beginning),
                None => word == wanted,
            })
        })?;
        Some(at + pattern.len())
    }

    /// The name in "for team NAME" or "for the NAME team".
    pub(super) fn named(&self, noun: &str) -> Option<String> {
        let leads = |word: &str| matches!(word, "for" | "from" | "in" | "of" | "on");
        for (at, word) in self.iter().enumerate() {
            if word != noun {
                continue;
            }
            let before = |steps: usize| at.checked_sub(steps).and_then(|at| self.get(at));
            let after = self.get(at + 1).filter(|word| is_name(word));
            let article = |steps: usize| matches!(before(steps), Some("our" | "the"));
            let led = before(1).is_some_and(leads) || (article(1) && before(2).is_some_and(leads));
            if let (true, Some(name)) = (led, after) {
                return Some(name.to_owned());
            }
            let name = before(1).filter(|word| is_name(word));
            if let (true, Some(name)) = (article(2) && before(3).is_some_and(leads), name) {
                return Some(name.to_owned());
            }
        }
        None
    }
}

/// Whether a word can be the name of a team or feature, not a part of the sentence.
fn is_name(word: &str) -> bool {
    const COMMON: &[&str] = &[
        "a",
        "and",
        "are",
        "biggest",
        "by",
        "cost",
        "costs",
        "did",
        "does",
        "during",
        "each",
        "every",
        "for",
        "from",
        "had",
        "has",
        "highest",
        "in",
        "is",
        "last",
        "most",
        "next",
        "of",
        "on",
        "or",
        "our",
        "over",
        "past",
        "per",
        "previous",
        "since",
        "spend",
        "spending",
        "spends",
        "spent",
        "than",
        "that",
        "the",
        "this",
        "to",
        "today",
        "top",
        "uses",
        "usage",
        "was",
        "were",
        "which",
        "with",
        "yesterday",
    ];
    !COMMON.contains(&word)
}
