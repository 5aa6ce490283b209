//! Every input a search has kept, every input that ever broke a promise, and a few hundred variants of
//! them: an ordinary test, without libFuzzer.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use goldenpath_core::id::ConnectionId;
use goldenpath_core::limits::Limits;
use goldenpath_core::wire::{Kind, Naming, WORDS, decode};
use goldenpath_fuzz::corpus::{Mutator, read, read_folder};
use goldenpath_fuzz::{TARGETS, Target};
use goldenpath_simulator::{Bytes, Op};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Variants of each target's inputs.
const VARIANTS: usize = 400;

/// Of anything that is one: a corpus of fewer inputs has not been searched.
const FEWEST: usize = 10;

/// Keeps the input that broke a promise where it can be looked at.
struct Evidence {
    name: &'static str,
    input: Vec<u8>,
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = goldenpath_proof::folder().join(format!("fuzz-{}.broke", self.name));
            let kept = fs::write(&path, &self.input).is_ok();
            eprintln!(
                "{} broke on {} bytes, in {}: {kept}",
                self.name,
                self.input.len(),
                path.display()
            );
        }
    }
}

fn replay((name, target): Target) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs = read(&home.join(format!("corpus/{name}.b64"))).unwrap();
    assert!(inputs.len() >= FEWEST, "the corpus of {name} has {} inputs", inputs.len());
    inputs.extend(read_folder(&home.join("regressions").join(name)).unwrap());
    let mut mutator = Mutator::new(1);
    let variants: Vec<Vec<u8>> = (0..VARIANTS).map(|_| mutator.mutate(&inputs)).collect();
    let mut evidence = Evidence { name, input: Vec::new() };
    let mut executions = 0;
    for input in inputs.iter().chain(&variants) {
        evidence.input.clone_from(input);
        target(input);
        executions += 1;
    }
    goldenpath_proof::note(&format!("fuzz-{name}"), "executions", executions);
}

fn replay_of(name: &str) {
    replay(*TARGETS.iter().find(|(known, _)| *known == name).unwrap());
}

#[test]
fn the_corpus_of_client_keeps_its_promises() {
    replay_of("client");
}

#[test]
fn the_corpus_of_client_frame_keeps_its_promises() {
    replay_of("client_frame");
}

#[test]
fn the_corpus_of_connection_keeps_its_promises() {
    replay_of("connection");
}

#[test]
fn the_corpus_of_handshake_keeps_its_promises() {
    replay_of("handshake");
}

#[test]
fn the_corpus_of_import_file_keeps_its_promises() {
    replay_of("import_file");
}

#[test]
fn the_corpus_of_json_rpc_keeps_its_promises() {
    replay_of("json_rpc");
}

#[test]
fn the_corpus_of_older_keeps_its_promises() {
    replay_of("older");
}

#[test]
fn the_corpus_of_token_keeps_its_promises() {
    replay_of("token");
}

#[test]
fn the_corpus_of_world_keeps_its_promises() {
    replay_of("world");
}

/// What bytes mean to the generator of worlds: the operation that each first byte and some others begin with,
/// as a number (FNV-1a) that depends on nothing else.
fn meaning_of_bytes() -> String {
    let mut digest: u64 = 0xcbf2_9ce4_8422_2325;
    for first in 0..=u8::MAX {
        for more in [[0; 4], [1, 2, 5, 9], [7, 77, 177, 211], [255; 4]] {
            let op = Op::draw(&mut Bytes::new(&[&[first][..], &more].concat()));
            for byte in serde_json::to_vec(&op).unwrap() {
                digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    format!("{digest:016x}")
}

/// Once the generator reads bytes in another way, or its weights are others, what was found says other things.
#[test]
fn the_bytes_of_worlds_mean_what_they_meant_when_they_were_found() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = home.join("corpus/world.meaning");
    let then = fs::read_to_string(&beside).unwrap_or_default();
    assert_eq!(
        then.trim(),
        meaning_of_bytes(),
        "the inputs of fuzz/corpus/world.b64 are other histories now: run `fuzz/grow 3 world`, then write the \
         second number into {}",
        beside.display()
    );
    // A history that broke something is kept as what happened, not as bytes: fuzz/README.md.
    let raw = home.join("regressions/world");
    assert!(!raw.exists(), "{}: keep traces in tests/simulator/regressions", raw.display());
}

/// No search finds a word by chance: each is there, plain and as JSON-RPC, in a frame that is understood,
/// and in one that is not.
#[test]
fn the_corpus_of_older_says_every_word() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let naming = Naming { connection_id: ConnectionId(7), nth: 3 };
    let mut said = BTreeSet::new();
    for input in read(&home.join("corpus/older.b64")).unwrap() {
        let Ok(text) = String::from_utf8(input) else { continue };
        let Ok(frame) = serde_json::from_str::<serde_json::Value>(&text) else { continue };
        let understood = decode(&text, &Limits::default(), naming).is_ok();
        for member in ["type", "method"] {
            if let Some(word) = frame[member].as_str() {
                said.insert((word.to_owned(), member, understood));
            }
        }
    }
    for (word, kind) in WORDS {
        // There is nothing in these that could be wrong.
        let never_wrong = matches!(kind, Kind::Ping | Kind::Pong);
        for (member, understood) in [("type", true), ("method", true), ("type", false)] {
            let is_there = said.contains(&((*word).to_owned(), member, understood));
            assert!(is_there || (never_wrong && !understood), "{word} {member} {understood}");
        }
    }
    // What only older clients say is no word of anybody else.
    for word in ["handshake_acknowledged", "session_acknowledged"] {
        assert!(said.contains(&(word.to_owned(), "type", false)), "{word}");
    }
}

/// A corpus or a shell without a target, or a target without them, is a mistake.
#[test]
fn every_target_has_its_shell_its_corpus_and_its_test() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str, extension: &str| -> Vec<String> {
        let entries = fs::read_dir(home.join(folder)).unwrap();
        let files = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> =
            files.filter_map(|file| file.strip_suffix(extension).map(str::to_owned)).collect();
        names.sort();
        names
    };
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names("fuzz_targets", ".rs"), targets);
    assert_eq!(names("corpus", ".b64"), targets);
    let this = fs::read_to_string(home.join("tests/replay.rs")).unwrap();
    let manifest = fs::read_to_string(home.join("Cargo.toml")).unwrap();
    for name in targets {
        assert!(this.contains(&format!("replay_of(\"{name}\")")), "{name} is not replayed");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} cannot be searched");
    }
}
