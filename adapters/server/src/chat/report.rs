//! An answer as a terminal shows it: no marks of Markdown, tables in columns. What goes into a file or a
//! pipe stays Markdown and is none of this module's.

use super::screen::plain;
use pulldown_cmark::{Alignment, CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use unicode_width::UnicodeWidthStr as _;

/// Text is read badly in longer lines; a table may use the whole terminal.
const LONGEST_LINE: usize = 100;
/// A column is not made narrower than this.
const NARROWEST: usize = 10;
const BETWEEN_COLUMNS: &str = "  ";
const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";
const ITALIC: &str = "\x1b[3m";
const PLAIN: &str = "\x1b[0m";

/// Markdown for a terminal of so many columns. What is in it cannot steer the terminal.
pub(super) fn shown(markdown: &str, columns: usize) -> String {
    let markdown = plain(markdown);
    let mut page = Page::new(columns);
    for event in read(&markdown) {
        page.event(event);
    }
    page.out.truncate(page.out.trim_end().len());
    page.out.push('\n');
    page.out
}

/// The names of the facts an answer rests on, each once, as they come.
pub(super) fn facts(markdown: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for event in read(markdown) {
        if let Event::Start(Tag::Link { dest_url, .. }) = event
            && let Some(name) = dest_url.strip_prefix("fact:")
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

fn read(markdown: &str) -> Parser<'_> {
    Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH)
}

/// What stands before the lines of a block: once before the first one, then before the others.
struct Margin {
    first: Option<String>,
    rest: String,
}

struct Table {
    alignments: Vec<Alignment>,
    rows: Vec<Vec<String>>,
}

struct Page {
    out: String,
    columns: usize,
    /// The text of the block that is being read; each word carries its own style, so that a line may
    /// end after any of them.
    inline: String,
    styles: Vec<&'static str>,
    margins: Vec<Margin>,
    /// The next number of each list that is open; none for a list of points.
    lists: Vec<Option<u64>>,
    table: Option<Table>,
    /// Where the links that are open lead, when that is worth a word.
    links: Vec<Option<String>>,
    verbatim: bool,
}

impl Page {
    fn new(columns: usize) -> Self {
        Self {
            out: String::new(),
            columns: columns.max(NARROWEST),
            inline: String::new(),
            styles: Vec::new(),
            margins: Vec::new(),
            lists: Vec::new(),
            table: None,
            links: Vec::new(),
            verbatim: false,
        }
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.verbatim => self.inline.push_str(&text),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.styled(CYAN, |page| page.text(&text));
            }
            Event::SoftBreak => self.inline.push(' '),
            Event::HardBreak => self.inline.push('\n'),
            Event::Rule => {
                self.gap();
                self.out.push_str(&format!("{DIM}{}{PLAIN}\n", "─".repeat(self.line_width())));
            }
            Event::TaskListMarker(done) => self.text(if done { "[x] " } else { "[ ] " }),
            Event::FootnoteReference(name) => self.text(&format!("[{name}]")),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } => {
                self.gap();
                self.styles.push(BOLD);
            }
            Tag::Paragraph => self.gap(),
            Tag::BlockQuote(_) => {
                self.gap();
                self.margins.push(Margin { first: None, rest: format!("{DIM}│{PLAIN} ") });
            }
            Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) => {
                self.flush();
                self.gap();
                self.verbatim = true;
            }
            Tag::List(first) => {
                self.flush();
                self.gap();
                self.lists.push(first);
            }
            Tag::Item => {
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        let mark = format!("{number}. ");
                        *number += 1;
                        mark
                    }
                    _ => "• ".to_owned(),
                };
                let rest = " ".repeat(mark.width());
                self.margins.push(Margin { first: Some(mark), rest });
            }
            Tag::Table(alignments) => {
                self.gap();
                self.table = Some(Table { alignments, rows: Vec::new() });
            }
            Tag::TableHead => {
                self.styles.push(BOLD);
                self.row();
            }
            Tag::TableRow => self.row(),
            Tag::Strong => self.styles.push(BOLD),
            Tag::Emphasis => self.styles.push(ITALIC),
            Tag::Link { dest_url, .. } => {
                let outside = dest_url.starts_with("http:") || dest_url.starts_with("https:");
                self.links.push(outside.then(|| dest_url.into_string()));
            }
            Tag::Image { dest_url, .. } => {
                self.styles.push(CYAN);
                let ours = dest_url.starts_with("artifact:");
                self.text(if ours { "[chart on the page: " } else { "[picture: " });
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) => {
                self.styles.pop();
                self.flush();
            }
            TagEnd::Paragraph => self.flush(),
            TagEnd::BlockQuote(_) | TagEnd::Item => {
                self.flush();
                self.margins.pop();
            }
            TagEnd::CodeBlock => {
                self.verbatim = false;
                let text = core::mem::take(&mut self.inline);
                for line in text.lines() {
                    let margin = self.margin();
                    self.out.push_str(&format!("{margin}    {CYAN}{line}{PLAIN}\n"));
                }
            }
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::TableHead => {
                self.styles.pop();
            }
            TagEnd::TableCell => {
                let cell = core::mem::take(&mut self.inline);
                if let Some(row) = self.table.as_mut().and_then(|table| table.rows.last_mut()) {
                    row.push(cell.replace('\n', " "));
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.out.push_str(&table.shown(self.columns));
                }
            }
            TagEnd::Strong | TagEnd::Emphasis => {
                self.styles.pop();
            }
            TagEnd::Link => {
                if let Some(Some(target)) = self.links.pop()
                    && !self.inline.contains(&target)
                {
                    self.text(&format!(" ({target})"));
                }
            }
            TagEnd::Image => {
                self.text("]");
                self.styles.pop();
            }
            _ => {}
        }
    }

    fn styled(&mut self, style: &'static str, write: impl FnOnce(&mut Self)) {
        self.styles.push(style);
        write(self);
        self.styles.pop();
    }

    /// Adds text word by word, each with all styles that hold.
    fn text(&mut self, text: &str) {
        let style = self.styles.concat();
        for piece in text.split_inclusive([' ', '\n']) {
            let word = piece.trim_end_matches([' ', '\n']);
            if style.is_empty() || word.is_empty() {
                self.inline.push_str(word);
            } else {
                self.inline.push_str(&format!("{style}{word}{PLAIN}"));
            }
            if word.len() < piece.len() {
                self.inline.push(' ');
            }
        }
    }

    fn row(&mut self) {
        if let Some(table) = &mut self.table {
            table.rows.push(Vec::new());
        }
    }

    /// Writes the block that was read.
    fn flush(&mut self) {
        let text = core::mem::take(&mut self.inline);
        if text.trim().is_empty() {
            return;
        }
        let margin: usize = self.margins.iter().map(|margin| visible(&margin.rest)).sum();
        let width = self.line_width().saturating_sub(margin).max(NARROWEST);
        for line in text.split('\n').flat_map(|part| wrapped(part, width)) {
            let margin = self.margin();
            self.out.push_str(&format!("{margin}{line}\n"));
        }
    }

    fn margin(&mut self) -> String {
        self.margins.iter_mut().map(|m| m.first.take().unwrap_or_else(|| m.rest.clone())).collect()
    }

    fn line_width(&self) -> usize {
        self.columns.min(LONGEST_LINE)
    }

    /// An empty line between blocks, but none within a list.
    fn gap(&mut self) {
        if self.lists.is_empty() && !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }
}

