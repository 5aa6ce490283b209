//! `goldenpath chat`: the golden path from the terminal, with the agents' work as it happens.

mod fact;
mod lanes;
mod report;
mod screen;

use clap::Args;
use core::time::Duration;
use goldenpath_core::client::{Ended, Event, Link, MessageState, WhyCredential};
use goldenpath_core::id::{ClientMsgId, RunId, ThreadId};
use goldenpath_core::time::Wall;
use goldenpath_core::wire::{
    Draft, Entry, Event as LogEvent, MultitaskStrategy, RunScope, RunStatus, Secret,
};
use goldenpath_tungstenite::{Address, Chat, Credentials, Heard, Message, Rest, RestError};
use lanes::Lanes;
use screen::Screen;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// How long the first connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Entries kept that come before the acknowledgement.
const EARLY: usize = 1000;
const REFRESH: Duration = Duration::from_millis(200);
/// What names all facts instead of one.
const ALL_FACTS: &str = "list";

/// Asks a question from the terminal and shows the agents at work.
///
/// Exit codes: 0 answered (also when a part was missing), 1 not answered or no such fact, 2 wrong usage,
/// 3 no connection, 130 left before the end.
#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    /// The question.
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    message: String,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8000", value_name = "URL")]
    url: Address,
    /// A token; without it demo mode is asked for one.
    #[arg(long, env = "GOLDENPATH_TOKEN", hide_env_values = true, conflicts_with = "email")]
    token: Option<String>,
    /// Log in with this address.
    #[arg(long, requires = "password")]
    email: Option<String>,
    /// The password for `--email`.
    #[arg(long, env = "GOLDENPATH_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Go on in this thread.
    #[arg(long, value_name = "ID")]
    thread: Option<ThreadId>,
    /// Say after the answer where this number comes from; `list` names all of them.
    #[arg(long, value_name = "ID", conflicts_with = "json")]
    fact: Vec<String>,
    /// Print the events as they came, JSON, one a line, and nothing else.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: ChatArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(converse(&args)),
        Err(error) => Err(NoConversation::Output(error)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("goldenpath chat: {}: {error}", args.url);
        if error.is_nobody_there() {
            eprintln!(
                "Is a server running there? `goldenpath serve` starts one; --url names another."
            );
        }
        ExitCode::from(if matches!(error, NoConversation::Fact(_, _)) { 1 } else { 3 })
    })
}

/// Why there was no conversation.
#[derive(Debug)]
enum NoConversation {
    Credential(WhyCredential),
    Ended(Ended),
    Fact(String, RestError),
    Output(io::Error),
    Slow,
    Token(RestError),
}

impl core::fmt::Display for NoConversation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Credential(WhyCredential::Expired) => f.write_str("the token has expired"),
            Self::Credential(_) => f.write_str("the server does not accept this token"),
            Self::Ended(Ended::Forbidden(code)) => write!(f, "the server closed with {code}"),
            Self::Ended(Ended::Refused(101)) => f.write_str("the server speaks no golden.v1"),
            Self::Ended(Ended::Refused(status)) => write!(f, "the server refused with {status}"),
            Self::Ended(Ended::Done) => f.write_str("the connection was closed"),
            Self::Output(error) => write!(f, "cannot write: {error}"),
            Self::Fact(name, error) => write!(f, "the fact {name}: {error}"),
            Self::Slow => write!(f, "no connection within {} s", CONNECT.as_secs()),
            Self::Token(error @ RestError::Refused(_, _)) => {
                write!(f, "no token: {error} (--token or --email says who you are)")
            }
            Self::Token(error) => write!(f, "{error}"),
        }
    }
}

impl NoConversation {
    const fn is_nobody_there(&self) -> bool {
        matches!(self, Self::Slow | Self::Token(RestError::Unreachable(_)))
    }
}

impl From<io::Error> for NoConversation {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

async fn converse(args: &ChatArgs) -> Result<ExitCode, NoConversation> {
    let token = token(args).await.map_err(NoConversation::Token)?;
    let rest = Rest::new(args.url.clone(), Some(token.clone()));
    let mut chat = Chat::connect(args.url.clone(), Credentials::Header(token));
    let message = Message {
        content: args.message.clone(),
        thread_id: args.thread,
        multitask: MultitaskStrategy::Enqueue,
        ..Message::default()
    };
    let ended = || NoConversation::Ended(Ended::Done);
    let name = chat.send_message(message).await.map_err(|_| ended())?;
    let mut talk = Talk::new(name, args.json);
    talk.can_go_on = args.token.is_some() || args.email.is_some();
    let outcome = talk.listen(&mut chat).await;
    talk.screen.leave()?;
    chat.close().await;
    let outcome = outcome?;
    talk.conclude(&outcome)?;
    talk.facts(&rest, &args.fact).await?;
    talk.point_to_the_page(&args.url);
    Ok(outcome.exit_code())
}

async fn token(args: &ChatArgs) -> Result<Secret, RestError> {
    let rest = Rest::new(args.url.clone(), None);
    match (&args.token, &args.email, &args.password) {
        (Some(token), _, _) => Ok(Secret(token.clone())),
        (None, Some(email), Some(password)) => rest.login(email, password).await,
        (None, _, _) => rest.demo().await,
    }
}

/// How it ended.
#[derive(Debug)]
enum Outcome {
    /// The run has its terminal event.
    Run(RunStatus, String),
    /// The message was not taken.
    Refused(String),
    /// The second Ctrl-C.
    Left,
}

impl Outcome {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Run(RunStatus::Completed | RunStatus::Degraded, _) => ExitCode::SUCCESS,
            Self::Run(_, _) | Self::Refused(_) => ExitCode::from(1),
            Self::Left => ExitCode::from(130),
        }
    }
}

