//! A page of the replaced system: a plain `WebSocket` with the subprotocols it always offered.

use crate::browser::with_page;
use serde_json::json;

/// F04, F05: a browser fails the connection when what it offered is not answered as it must be.
#[tokio::test]
async fn f04_f05_an_older_page_goes_through_its_whole_conversation() {
    with_page(|browser, _| async move {
        let told = browser
            .run(
                r#"
const login = await (await fetch('/api/auth/demo', { method: 'POST' })).json();
const socket = new WebSocket(`ws://${location.host}/ws`, ['jwt-auth', `jwt.${login.access_token}`]);
const frames = [];
const end = new Promise((resolve, reject) => {
  socket.onclose = (event) => reject(new Error(`closed with ${event.code}`));
  socket.onmessage = (event) => {
    const frame = JSON.parse(event.data);
    frames.push(frame);
    const say = (message) => socket.send(JSON.stringify(message));
    if (frame.type === 'handshake_response') say({ type: 'handshake_acknowledged', thread_id: frame.thread_id });
    if (frame.type === 'handshake_complete') say({ type: 'user_message', payload: { content: 'What can you do?', run_id: 'page-run' } });
    if (frame.type === 'agent_completed') say({ type: 'page_closing' });
    if (frame.type === 'ack' && frame.status === 'acknowledged') resolve();
  };
});
await end;
socket.onclose = null;
socket.close();
const kinds = frames.map((frame) => frame.type);
const last = frames[kinds.indexOf('agent_completed')];
return {
  protocol: socket.protocol,
  first: kinds.slice(0, 3),
  five: ['agent_started', 'agent_thinking', 'tool_executing', 'tool_completed', 'agent_completed'].map((kind) => kinds.includes(kind)),
  ends: kinds.filter((kind) => kind === 'agent_completed').length,
  run: last.run_id,
  answered: last.status === 'completed' && last.data.final_response.length > 0 && last.payload.response === last.response,
};
"#,
            )
            .await;
        assert_eq!(
            told,
            json!({
                "protocol": "jwt-auth",
                "first": ["connection_established", "handshake_response", "handshake_complete"],
                "five": [true, true, true, true, true],
                "ends": 1,
                "run": "page-run",
                "answered": true,
            })
        );
    })
    .await;
}
