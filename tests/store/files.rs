//! What is particular to SQLite: files, power, full disks, other versions.

use crate::accounts::account;
use crate::batches::{asking, opening, plain, thought, user};
use crate::world::World;
use futures_util::future::join_all;
use goldenpath_core::auth::Cutoff;
use goldenpath_core::fault::Fault;
use goldenpath_core::hub::Committed;
use goldenpath_core::id::{RunId, Seq, ThreadId};
use goldenpath_core::time::Wall;
use goldenpath_sqlx::{Chaos, Database, Durability, Lost, OpenError, Options};
use sqlx::{ConnectOptions, Connection, Executor};
use std::path::Path;
use std::sync::Arc;

const THREAD: ThreadId = ThreadId(1);

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

//= specs/storage.md#stor-01
//= type=test
//# A commit that was answered MUST survive the death of the process at that moment.
#[tokio::test]
async fn what_was_answered_is_in_the_files_at_that_moment() {
    let world = World::sqlite().await;
    let ada = user("ada");
    world.done(&opening(1, &ada, THREAD)).await;
    for n in 2..40 {
        world.done(&plain(n, &ada, THREAD, 3)).await;
    }
    // The files as `kill -9` would leave them: nobody has closed anything.
    let killed = tempfile::tempdir().unwrap();
    copy(&world.options().dir, killed.path());
    let reopened = Database::open(Options::in_dir(killed.path())).await.unwrap();
    let answer = reopened.store().commit(plain(50, &ada, THREAD, 1)).await;
    assert_eq!(answer, Ok(Committed::Done { first_seq: Seq(2 + 38 * 3) }));
    reopened.close().await;
}

#[tokio::test]
async fn a_database_that_is_dropped_instead_of_closed_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let ada = user("ada");
    let database = Database::open(Options::in_dir(dir.path())).await.unwrap();
    let store = database.store();
    let commits = (1..=20).map(|n| match n {
        1 => store.commit(opening(1, &ada, THREAD)),
        n => store.commit(plain(n, &ada, THREAD, 1)),
    });
    let answers = join_all(commits).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Committed::Done { .. }))));
    drop((database, store));
    let again = Database::open(Options::in_dir(dir.path())).await.unwrap();
    let answer = again.store().commit(plain(30, &ada, THREAD, 1)).await;
    assert_eq!(answer, Ok(Committed::Done { first_seq: Seq(21) }));
    again.close().await;
}

//= specs/storage.md#stor-11
//= type=test
//# Closing MUST finish what waits and MUST refuse what comes after.
#[tokio::test]
async fn closing_finishes_what_waits_and_refuses_what_comes_after() {
    let world = World::sqlite().await;
    let ada = user("ada");
    let waiting: Vec<_> =
        (1..=50).map(|n| world.store.commit(opening(n, &ada, ThreadId(n)))).collect();
    world.database().close().await;
    for answer in join_all(waiting).await {
        assert_eq!(answer, Ok(Committed::Done { first_seq: Seq(1) }));
    }
    assert_eq!(world.commit(&opening(60, &ada, ThreadId(60))).await, Err(Fault::Unavailable));
    assert_eq!(world.store.ping().await, Err(Fault::Unavailable));
    let wal = world.options().file().with_extension("db-wal");
    assert!(!wal.exists(), "the write-ahead log was not moved into the file");
}

#[tokio::test]
async fn a_password_does_not_change_where_the_other_log_ins_cannot_be_ended() {
    let world = World::sqlite().await;
    let ada = user("ada");
    let own = account("ada", "ada@example.org");
    world.accounts.create(own.clone()).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.options().file());
    let mut conn = options.connect().await.unwrap();
    let trigger =
        "CREATE TRIGGER broken BEFORE INSERT ON cutoff BEGIN SELECT RAISE(ABORT, 'no'); END";
    conn.execute(trigger).await.unwrap();
    let change = || {
        let hashes = (own.password_hash.clone(), "new".to_owned());
        let cutoff = Cutoff { at: Wall(150), but: None };
        world.sessions.change_password(&ada, hashes, cutoff, Wall(500))
    };
    assert!(change().await.is_err());
    assert_eq!(world.accounts.by_id(&ada).await, Ok(Some(own.clone())), "all of it or nothing");
    conn.execute("DROP TRIGGER broken").await.unwrap();
    assert_eq!(change().await, Ok(Some(vec![])));
    conn.close().await.unwrap();
}

