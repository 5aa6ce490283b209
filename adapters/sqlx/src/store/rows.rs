//! Statements over many rows at once. Few sizes, so that each is prepared once and found again.

use sqlx::AssertSqlSafe;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteRow};
use sqlx::{SqliteConnection, query::Query};
use std::sync::{Arc, OnceLock};

/// Every size up to this one has a statement; a round trip costs more than preparing it once.
const SMALL: usize = 64;
/// Rows of the largest statement; 256 rows of 13 columns are below SQLite's 32,766 parameters.
const LARGE: usize = 256;
/// Statements one connection keeps: those of a writer in all their sizes.
pub(crate) const CACHED_STATEMENTS: usize = 10 * (SMALL + 2);

pub(super) type Bound = Query<'static, Sqlite, SqliteArguments>;

/// `before (?, ?), (?, ?) after`, in every size.
pub(super) struct Rows {
    before: &'static str,
    columns: usize,
    after: &'static str,
    small: [OnceLock<Arc<str>>; SMALL],
    large: OnceLock<Arc<str>>,
}

impl Rows {
    /// Statements over rows, or keys, of so many columns.
    pub(super) fn new(before: &'static str, columns: usize, after: &'static str) -> Self {
        let small = core::array::from_fn(|_| OnceLock::new());
        Self { before, columns, after, small, large: OnceLock::new() }
    }

    /// The statement for the first of so many rows, and how many it takes.
    fn statement(&self, rows: usize) -> (usize, Bound) {
        let size = if rows >= LARGE { LARGE } else { rows.min(SMALL) };
        let text = self.small.get(size - 1).unwrap_or(&self.large).get_or_init(|| {
            let row = format!("({})", vec!["?"; self.columns].join(", "));
            let rows = vec![row.as_str(); size].join(", ");
            format!("{} {rows} {}", self.before, self.after).into()
        });
        (size, sqlx::query(AssertSqlSafe(Arc::clone(text))))
    }

    /// Writes all rows.
    pub(super) async fn write<T>(
        &self,
        conn: &mut SqliteConnection,
        mut rows: &[T],
        bind: impl Fn(Bound, &T) -> Bound,
    ) -> Result<(), sqlx::Error> {
        while !rows.is_empty() {
            let (size, statement) = self.statement(rows.len());
            let (now, rest) = rows.split_at(size);
            now.iter().fold(statement, &bind).execute(&mut *conn).await?;
            rows = rest;
        }
        Ok(())
    }

    /// Reads what the keys name.
    pub(super) async fn read<T>(
        &self,
        conn: &mut SqliteConnection,
        mut keys: &[T],
        bind: impl Fn(Bound, &T) -> Bound,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut found = Vec::new();
        while !keys.is_empty() {
            let (size, statement) = self.statement(keys.len());
            let (now, rest) = keys.split_at(size);
            found.extend(now.iter().fold(statement, &bind).fetch_all(&mut *conn).await?);
            keys = rest;
        }
        Ok(found)
    }
}
