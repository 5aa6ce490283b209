//! One table of good and hostile tokens (`table.json`) goes through every place a credential may come
//! from, on a server for each algorithm: the verdict is the one of the table, everywhere (F07).

#![allow(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod ages;
mod forge;
mod places;
mod rotation;
mod row;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use forge::{Forge, Kind, Pair};
use futures_util::StreamExt as _;
use goldenpath_tests::server::Server;
use goldenpath_tests::socket::Socket;
use places::{Place, Verdict, everywhere, present};
use row::Row;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::process::Command;

/// Tokens presented at the same time.
const AT_ONCE: usize = 4;

fn table() -> Vec<Row> {
    let rows: Vec<serde_json::Value> = serde_json::from_str(include_str!("table.json")).unwrap();
    rows.into_iter().map(Row).collect()
}

/// A server whose key is of this kind, with an older one of the same kind and one of another.
async fn server(kind: Kind) -> (Server, Forge) {
    let forge = Forge::new(kind);
    let keys = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = keys.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let mut settings = vec![("JWT_MAX_AGE", "3600".to_owned())];
    let mut files = Vec::new();
    let mut secrets = Vec::new();
    match &forge.server {
        Pair::Hmac(secret) => settings.push(("JWT_SECRET_KEY", text(secret))),
        pair => settings.push(("JWT_PRIVATE_KEY_FILE", file("key.pem", pair.private_pem()))),
    }
    for (name, pair) in [("older.pem", &forge.older), ("older2.pem", &forge.older2)] {
        match pair {
            Pair::Hmac(secret) => secrets.push(text(secret)),
            pair => files.push(file(name, pair.public_pem())),
        }
    }
    settings.push(("JWT_PREVIOUS_KEYS", secrets.join(",")));
    settings.push(("JWT_PREVIOUS_KEY_FILES", files.join(",")));
    let settings: Vec<(&str, &str)> = settings.iter().map(|(n, v)| (*n, v.as_str())).collect();
    (Server::start(&["--agents", "bench"], &settings).await, forge)
}

