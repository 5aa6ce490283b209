//! Ids as types of their own, so that one can never be passed for another (F32).
//!
//! What we make ourselves is 128 bits wide and written as a prefix and 26 characters of Crockford
//! base 32 (`run_01JD…`, the text form of a ULID); what others name (users, client message ids) is text of bounded length.

use crate::seed::Seed;
use crate::time::Wall;
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const DIGITS: usize = 26;

/// The text is not an id of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an id of this kind")
    }
}

impl core::error::Error for NotAnId {}

/// The text form on the stack: ids are written many times for each entry.
struct Text<const N: usize>([u8; N]);

impl<const N: usize> Text<N> {
    /// `prefix` and the digits of `bits`; `N` is the length of both.
    fn new(bits: u128, prefix: &str) -> Self {
        let mut text = [0; N];
        text[..N - DIGITS].copy_from_slice(prefix.as_bytes());
        // 130 bits in 26 digits: the last 12 digits are the low 60 bits, the 12 before the next 60.
        let mut digits = text[N - DIGITS..].iter_mut().rev();
        for (mut part, count) in
            [(bits as u64, 12), ((bits >> 60) as u64, 12), ((bits >> 120) as u64, 2)]
        {
            for digit in digits.by_ref().take(count) {
                *digit = ALPHABET[(part & 31) as usize];
                part >>= 5;
            }
        }
        Self(text)
    }

