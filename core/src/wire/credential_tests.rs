//! What `auth` and `auth_refresh` offer reaches the judge as it was sent.

use super::*;
use crate::id::ConnectionId;
use crate::limits::Limits;
use alloc::format;
use alloc::string::String;

fn read(text: &str) -> Result<ClientFrame, Refused> {
    let naming = Naming { connection_id: ConnectionId(7), nth: 3 };
    decode(text, &Limits::default(), naming)
}

//= specs/auth.md#auth-32
//= type=test
//# Whatever `auth` offers as a credential MUST be judged byte by byte as in every other place, and
//# MUST NOT be taken for none.
#[test]
fn what_auth_offers_is_a_credential_whatever_it_looks_like() {
    let offered = |fields: &str| match read(&format!(r#"{{"type":"auth",{fields}}}"#)) {
        Ok(ClientFrame { body: ClientBody::Auth { credential, .. }, .. }) => Ok(credential),
        Ok(frame) => panic!("{frame:?}"),
        Err(refused) => Err(refused.fault.code),
    };
    let token = |text: &str| Ok(Credential::Token(Secret(text.into())));
    for (json, text) in [
        (r#""t""#, "t"),
        (r#""""#, ""),
        (r#"" t""#, " t"),
        (r#""t\n""#, "t\n"),
        (r#""Bearer t""#, "Bearer t"),
        (r#""t\u0000""#, "t\0"),
        ("7", ""),
        ("[]", ""),
    ] {
        assert_eq!(offered(&format!(r#""token":{json}"#)), token(text), "{json}");
        assert_eq!(offered(&format!(r#""payload":{{"token":{json}}}"#)), token(text), "{json}");
    }
    assert_eq!(offered(r#""ticket":"""#), Ok(Credential::Ticket(Secret(String::new()))));
    assert_eq!(offered(r#""token":"","ticket":"""#), Err(ErrorCode::AuthAmbiguous));
    assert_eq!(offered(r#""token":null"#), Err(ErrorCode::ValidationFailed), "nothing is offered");
    let refresh = read(r#"{"type":"auth_refresh","token":" t"}"#).unwrap().body;
    assert_eq!(refresh, ClientBody::AuthRefresh { token: Secret(" t".into()) });
}
