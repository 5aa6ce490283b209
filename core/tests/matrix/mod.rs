//! Pages of `specs/machines`, made from what the machines do: the tests that show a machine its whole
//! matrix hand the rows over here, and the page must be what comes of it.
//! `GOLDENPATH_UPDATE_SPECS=1` before the test command accepts a change.

use std::borrow::ToOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::string::String;
use std::vec::Vec;
use std::{format, fs};

/// A label of the drawing is broken before it gets longer than this.
const LINE: usize = 34;

/// A machine and all it was seen to do.
pub(crate) struct Page {
    /// The page's file name, without its ending.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// What it is for.
    pub(crate) about: &'static str,
    /// In which states it can begin.
    pub(crate) begins: &'static [&'static str],
    /// Its states, with an explanation each.
    pub(crate) states: &'static [(&'static str, &'static str)],
    pub(crate) rows: Vec<Row>,
}

/// In one state, on one input.
#[derive(Clone)]
pub(crate) struct Row {
    from: String,
    /// What is special about the state, such as a question under way; mostly nothing.
    detail: String,
    input: String,
    to: String,
    /// In words; empty when nothing is said.
    says: String,
}

impl Row {
    /// `staged` is the name the test gives the state: `from`, perhaps with a comma and a detail.
    pub(crate) fn of(staged: &str, from: &str, input: &str, to: &str, says: &str) -> Self {
        let detail = staged.strip_prefix(from).unwrap_or(staged).trim_start_matches([',', ' ']);
        Self {
            from: from.to_owned(),
            detail: detail.to_owned(),
            input: input.to_owned(),
            to: to.to_owned(),
            says: says.trim().to_owned(),
        }
    }

    fn does_something(&self) -> bool {
        self.from != self.to || !self.says.is_empty()
    }
}

impl Page {
    /// The page in `specs/machines` is this one, and the index names it.
    pub(crate) fn check(&self) {
        self.check_states();
        page_is(self.name, &self.text());
    }

    /// Every state seen is explained, every state explained is seen and can be come to.
    fn check_states(&self) {
        let explained: BTreeSet<&str> = self.states.iter().map(|(name, _)| *name).collect();
        let seen = self.rows.iter().flat_map(|row| [row.from.as_str(), row.to.as_str()]);
        assert_eq!(explained, seen.collect(), "states of {}", self.name);
        let shown: BTreeSet<&str> = self.rows.iter().map(|row| row.from.as_str()).collect();
        assert_eq!(explained, shown, "states of {} that were shown every input", self.name);
        let mut reached: BTreeSet<&str> = self.begins.iter().copied().collect();
        for _ in self.states {
            let next = self.rows.iter().filter(|row| reached.contains(row.from.as_str()));
            reached.extend(next.map(|row| row.to.as_str()).collect::<Vec<_>>());
        }
        assert_eq!(explained, reached, "states of {} that can be come to", self.name);
    }

    fn text(&self) -> String {
        let Self { title, about, .. } = self;
        let mut page = format!(
            "# {title}\n\n{about}\n\nMade from the machine by its tests; do not edit. What the drawing and \
             the tables leave out\nchanges nothing and says nothing.\n\n{}",
            self.drawing()
        );
        for (state, explanation) in self.states {
            write!(page, "\n## {state}\n\n{explanation}\n").unwrap();
            page.push_str(&self.table(state));
        }
        page
    }

    /// The input, with the detail of the state where rows that are the same but for it differ.
    fn input(&self, row: &Row, differ: fn(&Row, &Row) -> bool) -> String {
        let same = |other: &&Row| other.from == row.from && other.input == row.input;
        if !row.detail.is_empty() && self.rows.iter().filter(same).any(|other| differ(other, row)) {
            format!("{} ({})", row.input, row.detail)
        } else {
            row.input.clone()
        }
    }

    fn is_last(&self, state: &str) -> bool {
        !self.rows.iter().any(|row| row.from == state && row.does_something())
    }

    /// Inputs that lead to the same state from wherever they come.
    fn everywhere(&self) -> BTreeMap<&str, &str> {
        let mut common = BTreeMap::new();
        let living = |row: &&Row| !self.is_last(&row.from);
        for input in self.rows.iter().map(|row| row.input.as_str()) {
            let rows: Vec<_> =
                self.rows.iter().filter(living).filter(|r| r.input == input).collect();
            let from: BTreeSet<&str> = rows.iter().map(|row| row.from.as_str()).collect();
            if let Some(first) = rows.first()
                && from.len() >= 3
                && rows.iter().all(|row| row.to == first.to && row.from != row.to)
            {
                common.insert(input, first.to.as_str());
            }
        }
        common
    }

