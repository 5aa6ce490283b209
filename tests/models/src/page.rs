//! `specs/proof/models.md`: what each model bounds, what it shows, and how large it is, made from the models.

use crate::LIVENESS;
use std::fs;
use std::path::{Path, PathBuf};

/// The row of this model is what the model is. `GOLDENPATH_UPDATE_SPECS=1` accepts a change; one test at a
/// time, as they share the page.
pub(crate) fn check(name: &str, bounds: &str, always: &[&str], sometimes: &[&str], states: usize) {
    let (liveness, safety): (Vec<&str>, Vec<&str>) =
        always.iter().partition(|property| property.starts_with(LIVENESS));
    assert!(!safety.is_empty(), "{name}: nothing has to hold");
    assert!(!liveness.is_empty(), "{name}: nothing can be come to from every state");
    assert!(!sometimes.is_empty(), "{name}: the bound may be too narrow for anything");
    let cells = [
        name.to_owned(),
        bounds.to_owned(),
        safety.join("; "),
        liveness.join("; "),
        sometimes.join("; "),
        magnitude(states),
    ];
    let row = format!("| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    let path = page();
    let text = fs::read_to_string(&path).expect("the page of the models");
    if std::env::var_os("GOLDENPATH_UPDATE_SPECS").is_some() {
        fs::write(&path, with(&text, &row)).expect("the page can be written");
        return;
    }
    let written = text.lines().find(|line| is_row_of(line, name)).unwrap_or_default();
    assert_eq!(
        written, row,
        "GOLDENPATH_UPDATE_SPECS=1 cargo nextest run -p goldenpath-models -j 1"
    );
}

/// The page with this row at its place.
fn with(page: &str, row: &str) -> String {
    let name = name_of(row).unwrap_or_default();
    let (mut rows, others): (Vec<&str>, Vec<&str>) = page
        .lines()
        .filter(|line| !is_row_of(line, name))
        .partition(|line| name_of(line).is_some());
    rows.push(row);
    rows.sort_unstable();
    format!("{}\n{}\n", others.join("\n"), rows.join("\n"))
}

fn is_row_of(line: &str, name: &str) -> bool {
    name_of(line) == Some(name)
}

/// The model a line of the page is about; none for its head.
fn name_of(line: &str) -> Option<&str> {
    let name = line.strip_prefix("| ")?.split(" |").next()?;
    (name != "Model").then_some(name)
}

/// A number that says how large a model is and does not change with every change of a machine.
fn magnitude(states: usize) -> String {
    let larger = (0..).flat_map(|zeros| [1, 3].map(|digit| digit * 10usize.pow(zeros)));
    let bound = larger.into_iter().find(|bound| states <= *bound).unwrap_or(usize::MAX);
    let digits = bound.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    let groups: Vec<String> =
        groups.iter().map(|g| String::from_utf8_lossy(g).into_owned()).collect();
    format!("up to {}", groups.join(","))
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../specs/proof/models.md")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_row_takes_the_place_of_the_older_one() {
        let page = "# Title\n\n| Model | States |\n|---|---|\n| a | 1 |\n| c | 3 |\n";
        let with_b = with(page, "| b | 2 |");
        assert!(with_b.ends_with("|---|---|\n| a | 1 |\n| b | 2 |\n| c | 3 |\n"), "{with_b}");
        assert!(with(&with_b, "| b | 4 |").ends_with("| a | 1 |\n| b | 4 |\n| c | 3 |\n"));
        assert_eq!(
            (magnitude(54_075), magnitude(1000)),
            ("up to 100,000".into(), "up to 1,000".into())
        );
    }

    #[test]
    fn every_model_has_its_row_and_every_row_its_model() {
        let written = fs::read_to_string(page()).expect("the page of the models");
        let rows: BTreeSet<&str> = written.lines().filter_map(name_of).collect();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")];
        let mut models = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("a file").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = fs::read_to_string(path).expect("a text");
                let calls = text.split("prove(").skip(1).map(str::trim_start);
                let names = calls.filter_map(|call| call.strip_prefix('"')?.split('"').next());
                models.extend(names.map(str::to_owned));
            }
        }
        assert_eq!(rows, models.iter().map(String::as_str).collect::<BTreeSet<_>>());
    }
}
