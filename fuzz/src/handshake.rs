//! Upgrade requests: what is accepted was asked for in order, what is selected was offered and is no
//! token, and a credential is taken from its place or not at all.

use crate::draw::text;
use arbitrary::{Result, Unstructured};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use goldenpath_core::auth::MAX_TOKEN_BYTES;
use goldenpath_core::handshake::{
    Accepted, Admission, Dialect, Origins, Presented, Refusal, ServerCondition, UpgradeRequest,
    decide,
};
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{AuthMethod, Credential, ErrorCode};

const ORIGIN: &str = "https://chat.example.org";
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const TOKEN_PARAMETERS: [&str; 4] = ["access_token", "auth_token", "jwt", "token"];
const RETRY_AFTER: Millis = Millis(1_200);

type Header = (&'static str, Vec<u8>);

/// Whose token it is, in a place of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Ada,
    Eve,
}

struct Attempt {
    method: &'static str,
    headers: Vec<Header>,
    query: String,
    admission: Admission,
    demo: bool,
    /// Whose tokens were put in, when nothing else that could be one was.
    known: Option<Vec<Whose>>,
}

/// Bytes draw a request and the server's condition.
pub fn handshake(data: &[u8]) {
    if let Ok(attempt) = Attempt::draw(&mut Unstructured::new(data)) {
        let decision = attempt.decide(&attempt.headers);
        attempt.check(&decision);
        assert_eq!(decision, attempt.decide(&attempt.renamed()), "header names have no case");
        assert_eq!(decision, attempt.decide(&attempt.joined()), "repeated headers are one list");
    }
}

fn jwt(whose: Whose, salt: u8) -> String {
    let sub = match whose {
        Whose::Ada => "ada",
        Whose::Eve => "eve",
    };
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let claims = format!("{{\"sub\":\"{sub}\",\"iss\":\"i\",\"jti\":\"?>~{salt}\"}}");
    format!("{}.{}.{}", part("{\"alg\":\"HS256\"}"), part(&claims), part("signature"))
}

impl Attempt {
    fn draw(u: &mut Unstructured<'_>) -> Result<Self> {
        let mut this = Self {
            method: if u.ratio(1, 16)? { "POST" } else { "GET" },
            headers: Vec::new(),
            query: String::new(),
            admission: match u.int_in_range(0..=15)? {
                0 => Admission::Draining { retry_after: RETRY_AFTER },
                1 => Admission::Overloaded { retry_after: RETRY_AFTER },
                2 => Admission::Starting { retry_after: RETRY_AFTER },
                _ => Admission::Open,
            },
            demo: u.arbitrary()?,
            known: Some(Vec::new()),
        };
        for (name, value) in [
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", KEY),
        ] {
            if !u.ratio(1, 32)? {
                this.headers.push((name, value.into()));
            }
        }
        for _ in 0..u.int_in_range(0..=5)? {
            let header = this.header(u)?;
            let at = u.int_in_range(0..=this.headers.len())?;
            this.headers.insert(at, header);
        }
        if u.ratio(1, 4)? {
            this.query = this.parameters(u)?;
        }
        Ok(this)
    }

    fn header(&mut self, u: &mut Unstructured<'_>) -> Result<Header> {
        let fixed = |name, value: &str| Ok((name, value.as_bytes().to_vec()));
        match u.int_in_range(0..=9)? {
            0 => fixed(
                "Sec-WebSocket-Protocol",
                u.choose(&["golden.v1", "golden.v2", "golden.v1, x", "golden.vx"])?,
            ),
            1 => fixed(
                "Sec-WebSocket-Protocol",
                u.choose(&["jwt-auth", "jwt", "bearer", "graphql-ws", ""])?,
            ),
            2 | 3 => {
                let token = self.token(u)?;
                let prefix = u.choose(&[
                    "jwt.",
                    "jwt-auth.",
                    "bearer.",
                    "base64url.bearer.authorization.golden.",
                ])?;
                let carried = match u.int_in_range(0..=4)? {
                    0 => STANDARD.encode(&token),
                    1 => STANDARD_NO_PAD.encode(&token),
                    2 => URL_SAFE.encode(&token),
                    3 => URL_SAFE_NO_PAD.encode(&token),
                    _ => token,
                };
                fixed("Sec-WebSocket-Protocol", &format!("{prefix}{carried}"))
            }
            4 => {
                let token = self.token(u)?;
                let scheme = u.choose(&["Bearer", "bearer", "BEARER "])?;
                fixed("Authorization", &format!("{scheme} {token} "))
            }
            5 => {
                self.known = None;
                let value = text(u)?;
                let scheme = u.choose(&["Bearer ", "Bearer", "Basic ", ""])?;
                fixed("Authorization", &format!("{scheme}{value}"))
            }
            6 => fixed(
                "Origin",
                u.choose(&[
                    ORIGIN,
                    "null",
                    "https://evil.example",
                    "",
                    " https://chat.example.org ",
                ])?,
            ),
            7 => {
                fixed("Sec-WebSocket-Key", u.choose(&[KEY, "", "AAAA", "dGhlIHNhbXBsZSBub25jZQ"])?)
            }
            8 => {
                self.known = None;
                let name = *u.choose(&[
                    "Sec-WebSocket-Protocol",
                    "Origin",
                    "Upgrade",
                    "Connection",
                    "Authorization",
                ])?;
                Ok((name, u.arbitrary::<Vec<u8>>()?))
            }
            _ => {
                self.known = None;
                fixed("Sec-WebSocket-Protocol", &text(u)?)
            }
        }
    }

