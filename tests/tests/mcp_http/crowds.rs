//! Many clients, slow ones, and the end.

use std::io::{BufReader, Write as _};
use std::time::Duration;

use serde_json::{Value, json};
use signoff::mcp::auth::Gate;
use signoff::mcp::http::{Behind, Front, FrontOptions, Listener, ListenerOptions};
use signoff_tests::wire::{self, Served, TOKEN, rpc};
use signoff_tests::{Workspace, library, rounds};

/// A thousand connections that say nothing, hundreds that stopped in the middle of a head or of a body: everybody else is
/// served as before.
#[test]
fn idle_and_slow_clients_do_not_stop_service() {
    let workspace = Workspace::with_invoices(1);
    let served = Served::start(&workspace, &[]);
    // Each takes a descriptor here and there; 1,024 is a common limit of a process.
    let idle: Vec<_> = (0..rounds(400, 1_000)).map(|_| served.connect()).collect();
    let half_a_head: Vec<_> = (0..100)
        .map(|_| {
            let mut socket = served.connect();
            socket.write_all(b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthoriz").unwrap();
            socket
        })
        .collect();
    let half_a_body: Vec<_> = (0..100)
        .map(|_| {
            let mut socket = served.connect();
            let head = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{");
            socket.write_all(head.as_bytes()).unwrap();
            socket
        })
        .collect();
    for _ in 0..20 {
        let answer = served.call(&[], "billing.inspect_invoice", json!({ "invoice_id": "INV-1" }));
        assert_eq!(answer["isError"], false, "{answer}");
    }
    drop((idle, half_a_head, half_a_body));
    served.call(&[], "billing.inspect_invoice", json!({ "invoice_id": "INV-1" }));
}

/// Many long messages at once are turned away, and not held until there is no memory left; the short ones of others go on.
#[test]
fn long_messages_have_so_much_room() {
    let workspace = Workspace::with_invoices(1);
    let served = Served::start(&workspace, &[]);
    let (tell, told) = std::sync::mpsc::channel();
    for _ in 0..40 {
        let (tell, mut socket) = (tell.clone(), served.connect());
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: 1048576\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        std::thread::spawn(move || drop(wire::read(&mut BufReader::new(socket)).map(|reply| tell.send(reply))));
    }
    // There is room for fifteen, of which nothing is heard; the others are told at once.
    for _ in 0..25 {
        let reply = told.recv().unwrap();
        assert_eq!((reply.status, reply.header("retry-after")), (503, "1"), "{reply:?}");
        assert_eq!(reply.json()["code"], "HTTP_BUSY");
    }
    served.call(&[], "billing.inspect_invoice", json!({ "invoice_id": "INV-1" }));
}

/// A server with nothing behind it.
#[derive(Clone)]
struct Nobody;

impl rmcp::ServerHandler for Nobody {}
impl Behind for Nobody {}

/// Whoever asks and asks and reads nothing does not keep its place, nor what is to be said to it.
#[test]
fn who_does_not_read_is_let_go() {
    use std::io::ErrorKind;

    library::block(async {
        let mut options = ListenerOptions::default();
        options.idle = Duration::from_millis(300);
        let listener = Listener::bind("127.0.0.1:0", options).await.unwrap();
        let address = listener.address().unwrap();
        let front = Front::new(Nobody, Gate::open(), FrontOptions::default());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(listener.serve(front.unwrap(), async { drop(stopped.await) }));
        let ended = tokio::task::spawn_blocking(move || {
            let mut socket = std::net::TcpStream::connect(address).unwrap();
            let many = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(1_000);
            // Until everything on the way is full, and then until it is ended.
            loop {
                match socket.write_all(many.as_bytes()) {
                    Ok(()) => {}
                    Err(error) => return error.kind(),
                }
            }
        });
        let ended = ended.await.unwrap();
        assert!(matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{ended:?}");
        stop.send(()).unwrap();
        serving.await.unwrap();
    });
}

/// Sixteen connections that are kept, all at once: each answer belongs to its own request.
#[test]
fn answers_belong_to_their_requests() {
    let workspace = Workspace::with_invoices(64);
    let served = Served::start(&workspace, &[]);
    std::thread::scope(|scope| {
        for at in 0..16 {
            let served = &served;
            scope.spawn(move || {
                let mut socket = BufReader::new(served.connect());
                for round in 0..20_u64 {
                    let invoice = format!("INV-{}", (at * 7 + round) % 64 + 1);
                    let call = json!({ "name": "billing.inspect_invoice", "arguments": { "invoice_id": invoice } });
                    let message = rpc(at * 1_000 + round, "tools/call", call).to_string();
                    let head = format!("POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{message}", message.len());
                    socket.get_mut().write_all(head.as_bytes()).unwrap();
                    let answer = wire::read(&mut socket).unwrap().json();
                    assert_eq!(answer["id"], at * 1_000 + round);
                    assert_eq!(answer["result"]["structuredContent"]["data"]["id"], invoice);
                }
            });
        }
    });
}

/// A client that goes away in the middle of a proposal leaves it whole or not at all; and being told to stop is no crash.
#[test]
fn clients_that_hang_up_and_an_orderly_end() {
    let workspace = Workspace::with_invoices(200);
    let mut contract: Value = serde_json::from_str(&workspace.contract()).unwrap();
    contract["signoff"] = json!({ "mcp": { "rate_limit": { "proposals_per_minute": null } } });
    workspace.write_contract(&contract.to_string());
    let served = Served::start(&workspace, &[]);
    for at in 1..=rounds(100, 200) {
        let call = json!({ "name": "billing.propose_late_fee_waiver", "arguments": { "invoice_id": format!("INV-{at}"), "reason": "goodwill" } });
        let message = rpc(1, "tools/call", call).to_string();
        let mut socket = served.connect();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{message}",
            message.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        drop(socket);
    }
    // What had begun is whole, and everything can still be done.
    let answer =
        served.call(&[], "billing.propose_late_fee_waiver", json!({ "invoice_id": "INV-1", "reason": "goodwill" }));
    assert_eq!(answer["isError"], false, "{answer}");
    let idle = served.connect();
    assert_eq!(served.stop(), Some(0));
    drop(idle);
    workspace.run(["store", "verify"]).expect(0);
}
