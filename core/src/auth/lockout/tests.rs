//! What tries cost, and whom.

use super::*;
use alloc::string::ToString;
use proptest::prelude::*;

fn tried(account: &str, place: &str, known: bool) -> Try {
    Try { account: Some(account.to_string()), place: place.to_string(), known }
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
            assert_eq!(lockout.begin(tried, now), Ok(()), "waiting is enough");
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
fn f18_an_attack_on_one_account_does_not_touch_another() {
    let mut lockout = lockout();
    for n in 0..100 {
        let _ = lockout.begin(&tried("ada", &n.to_string(), false), Mono(0));
    }
    assert!(lockout.begin(&tried("ada", "new", false), Mono(0)).is_err());
    assert_eq!(lockout.begin(&tried("bob", "new", false), Mono(0)), Ok(()));
}

#[test]
fn trying_many_accounts_from_one_place_is_slowed_down_though_none_of_them_is() {
    let mut lockout = lockout();
    let slowed = (0..200)
        .filter(|n| lockout.begin(&tried(&n.to_string(), "there", false), Mono(0)).is_err())
        .count();
    assert_eq!(slowed, 200 - 121, "120 are free, and the first beyond is only then waited for");
    // A log-in of one's own does not begin the count anew.
    let own = tried("eve", "there", true);
    assert_eq!(lockout.begin(&own, Mono(0)), Ok(()));
    lockout.succeeded(&own, Mono(0));
    assert!(lockout.begin(&tried("x", "there", false), Mono(0)).is_err());
}

#[test]
fn a_right_password_is_no_failure_and_neither_is_one_nobody_could_check() {
    let mut lockout = lockout();
    let ada = tried("ada", "home", false);
    for _ in 0..500 {
        assert_eq!(lockout.begin(&ada, Mono(0)), Ok(()));
        lockout.succeeded(&ada, Mono(0));
        assert_eq!(lockout.begin(&ada, Mono(0)), Ok(()));
        lockout.undecided(&ada, Mono(0));
    }
}

#[test]
fn tries_at_once_count_before_they_are_decided() {
    let mut lockout = lockout();
    let ada = tried("ada", "there", false);
    let begun = (0..50).filter(|_| lockout.begin(&ada, Mono(0)).is_ok()).count();
    assert_eq!(begun, 10);
}

//= specs/auth.md#auth-45
//= type=test
//# What is remembered about failures MUST be bounded, and what is forgotten MUST be what says least.
#[test]
fn spraying_names_makes_nobody_forget_an_account_under_attack() {
    let mut lockout = Lockout::new(Allowances { kept: 100, ..Allowances::default() });
    for n in 0..200 {
        let _ = lockout.begin(&tried("ada", &(n % 7).to_string(), false), Mono(0));
    }
    for n in 0..10_000u32 {
        let place = (n / 100).to_string();
        let _ = lockout.begin(&tried(&n.to_string(), &place, false), Mono(1));
        assert!(lockout.pairs.len() <= 100 && lockout.accounts.len() <= 100);
        assert!(lockout.places.len() <= 100);
    }
    assert!(lockout.begin(&tried("ada", "new", false), Mono(1)).is_err());
}

proptest! {
    //= specs/auth.md#auth-43
    //= type=test
    //# A user at a place they logged in from before MUST NOT be delayed by failures from other
    //# places.
    #[test]
    fn f18_whatever_strangers_do_the_user_at_home_is_let_try(
        strangers in prop::collection::vec((0u8..4, 0u8..20, 0u64..2_000, 0u8..3), 0..400),
        asks in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
    ) {
        let mut lockout = Lockout::new(Allowances { kept: 30, ..Allowances::default() });
        let mut now = Mono(0);
        let home = tried("0", "home", true);
        let asks: Vec<usize> = asks.iter().map(|at| at.index(strangers.len() + 1)).collect();
        for (step, (account, place, wait, end)) in strangers.iter().enumerate() {
            now = now.after(Millis(*wait));
            let stranger = tried(&account.to_string(), &place.to_string(), false);
            if lockout.begin(&stranger, now).is_ok() {
                match end {
                    0 => lockout.undecided(&stranger, now),
                    1 if *account != 0 => lockout.succeeded(&stranger, now),
                    _ => {}
                }
            }
            if asks.contains(&step) {
                prop_assert_eq!(lockout.begin(&home, now), Ok(()));
                lockout.succeeded(&home, now);
            }
        }
        prop_assert_eq!(lockout.begin(&home, now), Ok(()));
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
            prop_assert!(wait <= Millis::from_secs(60));
            prop_assert_eq!(lockout.begin(&new, now.after(wait)), Ok(()));
        }
    }
}
