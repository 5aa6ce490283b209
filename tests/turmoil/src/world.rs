//! Runs a plan: the node and the devices on one simulated network, all in one thread, by one clock.

use crate::device::{Order, Orders, seat};
use crate::ground::{Ground, Heard, NODE};
use crate::history::{Deed, check_history};
use crate::node::node;
use crate::oracle::{Logs, cancelled, check_frames, check_views, unsettled};
use crate::plan::{Plan, Point, Step};
use goldenpath_core::client::Link;
use goldenpath_core::id::ThreadId;
use goldenpath_core::wire::{MultitaskStrategy, OnDisconnect};
use goldenpath_simulator::{Broken, Invariant};
use goldenpath_tungstenite::Message;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use turmoil::{Builder, Sim};

/// The grain of time: every host has its turn once in it.
const TICK_MS: u64 = 10;
/// No packet takes less.
const SHORTEST_WAY: Duration = Duration::from_millis(1);
/// How long a healed world may take to converge.
const PATIENCE_MS: u64 = 120_000;
/// How long it must then stay so.
const QUIET_MS: u64 = 3_000;

/// What came of a plan.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What did not hold.
    pub broken: Vec<Broken>,
    /// Of everything clients heard: times, ids and bytes.
    pub digest: u64,
    /// How many frames they heard.
    pub frames: usize,
    /// What happened, and how often.
    pub met: BTreeMap<String, u64>,
    /// When a device dialed, in milliseconds, and which.
    pub dials: Vec<(u64, usize)>,
    /// Milliseconds of the simulation.
    pub ms: u64,
    /// What clients heard, a line each.
    pub story: Vec<String>,
}

/// Runs a plan to its end, heals everything, and checks the whole history.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let Played { ground, heard, mut broken, ms } = play(plan);
    let logs = Logs::read(&ground);
    logs.check(&ground, &mut broken);
    broken.extend(check_frames(&ground, &logs, &heard));
    broken.extend(check_views(&ground, &logs));
    let cancels = cancelled(&heard);
    if !cancels.is_empty() {
        ground.meet("cancel: a client was promised");
    }
    let deeds = ground.history.deeds();
    for (_, deed) in &deeds {
        match deed {
            Deed::Called { repeatable: false, .. } => ground.meet("tool: called, and only once"),
            Deed::Told { .. } => ground.meet("run: a task was told to stop"),
            _ => {}
        }
    }
    broken.extend(check_history(&deeds, ground.history.now(), &cancels));
    let mut hasher = DefaultHasher::new();
    heard.hash(&mut hasher);
    let mut met = std::mem::take(&mut ground.tape().met);
    for (what, times) in ground.disk.met() {
        *met.entry(what.to_owned()).or_default() += times;
    }
    let dials = std::mem::take(&mut ground.tape().dials);
    let story = heard.iter().map(ToString::to_string).collect();
    Outcome { broken, digest: hasher.finish(), frames: heard.len(), met, dials, ms, story }
}

/// A history before it is judged.
pub(crate) struct Played {
    pub(crate) ground: Arc<Ground>,
    pub(crate) heard: Vec<Heard>,
    /// What did not converge.
    pub(crate) broken: Vec<Broken>,
    pub(crate) ms: u64,
}

/// Runs a plan and heals everything.
pub(crate) fn play(plan: &Plan) -> Played {
    let ground = Arc::new(Ground::new(plan.seed, plan.users, plan.devices, plan.first_frame));
    let mut world = World::new(plan, ground.clone());
    let mut broken = Vec::new();
    if let Err(error) = world.live(plan) {
        broken.push(Broken { invariant: Invariant::Rests, what: format!("a host ended: {error}") });
    }
    let open = world.heal().unwrap_or_else(|error| vec![format!("a host ended: {error}")]);
    broken.extend(open.into_iter().map(|what| Broken { invariant: Invariant::Converges, what }));
    let ms = world.now_ms();
    drop(world);
    let heard = std::mem::take(&mut ground.tape().heard);
    Played { ground, heard, broken, ms }
}