    fn token(&mut self, u: &mut Unstructured<'_>) -> Result<String> {
        let whose = if u.ratio(1, 3)? { Whose::Eve } else { Whose::Ada };
        if let Some(known) = &mut self.known {
            known.push(whose);
        }
        Ok(jwt(whose, u.int_in_range(0..=2)?))
    }

    fn parameters(&mut self, u: &mut Unstructured<'_>) -> Result<String> {
        self.known = None;
        let mut parameters = Vec::new();
        for _ in 0..u.int_in_range(1..=3)? {
            let name = *u.choose(&[
                "ticket",
                "tick%65t",
                "token",
                "t%6Fken",
                "jwt",
                "x",
                "%",
                "",
                "auth_token",
            ])?;
            let value = *u.choose(&["", "tk_1", "tk%5F1+x", "%ff", "a=b", "%zz"])?;
            parameters.push(if u.ratio(1, 8)? { name.into() } else { format!("{name}={value}") });
        }
        Ok(parameters.join("&"))
    }

    fn decide(&self, headers: &[Header]) -> core::result::Result<Accepted, Refusal> {
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        let request = UpgradeRequest { method: self.method, headers: &headers, query: &self.query };
        let origins = Origins::Listed(vec![ORIGIN.to_owned(), "null".to_owned()]);
        let server =
            ServerCondition { origins: &origins, admission: self.admission, demo: self.demo };
        decide(&request, &server)
    }

    fn renamed(&self) -> Vec<Header> {
        let lower = |name: &str| match name {
            "Sec-WebSocket-Protocol" => "sec-websocket-protocol",
            "Sec-WebSocket-Version" => "SEC-WEBSOCKET-VERSION",
            "Sec-WebSocket-Key" => "sec-websocket-key",
            "Authorization" => "authorization",
            "Connection" => "connection",
            "Upgrade" => "upgrade",
            _ => "ORIGIN",
        };
        self.headers.iter().map(|(name, value)| (lower(name), value.clone())).collect()
    }

    /// All offers in one header (RFC 9110 section 5.3).
    fn joined(&self) -> Vec<Header> {
        let is_offer = |header: &&Header| header.0 == "Sec-WebSocket-Protocol";
        let offers: Vec<&[u8]> =
            self.headers.iter().filter(is_offer).map(|(_, value)| value.as_slice()).collect();
        let mut headers: Vec<Header> =
            self.headers.iter().filter(|header| !is_offer(header)).cloned().collect();
        if !offers.is_empty() {
            headers.push(("Sec-WebSocket-Protocol", offers.join(&b", "[..])));
        }
        headers
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = self.headers.iter().filter(|(header, _)| *header == name);
        named.map(|(_, value)| value.as_slice()).collect()
    }

    /// The members of the offered protocols that are text.
    fn offered(&self) -> Vec<&str> {
        let members = self.values("Sec-WebSocket-Protocol").into_iter();
        let members = members.flat_map(|value| value.split(|byte| *byte == b','));
        members.filter_map(|member| core::str::from_utf8(member.trim_ascii()).ok()).collect()
    }

