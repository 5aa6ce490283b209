//! The loop between the machine and the world: does what the machine says, tells it what happened.

use crate::address::Address;
use crate::chat::{Heard, Message};
use crate::dial::{Socket, upgrade_through};
use crate::outside::Outside;
use crate::rest::Rest;
use core::future::pending;
use core::pin::Pin;
use core::time::Duration;
use futures_util::future::OptionFuture;
use futures_util::{SinkExt, StreamExt};
use goldenpath_core::client::{Client, DialFailure, Input, Output, Snapshot};
use goldenpath_core::fault::{Fault, Misuse};
use goldenpath_core::id::{ClientMsgId, EffectId, Epoch, FrameRef, RunId, Seq, ThreadId};
use goldenpath_core::time::{Mono, Now};
use goldenpath_core::wire::{ClientBody, CloseCode, Credential, Frame, Secret, UserMessage};
use std::collections::VecDeque;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as WsMessage, Utf8Bytes};

/// Events waiting for the application; beyond it the socket is read no further.
const UNREAD: usize = 256;
/// A server that takes nothing for so long is dead.
const WRITE: Duration = Duration::from_secs(10);
/// How long a goodbye may take.
const CLOSE: Duration = Duration::from_secs(1);

type Answer<T> = oneshot::Sender<Result<T, Misuse>>;
type Dialing<S> = Pin<Box<dyn Future<Output = Result<Socket<S>, DialFailure>> + Send>>;

/// What the application asks for.
pub(crate) enum Command {
    Ask(Box<ClientBody>, Answer<FrameRef>),
    Cancel(RunId, Answer<()>),
    Disconnect,
    Follow(ThreadId, Option<Epoch>, Seq, Answer<()>),
    Send(Message, Answer<ClientMsgId>),
    SetToken(Secret, Answer<()>),
}

/// What happened.
enum Happened<S> {
    Asked(Option<Command>),
    Dialed(Result<Socket<S>, DialFailure>),
    Frame(Option<Result<WsMessage, Error>>),
    Loaded(EffectId, Result<Snapshot, Fault>),
    Taken,
    Timeout,
}

pub(crate) struct Driver<O: Outside> {
    outside: O,
    machine: Client,
    address: Address,
    token: Option<Secret>,
    started: Instant,
    dial: EffectId,
    dialing: Option<Dialing<O::Io>>,
    socket: Option<Socket<O::Io>>,
    loads: JoinSet<(EffectId, Result<Snapshot, Fault>)>,
    unread: VecDeque<Heard>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Heard>,
    gone: bool,
}

impl<O: Outside> Driver<O> {
    pub(crate) fn new(
        outside: O,
        machine: Client,
        address: Address,
        token: Option<Secret>,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<Heard>,
    ) -> Self {
        Self {
            outside,
            machine,
            address,
            token,
            started: Instant::now(),
            dial: EffectId::default(),
            dialing: None,
            socket: None,
            loads: JoinSet::new(),
            unread: VecDeque::new(),
            commands,
            events,
            gone: false,
        }
    }

    /// Runs until the machine has ended and the application knows, or the application is gone.
    pub(crate) async fn run(mut self) {
        let now = self.now();
        let started = self.machine.connect(now);
        debug_assert_eq!(started, Ok(()), "a new machine may connect");
        loop {
            let deadline = self.drain().await;
            let is_over = self.socket.is_none() && self.dialing.is_none() && deadline.is_none();
            if self.gone || (is_over && self.unread.is_empty() && self.has_ended()) {
                return;
            }
            let happened = self.wait(deadline).await;
            self.tell(happened);
        }
    }

    fn has_ended(&self) -> bool {
        matches!(self.machine.link(), goldenpath_core::client::Link::Ended(_))
    }