impl Table {
    /// Columns as wide as what is in them; when the terminal is too narrow the widest ones are broken
    /// into more lines.
    fn shown(&self, columns: usize) -> String {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let natural = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| visible(cell)).max()
        };
        let mut widths: Vec<usize> = (0..count).map(|n| natural(n).unwrap_or_default()).collect();
        let between = BETWEEN_COLUMNS.len() * count.saturating_sub(1);
        while widths.iter().sum::<usize>() + between > columns {
            match widths.iter_mut().max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => break,
            }
        }
        let mut out = String::new();
        for (nth, row) in self.rows.iter().enumerate() {
            let cells: Vec<Vec<String>> =
                row.iter().zip(&widths).map(|(cell, width)| wrapped(cell, *width)).collect();
            for line in 0..cells.iter().map(Vec::len).max().unwrap_or_default() {
                let mut shown = String::new();
                for (column, width) in widths.iter().enumerate() {
                    let piece = cells.get(column).and_then(|cell| cell.get(line));
                    let piece = piece.map_or("", String::as_str);
                    if column > 0 {
                        shown.push_str(BETWEEN_COLUMNS);
                    }
                    shown.push_str(&aligned(piece, *width, self.alignments.get(column)));
                }
                out.push_str(shown.trim_end());
                out.push('\n');
            }
            if nth == 0 {
                let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
                out.push_str(&format!("{DIM}{}{PLAIN}\n", rule.join(BETWEEN_COLUMNS)));
            }
        }
        out
    }
}

