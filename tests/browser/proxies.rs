//! The page behind a real nginx that takes headers away (F06).

use crate::browser::tell_at;
use crate::nginx::{Habit, Nginx};
use goldenpath_tests::server::Server;
use serde_json::json;

/// Notes what the server says about each socket of the page, before the page opens one.
const LISTEN: &str = r"
const Native = window.WebSocket;
window.ready = [];
window.WebSocket = class extends Native {
  constructor(...given) {
    super(...given);
    this.addEventListener('message', (event) => {
      const frame = JSON.parse(event.data);
      if (frame.type === 'connection_ready') {
        window.ready.push([frame.payload.auth_method, this.protocol, new URL(this.url).search]);
      }
    });
  }
};
return true;
";

/// A browser hangs up when the subprotocol it offered is not answered, and can send no `Authorization`
/// with a socket: the page finds its way all the same.
#[tokio::test]
async fn f06_the_page_works_behind_proxies_that_strip_either_header_and_both() {
    let offered = ["subprotocol", "golden.v1", ""];
    let in_address = ["first_message", "", "?protocol=golden.v1"];
    for (habit, first) in [
        (Habit::Plain, offered),
        (Habit::StripsAuthorization, offered),
        (Habit::StripsSubprotocol, in_address),
        (Habit::StripsBoth, in_address),
    ] {
        let server = Server::real().await;
        let nginx = Nginx::before(server.port()).await;
        let url = format!("http://127.0.0.1:{}/", nginx.port(habit));
        tell_at(server, &url, |browser, _| async move {
            browser.run(LISTEN).await;
            browser.enter_demo().await;
            browser.ask("Analyze my AI costs").await;
            assert_eq!(browser.wait_for_ends(1).await, ["completed"], "{habit:?}");
            browser.wait_for("document.querySelector('.report table tbody tr')").await;
            let ready = browser.get("window.ready").await;
            assert_eq!(ready[0], json!(first), "{habit:?}");
            assert_eq!(browser.shown_of_runs().await, browser.log_of_runs().await, "{habit:?}");
        })
        .await;
        drop(nginx);
    }
}
