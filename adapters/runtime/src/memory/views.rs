//! The other ports on the same plain data.

use super::MemoryStore;
use super::state::{Memory, Run, Thread};
use crate::ports::{
    Answer, Artifact, ArtifactInfo, Artifacts, Directory, FeedbackView, Link, Links, MessageRange,
    MessageView, Page, RunView, ThreadCursor, ThreadView,
};
use core::cmp::Reverse;
use futures_util::FutureExt;
use futures_util::future::ready;
use goldenpath_core::auth::{Foreigner, Scope};
use goldenpath_core::id::{MessageId, RunId, Seq, ThreadId, UserId};
use goldenpath_core::wire::RunStatus;

impl Memory {
    fn thread_view(&self, thread_id: ThreadId, thread: &Thread) -> ThreadView {
        let of_thread = self.messages.values().filter(|m| m.thread_id == thread_id);
        let running =
            |run: &&Run| run.thread_id == thread_id && run.state.status == RunStatus::Running;
        ThreadView {
            thread_id,
            title: thread.title.clone(),
            created_at: thread.created_at,
            updated_at: thread.updated_at,
            epoch: thread.epoch,
            head: thread.head(),
            message_count: of_thread.count() as u64,
            running: self.runs.iter().find(|(_, run)| running(run)).map(|(id, _)| *id),
            position: thread.position,
            metadata: thread.metadata.clone(),
        }
    }

    fn threads_page(
        &self,
        user: &UserId,
        after: Option<ThreadCursor>,
        limit: u32,
    ) -> Page<ThreadView, ThreadCursor> {
        let limit = limit.max(1) as usize;
        let place = |view: &ThreadView| ThreadCursor {
            updated_at: view.updated_at,
            thread_id: view.thread_id,
        };
        let of_user = self.threads.iter().filter(|(_, thread)| thread.user_id == *user);
        let mut items: Vec<_> = of_user.map(|(id, thread)| self.thread_view(*id, thread)).collect();
        items.retain(|view| after.is_none_or(|after| place(view) < after));
        items.sort_by_key(|view| Reverse(place(view)));
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(place) } else { None };
        Page { items, next }
    }

    fn messages_of(
        &self,
        user: &UserId,
        thread_id: ThreadId,
        range: MessageRange,
    ) -> Option<Vec<MessageView>> {
        let thread = self.thread_of(user, thread_id)?;
        let of_thread = self.messages.values().filter(|m| m.thread_id == thread_id);
        let mut places: Vec<_> = of_thread
            .filter(|m| range.after < m.seq && m.seq < range.before)
            .map(|m| (m.seq, m.run_id))
            .collect();
        places.sort_unstable();
        let limit = range.limit.max(1) as usize;
        if range.newest {
            places.drain(..places.len().saturating_sub(limit));
        } else {
            places.truncate(limit);
        }
        let read = |(seq, run_id): (Seq, RunId)| {
            let body = thread.entries.get(usize::try_from(seq.0.checked_sub(1)?).ok()?)?;
            MessageView::read(seq, run_id, body)
        };
        Some(places.into_iter().filter_map(read).collect())
    }

    fn run_view(run_id: RunId, run: &Run) -> RunView {
        RunView {
            run_id,
            thread_id: run.thread_id,
            message_id: run.message_id,
            status: run.state.status,
            created_at: run.created_at,
            started_at: run.state.started_at,
            ended_at: run.state.ended_at,
        }
    }

    fn runs_of(&self, user: &UserId, limit: u32) -> Vec<RunView> {
        let mut runs: Vec<_> = self.runs.iter().filter(|(_, run)| run.user_id == *user).collect();
        runs.sort_by_key(|(_, run)| Reverse(run.n));
        runs.into_iter().take(limit as usize).map(|(id, run)| Self::run_view(*id, run)).collect()
    }
}

pub(super) fn answered<T: Send + 'static>(value: T) -> Answer<T> {
    ready(Ok(value)).boxed()
}

