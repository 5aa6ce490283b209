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

    /// The same words without those at some places; nothing stands next to what was taken out.
    pub(super) fn without(&self, taken: &[bool]) -> Self {
        let keep = |(at, word): (usize, &String)| {
            if taken.get(at).copied().unwrap_or(false) { String::new() } else { word.clone() }
        };
        Self(self.0.iter().enumerate().map(keep).collect())
    }
}
