//! Strangers who guess passwords, and the user whose account it is.

use crate::rig::{PATIENCE, Reply, Rig, Wishes, rig};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use goldenpath_core::edge::EdgeLimits;
use goldenpath_core::fault::Fault;
use goldenpath_core::id::UserId;
use goldenpath_core::time::Wall;
use goldenpath_core::wire::Secret;
use goldenpath_runtime::identity::Passwords;
use goldenpath_runtime::memory::MemoryStore;
use goldenpath_runtime::ports::{Account, Accounts as _, Answer, Email};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::sync::Semaphore;

/// Hashes when it is let; remembers what it began with.
#[derive(Clone)]
struct Gate {
    open: Arc<Semaphore>,
    begun: Arc<Mutex<Vec<String>>>,
    /// Lets the next comparison in that begins, in place of `open`.
    aside: Arc<Mutex<Option<Arc<Semaphore>>>>,
}

impl Gate {
    fn shut() -> Self {
        let open = Arc::new(Semaphore::new(0));
        Self { open, begun: Arc::default(), aside: Arc::default() }
    }

    /// Holds the next comparison back by itself.
    fn set_aside(&self) -> Arc<Semaphore> {
        self.aside.lock().unwrap().insert(Arc::new(Semaphore::new(0))).clone()
    }

    fn begun(&self) -> Vec<String> {
        self.begun.lock().unwrap().clone()
    }
}

impl Passwords for Gate {
    fn hash(&self, password: Secret) -> Answer<String> {
        std::future::ready(Ok(password.0)).boxed()
    }

    fn matches(&self, password: Secret, hash: Option<String>) -> Answer<bool> {
        let this = self.clone();
        async move {
            this.begun.lock().unwrap().push(password.0.clone());
            let aside = this.aside.lock().unwrap().take();
            let open = aside.unwrap_or(this.open);
            open.acquire().await.map_err(|_| Fault::Unavailable)?.forget();
            Ok(hash.is_some_and(|hash| hash.trim_start_matches("weak:") == password.0))
        }
        .boxed()
    }

    fn is_outdated(&self, hash: &str) -> bool {
        hash.starts_with("weak:")
    }
}

/// A node behind a proxy that says who comes.
async fn behind(passwords: Option<Gate>) -> Rig {
    behind_with(passwords, MemoryStore::new()).await
}

async fn behind_with(passwords: Option<Gate>, store: MemoryStore) -> Rig {
    let mut edge = EdgeLimits::unbounded();
    edge.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let mut wishes = Wishes { edge, store, ..Wishes::default() };
    if let Some(gate) = passwords {
        wishes.passwords = Arc::new(gate);
    }
    rig(wishes).await
}

