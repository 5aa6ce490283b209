//! Accounts, sessions, artifacts.

use crate::batches::{asking, leave, opening, user};
use crate::on_every_store;
use crate::world::World;
use bytes::Bytes;
use goldenpath_core::auth::Role;
use goldenpath_core::hub::Record;
use goldenpath_core::id::{RunId, SessionId, ThreadId};
use goldenpath_core::time::Wall;
use goldenpath_runtime::ports::{Account, Artifact, Created};

pub(crate) fn account(id: &str, email: &str) -> Account {
    Account {
        user_id: user(id).user_id().clone(),
        email: email.parse().unwrap(),
        name: Some("Ada".into()),
        password_hash: "$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".into(),
        roles: vec![Role::Auditor],
        created_at: Wall(5),
    }
}

fn artifact(name: &str, bytes: &'static [u8]) -> Artifact {
    Artifact {
        name: name.into(),
        media_type: "application/json".into(),
        bytes: Bytes::from_static(bytes),
        at: Wall(9),
    }
}

on_every_store! {
    async fn an_account_is_found_by_its_address_in_any_spelling(world: &mut World) {
        let ada = account("u1", "ada@example.org");
        assert_eq!(world.accounts.create(ada.clone()).await, Ok(Created::Done));
        world.restart().await;
        let found = world.accounts.by_email(&" Ada@EXAMPLE.org".parse().unwrap()).await;
        assert_eq!(found, Ok(Some(ada.clone())));
        assert_eq!(world.accounts.by_id(&user("u1")).await, Ok(Some(ada)));
        assert_eq!(world.accounts.by_id(&user("u2")).await, Ok(None));
    }

    async fn an_address_and_an_id_belong_to_one_account(world: &mut World) {
        world.accounts.create(account("u1", "ada@example.org")).await.unwrap();
        let same_email = world.accounts.create(account("u2", "ADA@example.org")).await;
        assert_eq!(same_email, Ok(Created::EmailTaken));
        let same_id = world.accounts.create(account("u1", "bob@example.org")).await;
        assert_eq!(same_id, Ok(Created::IdTaken));
        assert_eq!(world.accounts.by_id(&user("u2")).await, Ok(None));
        let bob = world.accounts.by_email(&"bob@example.org".parse().unwrap()).await;
        assert_eq!(bob, Ok(None));
    }

    async fn what_a_user_changes_is_kept_and_changes_nobody_else(world: &mut World) {
        let (ada, bob) = (user("u1"), user("u2"));
        for (id, email) in [("u1", "ada@example.org"), ("u2", "bob@example.org")] {
            world.accounts.create(account(id, email)).await.unwrap();
        }
        assert_eq!(world.accounts.set_name(&ada, Some("Countess".into())).await, Ok(true));
        let email = |text: &str| text.parse().unwrap();
        let set = world.accounts.set_roles(&email("ada@example.org"), vec![Role::Admin]).await;
        assert_eq!(set, Ok(true));
        let set = world.accounts.set_roles(&email("eve@example.org"), vec![Role::Admin]).await;
        assert_eq!(set, Ok(false), "there is no such account");
        for (id, known) in [("u1", true), ("u3", false)] {
            assert_eq!(world.accounts.is_known(user(id).user_id()).await, Ok(known));
        }
        let old = account("u1", "x@example.org").password_hash;
        let set = |old: &str, new: &str| world.accounts.set_password(&ada, old.into(), new.into());
        assert_eq!(set(&old, "new").await, Ok(true));
        assert_eq!(set(&old, "newer").await, Ok(false), "the old one is another by now");
        assert_eq!(world.accounts.set_name(&user("u3"), None).await, Ok(false));
        assert_eq!(world.accounts.preferences(&ada).await, Ok(None));
        for json in [r#"{"theme":"dark"}"#, r#"{"theme":"light"}"#] {
            world.accounts.set_preferences(&ada, json.into(), Wall(9)).await.unwrap();
        }
        world.restart().await;
        let found = world.accounts.by_id(&ada).await.unwrap().unwrap();
        assert_eq!(found.name.as_deref(), Some("Countess"));
        assert_eq!((&*found.password_hash, found.roles), ("new", vec![Role::Admin]));
        let kept = world.accounts.preferences(&ada).await.unwrap();
        assert_eq!(kept.as_deref(), Some(r#"{"theme":"light"}"#));
        let other = world.accounts.by_id(&bob).await.unwrap();
        assert_eq!(other, Some(account("u2", "bob@example.org")));
        assert_eq!(world.accounts.preferences(&bob).await, Ok(None));
    }

    //= specs/auth.md#auth-20
    //= type=test
    //# A session that was revoked MUST stay revoked after a restart.
    async fn a_revoked_session_stays_revoked_for_its_user_only(world: &mut World) {
        let (ada, bob) = (user("ada"), user("bob"));
        let session = SessionId(3);
        assert!(!world.is_revoked(&ada, session).await);
        // Revoking twice is revoking.
        for _ in 0..2 {
            world.sessions.revoke(&leave("ada", session), Wall(4_000_000_000_000)).await.unwrap();
        }
        world.restart().await;
        assert!(world.is_revoked(&ada, session).await);
        assert!(!world.is_revoked(&ada, SessionId(4)).await);
        assert!(!world.is_revoked(&bob, session).await);
    }

    async fn an_artifact_is_replaced_by_a_repeated_step_and_goes_with_its_thread(world: &mut World) {
        let ada = user("ada");
        let (thread_id, run) = (ThreadId(1), RunId(1));
        world.done(&opening(1, &ada, thread_id)).await;
        world.done(&asking(2, &ada, thread_id, "a", run)).await;
        let put = |artifact| world.artifacts.put(&ada, run, artifact);
        assert_eq!(put(artifact("b.json", b"[1]")).await, Ok(true));
        assert_eq!(put(artifact("a.json", b"")).await, Ok(true));
        assert_eq!(put(artifact("b.json", b"[1,2]")).await, Ok(true));
        let found = world.artifacts.get(&ada, run, "b.json").await.unwrap();
        assert_eq!(found, Some(artifact("b.json", b"[1,2]")));
        assert_eq!(world.artifacts.get(&ada, run, "c.json").await, Ok(None));
        let list = world.artifacts.list(&ada, run).await.unwrap();
        let list: Vec<_> = list.iter().map(|info| (&*info.name, info.len)).collect();
        assert_eq!(list, [("a.json", 0), ("b.json", 5)]);
        world.store.record(&ada, Record::DeleteThread { thread_id }).await.unwrap();
        assert_eq!(world.artifacts.get(&ada, run, "b.json").await, Ok(None));
    }
}
