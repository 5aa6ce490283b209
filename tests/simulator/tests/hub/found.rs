//! Histories that once broke an invariant, cut to what it takes. They hold now, and are kept as files in
//! `tests/simulator/regressions`.
//!
//! `GOLDENPATH_SIM_TRACE=FILE` replays that one alone.

use crate::histories::worlds;
use goldenpath_simulator::{Broken, Op, Setup, Trace, replay, shortest};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Keeps a history that breaks something, cut to what it takes; says where, and how to see it again.
pub(crate) fn kept(world: &str, setup: &Setup, broken: &Broken, ops: &[Op]) -> String {
    let trace = Trace { world: world.into(), ops: shortest(setup, ops) };
    let folder = goldenpath_proof::target().join("simulator");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join(format!("{}-{:016x}.jsonl", world.replace(' ', "-"), print(&trace)));
    fs::write(&file, trace.text()).unwrap();
    format!(
        "{broken}\n{}again: GOLDENPATH_SIM_TRACE={} cargo nextest run -p goldenpath-simulator found\n\
         once it is mended: move that file to tests/simulator/regressions",
        trace.text(),
        file.display(),
    )
}

/// Tells traces from each other.
fn print(trace: &Trace) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    trace.text().hash(&mut hasher);
    hasher.finish()
}

/// What does not hold of the history in a file.
fn broken(file: &Path) -> Vec<Broken> {
    let trace = Trace::read(&fs::read_to_string(file).unwrap()).unwrap();
    assert!(!trace.ops.is_empty(), "{}: nothing happens", file.display());
    let worlds = worlds();
    let world = worlds.iter().find(|(name, _)| *name == trace.world);
    let (_, setup) = world.unwrap_or_else(|| panic!("{}: no world of that name", file.display()));
    replay(setup.clone(), &trace.ops).broken
}

#[test]
fn what_once_broke_something_no_longer_does() {
    let files: Vec<PathBuf> = match env::var_os("GOLDENPATH_SIM_TRACE") {
        Some(file) => vec![file.into()],
        None => {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect()
        }
    };
    assert!(!files.is_empty(), "no history is kept");
    for file in files {
        let broken = broken(&file);
        assert!(broken.is_empty(), "{}: {broken:#?}", file.display());
    }
}

/// The way from a history to a file that plays it again, and how it is told.
#[test]
fn a_history_is_kept_as_a_file_that_plays_it_again() {
    let (name, setup) = worlds().into_iter().next().unwrap();
    let mut ops = vec![Op::Attach(0); 40];
    ops.push(Op::Say(0, goldenpath_simulator::Talk::new(1, None)));
    let played = replay(setup.clone(), &ops);
    assert_eq!(played.broken, [], "nothing is wrong with it");
    let none = Broken { invariant: goldenpath_simulator::Invariant::Order, what: "made up".into() };
    let said = kept(name, &setup, &none, &ops);
    let file = said.split("GOLDENPATH_SIM_TRACE=").nth(1).unwrap().split(' ').next().unwrap();
    let trace = Trace::read(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!((trace.world.as_str(), trace.ops), (name, ops), "what breaks nothing is not cut");
    assert_eq!(broken(Path::new(file)), []);
    fs::remove_file(file).unwrap();
}
