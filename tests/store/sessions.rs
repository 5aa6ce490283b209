//! Log-ins, their refresh tokens, and who was let in.

use crate::accounts::account;
use crate::batches::{leave, user, vouched};
use crate::on_every_store;
use crate::world::World;
use goldenpath_core::auth::{
    Admission, Cutoff, Digest, Endings, Family, LOG_INS, Presented, RefreshPolicy, RefreshVerdict,
};
use goldenpath_core::id::SessionId;
use goldenpath_core::time::{Millis, Wall};
use goldenpath_core::wire::ErrorCode;
use goldenpath_runtime::ports::{
    AuditAction, AuditOutcome, AuditRecord, Credence, Guest, LogIn, Refresh,
};

const POLICY: RefreshPolicy =
    RefreshPolicy { grace: Millis(30), idle: Millis(1_000), lifetime: Millis(10_000) };
const UNTIL: Wall = Wall(50_000);

fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

/// The log-in of a user, whose family and first half are called by one number.
fn log_in(name: &str, n: u8, at: u64) -> LogIn {
    let first = [digest(n), digest(n)];
    let session_id = SessionId(u128::from(n));
    let admitted = Admission::by_new_account(user(name).user_id().clone(), session_id);
    LogIn {
        family: Family::begin(&admitted, first, Wall(at), POLICY),
        by: Credence::Password,
        place: format!("192.0.2.{n}"),
        guest: None,
    }
}

fn refresh(n: u8, half: u8, next: u8, at: u64) -> Refresh {
    let (half, next) = (digest(half), digest(next));
    let presented = Presented { half, next, at: Wall(at), policy: POLICY };
    Refresh { key: digest(n), presented, until: UNTIL }
}

