//! Many words, one meaning: the `type` of a client frame, looked up without regard to case and of
//! `-` and `_`, with the names older clients use.

/// What a client frame is about, before its fields are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Answer a question of an agent.
    Approval,
    /// Prove who you are.
    Auth,
    /// A newer token.
    AuthRefresh,
    /// Take back a waiting run.
    CancelQueued,
    /// Stop a run.
    CancelRun,
    /// A new thread.
    CreateThread,
    /// Remove a thread.
    DeleteThread,
    /// Rate an answer.
    Feedback,
    /// Send entries again.
    GapRequest,
    /// Entries of a thread.
    GetThreadHistory,
    /// The user's threads.
    ListThreads,
    /// Are you there?
    Ping,
    /// I am here.
    Pong,
    /// Read position.
    Received,
    /// A new title.
    RenameThread,
    /// Go on reading.
    Resume,
    /// Follow a thread.
    Subscribe,
    /// Follow it no longer.
    Unsubscribe,
    /// Say something.
    UserMessage,
}

/// Every word a client may use, with its meaning. The first word of a meaning is its own.
//= specs/wire.md#wire-04
//# Every word a client may use MUST lead to the one kind it means, plain and as JSON-RPC.
pub const WORDS: &[(&str, Kind)] = &[
    ("approval", Kind::Approval),
    ("auth", Kind::Auth),
    ("auth_refresh", Kind::AuthRefresh),
    ("cancel_queued", Kind::CancelQueued),
    ("cancel_run", Kind::CancelRun),
    ("stop_agent", Kind::CancelRun),
    ("cancel", Kind::CancelRun),
    ("create_thread", Kind::CreateThread),
    ("delete_thread", Kind::DeleteThread),
    ("feedback", Kind::Feedback),
    ("gap_request", Kind::GapRequest),
    ("get_thread_history", Kind::GetThreadHistory),
    ("list_threads", Kind::ListThreads),
    ("ping", Kind::Ping),
    ("heartbeat", Kind::Ping),
    ("pong", Kind::Pong),
    ("heartbeat_ack", Kind::Pong),
    ("received", Kind::Received),
    ("rename_thread", Kind::RenameThread),
    ("resume", Kind::Resume),
    ("session_restore", Kind::Resume),
    ("subscribe", Kind::Subscribe),
    ("switch_thread", Kind::Subscribe),
    ("unsubscribe", Kind::Unsubscribe),
    ("user_message", Kind::UserMessage),
    ("user", Kind::UserMessage),
    ("user_input", Kind::UserMessage),
    ("chat_message", Kind::UserMessage),
    ("message", Kind::UserMessage),
    ("chat", Kind::UserMessage),
    ("agent", Kind::UserMessage),
    ("agent_request", Kind::UserMessage),
    ("start_agent", Kind::UserMessage),
    ("execute_agent", Kind::UserMessage),
    ("agent_task", Kind::UserMessage),
];

/// The meaning of a word; `None` for a word nobody agreed on.
#[must_use]
pub fn kind_of(word: &str) -> Option<Kind> {
    WORDS.iter().find(|(known, _)| same(known, word)).map(|(_, kind)| *kind)
}

/// Equal but for case and the separators `-` and `_`.
pub(super) fn same(a: &str, b: &str) -> bool {
    letters(a).eq(letters(b))
}

fn letters(word: &str) -> impl Iterator<Item = u8> + '_ {
    word.bytes().filter(|byte| !matches!(byte, b'-' | b'_')).map(|byte| byte.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use alloc::string::String;
    use alloc::vec::Vec;

    #[test]
    fn every_word_is_found_in_every_spelling() {
        for (word, kind) in WORDS {
            let camel: String = word
                .split('_')
                .map(|part| part[..1].to_ascii_uppercase() + &part[1..])
                .collect::<Vec<_>>()
                .concat();
            for spelling in [
                String::from(*word),
                word.to_ascii_uppercase(),
                word.replace('_', "-"),
                word.replace('_', ""),
                camel,
            ] {
                assert_eq!(kind_of(&spelling), Some(*kind), "{spelling}");
            }
        }
    }

    #[test]
    fn no_two_words_are_the_same_and_strangers_are_unknown() {
        let mut seen = BTreeMap::new();
        for (word, _) in WORDS {
            let letters: Vec<u8> = letters(word).collect();
            assert_eq!(seen.insert(letters, word), None);
        }
        for stranger in ["", "-", "user message", "usermessages", "ack", "agent_started", "ｐing"]
        {
            assert_eq!(kind_of(stranger), None, "{stranger}");
        }
    }
}