    fn is_an_upgrade(&self) -> bool {
        let names = |header, word: &str| {
            let mut members = self.values(header).into_iter().flat_map(|v| v.split(|b| *b == b','));
            members.any(|member| member.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        let key = self.values("Sec-WebSocket-Key");
        self.method == "GET"
            && names("Upgrade", "websocket")
            && names("Connection", "upgrade")
            && self.values("Sec-WebSocket-Version") == [b"13"]
            && key.len() == 1
            && STANDARD.decode(key[0].trim_ascii()).is_ok_and(|nonce| nonce.len() == 16)
    }

    fn check(&self, decision: &core::result::Result<Accepted, Refusal>) {
        let home = matches!(self.values("Origin").as_slice(), [] | [_])
            && self.values("Origin").iter().all(|one| one.trim_ascii() == ORIGIN.as_bytes());
        let admitted = self.is_an_upgrade() && home && self.admission == Admission::Open;
        match decision {
            Ok(accepted) => {
                assert!(admitted, "no upgrade, a foreign page, or no room");
                self.check_selection(accepted);
                self.check_credential(accepted);
            }
            Err(refusal) => self.check_refusal(refusal, admitted, home),
        }
    }

    /// CONN-06, F04, F05.
    fn check_selection(&self, accepted: &Accepted) {
        let offered = self.offered();
        let is_version = |name: &&str| {
            name.strip_prefix("golden.v").is_some_and(|number| number.parse::<u16>().is_ok())
        };
        let golden = offered.iter().any(is_version);
        assert_eq!(accepted.dialect == Dialect::GoldenV1, golden, "{offered:?}");
        assert!(accepted.demo == self.demo);
        if let Some(selected) = accepted.subprotocol.as_deref() {
            assert!(offered.contains(&selected), "{selected} was not offered");
            let older = ["jwt-auth", "jwt", "bearer"].contains(&selected);
            assert!(if golden { is_version(&selected) } else { older }, "{selected}");
        } else {
            assert!(!golden, "golden.v1 was offered and not selected");
        }
        if golden && offered.contains(&"golden.v1") {
            assert_eq!(accepted.subprotocol.as_deref(), Some("golden.v1"));
        }
        let presents = matches!(accepted.presented, Presented::Credential(..));
        assert_eq!(accepted.verify_before_upgrade, !golden && presents, "F36");
        assert!(golden || presents || (self.demo && accepted.presented == Presented::Nothing));
    }

    /// A credential comes from the place that is named, and an address carries none but a ticket.
    fn check_credential(&self, accepted: &Accepted) {
        let query: Vec<(String, String)> =
            form_urlencoded::parse(self.query.as_bytes()).into_owned().collect();
        let in_address = query.iter().any(|(name, _)| TOKEN_PARAMETERS.contains(&name.as_str()));
        let bearer = self.values("Authorization").iter().any(|value| {
            let word = value.trim_ascii().split(|byte| *byte == b' ').next().unwrap_or_default();
            word.eq_ignore_ascii_case(b"bearer")
        });
        let unusable = matches!(accepted.presented, Presented::Unusable(_));
        assert!(!in_address || unusable, "a token in the address: {:?}", self.query);
        if let Some(known) = self
            .known
            .as_ref()
            .filter(|known| known.contains(&Whose::Ada) && known.contains(&Whose::Eve))
        {
            assert!(unusable, "two identities: {known:?}");
        }
        let Presented::Credential(method, credential) = &accepted.presented else { return };
        let (Credential::Token(secret) | Credential::Ticket(secret)) = credential;
        let secret = secret.0.as_str();
        assert!(!secret.is_empty() && secret.len() <= MAX_TOKEN_BYTES);
        assert_eq!(bearer, *method == AuthMethod::AuthorizationHeader, "the header comes first");
        match method {
            AuthMethod::AuthorizationHeader => {
                let ends = |value: &&[u8]| value.trim_ascii().ends_with(secret.as_bytes());
                assert!(self.values("Authorization").iter().any(ends));
            }
            AuthMethod::Subprotocol => {
                let found = self.offered().iter().any(|member| carries(member, secret));
                assert!(found, "the token was not offered");
            }
            AuthMethod::Ticket => {
                assert!(query.iter().any(|(name, value)| name == "ticket" && value == secret));
            }
            AuthMethod::Demo | AuthMethod::FirstMessage => {
                panic!("no place in a request: {method:?}")
            }
        }
        if secret.len() >= 20 {
            assert!(!format!("{accepted:?}").contains(secret), "AUTH-05");
        }
        if self.known.is_some() {
            let ours = [Whose::Ada, Whose::Eve]
                .into_iter()
                .any(|w| (0..=2).any(|salt| jwt(w, salt) == secret));
            assert!(ours, "it reads what was written");
        }
    }

    fn check_refusal(&self, refusal: &Refusal, admitted: bool, home: bool) {
        let header = |name: &str| refusal.headers.iter().find(|(header, _)| *header == name);
        match refusal.status {
            426 => assert!(!self.is_an_upgrade() && header("Sec-WebSocket-Version").is_some()),
            403 => assert!(!home && refusal.code == ErrorCode::OriginNotAllowed),
            503 => {
                assert_ne!(self.admission, Admission::Open);
                assert_eq!(header("Retry-After").map(|(_, value)| value.as_ref()), Some("2"));
            }
            401 => {
                assert!(admitted && header("WWW-Authenticate").is_some(), "F36");
                assert!(!self.offered().contains(&"golden.v1"), "it could have been told inside");
            }
            400 if refusal.code == ErrorCode::AuthAmbiguous => assert!(admitted),
            400 => assert!(!self.is_an_upgrade() && refusal.code == ErrorCode::ValidationFailed),
            other => panic!("{other} is no answer to an upgrade"),
        }
        assert_eq!(admitted, refusal.status == 401 || refusal.code == ErrorCode::AuthAmbiguous);
    }
}

/// Whether a member ends with the token, as it is or in any base64.
fn carries(member: &str, secret: &str) -> bool {
    let digits = |text: &str| text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let encoded = STANDARD_NO_PAD.encode(secret);
    // The last digit may hold bits that mean nothing.
    let all_but_last = encoded.get(..encoded.len() - 1).unwrap_or_default();
    member.ends_with(secret)
        || member.split('.').next_back().is_some_and(|last| digits(last).contains(all_but_last))
}
