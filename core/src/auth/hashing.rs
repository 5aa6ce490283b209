//! Who waits for a password to be hashed, and who is refused at once. A hash is made to cost time; the
//! time of one's own log-in must not be spent by strangers.
//!
//! A few are hashed at once. The others wait in two lines: one for clients that show a device credential
//! or come from a place the account knows, one for everybody else. The lines take turns while both have
//! somebody, and both are bounded; so is what is under way or waiting under one name.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;

/// The lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Somebody the account knows, as far as that can be told without the password.
    Known,
    /// Anybody.
    Open,
}

/// What somebody in a line is counted as.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// All devices of an account.
    Account(String),
    /// A place, for the accounts that know it.
    Home(String),
    /// An account, and its device or a place it knows.
    Own(String, String),
    /// A place.
    Place(String),
}

/// How many there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HashLimits {
    /// Hashed at once: each takes memory and a core.
    pub at_once: usize,
    /// Waiting in each line.
    pub waiting: usize,
    /// Under way or waiting for all devices of an account.
    pub account: usize,
    /// From a place, for the accounts that know it.
    pub home: usize,
    /// For one device, or for one account from a place it knows.
    pub own: usize,
    /// From a place.
    pub place: usize,
}

impl Default for HashLimits {
    fn default() -> Self {
        Self { at_once: 2, waiting: 32, account: 4, home: 8, own: 2, place: 4 }
    }
}

impl HashLimits {
    const fn of(&self, name: &Name) -> usize {
        match name {
            Name::Account(_) => self.account,
            Name::Home(_) => self.home,
            Name::Own(_, _) => self.own,
            Name::Place(_) => self.place,
        }
    }
}

/// Why somebody was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Crowded {
    /// The line is full.
    Line,
    /// There are enough under one of these names.
    Name,
}

/// Somebody who was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry(u64);

#[derive(Clone, Debug)]
struct Held {
    names: Vec<Name>,
    under_way: bool,
}

/// The lines and what is under way.
#[derive(Clone, Debug)]
pub struct Hashing {
    limits: HashLimits,
    entered: u64,
    held: BTreeMap<Entry, Held>,
    named: BTreeMap<Name, usize>,
    known: VecDeque<Entry>,
    open: VecDeque<Entry>,
    /// Whose turn it is while both lines have somebody.
    turn: Lane,
    under_way: usize,
}

impl Hashing {
    /// Nobody has come.
    #[must_use]
    pub const fn new(limits: HashLimits) -> Self {
        Self {
            limits,
            entered: 0,
            held: BTreeMap::new(),
            named: BTreeMap::new(),
            known: VecDeque::new(),
            open: VecDeque::new(),
            turn: Lane::Known,
            under_way: 0,
        }
    }

    /// Somebody gets in line.
    ///
    /// # Errors
    /// [`Crowded`]; nothing has changed then.
    //= specs/auth.md#auth-72
    //# Passwords MUST be hashed a few at a time, with a bound on those who wait in all and under each
    //# name, and whoever the account knows MUST wait for no more strangers than there are known ones
    //# before them, and one.
    pub fn enter(&mut self, lane: Lane, names: &[Name]) -> Result<Entry, Crowded> {
        let crowded =
            |name: &Name| self.named.get(name).is_some_and(|count| *count >= self.limits.of(name));
        if names.iter().any(crowded) {
            return Err(Crowded::Name);
        }
        let line = match lane {
            Lane::Known => &mut self.known,
            Lane::Open => &mut self.open,
        };
        if line.len() >= self.limits.waiting {
            return Err(Crowded::Line);
        }
        self.entered += 1;
        let entry = Entry(self.entered);
        line.push_back(entry);
        for name in names {
            *self.named.entry(name.clone()).or_default() += 1;
        }
        self.held.insert(entry, Held { names: names.to_vec(), under_way: false });
        Ok(entry)
    }

    /// Who begins now, if there is room; ask until nobody does.
    pub fn begin(&mut self) -> Option<Entry> {
        if self.under_way >= self.limits.at_once {
            return None;
        }
        let lane = match (self.known.is_empty(), self.open.is_empty()) {
            (true, true) => return None,
            (false, true) => Lane::Known,
            (true, false) => Lane::Open,
            (false, false) => self.turn,
        };
        let (line, other) = match lane {
            Lane::Known => (&mut self.known, Lane::Open),
            Lane::Open => (&mut self.open, Lane::Known),
        };
        let entry = line.pop_front()?;
        self.turn = other;
        self.under_way += 1;
        if let Some(held) = self.held.get_mut(&entry) {
            held.under_way = true;
        }
        Some(entry)
    }

