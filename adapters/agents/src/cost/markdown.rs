//! Writing Markdown that means only what we meant.

/// A name from the user's data, harmless inside Markdown text and table cells: everything Markdown or
/// HTML could read as its own is escaped, line ends become spaces, and it is cut at 80 characters.
pub fn name(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, letter) in text.chars().enumerate() {
        if at == 80 {
            out.push('…');
            break;
        }
        match letter {
            letter if letter.is_control() => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '!' | '#' | '(' | ')' | '*' | '[' | '\\' | ']' | '_' | '`' | '{' | '|' | '}' | '~' => {
                out.push('\\');
                out.push(letter);
            }
            letter => out.push(letter),
        }
    }
    out
}

/// A sentence of ours that may quote the user, harmless inside Markdown text: only what could become a
/// link, a tag, a table cell or code is escaped, and nothing is cut.
pub fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            letter if letter.is_control() => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '*' | '[' | '\\' | ']' | '`' | '|' | '~' => {
                out.push('\\');
                out.push(letter);
            }
            letter => out.push(letter),
        }
    }
    out
}

/// What [`prose`] and [`name`] have escaped, as it was.
pub fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        out.push(if letter == '\\' { letters.next().unwrap_or(letter) } else { letter });
    }
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A text in backticks, for commands and identifiers of our own.
pub fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'"))
}

/// A table; the first column is text, the others are aligned right.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rule: Vec<String> =
        (0..head.len()).map(|at| if at == 0 { "---" } else { "---:" }.into()).collect();
    let mut out = line(&head) + &line(&rule);
    for row in rows {
        out.push_str(&line(row));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_cannot_become_markup() {
        let hostile = name("x](javascript:alert(1)) | <img src=x>\n# `big`");
        assert_eq!(hostile, r"x\]\(javascript:alert\(1\)\) \| &lt;img src=x&gt; \# \`big\`");
        assert_eq!(name(&"é".repeat(100)).chars().count(), 81);
    }

    #[test]
    fn a_sentence_is_neither_cut_nor_disfigured() {
        let ours = "no record names a feature; tag requests (LiteLLM: request_tags \"feature:…\") or map a column";
        assert_eq!(prose(ours), ours);
        let quoted = "I did not understand “[x](javascript:alert) <b>|`”";
        assert_eq!(prose(quoted), r"I did not understand “\[x\](javascript:alert) &lt;b&gt;\|\`”");
        assert_eq!(unescaped(&prose(quoted)), quoted);
    }
}
