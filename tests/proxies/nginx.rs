//! A real nginx in front of a server: its configuration and its process.

use goldenpath_tests::port::Port;
use goldenpath_tests::server::PATIENCE;
use std::ops::Not;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// What a proxy does to an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Passes everything on.
    Plain,
    /// Takes `Authorization` off.
    StripsAuthorization,
    /// Takes `Sec-WebSocket-Protocol` off.
    StripsSubprotocol,
    /// Takes both off.
    StripsBoth,
    /// Cuts what was silent for five seconds.
    IdleLimit,
}

/// All of them, in the order of their ports.
pub(crate) const HABITS: [Habit; 5] = [
    Habit::Plain,
    Habit::StripsAuthorization,
    Habit::StripsSubprotocol,
    Habit::StripsBoth,
    Habit::IdleLimit,
];

impl Habit {
    /// What holds for everything.
    const fn limits(self) -> &'static str {
        match self {
            Self::IdleLimit => "proxy_read_timeout 5s; proxy_send_timeout 5s; proxy_buffering off;",
            Self::Plain
            | Self::StripsAuthorization
            | Self::StripsSubprotocol
            | Self::StripsBoth => "",
        }
    }

    /// What stands in the location of the socket, beside what every WebSocket proxy has.
    const fn directives(self) -> &'static str {
        match self {
            Self::IdleLimit | Self::Plain => "",
            Self::StripsAuthorization => "proxy_set_header Authorization \"\";",
            Self::StripsSubprotocol => "proxy_set_header Sec-WebSocket-Protocol \"\";",
            Self::StripsBoth => {
                "proxy_set_header Authorization \"\"; proxy_set_header Sec-WebSocket-Protocol \"\";"
            }
        }
    }
}

/// A running nginx, its files and its ports; killed when dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) folder: TempDir,
    pub(crate) ports: Vec<u16>,
    _kept: Vec<Port>,
}

impl Process {
    /// Starts one with the configuration that is made for a folder and `count` free ports, and waits until
    /// it listens on all of them: then it writes its id.
    pub(crate) async fn start(
        count: usize,
        configuration: impl FnOnce(&Path, &[u16]) -> String,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let kept: Vec<Port> = (0..count).map(|_| Port::free()).collect();
        let ports: Vec<u16> = kept.iter().map(Port::number).collect();
        let text = configuration(folder.path(), &ports);
        std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let log = std::fs::File::create(folder.path().join("nginx.log")).unwrap();
        let mut command = Command::from(nginx(folder.path()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        let child = command.spawn().expect("nginx is installed: apt-get install nginx-light");
        let mut process = Self { child, folder, ports, _kept: kept };
        process.until_open().await;
        process
    }

    async fn until_open(&mut self) {
        let begin = Instant::now();
        let id = self.child.id().expect("it was started").to_string();
        let file = self.folder.path().join("nginx.pid");
        while std::fs::read_to_string(&file).is_ok_and(|text| text.trim_end() == id).not() {
            let runs = matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < PATIENCE;
            assert!(runs, "nginx does not listen:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it complained about.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("nginx.log")).unwrap_or_default()
    }
}

/// The program with the configuration of a folder.
pub(crate) fn nginx(folder: &Path) -> std::process::Command {
    let mut command = std::process::Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf")).args(["-e", "stderr"]);
    command
}

/// What stands around the servers: `main` decides about processes, temporary files stay in the folder.
pub(crate) fn around(main: &str, servers: &str) -> String {
    format!(
        "daemon off; {main} pid nginx.pid;
        error_log stderr warn;
        events {{ worker_connections 256; }}
        http {{
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            {servers}
        }}"
    )
}

/// One process in the foreground: what is started here is ended by its own id.
pub(crate) const ALONE: &str = "master_process off; worker_processes 1;";

/// A running nginx with one port for each habit.
pub(crate) struct Nginx(Process);

impl Nginx {
    /// Starts one before the server on `upstream` and waits until it listens.
    pub(crate) async fn before(upstream: u16) -> Self {
        let configuration = |_: &Path, ports: &[u16]| configuration(upstream, ports);
        Self(Process::start(HABITS.len(), configuration).await)
    }

    /// Where the proxy with this habit listens.
    pub(crate) fn port(&self, habit: Habit) -> u16 {
        self.0.ports[HABITS.iter().position(|one| *one == habit).unwrap()]
    }
}

/// What every WebSocket proxy has, on a port, with limits and with directives for sockets of its own.
pub(crate) fn server(upstream: u16, port: u16, limits: &str, directives: &str) -> String {
    format!(
        "server {{
            listen 127.0.0.1:{port};
            access_log off;
            {limits}
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            location / {{ proxy_pass http://127.0.0.1:{upstream}; }}
            location /ws {{
                proxy_pass http://127.0.0.1:{upstream};
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection \"upgrade\";
                proxy_set_header Host $http_host;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                {directives}
            }}
        }}\n"
    )
}

fn configuration(upstream: u16, ports: &[u16]) -> String {
    let servers: String = HABITS
        .iter()
        .zip(ports)
        .map(|(habit, port)| server(upstream, *port, habit.limits(), habit.directives()))
        .collect();
    around(ALONE, &servers)
}
