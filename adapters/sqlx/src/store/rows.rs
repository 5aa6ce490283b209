//! Statements over many rows at once, in a few fixed sizes, so that each is prepared once.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{SqliteConnection, query::Query};
use std::sync::Arc;

/// Rows of one statement; 64 rows of 12 columns are far below SQLite's 32,766 parameters.
const INSERT_SIZES: [usize; 4] = [64, 16, 4, 1];
/// Keys of one statement; a list is filled up with its last key.
const SELECT_SIZES: [usize; 5] = [1, 8, 64, 256, 1024];

pub(super) type Bound = Query<'static, Sqlite, SqliteArguments>;

/// `before (?, ?), (?, ?) after`, in every size.
pub(super) struct Rows {
    sizes: Vec<(usize, Arc<str>)>,
}

impl Rows {
    /// Statements that write rows of so many columns.
    pub(super) fn insert(before: &str, columns: usize, after: &str) -> Self {
        Self::of(&INSERT_SIZES, before, columns, after)
    }

    /// Statements that read what so many columns of keys name.
    pub(super) fn select(before: &str, columns: usize, after: &str) -> Self {
        Self::of(&SELECT_SIZES, before, columns, after)
    }

    fn of(sizes: &[usize], before: &str, columns: usize, after: &str) -> Self {
        let row = format!("({})", vec!["?"; columns].join(", "));
        let text =
            |size: usize| format!("{before} {} {after}", vec![row.as_str(); size].join(", "));
        Self { sizes: sizes.iter().map(|size| (*size, text(*size).into())).collect() }
    }

    /// Writes all rows.
    pub(super) async fn write<T>(
        &self,
        conn: &mut SqliteConnection,
        mut rows: &[T],
        bind: impl Fn(Bound, &T) -> Bound,
    ) -> Result<(), sqlx::Error> {
        while !rows.is_empty() {
            let fits = self.sizes.iter().find(|(size, _)| *size <= rows.len());
            let Some((size, sql)) = fits else { return Ok(()) };
            let (now, rest) = rows.split_at(*size);
            let statement = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
            now.iter().fold(statement, &bind).execute(&mut *conn).await?;
            rows = rest;
        }
        Ok(())
    }

    /// Reads what the keys name; a row may come more than once.
    pub(super) async fn read<T>(
        &self,
        conn: &mut SqliteConnection,
        keys: &[T],
        bind: impl Fn(Bound, &T) -> Bound,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut found = Vec::new();
        let largest = self.sizes.last().map_or(1, |(size, _)| *size);
        for keys in keys.chunks(largest) {
            let fits = self.sizes.iter().find(|(size, _)| *size >= keys.len());
            let (Some((size, sql)), Some(last)) = (fits, keys.last()) else { continue };
            let statement = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
            let filling = core::iter::repeat_n(last, size - keys.len());
            let statement = keys.iter().chain(filling).fold(statement, &bind);
            found.extend(statement.fetch_all(&mut *conn).await?);
        }
        Ok(found)
    }
}
