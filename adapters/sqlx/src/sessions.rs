//! Log-ins, their refresh tokens and their early ends.

use crate::accounts::Change;
use crate::columns::{Column, get, get_optional, read_fault};
use crate::store::{Side, SqliteStore, Wrote};
use futures_util::FutureExt;
use goldenpath_core::auth::{
    Cutoff, Digest, Endings, Family, LOG_INS, Leave, RefreshVerdict, Scope, Vouched,
};
use goldenpath_core::fault::Fault;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::Wall;
use goldenpath_runtime::ports::{Answer, Email, Guest, LogIn, Refresh, Refreshed, Sessions};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

impl Sessions for SqliteStore {
    fn begin(&self, user: &Scope, mut log_in: LogIn, until: Wall) -> Answer<Vec<SessionId>> {
        log_in.family.user_id = user.user_id().clone();
        let wrote = self.write(Side::LogIn(Box::new(log_in), None, until));
        wrote.map(move |wrote| wrote.and_then(revoked)).boxed()
    }

    fn begin_with(
        &self,
        user: &Scope,
        mut log_in: LogIn,
        hash: String,
        until: Wall,
    ) -> Answer<Option<Vec<SessionId>>> {
        log_in.family.user_id = user.user_id().clone();
        let wrote = self.write(Side::LogIn(Box::new(log_in), Some(hash), until));
        wrote.map(move |wrote| wrote.and_then(revoked_if_there)).boxed()
    }

    fn change_password(
        &self,
        user: &Scope,
        (old_hash, new_hash): (String, String),
        cutoff: Cutoff,
        until: Wall,
    ) -> Answer<Option<Vec<SessionId>>> {
        let change = Change::Password { old_hash, new_hash };
        let wrote = self.write(Side::NewPassword(user.clone(), change, cutoff, until));
        wrote.map(move |wrote| wrote.and_then(revoked_if_there)).boxed()
    }

    fn refresh(&self, refresh: Refresh) -> Answer<Option<Refreshed>> {
        let refreshed = |wrote| match wrote {
            Wrote::Refreshed(refreshed) => Ok(Some(*refreshed)),
            Wrote::NotThere => Ok(None),
            _ => Err(Fault::Refused),
        };
        self.write(Side::Refresh(refresh)).map(move |wrote| wrote.and_then(refreshed)).boxed()
    }

    fn revoke(&self, log_in: &Leave, until: Wall) -> Answer<()> {
        let revoked = self.write(Side::Revoke(log_in.clone(), until));
        revoked.map(|wrote| wrote.map(|_| ())).boxed()
    }

    fn revoke_all(&self, user: &Scope, cutoff: Cutoff, until: Wall) -> Answer<Vec<SessionId>> {
        let wrote = self.write(Side::RevokeAll(user.clone(), cutoff, until));
        wrote.map(move |wrote| wrote.and_then(revoked)).boxed()
    }

    //= specs/auth.md#auth-20
    //# A session that was revoked MUST stay revoked after a restart.
    fn endings(&self, of: &Vouched) -> Answer<Endings> {
        let (pool, user) = (self.readers.clone(), of.user_id().stored());
        let session_id = of.session_id();
        async move {
            let row = sqlx::query(
                "SELECT EXISTS (SELECT 1 FROM revoked_session WHERE user_id = ?1 AND session_id = ?2)
                            AS revoked,
                        cutoff.at AS at, cutoff.session_id AS session_id
                 FROM (SELECT 1) LEFT JOIN cutoff ON cutoff.user_id = ?1",
            )
            .bind(user)
            .bind(session_id.stored())
            .fetch_one(&pool)
            .await;
            row.and_then(|row| endings(&row)).map_err(|error| read_fault(&error))
        }
        .boxed()
    }

    fn of_user(&self, user: &Scope, now: Wall) -> Answer<Vec<LogIn>> {
        let (pool, user) = (self.readers.clone(), user.user_id().stored());
        async move {
            let rows = sqlx::query(
                "SELECT * FROM log_in WHERE user_id = ? AND ended = 0 AND ends_at > ?
                 ORDER BY began_at DESC, session_id DESC LIMIT ?",
            )
            .bind(user)
            .bind(now.stored())
            .bind(rows(LOG_INS))
            .fetch_all(&pool)
            .await;
            rows.and_then(|rows| rows.iter().map(log_in).collect())
                .map_err(|error| read_fault(&error))
        }
        .boxed()
    }

    fn has_come_from(&self, email: &Email, place: &str) -> Answer<bool> {
        let (pool, place) = (self.readers.clone(), place.to_owned());
        let email = email.as_str().to_owned();
        async move {
            let row = sqlx::query(
                "SELECT 1 FROM log_in JOIN account USING (user_id)
                 WHERE email = ? AND place = ? LIMIT 1",
            )
            .bind(email)
            .bind(place)
            .fetch_optional(&pool)
            .await;
            row.map(|row| row.is_some()).map_err(|error| read_fault(&error))
        }
        .boxed()
    }

