//! Opening a socket: TCP, then the upgrade.

use crate::address::Address;
use crate::outside::{Outside, System};
use goldenpath_core::client::DialFailure;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{Credential, PROTOCOL};
use hyper::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
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
    let request = request(address, credential).ok_or(DialFailure::Unreachable)?;
    let stream =
        outside.connect(address.authority()).await.map_err(|_| DialFailure::Unreachable)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_message_size(Some(4 << 20))
        .max_frame_size(Some(4 << 20));
    let upgraded = client_async_with_config(request, stream, Some(config)).await;
    upgraded.map(|(socket, _)| socket).map_err(|error| failure(&error))
}

fn request(address: &Address, credential: Option<&Credential>) -> Option<Request> {
    let url = match credential {
        Some(Credential::Ticket(ticket)) => format!("{}?ticket={}", address.websocket(), ticket.0),
        Some(Credential::Token(_)) | None => address.websocket(),
    };
    let mut request = url.into_client_request().ok()?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
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