    /// Somebody is done, or gave up waiting.
    pub fn leave(&mut self, entry: Entry) {
        let Some(Held { names, under_way }) = self.held.remove(&entry) else { return };
        if under_way {
            self.under_way -= 1;
        } else {
            self.known.retain(|waiting| *waiting != entry);
            self.open.retain(|waiting| *waiting != entry);
        }
        for name in names {
            if let Some(count) = self.named.get_mut(&name) {
                *count -= 1;
                if *count == 0 {
                    self.named.remove(&name);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;
    use proptest::prelude::*;

    fn place(name: usize) -> Vec<Name> {
        vec![Name::Place(name.to_string())]
    }

    fn device(account: usize, device: usize) -> Vec<Name> {
        let account = account.to_string();
        vec![Name::Own(account.clone(), device.to_string()), Name::Account(account)]
    }

    #[test]
    fn guesses_from_a_few_places_leave_room_for_everybody_else() {
        let mut hashing = Hashing::new(HashLimits::default());
        let taken_in =
            (0..350).filter(|n| hashing.enter(Lane::Open, &place(n % 5)).is_ok()).count();
        assert_eq!(taken_in, 20, "four for each of five places");
        assert!(hashing.begin().is_some() && hashing.begin().is_some());
        let owner = hashing.enter(Lane::Known, &device(1, 1)).unwrap();
        let other = hashing.enter(Lane::Open, &place(7)).unwrap();
        assert_eq!(hashing.begin(), None, "two at once");
        hashing.leave(Entry(1));
        assert_eq!(hashing.begin(), Some(owner), "before all strangers who wait");
        for done in 2..20 {
            hashing.leave(Entry(done));
            assert_eq!(hashing.begin(), Some(Entry(done + 1)));
        }
        hashing.leave(Entry(20));
        assert_eq!(hashing.begin(), Some(other));
    }

    #[test]
    fn a_full_line_is_refused_and_the_other_line_is_not_full() {
        let mut hashing = Hashing::new(HashLimits::default());
        for n in 0..32 {
            hashing.enter(Lane::Open, &place(n)).unwrap();
        }
        assert_eq!(hashing.enter(Lane::Open, &place(99)), Err(Crowded::Line));
        assert_eq!(hashing.enter(Lane::Open, &place(3)), Err(Crowded::Line));
        hashing.enter(Lane::Known, &device(1, 1)).unwrap();
        hashing.enter(Lane::Known, &device(1, 1)).unwrap();
        assert_eq!(hashing.enter(Lane::Known, &device(1, 1)), Err(Crowded::Name));
        assert!(hashing.enter(Lane::Known, &device(1, 2)).is_ok(), "another device of the account");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Enter(bool, usize, usize),
        /// The entry at this index of those held leaves.
        Leave(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (any::<bool>(), 0usize..6, 0usize..3).prop_map(|(k, a, d)| Step::Enter(k, a, d)),
            2 => any::<prop::sample::Index>().prop_map(Step::Leave),
        ]
    }

    proptest! {
        #![proptest_config(goldenpath_proof::counted())]

        //= specs/auth.md#auth-72
        //= type=test
        //# Passwords MUST be hashed a few at a time, with a bound on those who wait in all and under
        //# each name, and whoever the account knows MUST wait for no more strangers than there are
        //# known ones before them, and one.
        #[test]
        fn whoever_is_known_begins_after_those_known_before_and_as_many_others(
            steps in prop::collection::vec(step(), 1..300),
        ) {
            let limits =
                HashLimits { at_once: 2, waiting: 6, account: 3, home: 4, own: 2, place: 2 };
            let mut hashing = Hashing::new(limits);
            // Who is there: lane, names, and for those who wait how many began since and how many
            // stood before them in their own line.
            let mut waiting: BTreeMap<Entry, (Lane, Vec<Name>, usize, usize)> = BTreeMap::new();
            let mut under_way: BTreeMap<Entry, Vec<Name>> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Enter(known, a, d) => {
                        let (lane, names) =
                            if known { (Lane::Known, device(a, d)) } else { (Lane::Open, place(a)) };
                        let before = waiting.values().filter(|w| w.0 == lane).count();
                        match hashing.enter(lane, &names) {
                            Ok(entry) => {
                                waiting.insert(entry, (lane, names, 0, before));
                            }
                            Err(Crowded::Line) => prop_assert_eq!(before, limits.waiting),
                            Err(Crowded::Name) => {}
                        }
                    }
                    Step::Leave(index) => {
                        let all: Vec<Entry> =
                            waiting.keys().chain(under_way.keys()).copied().collect();
                        if !all.is_empty() {
                            let gone = all[index.index(all.len())];
                            hashing.leave(gone);
                            waiting.remove(&gone);
                            under_way.remove(&gone);
                        }
                    }
                }
                while let Some(begun) = hashing.begin() {
                    let (lane, names, since, before) = waiting.remove(&begun).unwrap();
                    prop_assert!(since <= 2 * before + 1, "{lane:?}: {since} began, {before} stood");
                    for other in waiting.values_mut() {
                        other.2 += 1;
                    }
                    under_way.insert(begun, names);
                }
                prop_assert!(under_way.len() <= limits.at_once);
                prop_assert!(waiting.is_empty() || under_way.len() == limits.at_once, "idle");
                let mut named: BTreeMap<Name, usize> = BTreeMap::new();
                for name in waiting.values().flat_map(|w| &w.1).chain(under_way.values().flatten()) {
                    *named.entry(name.clone()).or_default() += 1;
                }
                for (name, count) in &named {
                    prop_assert!(*count <= limits.of(name), "{}", format!("{name:?} {count}"));
                }
                prop_assert_eq!(&named, &hashing.named);
                let held: BTreeSet<_> = hashing.held.keys().collect();
                prop_assert_eq!(held, waiting.keys().chain(under_way.keys()).collect());
            }
        }
    }
}
