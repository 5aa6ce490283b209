//! The one place that reads the clocks.

use goldenpath_core::time::{Mono, Now, Wall};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Turns the operating system's clocks into [`Now`]. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::start()
    }
}

impl Clock {
    /// A clock whose monotonic side begins at 0 now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Both clocks now.
    #[must_use]
    pub fn now(&self) -> Now {
        let mono = Mono(self.start.elapsed().as_millis() as u64);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now { mono, wall: Wall(wall.as_millis() as u64) }
    }

    /// When a deadline comes on tokio's clock: the first instant at which [`Self::now`] has reached it.
    #[must_use]
    pub fn instant(&self, deadline: Mono) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + Duration::from_millis(deadline.0))
    }
}