fn text(secret: &[u8]) -> String {
    String::from_utf8(secret.to_vec()).unwrap()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Presents the whole table and answers what was judged otherwise than the table says.
async fn misjudged(server: &Server, forge: &Forge) -> (usize, Vec<String>) {
    let rows = table();
    let hostile = rows.iter().filter(|row| row.verdict() != "good").count();
    assert!(hostile >= 100 && rows.len() - hostile >= 30, "{hostile} of {}", rows.len());
    let presented = rows.iter().flat_map(|row| row.places().into_iter().map(move |p| (row, p)));
    let port = server.port();
    let judged = futures_util::stream::iter(presented).map(|(row, place)| async move {
        let made = forge.make(row, now());
        let expected = match row.verdict() {
            "good" => Verdict::In(made.subject.clone()),
            code => Verdict::Refused(code.to_owned()),
        };
        // Of the same user: what a refresh changes is the token, what a stream tells is that user's.
        let who = if row.verdict() == "good" { made.subject.as_str() } else { "ada" };
        let plain = forge.plain(who, now());
        let verdict = present(port, place, &made.token, &plain).await;
        let told = format!("{} / {place:?}: {verdict:?} in place of {expected:?}", row.name());
        (verdict != expected).then_some(told)
    });
    let verdicts: Vec<Option<String>> = judged.buffer_unordered(AT_ONCE).collect().await;
    (verdicts.len(), verdicts.into_iter().flatten().collect())
}

async fn f07(kind: Kind) {
    let (server, forge) = server(kind).await;
    let (count, wrong) = misjudged(&server, &forge).await;
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    let log = server.log();
    assert!(log.contains(&forge.kid), "the key that signs is named in the log (F20)");
    for secret in forge.secrets() {
        assert!(!log.contains(&secret), "AUTH-05");
    }
}

macro_rules! for_each_algorithm {
    ($($name:ident: $kind:expr;)*) => {$(
        mod $name {
            #[tokio::test]
            async fn f07_a_token_has_one_verdict_in_every_place() {
                super::f07($kind).await;
            }
        }
    )*};
}

for_each_algorithm! {
    hs256: super::Kind::Hs256;
    rs256: super::Kind::Rs256;
    es256: super::Kind::Es256;
    eddsa: super::Kind::EdDsa;
}

/// The key of one is an older key of the other: nobody is logged out by a rotation, and the log of both
/// names the same keys.
#[tokio::test]
async fn f20_a_rotation_logs_nobody_out_and_the_log_names_the_keys() {
    let (first, second) = (Forge::new(Kind::Hs256), Forge::new(Kind::EdDsa));
    let Pair::Hmac(secret) = &first.server else { unreachable!() };
    let secret = text(secret);
    let before = Server::start(&["--agents", "bench"], &[("JWT_SECRET_KEY", &secret)]).await;
    let (token, user) = before.demo().await;
    let keys = tempfile::tempdir().unwrap();
    let path = keys.path().join("key.pem");
    std::fs::write(&path, second.server.private_pem()).unwrap();
    let path = path.display().to_string();
    let settings = [("JWT_PRIVATE_KEY_FILE", path.as_str()), ("JWT_PREVIOUS_KEYS", &secret)];
    let after = Server::start(&["--agents", "bench"], &settings).await;
    everywhere(&after, &token, &Verdict::In(user)).await;
    let (newer, _) = after.demo().await;
    let refused = present(before.port(), Place::Http, &newer, &token).await;
    assert_eq!(refused, Verdict::Refused("unauthorized".into()));
    assert!(before.log().contains(&first.kid) && after.log().contains(&first.kid));
    assert!(after.log().contains(&second.kid) && !before.log().contains(&second.kid));
    assert!(!after.log().contains(&secret) && !before.log().contains(&secret), "AUTH-05");

    let (status, set) =
        after.call(reqwest::Method::GET, "/.well-known/jwks.json", None, None).await;
    assert_eq!(status, 200);
    assert_eq!(set["keys"].as_array().unwrap().len(), 1, "{set}");
    assert_eq!(set["keys"][0]["kid"], second.kid.as_str());
}

async fn leave(server: &Server, path: &str, token: &str) {
    let (status, body) = server.call(reqwest::Method::POST, path, Some(token), None).await;
    assert_eq!(status, 200, "{body}");
}

//= specs/auth.md#auth-35
//= type=test
//# Logging out with a token that names no log-in MUST end that token and no other.
#[tokio::test]
async fn a_token_without_a_log_in_is_ended_by_its_name_alone() {
    let (server, forge) = server(Kind::Hs256).await;
    let at = now();
    let made = |jti: &str| {
        let row = serde_json::json!({"name": jti, "verdict": "good", "claims": {"jti": jti}});
        forge.make(&Row(row), at).token
    };
    let (one, other) = (made("one"), made("other"));
    leave(&server, "/api/auth/logout", &one).await;
    everywhere(&server, &one, &Verdict::Refused("token_revoked".into())).await;
    everywhere(&server, &other, &Verdict::In("ada".into())).await;
}

/// AUTH-33: a token of the command line belongs to no log-in, and is reached all the same.
#[tokio::test]
async fn leaving_everywhere_ends_tokens_of_the_command_line_too() {
    let secret = URL_SAFE_NO_PAD.encode([7, 99, 3, 54, 201, 6, 77, 18, 250, 31].repeat(4));
    let settings = [("JWT_SECRET_KEY", secret.as_str())];
    let mut server = Server::start(&["--agents", "bench"], &settings).await;
    let (log_in, user) = server.register("ada@example.org").await;
    let command_line = async |user: &str| {
        let run = Command::new(goldenpath_tests::server::binary())
            .args(["token", "--user", user, "--lifetime", "86400"])
            .env("JWT_SECRET_KEY", &secret)
            .env("GOLDENPATH_DATA", server.data())
            .output();
        let output = run.await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let own = [command_line(&user).await, command_line(&user).await];
    let bobs = command_line("bob").await;
    let (mut open, _) = Socket::ready(&server, &own[0], serde_json::json!([])).await;
    everywhere(&server, &own[1], &Verdict::In(user.clone())).await;

    leave(&server, "/api/auth/logout-all", &log_in).await;
    let (_, end) = open.rest().await;
    assert_eq!(end.map(|(code, _)| code), Some(4441));
    let revoked = Verdict::Refused("token_revoked".into());
    for token in own.iter().chain([&log_in]) {
        everywhere(&server, token, &revoked).await;
    }
    everywhere(&server, &bobs, &Verdict::In("bob".into())).await;
    let later = command_line(&user).await;
    everywhere(&server, &later, &Verdict::In(user.clone())).await;

    // By one of its own, and after a restart.
    leave(&server, "/api/auth/logout-all", &later).await;
    server.kill().await;
    server.launch().await;
    for token in own.iter().chain([&log_in, &later]) {
        everywhere(&server, token, &revoked).await;
    }
    everywhere(&server, &bobs, &Verdict::In("bob".into())).await;
}

/// What the replaced system made: HS256, its own issuer, no audience, no key id.
#[tokio::test]
async fn an_older_token_is_accepted_where_it_is_expected_and_nowhere_else() {
    let forge = Forge::new(Kind::Hs256);
    let Pair::Hmac(secret) = &forge.server else { unreachable!() };
    let secret = text(secret);
    let row = Row(serde_json::json!({
        "name": "older", "verdict": "good", "header": {"kid": null},
        "claims": {"iss": "netra-auth-service", "aud": null},
    }));
    let made = forge.make(&row, now());
    let usual = [("JWT_SECRET_KEY", secret.as_str())];
    let expecting = [usual[0], ("JWT_OLDER_ISSUER", "netra-auth-service")];
    for (settings, verdict) in [
        (&usual[..], Verdict::Refused("unauthorized".into())),
        (&expecting[..], Verdict::In(made.subject.clone())),
    ] {
        let server = Server::start(&["--agents", "bench"], settings).await;
        everywhere(&server, &made.token, &verdict).await;
    }
}
