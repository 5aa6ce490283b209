use super::*;
use crate::time::Millis;
use crate::wire::{AuthMethod, Credential, Secret};
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

const ORIGIN: &str = "https://chat.example.org";

/// A request that would be accepted, to be changed by a test.
struct Attempt {
    method: &'static str,
    headers: Vec<(&'static str, Vec<u8>)>,
    query: String,
    admission: Admission,
    demo: bool,
}

impl Attempt {
    fn offering(protocols: &[&str]) -> Self {
        let base = [
            ("host", "127.0.0.1"),
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let mut headers: Vec<_> = base.map(|(n, v)| (n, v.as_bytes().to_vec())).to_vec();
        for protocol in protocols {
            headers.push(("Sec-WebSocket-Protocol", protocol.as_bytes().to_vec()));
        }
        Self {
            method: "GET",
            headers,
            query: String::new(),
            admission: Admission::Open,
            demo: false,
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.as_bytes().to_vec()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| *header != name);
        self
    }

    fn query(mut self, query: &str) -> Self {
        self.query = query.to_owned();
        self
    }

    fn demo(mut self) -> Self {
        self.demo = true;
        self
    }

    fn decide(&self) -> Result<Accepted, Refusal> {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        let request = UpgradeRequest { method: self.method, headers: &headers, query: &self.query };
        let origins = Origins::Listed(vec![ORIGIN.to_owned(), "null".to_owned()]);
        decide(
            &request,
            &ServerCondition { origins: &origins, admission: self.admission, demo: self.demo },
        )
    }

    fn accepted(&self) -> Accepted {
        self.decide().unwrap()
    }

    fn status(&self) -> u16 {
        self.decide().unwrap_err().status
    }
}

fn jwt(sub: &str, salt: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!(r#"{{"sub":"{sub}","iss":"i","jti":"{salt}"}}"#);
    format!("{}.{}.{}", part(r#"{"alg":"HS256"}"#), part(&claims), part("signature"))
}

fn token(text: &str) -> Credential {
    Credential::Token(Secret(text.to_owned()))
}

fn unusable(accepted: &Accepted) -> ErrorCode {
    match &accepted.presented {
        Presented::Unusable(fault) => fault.code,
        other => panic!("expected something unusable, found {other:?}"),
    }
}

//= specs/handshake.md#hand-01
//= type=test
//# A request that is no WebSocket upgrade MUST be refused with 426 and headers that say how to ask.
#[test]
fn what_is_no_websocket_request_hears_426_and_how_to_ask() {
    let mut post = Attempt::offering(&["golden.v1"]);
    post.method = "POST";
    for attempt in [
        post,
        Attempt::offering(&[]).without("Upgrade"),
        Attempt::offering(&[]).without("Connection"),
        Attempt::offering(&[]).without("Upgrade").with("Upgrade", "h2c"),
        Attempt::offering(&[]).without("Sec-WebSocket-Version"),
        Attempt::offering(&[]).without("Sec-WebSocket-Version").with("Sec-WebSocket-Version", "8"),
        Attempt::offering(&[]).with("Sec-WebSocket-Version", "13"),
    ] {
        let refusal = attempt.decide().unwrap_err();
        assert_eq!(refusal.status, 426);
        assert!(refusal.headers.contains(&("Sec-WebSocket-Version", "13".into())));
        assert!(refusal.headers.contains(&("Upgrade", "websocket".into())));
    }
}

//= specs/handshake.md#hand-02
//= type=test
//# A `Sec-WebSocket-Key` that is not 16 bytes in base64 MUST be refused with 400.
#[test]
fn the_key_must_be_sixteen_bytes_in_base64() {
    let key = |key| {
        Attempt::offering(&["golden.v1"])
            .without("Sec-WebSocket-Key")
            .with("Sec-WebSocket-Key", key)
    };
    let seventeen = STANDARD.encode([0; 17]);
    for bad in ["", "x", "dGhlIHNhbXBsZSBub25jZQ", "AAAA", &seventeen] {
        assert_eq!(key(bad).status(), 400, "{bad}");
    }
    assert_eq!(Attempt::offering(&[]).without("Sec-WebSocket-Key").status(), 400);
    assert!(key(&STANDARD.encode([7; 16])).decide().is_ok());
}

/// F40.
/// What a foreign page, or a program that plays one, may write into `Origin` to look like [`ORIGIN`].
#[test]
fn f40_no_origin_that_only_looks_like_one_of_the_list_is_let_in() {
    let foreign = [
        "",
        " ",
        "null",
        "NULL",
        "*",
        "file://",
        "chat.example.org",
        "//chat.example.org",
        "http://chat.example.org",
        "wss://chat.example.org",
        "https://chat.example.org/",
        "https://chat.example.org.",
        "https://chat.example.org:443",
        "https://chat.example.org:8443",
        "https://chat.example.org:",
        "https://chat.example.org.evil.example",
        "https://evil.example/chat.example.org",
        "https://evil.example?https://chat.example.org",
        "https://evil.example#https://chat.example.org",
        "https://evilchat.example.org",
        "https://sub.chat.example.org",
        "https://example.org",
        "https://chat-example.org",
        "https://chatXexample.org",
        "https://chat.example.org@evil.example",
        "https://user@chat.example.org",
        "https://Chat.example.org",
        "HTTPS://chat.example.org",
        "https://chat.example.orgevil",
        "https://chat.example.org https://evil.example",
        "https://chat.example.org, https://evil.example",
        "https://evil.example https://chat.example.org",
        "https://chat.example.org\u{0}",
        "https://chat.example.org%00",
        "https://ch\u{430}t.example.org",
        "https://xn--cht-5cd.example.org",
    ];
    for origin in foreign {
        let refused = Attempt::offering(&["golden.v1"]).with("Origin", origin).decide();
        assert_eq!(refused.unwrap_err().status, 403, "{origin:?}");
        let twice = Attempt::offering(&["golden.v1"]).with("Origin", ORIGIN).with("origin", origin);
        assert_eq!(twice.decide().unwrap_err().status, 403, "the good one and {origin:?}");
    }
    assert!(Attempt::offering(&["golden.v1"]).with("Origin", ORIGIN).decide().is_ok());
}

//= specs/handshake.md#hand-40
//= type=test
//# A client that names `golden.v1` in the address MUST be spoken to in it, and MUST NOT be given
//# a subprotocol it did not offer.
#[test]
fn f06_a_client_whose_subprotocol_is_taken_off_on_the_way_names_it_in_the_address() {
    let named =
        |protocols: &[&str], query: &str| Attempt::offering(protocols).query(query).decide();
    let alone = named(&[], "protocol=golden.v1").unwrap();
    assert_eq!((alone.subprotocol, alone.dialect), (None, Dialect::GoldenV1));
    assert!(!alone.verify_before_upgrade, "it is told inside");
    let beside = named(&["golden.v1"], "protocol=golden.v1").unwrap();
    assert_eq!(beside.subprotocol.as_deref(), Some("golden.v1"));
    let literal = named(&["jwt-auth"], "ticket=t&protocol=golden%2Ev1").unwrap();
    assert_eq!(
        (literal.subprotocol.as_deref(), literal.dialect),
        (Some("jwt-auth"), Dialect::GoldenV1)
    );
    for other in ["protocol=golden.v2", "protocol=", "protocols=golden.v1", "golden.v1"] {
        assert_eq!(named(&[], other).unwrap_err().status, 401, "{other}");
    }
}

#[test]
fn who_comes_too_often_or_too_many_hears_429_and_when_to_come_back() {
    let retry_after = Millis(2500);
    for (admission, code) in [
        (Admission::Crowded { retry_after }, ErrorCode::TooManyConnections),
        (Admission::TooFast { retry_after }, ErrorCode::RateLimited),
    ] {
        let attempt = Attempt { admission, ..Attempt::offering(&["golden.v1"]) };
        let refused = attempt.decide().unwrap_err();
        assert_eq!((refused.status, refused.code), (429, code));
        assert_eq!(refused.headers, [("Retry-After", "3".into())]);
    }
}

//= specs/handshake.md#hand-03
//= type=test
//# A page whose origin is not on the list MUST be refused with 403 before the upgrade.
#[test]
fn a_foreign_page_is_refused_before_the_upgrade() {
    let from = |origin| Attempt::offering(&["golden.v1"]).with("Origin", origin);
    assert!(from(ORIGIN).decide().is_ok());
    for foreign in [
        "null",
        "https://evil.example",
        "http://chat.example.org",
        "https://chat.example.org:8443",
        "https://chat.example.org.evil.example",
        "https://CHAT.example.org",
        "",
    ] {
        assert_eq!(from(foreign).status(), 403, "{foreign}");
    }
    assert_eq!(from(ORIGIN).with("Origin", "https://evil.example").status(), 403);
    assert!(Attempt::offering(&["golden.v1"]).decide().is_ok(), "no Origin: not a browser");
}

//= specs/handshake.md#hand-04
//= type=test
//# A server that is starting, draining or full MUST refuse an upgrade with 503 and `Retry-After`.
#[test]
fn without_room_the_answer_is_503_and_when_to_come_back() {
    let retry_after = Millis(1_200);
    for (admission, code) in [
        (Admission::Draining { retry_after }, ErrorCode::ShuttingDown),
        (Admission::Overloaded { retry_after }, ErrorCode::Overloaded),
        (Admission::Starting { retry_after }, ErrorCode::Degraded),
    ] {
        let mut attempt = Attempt::offering(&["golden.v1"]);
        attempt.admission = admission;
        let refusal = attempt.decide().unwrap_err();
        assert_eq!((refusal.status, refusal.code), (503, code));
        assert_eq!(refusal.headers, [("Retry-After", "2".into())]);
    }
}

/// F04, F05: the selection table of the protocol, row by row.
#[test]
fn the_selected_subprotocol_follows_the_table() {
    let raw = jwt("ada", "1");
    let carried = format!("jwt.{}", URL_SAFE_NO_PAD.encode(&raw));
    let bearer = format!("Bearer {raw}");
    let rows: [(&[&str], bool, Option<&str>, Dialect); 12] = [
        (&["golden.v1"], true, Some("golden.v1"), Dialect::GoldenV1),
        (&["golden.v1"], false, Some("golden.v1"), Dialect::GoldenV1),
        (&["golden.v1", &carried], false, Some("golden.v1"), Dialect::GoldenV1),
        (&[&carried, "golden.v1"], false, Some("golden.v1"), Dialect::GoldenV1),
        (&["graphql-ws, golden.v1"], false, Some("golden.v1"), Dialect::GoldenV1),
        (&["golden.v2", "golden.v1"], false, Some("golden.v1"), Dialect::GoldenV1),
        (&["jwt-auth"], true, None, Dialect::Older),
        (&["jwt-auth", &carried], false, Some("jwt-auth"), Dialect::Older),
        (&["bearer, jwt", &carried], false, Some("bearer"), Dialect::Older),
        (&[&carried], false, None, Dialect::Older),
        (&[], true, None, Dialect::Older),
        (&["graphql-ws", &carried], false, None, Dialect::Older),
    ];
    for (offered, header, selected, dialect) in rows {
        let mut attempt = Attempt::offering(offered);
        if header {
            attempt = attempt.with("Authorization", &bearer);
        }
        let accepted = attempt.accepted();
        assert_eq!(accepted.subprotocol.as_deref(), selected, "{offered:?}");
        assert_eq!(accepted.dialect, dialect, "{offered:?}");
        assert_eq!(accepted.verify_before_upgrade, dialect == Dialect::Older, "{offered:?}");
    }
    for name in ["jwt-auth", "jwt", "bearer"] {
        let accepted = Attempt::offering(&[name]).demo().accepted();
        assert_eq!(accepted.subprotocol.as_deref(), Some(name));
        assert!(!accepted.verify_before_upgrade && accepted.demo);
    }
}

/// F36.
//= specs/handshake.md#hand-09
//= type=test
//# A client that does not offer `golden.v1` and shows no credential MUST hear 401 before the
//# upgrade.
#[test]
fn only_clients_that_can_be_told_inside_are_let_in_without_a_credential() {
    assert_eq!(Attempt::offering(&["golden.v1"]).accepted().presented, Presented::Nothing);
    for offered in [&[][..], &["jwt-auth"], &["graphql-ws"]] {
        let refusal = Attempt::offering(offered).decide().unwrap_err();
        assert_eq!((refusal.status, refusal.code), (401, ErrorCode::Unauthorized));
        assert_eq!(refusal.headers, [("WWW-Authenticate", "Bearer".into())]);
    }
}

//= specs/handshake.md#hand-10
//= type=test
//# A version of `golden` that is not spoken MUST be explained inside the socket as
//# `unsupported_version`.
#[test]
fn a_version_that_is_not_spoken_is_explained_inside() {
    let accepted = Attempt::offering(&["golden.v2"]).demo().accepted();
    assert_eq!(accepted.subprotocol.as_deref(), Some("golden.v2"));
    assert_eq!(unusable(&accepted), ErrorCode::UnsupportedVersion);
}

#[test]
fn a_token_is_found_in_every_place_and_spelling() {
    // The payload holds bytes whose base64 differs between the alphabets.
    let raw = format!("{}.sig-nature_", jwt("ada", "?>?>~~~"));
    let offered = |text: String| Attempt::offering(&["golden.v1", &text]).accepted().presented;
    let expected = Presented::Credential(AuthMethod::Subprotocol, token(&raw));
    for prefix in ["jwt.", "jwt-auth.", "bearer.", "base64url.bearer.authorization.golden."] {
        for engine in [&URL_SAFE_NO_PAD, &URL_SAFE, &STANDARD, &STANDARD_NO_PAD] {
            assert_eq!(offered(format!("{prefix}{}", engine.encode(&raw))), expected, "{prefix}");
        }
        assert_eq!(offered(format!("{prefix}{raw}")), expected, "{prefix}");
    }
    let joined = Attempt::offering(&[&format!("golden.v1, jwt.{raw}")]).accepted().presented;
    assert_eq!(joined, expected);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let attempt =
            Attempt::offering(&["golden.v1"]).with("authorization", &format!("{scheme}  {raw} "));
        assert_eq!(
            attempt.accepted().presented,
            Presented::Credential(AuthMethod::AuthorizationHeader, token(&raw))
        );
    }
    let ticket = Attempt::offering(&["golden.v1"]).query("a=b&ticket=tk%5F1+x&c").accepted();
    assert_eq!(
        ticket.presented,
        Presented::Credential(AuthMethod::Ticket, Credential::Ticket(Secret("tk_1 x".to_owned())))
    );
}

//= specs/handshake.md#hand-05
//= type=test
//# An invalid credential MUST NOT fall through to the next place that may hold one.
#[test]
fn an_invalid_credential_does_not_fall_through_to_the_next_place() {
    let good = format!("jwt.{}", jwt("ada", "1"));
    let attempts = [
        Attempt::offering(&["golden.v1", &good]).with("Authorization", "Bearer"),
        Attempt::offering(&["golden.v1", &good]).with("Authorization", "Bearer a b"),
        Attempt::offering(&["golden.v1", &good]).with("Authorization", "Bearer\ta.b.c").demo(),
        Attempt::offering(&["golden.v1"]).with("Authorization", "Bearer \ta.b.c").demo(),
        Attempt::offering(&["golden.v1", "jwt.%%%"]).demo(),
        Attempt::offering(&["golden.v1", "jwt."]).demo(),
        Attempt::offering(&["golden.v1"]).query("ticket=").demo(),
        Attempt::offering(&["golden.v1", &format!("jwt.{}.", "x".repeat(9_000))]),
    ];
    for attempt in attempts {
        assert_eq!(unusable(&attempt.accepted()), ErrorCode::Unauthorized);
    }
    for (name, value) in [
        ("Authorization", &b"Bearer \xff\xfe"[..]),
        ("Sec-WebSocket-Protocol", b"jwt.\xff\xfe"),
        ("Sec-WebSocket-Protocol", b"base64url.bearer.authorization.golden.YQ\xff"),
    ] {
        for demo in [false, true] {
            let mut binary = Attempt::offering(&["golden.v1"]);
            binary.demo = demo;
            binary.headers.push((name, value.to_vec()));
            binary.headers.push(("Sec-WebSocket-Protocol", good.clone().into_bytes()));
            assert_eq!(unusable(&binary.accepted()), ErrorCode::Unauthorized, "{name}");
        }
    }
}

#[test]
fn a_name_that_is_no_text_is_no_credential() {
    let mut attempt = Attempt::offering(&["golden.v1"]);
    attempt.headers.push(("Sec-WebSocket-Protocol", b"jw\xff.a.b".to_vec()));
    assert_eq!(attempt.accepted().presented, Presented::Nothing);
}

#[test]
fn the_scheme_of_a_proxy_is_no_credential() {
    for other in ["Basic YTpi", "Bearertoken", ""] {
        let attempt = Attempt::offering(&["golden.v1"]).with("Authorization", other);
        assert_eq!(attempt.accepted().presented, Presented::Nothing, "{other}");
    }
}

//= specs/handshake.md#hand-06
//= type=test
//# Credentials that name two different identities MUST be refused as `auth_ambiguous`.
#[test]
fn two_places_may_agree_but_not_contradict_each_other() {
    let both = |header: &str, offered: &str| {
        Attempt::offering(&["golden.v1", &format!("jwt.{offered}")])
            .with("Authorization", &format!("Bearer {header}"))
            .accepted()
    };
    let (ada, ada_too, eve) = (jwt("ada", "1"), jwt("ada", "2"), jwt("eve", "1"));
    let first = Presented::Credential(AuthMethod::AuthorizationHeader, token(&ada));
    assert_eq!(both(&ada, &ada).presented, first);
    assert_eq!(both(&ada, &ada_too).presented, first);
    assert_eq!(unusable(&both(&ada, &eve)), ErrorCode::AuthAmbiguous);
    assert_eq!(unusable(&both(&ada, "a.b.c")), ErrorCode::AuthAmbiguous);

    let ticket = Attempt::offering(&["golden.v1", &format!("jwt.{ada}")]).query("ticket=t");
    assert_eq!(unusable(&ticket.accepted()), ErrorCode::AuthAmbiguous);
    let older = Attempt::offering(&[&format!("jwt.{ada}"), &format!("bearer.{eve}")]);
    let refusal = older.decide().unwrap_err();
    assert_eq!((refusal.status, refusal.code), (400, ErrorCode::AuthAmbiguous));
}

//= specs/handshake.md#hand-07
//= type=test
//# A token in the address MUST NOT be accepted, whatever else the request carries.
#[test]
fn a_token_in_the_address_is_never_accepted() {
    let good = format!("jwt.{}", jwt("ada", "1"));
    for name in ["token", "jwt", "access_token", "auth_token", "t%6Fken"] {
        let query = format!("x=1&{name}={}", jwt("ada", "1"));
        let golden = Attempt::offering(&["golden.v1", &good]).query(&query).demo();
        assert_eq!(unusable(&golden.accepted()), ErrorCode::Unauthorized, "{name}");
        assert_eq!(Attempt::offering(&[]).query(&query).demo().status(), 401, "{name}");
    }
}

/// AUTH-05.
#[test]
fn no_secret_is_printed() {
    let raw = jwt("ada", "1");
    let accepted = Attempt::offering(&["golden.v1", &format!("jwt.{raw}")]).accepted();
    assert!(!format!("{accepted:?}").contains(&raw));
}

proptest! {
    #![proptest_config(goldenpath_proof::counted())]

    /// CONN-06, and no request makes the decision panic.
    //= specs/connection.md#conn-06
    //= type=test
    //# The selected subprotocol MUST be one that was offered and MUST NOT be a token.
    #[test]
    fn what_is_selected_was_offered_and_is_no_token(
        protocols in prop::collection::vec(
            prop_oneof![
                Just("golden.v1".to_owned()), Just("golden.v7".to_owned()),
                Just("jwt-auth".to_owned()), Just("jwt".to_owned()),
                "jwt\\.[A-Za-z0-9+/=_.-]{0,40}", "bearer\\.[a-z.]{0,9}", "\\PC{0,20}",
            ], 0..5),
        authorization in prop::option::of("(Bearer|Basic)? ?\\PC{0,20}"),
        query in "(ticket|token)?=?[a-z%0-9&=+]{0,20}",
        demo: bool,
    ) {
        let offered: Vec<&str> = protocols.iter().map(String::as_str).collect();
        let mut attempt = Attempt::offering(&offered).query(&query);
        attempt.demo = demo;
        if let Some(value) = &authorization {
            attempt = attempt.with("Authorization", value);
        }
        if let Ok(accepted) = attempt.decide() {
            if let Some(selected) = accepted.subprotocol {
                let mut members = protocols.iter().flat_map(|p| p.split(',')).map(str::trim);
                prop_assert!(members.any(|member| member == selected));
                prop_assert!(["jwt", "bearer", "jwt-auth"].contains(&&*selected)
                    || selected.starts_with("golden.v"));
            }
            prop_assert!(!accepted.verify_before_upgrade || accepted.dialect == Dialect::Older);
        }
    }
}

#[test]
fn a_refusal_says_how_to_authenticate_or_when_to_come_back() {
    let with = |status: u16| {
        let codes = ErrorCode::ALL.iter().filter(move |code| code.http_status() == status);
        codes.map(|code| Refusal::unauthenticated(&PeerFault::new(*code, "why")))
    };
    let has = |refusal: &Refusal, name: &str| refusal.headers.iter().any(|(n, _)| *n == name);
    assert!(with(401).count() > 0 && with(503).count() > 0);
    assert!(with(401).all(|refusal| has(&refusal, "WWW-Authenticate")));
    assert!(with(503).all(|refusal| has(&refusal, "Retry-After")));
    assert!(with(403).all(|refusal| refusal.headers.is_empty()));
}