    fn is_device_of(&self, email: &Email, key: Digest) -> Answer<bool> {
        let (pool, email) = (self.readers.clone(), email.as_str().to_owned());
        async move {
            let row = sqlx::query(
                "SELECT 1 FROM log_in JOIN account USING (user_id) WHERE key = ? AND email = ?",
            )
            .bind(key.stored())
            .bind(email)
            .fetch_optional(&pool)
            .await;
            row.map(|row| row.is_some()).map_err(|error| read_fault(&error))
        }
        .boxed()
    }

    fn forget(&self, now: Wall) -> Answer<u64> {
        let forgot = |wrote| match wrote {
            Wrote::Forgot(rows) => Ok(rows),
            _ => Err(Fault::Refused),
        };
        self.write(Side::ForgetSessions(now)).map(move |wrote| wrote.and_then(forgot)).boxed()
    }
}

fn revoked(wrote: Wrote) -> Result<Vec<SessionId>, Fault> {
    match wrote {
        Wrote::Revoked(sessions) => Ok(sessions),
        _ => Err(Fault::Refused),
    }
}

fn revoked_if_there(wrote: Wrote) -> Result<Option<Vec<SessionId>>, Fault> {
    if wrote == Wrote::NotThere { Ok(None) } else { revoked(wrote).map(Some) }
}

/// Which made room for it; nothing is written where the account must have a hash that it has not.
pub(crate) async fn begin(
    conn: &mut SqliteConnection,
    log_in: &LogIn,
    hash: Option<&str>,
    until: Wall,
) -> Result<Wrote, sqlx::Error> {
    let Family { key, user_id, session_id, current, previous, .. } = &log_in.family;
    let guest = log_in.guest.as_ref().map(serde_json::to_string).transpose();
    let guest = guest.map_err(|error| sqlx::Error::Encode(error.into()))?;
    let done = sqlx::query(
        "INSERT INTO log_in (key, user_id, session_id, current, previous, began_at, rotated_at,
                             ends_at, ended, credence, place, guest)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12
         WHERE ?13 IS NULL
            OR EXISTS (SELECT 1 FROM account WHERE user_id = ?2 AND password_hash = ?13)",
    )
    .bind(key.stored())
    .bind(user_id.stored())
    .bind(session_id.stored())
    .bind(current.stored())
    .bind(previous.map(|digest| digest.stored()))
    .bind(log_in.family.began_at.stored())
    .bind(log_in.family.rotated_at.stored())
    .bind(log_in.family.ends_at.stored())
    .bind(i64::from(log_in.family.ended))
    .bind(log_in.by.stored())
    .bind(log_in.place.clone())
    .bind(guest)
    .bind(hash.map(str::to_owned))
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(Wrote::NotThere);
    }
    let others = Others { user: user_id, but: Some(*session_id), go_on_at: log_in.family.began_at };
    //= specs/auth.md#auth-88
    //# A user MUST NOT have more than 100 log-ins that go on: one more MUST end the one that was used
    //# longest ago.
    others.end(conn, LOG_INS - 1, until).await.map(Wrote::Revoked)
}

/// A user's log-ins that go on, but perhaps one.
struct Others<'a> {
    user: &'a UserId,
    but: Option<SessionId>,
    go_on_at: Wall,
}

/// All of them but so many that were used last.
macro_rules! chosen {
    () => {
        "key IN (SELECT key FROM log_in
                 WHERE user_id = ?1 AND session_id IS NOT ?2 AND ended = 0 AND ends_at > ?3
                 ORDER BY rotated_at DESC, began_at DESC, session_id DESC LIMIT -1 OFFSET ?4)"
    };
}

impl Others<'_> {
    /// Ends all but `spared` of them, those that were used last; which they were.
    async fn end(
        self,
        conn: &mut SqliteConnection,
        spared: usize,
        until: Wall,
    ) -> Result<Vec<SessionId>, sqlx::Error> {
        let but = self.but.map(|session_id| session_id.stored());
        sqlx::query(concat!(
            "INSERT INTO revoked_session (user_id, session_id, until)
             SELECT user_id, session_id, ?5 FROM log_in WHERE ",
            chosen!(),
            " ON CONFLICT (user_id, session_id) DO UPDATE SET until = max(until, excluded.until)",
        ))
        .bind(self.user.stored())
        .bind(but.clone())
        .bind(self.go_on_at.stored())
        .bind(rows(spared))
        .bind(until.stored())
        .execute(&mut *conn)
        .await?;
        let ended = sqlx::query(concat!(
            "UPDATE log_in SET ended = 1 WHERE ",
            chosen!(),
            " RETURNING session_id"
        ))
        .bind(self.user.stored())
        .bind(but)
        .bind(self.go_on_at.stored())
        .bind(rows(spared))
        .fetch_all(conn)
        .await?;
        let mut ended: Vec<_> =
            ended.iter().map(|row| get(row, "session_id")).collect::<Result<_, _>>()?;
        ended.sort_unstable();
        Ok(ended)
    }
}

fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The writer's transaction holds the family still while the core decides.
pub(crate) async fn refresh(
    conn: &mut SqliteConnection,
    refresh: &Refresh,
) -> Result<Option<Refreshed>, sqlx::Error> {
    let found = sqlx::query("SELECT * FROM log_in WHERE key = ?")
        .bind(refresh.key.stored())
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = found else { return Ok(None) };
    let mut log_in = log_in(&row)?;
    let before = log_in.family.clone();
    let judgement = log_in.family.present(&refresh.presented);
    let family = &log_in.family;
    if *family != before {
        sqlx::query(
            "UPDATE log_in SET current = ?2, previous = ?3, rotated_at = ?4, ended = ?5
             WHERE key = ?1",
        )
        .bind(family.key.stored())
        .bind(family.current.stored())
        .bind(family.previous.map(|digest| digest.stored()))
        .bind(family.rotated_at.stored())
        .bind(i64::from(family.ended))
        .execute(&mut *conn)
        .await?;
    }
    if judgement.verdict() == RefreshVerdict::Reused {
        revoke(conn, &family.user_id, family.session_id, refresh.until).await?;
    }
    Ok(Some(Refreshed { log_in, judgement }))
}

pub(crate) async fn revoke(
    conn: &mut SqliteConnection,
    user: &UserId,
    session_id: SessionId,
    until: Wall,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE log_in SET ended = 1 WHERE user_id = ? AND session_id = ?")
        .bind(user.stored())
        .bind(session_id.stored())
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "INSERT INTO revoked_session (user_id, session_id, until) VALUES (?, ?, ?)
         ON CONFLICT (user_id, session_id) DO UPDATE SET until = max(until, excluded.until)",
    )
    .bind(user.stored())
    .bind(session_id.stored())
    .bind(until.stored())
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn revoke_all(
    conn: &mut SqliteConnection,
    user: &Scope,
    cutoff: Cutoff,
    until: Wall,
) -> Result<Vec<SessionId>, sqlx::Error> {
    let user = user.user_id();
    sqlx::query(
        "INSERT INTO cutoff (user_id, at, session_id) VALUES (?, ?, ?)
         ON CONFLICT (user_id) DO UPDATE SET at = excluded.at, session_id = excluded.session_id
         WHERE cutoff.at <= excluded.at",
    )
    .bind(user.stored())
    .bind(cutoff.at.stored())
    .bind(cutoff.but.map(|session_id| session_id.stored()))
    .execute(&mut *conn)
    .await?;
    Others { user, but: cutoff.but, go_on_at: Wall(0) }.end(conn, 0, until).await
}

pub(crate) async fn forget(conn: &mut SqliteConnection, now: Wall) -> Result<u64, sqlx::Error> {
    let log_ins = sqlx::query("DELETE FROM log_in WHERE ends_at <= ?")
        .bind(now.stored())
        .execute(&mut *conn)
        .await?;
    let revoked = sqlx::query("DELETE FROM revoked_session WHERE until <= ?")
        .bind(now.stored())
        .execute(conn)
        .await?;
    Ok(log_ins.rows_affected() + revoked.rows_affected())
}

fn endings(row: &SqliteRow) -> Result<Endings, sqlx::Error> {
    let cutoff = match get_optional(row, "at")? {
        Some(at) => Some(Cutoff { at, but: get_optional(row, "session_id")? }),
        None => None,
    };
    Ok(Endings { revoked: row.try_get::<i64, _>("revoked")? != 0, cutoff })
}

fn log_in(row: &SqliteRow) -> Result<LogIn, sqlx::Error> {
    let guest: Option<String> = row.try_get("guest")?;
    let guest: Option<Guest> = guest
        .map(|json| serde_json::from_str(&json))
        .transpose()
        .map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(LogIn {
        family: Family {
            key: get(row, "key")?,
            user_id: get(row, "user_id")?,
            session_id: get(row, "session_id")?,
            current: get(row, "current")?,
            previous: get_optional(row, "previous")?,
            began_at: get(row, "began_at")?,
            rotated_at: get(row, "rotated_at")?,
            ends_at: get(row, "ends_at")?,
            ended: row.try_get::<i64, _>("ended")? != 0,
        },
        by: get(row, "credence")?,
        place: row.try_get("place")?,
        guest,
    })
}