async fn send(rig: &Rig, path: &str, from: &str, body: serde_json::Value) -> Reply {
    let body = body.to_string();
    rig.exchange(&format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {from}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await
}

async fn guess(rig: &Rig, from: &str, email: &str) -> Reply {
    send(rig, "/api/auth/login", from, json!({"email": email, "password": "wrong horse"})).await
}

/// Ada's account, made at home; the device credential her client keeps.
async fn ada(rig: &Rig) -> String {
    let body = json!({"email": "ada@example.org", "password": "correct horse"});
    let reply = send(rig, "/api/auth/register", "192.0.2.99", body).await;
    assert_eq!(reply.status(), 201, "{reply:?}");
    reply.json()["device"].as_str().unwrap().to_owned()
}

async fn log_in(rig: &Rig, from: &str, device: Option<&str>) -> Reply {
    let mut body = json!({"email": "ada@example.org", "password": "correct horse"});
    if let Some(device) = device {
        body["device"] = device.into();
    }
    send(rig, "/api/auth/login", from, body).await
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn hundreds_of_guesses_from_five_addresses_let_the_owner_be_the_next() {
    let gate = Gate::shut();
    let rig = Arc::new(behind(Some(gate.clone())).await);
    let device = ada(&rig).await;
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let guesses = (0..350).map(|n| {
        let (rig, told) = (rig.clone(), told.clone());
        tokio::spawn(async move {
            let email = format!("user{n}@example.org");
            let reply = guess(&rig, &format!("192.0.2.{}", n % 5), &email).await;
            let _ = told.send((reply.status(), reply.header("retry-after").map(str::to_owned)));
        })
    });
    let guesses: Vec<_> = guesses.collect();
    // Four of each address wait; all others are refused at once, with a time.
    let mut refused = BTreeMap::new();
    for _ in 0..330 {
        let (status, retry_after) = answers.recv().await.unwrap();
        assert!(retry_after.is_some(), "{status}");
        *refused.entry(status).or_insert(0) += 1;
    }
    assert_eq!(refused, BTreeMap::from([(429, 330)]));
    until("two are hashed", || gate.begun().len() == 2).await;
    // The owner comes from one of these addresses. Of three log-ins at the same time one is too many,
    // which shows that the other two stand in line.
    let (heard, mut owners) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..3 {
        let (rig, device, heard) = (rig.clone(), device.clone(), heard.clone());
        tokio::spawn(async move {
            let _ = heard.send(log_in(&rig, "192.0.2.1", Some(&device)).await.status());
        });
    }
    assert_eq!(owners.recv().await, Some(429));
    gate.open.add_permits(2);
    until("two more are hashed", || gate.begun().len() == 4).await;
    let next = &gate.begun()[2..];
    assert!(next.iter().any(|password| password == "correct horse"), "{next:?}");
    gate.open.add_permits(400);
    assert_eq!([owners.recv().await, owners.recv().await], [Some(200); 2]);
    join_all(guesses).await;
}

#[tokio::test]
async fn a_full_line_is_503_with_a_time() {
    let gate = Gate::shut();
    let rig = Arc::new(behind(Some(gate.clone())).await);
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for n in 0..60 {
        let (rig, told) = (rig.clone(), told.clone());
        tokio::spawn(async move {
            let email = format!("user{n}@example.org");
            let reply = guess(&rig, &format!("192.0.2.{n}"), &email).await;
            let _ = told.send((reply.status(), reply.header("retry-after").map(str::to_owned)));
        });
    }
    // Two are hashed, 32 wait.
    for _ in 0..60 - 34 {
        assert_eq!(answers.recv().await.unwrap(), (503, Some("2".to_owned())));
    }
    gate.open.add_permits(100);
    for _ in 0..34 {
        assert_eq!(answers.recv().await.unwrap(), (401, None));
    }
}

#[tokio::test]
async fn f18_a_stranger_behind_the_same_address_does_not_lock_out_a_known_device() {
    let rig = behind(None).await;
    let device = ada(&rig).await;
    for _ in 0..40 {
        guess(&rig, "192.0.2.99", "ada@example.org").await;
    }
    assert_eq!(guess(&rig, "192.0.2.99", "ada@example.org").await.status(), 429);
    assert_eq!(log_in(&rig, "192.0.2.99", None).await.status(), 429, "not to be told apart");
    let reply = log_in(&rig, "192.0.2.99", Some(&device)).await;
    assert_eq!(reply.status(), 200, "{reply:?}");
    let next = reply.json()["device"].as_str().unwrap().to_owned();
    for good in [&device, &next] {
        assert_eq!(log_in(&rig, "192.0.2.99", Some(good)).await.status(), 200);
    }
    // It is a device of this account only, and no credential: with one of its own, Bob's account would
    // have ten tries more.
    let other = json!({"email": "bob@example.org", "password": "wrong", "device": device});
    for n in 0..12 {
        let status = send(&rig, "/api/auth/login", "192.0.2.97", other.clone()).await.status();
        assert_eq!(status, if n < 10 { 401 } else { 429 }, "{n}");
    }
    let refresh = json!({ "refresh_token": device });
    assert_eq!(send(&rig, "/api/auth/refresh", "192.0.2.99", refresh).await.status(), 401);
    for nonsense in [json!(7), json!("gpd_"), json!(null), json!({"a": 1})] {
        let body =
            json!({"email": "ada@example.org", "password": "correct horse", "device": nonsense});
        assert_eq!(send(&rig, "/api/auth/login", "192.0.2.98", body).await.status(), 200);
    }
}

#[tokio::test]
async fn f18_an_account_that_many_places_guess_at_lets_a_fresh_place_in() {
    let rig = behind(None).await;
    ada(&rig).await;
    // Nine places, each as often as it may: what they took is theirs.
    for place in 0..9 {
        for _ in 0..12 {
            guess(&rig, &format!("198.51.100.{place}"), "ada@example.org").await;
        }
    }
    assert_eq!(guess(&rig, "198.51.100.3", "ada@example.org").await.status(), 429);
    assert_eq!(log_in(&rig, "203.0.113.5", None).await.status(), 200);
}

#[tokio::test]
async fn one_address_that_tries_many_accounts_is_stopped() {
    let rig = behind(None).await;
    let mut statuses = BTreeMap::new();
    for n in 0..200 {
        let reply = guess(&rig, "192.0.2.1", &format!("user{n}@example.org")).await;
        *statuses.entry(reply.status()).or_insert(0) += 1;
    }
    // Thirty are free, and the first beyond is only then waited for; nobody waits here.
    let hashed = statuses[&401];
    assert!((31..=36).contains(&hashed), "{statuses:?}");
    assert_eq!(guess(&rig, "192.0.2.2", "user1@example.org").await.status(), 401);
}

#[tokio::test]
async fn a_log_in_with_the_old_password_that_waits_during_the_change_lets_nobody_in() {
    let gate = Gate::shut();
    let rig = Arc::new(behind(Some(gate.clone())).await);
    let body = json!({"email": "ada@example.org", "password": "correct horse"});
    let own = send(&rig, "/api/auth/register", "192.0.2.99", body).await.json();
    let own = own["access_token"].as_str().unwrap().to_owned();
    // Somebody who knows the old password is on the way in.
    let held = gate.set_aside();
    let thief = {
        let rig = rig.clone();
        tokio::spawn(async move { log_in(&rig, "198.51.100.1", None).await })
    };
    until("the old password is being compared", || gate.begun().len() == 1).await;
    gate.open.add_permits(1);
    let change = json!({"current_password": "correct horse", "new_password": "battery staple"});
    let changed = rig.send("POST", "/api/auth/password", Some(&own), &change.to_string()).await;
    assert_eq!((changed.status(), &changed.json()["sessions_ended"]), (200, &json!(0)));
    held.add_permits(1);
    // The old password is compared with the new hash, too.
    gate.open.add_permits(1);
    let refused = thief.await.unwrap();
    assert_eq!(refused.status(), 401, "{refused:?}");
    let list = rig.call("GET", "/api/auth/sessions", Some(&own)).await.json();
    assert_eq!(list["sessions"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn a_hash_renewed_by_one_log_in_does_not_refuse_another_of_the_same_moment() {
    let (gate, store) = (Gate::shut(), MemoryStore::new());
    let email: Email = "ada@example.org".parse().unwrap();
    let account = Account {
        user_id: UserId::new("user-1").unwrap(),
        email: email.clone(),
        name: None,
        password_hash: "weak:correct horse".into(),
        roles: Vec::new(),
        created_at: Wall(1),
    };
    store.create(account).await.unwrap();
    let rig = Arc::new(behind_with(Some(gate.clone()), store.clone()).await);
    let (one, other) = (rig.clone(), rig.clone());
    let log_ins = [
        tokio::spawn(async move { log_in(&one, "192.0.2.1", None).await.status() }),
        tokio::spawn(async move { log_in(&other, "192.0.2.2", None).await.status() }),
    ];
    until("both are compared with the weak hash", || gate.begun().len() == 2).await;
    gate.open.add_permits(3);
    for log_in in log_ins {
        assert_eq!(log_in.await.unwrap(), 200);
    }
    assert_eq!(gate.begun().len(), 3, "one of them was compared with the renewed hash, too");
    assert_eq!(store.by_email(&email).await.unwrap().unwrap().password_hash, "correct horse");
}
