//! The shell of [`goldenpath_fuzz::import_file`] for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| goldenpath_fuzz::import_file(data));
