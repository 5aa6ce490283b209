//! What tries cost, and whom.

use super::*;
use alloc::format;
use alloc::string::ToString;
use proptest::prelude::*;

fn tried(account: &str, place: &str, known: bool) -> Try {
    let account = Some(account.to_string());
    Try { account, place: place.to_string(), known, device: None }
}

fn by_device(account: &str, place: &str, device: &str) -> Try {
    Try { device: Some(device.to_string()), ..tried(account, place, false) }
}

fn lockout() -> Lockout {
    Lockout::new(Allowances::default())
}

/// Fails until a wait is asked for, waits it out, fails again …: the waits.
fn waits(lockout: &mut Lockout, tried: &Try, tries: usize) -> Vec<u64> {
    let mut now = Mono(0);
    let mut waits = Vec::new();
    for _ in 0..tries {
        if let Err(wait) = lockout.begin(tried, now) {
            waits.push(wait.0 / 1000);
            now = now.after(wait);
            assert!(lockout.begin(tried, now).is_ok(), "waiting is enough");
        }
    }
    waits
}

//= specs/auth.md#auth-44
//= type=test
//# The wait after failed tries MUST grow with each further failure, up to a bound.
#[test]
fn the_wait_grows_with_every_failure_up_to_a_bound() {
    let mut lockout = lockout();
    let known = tried("ada", "home", true);
    let waits = waits(&mut lockout, &known, 24);
    assert_eq!(waits[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512], "{waits:?}");
    assert_eq!(waits.iter().max(), Some(&900), "{waits:?}");
}

#[test]
fn failures_that_no_longer_made_the_wait_longer_do_not_make_it_last() {
    let mut lockout = lockout();
    let known = tried("ada", "home", true);
    assert_eq!(waits(&mut lockout, &known, 40).last(), Some(&900));
    // Two failures of the 20 that make the longest wait are forgotten, and one is added.
    let later = Mono(0).after(Millis::from_secs(16 * 3600));
    assert!(lockout.begin(&known, later).is_ok());
    assert_eq!(lockout.begin(&known, later), Err(Millis::from_secs(512)));
}

#[test]
fn a_failure_is_forgotten_after_its_time_though_others_come_meanwhile() {
    let mut lockout = lockout();
    let known = tried("ada", "home", true);
    for _ in 0..10 {
        lockout.begin(&known, Mono(0)).unwrap();
    }
    let forgets = Millis::from_secs(8 * 3600);
    assert!(lockout.begin(&known, Mono(forgets.0 - 10_000)).is_ok());
    assert!(lockout.begin(&known, Mono(forgets.0)).is_ok(), "two seconds later");
    assert_eq!(lockout.begin(&known, Mono(forgets.0)), Err(Millis::from_secs(2)), "again two");
}

#[test]
fn f18_an_attack_on_one_account_does_not_touch_another() {
    let mut lockout = lockout();
    for n in 0..100 {
        let _ = lockout.begin(&tried("ada", &n.to_string(), false), Mono(0));
    }
    assert!(lockout.begin(&tried("ada", "new", false), Mono(0)).is_err());
    assert!(lockout.begin(&tried("bob", "new", false), Mono(0)).is_ok());
}

#[test]
fn trying_many_accounts_from_one_place_is_slowed_down_though_none_of_them_is() {
    let mut lockout = lockout();
    let slowed = (0..200)
        .filter(|n| lockout.begin(&tried(&n.to_string(), "there", false), Mono(0)).is_err())
        .count();
    assert_eq!(slowed, 200 - 31, "30 are free, and the first beyond is only then waited for");
    // A log-in of one's own does not begin the count anew, and neither does it make others wait longer.
    let own = by_device("eve", "there", "phone");
    let turn = lockout.begin(&own, Mono(0)).unwrap();
    lockout.succeeded(&turn, Mono(0));
    assert_eq!(lockout.begin(&tried("x", "there", false), Mono(0)), Err(Millis::from_secs(1)));
}

