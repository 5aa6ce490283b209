//! The two clocks of the machines, read in one place.

use goldenpath_core::time::{Millis, Mono, Now, Wall};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Reads both clocks. `mono` counts from the making of the clock and follows tokio's time, so that a
/// simulation can hold it still; cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    wall: WallSource,
}

#[derive(Clone, Copy, Debug)]
enum WallSource {
    /// The civil time at `start`; it moves with `mono`.
    From(Wall),
    /// The same, and so many milliseconds off, which may change while we run.
    Set(Wall, &'static AtomicI64),
    /// The operating system's clock, which may be set while we run.
    System,
}

impl Clock {
    /// Civil time from the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self { start: Instant::now(), wall: WallSource::System }
    }

    /// Civil time that begins at `wall` and moves with tokio's time alone; for simulations.
    #[must_use]
    pub fn starting_at(wall: Wall) -> Self {
        Self { start: Instant::now(), wall: WallSource::From(wall) }
    }

    /// Civil time that begins at `wall`, moves with tokio's time, and is off by `off` milliseconds; whoever
    /// holds `off` sets it, as an operator or NTP sets the clock of a machine. For simulations.
    #[must_use]
    pub fn set_by(wall: Wall, off: &'static AtomicI64) -> Self {
        Self { start: Instant::now(), wall: WallSource::Set(wall, off) }
    }

    /// Both clocks at this instant.
    #[must_use]
    pub fn now(&self) -> Now {
        let elapsed = millis(self.start.elapsed());
        let wall = match self.wall {
            WallSource::From(wall) => wall.after(elapsed),
            WallSource::Set(wall, off) => {
                Wall(wall.after(elapsed).0.saturating_add_signed(off.load(Ordering::Relaxed)))
            }
            WallSource::System => {
                Wall(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| millis(d).0))
            }
        };
        Now { mono: Mono(elapsed.0), wall }
    }

    /// When tokio's clock reaches a deadline; a time beyond its reach is thirty years away.
    #[must_use]
    pub fn instant(&self, mono: Mono) -> Instant {
        let furthest = Duration::from_secs(30 * 365 * 86_400);
        self.start + Duration::from_millis(mono.0).min(furthest)
    }
}

fn millis(duration: Duration) -> Millis {
    Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sleep_until_a_deadline_ends_at_it_and_not_before() {
        let clock = Clock::starting_at(Wall(1_000));
        let deadline = clock.now().mono.after(Millis(1_500));
        tokio::time::sleep_until(clock.instant(deadline)).await;
        assert_eq!(clock.now(), Now { mono: deadline, wall: Wall(2_500) });
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_moves_no_deadline() {
        static OFF: AtomicI64 = AtomicI64::new(0);
        let clock = Clock::set_by(Wall(1_000), &OFF);
        let (before, deadline) = (clock.now(), clock.instant(Mono(500)));
        OFF.store(-400, Ordering::Relaxed);
        assert_eq!(clock.now(), Now { wall: Wall(600), ..before });
        OFF.store(7_200_000, Ordering::Relaxed);
        assert_eq!(clock.now(), Now { wall: Wall(7_201_000), ..before });
        assert_eq!(clock.instant(Mono(500)), deadline);
    }

    #[tokio::test]
    async fn the_end_of_time_can_be_slept_for() {
        let clock = Clock::system();
        assert!(clock.instant(Mono(u64::MAX)) > Instant::now());
    }
}
