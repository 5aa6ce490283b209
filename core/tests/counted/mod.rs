//! Counts the cases of property tests that ran, for the summary of `tests/run`.

use proptest::test_runner::{
    Config, ResultCache, ResultCacheKey, TestCaseError, TestCaseResult, TestRunner,
};
use std::boxed::Box;
use std::path::{Path, PathBuf};
use std::{env, format, fs};

/// The usual configuration, with somebody who counts. No seed is kept: seeds rot when generators change. What
/// once failed is a test of its own, with its value.
pub(crate) fn counted() -> Config {
    Config { failure_persistence: None, result_cache: count, ..Config::default() }
}

/// The same with so many cases.
pub(crate) fn counted_to(cases: u32) -> Config {
    Config { cases, ..counted() }
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
    /// Adds to `proof/PACKAGE.txt` in the build folder; every test may be a process of its own.
    fn drop(&mut self) {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().find(|folder| folder.join("Cargo.lock").exists());
        let target = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.unwrap_or(here).join("target"), PathBuf::from);
        let name = env!("CARGO_PKG_NAME");
        let add = || -> std::io::Result<()> {
            fs::create_dir_all(target.join("proof"))?;
            let lock = fs::File::create(target.join(format!("proof/{name}.lock")))?;
            lock.lock()?;
            let path = target.join(format!("proof/{name}.txt"));
            let before = fs::read_to_string(&path).unwrap_or_default();
            let before: u64 =
                before.trim().rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            fs::write(path, format!("cases {}\n", before + self.0))
        };
        if let Err(error) = add() {
            std::eprintln!("the cases of {name} are not counted: {error}");
        }
    }
}

#[test]
fn every_case_that_ran_is_counted_and_no_other() {
    static RAN: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    struct Told(Count);
    impl ResultCache for Told {
        fn key(&self, key: &ResultCacheKey<'_>) -> u64 {
            self.0.key(key)
        }

        fn put(&mut self, key: u64, result: &TestCaseResult) {
            self.0.put(key, result);
            RAN.store(self.0.0, std::sync::atomic::Ordering::Relaxed);
        }

        fn get(&self, key: u64) -> Option<&TestCaseResult> {
            self.0.get(key)
        }
    }
    let result_cache = || Box::new(Told(Count(0))) as Box<dyn ResultCache>;
    let config = Config { cases: 7, result_cache, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let is_odd = |n: u8| if n % 2 == 1 { Ok(()) } else { Err(TestCaseError::reject("even")) };
    runner.run(&proptest::num::u8::ANY, is_odd).unwrap();
    assert_eq!(RAN.load(std::sync::atomic::Ordering::Relaxed), 7, "and no even number among them");
}