#[test]
fn a_right_password_is_no_failure_and_neither_is_one_nobody_could_check() {
    let mut lockout = lockout();
    let ada = tried("ada", "home", false);
    for _ in 0..500 {
        let turn = lockout.begin(&ada, Mono(0)).unwrap();
        lockout.succeeded(&turn, Mono(0));
        let turn = lockout.begin(&ada, Mono(0)).unwrap();
        lockout.undecided(&turn, Mono(0));
    }
}

#[test]
fn a_turn_that_came_to_nothing_is_given_back_whole() {
    let mut lockout = lockout();
    let ada = tried("ada", "there", false);
    let mut now = Mono(0);
    for _ in 0..200 {
        if let Err(wait) = lockout.begin(&ada, now) {
            now = now.after(wait);
            let turn = lockout.begin(&ada, now).unwrap();
            // Its password could not be hashed just then: the turn is still there, and no other.
            lockout.undecided(&turn, now);
            lockout.begin(&ada, now).unwrap();
            assert!(lockout.begin(&ada, now).is_err());
        }
    }
}

#[test]
fn a_turn_given_back_is_there_for_the_next_though_others_are_under_way() {
    let mut lockout = lockout();
    let ada = tried("ada", "there", false);
    let turns: Vec<_> = (0..10).map(|_| lockout.begin(&ada, Mono(0)).unwrap()).collect();
    assert_eq!(lockout.begin(&ada, Mono(0)), Err(Millis::from_secs(1)));
    lockout.undecided(&turns[0], Mono(0));
    assert!(lockout.begin(&ada, Mono(0)).is_ok());
    // Beyond what is free it takes nothing from the wait that a later failure made.
    let early = lockout.begin(&ada, Mono(1_000)).unwrap();
    lockout.begin(&ada, Mono(3_000)).unwrap();
    lockout.undecided(&early, Mono(3_000));
    assert_eq!(lockout.begin(&ada, Mono(3_000)), Err(Millis(4_000)));
}

#[test]
fn a_right_password_begins_the_count_of_its_place_anew() {
    let mut lockout = lockout();
    let ada = tried("ada", "home", true);
    for _ in 0..5 {
        for _ in 0..5 {
            lockout.begin(&ada, Mono(0)).unwrap();
        }
        let turn = lockout.begin(&ada, Mono(0)).unwrap();
        lockout.succeeded(&turn, Mono(0));
    }
}

#[test]
fn a_device_that_failed_too_often_is_worth_what_its_place_is() {
    let mut lockout = lockout();
    let ada = by_device("ada", "there", "phone");
    let begun = (0..50).filter(|_| lockout.begin(&ada, Mono(0)).is_ok()).count();
    assert_eq!(begun, 20, "ten as a device, ten as anybody");
    assert!(lockout.begin(&by_device("ada", "there", "laptop"), Mono(0)).is_ok());
    assert!(lockout.begin(&by_device("bob", "there", "phone"), Mono(0)).is_ok());
}

#[test]
fn who_waits_in_which_line_follows_from_what_is_known() {
    let mut lockout = lockout();
    let mut line = |tried: &Try| lockout.begin(tried, Mono(0)).unwrap().line();
    let own = |of: &str| Name::Own("ada".to_string(), of.to_string());
    assert_eq!(
        line(&by_device("ada", "there", "phone")),
        (Lane::Known, vec![own("phone"), Name::Account("ada".to_string())])
    );
    assert_eq!(
        line(&tried("ada", "home", true)),
        (Lane::Known, vec![own("home"), Name::Home("home".to_string())])
    );
    let there = (Lane::Open, vec![Name::Place("there".to_string())]);
    assert_eq!(line(&tried("ada", "there", false)), there);
    assert_eq!(line(&Try { account: None, ..tried("", "there", false) }), there);
}

#[test]
fn tries_at_once_count_before_they_are_decided() {
    let mut lockout = lockout();
    let ada = tried("ada", "there", false);
    let begun = (0..50).filter(|_| lockout.begin(&ada, Mono(0)).is_ok()).count();
    assert_eq!(begun, 10);
}

