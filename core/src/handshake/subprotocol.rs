//! `Sec-WebSocket-Protocol`: what was offered, what may be selected, which members carry a token.

use super::UpgradeRequest;
use crate::wire::Secret;
use alloc::string::String;
use alloc::vec::Vec;
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// The protocol this server speaks.
pub(super) const GOLDEN_V1: &str = "golden.v1";

/// What older clients offer as a name; selected when offered, so that a browser is content (F04, F05).
const OLDER_NAMES: [&str; 3] = ["jwt-auth", "jwt", "bearer"];

/// What stands before a token.
const TOKEN_PREFIXES: [&str; 4] =
    ["base64url.bearer.authorization.golden.", "jwt-auth.", "jwt.", "bearer."];

const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a client offered, in its order.
#[derive(Debug)]
pub(super) struct Offer<'a> {
    names: Vec<&'a str>,
    tokens: Vec<Option<Secret>>,
}

impl<'a> Offer<'a> {
    pub(super) fn of(request: &UpgradeRequest<'a>) -> Self {
        let mut offer = Self { names: Vec::new(), tokens: Vec::new() };
        let members = request.list("Sec-WebSocket-Protocol");
        for member in members {
            //= specs/connection.md#conn-06
            //# The selected subprotocol MUST be one that was offered and MUST NOT be a token.
            let carried =
                TOKEN_PREFIXES.iter().find_map(|prefix| member.strip_prefix(prefix.as_bytes()));
            match (carried, core::str::from_utf8(member)) {
                // Who offers bytes that are no text offers a credential all the same (HAND-05).
                (Some(carried), _) => {
                    offer.tokens.push(core::str::from_utf8(carried).ok().and_then(token_of));
                }
                (None, Ok(name)) => offer.names.push(name),
                (None, Err(_)) => {}
            }
        }
        offer
    }

    /// `golden.v1` if it was offered, else another version of it if one was: that client is told
    /// inside that its version is not spoken (4412).
    pub(super) fn golden(&self) -> Option<&'a str> {
        let version = |name: &&str| {
            name.strip_prefix("golden.v").is_some_and(|number| number.parse::<u16>().is_ok())
        };
        let names = || self.names.iter().copied();
        names().find(|name| *name == GOLDEN_V1).or_else(|| names().find(version))
    }

    /// The name to select for an older client. One that offers only the name and authenticates by
    /// header gets none, as the replaced system did.
    pub(super) fn older(&self, authenticated_by_header: bool) -> Option<&'a str> {
        if authenticated_by_header && self.tokens.is_empty() {
            return None;
        }
        self.names.iter().copied().find(|name| OLDER_NAMES.contains(name))
    }

    /// The tokens carried; `None` for one that could not be decoded.
    pub(super) fn tokens(&self) -> &[Option<Secret>] {
        &self.tokens
    }
}

/// A token as it is (it has two dots), or base64 of one, in either alphabet, padded or not.
fn token_of(carried: &str) -> Option<Secret> {
    if carried.contains('.') {
        return Some(Secret(carried.into()));
    }
    let one_alphabet: String = carried
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            other => other,
        })
        .collect();
    let bytes = ANY_PADDING.decode(one_alphabet).ok()?;
    String::from_utf8(bytes).ok().filter(|token| !token.is_empty()).map(Secret)
}
