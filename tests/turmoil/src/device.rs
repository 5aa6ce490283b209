//! A device: the real client, and an application that shows what it hears and keeps it.

use crate::ground::{Ground, NODE, PORT, Said, Seat, now_ms};
use crate::history::Deed;
use crate::tap::Device;
use goldenpath_core::client::{Config, Event, Link, MessageState, WhyCredential};
use goldenpath_core::id::{RunId, Seq, ThreadId};
use goldenpath_core::seed::Seed;
use goldenpath_core::time::Millis;
use goldenpath_core::wire::{self, ClientBody, Entry, MultitaskStrategy, UserMessage};
use goldenpath_tungstenite::{Address, Chat, Credentials, Heard, Message};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What the person in front of it does.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Again(UserMessage),
    Cancel(RunId),
    Follow(ThreadId),
    Leave,
    Return,
    Say(Message),
}

/// After the end of a client, before the person opens the application again.
const REOPEN: Duration = Duration::from_millis(500);

/// The application, until the world ends.
pub(crate) async fn device(
    device: Device,
    mut orders: mpsc::UnboundedReceiver<Order>,
) -> turmoil::Result {
    let mut application = Application { opened: 0, chat: None, device };
    application.open().await?;
    let mut wanted = true;
    loop {
        let is_closed = application.chat.is_none();
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(Order::Return) if is_closed => {
                    wanted = true;
                    application.open().await?;
                }
                Some(Order::Leave) => {
                    wanted = false;
                    application.leave().await;
                }
                Some(order) => application.obey(order).await,
                None => return Ok(()),
            },
            heard = application.next() => match heard {
                Some(heard) => application.show(heard).await,
                None => application.chat = None,
            },
            () = tokio::time::sleep(REOPEN), if is_closed && wanted => application.open().await?,
        }
    }
}

struct Application {
    device: Device,
    chat: Option<Chat>,
    opened: u64,
}

impl Application {
    /// Opens the client where it was left.
    async fn open(&mut self) -> turmoil::Result {
        self.opened += 1;
        let Device { ground, number } = &self.device;
        let address: Address = format!("http://{NODE}:{PORT}").parse()?;
        let token = ground.token(*number, now_ms());
        let credentials = if ground.first_frame {
            Credentials::FirstFrame(token)
        } else {
            Credentials::Header(token)
        };
        let config = Config {
            dial_timeout: Millis::from_secs(3),
            ready_timeout: Millis::from_secs(4),
            resume_timeout: Millis::from_secs(4),
            ack_timeout: Millis::from_secs(3),
            gap_timeout: Millis::from_secs(2),
            backoff_first: Millis(200),
            backoff_longest: Millis::from_secs(3),
            ..Config::default()
        };
        let number = *number as u64;
        let seed = Seed::new(ground.seed.rotate_left(17) ^ (number << 32) ^ self.opened);
        let outside = self.device.clone();
        let chat = Chat::connect_through(outside, address, credentials, config, seed);
        let views = {
            let mut seat = self.seat();
            seat.said.clear();
            seat.views.clone()
        };
        for (thread_id, view) in views {
            let followed = chat.follow(thread_id, view.epoch, view.last()).await;
            followed.map_err(|error| format!("{error:?}"))?;
        }
        self.chat = Some(chat);
        Ok(())
    }

    async fn leave(&mut self) {
        if let Some(chat) = self.chat.take() {
            chat.close().await;
        }
        let mut seat = self.seat();
        seat.link = None;
        seat.said.clear();
    }

    async fn next(&mut self) -> Option<Heard> {
        match &mut self.chat {
            Some(chat) => chat.next().await,
            None => std::future::pending().await,
        }
    }