#[test]
fn after_three_failures_a_place_waits_with_those_that_failed_and_not_before() {
    let mut lockout = lockout();
    for (place, failures) in [("thrice", 3), ("twice", 2)] {
        for _ in 0..failures {
            lockout.begin(&tried("ada", place, false), Mono(0)).unwrap();
        }
    }
    let others = 0..100;
    let begun = others
        .take_while(|n| lockout.begin(&tried("ada", &n.to_string(), false), Mono(0)).is_ok())
        .count();
    assert_eq!(begun, 31 - 5, "places that have not failed wait now");
    assert!(lockout.begin(&tried("ada", "twice", false), Mono(0)).is_err());
    assert!(lockout.begin(&tried("ada", "thrice", false), Mono(0)).is_ok());
}

//= specs/auth.md#auth-45
//= type=test
//# What is remembered about failures MUST be bounded, and what is forgotten MUST be what says least.
#[test]
fn spraying_names_makes_nobody_forget_an_account_under_attack() {
    let mut lockout = Lockout::new(Allowances { kept: 100, ..Allowances::default() });
    for n in 0..200 {
        let _ = lockout.begin(&tried("ada", &(n % 20).to_string(), false), Mono(0));
    }
    for n in 0..10_000u32 {
        let place = (n / 100).to_string();
        let _ = lockout.begin(&tried(&n.to_string(), &place, false), Mono(1));
        let all = [&lockout.pairs, &lockout.fresh, &lockout.stale, &lockout.places];
        assert!(all.iter().all(|counts| counts.len() <= 100));
    }
    assert!(lockout.begin(&tried("ada", "new", false), Mono(1)).is_err());
}

/// Finding what says least takes a look at everything: not once for each new name.
#[test]
fn where_there_is_no_room_it_is_made_for_many() {
    let mut lockout = Lockout::new(Allowances { kept: 100, ..Allowances::default() });
    for n in 0..101 {
        lockout.begin(&tried(&n.to_string(), &n.to_string(), true), Mono(n)).unwrap();
    }
    for counts in [&lockout.pairs, &lockout.places] {
        assert_eq!(counts.len(), 50, "the older half is forgotten");
    }
}

/// Somebody who always tries at once, at one account, from places that begin with `there`.
struct Adversary {
    places: Vec<Try>,
    guesses: usize,
}

impl Adversary {
    fn new(places: usize) -> Self {
        let places = (0..places).map(|n| tried("ada", &format!("there {n}"), false)).collect();
        Self { places, guesses: 0 }
    }

    fn try_all(&mut self, lockout: &mut Lockout, now: Mono) {
        for place in &self.places {
            while lockout.begin(place, now).is_ok() {
                self.guesses += 1;
            }
        }
    }
}

