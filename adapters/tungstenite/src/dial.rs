//! Opening a socket: TCP, then the upgrade.

use crate::address::Address;
use crate::outside::{Outside, System};
use goldenpath_core::client::DialFailure;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{Credential, PROTOCOL};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// An open WebSocket.
pub type Socket<S = TcpStream> = WebSocketStream<S>;

/// Connects and upgrades, offering `golden.v1`; a token goes into the `Authorization` header, a ticket
/// into the query.
///
/// # Errors
/// Why there is no socket: the HTTP status of a refusal with its `Retry-After`, or nothing there. A
/// server that speaks no `golden.v1` counts as a refusal with the status of its upgrade, 101.
pub async fn upgrade(
    address: &Address,
    credential: Option<&Credential>,
) -> Result<Socket, DialFailure> {
    upgrade_through(&System, address, credential).await
}

/// As [`upgrade`], on a stream from elsewhere.
pub(crate) async fn upgrade_through<O: Outside>(
    outside: &O,
    address: &Address,
    credential: Option<&Credential>,
) -> Result<Socket<O::Io>, DialFailure> {
    match attempt(outside, address, credential, Named::BySubprotocol).await {
        Err(error) if is_unoffered(&error) => {
            attempt(outside, address, credential, Named::InAddress).await
        }
        other => other,
    }
    .map_err(|error| failure(&error))
}

/// The answer is one for a client that offered nothing: a proxy may have taken the subprotocol off. Who
/// offers `golden.v1` is let in and told inside, so 401 is such an answer, too.
fn is_unoffered(error: &Error) -> bool {
    match error {
        Error::Http(response) => response.status() == StatusCode::UNAUTHORIZED,
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(error)) => {
            matches!(error, SubProtocolError::NoSubProtocol)
        }
        _ => false,
    }
}

/// How the request says what is to be spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    BySubprotocol,
    InAddress,
}

async fn attempt<O: Outside>(
    outside: &O,
    address: &Address,
    credential: Option<&Credential>,
    named: Named,
) -> Result<Socket<O::Io>, Error> {
    let unreachable = || Error::Io(std::io::ErrorKind::HostUnreachable.into());
    let request = request(address, credential, named).ok_or_else(unreachable)?;
    let stream = outside.connect(address.authority()).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(4 << 20))
        .max_frame_size(Some(4 << 20));
    let (socket, response) = client_async_with_config(request, stream, Some(config)).await?;
    let spoken = response.headers().get("golden-protocol").map(HeaderValue::as_bytes);
    if named == Named::InAddress && spoken != Some(PROTOCOL.as_bytes()) {
        let nobody = SubProtocolError::NoSubProtocol;
        return Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(nobody)));
    }
    Ok(socket)
}

fn request(address: &Address, credential: Option<&Credential>, named: Named) -> Option<Request> {
    let mut query = Vec::new();
    if let Some(Credential::Ticket(ticket)) = credential {
        query.push(format!("ticket={}", ticket.0));
    }
    if named == Named::InAddress {
        query.push(format!("protocol={PROTOCOL}"));
    }
    let mark = if query.is_empty() { "" } else { "?" };
    let url = format!("{}{mark}{}", address.websocket(), query.join("&"));
    let mut request = url.into_client_request().ok()?;
    let headers = request.headers_mut();
    if named == Named::BySubprotocol {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    if let Some(Credential::Token(token)) = credential {
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.0)).ok()?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Some(request)
}

fn failure(error: &Error) -> DialFailure {
    match error {
        Error::Http(response) => DialFailure::Refused {
            status: response.status().as_u16(),
            retry_after: retry_after(response),
        },
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            DialFailure::Refused { status: 101, retry_after: None }
        }
        _ => DialFailure::Unreachable,
    }
}

/// Delay in seconds (RFC 9110 section 10.2.3); a date is not read.
fn retry_after(response: &Response) -> Option<Millis> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Millis::from_secs(seconds))
}
