//! Another transport: the core over plain standard input and output, without sockets or a runtime.
//!
//! `cargo run -p goldenpath-core --example stdio`, then type a frame per line, for instance
//! `{"type":"user_message","payload":{"content":"How many words are these?"}}`.

mod server;
mod team;

use goldenpath_core::connection::{Connection, Identity, Input, Opening, Output};
use goldenpath_core::handshake::{Accepted, Dialect, Presented};
use goldenpath_core::id::{ConnectionId, SessionId};
use goldenpath_core::time::{Mono, Now, Wall, earliest};
use goldenpath_core::wire::ErrorCode;
use goldenpath_core::{hub, limits::Limits, seed::Seed};
use server::{Server, Step};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() {
    let (lines, heard) = mpsc::channel();
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| lines.send(line))
    });
    serve(&heard, |frame| println!("{frame}"));
}

/// The loop of every driver: poll until idle, wait for input or the deadline, hand it in.
fn serve(heard: &mpsc::Receiver<String>, mut say: impl FnMut(&str)) {
    let started = Instant::now();
    let limits = Arc::new(Limits::default());
    let opening = Opening { connection_id: ConnectionId(1), accepted: anyone(), identity: None };
    let mut connection = Connection::new(opening, limits.clone(), Seed::new(1), clock(started));
    let mut server = Server::new(somebody().scope(), limits);
    connection.handle_input(clock(started), Input::Upgraded);
    loop {
        let deadline = settle(&mut connection, &mut server, started, &mut say);
        if connection.end().is_some() {
            return;
        }
        let wait = deadline.map_or(0, |at| at.since(clock(started).mono).as_millis());
        let line = heard.recv_timeout(Duration::from_millis(wait));
        let now = clock(started);
        match &line {
            Ok(line) => connection.handle_input(now, Input::Text(line)),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                connection.handle_input(now, Input::PeerClosed(None));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                connection.handle_timeout(now);
                server.handle_timeout(now);
            }
        }
    }
}

/// Polls until nobody has anything to say; the earliest deadline.
fn settle(
    connection: &mut Connection,
    server: &mut Server,
    started: Instant,
    say: &mut impl FnMut(&str),
) -> Option<Mono> {
    loop {
        let now = clock(started);
        let of_connection = match connection.poll_output() {
            Output::Idle(deadline) => Some(deadline),
            output => {
                act(connection, server, now, output, say);
                None
            }
        };
        match (server.step(now), of_connection) {
            (Step::Idle(of_server), Some(deadline)) => return earliest(deadline, of_server),
            (Step::Idle(_) | Step::Worked, _) => {}
            (Step::Deliver(frames), _) => connection.handle_input(now, Input::Deliver(&frames)),
            (Step::Tell(input), _) => connection.handle_input(now, input),
        }
    }
}

/// All that a transport has to do for a connection.
fn act(
    connection: &mut Connection,
    server: &mut Server,
    now: Now,
    output: Output,
    say: &mut impl FnMut(&str),
) {
    let connection_id = connection.id();
    let to_hub = match output {
        Output::Send(frame) => return say(frame.as_str()),
        Output::MakeDemoUser { effect } => {
            let verdict = Ok(somebody());
            return connection.handle_input(now, Input::Verdict { effect, verdict });
        }
        Output::Verify { effect, .. } => {
            // There are no keys here: nobody can prove to be somebody else.
            let verdict = Err(ErrorCode::Unauthorized);
            return connection.handle_input(now, Input::Verdict { effect, verdict });
        }
        Output::Attach { resume, .. } => hub::Input::Attach { connection_id, resume, reader: true },
        Output::Forward { reply, body } => hub::Input::Command { connection_id, reply, body },
        Output::Detach => hub::Input::Detach { connection_id },
        Output::Close(_) | Output::Ended(_) | Output::Idle(_) => return,
    };
    server.handle_input(now, to_hub);
}

/// Who sits at the terminal is known by sitting there.
fn anyone() -> Accepted {
    Accepted {
        subprotocol: None,
        dialect: Dialect::GoldenV1,
        presented: Presented::Nothing,
        demo: true,
        verify_before_upgrade: false,
    }
}

fn somebody() -> Identity {
    Identity::visitor(1, SessionId(1), Wall(0))
}

fn clock(started: Instant) -> Now {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { mono: Mono(millis(started.elapsed())), wall: Wall(millis(wall)) }
}

#[cfg(test)]
mod tests;
