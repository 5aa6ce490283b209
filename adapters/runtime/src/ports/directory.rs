//! Views of what the store holds, for lists and pages; nothing here changes a log.

use super::Answer;
use goldenpath_core::auth::Scope;
use goldenpath_core::id::{Epoch, MessageId, RunId, Seq, ThreadId};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::{Entry, EntryBody, Event, Feedback, Json, Metadata, RunStatus};

/// Reads what one user may see. `None` stands for "no such thing for this user" (ISO-02).
///
/// ```
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::{RunId, ThreadId, UserId};
/// # use goldenpath_runtime::ports::Directory;
/// fn look(directory: &dyn Directory, user: &Scope) {
///     let answer = directory.thread(user, ThreadId(1));
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use goldenpath_core::auth::Scope;
/// # use goldenpath_core::id::{RunId, ThreadId, UserId};
/// # use goldenpath_runtime::ports::Directory;
/// fn look(directory: &dyn Directory, user: &UserId) {
///     let answer = directory.thread(user, ThreadId(1));
/// }
/// ```
pub trait Directory: Send + Sync + 'static {
    /// A page of the user's threads, the last changed first; `limit` is raised to 1.
    fn threads(
        &self,
        user: &Scope,
        after: Option<ThreadCursor>,
        limit: u32,
    ) -> Answer<Page<ThreadView, ThreadCursor>>;

    /// One thread.
    fn thread(&self, user: &Scope, thread_id: ThreadId) -> Answer<Option<ThreadView>>;

    /// Messages of a thread, always oldest first.
    fn messages(
        &self,
        user: &Scope,
        thread_id: ThreadId,
        range: MessageRange,
    ) -> Answer<Option<Vec<MessageView>>>;

    /// One run.
    fn run(&self, user: &Scope, run_id: RunId) -> Answer<Option<RunView>>;

    /// The user's runs, the newest first.
    fn runs(&self, user: &Scope, limit: u32) -> Answer<Vec<RunView>>;

    /// How far the user has read; 0 where nothing was recorded.
    fn position(&self, user: &Scope, thread_id: ThreadId) -> Answer<Option<Seq>>;

    /// The user's rating of a message.
    fn feedback(&self, user: &Scope, message_id: MessageId) -> Answer<Option<FeedbackView>>;
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C> {
    /// In order.
    pub items: Vec<T>,
    /// Where the next page goes on, if there is one.
    pub next: Option<C>,
}

/// A place in the list of threads: after this one. Threads that change meanwhile move to the front
/// and are not seen again on later pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ThreadCursor {
    /// `updated_at` of the last thread seen.
    pub updated_at: Wall,
    /// Its id.
    pub thread_id: ThreadId,
}

/// A thread as its owner sees it in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadView {
    /// The thread.
    pub thread_id: ThreadId,
    /// Its title.
    pub title: String,
    /// When its first batch was made.
    pub created_at: Wall,
    /// When its last batch was made.
    pub updated_at: Wall,
    /// The log's epoch.
    pub epoch: Epoch,
    /// Its last entry.
    pub head: Seq,
    /// Messages of both sides.
    pub message_count: u64,
    /// The run at work.
    pub running: Option<RunId>,
    /// How far its owner has read.
    pub position: Seq,
    /// What its owner keeps with it.
    pub metadata: Metadata,
}

/// Which messages of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRange {
    /// Only those after this position.
    pub after: Seq,
    /// Only those before this position.
    pub before: Seq,
    /// How many at most; 0 is taken as 1.
    pub limit: u32,
    /// Whether the limit keeps the newest instead of the oldest.
    pub newest: bool,
}

impl MessageRange {
    /// The first `limit` messages.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self { after: Seq::ZERO, before: Seq(u64::MAX), limit, newest: false }
    }

    /// The last `limit` messages.
    #[must_use]
    pub const fn last(limit: u32) -> Self {
        Self { after: Seq::ZERO, before: Seq(u64::MAX), limit, newest: true }
    }
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The agents.
    Assistant,
    /// The user.
    User,
}

impl Role {
    /// The word over HTTP.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Assistant => "assistant",
            Self::User => "user",
        }
    }
}

/// A message, read from its entry in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    /// The message.
    pub message_id: MessageId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// Its place.
    pub seq: Seq,
    /// The run that answers it, or that wrote it.
    pub run_id: RunId,
    /// Who said it.
    pub role: Role,
    /// What was said; Markdown where the assistant says it.
    pub content: String,
    /// The client's own, `None` if it gave none or null (F43).
    pub metadata: Option<Json>,
    /// When.
    pub at: Wall,
}

impl MessageView {
    /// Reads a message from its entry; `None` when the entry is no message.
    #[must_use]
    pub fn read(seq: Seq, run_id: RunId, body: &EntryBody) -> Option<Self> {
        let Entry { event, thread_id, ts: at, .. } = Entry::decode(body.bytes()).ok()?;
        let (message_id, role, content, metadata) = message_of(event)?;
        let metadata = metadata.filter(|m| !m.is_null());
        Some(Self { message_id, thread_id, seq, run_id, role, content, metadata, at })
    }
}

fn message_of(event: Event) -> Option<(MessageId, Role, String, Option<Json>)> {
    if let Event::UserMessage { message_id, content, metadata, .. } = event {
        Some((message_id, Role::User, content, metadata))
    } else if let Event::AssistantMessage { message_id, content, .. } = event {
        Some((message_id, Role::Assistant, content, None))
    } else {
        None
    }
}

/// A run as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    /// The run.
    pub run_id: RunId,
    /// Its thread.
    pub thread_id: ThreadId,
    /// The message it answers.
    pub message_id: MessageId,
    /// How far it is.
    pub status: RunStatus,
    /// When it was accepted.
    pub created_at: Wall,
    /// When it first went to work.
    pub started_at: Option<Wall>,
    /// When it ended.
    pub ended_at: Option<Wall>,
}

impl RunView {
    /// From its start to its end; `None` before the end and for a run that never started.
    #[must_use]
    pub fn duration(&self) -> Option<Millis> {
        Some(self.ended_at?.since(self.started_at?))
    }
}

/// A rating and when it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedbackView {
    /// The rating.
    pub feedback: Feedback,
    /// When it was last changed.
    pub at: Wall,
}
