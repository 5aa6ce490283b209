//! Users whom another provider knows.

use crate::batches::user;
use crate::on_every_store;
use crate::world::World;
use goldenpath_core::auth::{ForeignPolicy, Foreigner, Signed, check_foreign};
use goldenpath_core::time::{Millis, Wall};
use goldenpath_runtime::ports::Link;
use serde_json::json;

fn link(id: &str, issuer: &str, subject: &str) -> Link {
    Link {
        user_id: user(id).user_id().clone(),
        issuer: issuer.into(),
        subject: subject.into(),
        name: Some("Ada".into()),
        email: None,
        at: Wall(5),
    }
}

/// Somebody this issuer vouches for.
fn foreigner(issuer: &str, subject: &str) -> Foreigner {
    let claims = json!({ "iss": issuer, "sub": subject, "aud": "chat", "exp": 9 });
    let claims = Signed::by("theirs", serde_json::from_value(claims).unwrap());
    let (audience, leeway) = (String::from("chat"), Millis(0));
    let policy = ForeignPolicy { issuer: issuer.into(), audience, leeway, max_age: None };
    check_foreign(&claims, &policy, Wall(0)).unwrap()
}

on_every_store! {
    async fn a_user_of_a_provider_is_the_same_for_ever(world: &mut World) {
        let first = link("u1", "https://a", "7");
        assert_eq!(world.links.known(&foreigner("https://a", "7")).await, Ok(None));
        assert_eq!(world.links.link(first.clone()).await, Ok(first.clone()));
        world.restart().await;
        let renamed = Link {
            name: Some("Countess".into()),
            email: Some("ada@example.org".into()),
            at: Wall(9),
            ..link("u2", "https://a", "7")
        };
        let kept = Link {
            user_id: user("u1").user_id().clone(),
            at: Wall(5),
            ..renamed.clone()
        };
        assert_eq!(world.links.link(renamed).await, Ok(kept.clone()));
        assert_eq!(world.links.linked(&user("u1")).await, Ok(Some(kept.clone())));
        assert_eq!(world.links.known(&foreigner("https://a", "7")).await, Ok(Some(kept)));
        for (issuer, subject) in [("https://b", "7"), ("https://a", "8"), ("https://a", "u1")] {
            assert_eq!(world.links.known(&foreigner(issuer, subject)).await, Ok(None));
        }
        assert_eq!(world.links.linked(&user("u2")).await, Ok(None));
    }

    async fn the_same_subject_of_another_issuer_is_somebody_else(world: &mut World) {
        let one = link("u1", "https://a", "7");
        let other = link("u2", "https://b", "7");
        let third = link("u3", "https://a", "8");
        for known in [&one, &other, &third] {
            assert_eq!(world.links.link(known.clone()).await, Ok(known.clone()));
        }
        assert_eq!(world.links.linked(&user("u2")).await, Ok(Some(other)));
    }

    async fn two_log_ins_at_once_make_one_user(world: &mut World) {
        let (one, two) = tokio::join!(
            world.links.link(link("u1", "https://a", "7")),
            world.links.link(link("u2", "https://a", "7")),
        );
        assert_eq!(one.unwrap().user_id, two.unwrap().user_id);
    }
}
