//! What happens in a world, and when: everything the people do and everything that goes wrong. Drawn
//! from one seed, or read from a file.

use goldenpath_core::seed::Seed;
use serde::{Deserialize, Serialize};

/// A world's whole history as it is meant to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Decides what the steps leave open: latencies, ids, backoff.
    pub seed: u64,
    /// How many people there are; 1 to 3.
    pub users: usize,
    /// How many devices each has; 1 to 2.
    pub devices: usize,
    /// Longest way of a packet, in milliseconds of the simulation.
    pub latency_ms: u64,
    /// Whether devices prove who they are in their first frame, not in the upgrade.
    pub first_frame: bool,
    /// In the order of their times.
    #[serde(skip)]
    pub steps: Vec<At>,
}

/// A step and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// Milliseconds from the beginning.
    pub ms: u64,
    /// What happens.
    pub step: Step,
}

/// One thing that happens. Devices are numbered through all users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Says something, in a new thread or in the nth that its user has.
    Say {
        /// Whose.
        device: usize,
        /// Which thread; `None` opens one.
        thread: Option<usize>,
        /// A question of the scripted team.
        text: String,
        /// `enqueue`, `reject` or `interrupt`.
        multitask: String,
        /// Whether the run is to end when nobody listens.
        cancel_on_disconnect: bool,
    },
    /// Says the last message of its user once more, under the same name.
    Again {
        /// On which device.
        device: usize,
    },
    /// Says something else under the name of the last message.
    Contradict {
        /// On which device.
        device: usize,
    },
    /// Cancels the last run its user knows.
    Cancel {
        /// On which device.
        device: usize,
    },
    /// Follows a thread of its user from the beginning.
    Follow {
        /// Which device.
        device: usize,
        /// Which thread.
        thread: usize,
    },
    /// The application is closed; what it has shown is kept.
    Leave {
        /// Which device.
        device: usize,
    },
    /// The application is opened again.
    Return {
        /// Which device.
        device: usize,
    },
    /// The device reads nothing.
    Deaf {
        /// Which device.
        device: usize,
        /// For how long.
        ms: u64,
    },
    /// The device's sockets break.
    Cut {
        /// Which device.
        device: usize,
    },
    /// Nothing passes between device and node, and nobody is told.
    Partition {
        /// Which device.
        device: usize,
        /// For how long.
        ms: u64,
    },
    /// Nothing passes one way.
    OneWay {
        /// Which device.
        device: usize,
        /// Whether what is lost is what it says.
        up: bool,
        /// For how long.
        ms: u64,
    },
    /// Everything between device and node waits, then comes at once.
    Hold {
        /// Which device.
        device: usize,
        /// For how long.
        ms: u64,
    },
    /// Packets are lost.
    Lossy {
        /// Which device.
        device: usize,
        /// How many of a thousand.
        permille: u32,
        /// For how long.
        ms: u64,
    },
    /// Packets take longer.
    Slow {
        /// Which device.
        device: usize,
        /// How long they take from now on.
        latency_ms: u64,
    },
    /// The store refuses everything.
    Down {
        /// For how long.
        ms: u64,
    },
    /// What happens to the next writes, one each.
    Writes {
        /// Their fates.
        fates: Vec<Fate>,
    },
    /// What happens to the next reads, one each.
    Reads {
        /// Their fates.
        fates: Vec<Fate>,
    },
    /// The node dies.
    Crash {
        /// Where.
        when: Point,
        /// For how long.
        down_ms: u64,
        /// Whether writes that were handed over are done all the same.
        landed: bool,
        /// Whether its sockets just go silent, as with a power cut.
        silent: bool,
        /// How far its clock is off afterwards, in milliseconds.
        clock_ms: i64,
    },
    /// The clock of the node is set while it lives.
    SetClock {
        /// By how many milliseconds.
        by_ms: i64,
    },
    /// The node stands still, as a virtual machine that is resumed: all it was to do meanwhile is due at
    /// once.
    StandStill {
        /// For how long, by its clocks.
        ms: u64,
    },
    /// The node is asked to end, as by SIGTERM.
    Drain {
        /// How long it is away afterwards.
        down_ms: u64,
    },
}

/// What becomes of one call to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Not done, and the caller knows.
    Refused,
    /// Not done, and nobody knows.
    Lost,
    /// Done, and nobody knows.
    Unheard,
    /// Done after so many milliseconds.
    Late(u64),
    /// Done at once, told after so many milliseconds.
    LateAnswer(u64),
    /// As it should be.
    Well,
}

/// Where a node dies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// At its time.
    Now,
    /// With the nth write from now handed over and not done: between two batches.
    BeforeWrite(u32),
    /// With the nth write from now done and nothing of it sent.
    AfterWrite(u32),
    /// When a client has heard the nth frame of a type from now.
    Heard(String, u32),
}

const SCRIPTS: [&str; 12] = [
    "all is well",
    "all is well, again",
    "data 1 slow",
    "data 1 once",
    "data 3 once; report 1 once",
    "data 1 slow; optimization 3 slow; report 1 slow",
    "data 1 hang",
    "data 1 hang; optimization 1 hang; report 1 hang",
    "triage 0 silent",
    "optimization 1 fail",
    "report 2 silent",
    "data_helper 3 slow",
];