fn aligned(text: &str, width: usize, alignment: Option<&Alignment>) -> String {
    let free = width.saturating_sub(visible(text));
    let before = match alignment {
        Some(Alignment::Right) => free,
        Some(Alignment::Center) => free / 2,
        Some(Alignment::Left | Alignment::None) | None => 0,
    };
    format!("{}{text}{}", " ".repeat(before), " ".repeat(free - before))
}

/// Lines of at most so many columns; a word that is longer has a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let needed = visible(word);
        if used > 0 && used + 1 + needed > width {
            lines.push(core::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += needed;
    }
    lines.push(line);
    lines
}

/// Columns a text takes; our own styles take none.
fn visible(text: &str) -> usize {
    let mut pieces = text.split('\x1b');
    let first = pieces.next().unwrap_or_default().width();
    first
        + pieces
            .map(|piece| piece.split_once('m').map_or(0, |(_, rest)| rest.width()))
            .sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "# AI cost report

You spent [$137.18](fact:total.cost) on [5,996](fact:total.requests) requests, see [prices](https://example.org/p).

| Model | Cost | Share |
| --- | ---: | ---: |
| claude-sonnet-4-6 | [$56.07](fact:by-model.a.cost) | [40.9 %](fact:by-model.a.share) |
| 模型 | [$8.52](fact:by-model.b.cost) | – |
| **Total** | [$137.18](fact:total.cost) |  |

![Daily cost](artifact:daily.svg)

- nightly: [$19.03](fact:x.saving) a month of `batch`
- second

1. one
2. two
";

    fn without_style(text: &str) -> String {
        let mut pieces = text.split('\x1b');
        let first = pieces.next().unwrap().to_owned();
        first + &pieces.map(|p| p.split_once('m').unwrap().1).collect::<String>()
    }

    #[test]
    fn a_report_is_shown_without_marks_and_with_its_tables_in_columns() {
        let text = without_style(&shown(REPORT, 80));
        let expected = "AI cost report

You spent $137.18 on 5,996 requests, see prices (https://example.org/p).

Model                 Cost   Share
─────────────────  ───────  ──────
claude-sonnet-4-6   $56.07  40.9 %
模型                 $8.52       –
Total              $137.18

[chart on the page: Daily cost]

• nightly: $19.03 a month of batch
• second

1. one
2. two
";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_narrow_terminal_breaks_cells_and_lines_but_keeps_the_columns() {
        let table = "| Lever | Alone |\n| --- | ---: |\n| Send work nobody waits for through the batch API | $19.03 |\n";
        let text = without_style(&shown(table, 30));
        assert!(text.lines().all(|line| line.width() <= 30), "{text}");
        let ends: Vec<&str> = text.lines().filter(|line| line.contains("$19.03")).collect();
        assert_eq!(ends, ["Send work nobody waits  $19.03"], "{text}");
        let long = without_style(&shown(&"word ".repeat(60), 40));
        assert!(long.lines().count() > 6 && long.lines().all(|line| line.width() <= 40), "{long}");
    }

    #[test]
    fn what_is_in_a_report_cannot_steer_the_terminal() {
        let text = shown("a\u{1b}[2J **b\u{9b}31m** `c\u{1b}]0;x\u{7}`", 80);
        assert_eq!(without_style(&text), "a[2J b31m c]0;x\n");
    }

    #[test]
    fn the_facts_of_a_report_are_named_once() {
        let names = facts(REPORT);
        assert_eq!(names[..3], ["total.cost", "total.requests", "by-model.a.cost"]);
        assert_eq!(names.len(), 6);
    }
}
