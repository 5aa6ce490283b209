//! Accounts and revoked sessions.

use crate::columns::{Column, get, read_fault};
use crate::store::{Side, SqliteStore, Wrote};
use futures_util::FutureExt;
use goldenpath_core::fault::Fault;
use goldenpath_core::id::{SessionId, UserId};
use goldenpath_core::time::Wall;
use goldenpath_runtime::ports::{Account, Accounts, Answer, Created, Email};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

impl Accounts for SqliteStore {
    fn create(&self, account: Account) -> Answer<Created> {
        let created = |wrote| match wrote {
            Wrote::Done => Ok(Created::Done),
            Wrote::EmailTaken => Ok(Created::EmailTaken),
            Wrote::IdTaken => Ok(Created::IdTaken),
            Wrote::NotThere => Err(Fault::Refused),
        };
        self.write(Side::Account(account)).map(move |wrote| wrote.and_then(created)).boxed()
    }

    fn by_email(&self, email: &Email) -> Answer<Option<Account>> {
        let (pool, email) = (self.readers.clone(), email.as_str().to_owned());
        find(pool, "SELECT * FROM account WHERE email = ?", email)
    }

    fn by_id(&self, user: &UserId) -> Answer<Option<Account>> {
        let (pool, user) = (self.readers.clone(), user.stored());
        find(pool, "SELECT * FROM account WHERE user_id = ?", user)
    }

    fn revoke(&self, user: &UserId, session_id: SessionId, until: Wall) -> Answer<()> {
        let revoked = self.write(Side::Revoke(user.clone(), session_id, until));
        revoked.map(|wrote| wrote.map(|_| ())).boxed()
    }

    //= specs/auth.md#auth-20
    //# A session that was revoked MUST stay revoked after a restart.
    fn is_revoked(&self, user: &UserId, session_id: SessionId) -> Answer<bool> {
        let (pool, user) = (self.readers.clone(), user.stored());
        async move {
            let row =
                sqlx::query("SELECT 1 FROM revoked_session WHERE user_id = ? AND session_id = ?")
                    .bind(user)
                    .bind(session_id.stored())
                    .fetch_optional(&pool)
                    .await;
            row.map(|row| row.is_some()).map_err(|error| read_fault(&error))
        }
        .boxed()
    }
}

fn find(pool: SqlitePool, sql: &'static str, key: String) -> Answer<Option<Account>> {
    async move {
        let row = sqlx::query(sql).bind(key).fetch_optional(&pool).await;
        row.and_then(|row| row.map(|row| account(&row)).transpose())
            .map_err(|error| read_fault(&error))
    }
    .boxed()
}

fn account(row: &SqliteRow) -> Result<Account, sqlx::Error> {
    let email: String = row.try_get("email")?;
    Ok(Account {
        user_id: get(row, "user_id")?,
        email: email.parse().map_err(|error| sqlx::Error::ColumnDecode {
            index: "email".to_owned(),
            source: Box::new(error) as Box<goldenpath_runtime::ports::NotAnEmail>,
        })?,
        name: row.try_get("name")?,
        password_hash: row.try_get("password_hash")?,
        created_at: get(row, "created_at")?,
    })
}
