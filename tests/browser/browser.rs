//! A headless Chromium with a fresh profile, and the few things the tests do with it.

use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::key::Key;
use fantoccini::wd::{WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{Client, ClientBuilder};
use goldenpath_tests::server::{PATIENCE, Server};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// The page, open in a browser.
pub(crate) struct Browser {
    client: Client,
    /// Keeps the driver alive; it ends with the last clone of the test's world.
    _driver: Child,
    _profile: TempDir,
}

/// Runs `story` with a server of built-in agents and a browser at its page, and closes both whatever happens.
pub(crate) async fn with_page<Story, Told>(story: Story)
where
    Story: FnOnce(Arc<Browser>, Arc<Mutex<Server>>) -> Told,
    Told: Future<Output = ()> + Send + 'static,
{
    tell(Server::real().await, story).await;
}

/// The same with agents that do what the question says, so that a run can be met at work.
pub(crate) async fn with_scripted_page<Story, Told>(story: Story)
where
    Story: FnOnce(Arc<Browser>, Arc<Mutex<Server>>) -> Told,
    Told: Future<Output = ()> + Send + 'static,
{
    let server = Server::start(&["--agents", "scripted"], &[("ENVIRONMENT", "test")]).await;
    tell(server, story).await;
}

/// The same with a server of one's own.
pub(crate) async fn tell<Story, Told>(server: Server, story: Story)
where
    Story: FnOnce(Arc<Browser>, Arc<Mutex<Server>>) -> Told,
    Told: Future<Output = ()> + Send + 'static,
{
    let url = server.url("/");
    tell_at(server, &url, story).await;
}

/// The same with the page at another address, where a proxy stands before the server.
pub(crate) async fn tell_at<Story, Told>(server: Server, url: &str, story: Story)
where
    Story: FnOnce(Arc<Browser>, Arc<Mutex<Server>>) -> Told,
    Told: Future<Output = ()> + Send + 'static,
{
    let server = Arc::new(Mutex::new(server));
    let browser = Arc::new(Browser::open(url).await);
    let told = tokio::spawn(story(Arc::clone(&browser), Arc::clone(&server)));
    let outcome = AssertUnwindSafe(told).0.await;
    let seen =
        browser.client.execute("return document.body.innerText", vec![]).await.unwrap_or_default();
    let _ = browser.client.clone().close().await;
    if let Err(failure) = outcome {
        eprintln!("--- the page said\n{}", seen.as_str().unwrap_or_default());
        eprintln!("--- the server said\n{}", last_lines(&server.lock().await.log()));
        resume_unwind(failure.into_panic());
    }
}

impl Browser {
    async fn open(url: &str) -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is installed (Debian: chromium-driver)");
        let port = driver_port(&mut driver).await;
        let profile = TempDir::new().unwrap();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(profile.path().to_str().unwrap()))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("chromium starts");
        let browser = Self { client, _driver: driver, _profile: profile };
        browser.resize(1280, 800).await;
        browser.client.goto(url).await.unwrap();
        browser
    }

    /// Loads the page again, as F5 does.
    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// Opens another window of the same browser at the page, and goes on there. Gives the window before.
    pub(crate) async fn open_window(&self) -> WindowHandle {
        let before = self.client.window().await.unwrap();
        let page = self.client.current_url().await.unwrap().join("/").unwrap();
        let window = self.client.new_window(true).await.unwrap().handle;
        self.client.switch_to_window(window).await.unwrap();
        self.resize(1280, 800).await;
        self.client.goto(page.as_str()).await.unwrap();
        before
    }

    /// Closes the window and goes on in another one.
    pub(crate) async fn close_window(&self, next: WindowHandle) {
        self.client.close_window().await.unwrap();
        self.go_to(next).await;
    }

    /// Goes on in another window; gives the one before.
    pub(crate) async fn go_to(&self, window: WindowHandle) -> WindowHandle {
        let before = self.client.window().await;
        self.client.switch_to_window(window.clone()).await.unwrap();
        before.unwrap_or(window)
    }

    /// What an expression gives in the page.
    pub(crate) async fn get(&self, expression: &str) -> Value {
        self.client
            .execute(&format!("return ({expression});"), vec![])
            .await
            .unwrap_or_else(|e| panic!("{expression}: {e}"))
    }

    /// The text of an element.
    pub(crate) async fn text(&self, selector: &str) -> String {
        self.get(&format!("document.querySelector({selector:?})?.textContent ?? ''"))
            .await
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// What an asynchronous function of the page gives; `body` may use `await`.
    pub(crate) async fn run(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {body} }})().then(done, (e) => done('failed: ' + e));"
        );
        self.client.execute_async(&script, vec![]).await.unwrap()
    }

    /// Waits until an expression is true (as JavaScript understands it), and gives it.
    pub(crate) async fn wait_for(&self, expression: &str) -> Value {
        let begun = Instant::now();
        loop {
            // A page that is being loaded has no document for a moment.
            let value = self
                .client
                .execute(&format!("const v = ({expression}); return v ? v : null;"), vec![])
                .await
                .unwrap_or(Value::Null);
            if !value.is_null() {
                return value;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {expression}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Clicks what a selector finds, as soon as it is there and enabled.
    pub(crate) async fn click(&self, selector: &str) {
        self.wait_for(&format!("(() => {{ const e = document.querySelector({selector:?}); return e && !e.disabled && e.checkVisibility() && (e.click(), true); }})()")).await;
    }

    /// Types on the keyboard, wherever the focus is.
    pub(crate) async fn type_text(&self, text: &str) {
        for key in text.chars() {
            self.press(key).await;
        }
    }

    /// Presses one key.
    pub(crate) async fn press(&self, key: impl Into<char>) {
        let value = key.into();
        let actions = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value });
        self.client.perform_actions(actions).await.unwrap();
    }

    /// Presses Tab with Shift.
    pub(crate) async fn press_back_tab(&self) {
        let (shift, tab) = (char::from(Key::Shift), char::from(Key::Tab));
        let actions = KeyActions::new("keyboard".to_owned())
            .then(KeyAction::Down { value: shift })
            .then(KeyAction::Down { value: tab })
            .then(KeyAction::Up { value: tab })
            .then(KeyAction::Up { value: shift });
        self.client.perform_actions(actions).await.unwrap();
    }

    /// Chooses a file in a file field.
    pub(crate) async fn choose_file(&self, selector: &str, path: &std::path::Path) {
        let field = self.client.find(fantoccini::Locator::Css(selector)).await.unwrap();
        field.send_keys(path.to_str().unwrap()).await.unwrap();
    }

    /// A picture of what is seen, as PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        self.client.screenshot().await.unwrap()
    }

    /// Enters the demo with the keyboard and waits for the connection.
    pub(crate) async fn enter_demo(&self) {
        self.wait_for("document.activeElement.id === 'demo-start'").await;
        self.press(Key::Enter).await;
        self.wait_for_state("ready").await;
    }

    /// Waits for a state of the connection.
    pub(crate) async fn wait_for_state(&self, state: &str) {
        self.wait_for(&format!(
            "document.getElementById('connection').dataset.state === {state:?}"
        ))
        .await;
    }

    /// Asks a question with the keyboard.
    pub(crate) async fn ask(&self, question: &str) {
        self.wait_for("document.activeElement.id === 'question'").await;
        self.type_text(question).await;
        self.press(Key::Enter).await;
    }

    /// Waits until every run on the page has ended; gives their statuses in order.
    pub(crate) async fn wait_for_ends(&self, runs: usize) -> Vec<String> {
        self.wait_for(&format!(
            "(() => {{ const all = [...document.querySelectorAll('.run')]; return all.length === {runs} && all.every((r) => !['queued', 'running'].includes(r.dataset.status)); }})()"
        ))
        .await;
        let statuses =
            self.get("[...document.querySelectorAll('.run')].map((r) => r.dataset.status)").await;
        serde_json::from_value(statuses).unwrap()
    }

    /// The open thread's log as the server keeps it, without the entries that belong to no run.
    pub(crate) async fn log_of_runs(&self) -> Value {
        self.run(
            "const { token } = JSON.parse(localStorage.getItem('goldenpath.login'));
             const id = location.hash.slice(4);
             const all = [];
             for (let after = 0; after !== null;) {
               const answer = await fetch(`/api/threads/${id}/log?after_seq=${after}&limit=500`, { headers: { Authorization: `Bearer ${token}` } });
               const page = await answer.json();
               all.push(...page.entries);
               after = page.entries.length ? page.next_after_seq : null;
             }
             if (all.some((e, i) => e.seq !== i + 1)) return 'the log has a hole';
             return all.filter((e) => e.run_id).map((e) => [e.seq, e.type]);",
        )
        .await
    }

    /// The same as the page shows it, in its raw events.
    pub(crate) async fn shown_of_runs(&self) -> Value {
        self.run(
            "for (const raw of document.querySelectorAll('.raw')) raw.open = true;
             await new Promise((resolve) => setTimeout(resolve, 300));
             const rows = [...document.querySelectorAll('.raw-event')].map((e) => [Number(e.querySelector('.raw-seq').textContent.slice(1)), e.querySelector('.raw-type').textContent]);
             for (const raw of document.querySelectorAll('.raw')) raw.open = false;
             return rows.sort((a, b) => a[0] - b[0]);",
        )
        .await
    }

    /// What the browser complained about since it was last asked: errors, failed loads, violations of the policy.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self
            .client
            .issue_cmd(Raw { path: "se/log", body: json!({"type": "browser"}) })
            .await
            .unwrap();
        let entries = log.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .filter(|entry| entry["level"] == "SEVERE" || entry["level"] == "WARNING")
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Gives the page another size.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Prefers dark colours, or light ones.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    async fn devtools(&self, command: &'static str, parameters: Value) {
        self.client
            .issue_cmd(Raw {
                path: "goog/cdp/execute",
                body: json!({"cmd": command, "params": parameters}),
            })
            .await
            .unwrap();
    }
}

/// A command of Chromium's own driver.
#[derive(Debug)]
struct Raw {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Raw {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

/// The end of a log, for a failing test.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// The driver chooses a free port itself and prints it.
async fn driver_port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = tokio::time::timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return port.trim_end_matches('.').parse().unwrap();
            }
        }
        panic!("chromedriver ended without naming its port");
    })
    .await
    .expect("chromedriver names its port");
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    port
}

fn capabilities(profile: &str) -> Map<String, Value> {
    let arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,800",
        &format!("--user-data-dir={profile}"),
    ];
    let Value::Object(capabilities) = json!({
        "browserName": "chrome",
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": {"args": arguments},
    }) else {
        unreachable!("an object was written")
    };
    capabilities
}