impl Directory for MemoryStore {
    fn threads(
        &self,
        user: &Scope,
        after: Option<ThreadCursor>,
        limit: u32,
    ) -> Answer<Page<ThreadView, ThreadCursor>> {
        answered(self.memory().threads_page(user.user_id(), after, limit))
    }

    fn thread(&self, user: &Scope, thread_id: ThreadId) -> Answer<Option<ThreadView>> {
        let memory = self.memory();
        answered(
            memory.thread_of(user.user_id(), thread_id).map(|t| memory.thread_view(thread_id, t)),
        )
    }

    fn messages(
        &self,
        user: &Scope,
        thread_id: ThreadId,
        range: MessageRange,
    ) -> Answer<Option<Vec<MessageView>>> {
        answered(self.memory().messages_of(user.user_id(), thread_id, range))
    }

    fn run(&self, user: &Scope, run_id: RunId) -> Answer<Option<RunView>> {
        answered(
            self.memory().run_of(user.user_id(), run_id).map(|run| Memory::run_view(run_id, run)),
        )
    }

    fn runs(&self, user: &Scope, limit: u32) -> Answer<Vec<RunView>> {
        answered(self.memory().runs_of(user.user_id(), limit))
    }

    fn position(&self, user: &Scope, thread_id: ThreadId) -> Answer<Option<Seq>> {
        answered(self.memory().thread_of(user.user_id(), thread_id).map(|thread| thread.position))
    }

    fn feedback(&self, user: &Scope, message_id: MessageId) -> Answer<Option<FeedbackView>> {
        let memory = self.memory();
        let own = memory.messages.get(&message_id).is_some_and(|m| m.user_id == *user.user_id());
        answered(memory.feedback.get(&message_id).filter(|_| own).cloned())
    }
}

impl Links for MemoryStore {
    fn link(&self, link: Link) -> Answer<Link> {
        let mut memory = self.memory();
        let key = (link.issuer.clone(), link.subject.clone());
        let (name, email) = (link.name.clone(), link.email.clone());
        let known = memory.links.entry(key).or_insert(link);
        (known.name, known.email) = (name, email);
        answered(known.clone())
    }

    fn known(&self, who: &Foreigner) -> Answer<Option<Link>> {
        let key = (who.issuer().to_owned(), who.subject().to_owned());
        answered(self.memory().links.get(&key).cloned())
    }

    fn linked(&self, scope: &Scope) -> Answer<Option<Link>> {
        let memory = self.memory();
        let own = memory.links.values().find(|link| link.user_id == *scope.user_id());
        answered(own.cloned())
    }
}

impl Artifacts for MemoryStore {
    fn put(&self, user: &Scope, run_id: RunId, artifact: Artifact) -> Answer<bool> {
        let mut memory = self.memory();
        let own = memory.run_of(user.user_id(), run_id).is_some();
        if own {
            memory.artifacts.insert((run_id, artifact.name.clone()), artifact);
        }
        answered(own)
    }

    fn get(&self, user: &Scope, run_id: RunId, name: &str) -> Answer<Option<Artifact>> {
        let memory = self.memory();
        let own = memory.run_of(user.user_id(), run_id).is_some();
        answered(memory.artifacts.get(&(run_id, name.to_owned())).filter(|_| own).cloned())
    }

    fn list(&self, user: &Scope, run_id: RunId) -> Answer<Vec<ArtifactInfo>> {
        let memory = self.memory();
        let own = memory.run_of(user.user_id(), run_id).is_some();
        let of_run = memory.artifacts.iter().filter(|((run, _), _)| own && *run == run_id);
        let info = of_run.map(|(_, artifact)| ArtifactInfo {
            name: artifact.name.clone(),
            media_type: artifact.media_type.clone(),
            len: artifact.bytes.len() as u64,
            at: artifact.at,
        });
        answered(info.collect())
    }
}