/// What is to be undone, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undo {
    Bounce,
    Lossy(usize),
    Release(usize),
    Repair(usize),
    StoreUp,
}

struct World {
    sim: Sim<'static>,
    ground: Arc<Ground>,
    orders: Vec<Orders>,
    undo: Vec<(u64, Undo)>,
    /// How the node is to die at its trap.
    death: Death,
    is_down: bool,
    usual_latency_ms: u64,
    /// Longest way of a packet, of each device.
    latency_ms: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Death {
    down_ms: u64,
    landed: bool,
    silent: bool,
    clock_ms: i64,
}

fn name(device: usize) -> String {
    format!("device-{device}")
}

impl World {
    fn new(plan: &Plan, ground: Arc<Ground>) -> Self {
        let mut sim = Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(Duration::from_millis(TICK_MS))
            .simulation_duration(Duration::from_secs(100_000))
            .min_message_latency(SHORTEST_WAY)
            .max_message_latency(Duration::from_millis(plan.latency_ms))
            .tcp_capacity(8)
            .build();
        let of_node = ground.clone();
        sim.host(NODE, move || node(of_node.clone()));
        let mut orders = Vec::new();
        for number in 0..ground.seats.len() {
            let (sender, device) = seat(&ground, number);
            sim.client(name(number), device);
            orders.push(sender);
        }
        let (undo, death) = (Vec::new(), Death::default());
        let latency_ms = vec![plan.latency_ms; orders.len()];
        Self {
            sim,
            ground,
            orders,
            undo,
            death,
            is_down: false,
            usual_latency_ms: plan.latency_ms,
            latency_ms,
        }
    }

    fn now_ms(&self) -> u64 {
        self.sim.elapsed().as_millis() as u64
    }

    fn live(&mut self, plan: &Plan) -> turmoil::Result {
        for at in &plan.steps {
            while self.now_ms() < at.ms {
                self.tick()?;
            }
            self.take(&at.step);
        }
        // What the last steps began, runs on for a while.
        let end = self.now_ms() + 5_000;
        while self.now_ms() < end {
            self.tick()?;
        }
        Ok(())
    }

    /// One grain of time, and what it led to.
    fn tick(&mut self) -> turmoil::Result {
        self.sim.step()?;
        let now = self.now_ms();
        self.ground.history.at(now);
        if !self.is_down {
            if self.ground.disk.is_sprung() {
                self.die(self.death);
            } else if std::mem::take(&mut self.ground.tape().drained) {
                self.ground.meet("node: ended after its drain");
                self.down(self.death.down_ms, true);
            }
        }
        let due: Vec<Undo> =
            self.undo.extract_if(.., |(at, _)| *at <= now).map(|(_, undo)| undo).collect();
        for undo in due {
            self.undo(undo);
        }
        Ok(())
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Bounce => {
                self.is_down = false;
                self.sim.bounce(NODE);
            }
            Undo::Lossy(device) => self.sim.set_link_fail_rate(NODE, name(device), 0.0),
            Undo::Release(device) => self.sim.release(NODE, name(device)),
            Undo::Repair(device) => self.sim.repair(NODE, name(device)),
            Undo::StoreUp => self.ground.disk.memory.set_down(false),
        }
    }

    fn later(&mut self, ms: u64, undo: Undo) {
        let at = self.now_ms() + ms;
        self.undo.push((at, undo));
    }

    fn die(&mut self, death: Death) {
        if death.silent {
            // A power cut sends no FIN: its last words are lost with the links.
            for device in 0..self.orders.len() {
                self.sim.partition_oneway(NODE, name(device));
                self.later(100, Undo::Repair(device));
            }
            self.ground.meet("crash: silent");
        }
        self.ground.set_clock(death.clock_ms);
        if death.clock_ms != 0 {
            self.ground.meet("clock: jumped");
        }
        self.down(death.down_ms, death.landed);
    }