    /// Milliseconds from the runtime's clock for deadlines, from the outside's for records.
    fn now(&self) -> Now {
        let mono = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono: Mono(mono), wall: self.outside.wall() }
    }

    /// Does everything the machine says; returns when it wants to be called again.
    async fn drain(&mut self) -> Option<Mono> {
        loop {
            match self.machine.poll_output() {
                Output::Dial { dial, credential } => self.start_dial(dial, credential),
                Output::Event(event) => self.unread.push_back(Heard::Event(event)),
                Output::Hangup { dial, code } => self.hang_up(dial, code).await,
                Output::Idle(deadline) => return deadline,
                Output::LoadSnapshot { effect, thread_id, epoch, after_seq, url } => {
                    let (address, token) = (self.address.clone(), self.token.clone());
                    let rest = Rest::through(self.outside.clone(), address, token);
                    self.loads.spawn(async move {
                        let log = rest.log(thread_id, epoch, after_seq, url.as_deref());
                        (effect, log.await)
                    });
                }
                Output::NeedCredential(why) => self.unread.push_back(Heard::NeedCredential(why)),
                Output::Send { dial, frame } => self.write(dial, &frame).await,
            }
        }
    }

    fn start_dial(&mut self, dial: EffectId, credential: Option<Credential>) {
        self.socket = None;
        self.dial = dial;
        let (outside, address) = (self.outside.clone(), self.address.clone());
        self.dialing = Some(Box::pin(async move {
            upgrade_through(&outside, &address, credential.as_ref()).await
        }));
    }

    async fn write(&mut self, dial: EffectId, frame: &Frame) {
        let Some(socket) = self.socket.as_mut().filter(|_| self.dial == dial) else { return };
        let message = WsMessage::Text(Utf8Bytes::from(frame.as_str()));
        let written = timeout(WRITE, socket.send(message)).await;
        if !matches!(written, Ok(Ok(()))) {
            self.lost(None);
        }
    }

    async fn hang_up(&mut self, dial: EffectId, code: CloseCode) {
        if self.dial != dial {
            return;
        }
        self.dialing = None;
        if let Some(mut socket) = self.socket.take() {
            let close = CloseFrame { code: code.code().into(), reason: code.reason().into() };
            // The server answers with its own close frame; who does not in time is left alone.
            let _ = timeout(CLOSE, async {
                socket.close(Some(close)).await.ok();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_close() {
                        break;
                    }
                }
            })
            .await;
        }
    }

    fn lost(&mut self, code: Option<u16>) {
        self.socket = None;
        let (now, dial) = (self.now(), self.dial);
        self.machine.handle_input(now, Input::Closed { dial, code });
    }

    async fn wait(&mut self, deadline: Option<Mono>) -> Happened<O::Io> {
        let deadline = deadline.map(|at| self.started + Duration::from_millis(at.0));
        let can_read = self.unread.len() < UNREAD;
        let dialing: OptionFuture<_> = self.dialing.as_mut().into();
        let reading: OptionFuture<_> =
            self.socket.as_mut().filter(|_| can_read).map(StreamExt::next).into();
        let has_unread = !self.unread.is_empty();
        tokio::select! {
            biased;
            Some(dialed) = dialing => Happened::Dialed(dialed),
            command = self.commands.recv() => Happened::Asked(command),
            () = until(deadline) => Happened::Timeout,
            permit = self.events.reserve(), if has_unread => {
                match (permit, self.unread.pop_front()) {
                    (Ok(permit), Some(heard)) => permit.send(heard),
                    (Ok(_), None) => {}
                    (Err(_), _) => self.gone = true,
                }
                Happened::Taken
            }
            Some(Ok((effect, result))) = self.loads.join_next() => Happened::Loaded(effect, result),
            Some(frame) = reading => Happened::Frame(frame),
        }
    }

    fn tell(&mut self, happened: Happened<O::Io>) {
        let (now, dial) = (self.now(), self.dial);
        match happened {
            Happened::Asked(Some(command)) => self.obey(now, command),
            Happened::Asked(None) => self.gone = true,
            Happened::Dialed(Ok(socket)) => {
                self.dialing = None;
                self.socket = Some(socket);
                self.machine.handle_input(now, Input::Opened { dial });
            }
            Happened::Dialed(Err(why)) => {
                self.dialing = None;
                self.machine.handle_input(now, Input::DialFailed { dial, why });
            }
            Happened::Frame(frame) => self.frame(now, frame),
            Happened::Loaded(effect, result) => {
                self.machine.handle_input(now, Input::Snapshot { effect, result });
            }
            Happened::Taken => {}
            Happened::Timeout => self.machine.handle_timeout(now),
        }
    }

    fn frame(&mut self, now: Now, frame: Option<Result<WsMessage, Error>>) {
        let dial = self.dial;
        match frame {
            Some(Ok(WsMessage::Text(text))) => {
                self.machine.handle_input(now, Input::Text { dial, text: text.as_str() });
            }
            Some(Ok(WsMessage::Close(frame))) => self.lost(frame.map(|frame| frame.code.into())),
            Some(Ok(_)) => self.machine.handle_input(now, Input::Alive { dial }),
            Some(Err(error)) => {
                tracing::debug!(%error, "the socket failed");
                self.lost(None);
            }
            None => self.lost(None),
        }
    }

    /// An application that no longer waits for its answer loses only the answer.
    fn obey(&mut self, now: Now, command: Command) {
        match command {
            Command::Ask(body, answer) => {
                let _ = answer.send(self.machine.ask(*body));
            }
            Command::Cancel(run_id, answer) => {
                let _ = answer.send(self.machine.cancel(run_id));
            }
            Command::Disconnect => self.machine.disconnect(),
            Command::Follow(thread_id, epoch, after, answer) => {
                let _ = answer.send(self.machine.follow(now, thread_id, epoch, after));
            }
            Command::Send(message, answer) => {
                let _ = answer.send(self.send(now, message));
            }
            Command::SetToken(token, answer) => {
                self.token = Some(token.clone());
                let set = self.machine.set_credential(now, Credential::Token(token));
                let _ = answer.send(set);
            }
        }
    }

    fn send(&mut self, now: Now, message: Message) -> Result<ClientMsgId, Misuse> {
        let client_msg_id = self.machine.draw_message_id(now);
        let message = UserMessage {
            client_msg_id: client_msg_id.clone(),
            content: message.content,
            thread_id: message.thread_id,
            multitask: message.multitask,
            on_disconnect: message.on_disconnect,
            expected_head_seq: None,
            metadata: message.metadata,
        };
        self.machine.send(now, message)?;
        Ok(client_msg_id)
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
