//! Determinism instead of randomness: a seed handed in, and what is drawn from it.

use crate::time::Wall;

/// A reproducible source of numbers (SplitMix64). Not for secrets: tokens, tickets and keys come from
/// the operating system through an adapter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seed(u64);

impl Seed {
    /// The same value draws the same numbers.
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; 0 for a bound of 0. The bias is below 2⁻³² for bounds under 2³².
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// An independent seed for a part of the system.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self(self.draw())
    }

    /// 128 bits that sort by time: 48 bits of `wall` milliseconds, then 80 drawn bits (the layout of a ULID).
    pub fn id_bits(&mut self, wall: Wall) -> u128 {
        let time = u128::from(wall.0 & 0xFFFF_FFFF_FFFF) << 80;
        let high = u128::from(self.draw() & 0xFFFF) << 64;
        time | high | u128::from(self.draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers() {
        let (mut a, mut b) = (Seed::new(7), Seed::new(7));
        assert!((0..100).all(|_| a.draw() == b.draw()));
    }

    /// The first numbers of the published SplitMix64 for this seed.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut seed = Seed::new(1_234_567);
        let drawn = [seed.draw(), seed.draw(), seed.draw()];
        assert_eq!(drawn, [6457827717110365317, 3203168211198807973, 9817491932198370423]);
    }

    #[test]
    fn an_id_is_48_bits_of_time_and_80_that_were_drawn() {
        let mut seed = Seed::new(7);
        let mut twin = seed.clone();
        let bits = seed.id_bits(Wall(0xFFFF_1234_5678_9ABC));
        assert_eq!(bits >> 80, 0x1234_5678_9ABC);
        assert_eq!((bits >> 64) as u64 & 0xFFFF, twin.draw() & 0xFFFF);
        assert_eq!(bits as u64, twin.draw());
    }

    #[test]
    fn ids_sort_by_time() {
        let mut seed = Seed::new(1);
        let early = seed.id_bits(Wall(1_000));
        let late = seed.id_bits(Wall(1_001));
        assert!(early < late);
    }

    #[test]
    fn below_stays_below() {
        let mut seed = Seed::new(3);
        assert!((0..1000).all(|_| seed.below(10) < 10));
        assert_eq!(seed.below(0), 0);
    }
}
