//! RFC 6455 below the protocol: what it allows is read, what it forbids is closed with its code. The
//! foreign suite of `tests/rfc6455` has many more ways of either.

use crate::rig::{Wishes, rig};
use serde_json::{Value, json};
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

/// A close frame with this code.
fn closing(code: u16) -> Vec<u8> {
    frame(0x88, &code.to_be_bytes())
}

/// Opens a socket by hand, sends the bytes, and answers the frames that came: first byte and payload.
async fn frames_after(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
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
    let (mut rest, mut frames) = (&all[end..], Vec::new());
    while let [first, len, after @ ..] = rest {
        let (len, after) = match *len {
            126 => (usize::from(u16::from_be_bytes([after[0], after[1]])), &after[2..]),
            len => (usize::from(len), after),
        };
        frames.push((*first, after[..len].to_vec()));
        rest = &after[len..];
    }
    frames
}

/// The code of the close frame, which is the last.
async fn code_after(bytes: &[u8]) -> Option<u16> {
    let frames = frames_after(bytes).await;
    assert!(frames.iter().rev().skip(1).all(|(first, _)| *first != 0x88), "{frames:x?}");
    frames.last().map(|(_, payload)| u16::from_be_bytes([payload[0], payload[1]]))
}

#[tokio::test]
async fn a_frame_above_the_hard_limit_closes_with_1009() {
    assert_eq!(code_after(&frame(0x81, &[b'x'; 65_537])).await, Some(1009));
    assert_eq!(code_after(&frame(0x81, &vec![b'x'; 2_000_000])).await, Some(1009));
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_with_1007() {
    assert_eq!(code_after(&frame(0x81, &[0xff, 0xfe])).await, Some(1007));
    let reason = frame(0x88, &[0x03, 0xe8, 0xff, 0xfe]);
    assert_eq!(code_after(&reason).await, Some(1007));
}

#[tokio::test]
async fn a_binary_message_closes_with_1003() {
    assert_eq!(code_after(&frame(0x82, b"{}")).await, Some(1003));
}

//= specs/connection.md#conn-71
//= type=test
//# What RFC 6455 forbids MUST end its connection with 1002, unless another code is required.
#[tokio::test]
async fn what_breaks_rfc_6455_closes_with_1002() {
    let unmasked = vec![0x81, 0x02, b'{', b'}'];
    let lonely = frame(0x80, b"{}");
    let interrupted = [frame(0x01, b"{"), frame(0x81, b"}")].concat();
    let long_ping = frame(0x89, &[b'p'; 126]);
    let ping_in_pieces = frame(0x09, b"p");
    let half_a_code = frame(0x88, &[0x03]);
    let mut wrong = vec![unmasked, lonely, interrupted, long_ping, ping_in_pieces, half_a_code];
    // Reserved bits, one at a time and all; reserved kinds of data and control frames.
    wrong.extend([0xc1, 0xa1, 0x91, 0xf1, 0x83, 0x87, 0x8b, 0x8f].map(|first| frame(first, b"{}")));
    // Codes nobody may send.
    wrong.extend([0, 999, 1004, 1005, 1006, 1015, 2999, 5000].map(closing));
    for bytes in wrong {
        assert_eq!(code_after(&bytes).await, Some(1002), "{bytes:x?}");
    }
}

//= specs/connection.md#conn-70
//= type=test
//# A message MUST mean the same in one frame or in many, with control frames between them or without.
#[tokio::test]
async fn a_message_means_the_same_in_one_frame_or_in_many() {
    let said = json!({ "type": "ping", "id": "c1", "payload": { "nonce": "héllo" } }).to_string();
    let (said, middle) = (said.as_bytes(), said.find('é').unwrap() + 1);
    let ping = frame(0x89, b"between");
    let pieces = [
        // One byte of a character of two on either side.
        frame(0x01, &said[..middle]),
        ping.clone(),
        frame(0x00, b""),
        frame(0x8a, b"a pong nobody asked for"),
        frame(0x80, &said[middle..]),
    ];
    for bytes in [[ping, frame(0x81, said)].concat(), pieces.concat()] {
        let frames = frames_after(&[bytes, closing(1000)].concat()).await;
        let answers: Vec<Value> = frames
            .iter()
            .filter(|(first, _)| *first == 0x81)
            .map(|(_, text)| serde_json::from_slice(text).unwrap())
            .filter(|answer: &Value| answer["ref"] == "c1")
            .collect();
        let [answer] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(
            (&answer["type"], &answer["payload"]["nonce"]),
            (&json!("pong"), &json!("héllo"))
        );
        let pongs = frames.iter().filter(|(first, _)| *first == 0x8a);
        assert_eq!(pongs.map(|(_, text)| &text[..]).collect::<Vec<_>>(), [b"between"]);
    }
}

//= specs/connection.md#conn-72
//= type=test
//# A close frame MUST be answered with its code before the connection ends.
#[tokio::test]
async fn a_close_is_answered_with_the_same_code() {
    for code in [1000, 1001, 1003, 1011, 3000, 4999] {
        assert_eq!(code_after(&closing(code)).await, Some(code));
    }
    let empty = frames_after(&frame(0x88, b"")).await;
    assert_eq!(empty.last(), Some(&(0x88, Vec::new())), "without a code when there was none");
}
