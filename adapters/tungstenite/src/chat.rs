//! The handle an application holds.

use crate::address::Address;
use crate::driver::{Command, Driver};
use crate::outside::{Outside, System};
use core::fmt;
use core::time::Duration;
use goldenpath_core::client::{Client, Config, Event, WhyCredential};
use goldenpath_core::fault::Misuse;
use goldenpath_core::id::{ClientMsgId, Epoch, FrameRef, RunId, Seq, ThreadId};
use goldenpath_core::seed::Seed;
use goldenpath_core::wire::{
    ClientBody, Credential, Json, MultitaskStrategy, OnDisconnect, Secret,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Events an application may leave unread before the socket is read no further.
const EVENTS: usize = 256;
const COMMANDS: usize = 64;
const GOODBYE: Duration = Duration::from_secs(2);

/// How a client proves who it is.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all: demo mode makes a user.
    Demo,
    /// A token in the `Authorization` header of the upgrade.
    Header(Secret),
    /// A token in the first frame.
    FirstFrame(Secret),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Demo => "Demo",
            Self::Header(_) => "Header(…)",
            Self::FirstFrame(_) => "FirstFrame(…)",
        })
    }
}

/// What an application hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The machine has news.
    Event(Event),
    /// Give another credential with [`Chat::set_token`].
    NeedCredential(WhyCredential),
}

/// A message to be sent; [`Chat::send`] makes one from its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What is said.
    pub content: String,
    /// Where; `None` opens a new thread.
    pub thread_id: Option<ThreadId>,
    /// What to do when a run is at work there.
    pub multitask: MultitaskStrategy,
    /// What the loss of this client means for the run.
    pub on_disconnect: OnDisconnect,
    /// The application's own, handed back in the log; a JSON object.
    pub metadata: Option<Json>,
}

/// One user's connection to a server; it comes back by itself until it is over. Dropped, it is gone at
/// once; [`Chat::close`] says goodbye.
#[derive(Debug)]
pub struct Chat {
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Heard>,
    driver: JoinHandle<()>,
}

impl Chat {
    /// Starts to connect. Whether it works is heard through [`Chat::next`].
    #[must_use]
    pub fn connect(address: Address, credentials: Credentials) -> Self {
        Self::connect_with(address, credentials, Config::default(), seed())
    }

    /// [`Chat::connect`] with everything given: the same seed draws the same waits and names.
    #[must_use]
    pub fn connect_with(
        address: Address,
        credentials: Credentials,
        config: Config,
        seed: Seed,
    ) -> Self {
        Self::connect_through(System, address, credentials, config, seed)
    }

    /// [`Chat::connect_with`] on streams and a civil time from elsewhere.
    #[must_use]
    pub fn connect_through(
        outside: impl Outside,
        address: Address,
        credentials: Credentials,
        config: Config,
        seed: Seed,
    ) -> Self {
        let by_frame = matches!(credentials, Credentials::FirstFrame(_));
        let token = match credentials {
            Credentials::Demo => None,
            Credentials::Header(token) | Credentials::FirstFrame(token) => Some(token),
        };
        let config = Config { auth_by_frame: by_frame, ..config };
        let machine = Client::new(config, seed, token.clone().map(Credential::Token));
        let (commands, commands_in) = mpsc::channel(COMMANDS);
        let (events_out, events) = mpsc::channel(EVENTS);
        let driver = Driver::new(outside, machine, address, token, commands_in, events_out);
        Self { commands, events, driver: tokio::spawn(driver.run()) }
    }

    /// Says something in a new thread; returns the name to find it by in the events. It is kept and sent
    /// again until the server has it.
    ///
    /// # Errors
    /// [`Misuse::Full`] when too many wait, [`Misuse::Ended`] when the connection is over.
    pub async fn send(&self, text: impl Into<String>) -> Result<ClientMsgId, Misuse> {
        self.send_message(Message { content: text.into(), ..Message::default() }).await
    }

    /// Says something with all its options.
    ///
    /// # Errors
    /// As [`Chat::send`].
    pub async fn send_message(&self, message: Message) -> Result<ClientMsgId, Misuse> {
        self.command(|answer| Command::Send(message, answer)).await
    }

    /// Stops a run; kept until the run has ended.
    ///
    /// # Errors
    /// [`Misuse::Ended`] when the connection is over.
    pub async fn cancel(&self, run_id: RunId) -> Result<(), Misuse> {
        self.command(|answer| Command::Cancel(run_id, answer)).await
    }

    /// Follows a thread from after a position.
    ///
    /// # Errors
    /// [`Misuse::Full`] when too many are followed, [`Misuse::Ended`] when the connection is over.
    pub async fn follow(
        &self,
        thread_id: ThreadId,
        epoch: Option<Epoch>,
        after: Seq,
    ) -> Result<(), Misuse> {
        self.command(|answer| Command::Follow(thread_id, epoch, after, answer)).await
    }

    /// Asks for anything else; the answer is an event with the returned reference.
    ///
    /// # Errors
    /// [`Misuse::NotNow`] without a ready connection, [`Misuse::Ended`] when it is over.
    pub async fn ask(&self, body: ClientBody) -> Result<FrameRef, Misuse> {
        self.command(|answer| Command::Ask(Box::new(body), answer)).await
    }

    /// A newer token.
    ///
    /// # Errors
    /// [`Misuse::Ended`] when the connection is over.
    pub async fn set_token(&self, token: Secret) -> Result<(), Misuse> {
        self.command(|answer| Command::SetToken(token, answer)).await
    }

    /// What happens next; `None` after the end. Safe to cancel.
    pub async fn next(&mut self) -> Option<Heard> {
        self.events.recv().await
    }

    /// Closes with 1000 and waits until that is done, two seconds at most.
    pub async fn close(self) {
        let Self { commands, mut events, mut driver } = self;
        let goodbye = async {
            let _ = commands.send(Command::Disconnect).await;
            while events.recv().await.is_some() {}
            let _ = (&mut driver).await;
        };
        if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
            driver.abort();
        }
    }

    async fn command<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, Misuse>>) -> Command,
    ) -> Result<T, Misuse> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(make(answer)).await.map_err(|_| Misuse::Ended)?;
        answered.await.unwrap_or(Err(Misuse::Ended))
    }
}

/// A seed that differs from process to process and from client to client.
fn seed() -> Seed {
    use std::hash::{BuildHasher, RandomState};
    // The standard library's hash keys come from the operating system.
    Seed::new(RandomState::new().hash_one(std::process::id()))
}
