//! What a program can see of the project's habits.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod layers;
mod proof;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, in lines.
const LONGEST: usize = 600;

/// Crates core may stand on.
const CORE_DEPENDENCIES: [&str; 7] =
    ["base64", "bytes", "itoa", "loom", "serde", "serde_json", "shuttle"];

/// What is visible at the top.
const TOP: [&str; 9] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "adapters",
    "core",
    "fuzz",
    "specs",
    "tests",
];

/// The failures of the catalogue; [`NOT_SHOWN`] have no row.
const FAILURES: core::ops::RangeInclusive<u8> = 1..=50;

/// Several nodes, which there are not yet.
const NOT_SHOWN: [u8; 1] = [49];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every file git tracks or would track, as paths from the root.
fn files() -> Vec<PathBuf> {
    let listed = std::process::Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git");
    assert!(listed.status.success());
    let names = String::from_utf8(listed.stdout).unwrap();
    let files: Vec<PathBuf> =
        names.lines().map(PathBuf::from).filter(|file| root().join(file).is_file()).collect();
    assert!(files.len() > 50, "the project is here");
    files
}

fn with_extension<'a>(
    files: &'a [PathBuf],
    extensions: &'a [&str],
) -> impl Iterator<Item = (&'a PathBuf, String)> {
    files.iter().filter_map(move |file| {
        let extension = file.extension()?.to_str()?;
        let text = || fs::read_to_string(root().join(file)).unwrap();
        extensions.contains(&extension).then(|| (file, text()))
    })
}