//= specs/storage.md#stor-14
//= type=test
//# A commit whose answer was lost MUST happen once when it is repeated.
#[tokio::test]
async fn a_commit_of_unknown_outcome_is_repeated_and_happens_once() {
    let chaos = Arc::new(Chaos::default());
    let world = World::sqlite_with(|options| options.chaos = Some(chaos.clone())).await;
    let ada = user("ada");
    world.done(&opening(1, &ada, THREAD)).await;
    for (n, lost) in (2..).zip([Lost::Answer, Lost::Request]) {
        let batch = asking(n, &ada, THREAD, &n.to_string(), RunId(n));
        chaos.lose([Some(lost)]);
        assert_eq!(world.commit(&batch).await, Err(Fault::Unknown), "{lost:?}");
        let first_seq = Seq(u64::try_from(n).unwrap() * 2 - 2);
        assert_eq!(world.done(&batch).await, first_seq, "{lost:?}");
        assert_eq!(world.done(&batch).await, first_seq, "{lost:?}");
    }
    assert_eq!(world.log(&ada, THREAD).await.len(), 5);
    assert_eq!(world.thread(&ada, THREAD).await.unwrap().runs.len(), 2);
}

//= specs/storage.md#stor-03
//= type=test
//# A thread's head and its entries MUST change in one transaction.
#[tokio::test]
async fn a_full_disk_is_unavailable_and_leaves_the_store_whole() {
    let mut world = World::sqlite_with(|options| options.max_bytes = Some(1 << 20)).await;
    let ada = user("ada");
    world.done(&opening(1, &ada, THREAD)).await;
    let large = |n| {
        let mut batch = plain(n, &ada, THREAD, 1);
        let text = "x".repeat(100_000);
        batch.entries.push(crate::batches::entry(n * 1000, THREAD, 1, thought(&text)));
        batch
    };
    let mut n = 2;
    while let Ok(committed) = world.commit(&large(n)).await {
        assert!(matches!(committed, Committed::Done { .. }));
        n += 1;
        assert!(n < 100, "the limit was ignored");
    }
    assert_eq!(world.commit(&large(n)).await, Err(Fault::Unavailable));
    let head = world.thread(&ada, THREAD).await.unwrap().head;
    assert_eq!(world.log(&ada, THREAD).await.len() as u64, head.0);
    world.restart().await;
    assert_eq!(world.thread(&ada, THREAD).await.unwrap().head, head);
}

#[tokio::test]
async fn a_power_cut_safe_store_works_the_same() {
    let world = World::sqlite_with(|o| o.durability = Durability::PowerCut).await;
    let ada = user("ada");
    world.done(&opening(1, &ada, THREAD)).await;
    assert_eq!(world.done(&plain(2, &ada, THREAD, 1)).await, Seq(2));
}

//= specs/storage.md#stor-10
//= type=test
//# A file of a newer program MUST be refused in words and left as it is.
#[tokio::test]
async fn a_file_of_a_newer_program_is_refused_in_words_and_left_alone() {
    let mut world = World::sqlite().await;
    world.done(&opening(1, &user("ada"), THREAD)).await;
    world.database().close().await;
    let file = world.options().file();
    let open = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
    let mut conn = open.connect().await.unwrap();
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (99, 'from the future', 1, x'00', 0)";
    conn.execute(newer).await.unwrap();
    conn.close().await.unwrap();
    let before = std::fs::read(&file).unwrap();
    let error = Database::open(world.options().clone()).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("schema is version 99"), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let mut conn = open_again(&file).await;
    conn.execute("DELETE FROM _sqlx_migrations WHERE version = 99").await.unwrap();
    conn.close().await.unwrap();
    world.restart().await;
    assert!(world.thread(&user("ada"), THREAD).await.is_some());
}

async fn open_again(file: &Path) -> sqlx::SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(file).connect().await.unwrap()
}

//= specs/storage.md#stor-12
//= type=test
//# The files MUST be accessible to their owner only.
#[cfg(unix)]
#[tokio::test]
async fn the_files_belong_to_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::sqlite().await;
    world.done(&opening(1, &user("ada"), THREAD)).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = &world.options().dir;
    assert_eq!(mode(dir), 0o700);
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = Database::open(Options::in_dir(dir.path().join("file/data"))).await.unwrap_err();
    assert!(error.to_string().contains("file/data"), "{error}");
}

#[tokio::test]
async fn writers_of_usage_do_not_hold_up_the_logs() {
    let world = World::sqlite().await;
    let ada = user("ada");
    world.done(&opening(1, &ada, THREAD)).await;
    let usage = world.database().usage_pool();
    let import = usage.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert_eq!(world.done(&plain(2, &ada, THREAD, 1)).await, Seq(2));
    import.rollback().await.unwrap();
}
