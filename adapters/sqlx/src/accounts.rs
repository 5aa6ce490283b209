//! Accounts and preferences.

use crate::columns::{Column, get, read_fault};
use crate::store::{Side, SqliteStore, Wrote};
use futures_util::FutureExt;
use goldenpath_core::auth::{Role, Scope};
use goldenpath_core::fault::Fault;
use goldenpath_core::id::UserId;
use goldenpath_core::time::Wall;
use goldenpath_runtime::ports::{Account, Accounts, Answer, Created, Email};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

impl Accounts for SqliteStore {
    fn create(&self, account: Account) -> Answer<Created> {
        let created = |wrote| match wrote {
            Wrote::Done => Ok(Created::Done),
            Wrote::EmailTaken => Ok(Created::EmailTaken),
            Wrote::IdTaken => Ok(Created::IdTaken),
            Wrote::Forgot(_) | Wrote::NotThere | Wrote::Refreshed(_) | Wrote::Revoked(_) => {
                Err(Fault::Refused)
            }
        };
        self.write(Side::NewAccount(account)).map(move |wrote| wrote.and_then(created)).boxed()
    }

    fn by_email(&self, email: &Email) -> Answer<Option<Account>> {
        let (pool, email) = (self.readers.clone(), email.as_str().to_owned());
        find(pool, "SELECT * FROM account WHERE email = ?", email)
    }

    fn by_id(&self, user: &Scope) -> Answer<Option<Account>> {
        let (pool, user) = (self.readers.clone(), user.user_id().stored());
        find(pool, "SELECT * FROM account WHERE user_id = ?", user)
    }

    fn set_password(&self, user: &Scope, old_hash: String, new_hash: String) -> Answer<bool> {
        self.change(user, Change::Password { old_hash, new_hash })
    }

    fn set_name(&self, user: &Scope, name: Option<String>) -> Answer<bool> {
        self.change(user, Change::Name(name))
    }

    fn set_roles(&self, email: &Email, roles: Vec<Role>) -> Answer<bool> {
        let written = self.write(Side::Roles(email.clone(), roles));
        written.map(|wrote| wrote.map(|wrote| wrote == Wrote::Done)).boxed()
    }

    fn is_known(&self, user: &UserId) -> Answer<bool> {
        let (pool, user) = (self.readers.clone(), user.stored());
        async move {
            let known = sqlx::query_scalar::<_, i64>(
                "SELECT EXISTS (SELECT 1 FROM account WHERE user_id = ?1)
                     OR EXISTS (SELECT 1 FROM log_in WHERE user_id = ?1)",
            )
            .bind(user)
            .fetch_one(&pool)
            .await;
            known.map(|known| known != 0).map_err(|error| read_fault(&error))
        }
        .boxed()
    }

    fn preferences(&self, user: &Scope) -> Answer<Option<String>> {
        let (pool, user) = (self.readers.clone(), user.user_id().stored());
        async move {
            let found = sqlx::query_scalar("SELECT json FROM preference WHERE user_id = ?")
                .bind(user)
                .fetch_optional(&pool)
                .await;
            found.map_err(|error| read_fault(&error))
        }
        .boxed()
    }

    fn set_preferences(&self, user: &Scope, json: String, at: Wall) -> Answer<()> {
        let written = self.write(Side::Account(user.clone(), Change::Preferences(json, at)));
        written.map(|wrote| wrote.map(|_| ())).boxed()
    }
}

/// What changes about a user.
pub(crate) enum Change {
    /// How they are called.
    Name(Option<String>),
    /// The hash of their password, if it is still the old one.
    Password {
        /// The one it must be.
        old_hash: String,
        /// The one it becomes.
        new_hash: String,
    },
    /// What their pages keep.
    Preferences(String, Wall),
}

impl Change {
    pub(crate) async fn write(
        &self,
        conn: &mut SqliteConnection,
        user: &Scope,
    ) -> Result<u64, sqlx::Error> {
        let user = user.user_id();
        let statement = match self {
            Self::Name(name) => sqlx::query("UPDATE account SET name = ?2 WHERE user_id = ?1")
                .bind(user.stored())
                .bind(name.clone()),
            Self::Password { old_hash, new_hash } => sqlx::query(
                "UPDATE account SET password_hash = ?3 WHERE user_id = ?1 AND password_hash = ?2",
            )
            .bind(user.stored())
            .bind(old_hash.clone())
            .bind(new_hash.clone()),
            Self::Preferences(json, at) => sqlx::query(
                "INSERT OR REPLACE INTO preference (user_id, json, at) VALUES (?, ?, ?)",
            )
            .bind(user.stored())
            .bind(json.clone())
            .bind(at.stored()),
        };
        statement.execute(conn).await.map(|done| done.rows_affected())
    }
}

impl SqliteStore {
    fn change(&self, user: &Scope, change: Change) -> Answer<bool> {
        self.write(Side::Account(user.clone(), change))
            .map(|wrote| wrote.map(|wrote| wrote == Wrote::Done))
            .boxed()
    }
}

pub(crate) async fn set_roles(
    conn: &mut SqliteConnection,
    email: &Email,
    roles: &[Role],
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("UPDATE account SET roles = ?2 WHERE email = ?1")
        .bind(email.as_str().to_owned())
        .bind(words_of(roles))
        .execute(conn)
        .await;
    done.map(|done| done.rows_affected())
}

/// Roles as they stand in their column.
pub(crate) fn words_of(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ")
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
        // A role of a newer program gives nothing to this one.
        roles: row
            .try_get::<String, _>("roles")?
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect(),
        created_at: get(row, "created_at")?,
    })
}
