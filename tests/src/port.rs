//! A port for a process that is told where to listen.

use tokio::net::TcpSocket;

/// A port of 127.0.0.1 that is kept for the process it is meant for, from before its start until this is
/// dropped, over every restart: bound and not listened on, it is given to nobody who asks for any port, and
/// who asks for this one by its number may have it.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Servers set `SO_REUSEADDR`, as this does: a second one may be bound while the first is no listener.
    _kept: TcpSocket,
}

impl Port {
    /// One that nobody uses.
    pub fn free() -> Self {
        let kept = TcpSocket::new_v4().expect("a socket");
        kept.set_reuseaddr(true).expect("an option every socket has");
        kept.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
        let number = kept.local_addr().expect("it is bound").port();
        Self { number, _kept: kept }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}

/// An address to listen on.
impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "127.0.0.1:{}", self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::Port;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn whom_a_port_is_kept_for_can_listen_there_again_and_again() {
        let port = Port::free();
        for _ in 0..2 {
            let server = TcpListener::bind(port.to_string()).expect("it is kept for this");
            TcpStream::connect(port.to_string()).expect("it listens");
            server.accept().expect("one has come");
        }
        assert!(TcpStream::connect(port.to_string()).is_err());
        let others: Vec<_> = (0..2_000).map(|_| Port::free()).collect();
        assert!(others.iter().all(|other| other.number() != port.number()));
    }
}