    fn down(&mut self, ms: u64, landed: bool) {
        self.ground.disk.died(landed);
        // In which order a process that dies lets go of its sockets is not led by the seed: the last packet to
        // each client takes the same time.
        for device in 0..self.orders.len() {
            self.sim.set_link_max_message_latency(NODE, name(device), SHORTEST_WAY);
        }
        self.sim.crash(NODE);
        for (device, ms) in self.latency_ms.iter().enumerate() {
            let latency = Duration::from_millis(*ms);
            self.sim.set_link_max_message_latency(NODE, name(device), latency);
        }
        self.is_down = true;
        self.later(ms.max(TICK_MS), Undo::Bounce);
    }

    fn order(&self, device: usize, order: Order) {
        // A device lives as long as the world.
        let _ = self.orders[device].send(order);
    }

    fn thread(&self, device: usize, nth: usize) -> Option<ThreadId> {
        let threads = self.ground.threads(device);
        threads.get(nth % threads.len().max(1)).copied()
    }

    fn take(&mut self, step: &Step) {
        let met = match step {
            Step::Say { device, thread, text, multitask, cancel_on_disconnect } => {
                let multitask = match multitask.as_str() {
                    "reject" => MultitaskStrategy::Reject,
                    "interrupt" => MultitaskStrategy::Interrupt,
                    _ => MultitaskStrategy::Enqueue,
                };
                let on_disconnect = if *cancel_on_disconnect {
                    OnDisconnect::Cancel
                } else {
                    OnDisconnect::Continue
                };
                let thread_id = thread.and_then(|nth| self.thread(*device, nth));
                let content = text.clone();
                let message =
                    Message { content, thread_id, multitask, on_disconnect, metadata: None };
                self.order(*device, Order::Say(message));
                "step: say"
            }
            Step::Again { device } | Step::Contradict { device } => {
                let user = self.ground.seat(*device).user;
                let Some(mut message) = self.ground.tape().last_words.get(&user).cloned() else {
                    return;
                };
                let contradicts = matches!(step, Step::Contradict { .. });
                if contradicts {
                    message.content.push_str(", but otherwise");
                }
                self.order(*device, Order::Again(message));
                if contradicts { "step: contradict" } else { "step: say again" }
            }
            Step::Cancel { device } => {
                let Some(run_id) = self.ground.last_run(*device) else { return };
                self.order(*device, Order::Cancel(run_id));
                "step: cancel"
            }
            Step::Follow { device, thread } => {
                let Some(thread_id) = self.thread(*device, *thread) else { return };
                self.order(*device, Order::Follow(thread_id));
                "step: follow"
            }
            Step::Leave { device } => {
                self.order(*device, Order::Leave);
                "step: leave"
            }
            Step::Return { device } => {
                self.order(*device, Order::Return);
                "step: return"
            }
            Step::Deaf { device, ms } => {
                let until = self.now_ms() + ms;
                self.ground.seat(*device).deaf_until_ms = until;
                "net: deaf"
            }
            Step::Cut { device } => {
                self.cut(*device);
                "net: cut"
            }
            Step::Partition { device, ms } => {
                self.sim.partition(NODE, name(*device));
                self.later(*ms, Undo::Repair(*device));
                "net: partition"
            }
            Step::OneWay { device, up, ms } => {
                if *up {
                    self.sim.partition_oneway(name(*device), NODE);
                } else {
                    self.sim.partition_oneway(NODE, name(*device));
                }
                self.later(*ms, Undo::Repair(*device));
                if *up { "net: nothing up" } else { "net: nothing down" }
            }
            Step::Hold { device, ms } => {
                self.sim.hold(NODE, name(*device));
                self.later(*ms, Undo::Release(*device));
                "net: hold"
            }
            Step::Lossy { device, permille, ms } => {
                let rate = f64::from(*permille) / 1000.0;
                self.sim.set_link_fail_rate(NODE, name(*device), rate);
                self.later(*ms, Undo::Lossy(*device));
                "net: loss"
            }
            Step::Slow { device, latency_ms } => {
                let latency = Duration::from_millis(*latency_ms.max(&1));
                self.latency_ms[*device] = *latency_ms.max(&1);
                self.sim.set_link_max_message_latency(NODE, name(*device), latency);
                "net: slow"
            }
            Step::Down { ms } => {
                self.ground.disk.memory.set_down(true);
                self.later(*ms, Undo::StoreUp);
                "store: down"
            }
            Step::Writes { fates } => {
                self.ground.disk.writes(fates);
                return;
            }
            Step::Reads { fates } => {
                self.ground.disk.reads(fates);
                "store: reads fail"
            }
            Step::Crash { when, down_ms, landed, silent, clock_ms } => {
                let (down_ms, landed) = (*down_ms, *landed);
                let death = Death { down_ms, landed, silent: *silent, clock_ms: *clock_ms };
                if self.is_down {
                    return;
                }
                if *when != Point::Now {
                    self.death = death;
                    return self.ground.disk.set_trap(Some(when.clone()));
                }
                self.die(death);
                "crash: at once"
            }
            Step::SetClock { by_ms } => {
                self.ground.tape().is_clock_set = true;
                self.ground.set_clock(*by_ms);
                match (self.is_heard_at_work(), *by_ms < 0) {
                    (true, true) => "clock: set back while a run was heard",
                    (true, false) => "clock: set forwards while a run was heard",
                    (false, _) => "clock: set",
                }
            }
            Step::StandStill { ms } => {
                if self.is_down {
                    return;
                }
                {
                    let mut tape = self.ground.tape();
                    tape.is_clock_set = true;
                    tape.stand_still_ms = *ms;
                }
                self.ground.stand_still.notify_one();
                if self.is_heard_at_work() {
                    "node: stood still while a run was heard"
                } else {
                    "node: stood still"
                }
            }
            Step::Drain { down_ms } => {
                if self.is_down {
                    return;
                }
                self.death = Death { down_ms: *down_ms, ..self.death };
                self.ground.drain.notify_one();
                "step: drain"
            }
        };
        self.ground.meet(met);
    }

