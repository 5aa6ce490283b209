//! A few lines at the bottom of a terminal that are drawn anew, or plain lines where there is none.

use std::io::{self, Write};

/// Where the lanes are drawn.
#[derive(Debug)]
pub(super) struct Screen {
    live: bool,
    drawn: usize,
}

impl Screen {
    /// `live` draws over what was drawn before; otherwise only [`Screen::say`] writes.
    pub(super) const fn new(live: bool) -> Self {
        Self { live, drawn: 0 }
    }

    pub(super) const fn is_live(&self) -> bool {
        self.live
    }

    /// One line for those who cannot see it change.
    pub(super) fn say(&self, line: &str) -> io::Result<()> {
        if self.live { Ok(()) } else { writeln!(io::stdout().lock(), "{}", one_line(line)) }
    }

    /// Replaces what was drawn. Long lines are cut by the terminal, not wrapped (DECAWM off), so that
    /// the number of lines to go up is known.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        let mut text = String::from("\x1b[?7l");
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in lines {
            text.push_str(&format!("\r\x1b[2K{line}\n"));
        }
        for _ in lines.len()..self.drawn {
            text.push_str("\r\x1b[2K\n");
        }
        text.push_str("\x1b[?7h");
        self.drawn = self.drawn.max(lines.len());
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// What was drawn stays; the terminal is as it was.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        self.drawn = 0;
        io::stdout().lock().flush()
    }
}

/// Text of others, without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The same on one line.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2J\u{9b}b\nc\td\r"), "a[2Jb\nc\td");
        assert_eq!(one_line("a\x1b]0;x\u{7}\nb"), "a ]0;x  b");
    }
}