/// One question and its answer.
struct Talk {
    name: ClientMsgId,
    run_id: Option<RunId>,
    thread_id: Option<ThreadId>,
    answer: Option<String>,
    /// Whether the same user can come back: a demo user is gone with its token.
    can_go_on: bool,
    early: Vec<Entry>,
    interrupted: bool,
    json: bool,
    /// The connection ended, and nothing was said of it yet.
    lost: bool,
    lanes: Lanes,
    screen: Screen,
}

impl Talk {
    fn new(name: ClientMsgId, json: bool) -> Self {
        let live = !json && io::stdout().is_terminal();
        Self {
            name,
            run_id: None,
            thread_id: None,
            answer: None,
            can_go_on: false,
            early: Vec::new(),
            interrupted: false,
            json,
            lost: false,
            lanes: Lanes::default(),
            screen: Screen::new(live),
        }
    }

    async fn listen(&mut self, chat: &mut Chat) -> Result<Outcome, NoConversation> {
        let give_up = Instant::now() + CONNECT;
        let mut connected = false;
        let mut refresh = interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut status = None;
        let mut interrupt = signal(SignalKind::interrupt())?;
        loop {
            if let Some(status) = status.take() {
                return Ok(status);
            }
            tokio::select! {
                heard = chat.next() => match heard {
                    Some(Heard::Event(Event::Connection(Link::Ready))) => {
                        connected = true;
                        self.lanes.notice = None;
                    }
                    Some(heard) => status = self.hear(heard)?,
                    None => return Err(NoConversation::Ended(Ended::Done)),
                },
                _ = interrupt.recv() => {
                    let Some(run_id) = self.run_id.filter(|_| !self.interrupted) else {
                        return Ok(Outcome::Left);
                    };
                    self.interrupted = true;
                    self.notice("stopping; Ctrl-C again leaves at once")?;
                    // Refused only after the end, which is heard in any case.
                    let _ = chat.cancel(run_id).await;
                },
                () = sleep_until(give_up), if !connected => return Err(NoConversation::Slow),
                _ = refresh.tick(), if self.screen.is_live() => {}
            }
            self.screen.draw(&self.lanes.lines(wall()))?;
        }
    }

    fn hear(&mut self, heard: Heard) -> Result<Option<Outcome>, NoConversation> {
        match heard {
            Heard::NeedCredential(WhyCredential::Expiring(_)) => {}
            Heard::NeedCredential(why) => return Err(NoConversation::Credential(why)),
            Heard::Event(Event::Connection(Link::Ended(why))) => {
                return Err(NoConversation::Ended(why));
            }
            // Said with the next dial: a refused credential also ends the connection, but is no reason to.
            Heard::Event(Event::Connection(Link::Backoff)) => self.lost = true,
            Heard::Event(Event::Connection(Link::Dialing)) if self.lost => {
                self.lost = false;
                self.notice("no connection; trying again")?;
            }
            Heard::Event(Event::Message { client_msg_id, state }) if client_msg_id == self.name => {
                match state {
                    MessageState::Acked(ack) => {
                        self.run_id = Some(ack.run_id);
                        self.thread_id = Some(ack.thread_id);
                        return self.catch_up();
                    }
                    MessageState::Refused(error) => {
                        let words = format!("{} ({})", error.code.user_message(), error.message);
                        return Ok(Some(Outcome::Refused(words)));
                    }
                    MessageState::Queued | MessageState::Sent => {}
                }
            }
            Heard::Event(Event::Applied(entry)) => return self.entry(&entry),
            Heard::Event(Event::Error { error, .. }) => {
                self.notice(&format!("{}: {}", error.code, error.message))?;
            }
            Heard::Event(_) => {}
        }
        Ok(None)
    }

