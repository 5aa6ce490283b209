//! The decision as a table: what is offered, what is shown, what is answered.

use super::*;
use crate::matrix::page_is;
use crate::time::Millis;
use crate::wire::AuthMethod;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

type Headers = &'static [(&'static str, &'static [u8])];

const OFFER: &str = "Sec-WebSocket-Protocol";
const UPGRADE: Headers = &[
    ("Connection", b"Upgrade"),
    ("Upgrade", b"websocket"),
    ("Sec-WebSocket-Version", b"13"),
    ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
];

const OFFERS: [(&str, Option<&str>); 4] = [
    ("`golden.v1`", Some("golden.v1")),
    ("`golden.v2`", Some("golden.v2")),
    ("`jwt-auth`", Some("jwt-auth")),
    ("nothing", None),
];

/// A member of the offer, another header, a query.
const SHOWN: [(&str, &str, Headers, &str); 7] = [
    ("no credential", "", &[], ""),
    ("a token as subprotocol", "jwt.t.o.k", &[], ""),
    ("a token in Authorization", "", &[("Authorization", b"Bearer t.o.k")], ""),
    ("a ticket in the address", "", &[], "ticket=abc"),
    ("a token in the address", "", &[], "token=t.o.k"),
    ("a broken token", "jwt.%%%", &[], ""),
    ("tokens of two identities", "jwt.t.o.k", &[("Authorization", b"Bearer o.t.h")], ""),
];

fn decided(headers: &[(&str, &[u8])], query: &str, server: &ServerCondition<'_>) -> String {
    match decide(&UpgradeRequest { method: "GET", headers, query }, server) {
        Err(refusal) => format!("{} `{}`", refusal.status, refusal.code),
        Ok(accepted) => {
            let selected =
                accepted.subprotocol.as_deref().map_or("none".into(), |name| format!("`{name}`"));
            let next = match &accepted.presented {
                Presented::Nothing if accepted.demo => {
                    "a demo user, unless it sends `auth` first".into()
                }
                Presented::Nothing => "asked for `auth`".into(),
                Presented::Credential(method, _) if accepted.verify_before_upgrade => {
                    format!("checked before the 101 ({})", place(*method))
                }
                Presented::Credential(method, _) => format!("checked inside ({})", place(*method)),
                Presented::Unusable(fault) => format!("told inside `{}`, closed", fault.code),
            };
            format!("101, {selected}; {next}")
        }
    }
}

const fn place(method: AuthMethod) -> &'static str {
    match method {
        AuthMethod::AuthorizationHeader => "Authorization",
        AuthMethod::Demo => "demo",
        AuthMethod::FirstMessage => "first frame",
        AuthMethod::Subprotocol => "subprotocol",
        AuthMethod::Ticket => "ticket",
    }
}

fn page() -> String {
    let mut page = String::from(
        "# The handshake\n\nMay this upgrade happen, and as what? A function of the request and the server's \
         condition, without\nstate. Made from it by its tests; do not edit.\n\n\
         ## First: is there any reason to refuse?\n\n\
         In this order; each is answered with an HTTP status.\n\n| Request | Answer |\n|---|---|\n",
    );
    let origins = Origins::Listed(Vec::new());
    let open = ServerCondition { origins: &origins, admission: Admission::Open, demo: false };
    let golden: (&str, &[u8]) = (OFFER, b"golden.v1");
    let with = |header| [UPGRADE, &[golden, header]].concat();
    let retry_after = Millis::from_secs(5);
    let rows = [
        ("no WebSocket request", decided(&[golden], "", &open)),
        (
            "another version of WebSocket",
            decided(&with(("Sec-WebSocket-Version", b"8")), "", &open),
        ),
        ("a key that is none", decided(&with(("Sec-WebSocket-Key", b"x")), "", &open)),
        (
            "a page that is not on the list",
            decided(&with(("Origin", b"https://evil.example")), "", &open),
        ),
    ];
    for (request, answer) in rows {
        page += &format!("| {request} | {answer} |\n");
    }
    let conditions = [
        ("the server starts", Admission::Starting { retry_after }),
        ("the server drains", Admission::Draining { retry_after }),
        ("the server is full", Admission::Overloaded { retry_after }),
    ];
    let good = [UPGRADE, &[golden]].concat();
    for (condition, admission) in conditions {
        let server = ServerCondition { admission, ..open };
        page += &format!("| {condition} | {}, with `Retry-After` |\n", decided(&good, "", &server));
    }
    page += "\n## Then: who is it, and what is spoken?\n\nA client that offers a version of `golden` is told \
             inside what is wrong, because a browser shows a\nrefused upgrade only as 1006 (F36). Others hear it \
             as HTTP 401. Never selected: what was not offered,\nand a token.\n\n\
             | Offered | Shown | Answer | In demo mode |\n|---|---|---|---|\n";
    for (offered, name) in OFFERS {
        for (shown, member, headers, query) in SHOWN {
            let members: Vec<&str> =
                name.into_iter().chain(Some(member).filter(|member| !member.is_empty())).collect();
            let offer = members.join(", ");
            let mut all: Vec<(&str, &[u8])> = [UPGRADE, headers].concat();
            if !offer.is_empty() {
                all.push((OFFER, offer.as_bytes()));
            }
            let plain = decided(&all, query, &open);
            let demo = decided(&all, query, &ServerCondition { demo: true, ..open });
            let demo = if demo == plain { "the same".to_string() } else { demo };
            page += &format!("| {offered} | {shown} | {plain} | {demo} |\n");
        }
    }
    page
}

#[test]
fn the_matrix_of_requests_and_conditions() {
    let page = page();
    insta::assert_snapshot!(page);
    page_is("handshake", &page);
}
