//! `specs/protocol/codes.md` is made from the types: this writes it anew and compares.
//! `GOLDENPATH_UPDATE_SPECS=1 cargo test -p goldenpath-core --test protocol` accepts a change.

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use goldenpath_core::wire::{CloseCode, ErrorCode, Reconnect, WORDS};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

fn codes() -> String {
    let mut page = String::from(
        "# Codes and names\n\nMade from the types in `core/src/wire`; do not edit.\n\n\
         ## Close codes\n\n| Code | Reason | Reconnect |\n|---|---|---|\n",
    );
    for code in CloseCode::ALL {
        let reconnect = match code.reconnect() {
            Reconnect::AfterRefresh => "after a refreshed token",
            Reconnect::Backoff => "yes, with backoff or after the time given",
            Reconnect::Immediately => "at once",
            Reconnect::No => "no",
            Reconnect::Once => "once",
            Reconnect::WithNewCredential => "with another credential",
        };
        writeln!(page, "| {} | `{}` | {reconnect} |", code.code(), code.reason()).unwrap();
    }
    page.push_str("\n## Error codes\n\n| Code | HTTP | Try again | What the user reads |\n|---|---|---|---|\n");
    for code in ErrorCode::ALL {
        let retry = if code.is_retryable() { "yes" } else { "no" };
        writeln!(page, "| `{code}` | {} | {retry} | {} |", code.http_status(), code.user_message())
            .unwrap();
    }
    page.push_str("\n## Names of client frames\n\nCase, `-` and `_` do not matter.\n\n| Means | Also written |\n|---|---|\n");
    let mut names: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (word, kind) in WORDS {
        names.entry(format!("{kind:?}")).or_default().push(*word);
    }
    for (kind, words) in names {
        writeln!(page, "| {kind} | `{}` |", words.join("` `")).unwrap();
    }
    page
}

#[test]
fn the_page_of_codes_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/protocol/codes.md");
    let made = codes();
    if std::env::var_os("GOLDENPATH_UPDATE_SPECS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, made, "run with GOLDENPATH_UPDATE_SPECS=1 to accept");
}
