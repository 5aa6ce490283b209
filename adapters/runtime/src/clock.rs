//! The two clocks of the machines, read in one place.

use goldenpath_core::time::{Millis, Mono, Now, Wall};
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

    /// Both clocks at this instant.
    #[must_use]
    pub fn now(&self) -> Now {
        let elapsed = millis(self.start.elapsed());
        let wall = match self.wall {
            WallSource::From(wall) => wall.after(elapsed),
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

    #[tokio::test]
    async fn the_end_of_time_can_be_slept_for() {
        let clock = Clock::system();
        assert!(clock.instant(Mono(u64::MAX)) > Instant::now());
    }
}
