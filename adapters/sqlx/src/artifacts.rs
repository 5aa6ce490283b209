//! Artifacts: bytes that belong to a run.

use crate::columns::{Column, get, read_fault};
use crate::store::{Side, SqliteStore, Wrote};
use bytes::Bytes;
use futures_util::FutureExt;
use goldenpath_core::auth::Scope;
use goldenpath_core::id::RunId;
use goldenpath_runtime::ports::{Answer, Artifact, ArtifactInfo, Artifacts};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};

impl Artifacts for SqliteStore {
    fn put(&self, user: &Scope, run_id: RunId, artifact: Artifact) -> Answer<bool> {
        self.write(Side::Artifact(user.clone(), run_id, artifact))
            .map(|wrote| wrote.map(|wrote| wrote == Wrote::Done))
            .boxed()
    }

    fn get(&self, user: &Scope, run_id: RunId, name: &str) -> Answer<Option<Artifact>> {
        let (pool, user, name) = (self.readers.clone(), user.clone(), name.to_owned());
        async move { read(&pool, &user, run_id, name).await.map_err(|error| read_fault(&error)) }
            .boxed()
    }

    fn list(&self, user: &Scope, run_id: RunId) -> Answer<Vec<ArtifactInfo>> {
        let (pool, user) = (self.readers.clone(), user.clone());
        async move { list(&pool, &user, run_id).await.map_err(|error| read_fault(&error)) }.boxed()
    }
}

async fn read(
    pool: &SqlitePool,
    user: &Scope,
    run_id: RunId,
    name: String,
) -> Result<Option<Artifact>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT a.media_type, a.at, a.bytes FROM run r JOIN artifact a ON a.run_id = r.run_id
         WHERE r.run_id = ? AND r.user_id = ? AND a.name = ?",
    )
    .bind(run_id.stored())
    .bind(user.user_id().stored())
    .bind(name.clone())
    .fetch_optional(pool)
    .await?;
    let artifact = |row: SqliteRow| {
        let bytes = Bytes::from(row.try_get::<Vec<u8>, _>("bytes")?);
        let (media_type, at) = (row.try_get("media_type")?, get(&row, "at")?);
        Ok(Artifact { name, media_type, bytes, at })
    };
    row.map(artifact).transpose()
}

async fn list(
    pool: &SqlitePool,
    user: &Scope,
    run_id: RunId,
) -> Result<Vec<ArtifactInfo>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT a.name, a.media_type, a.at, length(a.bytes) AS len
         FROM run r JOIN artifact a ON a.run_id = r.run_id
         WHERE r.run_id = ? AND r.user_id = ? ORDER BY a.name",
    )
    .bind(run_id.stored())
    .bind(user.user_id().stored())
    .fetch_all(pool)
    .await?;
    let info = |row: &SqliteRow| {
        Ok(ArtifactInfo {
            name: row.try_get("name")?,
            media_type: row.try_get("media_type")?,
            len: row.try_get::<i64, _>("len")?.unsigned_abs(),
            at: get(row, "at")?,
        })
    };
    rows.iter().map(info).collect()
}
