//! What is wrong below the protocol is closed with the code of RFC 6455 for it.

use crate::rig::{Wishes, rig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A masked frame with these first two bytes and a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | len as u8),
        len @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Opens a socket by hand, sends the bytes, and answers the code of the close frame.
async fn code_after(bytes: &[u8]) -> Option<u16> {
    let rig = rig(Wishes::default()).await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream
        .write_all(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
            Sec-WebSocket-Protocol: golden.v1\r\n\r\n",
        )
        .await
        .unwrap();
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let read = tokio::time::timeout(crate::rig::PATIENCE, stream.read_to_end(&mut all)).await;
    read.expect("the server closes in time").expect("our last words are not taken back by a reset");
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(all.starts_with(b"HTTP/1.1 101 "));
    let mut frames = &all[end..];
    while let [first, len, rest @ ..] = frames {
        let (len, rest) = match *len {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            len => (usize::from(len), rest),
        };
        if *first == 0x88 {
            return Some(u16::from_be_bytes([rest[0], rest[1]]));
        }
        frames = &rest[len..];
    }
    None
}

#[tokio::test]
async fn a_frame_above_the_hard_limit_closes_with_1009() {
    assert_eq!(code_after(&frame(0x81, &[b'x'; 65_537])).await, Some(1009));
    assert_eq!(code_after(&frame(0x81, &vec![b'x'; 2_000_000])).await, Some(1009));
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_with_1007() {
    assert_eq!(code_after(&frame(0x81, &[0xff, 0xfe])).await, Some(1007));
}

#[tokio::test]
async fn a_binary_message_closes_with_1003() {
    assert_eq!(code_after(&frame(0x82, b"{}")).await, Some(1003));
}

#[tokio::test]
async fn what_breaks_rfc_6455_closes_with_1002() {
    let unmasked = vec![0x81, 0x02, b'{', b'}'];
    let reserved = frame(0xf1, b"{}");
    let lonely = frame(0x80, b"{}");
    for bytes in [unmasked, reserved, lonely] {
        assert_eq!(code_after(&bytes).await, Some(1002), "{bytes:?}");
    }
}

#[tokio::test]
async fn a_close_is_answered_with_the_same_code() {
    assert_eq!(code_after(&frame(0x88, &1000u16.to_be_bytes())).await, Some(1000));
}