    /// Whether a run of somebody is going who is connected.
    fn is_heard_at_work(&self) -> bool {
        let unfinished = self.ground.disk.memory.snapshot().unfinished_runs();
        !self.is_down
            && (0..self.orders.len()).any(|device| {
                let user = self.ground.user(device);
                self.ground.seat(device).link == Some(Link::Ready)
                    && unfinished.iter().any(|run| *run.owner() == user)
            })
    }

    fn cut(&self, device: usize) {
        let wakers = {
            let mut seat = self.ground.seat(device);
            seat.cuts += 1;
            std::mem::take(&mut seat.wakers)
        };
        for waker in wakers {
            waker.wake();
        }
    }

    /// All faults stop; answers what has not converged in time.
    fn heal(&mut self) -> turmoil::Result<Vec<String>> {
        self.ground.disk.heal();
        if self.ground.clock_off_ms.swap(0, Ordering::Relaxed) > 0 {
            self.ground.goes_back();
        }
        let pending = std::mem::take(&mut self.undo);
        for device in 0..self.orders.len() {
            self.sim.release(NODE, name(device));
            self.sim.set_link_fail_rate(NODE, name(device), 0.0);
            self.latency_ms[device] = self.usual_latency_ms;
            let latency = Duration::from_millis(self.usual_latency_ms);
            self.sim.set_link_max_message_latency(NODE, name(device), latency);
            self.ground.seat(device).deaf_until_ms = 0;
        }
        if pending.iter().any(|(_, undo)| *undo == Undo::Bounce) {
            self.undo(Undo::Bounce);
        }
        for device in 0..self.orders.len() {
            self.order(device, Order::Return);
        }
        let end = self.now_ms() + PATIENCE_MS;
        let mut quiet_since = None;
        loop {
            for _ in 0..20 {
                self.tick()?;
            }
            let now = self.now_ms();
            let open = unsettled(&self.ground);
            if !open.is_empty() {
                quiet_since = None;
                if now > end {
                    return Ok(open);
                }
            } else if now >= *quiet_since.get_or_insert(now) + QUIET_MS {
                return Ok(open);
            }
        }
    }
}