    fn as_str(&self) -> &str {
        // Prefix and alphabet are ASCII.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn read_base32(text: &str) -> Result<u128, NotAnId> {
    let bytes = text.as_bytes();
    // 26 digits hold 130 bits: the first may only be 0 to 7.
    if bytes.len() != DIGITS || bytes[0] > b'7' {
        return Err(NotAnId);
    }
    let mut bits = 0u128;
    for byte in bytes {
        let digit = ALPHABET.iter().position(|a| a == byte).ok_or(NotAnId)?;
        bits = (bits << 5) | digit as u128;
    }
    Ok(bits)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// What the text form starts with.
            pub const PREFIX: &'static str = $prefix;

            /// A new id that sorts by time.
            pub fn draw(seed: &mut Seed, wall: Wall) -> Self {
                Self(seed.id_bits(wall))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Text::<{ $prefix.len() + DIGITS }>::new(self.0, $prefix).as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                read_base32(text.strip_prefix($prefix).ok_or(NotAnId)?).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let text = Text::<{ $prefix.len() + DIGITS }>::new(self.0, $prefix);
                serializer.serialize_str(text.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

ids! {
    /// One run of one agent inside a [`RunId`].
    AgentRunId = "agr_";
    /// One socket, from its upgrade to its end.
    ConnectionId = "con_";
    /// One entry of a log; with `(thread, epoch, seq)` it names the same bytes for ever (DLV-03).
    EventId = "evt_";
    /// A message of a user or of the assistant.
    MessageId = "msg_";
    /// A request as a log line and an error frame name it (correlation id).
    RequestId = "req_";
    /// One answer to one user message: a team of agents at work.
    RunId = "run_";
    /// One log-in of one client.
    SessionId = "ses_";
    /// One conversation: a durable, ordered log.
    ThreadId = "thr_";
    /// One call of one tool.
    ToolCallId = "tc_";
}

impl SessionId {
    /// When it was drawn, to the millisecond; without meaning for one that was not.
    #[must_use]
    pub const fn drawn_at(self) -> Wall {
        Wall((self.0 >> 80) as u64)
    }
}

impl ThreadId {
    /// The thread that has a connection's name: where an older client's messages go, made with the
    /// first of them.
    #[must_use]
    pub const fn of(connection_id: ConnectionId) -> Self {
        Self(connection_id.0)
    }

    /// The connection whose name this is, if it is one's.
    #[must_use]
    pub const fn namesake(self) -> ConnectionId {
        ConnectionId(self.0)
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident up to $max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest one accepted, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Accepts 1 to [`Self::MAX_BYTES`] bytes without control characters.
            ///
            /// # Errors
            /// [`NotAnId`] for anything else.
            pub fn new(text: &str) -> Result<Self, NotAnId> {
                let fits = !text.is_empty() && text.len() <= Self::MAX_BYTES;
                if fits && !text.chars().any(char::is_control) {
                    Ok(Self(Arc::from(text)))
                } else {
                    Err(NotAnId)
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&text).map_err(D::Error::custom)
            }
        }
    )*};
}

texts! {
    /// The name of an agent or a tool, `data`, `usage_totals`.
    Name up to 64;
    /// The name a client gives to a message of its own, so that sending it again does nothing (DLV-08).
    ClientMsgId up to 128;
    /// The `id` of a client frame, which the answer carries as `ref`.
    FrameRef up to 128;
    /// The subject of a token: one user.
    UserId up to 128;
}

impl UserId {
    /// Of a new account: `user-` and the number in 32 digits of base 16.
    #[must_use]
    pub fn of_account(number: u128) -> Self {
        Self(Arc::from(alloc::format!("user-{number:032x}")))
    }

    /// Of the text of a visitor's id, which is short and has no control characters.
    pub(crate) fn of_visitor(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

/// The position of an entry in its thread: 1, 2, 3 … without a gap (DLV-02). 0 stands before the first.
/// What is read from outside is at most [`Seq::MAX`]: so one more never overflows, and every position
/// that was heard can be said again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl<'de> Deserialize<'de> for Seq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seq = Self(u64::deserialize(deserializer)?);
        if seq <= Self::MAX { Ok(seq) } else { Err(D::Error::custom("beyond 2^53 - 1")) }
    }
}

impl Seq {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The largest integer every JSON reader keeps exactly (RFC 8259 section 6): 2⁵³ − 1.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The next position.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// `n` positions on.
    #[must_use]
    pub const fn plus(self, n: u64) -> Self {
        Self(self.0 + n)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Changes when a log can no longer be continued (restore from backup, wipe). Written `e` and hex digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{:x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits = text.strip_prefix('e').ok_or(NotAnId)?;
        u32::from_str_radix(digits, 16).map(Self).map_err(|_| NotAnId)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The number of an effect a machine asked for; the answer carries it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId(pub u64);

impl EffectId {
    /// Returns the current number and moves on to the next.
    pub fn take_next(&mut self) -> Self {
        let current = *self;
        self.0 += 1;
        current
    }
}

/// Raised each time a run is claimed; a write with an older one is refused (DLV-09).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Fence(pub u64);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        #[test]
        fn an_id_survives_its_text_form(bits: u128) {
            let id = RunId(bits);
            prop_assert_eq!(id.to_string().parse::<RunId>(), Ok(id));
        }

        #[test]
        fn text_order_is_id_order(a: u128, b: u128) {
            prop_assert_eq!(RunId(a).cmp(&RunId(b)), RunId(a).to_string().cmp(&RunId(b).to_string()));
        }

        #[test]
        fn no_text_makes_parsing_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<ThreadId>();
            let _ = text.parse::<Epoch>();
            let _ = UserId::new(&text);
        }
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let thread = ThreadId(5).to_string();
        assert_eq!(thread.parse::<RunId>(), Err(NotAnId));
        assert_eq!("run_8ZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<RunId>(), Err(NotAnId));
    }

    #[test]
    fn a_position_that_is_read_is_one_that_can_be_said_and_counted_on() {
        let read = |seq: u64| serde_json::from_str::<Seq>(&seq.to_string()).ok();
        assert_eq!(Seq::MAX.0, 9_007_199_254_740_991, "Number.MAX_SAFE_INTEGER");
        assert_eq!(read(Seq::MAX.0), Some(Seq::MAX));
        assert_eq!(read(Seq::MAX.0 + 1), None);
        assert_eq!(read(u64::MAX), None);
    }

    #[test]
    fn what_is_no_id_is_said_to_be_none() {
        assert_eq!(NotAnId.to_string(), "not an id of this kind");
    }

    #[test]
    fn names_of_others_are_bounded() {
        assert!(UserId::new("").is_err());
        assert!(UserId::new(&"x".repeat(129)).is_err());
        assert!(UserId::new("a\nb").is_err());
        assert!(UserId::new("demo-user-1").is_ok());
    }
}