#[test]
fn no_source_file_is_longer_than_600_lines() {
    let files = files();
    let long: Vec<_> = with_extension(&files, &["rs", "js", "css", "html", "sql"])
        .filter(|(_, text)| text.lines().count() > LONGEST)
        .map(|(file, text)| format!("{} ({})", file.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn core_depends_on_nothing_but_its_list() {
    let manifest = fs::read_to_string(root().join("core/Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let found: BTreeSet<&str> = section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect();
    let allowed = BTreeSet::from(CORE_DEPENDENCIES);
    assert!(found.is_subset(&allowed), "{found:?}");
}

//= specs/safety.md#safe-05
//= type=test
//# The core MUST NOT know a clock, a socket or a thread.
#[test]
fn core_knows_no_clock_no_socket_no_thread() {
    let lib = fs::read_to_string(root().join("core/src/lib.rs")).unwrap();
    assert!(lib.contains("#![no_std]"));
    let files = files();
    for (file, text) in with_extension(&files, &["rs"]) {
        let name = file.display().to_string();
        if !name.starts_with("core/src") || name.contains("outbox") || name.contains("test") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in
            ["std::time", "std::net", "std::thread", "std::fs", "HashMap", "async fn", "tokio::"]
        {
            let used = code
                .lines()
                .any(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            assert!(!used, "{word} in {name}");
        }
    }
}

#[test]
fn the_top_level_shows_what_it_may() {
    let visible: BTreeSet<String> = files()
        .iter()
        .filter_map(|file| file.components().next())
        .map(|first| first.as_os_str().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let allowed: BTreeSet<String> = TOP.iter().map(|name| (*name).to_owned()).collect();
    assert!(visible.is_subset(&allowed), "{visible:?}");
}

#[test]
fn no_name_hides_what_is_inside() {
    let empty = ["utils", "util", "helpers", "helper", "common", "manager", "misc", "mod2"];
    for file in files() {
        for part in &file {
            let name = part.to_string_lossy();
            let stem = name.split('.').next().unwrap_or_default();
            assert!(!empty.contains(&stem), "{}", file.display());
        }
    }
}

#[test]
fn no_test_is_switched_off() {
    let files = files();
    for (file, text) in with_extension(&files, &["rs"]) {
        let off = ["#[ig", "nore"].concat();
        assert!(!text.contains(&off), "{}", file.display());
    }
    for (file, text) in with_extension(&files, &["js"]) {
        let off = ["test.sk", "ip("].concat();
        assert!(!text.contains(&off), "{}", file.display());
    }
}

#[test]
fn every_property_counts_its_cases() {
    let begin = ["proptest", "! {\n"].concat();
    let files = files();
    let mut properties = 0;
    for (file, text) in with_extension(&files, &["rs"]) {
        for block in text.split(&begin).skip(1) {
            let config = block.split("#[test]").next().unwrap();
            assert!(
                config.contains("goldenpath_proof::counted") || config.contains("..counted_to("),
                "{}",
                file.display()
            );
            properties += 1;
        }
    }
    assert!(properties > 20, "they are looked for in the right way: {properties}");
}

#[test]
fn every_failure_of_the_catalogue_has_its_row_and_its_test() {
    let catalogue = fs::read_to_string(root().join("specs/failures.md")).unwrap();
    let files = files();
    let sources: String =
        with_extension(&files, &["rs", "js"]).map(|(_, text)| text).collect::<Vec<_>>().concat();
    for id in FAILURES.filter(|n| !NOT_SHOWN.contains(n)).map(|n| format!("F{n:02}")) {
        let row = catalogue
            .lines()
            .find(|line| line.starts_with(&format!("| {id} |")))
            .unwrap_or_else(|| panic!("{id} has no row"));
        let named: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{id} names no test");
        let test = named.last().unwrap();
        assert!(sources.contains(&format!("fn {test}(")), "{id}: there is no test {test}");
    }
}

#[test]
fn every_line_of_the_security_checklist_names_a_test() {
    let checklist = fs::read_to_string(root().join("specs/security.md")).unwrap();
    let files = files();
    let sources: String =
        with_extension(&files, &["rs"]).map(|(_, text)| text).collect::<Vec<_>>().concat();
    let mut ids = BTreeSet::new();
    for row in checklist.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Id"))
    {
        let id = row.split('|').nth(1).unwrap().trim();
        assert!(ids.insert(id), "{id} is there twice");
        // The shape that tests/run compares with the tests that ran.
        let named = row.strip_suffix("` |").and_then(|row| row.rsplit('`').next());
        let test = named.unwrap_or_else(|| panic!("{id} does not end with its test"));
        assert!(sources.contains(&format!("fn {test}(")), "{id}: there is no test {test}");
    }
    assert!(ids.len() > 20, "{ids:?}");
}

/// Each invariant names requirements that exist, places that exist and suites that run.
#[test]
fn every_invariant_says_what_keeps_and_what_shows_it() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let required = read("specs/citations.md");
    let suites = read("tests/suites");
    let suites: BTreeSet<&str> = suites.lines().collect();
    let page = read("specs/invariants.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| #"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let numbers: Vec<String> = rows.iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(numbers, (1..=16).map(|n: u8| n.to_string()).collect::<Vec<_>>());
    let quoted = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    for row in rows {
        let [number, _, ids, kept, shown] = row[..] else { panic!("{row:?}") };
        for id in ids.split_whitespace() {
            assert!(required.contains(&format!("[{id}]")), "{number}: {id}");
        }
        let (kept, shown) = (quoted(kept), quoted(shown));
        assert!(!kept.is_empty() && !shown.is_empty(), "{number}");
        for path in kept {
            let file = format!("{path}.rs");
            assert!(root().join(&path).exists() || root().join(file).exists(), "{number}: {path}");
        }
        for suite in shown {
            assert!(suites.contains(suite.as_str()), "{number}: {suite}");
        }
    }
}

#[test]
fn every_suite_is_listed() {
    let suites = fs::read_to_string(root().join("tests/suites")).unwrap();
    let manifest = fs::read_to_string(root().join("tests/Cargo.toml")).unwrap();
    for block in manifest.split("[[test]]").skip(1) {
        let name = block.split('"').nth(1).unwrap();
        let suite = format!("goldenpath-tests::{name}");
        assert!(suites.lines().any(|line| line == suite), "{suite}");
    }
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let files = files();
    let mut looked_at = 0;
    for (file, text) in with_extension(&files, &["md"]) {
        let folder = root().join(file).parent().unwrap().to_owned();
        // What stands in code is no link.
        let prose = text.split("```").step_by(2);
        let targets = prose.flat_map(|part| part.split("](").skip(1));
        for target in targets.filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap();
            if path.is_empty() || path.contains(':') {
                continue;
            }
            looked_at += 1;
            assert!(folder.join(path).exists(), "{}: {target}", file.display());
        }
    }
    assert!(looked_at > 20, "{looked_at} links");
}

/// What changes and is no machine of its own, and why there is no page of it.
const WITHOUT_A_PAGE: [(&str, &str); 11] = [
    ("auth/once.rs", "a map whose values end with time"),
    ("auth/record.rs", "a count of a minute"),
    ("connection/context.rs", "what the states of the connection share"),
    ("connection/rate.rs", "one bucket of the kind that `edge/allowance.rs` has many of"),
    ("edge/arrival.rs", "one number"),
    ("edge/mod.rs", "allowances, places and a gate beside each other"),
    ("edge/places.rs", "a count for each name"),
    ("id.rs", "a counter"),
    ("run/grammar.rs", "the order of events, which every run, log and history is held against"),
    ("seed.rs", "a generator of numbers"),
    ("wire/fields.rs", "a reader of one frame"),
];

/// Whether a file of the core defines a type that others change: with a method that is not private and takes
/// `&mut self`.
fn changes(code: &str) -> bool {
    let defines = |name: &str| {
        let kinds =
            ["struct", "enum"].map(|kind| [' ', '<', '('].map(|end| format!("{kind} {name}{end}")));
        kinds.iter().flatten().any(|start| code.contains(start.as_str()))
    };
    let mutates = |method: &str| {
        let arguments = method.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
        arguments.is_some_and(|(_, rest)| rest.trim_start().starts_with("&mut self"))
    };
    code.split("\nimpl").skip(1).any(|block| {
        let block = block.split("\n}").next().unwrap();
        let (head, methods) = block.split_once('{').unwrap();
        // Behind the parameters of its own.
        let head = if head.starts_with('<') { head.split_once("> ").unwrap().1 } else { head };
        let name = head.trim().split('<').next().unwrap();
        defines(name) && methods.split("\n    pub").skip(1).any(mutates)
    })
}

/// Whatever is in one of several states is a machine, and each machine has a page made from it.
#[test]
fn every_machine_of_the_core_has_a_page() {
    let index = fs::read_to_string(root().join("specs/machines/README.md")).unwrap();
    let rows: Vec<&str> = index.lines().filter(|line| line.starts_with("| [")).collect();
    let mut pages = BTreeSet::new();
    let mut shown = BTreeSet::new();
    for row in rows {
        pages.insert(row.split(['[', ']']).nth(1).unwrap().to_owned());
        let code: Vec<&str> =
            row.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!code.is_empty(), "{row}");
        shown.extend(code.into_iter().map(|file| format!("core/src/{file}")));
    }
    let there: BTreeSet<String> = fs::read_dir(root().join("specs/machines"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| {
            name.strip_suffix(".md").filter(|name| *name != "README").map(str::to_owned)
        })
        .collect();
    assert_eq!(pages, there, "pages of specs/machines, and the rows of its index");

    let files = files();
    let mut machines = BTreeSet::new();
    for (file, text) in
        with_extension(&files, &["rs"]).filter(|(file, _)| file.starts_with("core/src"))
    {
        let path = file.to_str().unwrap();
        if path.contains("test") {
            continue;
        }
        // Tests of the file itself stand at its end.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let staged = ["enum State {", "enum Stage {"].iter().any(|state| code.contains(state));
        if staged || changes(code) {
            machines.insert(path.to_owned());
        }
    }
    for (file, _) in WITHOUT_A_PAGE {
        assert!(machines.remove(&format!("core/src/{file}")), "{file} has a page, or needs none");
    }
    assert!(machines.len() > 10, "{machines:?}");
    let without: Vec<_> = machines.difference(&shown).collect();
    assert!(without.is_empty(), "in several states, and no page of specs/machines: {without:?}");
    for file in &shown {
        assert!(root().join(file).is_file(), "specs/machines/README.md names {file}");
    }
}

#[test]
fn decisions_are_numbered_without_holes() {
    let mut numbers: Vec<u32> = fs::read_dir(root().join("specs/decisions"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().unwrap()[..4].parse().ok())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>());
}

/// What an adapter has to say because the core cannot see it, and who says it: signatures, hashes, rows,
/// providers, whoever has the files in hand. No type keeps a caller from lying, so nobody else calls.
const BELIEVED: [(&str, &[&str]); 11] = [
    ("Admission::at_the_machine(", &["adapters/server/src/commands/account.rs"]),
    ("Admission::by_new_account(", &["adapters/runtime/src/identity/log_in.rs"]),
    ("Admission::by_password(", &["adapters/runtime/src/identity/log_in.rs"]),
    ("Admission::by_provider(", &["adapters/runtime/src/identity/foreign.rs"]),
    ("Identity::visitor(", &["adapters/runtime/src/identity/log_in.rs"]),
    (
        "Signed::by(",
        &["adapters/jsonwebtoken/src/foreign.rs", "adapters/jsonwebtoken/src/tokens.rs"],
    ),
    ("Tenant::at_the_machine(", &["adapters/server/src/commands/import.rs"]),
    // A store of texts outside this process would; there is none.
    ("Ticket::from_text(", &[]),
    (
        "Unfinished::new(",
        &["adapters/runtime/src/memory/state.rs", "adapters/sqlx/src/store/read.rs"],
    ),
    (".known_as(", &["adapters/runtime/src/identity/trusted.rs"]),
    (
        ".issue(",
        &[
            "adapters/runtime/src/identity/session.rs",
            "adapters/server/src/commands/token.rs",
            "adapters/server/src/wiring/identity.rs",
        ],
    ),
];

/// A line of code under `adapters` that is no comment, with its file; what a test module says is left out.
fn lines_of_adapters(files: &[PathBuf]) -> Vec<(String, String)> {
    let inside = |file: &Path, part: &str| file.components().any(|c| c.as_os_str() == part);
    let mut lines = Vec::new();
    for (file, text) in with_extension(files, &["rs"]) {
        let is_test =
            file.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
        if !file.starts_with("adapters") || !inside(file, "src") || is_test {
            continue;
        }
        let tests = text.match_indices("#[cfg(test)]\nmod ").map(|(at, _)| at);
        let is_inside = |at: &usize| text[*at..].lines().nth(1).is_some_and(|l| l.ends_with('{'));
        let code = &text[..tests.into_iter().find(is_inside).unwrap_or(text.len())];
        let said = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.extend(said.map(|line| (file.to_str().unwrap().to_owned(), line.to_owned())));
    }
    lines
}

//= specs/isolation.md#iso-22
//= type=test
//# What gives a right on an adapter's word MUST be called in the files that are named for it, and
//# nowhere else.
#[test]
fn what_is_believed_is_said_by_those_who_are_named_and_by_nobody_else() {
    let lines = lines_of_adapters(&files());
    assert!(lines.len() > 10_000, "{}", lines.len());
    // What a refresh token is compared with is a row of a store.
    let rows: BTreeSet<&str> = lines
        .iter()
        .filter(|(_, line)| line.contains("Family {") && !line.contains("let Family {"))
        .map(|(file, _)| file.as_str())
        .collect();
    assert_eq!(rows, BTreeSet::from(["adapters/sqlx/src/sessions.rs"]), "a `Family` written down");
    for (call, named) in BELIEVED {
        let said: BTreeSet<&str> = lines
            .iter()
            .filter(|(_, line)| line.contains(call))
            .map(|(file, _)| file.as_str())
            .collect();
        assert_eq!(said, named.iter().copied().collect(), "{call}");
        // Nobody calls it by another name: neither as a value nor through an import of its type's own.
        let function = call.trim_end_matches('(');
        let value = lines.iter().find(|(_, line)| {
            let mut rest = line.split(function).skip(1);
            rest.any(|after| {
                !after.starts_with(|c: char| c == '(' || c == '_' || c.is_alphanumeric())
            })
        });
        assert_eq!(value, None, "{call} as a value");
        if let Some((kind, _)) = call.split_once("::") {
            let renamed = format!("{kind} as ");
            let other = lines.iter().find(|(_, line)| line.contains(&renamed));
            assert_eq!(other, None, "{kind} by another name");
        }
    }
}

/// No port hears from its caller whose data are meant, but for the commands at the machine.
#[test]
fn no_port_takes_a_name_for_a_right() {
    let mut named = Vec::new();
    let files = files();
    for (file, text) in with_extension(&files, &["rs"]) {
        let name = file.to_str().unwrap();
        if !name.starts_with("adapters/runtime/src/ports/")
            && name != "adapters/runtime/src/usage.rs"
        {
            continue;
        }
        let code: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
        let code = code.join(" ");
        for signature in code.split(" fn ").skip(1) {
            let (head, rest) = signature.split_once('(').unwrap_or_default();
            let taken = rest.split("->").next().unwrap_or_default();
            if taken.starts_with("&self") && taken.contains("UserId") {
                named.push(head.to_owned());
            }
        }
    }
    assert_eq!(named, ["is_known"]);
}
