//! The four places a credential may come from, their precedence, and what happens when they disagree.

use super::UpgradeRequest;
use super::subprotocol::Offer;
use crate::auth::MAX_TOKEN_BYTES;
use crate::fault::PeerFault;
use crate::wire::{AuthMethod, Credential, ErrorCode, Secret};
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Names under which clients put a token into the query string, where it ends in every log.
const TOKEN_PARAMETERS: [&str; 4] = ["access_token", "auth_token", "jwt", "token"];

/// What a request says about who is asking.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Presented {
    /// Nothing; `golden.v1` clients may still send `auth` first.
    Nothing,
    /// A credential and its place; not yet checked.
    Credential(AuthMethod, Credential),
    /// Something that can never be accepted; the fault says why.
    Unusable(PeerFault),
}

impl Presented {
    /// The first place that holds a credential decides. Another place may hold one too if both name
    /// the same subject. The second one is only read, never checked: it can take rights away (by
    /// naming somebody else), not give any. A ticket names nobody that could be read here, so it must stand alone.
    pub(super) fn of(request: &UpgradeRequest<'_>, offer: &Offer<'_>) -> Self {
        let mut found: Vec<_> = in_header(request.all("Authorization")).collect();
        for token in offer.tokens() {
            found.push((AuthMethod::Subprotocol, token.clone().map(Credential::Token)));
        }
        for (name, value) in request.parameters() {
            //= specs/handshake.md#hand-07
            //# A token in the address MUST NOT be accepted, whatever else the request carries.
            if TOKEN_PARAMETERS.contains(&&*name) {
                return Self::unusable(
                    "a token in the address is never accepted: send it in Authorization, in Sec-WebSocket-Protocol, or as the first frame",
                );
            }
            if name == "ticket" {
                let ticket = Some(value.into_owned()).filter(|ticket| !ticket.is_empty());
                found.push((
                    AuthMethod::Ticket,
                    ticket.map(|ticket| Credential::Ticket(Secret(ticket))),
                ));
            }
        }
        Self::first_if_they_agree(found)
    }

    /// What a request says that asks for no upgrade: there `Authorization` is the only place. Takes all
    /// its values, in order.
    pub fn in_authorization<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::first_if_they_agree(in_header(values))
    }

    pub(super) const fn is_from_header(&self) -> bool {
        matches!(self, Self::Credential(AuthMethod::AuthorizationHeader, _))
    }

    fn first_if_they_agree(found: impl IntoIterator<Item = Found>) -> Self {
        let mut found = found.into_iter();
        let Some((method, first)) = found.next() else { return Self::Nothing };
        //= specs/handshake.md#hand-05
        //# An invalid credential MUST NOT fall through to the next place that may hold one.
        let Some(first) = first.filter(|first| secret(first).0.len() <= MAX_TOKEN_BYTES) else {
            return Self::unusable("the credential cannot be read");
        };
        let agrees = |other: Option<Credential>| other.is_some_and(|other| same(&first, &other));
        //= specs/handshake.md#hand-06
        //# Credentials that name two different identities MUST be refused as `auth_ambiguous`.
        if !found.all(|(_, other)| agrees(other)) {
            return Self::Unusable(PeerFault::new(
                ErrorCode::AuthAmbiguous,
                "the request carries credentials of two different identities",
            ));
        }
        Self::Credential(method, first)
    }

    fn unusable(message: &'static str) -> Self {
        Self::Unusable(PeerFault::new(ErrorCode::Unauthorized, message))
    }
}

/// A place and what it holds; `None`: something that cannot be read.
type Found = (AuthMethod, Option<Credential>);

fn in_header<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> impl Iterator<Item = Found> {
    values.into_iter().filter_map(bearer).map(|token| {
        let token = token.map(|token| Credential::Token(Secret(token.into())));
        (AuthMethod::AuthorizationHeader, token)
    })
}

/// The token of `Authorization: Bearer …`; `None` for another scheme (a proxy's own), `Some(None)`
/// for a bearer without a readable token.
fn bearer(value: &[u8]) -> Option<Option<&str>> {
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked(6)?;
    // Only spaces may follow the scheme (RFC 9110, 11.6.2), but whoever sends a tab means this one.
    let stands_alone = rest.first().is_none_or(u8::is_ascii_whitespace);
    if !scheme.eq_ignore_ascii_case(b"bearer") || !stands_alone {
        return None;
    }
    let token = core::str::from_utf8(rest).ok().map(|rest| rest.trim_start_matches(' '));
    Some(token.filter(|token| !token.is_empty() && !token.contains(char::is_whitespace)))
}

fn secret(credential: &Credential) -> &Secret {
    match credential {
        Credential::Ticket(secret) | Credential::Token(secret) => secret,
    }
}

fn same(a: &Credential, b: &Credential) -> bool {
    if a == b {
        return true;
    }
    match (a, b) {
        (Credential::Token(a), Credential::Token(b)) => match (subject(a), subject(b)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        },
        (Credential::Ticket(_), _) | (_, Credential::Ticket(_)) => false,
    }
}

/// Whom a token claims to be of; nothing about it has been checked.
fn subject(token: &Secret) -> Option<(Option<String>, String)> {
    #[derive(Deserialize)]
    struct Claimed {
        iss: Option<String>,
        sub: String,
    }
    let payload = token.0.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claimed: Claimed = serde_json::from_slice(&json).ok()?;
    Some((claimed.iss, claimed.sub))
}