const KINDS: [&str; 6] = [
    "ack",
    "tool_executing",
    "agent_completed",
    "run_started",
    "assistant_message",
    "run_completed",
];

impl Plan {
    /// What a seed means.
    #[must_use]
    pub fn draw(seed: u64) -> Self {
        let mut from = Seed::new(seed);
        let users = 1 + from.below(3) as usize;
        let devices = 1 + from.below(2) as usize;
        let latency_ms = [5, 40, 120][from.below(3) as usize];
        let mut ms = 200;
        let mut steps = Vec::new();
        for _ in 0..12 + from.below(24) {
            let pause = if from.below(3) == 0 { 20 } else { 150 };
            ms += 10 * from.below(pause);
            steps.push(At { ms, step: Step::draw(&mut from, users * devices) });
        }
        Self { seed, users, devices, latency_ms, first_frame: from.below(2) == 0, steps }
    }

    /// As a file: the world first, then one step a line.
    ///
    /// # Panics
    /// Never: a plan has no shape that JSON lacks.
    #[must_use]
    pub fn text(&self) -> String {
        let line = |value: serde_json::Result<String>| value.expect("a plan is JSON") + "\n";
        let head = line(serde_json::to_string(self));
        head + &self.steps.iter().map(|at| line(serde_json::to_string(at))).collect::<String>()
    }

    /// Reads what [`text`](Self::text) wrote.
    ///
    /// # Errors
    /// The first line that is none of a plan.
    pub fn read(text: &str) -> serde_json::Result<Self> {
        let mut lines = text.lines();
        let mut plan: Self = serde_json::from_str(lines.next().unwrap_or_default())?;
        plan.steps = lines.map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(plan)
    }
}

impl Step {
    fn draw(from: &mut Seed, devices: usize) -> Self {
        let device = from.below(devices as u64) as usize;
        let longest = if from.below(4) == 0 { 900 } else { 200 };
        let ms = 200 + 10 * from.below(longest);
        match from.below(37) {
            0..=9 => Self::Say {
                device,
                thread: (from.below(3) > 0).then(|| from.below(3) as usize),
                text: SCRIPTS[from.below(SCRIPTS.len() as u64) as usize].to_owned(),
                multitask: ["enqueue", "enqueue", "reject", "interrupt"][from.below(4) as usize]
                    .to_owned(),
                cancel_on_disconnect: from.below(8) == 0,
            },
            10..=11 => Self::Again { device },
            12 => Self::Contradict { device },
            13 => Self::Cancel { device },
            14..=15 => Self::Follow { device, thread: from.below(3) as usize },
            16 => Self::Leave { device },
            17 => Self::Return { device },
            18 => Self::Deaf { device, ms: ms + 1000 },
            19 => Self::Cut { device },
            20 => Self::Partition { device, ms: 3 * ms },
            21 => Self::OneWay { device, up: from.below(2) == 0, ms: 3 * ms },
            22 => Self::Hold { device, ms },
            23 => Self::Lossy { device, permille: 10 + from.below(200) as u32, ms },
            24 => Self::Slow { device, latency_ms: 10 * from.below(60) },
            25 => Self::Down { ms },
            26..=27 => Self::Writes { fates: Fate::some(from) },
            28 => Self::Reads { fates: Fate::some(from) },
            29..=32 => Self::Crash {
                when: Point::draw(from),
                down_ms: 10 * from.below(300),
                landed: from.below(2) == 0,
                silent: from.below(3) == 0,
                clock_ms: [0, 0, -60_000, 300_000][from.below(4) as usize],
            },
            33..=34 => {
                let hours = [-12, -3, -1, 1, 3, 12][from.below(6) as usize];
                Self::SetClock { by_ms: hours * 3_600_000 }
            }
            35 => Self::StandStill { ms: [700, 5_000, 60_000, 7_200_000][from.below(4) as usize] },
            _ => Self::Drain { down_ms: 10 * from.below(100) },
        }
    }
}

impl Fate {
    fn some(from: &mut Seed) -> Vec<Self> {
        (0..1 + from.below(5))
            .map(|_| match from.below(6) {
                0 => Self::Refused,
                1 => Self::Lost,
                2 => Self::Unheard,
                3 => Self::Late(10 * from.below(300)),
                4 => Self::LateAnswer(10 * from.below(300)),
                _ => Self::Well,
            })
            .collect()
    }
}

impl Point {
    fn draw(from: &mut Seed) -> Self {
        let n = 1 + from.below(4) as u32;
        match from.below(4) {
            0 => Self::Now,
            1 => Self::BeforeWrite(n),
            2 => Self::AfterWrite(n),
            _ => Self::Heard(KINDS[from.below(KINDS.len() as u64) as usize].to_owned(), n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        for seed in 0..200 {
            let plan = Plan::draw(seed);
            assert_eq!(Plan::read(&plan.text()).ok(), Some(plan));
        }
    }
}
