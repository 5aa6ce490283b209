//! How old a token may be where nobody has said it.

use crate::forge::{Forge, Kind, Pair};
use crate::now;
use crate::places::{Place, Verdict, present};
use crate::row::Row;
use goldenpath_tests::server::Server;
use serde_json::{Value, json};

/// 2100-01-01.
const FAR: u64 = 4_102_444_800;
const DAY: u64 = 24 * 3600;

//= specs/auth.md#auth-92
//= type=test
//# In production and staging a token MUST NOT be accepted when it was made more than a day ago or does not
//# say when, unless the operator set another age.
#[tokio::test]
async fn a_token_without_an_end_counts_for_a_day_where_others_come() {
    let forge = Forge::new(Kind::Hs256);
    let Pair::Hmac(secret) = &forge.server else { unreachable!() };
    let secret = String::from_utf8(secret.clone()).unwrap();
    let at = now();
    let made = |iss: &str, iat: Value| {
        let claims = json!({"iss": iss, "iat": iat, "exp": FAR});
        forge.make(&Row(json!({"name": "far", "verdict": "good", "claims": claims})), at).token
    };
    let good = || Verdict::In("ada".to_owned());
    let refused = |code: &str| Verdict::Refused(code.to_owned());
    let production = [("ENVIRONMENT", "production"), ("CORS_ORIGINS", "https://chat.example.org")];
    for (settings, is_checked) in [
        (&production[..], true),
        (&[("ENVIRONMENT", "staging")], true),
        (&[("ENVIRONMENT", "staging"), ("JWT_MAX_AGE", "876000h")], false),
        (&[("ENVIRONMENT", "development")], false),
    ] {
        let mut settings = settings.to_vec();
        settings.push(("JWT_SECRET_KEY", &secret));
        settings.push(("JWT_OLDER_ISSUER", "netra-auth-service"));
        let is_set = settings.iter().any(|(name, _)| *name == "JWT_MAX_AGE");
        let old = if is_checked { refused("token_expired") } else { good() };
        let undated = if is_checked || is_set { refused("unauthorized") } else { good() };
        let plain = made("goldenpath", json!(at));
        for iss in ["goldenpath", "netra-auth-service"] {
            for (iat, verdict) in [
                (json!(at), &good()),
                (json!(at - DAY + 600), &good()),
                (json!(at - DAY - 60), &old),
                (Value::Null, &undated),
            ] {
                let token = made(iss, iat.clone());
                // Ada opens no more sockets than one user may at once (SAFE-95).
                let server = Server::start(&["--agents", "builtin"], &settings).await;
                for place in Place::ALL {
                    let heard = present(server.port(), place, &token, &plain).await;
                    assert_eq!(heard, *verdict, "{settings:?} {iss} {iat} {place:?}");
                }
            }
        }
    }
}