    async fn obey(&mut self, order: Order) {
        let Some(chat) = &self.chat else { return };
        // A client that has just ended, or is not ready, refuses; the person shrugs.
        match order {
            Order::Again(message) => {
                let _ = chat.ask(ClientBody::UserMessage(message)).await;
            }
            Order::Cancel(run_id) => {
                let _ = chat.cancel(run_id).await;
            }
            Order::Follow(thread_id) => {
                if !self.seat().views.contains_key(&thread_id) {
                    let _ = chat.follow(thread_id, None, Seq::ZERO).await;
                }
            }
            Order::Say(message) => {
                let Ok(client_msg_id) = chat.send_message(message.clone()).await else { return };
                if message.multitask == MultitaskStrategy::Interrupt {
                    let name = client_msg_id.clone();
                    self.device.ground.history.note(Deed::Interrupts { name });
                }
                let user = {
                    let mut seat = self.seat();
                    seat.said.entry(client_msg_id.clone()).or_insert(Said::Waiting);
                    seat.user
                };
                let message = UserMessage {
                    client_msg_id,
                    content: message.content,
                    thread_id: message.thread_id,
                    multitask: message.multitask,
                    on_disconnect: message.on_disconnect,
                    expected_head_seq: None,
                    metadata: message.metadata,
                };
                self.device.ground.tape().last_words.insert(user, message);
            }
            Order::Leave | Order::Return => {}
        }
    }

    async fn show(&mut self, heard: Heard) {
        let event = match heard {
            Heard::Event(event) => event,
            Heard::NeedCredential(why) => {
                let Device { ground, number } = &self.device;
                let set = if ground.tape().is_clock_set { ", the clock was set" } else { "" };
                let why = match why {
                    WhyCredential::Expiring(_) => "Expiring".to_owned(),
                    why => format!("{why:?}"),
                };
                ground.meet(format!("client: needs a credential, {why}{set}"));
                let token = ground.token(*number, now_ms());
                if let Some(chat) = &self.chat {
                    let _ = chat.set_token(token).await;
                }
                return;
            }
        };
        let Device { ground, number } = &self.device;
        match event {
            Event::Applied(entry) => self.seat().apply(&entry),
            Event::Connection(link) => {
                if let Link::Ended(ended) = link {
                    ground.meet(format!("client: ended, {ended:?}"));
                }
                ground.note(*number, format!("is {link:?}"));
                self.seat().link = Some(link);
            }
            Event::Message { client_msg_id, state } => {
                let said = match state {
                    MessageState::Queued | MessageState::Sent => Said::Waiting,
                    MessageState::Acked(ack) => {
                        self.seat().runs.push(ack.run_id);
                        Said::Acked(ack)
                    }
                    MessageState::Refused(error) => {
                        ground.meet(format!("client: a message was refused, {}", error.code));
                        Said::Refused(error.code)
                    }
                };
                self.seat().said.insert(client_msg_id, said);
            }
            Event::Error { error, .. } => ground.meet(format!("client: told {}", error.code)),
            Event::Reset { thread_id, .. } => {
                ground.meet("client: began a thread anew");
                self.seat().views.remove(&thread_id);
            }
            Event::ThreadGone(thread_id) => {
                ground.meet("client: a thread is gone");
                self.seat().gone(thread_id);
            }
            Event::Answered { said: wire::Said::Ack(ack), .. } if ack.duplicate => {
                ground.meet("client: was told of a repetition");
            }
            Event::Answered { .. }
            | Event::Ready(_)
            | Event::ServiceStatus(_)
            | Event::Transient(_) => {}
        }
    }

    fn seat(&self) -> std::sync::MutexGuard<'_, Seat> {
        self.device.ground.seat(self.device.number)
    }
}

impl Seat {
    /// Shows an entry: it has to be the next one.
    fn apply(&mut self, entry: &Entry) {
        let view = self.views.entry(entry.thread_id).or_default();
        let expected = if view.entries.is_empty() { entry.seq } else { view.last().next() };
        if entry.seq != expected {
            let what = format!("{} shows {} where {expected} is next", entry.thread_id, entry.seq);
            self.broken.push(what);
            return;
        }
        view.epoch = Some(entry.epoch);
        view.entries.insert(entry.seq, entry.id);
    }

    /// A thread that was shown does not disappear: nobody deletes one here.
    fn gone(&mut self, thread_id: ThreadId) {
        if self.views.contains_key(&thread_id) {
            self.broken.push(format!("{thread_id} was shown and is said to be gone"));
        }
    }
}

/// The orders of one device.
pub(crate) type Orders = mpsc::UnboundedSender<Order>;

/// A device and the way to it.
pub(crate) fn seat(
    ground: &Arc<Ground>,
    number: usize,
) -> (Orders, impl Future<Output = turmoil::Result> + use<>) {
    let (orders, orders_in) = mpsc::unbounded_channel();
    (orders, device(Device { ground: ground.clone(), number }, orders_in))
}