    fn drawing(&self) -> String {
        let everywhere = self.everywhere();
        let mut edges: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
        let place = |name: &str| self.states.iter().position(|(state, _)| *state == name).unwrap();
        for row in self.rows.iter().filter(|row| row.does_something()) {
            let inputs = edges.entry((place(&row.from), place(&row.to))).or_default();
            let input = self.input(row, |one, other| one.to != other.to);
            // What is said already, or is a special case of it.
            let said = |known: &String| {
                let rest = input.strip_prefix(known.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ',']))
            };
            if !everywhere.contains_key(row.input.as_str()) && !inputs.iter().any(said) {
                inputs.push(input);
            }
        }
        let mut drawing = String::from("```mermaid\nstateDiagram-v2\n");
        for (at, (state, _)) in self.states.iter().enumerate() {
            writeln!(drawing, "    state \"{state}\" as s{at}").unwrap();
        }
        for state in self.begins {
            writeln!(drawing, "    [*] --> s{}", place(state)).unwrap();
        }
        for ((from, to), inputs) in edges.iter().filter(|(_, inputs)| !inputs.is_empty()) {
            writeln!(drawing, "    s{from} --> s{to} : {}", label(inputs)).unwrap();
        }
        for (at, (state, _)) in self.states.iter().enumerate() {
            if self.is_last(state) {
                writeln!(drawing, "    s{at} --> [*]").unwrap();
            }
        }
        drawing.push_str("```\n");
        let targets: BTreeSet<&str> = everywhere.values().copied().collect();
        for target in targets {
            let inputs = everywhere.iter().filter(|(_, to)| **to == target);
            let inputs: Vec<_> = inputs.map(|(input, _)| format!("*{input}*")).collect();
            let inputs = inputs.join(", ");
            write!(
                drawing,
                "\nNot drawn, because it leads to **{target}** from every state: {inputs}.\n"
            )
            .unwrap();
        }
        drawing
    }

    fn table(&self, state: &str) -> String {
        let mut answers: Vec<((&str, &str), Vec<String>)> = Vec::new();
        for row in self.rows.iter().filter(|row| row.from == state && row.does_something()) {
            let answer = (row.to.as_str(), row.says.as_str());
            let input =
                self.input(row, |one, other| (&one.to, &one.says) != (&other.to, &other.says));
            match answers.iter_mut().find(|(known, _)| *known == answer) {
                Some((_, inputs)) if !inputs.contains(&input) => inputs.push(input),
                Some(_) => {}
                None => answers.push((answer, Vec::from([input]))),
            }
        }
        if answers.is_empty() {
            return String::from("\nEvery input is ignored.\n");
        }
        let mut table = String::from("\n| Input | Next | Says |\n|---|---|---|\n");
        for ((to, says), inputs) in answers {
            let says = says.replace('|', "\\|");
            writeln!(table, "| {} | {to} | {says} |", inputs.join("; ")).unwrap();
        }
        table
    }
}

/// The page of this name is this text, and the index names it.
pub(crate) fn page_is(name: &str, made: &str) {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let folder = above.map(|at| at.join("specs/machines")).find(|at| at.is_dir()).unwrap();
    let path = folder.join(format!("{name}.md"));
    if std::env::var_os("GOLDENPATH_UPDATE_SPECS").is_some() {
        fs::write(&path, made).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, made, "run with GOLDENPATH_UPDATE_SPECS=1 to accept");
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(index.contains(&format!("({name}.md)")), "specs/machines/README.md names {name}");
}

/// Mermaid reads colons and semicolons as its own.
fn label(inputs: &[String]) -> String {
    let (mut text, mut line) = (String::new(), 0);
    for input in inputs {
        if line > 0 {
            text.push_str(" /");
            line += 2;
        }
        if line > 0 && line + input.len() > LINE {
            text.push_str("<br/>");
            line = 0;
        } else if line > 0 {
            text.push(' ');
        }
        text.push_str(&input.replace([':', ';'], ","));
        line += input.len() + 1;
    }
    text
}

/// What can be done to a machine: its name, and the doing, which says what came of it.
#[allow(dead_code, reason = "the hub's matrix, in another crate, stages its states itself")]
pub(crate) type Act<S> = (&'static str, fn(&mut S) -> String);

/// Every act in every state: as lines, for the snapshot, and as rows, for the page. A state is staged under its
/// name, perhaps with a comma and a detail; an act answers with what is said.
#[allow(dead_code, reason = "the hub's matrix, in another crate, stages its states itself")]
pub(crate) fn all<S: Clone>(
    staged: &[(&str, S)],
    acts: &[Act<S>],
    name_of: fn(&S) -> &'static str,
) -> (String, Vec<Row>) {
    let (mut lines, mut rows) = (Vec::new(), Vec::new());
    for (staged, before) in staged {
        let from = name_of(before);
        assert!(staged.starts_with(from), "{staged} is {from}");
        for (input, act) in acts {
            let mut after = before.clone();
            let says = act(&mut after);
            let to = name_of(&after);
            lines.push(format!("{staged} × {input} → {to}: {says}").trim_end().to_owned());
            rows.push(Row::of(staged, from, input, to, &says));
        }
    }
    (lines.join("\n"), rows)
}
