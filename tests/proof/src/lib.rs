//! How much the suites did, beside how many tests ran: states, schedules, worlds, cases of properties. Each leaves
//! its number where `tests/run` looks for it, which fails when there are less than `tests/notes` says.

use proptest::test_runner::{
    Config, ResultCache, ResultCacheKey, TestCaseResult, contextualize_config,
};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The build folder. Whoever builds in one and wants what suites write in another sets `CARGO_TARGET_DIR` for the
/// suites and `--target-dir` for cargo.
#[must_use]
pub fn target() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// The folder of notes.
///
/// # Panics
/// When the build folder cannot be written.
#[must_use]
pub fn folder() -> PathBuf {
    let folder = target().join("proof");
    fs::create_dir_all(&folder).expect("the build folder can be written");
    folder
}

/// Writes `UNIT N` to `proof/NAME.txt` in the build folder.
///
/// # Panics
/// When that cannot be written.
pub fn note(name: &str, unit: &str, n: usize) {
    fs::write(folder().join(format!("{name}.txt")), format!("{unit} {n}\n"))
        .expect("the build folder can be written");
}

/// Adds to the note of that name; others, in other processes, may do so meanwhile.
fn add(name: &str, unit: &str, n: u64) -> io::Result<()> {
    let lock = fs::File::create(folder().join(format!("{name}.lock")))?;
    lock.lock()?;
    let path = folder().join(format!("{name}.txt"));
    let before = fs::read_to_string(&path).unwrap_or_default();
    let before: u64 = before.trim().rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    fs::write(path, format!("{unit} {}\n", before + n))
}

/// The usual configuration of a property, with somebody who counts its cases, for the package whose test it is.
/// No seed is kept: seeds rot when generators change. What once failed is a test of its own, with its value.
#[must_use]
pub fn counted() -> Config {
    Config { failure_persistence: None, result_cache: count, ..Config::default() }
}

/// The same with so many cases, unless `PROPTEST_CASES` asks for another number, as `tests/deep` does.
#[must_use]
pub fn counted_to(cases: u32) -> Config {
    contextualize_config(Config { cases, ..counted() })
}

/// A cache that keeps nothing: proptest tells it of every case that ran.
fn count() -> Box<dyn ResultCache> {
    Box::new(Count(0))
}

struct Count(u64);

impl ResultCache for Count {
    fn key(&self, _: &ResultCacheKey<'_>) -> u64 {
        0
    }

    fn put(&mut self, _: u64, result: &TestCaseResult) {
        self.0 += u64::from(result.is_ok());
    }

    fn get(&self, _: u64) -> Option<&TestCaseResult> {
        None
    }
}

impl Drop for Count {
    /// Cargo and nextest say whose test it is; started by hand, it is nobody's.
    fn drop(&mut self) {
        if self.0 == 0 {
            return;
        }
        let Ok(package) = env::var("CARGO_PKG_NAME") else { return };
        if let Err(error) = add(&package, "cases", self.0) {
            eprintln!("the cases of {package} are not counted: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::test_runner::{TestCaseError, TestRunner};
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn every_case_that_ran_is_counted_and_no_other() {
        static RAN: AtomicU64 = AtomicU64::new(0);
        struct Told(Count);
        impl ResultCache for Told {
            fn key(&self, key: &ResultCacheKey<'_>) -> u64 {
                self.0.key(key)
            }

            fn put(&mut self, key: u64, result: &TestCaseResult) {
                self.0.put(key, result);
                RAN.store(self.0.0, Ordering::Relaxed);
            }

            fn get(&self, key: u64) -> Option<&TestCaseResult> {
                self.0.get(key)
            }
        }
        impl Drop for Told {
            /// These cases show nothing of the system: they are no part of the sum.
            fn drop(&mut self) {
                self.0.0 = 0;
            }
        }
        let result_cache = || Box::new(Told(Count(0))) as Box<dyn ResultCache>;
        let config = Config { cases: 7, result_cache, ..counted() };
        let is_odd = |n: u8| if n % 2 == 1 { Ok(()) } else { Err(TestCaseError::reject("even")) };
        TestRunner::new(config).run(&proptest::num::u8::ANY, is_odd).unwrap();
        assert_eq!(RAN.load(Ordering::Relaxed), 7, "and no even number among them");
    }

    #[test]
    fn what_is_added_from_many_sides_is_summed_up() {
        let name = format!("sum-of-{}", std::process::id());
        std::thread::scope(|scope| {
            for n in 1..=4 {
                let name = &name;
                scope.spawn(move || add(name, "things", n).unwrap());
            }
        });
        let path = folder().join(format!("{name}.txt"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "things 10\n");
        note(&name, "things", 3);
        assert_eq!(fs::read_to_string(&path).unwrap(), "things 3\n");
        fs::remove_file(path).unwrap();
        fs::remove_file(folder().join(format!("{name}.lock"))).unwrap();
    }
}
