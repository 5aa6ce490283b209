//! What the machines cost, without sockets, store or tasks: inputs per second.

use core::hint::black_box;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use goldenpath_core::connection::{Connection, Identity, Input, Opening, Output};
use goldenpath_core::handshake::{
    Accepted, Admission, Dialect, Origins, Presented, ServerCondition, UpgradeRequest, decide,
};
use goldenpath_core::hub::HubReady;
use goldenpath_core::id::{ConnectionId, EffectId, Seq, SessionId, ThreadId};
use goldenpath_core::limits::Limits;
use goldenpath_core::seed::Seed;
use goldenpath_core::time::{Millis, Mono, Now, Wall};
use goldenpath_core::wire::{AuthMethod, Credential, Frame, Secret, ServerFrame};
use std::sync::Arc;

const START: Now = Now { mono: Mono(0), wall: Wall(1_800_000_000_000) };
const HELLO: &str = r#"{"type":"user_message","id":"c1","payload":{"content":"Analyze my AI costs","client_msg_id":"m-1"}}"#;
const PING: &str = r#"{"type":"ping","id":"p1","payload":{"nonce":7}}"#;

/// No bound that a benchmark would run into.
fn limits() -> Arc<Limits> {
    Arc::new(Limits { messages_per_minute: u32::MAX, message_burst: u32::MAX, ..Limits::default() })
}

fn opening() -> Opening {
    let credential = Credential::Token(Secret("t.o.k".into()));
    Opening {
        connection_id: ConnectionId(1),
        accepted: Accepted {
            subprotocol: Some("golden.v1".into()),
            dialect: Dialect::GoldenV1,
            presented: Presented::Credential(AuthMethod::AuthorizationHeader, credential),
            demo: false,
            verify_before_upgrade: false,
        },
        identity: None,
    }
}

fn ada() -> Identity {
    Identity::visitor(1, SessionId(1), START.wall)
}

fn drain(connection: &mut Connection) -> usize {
    let mut outputs = 0;
    while !matches!(black_box(connection.poll_output()), Output::Idle(_)) {
        outputs += 1;
    }
    outputs
}

fn ready(limits: &Arc<Limits>) -> Connection {
    let mut connection = Connection::new(opening(), Arc::clone(limits), Seed::new(1), START);
    connection.handle_input(START, Input::Upgraded);
    drain(&mut connection);
    connection.handle_input(START, Input::Verdict { effect: EffectId(0), verdict: Ok(ada()) });
    drain(&mut connection);
    connection.handle_input(START, Input::Attached(HubReady::default()));
    assert!(drain(&mut connection) == 1 && connection.identity().is_some());
    connection
}

fn handshake(criterion: &mut Criterion) {
    let headers: [(&str, &[u8]); 8] = [
        ("Host", b"127.0.0.1:8000"),
        ("Connection", b"Upgrade"),
        ("Upgrade", b"websocket"),
        ("Origin", b"http://127.0.0.1:8000"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Protocol", b"golden.v1, jwt.ZXlKaGJHY2lPaUpJVXpJMU5pSjkuZTMwLmFiYw"),
        ("User-Agent", b"bench"),
    ];
    let origins = Origins::Own { loopback: true };
    let request = UpgradeRequest { method: "GET", headers: &headers, query: "" };
    let server = ServerCondition { origins: &origins, admission: Admission::Open, demo: false };
    criterion.bench_function("handshake/decide", |bencher| {
        bencher.iter(|| decide(black_box(&request), &server));
    });
}

fn connection(criterion: &mut Criterion) {
    let limits = limits();
    let mut group = criterion.benchmark_group("connection");
    group.throughput(Throughput::Elements(1));
    group.bench_function("upgrade to ready", |bencher| {
        bencher.iter(|| ready(&limits));
    });
    for (name, input) in [
        ("decode and forward a message", Input::Text(HELLO)),
        ("answer a ping", Input::Text(PING)),
        ("sign of life", Input::Alive),
    ] {
        group.bench_function(name, |bencher| {
            let (mut connection, mut now) = (ready(&limits), START);
            bencher.iter(|| {
                now = now.after(Millis(1));
                // The age limit would end it: a benchmark lives at one instant of it.
                now.mono = Mono(now.mono.0 % 1000 + 1);
                connection.handle_input(now, input.clone());
                drain(&mut connection)
            });
        });
    }
    let ping = ServerFrame::Ping {
        heads: (0..28)
            .map(|n| goldenpath_core::wire::Head { thread_id: ThreadId(n), seq: Seq(7) })
            .collect(),
    };
    let frame: Frame = ping.encode(
        &goldenpath_core::wire::Reply::None,
        goldenpath_core::wire::Announced { limits: &limits },
    );
    let frames = vec![frame; 28];
    group.throughput(Throughput::Elements(28));
    group.bench_function("pass on the 28 entries of a run", |bencher| {
        bencher.iter_batched_ref(
            || ready(&limits),
            |connection| {
                connection.handle_input(START, Input::Deliver(&frames));
                drain(connection)
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(machines, handshake, connection);
criterion_main!(machines);
