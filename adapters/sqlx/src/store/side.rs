//! Writes beside the logs: one statement each, no failing one in ordinary life.

use crate::accounts::{Change, set_roles, words_of};
use crate::columns::Column;
use crate::{audit, sessions};
use goldenpath_core::auth::{Cutoff, Leave, Role, Scope};
use goldenpath_core::hub::Record;
use goldenpath_core::id::{RunId, SessionId};
use goldenpath_core::time::Wall;
use goldenpath_runtime::ports::{
    Account, Artifact, AuditRecord, Email, Link, LogIn, Refresh, Refreshed,
};
use sqlx::SqliteConnection;

/// A write that is no batch.
pub(crate) enum Side {
    /// Something about a user changes.
    Account(Scope, Change),
    /// An artifact of a run of this user.
    Artifact(Scope, RunId, Artifact),
    /// A user of another provider.
    Link(Link),
    /// Who was let in.
    Audit(Vec<AuditRecord>),
    /// What happened before this instant is forgotten.
    ForgetAudit(Wall),
    /// Log-ins and revocations that have ended by themselves are forgotten.
    ForgetSessions(Wall),
    /// A log-in, perhaps only while its account has this hash; those it crowds out are revoked until then.
    LogIn(Box<LogIn>, Option<String>, Wall),
    /// A new account.
    NewAccount(Account),
    /// A new password, and the end of all sessions of this user but perhaps one.
    NewPassword(Scope, Change, Cutoff, Wall),
    /// Nothing; shows that the writer works.
    Ping,
    /// A record of this user.
    Record(Scope, Record),
    /// Somebody presents a refresh token.
    Refresh(Refresh),
    /// A session that ends early.
    Revoke(Leave, Wall),
    /// All sessions of this user end early, but perhaps one.
    RevokeAll(Scope, Cutoff, Wall),
    /// What the account with this address may do.
    Roles(Email, Vec<Role>),
}

/// What a write beside the logs did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// It is written.
    Done,
    /// So many rows are gone.
    Forgot(u64),
    /// Nothing: the address belongs to an account.
    EmailTaken,
    /// Nothing: the id belongs to an account.
    IdTaken,
    /// Nothing: what it is about does not exist for this user.
    NotThere,
    /// What a refresh token came to.
    Refreshed(Box<Refreshed>),
    /// These sessions have ended.
    Revoked(Vec<SessionId>),
}

impl Side {
    pub(crate) async fn write(&self, conn: &mut SqliteConnection) -> Result<Wrote, sqlx::Error> {
        match self {
            Self::Account(user, change) => change.write(conn, user).await.map(if_any),
            Self::Artifact(user, run_id, artifact) => put(conn, user, *run_id, artifact).await,
            Self::Link(known) => link(conn, known).await,
            Self::Audit(records) => audit::append(conn, records).await.map(|()| Wrote::Done),
            Self::ForgetAudit(before) => audit::forget(conn, *before).await.map(Wrote::Forgot),
            Self::ForgetSessions(now) => sessions::forget(conn, *now).await.map(Wrote::Forgot),
            Self::LogIn(log_in, hash, until) => {
                sessions::begin(conn, log_in, hash.as_deref(), *until).await
            }
            Self::NewAccount(account) => create(conn, account).await,
            Self::NewPassword(user, change, cutoff, until) => {
                if change.write(conn, user).await? == 0 {
                    return Ok(Wrote::NotThere);
                }
                sessions::revoke_all(conn, user, *cutoff, *until).await.map(Wrote::Revoked)
            }
            Self::Ping => Ok(Wrote::Done),
            Self::Record(user, kept) => record(conn, user, kept).await,
            Self::Refresh(refresh) => {
                let refreshed = sessions::refresh(conn, refresh).await?;
                Ok(refreshed.map_or(Wrote::NotThere, |done| Wrote::Refreshed(Box::new(done))))
            }
            Self::Revoke(log_in, until) => {
                let (user, session_id) = (log_in.user_id(), log_in.session_id());
                sessions::revoke(conn, user, session_id, *until).await.map(|()| Wrote::Done)
            }
            Self::RevokeAll(user, cutoff, until) => {
                sessions::revoke_all(conn, user, *cutoff, *until).await.map(Wrote::Revoked)
            }
            Self::Roles(email, roles) => set_roles(conn, email, roles).await.map(if_any),
        }
    }
}

fn if_any(rows: u64) -> Wrote {
    if rows > 0 { Wrote::Done } else { Wrote::NotThere }
}