proptest! {
    #![proptest_config(goldenpath_proof::counted_to(16))]

    //= specs/auth.md#auth-73
    //= type=test
    //# Somebody at a place that has not failed at an account within a day MUST be let try at it
    //# within 30 s × (3 k + 1), whatever k other places do, for k up to 100.
    #[test]
    fn f18_who_comes_from_a_fresh_place_gets_a_turn_though_others_always_try_at_once(
        others in prop_oneof![1usize..8, Just(100)],
        before in 0u64..40 * 3600,
        slip in any::<bool>(),
    ) {
        let mut lockout = lockout();
        let mut adversary = Adversary::new(others);
        let mut now = Mono(0);
        let end = now.after(Millis::from_secs(before));
        while now < end {
            adversary.try_all(&mut lockout, now);
            now = now.after(Millis::from_secs(61));
        }
        // The owner arrives, waits as long as told each time, and the adversary is always a moment
        // earlier. A first slip of the finger costs the owner no right.
        let bound = Millis::from_secs(30 * (3 * others as u64 + 1));
        let owner = tried("ada", "hotel", false);
        for turn in 0..=usize::from(slip) {
            let arrived = now;
            loop {
                adversary.try_all(&mut lockout, now);
                match lockout.begin(&owner, now) {
                    Ok(_) => break,
                    Err(wait) => now = now.after(wait),
                }
                prop_assert!(now.since(arrived) <= bound, "turn {turn}, {others} places");
            }
        }
    }

    //= specs/auth.md#auth-74
    //= type=test
    //# One address MUST NOT have more than 1500 tries without a device credential in a day.
    #[test]
    fn whatever_one_address_does_its_tries_in_a_day_are_bounded(
        pauses in prop::collection::vec(0u64..3_000_000, 1..20),
        accounts in 1usize..5000,
        known in any::<bool>(),
    ) {
        let mut lockout = lockout();
        let day = Millis::from_secs(24 * 3600);
        let (mut now, mut begun) = (Mono(0), Vec::new());
        for n in 0..6000 {
            let account = (n % accounts).to_string();
            match lockout.begin(&tried(&account, "there", known), now) {
                Ok(_) => begun.push(now),
                Err(wait) => now = now.after(wait.min(Millis::from_secs(60))),
            }
            if n % 500 == 499 {
                now = now.after(Millis(pauses[n / 500 % pauses.len()]));
            }
        }
        for (n, first) in begun.iter().enumerate() {
            let within = begun[n..].iter().take_while(|at| at.since(*first) < day).count();
            prop_assert!(within <= 1500, "{within} in a day");
        }
    }
}

proptest! {
    #![proptest_config(goldenpath_proof::counted())]

    //= specs/auth.md#auth-43
    //= type=test
    //# A user MUST NOT be delayed by failures of others while their client keeps a device credential
    //# of the account, nor by failures from other places at a place they logged in from before.
    #[test]
    fn f18_whatever_strangers_do_the_user_at_home_is_let_try(
        strangers in prop::collection::vec((0u8..4, 0u8..20, 0u64..2_000, 0u8..3), 0..400),
        asks in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
    ) {
        let mut lockout = Lockout::new(Allowances { kept: 30, ..Allowances::default() });
        let mut now = Mono(0);
        let home = tried("0", "home", true);
        // A device is let try though strangers sit behind the same address.
        let phone = by_device("0", "1", "phone");
        let asks: Vec<usize> = asks.iter().map(|at| at.index(strangers.len() + 1)).collect();
        for (step, (account, place, wait, end)) in strangers.iter().enumerate() {
            now = now.after(Millis(*wait));
            let mut stranger = tried(&account.to_string(), &place.to_string(), *wait < 1000);
            if *account != 0 && *wait % 2 == 0 {
                stranger.device = Some("phone".to_string());
            }
            if let Ok(turn) = lockout.begin(&stranger, now) {
                match end {
                    0 => lockout.undecided(&turn, now),
                    1 if *account != 0 => lockout.succeeded(&turn, now),
                    _ => {}
                }
            }
            if asks.contains(&step) {
                for own in [&home, &phone] {
                    let turn = lockout.begin(own, now);
                    prop_assert!(turn.is_ok(), "{own:?} {turn:?}");
                    lockout.succeeded(&turn.unwrap(), now);
                }
            }
        }
        prop_assert!(lockout.begin(&home, now).is_ok());
        prop_assert!(lockout.begin(&phone, now).is_ok());
    }

    /// And a user at a new place is let try after a bounded wait, if nobody takes the turn.
    #[test]
    fn nobody_waits_longer_than_the_bound(
        strangers in prop::collection::vec((0u8..3, 0u8..5, 0u64..90_000), 0..200),
    ) {
        let mut lockout = lockout();
        let mut now = Mono(0);
        for (account, place, wait) in strangers {
            now = now.after(Millis(wait));
            let _ = lockout.begin(&tried(&account.to_string(), &place.to_string(), false), now);
        }
        let new = tried("0", "new", false);
        if let Err(wait) = lockout.begin(&new, now) {
            prop_assert!(wait <= Millis::from_secs(30));
            prop_assert!(lockout.begin(&new, now.after(wait)).is_ok());
        }
    }
}
