//! Every bound in one place (invariant 12): what happens at each is written at its machine.

use crate::time::Millis;

/// The bounds of all machines. Counts are inclusive; sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Longest client message; above it `message_too_large`, the connection stays.
    pub message_bytes: usize,
    /// Longest frame; above it close 1009.
    pub frame_bytes: usize,
    /// Longest user message content, in bytes of UTF-8.
    pub content_bytes: usize,
    /// From the upgrade to a valid credential (CONN-04).
    pub auth_timeout: Millis,
    /// In demo mode, how long a client without a credential is given to send `auth` before it becomes a
    /// demo user; what it says meanwhile is held.
    pub demo_wait: Millis,
    /// How often the server pings.
    pub heartbeat_interval: Millis,
    /// Silence after which a connection ends with 4421 (CONN-09).
    pub heartbeat_timeout: Millis,
    /// Age at which a connection is recycled with 4410.
    pub connection_max_age: Millis,
    /// How long before expiry `token_expiring` is sent.
    pub token_warning: Millis,
    /// How long after expiry a connection may live on before 4440 (AUTH-03).
    pub token_grace: Millis,
    /// Frames held that arrive before the connection is ready (CONN-02).
    pub held_frames: usize,
    /// Protocol violations in a row after which the connection ends with 4400.
    pub violations: u32,
    /// Sustained messages a minute, per connection and per user.
    pub messages_per_minute: u32,
    /// Messages that may come at once before the sustained rate applies.
    pub message_burst: u32,
    /// Refusals for rate in a row after which the connection ends with 4429.
    pub rate_refusals: u32,
    /// Connections of one user; the oldest is closed with 4409 beyond it.
    pub connections_per_user: usize,
    /// Threads one connection may follow.
    pub subscriptions_per_connection: usize,
    /// Frames waiting in one connection's outbox; beyond it 4420.
    pub outbox_frames: usize,
    /// Bytes waiting in one connection's outbox; beyond it 4420.
    pub outbox_bytes: usize,
    /// Entries one resume may replay; beyond it `recovered:false`, `replay_too_large`.
    pub replay_entries: u64,
    /// Entries loaded from the store in one read.
    pub load_page: u64,
    /// Runs waiting in one thread; beyond it `queue_full`.
    pub queued_runs_per_thread: usize,
    /// Runs of one user at work at once, over all threads; others wait.
    pub running_runs_per_user: usize,
    /// Commands waiting for a thread that is being loaded.
    pub waiting_commands: usize,
    /// First wait before a failed store call is tried again; doubles up to `store_retry_max`.
    pub store_retry_min: Millis,
    /// Longest wait between tries.
    pub store_retry_max: Millis,
    /// Tries of a commit that carries a new message before its sender hears `storage_unavailable`.
    pub message_commit_tries: u32,
    /// Longest run.
    pub run_timeout: Millis,
    /// Longest work of one agent.
    pub agent_timeout: Millis,
    /// Longest call of one tool, unless the tool says less.
    pub tool_timeout: Millis,
    /// From an accepted cancel to the terminal event, even if the agent never answers (RUN-09).
    pub cancel_grace: Millis,
    /// How much longer than `run_timeout` the hub waits before it ends a run whose task is dead (F24).
    pub run_supervision_grace: Millis,
    /// Claims of one run, the first included; a run that dies more often ends interrupted.
    pub run_attempts: u32,
    /// Effects one run may ask for.
    pub effects_per_run: u32,
    /// Agents one agent may have below it, in depth.
    pub delegation_depth: u32,
    /// Tries of a tool whose failure is transient.
    pub tool_attempts: u32,
    /// Result bytes kept inside an event; larger results travel by reference with a preview.
    pub inline_result_bytes: usize,
    /// Bytes of tool arguments kept inside an event.
    pub inline_args_bytes: usize,
    /// From SIGTERM to the last close (RUN-13).
    pub drain_deadline: Millis,
    /// From `server_draining` to 1012 on one connection: what is under way still reaches its reader.
    pub drain_linger: Millis,
    /// Largest reconnect delay handed out when draining; each connection gets a part of it.
    pub drain_jitter: Millis,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 8192,
            frame_bytes: 64 * 1024,
            content_bytes: 8000,
            auth_timeout: Millis::from_secs(10),
            demo_wait: Millis(250),
            heartbeat_interval: Millis::from_secs(25),
            heartbeat_timeout: Millis::from_secs(75),
            connection_max_age: Millis::from_secs(55 * 60),
            token_warning: Millis::from_secs(60),
            token_grace: Millis::from_secs(10),
            held_frames: 16,
            violations: 20,
            messages_per_minute: 60,
            message_burst: 30,
            rate_refusals: 100,
            connections_per_user: 16,
            subscriptions_per_connection: 64,
            outbox_frames: 4096,
            outbox_bytes: 4 * 1024 * 1024,
            replay_entries: 20_000,
            load_page: 500,
            queued_runs_per_thread: 16,
            running_runs_per_user: 4,
            waiting_commands: 64,
            store_retry_min: Millis(50),
            store_retry_max: Millis::from_secs(2),
            message_commit_tries: 3,
            run_timeout: Millis::from_secs(60),
            agent_timeout: Millis::from_secs(30),
            tool_timeout: Millis::from_secs(15),
            cancel_grace: Millis::from_secs(2),
            run_supervision_grace: Millis::from_secs(5),
            run_attempts: 3,
            effects_per_run: 500,
            delegation_depth: 3,
            tool_attempts: 3,
            inline_result_bytes: 16 * 1024,
            inline_args_bytes: 4 * 1024,
            drain_deadline: Millis::from_secs(8),
            drain_linger: Millis::from_secs(1),
            drain_jitter: Millis::from_secs(5),
        }
    }
}