    /// What came before the acknowledgement said which run is ours.
    fn catch_up(&mut self) -> Result<Option<Outcome>, NoConversation> {
        for entry in core::mem::take(&mut self.early) {
            if let Some(outcome) = self.entry(&entry)? {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    fn entry(&mut self, entry: &Entry) -> Result<Option<Outcome>, NoConversation> {
        let Some(run_id) = self.run_id else {
            if self.early.len() < EARLY {
                self.early.push(entry.clone());
            }
            return Ok(None);
        };
        if Some(entry.thread_id) != self.thread_id {
            return Ok(None);
        }
        if self.json {
            writeln!(io::stdout().lock(), "{}", as_sent(entry))?;
        }
        if entry.run_id != Some(run_id) {
            return Ok(None);
        }
        if let Some(line) = self.lanes.apply(entry)
            && !self.json
        {
            self.screen.say(&line)?;
        }
        if let LogEvent::AssistantMessage { content, .. } = &entry.event {
            self.answer = Some(content.clone());
        }
        Ok(entry.event.terminal_status().map(|status| Outcome::Run(status, why(&entry.event))))
    }

    fn notice(&mut self, words: &str) -> io::Result<()> {
        self.lanes.notice = Some(words.to_owned());
        if self.screen.is_live() || self.json { Ok(()) } else { self.screen.say(words) }
    }

    /// The report on the standard output, everything else beside it.
    fn conclude(&self, outcome: &Outcome) -> io::Result<()> {
        if !self.json
            && let Some(answer) = &self.answer
        {
            let mut out = io::stdout().lock();
            if out.is_terminal() {
                write!(out, "\n{}", report::shown(answer, columns()))?;
            } else {
                writeln!(out, "\n{}", screen::plain(answer))?;
            }
        }
        let thread = self.thread_id.filter(|_| self.can_go_on);
        let thread = thread.map(|id| format!("; go on with --thread {id}"));
        let thread = thread.unwrap_or_default();
        match outcome {
            Outcome::Run(status, why) => eprintln!("{}{why}{thread}", status.as_str()),
            Outcome::Refused(words) => eprintln!("not taken: {words}"),
            Outcome::Left => eprintln!("left; the run goes on{thread}"),
        }
        Ok(())
    }

    /// Where the numbers that were asked about come from.
    async fn facts(&self, rest: &Rest, wanted: &[String]) -> Result<(), NoConversation> {
        let (Some(run_id), Some(answer)) = (self.run_id, &self.answer) else { return Ok(()) };
        for name in wanted {
            let text = if name == ALL_FACTS {
                let names = report::facts(answer);
                if names.is_empty() { "no facts\n".into() } else { names.join("\n") + "\n" }
            } else {
                let fact = fact::ask(rest, run_id, name).await;
                fact.map_err(|error| NoConversation::Fact(name.clone(), error))?.to_text()
            };
            write!(io::stdout().lock(), "\n{}", screen::plain(&text))?;
        }
        Ok(())
    }

    /// What a terminal cannot show, and where it is.
    fn point_to_the_page(&self, url: &Address) {
        let facts = self.answer.as_deref().is_some_and(|answer| !report::facts(answer).is_empty());
        if !facts || self.json || !io::stdout().is_terminal() {
            return;
        }
        let place = match self.thread_id.filter(|_| self.can_go_on) {
            Some(thread) => format!("{url}/#/t/{thread}"),
            None => format!("{url}/ (ask there)"),
        };
        eprintln!("charts: {place}");
        eprintln!("where a number comes from: there, or --fact ID (--fact {ALL_FACTS} names them)");
    }
}

/// What the terminal has room for.
fn columns() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0))
}

/// Why and after how long a run ended, to follow its status.
fn why(event: &LogEvent) -> String {
    match event {
        LogEvent::RunCompleted { duration_ms, .. } => format!(" in {}", lanes::span(*duration_ms)),
        LogEvent::RunFailed { error, user_message, .. } => {
            format!(
                ": {} ({}: {})",
                screen::plain(user_message),
                error.code,
                screen::plain(&error.message)
            )
        }
        LogEvent::RunTimedOut { duration_ms, .. } => {
            format!(" after {}", lanes::span(*duration_ms))
        }
        LogEvent::RunCancelled { reason, .. } | LogEvent::RunInterrupted { reason, .. } => {
            format!(" ({})", screen::plain(reason))
        }
        _ => String::new(),
    }
}

/// The entry as the server sent it.
fn as_sent(entry: &Entry) -> String {
    let draft = Draft {
        id: entry.id,
        thread_id: entry.thread_id,
        epoch: entry.epoch,
        ts: entry.ts,
        scope: entry.run_id.map(|run_id| RunScope { run_id, agent: entry.agent.clone() }),
        synthesized: entry.synthesized,
        event: entry.event.clone(),
    };
    draft.encode().frame(entry.seq, entry.replay).as_str().to_owned()
}

fn wall() -> Wall {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