on_every_store! {
    async fn a_refresh_token_is_used_once_and_its_reuse_revokes_the_session(world: &mut World) {
        let ada = user("ada");
        world.sessions.begin(&user("ada"), log_in("ada", 1, 100), UNTIL).await.unwrap();
        let first = world.sessions.refresh(refresh(1, 1, 2, 200)).await.unwrap().unwrap();
        assert_eq!(first.judgement.verdict(), RefreshVerdict::Rotated);
        assert_eq!(first.log_in.family.current, digest(2));
        world.restart().await;
        let second = world.sessions.refresh(refresh(1, 2, 3, 300)).await.unwrap().unwrap();
        assert_eq!(second.judgement.verdict(), RefreshVerdict::Rotated);
        assert!(!world.is_revoked(&ada, SessionId(1)).await);
        let stolen = world.sessions.refresh(refresh(1, 1, 4, 301)).await.unwrap().unwrap();
        assert_eq!(stolen.judgement.verdict(), RefreshVerdict::Reused);
        world.restart().await;
        assert!(world.is_revoked(&ada, SessionId(1)).await);
        let after = world.sessions.refresh(refresh(1, 3, 5, 302)).await.unwrap().unwrap();
        assert_eq!(after.judgement.verdict(), RefreshVerdict::Ended);
        assert_eq!(world.sessions.refresh(refresh(9, 1, 2, 1)).await, Ok(None));
    }

    async fn of_two_uses_at_once_one_is_the_second(world: &mut World) {
        world.sessions.begin(&user("ada"), log_in("ada", 1, 100), UNTIL).await.unwrap();
        let uses = (2..10).map(|next| world.sessions.refresh(refresh(1, 1, next, 200)));
        let verdicts = futures_util::future::join_all(uses).await;
        let judged = verdicts.iter().map(|used| used.as_ref().unwrap().as_ref().unwrap());
        let rotated =
            judged.filter(|used| used.judgement.verdict() == RefreshVerdict::Rotated);
        assert_eq!(rotated.count(), 1);
    }

    async fn leaving_everywhere_ends_what_is_ones_own_but_perhaps_one(world: &mut World) {
        let (ada, bob) = (user("ada"), user("bob"));
        for (name, n) in [("ada", 1), ("ada", 2), ("ada", 3), ("bob", 4)] {
            world.sessions.begin(&user(name), log_in(name, n, 100 + u64::from(n)), UNTIL).await.unwrap();
        }
        let of_ada = world.sessions.of_user(&ada, Wall(200)).await.unwrap();
        assert_eq!(of_ada, [log_in("ada", 3, 103), log_in("ada", 2, 102), log_in("ada", 1, 101)]);
        let cutoff = Cutoff { at: Wall(150), but: Some(SessionId(2)) };
        let ended = world.sessions.revoke_all(&ada, cutoff, UNTIL).await;
        assert_eq!(ended, Ok(vec![SessionId(1), SessionId(3)]));
        world.restart().await;
        let left = world.sessions.of_user(&ada, Wall(200)).await.unwrap();
        assert_eq!(left, [log_in("ada", 2, 102)]);
        for (who, session, revoked) in [(&ada, 1, true), (&ada, 2, false), (&bob, 4, false)] {
            assert_eq!(world.is_revoked(who, SessionId(session)).await, revoked);
        }
        // One that is ended by itself goes the same way.
        world.sessions.revoke(&leave("bob", SessionId(4)), UNTIL).await.unwrap();
        let used = world.sessions.refresh(refresh(4, 4, 5, 200)).await.unwrap().unwrap();
        assert_eq!(used.judgement.verdict(), RefreshVerdict::Ended);
        assert_eq!(world.sessions.of_user(&bob, Wall(200)).await, Ok(vec![]));
    }

    async fn leaving_everywhere_is_remembered_for_good_and_the_last_time_counts(world: &mut World) {
        let ada = user("ada");
        let unknown = SessionId(77);
        assert_eq!(world.sessions.endings(&vouched("ada", unknown)).await, Ok(Endings::default()));
        let first = Cutoff { at: Wall(150), but: Some(SessionId(2)) };
        assert_eq!(world.sessions.revoke_all(&ada, first, UNTIL).await, Ok(vec![]));
        world.restart().await;
        let known = Endings { revoked: false, cutoff: Some(first) };
        assert_eq!(world.sessions.endings(&vouched("ada", unknown)).await, Ok(known));
        assert_eq!(world.sessions.endings(&vouched("bob", unknown)).await, Ok(Endings::default()));
        let last = Cutoff { at: Wall(300), but: None };
        for cutoff in [last, Cutoff { at: Wall(299), but: Some(SessionId(3)) }] {
            world.sessions.revoke_all(&ada, cutoff, UNTIL).await.unwrap();
        }
        world.sessions.revoke(&leave("ada", unknown), UNTIL).await.unwrap();
        world.sessions.forget(Wall(u64::from(u32::MAX))).await.unwrap();
        let known = Endings { revoked: false, cutoff: Some(last) };
        assert_eq!(world.sessions.endings(&vouched("ada", unknown)).await, Ok(known));
    }

    //= specs/auth.md#auth-86
    //= type=test
    //# A log-in MUST NOT begin with a password that is no longer the account's, however long it
    //# waited to be compared.
    async fn a_log_in_with_a_password_begins_only_beside_the_hash_it_was_compared_with(
        world: &mut World
    ) {
        let ada = user("ada");
        world.accounts.create(account("ada", "ada@example.org")).await.unwrap();
        world.accounts.create(account("bob", "bob@example.org")).await.unwrap();
        let hash = account("ada", "ada@example.org").password_hash;
        let begin = |n, hash: &str| {
            world.sessions.begin_with(&ada, log_in("ada", n, 100), hash.into(), UNTIL)
        };
        assert_eq!(begin(1, &hash).await, Ok(Some(vec![])));
        let renewed = world.accounts.set_password(&ada, hash.clone(), "new".into()).await;
        assert_eq!(renewed, Ok(true));
        assert_eq!(begin(2, &hash).await, Ok(None));
        assert_eq!(begin(3, "new").await, Ok(Some(vec![])));
        // An account that is not there has no hash.
        let nobody = user("eve");
        let begun = world.sessions.begin_with(&nobody, log_in("eve", 4, 100), hash, UNTIL).await;
        assert_eq!(begun, Ok(None));
        world.restart().await;
        let of_ada = world.sessions.of_user(&ada, Wall(200)).await.unwrap();
        assert_eq!(of_ada, [log_in("ada", 3, 100), log_in("ada", 1, 100)]);
        assert_eq!(world.sessions.of_user(&nobody, Wall(200)).await, Ok(vec![]));
    }

    async fn a_new_password_ends_log_ins_and_what_is_no_new_password_ends_none(world: &mut World) {
        let (ada, bob) = (user("ada"), user("bob"));
        world.accounts.create(account("ada", "ada@example.org")).await.unwrap();
        for (name, n) in [("ada", 1), ("ada", 2), ("bob", 3)] {
            world.sessions.begin(&user(name), log_in(name, n, 100), UNTIL).await.unwrap();
        }
        let hash = account("ada", "ada@example.org").password_hash;
        let cutoff = Cutoff { at: Wall(150), but: Some(SessionId(2)) };
        let change = |user, old: &str| {
            world.sessions.change_password(user, (old.to_owned(), "new".to_owned()), cutoff, UNTIL)
        };
        assert_eq!(change(&ada, "another").await, Ok(None));
        assert_eq!(change(&bob, &hash).await, Ok(None), "there is no account");
        assert_eq!(world.sessions.of_user(&ada, Wall(200)).await.unwrap().len(), 2);
        assert_eq!(change(&ada, &hash).await, Ok(Some(vec![SessionId(1)])));
        world.restart().await;
        assert_eq!(world.accounts.by_id(&ada).await.unwrap().unwrap().password_hash, "new");
        let left = world.sessions.of_user(&ada, Wall(200)).await;
        assert_eq!(left, Ok(vec![log_in("ada", 2, 100)]));
        let endings = world.sessions.endings(&vouched("ada", SessionId(1))).await;
        assert_eq!(endings, Ok(Endings { revoked: true, cutoff: Some(cutoff) }));
        let others = world.sessions.endings(&vouched("bob", SessionId(3))).await;
        assert_eq!(others, Ok(Endings::default()));
    }

    //= specs/auth.md#auth-88
    //= type=test
    //# A user MUST NOT have more than 100 log-ins that go on: one more MUST end the one that was used
    //# longest ago.
    async fn one_log_in_too_many_ends_the_one_that_was_used_longest_ago_and_lists_are_bounded(
        world: &mut World
    ) {
        let (ada, most) = (user("ada"), u8::try_from(LOG_INS).unwrap());
        world.accounts.create(account("ada", "ada@example.org")).await.unwrap();
        let hash = account("ada", "ada@example.org").password_hash;
        let begin = |n, at| world.sessions.begin(&ada, log_in("ada", n, at), UNTIL);
        world.sessions.begin(&user("bob"), log_in("bob", 200, 0), UNTIL).await.unwrap();
        for n in 1..=most {
            assert_eq!(begin(n, 100 + u64::from(n)).await, Ok(vec![]), "{n}");
        }
        // The first was used since, and the second has ended: the third is the oldest, and there is room.
        world.sessions.refresh(refresh(1, 1, 2, 300)).await.unwrap().unwrap();
        world.sessions.revoke(&leave("ada", SessionId(2)), UNTIL).await.unwrap();
        assert_eq!(begin(most + 1, 400).await, Ok(vec![]));
        world.restart().await;
        let begun = world.sessions.begin(&ada, log_in("ada", most + 2, 401), UNTIL).await;
        assert_eq!(begun, Ok(vec![SessionId(3)]));
        let with_password =
            world.sessions.begin_with(&ada, log_in("ada", most + 3, 402), hash, UNTIL).await;
        assert_eq!(with_password, Ok(Some(vec![SessionId(4)])));
        // A clock that went back: the newest is the one that was asked for.
        let back = world.sessions.begin(&ada, log_in("ada", most + 4, 1), UNTIL).await;
        assert_eq!(back, Ok(vec![SessionId(5)]));
        world.restart().await;
        for (n, revoked) in [(1, false), (3, true), (4, true), (5, true), (6, false)] {
            assert_eq!(world.is_revoked(&ada, SessionId(n)).await, revoked, "{n}");
        }
        assert!(!world.is_revoked(&user("bob"), SessionId(200)).await);
        let used = world.sessions.refresh(refresh(3, 3, 4, 403)).await.unwrap().unwrap();
        assert_eq!(used.judgement.verdict(), RefreshVerdict::Ended);
        assert_eq!(world.sessions.of_user(&ada, Wall(403)).await.unwrap().len(), LOG_INS);
        // What has ended by itself is in nobody's way: the first hundred did so together.
        let later = world.sessions.begin(&ada, log_in("ada", most + 5, 10_300), UNTIL).await;
        assert_eq!(later, Ok(vec![]));
        let listed = world.sessions.of_user(&ada, Wall(0)).await.unwrap();
        assert_eq!(listed.len(), LOG_INS, "of one more");
        let cutoff = Cutoff { at: Wall(10_400), but: Some(SessionId(u128::from(most) + 5)) };
        let ended = world.sessions.revoke_all(&ada, cutoff, UNTIL).await.unwrap();
        assert_eq!(ended.len(), LOG_INS, "all that were not ended before");
        assert!(ended.is_sorted());
    }

    async fn a_guest_is_remembered(world: &mut World) {
        let guest = Guest {
            name: "Test".into(),
            email: Some("t@example.org".into()),
            permissions: vec!["audit:read".into()],
        };
        let log_in = LogIn { guest: Some(guest), by: Credence::E2e, ..log_in("e2e-t", 7, 100) };
        let tester = user("e2e-t");
        world.sessions.begin(&tester, log_in.clone(), UNTIL).await.unwrap();
        world.restart().await;
        assert_eq!(world.sessions.of_user(&tester, Wall(200)).await, Ok(vec![log_in]));
        assert_eq!(world.accounts.is_known(tester.user_id()).await, Ok(true));
    }

    async fn where_the_owner_of_an_address_came_from_is_remembered(world: &mut World) {
        for (id, email) in [("ada", "ada@example.org"), ("bob", "bob@example.org")] {
            world.accounts.create(account(id, email)).await.unwrap();
        }
        world.sessions.begin(&user("ada"), log_in("ada", 7, 100), UNTIL).await.unwrap();
        world.restart().await;
        for (email, place, known) in [
            ("ada@example.org", "192.0.2.7", true),
            ("ada@example.org", "192.0.2.8", false),
            ("bob@example.org", "192.0.2.7", false),
            ("eve@example.org", "192.0.2.7", false),
        ] {
            let has_come = world.sessions.has_come_from(&email.parse().unwrap(), place).await;
            assert_eq!(has_come, Ok(known), "{email} {place}");
        }
    }

    async fn a_device_is_known_to_its_own_user_also_after_the_log_in_was_ended(world: &mut World) {
        let (ada, own) = (user("ada"), log_in("ada", 1, 100));
        for (id, email) in [("ada", "ada@example.org"), ("bob", "bob@example.org")] {
            world.accounts.create(account(id, email)).await.unwrap();
        }
        let (key, other) = (own.family.key, log_in("ada", 2, 100).family.key);
        world.sessions.begin(&ada, own, UNTIL).await.unwrap();
        world.sessions.revoke(&leave("ada", SessionId(1)), Wall(9_000)).await.unwrap();
        world.restart().await;
        assert_eq!(world.sessions.is_device_of(&"ada@example.org".parse().unwrap(), key).await, Ok(true));
        assert_eq!(world.sessions.is_device_of(&"bob@example.org".parse().unwrap(), key).await, Ok(false));
        assert_eq!(world.sessions.is_device_of(&"ada@example.org".parse().unwrap(), other).await, Ok(false));
    }

    async fn what_has_ended_by_itself_is_forgotten_and_nothing_else(world: &mut World) {
        let ada = user("ada");
        world.sessions.begin(&user("ada"), log_in("ada", 1, 100), UNTIL).await.unwrap();
        world.sessions.begin(&user("ada"), log_in("ada", 2, 5_000), UNTIL).await.unwrap();
        world.sessions.revoke(&leave("ada", SessionId(3)), Wall(9_000)).await.unwrap();
        // A later revocation of the same session is kept as long as the later one says.
        world.sessions.revoke(&leave("ada", SessionId(4)), Wall(20_000)).await.unwrap();
        world.sessions.revoke(&leave("ada", SessionId(4)), Wall(9_000)).await.unwrap();
        assert_eq!(world.sessions.forget(Wall(8_999)).await, Ok(0));
        assert_eq!(world.sessions.forget(Wall(10_100)).await, Ok(2));
        assert!(!world.is_revoked(&ada, SessionId(3)).await);
        assert!(world.is_revoked(&ada, SessionId(4)).await);
        let left = world.sessions.of_user(&ada, Wall(0)).await.unwrap();
        assert_eq!(left, [log_in("ada", 2, 5_000)]);
    }

    async fn records_are_kept_in_order_and_read_from_the_end(world: &mut World) {
        let record = |at: u64| AuditRecord {
            at: Wall(at),
            action: AuditAction::LogIn,
            outcome: AuditOutcome::Refused,
            reason: Some(ErrorCode::Unauthorized),
            by: Some(Credence::Password),
            user_id: Some(user("ada").user_id().clone()),
            session_id: Some(SessionId(7)),
            place: Some("192.0.2.1".into()),
            times: 3,
        };
        let bare = AuditRecord {
            outcome: AuditOutcome::Accepted,
            reason: None,
            by: None,
            user_id: None,
            session_id: None,
            place: None,
            ..record(3)
        };
        world.audit.append(vec![record(1), record(2)]).await.unwrap();
        world.audit.append(vec![bare.clone()]).await.unwrap();
        world.restart().await;
        let rows = world.audit.read(None, 2).await.unwrap();
        let rows: Vec<_> = rows.into_iter().map(|row| (row.n, row.record)).collect();
        assert_eq!(rows, [(3, bare), (2, record(2))]);
        let rest = world.audit.read(Some(2), 10).await.unwrap();
        assert_eq!(rest.iter().map(|row| row.n).collect::<Vec<_>>(), [1]);
        assert_eq!(world.audit.forget_before(Wall(2)).await, Ok(1));
        assert_eq!(world.audit.read(None, 10).await.unwrap().len(), 2);
        // A number is never used again.
        world.audit.forget_before(Wall(100)).await.unwrap();
        world.audit.append(vec![record(9)]).await.unwrap();
        assert_eq!(world.audit.read(None, 10).await.unwrap()[0].n, 4);
    }
}