async fn create(conn: &mut SqliteConnection, account: &Account) -> Result<Wrote, sqlx::Error> {
    let made = sqlx::query(
        "INSERT INTO account (user_id, email, name, password_hash, created_at, roles)
         VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO NOTHING",
    )
    .bind(account.user_id.stored())
    .bind(account.email.as_str().to_owned())
    .bind(account.name.clone())
    .bind(account.password_hash.clone())
    .bind(account.created_at.stored())
    .bind(words_of(&account.roles))
    .execute(&mut *conn)
    .await?;
    if made.rows_affected() > 0 {
        return Ok(Wrote::Done);
    }
    let taken = sqlx::query("SELECT 1 FROM account WHERE email = ?")
        .bind(account.email.as_str().to_owned())
        .fetch_optional(conn)
        .await?;
    Ok(if taken.is_some() { Wrote::EmailTaken } else { Wrote::IdTaken })
}

async fn link(conn: &mut SqliteConnection, link: &Link) -> Result<Wrote, sqlx::Error> {
    sqlx::query(
        "INSERT INTO link (issuer, subject, user_id, name, email, at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (issuer, subject) DO UPDATE SET name = excluded.name, email = excluded.email",
    )
    .bind(link.issuer.clone())
    .bind(link.subject.clone())
    .bind(link.user_id.stored())
    .bind(link.name.clone())
    .bind(link.email.clone())
    .bind(link.at.stored())
    .execute(conn)
    .await?;
    Ok(Wrote::Done)
}

async fn put(
    conn: &mut SqliteConnection,
    user: &Scope,
    run_id: RunId,
    artifact: &Artifact,
) -> Result<Wrote, sqlx::Error> {
    let put = sqlx::query(
        "INSERT INTO artifact (run_id, name, media_type, at, bytes)
         SELECT run_id, ?3, ?4, ?5, ?6 FROM run WHERE run_id = ?1 AND user_id = ?2
         ON CONFLICT (run_id, name) DO UPDATE
         SET media_type = excluded.media_type, at = excluded.at, bytes = excluded.bytes",
    )
    .bind(run_id.stored())
    .bind(user.user_id().stored())
    .bind(artifact.name.clone())
    .bind(artifact.media_type.clone())
    .bind(artifact.at.stored())
    .bind(artifact.bytes.to_vec())
    .execute(conn)
    .await?;
    Ok(if_any(put.rows_affected()))
}

async fn record(
    conn: &mut SqliteConnection,
    user: &Scope,
    record: &Record,
) -> Result<Wrote, sqlx::Error> {
    let statement = match record {
        //= specs/storage.md#stor-09
        //# A deleted thread MUST be gone with all it held.
        Record::DeleteThread { thread_id } => {
            // Each run of a thread is the answer to one of its messages; artifacts go with their run,
            // segments, messages and ratings with the thread (foreign keys).
            sqlx::query(
                "DELETE FROM run WHERE user_id = ?2
                 AND run_id IN (SELECT run_id FROM message WHERE thread_id = ?1 AND user_id = ?2)",
            )
            .bind(thread_id.stored())
            .bind(user.user_id().stored())
            .execute(&mut *conn)
            .await?;
            sqlx::query("DELETE FROM thread WHERE thread_id = ? AND user_id = ?")
                .bind(thread_id.stored())
                .bind(user.user_id().stored())
        }
        Record::Feedback { feedback, at } => sqlx::query(
            "INSERT INTO feedback (message_id, rating, comment, at)
             SELECT message_id, ?3, ?4, ?5 FROM message
             WHERE message_id = ?1 AND user_id = ?2 AND role = 'assistant'
             ON CONFLICT (message_id) DO UPDATE
             SET rating = excluded.rating, comment = excluded.comment, at = excluded.at",
        )
        .bind(feedback.message_id.stored())
        .bind(user.user_id().stored())
        .bind(i64::from(feedback.rating))
        .bind(feedback.comment.clone())
        .bind(at.stored()),
        //= specs/storage.md#stor-16
        //# A read position MUST NOT go back, nor beyond the head.
        Record::Position { thread_id, seq } => sqlx::query(
            "UPDATE thread SET position = max(position, min(?3, head))
             WHERE thread_id = ?1 AND user_id = ?2",
        )
        .bind(thread_id.stored())
        .bind(user.user_id().stored())
        .bind(seq.stored()),
    };
    Ok(if_any(statement.execute(conn).await?.rows_affected()))
}
