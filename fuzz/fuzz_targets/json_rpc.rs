//! The shell of [`goldenpath_fuzz::json_rpc`] for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| goldenpath_fuzz::json_rpc(data));
