//! May this upgrade happen, and as what: a pure function of the request and the server's condition.
//!
//! The rules are the section "Upgrade" of `specs/protocol`. In one sentence: what is no WebSocket
//! request, comes from a foreign page or finds no room is refused with an HTTP status; a client that
//! offers `golden.v1` is let in and told inside what is wrong with its credential (F36), because a
//! browser shows a refused upgrade only as 1006; every other client hears HTTP 401.

mod credential;
mod origin;
mod refusal;
mod request;
mod subprotocol;

pub use credential::Presented;
pub use origin::{Origins, Page};
pub use refusal::Refusal;
pub use request::{Admission, ServerCondition, UpgradeRequest};

use crate::fault::PeerFault;
use crate::wire::ErrorCode;
use alloc::string::String;
use subprotocol::Offer;

/// What was decided for an upgrade that may happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// The subprotocol to name in the 101; none for a client that named its protocol in the address; always one that was offered, never a token (CONN-06).
    pub subprotocol: Option<String>,
    /// What is spoken.
    pub dialect: Dialect,
    /// What the request says about who is asking; not yet checked.
    pub presented: Presented,
    /// Whether a client without any credential becomes a demo user.
    pub demo: bool,
    /// The credential must be found good before the 101 is sent; if it is not, answer
    /// [`Refusal::unauthenticated`]. Only for clients that cannot be told inside.
    pub verify_before_upgrade: bool,
}

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// `golden.v1`.
    GoldenV1,
    /// The dialect of the replaced system, for clients that did not offer `golden.v1`.
    Older,
}

/// Decides on an upgrade.
///
/// # Errors
/// [`Refusal`]: the HTTP answer to send instead of the 101.
///
/// ```
/// use goldenpath_core::handshake::{Admission, Origins, ServerCondition, UpgradeRequest, decide};
///
/// let headers: [(&str, &[u8]); 5] = [
///     ("Connection", b"Upgrade"),
///     ("Upgrade", b"websocket"),
///     ("Sec-WebSocket-Version", b"13"),
///     ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
///     ("Sec-WebSocket-Protocol", b"golden.v1"),
/// ];
/// let request = UpgradeRequest { method: "GET", headers: &headers, query: "" };
/// let origins = Origins::Listed(vec!["https://chat.example.org".to_owned()]);
/// let server = ServerCondition { origins: &origins, admission: Admission::Open, demo: false };
/// let accepted = decide(&request, &server).unwrap();
/// assert_eq!(accepted.subprotocol.as_deref(), Some("golden.v1"));
/// ```
pub fn decide(
    request: &UpgradeRequest<'_>,
    server: &ServerCondition<'_>,
) -> Result<Accepted, Refusal> {
    request.check_upgrade()?;
    request.check_origin(server.origins)?;
    server.admission.check()?;

    let offer = Offer::of(request);
    let presented = Presented::of(request, &offer);
    if let Some(version) = offer.golden() {
        let presented = if version == subprotocol::GOLDEN_V1 {
            presented
        } else {
            //= specs/handshake.md#hand-10
            //# A version of `golden` that is not spoken MUST be explained inside the socket as
            //# `unsupported_version`.
            Presented::Unusable(PeerFault::new(
                ErrorCode::UnsupportedVersion,
                "this server speaks golden.v1",
            ))
        };
        //= specs/handshake.md#hand-08
        //# A client that offers `golden.v1` MUST be told inside the socket why its credential is
        //# refused.
        return Ok(Accepted {
            subprotocol: Some(version.into()),
            dialect: Dialect::GoldenV1,
            presented,
            demo: server.demo,
            verify_before_upgrade: false,
        });
    }
    //= specs/handshake.md#hand-40
    //# A client that names `golden.v1` in the address MUST be spoken to in it, and MUST NOT be given
    //# a subprotocol it did not offer.
    if request
        .parameters()
        .any(|(name, value)| name == "protocol" && value == subprotocol::GOLDEN_V1)
    {
        return Ok(Accepted {
            subprotocol: offer.older(presented.is_from_header()).map(String::from),
            dialect: Dialect::GoldenV1,
            presented,
            demo: server.demo,
            verify_before_upgrade: false,
        });
    }
    let verify_before_upgrade = match &presented {
        Presented::Unusable(fault) => return Err(Refusal::unauthenticated(fault)),
        //= specs/handshake.md#hand-09
        //# A client that does not offer `golden.v1` and shows no credential MUST hear 401 before
        //# the upgrade.
        Presented::Nothing if !server.demo => {
            return Err(Refusal::unauthenticated(&PeerFault::new(
                ErrorCode::Unauthorized,
                "a credential is required; offer golden.v1 to authenticate with the first frame",
            )));
        }
        Presented::Nothing => false,
        Presented::Credential(..) => true,
    };
    Ok(Accepted {
        subprotocol: offer.older(presented.is_from_header()).map(String::from),
        dialect: Dialect::Older,
        presented,
        demo: server.demo,
        verify_before_upgrade,
    })
}

#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
