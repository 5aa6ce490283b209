//! Which layer of proof shows which requirements.

use super::{files, root};
use goldenpath_simulator::Invariant;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

/// A layer, as the table of `specs/proof.md` has them, and where it is.
const LAYERS: [(&str, &[&str]); 18] = [
    ("the core's own tests", &["core/src"]),
    ("exhaustive models", &["tests/models"]),
    ("histories", &["tests/simulator"]),
    ("worlds", &["tests/turmoil"]),
    ("non-interference, and the run-time by itself", &["adapters/runtime"]),
    ("loom and shuttle", &["core/tests"]),
    ("searches", &["fuzz/src", "fuzz/tests"]),
    ("agents", &["adapters/agents"]),
    (
        "the other adapters by themselves",
        &[
            "adapters/jsonwebtoken",
            "adapters/openidconnect",
            "adapters/server",
            "adapters/sqlx",
            "adapters/tungstenite",
        ],
    ),
    ("stores", &["tests/store"]),
    ("the surface of the adapter", &["adapters/warp"]),
    ("RFC 6455", &["tests/rfc6455"]),
    ("hostile tokens", &["tests/tokens"]),
    ("hostile clients", &["tests/hostile"]),
    ("proxies and a provider of identities", &["tests/oidc", "tests/proxies"]),
    ("processes", &["tests/crash", "tests/end_to_end", "tests/load"]),
    ("pages", &["tests/browser"]),
    ("the house", &["tests/tidy/main.rs"]),
];

/// Every id of `specs/*.md`, in the order of its file.
fn requirements() -> BTreeSet<String> {
    let specs = fs::read_dir(root().join("specs")).unwrap().map(|entry| entry.unwrap().path());
    let texts = specs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    let texts: Vec<String> = texts.map(|path| fs::read_to_string(path).unwrap()).collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let titles = lines.filter_map(|line| line.strip_prefix("## "));
    let is_id = |title: &&str| {
        let ends = title.split_once('-').map(|(_, number)| number.parse::<u8>().is_ok());
        ends == Some(true) && title.chars().all(|c| c.is_ascii_uppercase() || !c.is_alphabetic())
    };
    titles.filter(is_id).map(str::to_owned).collect()
}

/// What a file shows: what its tests cite; in a folder of tests, what it names, and what the rules of the oracle
/// that it names are about.
fn shown_by(text: &str, is_all_tests: bool, known: &BTreeSet<String>) -> BTreeSet<String> {
    if !is_all_tests {
        let cited = text.split("//= specs/").skip(1).filter_map(|rest| {
            let (place, rest) = rest.split_once('\n')?;
            let (_, id) = place.split_once('#')?;
            rest.trim_start().starts_with("//= type=test").then(|| id.to_uppercase())
        });
        return cited.collect();
    }
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let mut shown: BTreeSet<String> =
        words.map(str::to_uppercase).filter(|word| known.contains(word)).collect();
    for rule in Invariant::ALL {
        let named = text.contains(&format!("Invariant::{rule:?}"));
        if named || text.contains("\"every invariant of the simulator\"") {
            shown.extend(rule.requirements().iter().map(|id| (*id).to_owned()));
        }
    }
    shown
}

/// `DLV-01` to `DLV-04` are `DLV-01…04`.
fn in_words(ids: &BTreeSet<String>) -> String {
    let mut families = BTreeMap::<&str, Vec<u8>>::new();
    for id in ids {
        let (family, number) = id.split_once('-').unwrap();
        families.entry(family).or_default().push(number.parse().unwrap());
    }
    let mut words = Vec::new();
    for (family, numbers) in families {
        let spans = numbers.chunk_by(|one, next| one + 1 == *next).map(|span| match span {
            [one] => format!("{one:02}"),
            [first, .., last] => format!("{first:02}…{last:02}"),
            [] => String::new(),
        });
        words.push(format!("{family} {}", spans.collect::<Vec<_>>().join(" ")));
    }
    words.join("; ")
}

#[test]
fn every_layer_names_the_requirements_it_shows() {
    let known = requirements();
    assert!(known.len() > 280, "{} requirements", known.len());
    let mut page = String::from(
        "# Which layer shows which requirements\n\n\
         Made from the citations and the names in the tests of each layer; do not edit. After a change:\n\
         `GOLDENPATH_UPDATE_SPECS=1 cargo nextest run -p goldenpath-tests --test tidy layer`. The one test that each \
         requirement\nis cited by is in [citations.md](../citations.md); what each layer is, in \
         [proof.md](../proof.md).\n\n\
         | Layer | Where | How many | Requirements |\n|---|---|---|---|\n",
    );
    let mut all = BTreeSet::new();
    for (layer, folders) in LAYERS {
        let mut shown = BTreeSet::new();
        for file in files() {
            let inside = folders.iter().any(|folder| file.starts_with(folder));
            let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
            if inside {
                let is_all_tests = !folders
                    .iter()
                    .any(|folder| folder.starts_with("adapters") || *folder == "core/src")
                    || file.components().any(|part| part.as_os_str() == "tests");
                shown.extend(shown_by(&text, is_all_tests, &known));
            }
        }
        assert!(!shown.is_empty(), "{layer} names no requirement");
        let unknown: Vec<_> = shown.difference(&known).collect();
        assert!(unknown.is_empty(), "{layer} shows what no page has: {unknown:?}");
        let folders = folders.join("`, `");
        let (count, ids) = (shown.len(), in_words(&shown));
        writeln!(page, "| {layer} | `{folders}` | {count} | {ids} |").unwrap();
        all.extend(shown);
    }
    let never: Vec<_> = known.difference(&all).collect();
    assert!(never.is_empty(), "no layer shows {never:?}");
    let path = root().join("specs/proof/layers.md");
    if std::env::var_os("GOLDENPATH_UPDATE_SPECS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), page, "specs/proof/layers.md");
}
