//! Users whom another provider knows.

use crate::columns::{Column, get, read_fault};
use crate::store::{Side, SqliteStore};
use futures_util::FutureExt;
use goldenpath_core::auth::{Foreigner, Scope};
use goldenpath_core::fault::Fault;
use goldenpath_runtime::ports::{Answer, Link, Links};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

const OF_SUBJECT: &str = "SELECT * FROM link WHERE issuer = ? AND subject = ?";

impl Links for SqliteStore {
    fn link(&self, link: Link) -> Answer<Link> {
        let pool = self.readers.clone();
        let (issuer, subject) = (link.issuer.clone(), link.subject.clone());
        // Handed over by the call itself; read back afterwards, since another may have been first.
        let written = self.write(Side::Link(link));
        async move {
            written.await?;
            find(pool, OF_SUBJECT, vec![issuer, subject]).await?.ok_or(Fault::Refused)
        }
        .boxed()
    }

    fn known(&self, who: &Foreigner) -> Answer<Option<Link>> {
        let keys = vec![who.issuer().to_owned(), who.subject().to_owned()];
        find(self.readers.clone(), OF_SUBJECT, keys)
    }

    fn linked(&self, scope: &Scope) -> Answer<Option<Link>> {
        let user = scope.user_id().stored();
        find(self.readers.clone(), "SELECT * FROM link WHERE user_id = ?", vec![user])
    }
}

fn find(pool: SqlitePool, sql: &'static str, keys: Vec<String>) -> Answer<Option<Link>> {
    async move {
        let query = keys.into_iter().fold(sqlx::query(sql), sqlx::query::Query::bind);
        let row = query.fetch_optional(&pool).await;
        row.and_then(|row| row.map(|row| link(&row)).transpose())
            .map_err(|error| read_fault(&error))
    }
    .boxed()
}

fn link(row: &SqliteRow) -> Result<Link, sqlx::Error> {
    Ok(Link {
        user_id: get(row, "user_id")?,
        issuer: row.try_get("issuer")?,
        subject: row.try_get("subject")?,
        name: row.try_get("name")?,
        email: row.try_get("email")?,
        at: get(row, "at")?,
    })
}
