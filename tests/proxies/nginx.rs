//! A real nginx in front of a server: its configuration, its process, and a cutter for what it cannot do.

use goldenpath_tests::server::PATIENCE;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

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
    /// What stands in the location of the socket, beside what every WebSocket proxy has.
    fn directives(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::StripsAuthorization => "proxy_set_header Authorization \"\";",
            Self::StripsSubprotocol => "proxy_set_header Sec-WebSocket-Protocol \"\";",
            Self::StripsBoth => {
                "proxy_set_header Authorization \"\"; proxy_set_header Sec-WebSocket-Protocol \"\";"
            }
            Self::IdleLimit => "proxy_read_timeout 5s; proxy_send_timeout 5s;",
        }
    }
}

/// A running nginx with one port for each habit; killed when dropped.
pub(crate) struct Nginx {
    _child: Child,
    folder: TempDir,
    ports: [u16; HABITS.len()],
}

impl Nginx {
    /// Starts one before the server on `upstream` and waits until it listens.
    pub(crate) async fn before(upstream: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let free: Vec<TcpListener> =
            HABITS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = std::array::from_fn(|n| free[n].local_addr().unwrap().port());
        drop(free);
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, configuration(upstream, &ports)).unwrap();
        let log = std::fs::File::create(folder.path().join("nginx.log")).unwrap();
        let child = Command::new("nginx")
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&path)
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("nginx is installed: apt-get install nginx-light");
        let mut nginx = Self { _child: child, folder, ports };
        for port in ports {
            nginx.until_open(port).await;
        }
        nginx
    }

    async fn until_open(&mut self, port: u16) {
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            assert!(begin.elapsed() < PATIENCE, "nginx does not listen:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it complained about.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("nginx.log")).unwrap_or_default()
    }

    /// Where the proxy with this habit listens.
    pub(crate) fn port(&self, habit: Habit) -> u16 {
        self.ports[HABITS.iter().position(|one| *one == habit).unwrap()]
    }
}

fn configuration(upstream: u16, ports: &[u16]) -> String {
    let mut servers = String::new();
    for (habit, port) in HABITS.iter().zip(ports) {
        let directives = habit.directives();
        let _ = write!(
            servers,
            "server {{
                listen 127.0.0.1:{port};
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
        );
    }
    // One process in the foreground: what is started here is ended by its own id.
    format!(
        "daemon off; master_process off; worker_processes 1; pid nginx.pid;
        error_log stderr warn;
        events {{ worker_connections 256; }}
        http {{
            access_log off;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            {servers}
        }}"
    )
}

/// A load balancer that ends every connection after `life`, whatever is said on it: nginx has no such
/// limit, others do. It passes bytes and nothing else.
pub(crate) struct Cutter {
    pub(crate) port: u16,
    task: JoinHandle<()>,
}

impl Cutter {
    pub(crate) async fn before(upstream: u16, life: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", upstream)).await else {
                        return;
                    };
                    let passed = copy_bidirectional(&mut client, &mut server);
                    let _ = tokio::time::timeout(life, passed).await;
                });
            }
        });
        Self { port, task }
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.task.abort();
    }
}
