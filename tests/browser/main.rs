//! The page in a real browser (Debian's Chromium, headless, through its WebDriver), served by the real
//! `goldenpath` binary with a data folder of its own. What a person can see and do is what is tested: AUTH-17,
//! AUTH-70, AUTH-77, CLNT-01, CLNT-06, DLV-05, DLV-06, DLV-20 and DLV-21 among the rest.
#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod browser;
mod data;
mod golden_path;
mod leaving;
#[path = "../proxies/nginx.rs"]
#[allow(dead_code, reason = "other suites use the rest of it")]
mod nginx;
mod older;
#[path = "../oidc/provider.rs"]
#[allow(dead_code, reason = "other suites use the rest of it")]
mod provider;
mod provider_login;
mod proxies;
mod reading;
mod refusals;
mod windows;
