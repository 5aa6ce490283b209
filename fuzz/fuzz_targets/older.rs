//! The shell of [`goldenpath_fuzz::older`] for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| goldenpath_fuzz::older(data));
