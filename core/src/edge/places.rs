//! How many each of many may have at once.

use alloc::collections::BTreeMap;

/// Places taken, by whom. Holds as many names as there are open connections, not more.
#[derive(Clone, Debug)]
pub struct Places<K> {
    most: usize,
    taken: BTreeMap<K, usize>,
}

impl<K: Ord> Places<K> {
    /// `most` for each; none is taken.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self { most, taken: BTreeMap::new() }
    }

    /// Takes a place; whether there was one.
    pub fn enter(&mut self, name: K) -> bool {
        let taken = self.taken.entry(name).or_insert(0);
        let free = *taken < self.most;
        if free {
            *taken += 1;
        }
        free
    }

    /// Gives one back.
    pub fn leave(&mut self, name: &K) {
        if let Some(taken) = self.taken.get_mut(name) {
            *taken -= 1;
            if *taken == 0 {
                self.taken.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_given_back_is_free_and_a_name_without_places_is_forgotten() {
        let mut places = Places::new(2);
        assert!(places.enter('a') && places.enter('a') && !places.enter('a') && places.enter('b'));
        places.leave(&'a');
        assert!(places.enter('a'));
        for _ in 0..3 {
            places.leave(&'a');
        }
        places.leave(&'b');
        assert!(places.taken.is_empty());
    }
}
