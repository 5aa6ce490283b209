//! What the pages about the proof say of it is what is there.

use super::{files, root, with_extension};
use goldenpath_simulator::Invariant;
use std::collections::BTreeSet;
use std::fs;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// A snapshot or a page that no test makes any more would be believed for ever.
#[test]
fn every_snapshot_is_compared_by_a_test_that_is_there() {
    let files = files();
    let mut looked_at = 0;
    for (file, text) in with_extension(&files, &["snap"]) {
        let source = text.lines().find_map(|line| line.strip_prefix("source: ")).unwrap();
        let source = read(source);
        let file = file.file_name().unwrap().to_str().unwrap();
        let name = file.trim_end_matches(".snap").rsplit("__").next().unwrap();
        // A name may be made of a text and of what is looked at.
        let made = name.match_indices('_').any(|(end, _)| {
            source.contains(&format!("assert_snapshot!(format!(\"{}_{{", &name[..end]))
        });
        let named = source.contains(&format!("assert_snapshot!(\"{name}\""));
        let of_test = source.contains(&format!("fn {name}()"));
        assert!(made || named || of_test, "{file}: no test of its source makes it");
        looked_at += 1;
    }
    assert!(looked_at > 40, "{looked_at} snapshots");
}

#[test]
fn every_page_of_a_machine_is_compared_by_a_test_that_is_there() {
    let files = files();
    let sources: String = with_extension(&files, &["rs"]).map(|(_, text)| text).collect();
    let pages = files.iter().filter(|file| file.starts_with("specs/machines"));
    let names: Vec<&str> = pages.filter_map(|file| file.file_stem()?.to_str()).collect();
    for name in names.iter().filter(|name| **name != "README") {
        let made = [format!("name: \"{name}\","), format!("page_is(\"{name}\",")];
        assert!(made.iter().any(|made| sources.contains(made)), "nothing makes {name}.md");
    }
    assert!(names.len() > 10, "{names:?}");
}

/// The numbers of the table of layers, where something says them a second time.
#[test]
fn the_page_of_the_proof_counts_what_there_is() {
    let page = read("specs/proof.md");
    let says = |what: String| assert!(page.contains(&what), "specs/proof.md does not say: {what}");

    let notes = read("tests/notes");
    let least = |name: &str| {
        let line = notes.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().to_owned()
    };
    let noted = notes.lines().filter(|line| !line.starts_with('#'));
    let models = noted.filter(|line| line.contains(" states ")).count();
    says(format!("| {models} models;"));
    says(format!("| {} worlds,", least("turmoil worlds")));
    let worlds = read("tests/turmoil/tests/worlds.rs");
    let must = worlds.split("const MUST: [&str; ").nth(1).and_then(|rest| rest.split(']').next());
    says(format!("; {} things that must have happened", must.unwrap()));

    let known = read("tests/canaries.list");
    let bugs: Vec<&str> = known
        .lines()
        .filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()))
        .collect();
    assert!(bugs.len() >= 15, "{} known bugs", bugs.len());
    for bug in &bugs {
        assert_eq!(bug.split_whitespace().count(), 3, "a test and a second layer: {bug}");
    }
    says(format!("| {}, each caught by the test named for it and in a second layer", bugs.len()));
    for (bug, canary) in EIGHT {
        says(format!("| {bug} | `{canary}`"));
        assert!(bugs.iter().any(|line| line.starts_with(&format!("{canary} "))), "{canary}");
    }

    let design = read("specs/tla/README.md");
    let states = design.split(" states`").next().and_then(|text| text.rsplit('`').next());
    let states: u64 = states.unwrap().parse().unwrap();
    says(format!("| {},{:03} states;", states / 1_000, states % 1_000));
    let cases = |folder: &str| {
        files().iter().filter(|file| file.starts_with(format!("specs/tla/{folder}"))).count()
    };
    says(format!("; {} mutations of the design", cases("without")));
    says(format!("; {} witnesses", cases("reached")));
}

/// A floor far below what there is lets inputs vanish unnoticed.
#[test]
fn the_floors_of_the_corpora_are_as_high_as_they_can_be() {
    let notes = read("tests/notes");
    let mut compared = 0;
    for line in notes.lines().filter_map(|line| line.strip_prefix("fuzz-")) {
        let [target, _, floor] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let inputs = read(&format!("fuzz/corpus/{target}.b64")).lines().count();
        let folder = format!("fuzz/regressions/{target}");
        let kept = files().iter().filter(|file| file.starts_with(&folder)).count();
        let there = inputs + kept + VARIANTS;
        let floor: usize = floor.parse().unwrap();
        assert!((there * 95 / 100..=there).contains(&floor), "{target}: {floor} of {there}");
        compared += 1;
    }
    assert!(compared >= 9, "{compared} corpora");
}

/// Inputs that the replay makes of those it has.
const VARIANTS: usize = 400;

/// What must be shown to fail when it is broken by hand.
const EIGHT: [(&str, &str); 8] = [
    ("acknowledge before commit", "AckBeforeCommit"),
    ("drop the fence check", "DropFence"),
    ("renumber a retried persist", "RenumberRetry"),
    ("deliver to the connection's previous user", "PreviousUser"),
    ("forget to close an open tool on cancel", "OpenToolOnCancel"),
    ("never leave half-open", "NeverHalfOpen"),
    ("skip `replay_complete`", "SkipReplayComplete"),
    ("lose a message sent before ready", "LoseEarlyFrames"),
];

/// A suite that is not in the table of layers is a layer nobody knows of.
#[test]
fn every_suite_belongs_to_a_layer() {
    let page = read("specs/proof.md");
    let suites = read("tests/suites");
    let layers: BTreeSet<&str> = page
        .split(['`', ' '])
        .filter(|word| word.starts_with("goldenpath"))
        .map(|word| word.split("::").next().unwrap())
        .collect();
    for suite in suites.lines().filter(|line| !line.starts_with('#')) {
        let package = suite.split("::").next().unwrap();
        assert!(layers.contains(package), "specs/proof.md has no layer with {package}");
    }
}

/// What histories and models check of an invariant of the design, its row says.
#[test]
fn every_rule_of_the_oracle_belongs_to_its_invariant() {
    let page = read("specs/invariants.md");
    let mut of_none = 0;
    for rule in Invariant::ALL {
        of_none += usize::from(rule.of_design().is_empty());
        for number in rule.of_design() {
            let row = page.lines().find(|line| line.starts_with(&format!("| {number} |")));
            let row = row.unwrap_or_else(|| panic!("{rule:?} is of invariant {number}"));
            let suites = ["`goldenpath-simulator::hub`", "`goldenpath-simulation::worlds`"];
            assert!(suites.iter().any(|suite| row.contains(suite)), "{rule:?} is of {row}");
        }
    }
    assert!(of_none <= 5, "{of_none} rules are of no invariant");
}
