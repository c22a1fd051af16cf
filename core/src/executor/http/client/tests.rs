use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// Answers one request on each connection and closes it when told to; tells when it has.
fn closing() -> (SocketAddr, Sender<()>, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (close, told) = channel();
    let (closed, hears) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\n") {
                let mut some = [0; 512];
                let count = stream.read(&mut some).unwrap();
                if count == 0 {
                    return;
                }
                read.extend_from_slice(&some[..count]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            told.recv().unwrap();
            drop(stream);
            closed.send(()).unwrap();
        }
    });
    (at, close, hears)
}

/// The other side closed an idle connection while nothing of ours ran: its end waits unread in the socket. A request that
/// went into that would be lost without anybody having read it.
#[test]
fn a_kept_connection_that_ended_unnoticed_is_not_used() {
    let (at, close, closed) = closing();
    let address = Address::parse(&format!("http://{at}/")).unwrap();
    let client = Client::system(None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..50 {
            let request = Request::get("/").header("host", "x").body(Full::new(Bytes::new())).unwrap();
            let deadline = Instant::now() + Duration::from_secs(30);
            let answer = client.send(&address, false, request, deadline).await;
            assert_eq!(answer.map(|answer| (answer.status, answer.body)), Ok((200, b"ok".to_vec())));
            // The connection's task gets its turns and says that it is ready; then this thread, the runtime's only one, waits,
            // and so nobody sees the end come.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            close.send(()).unwrap();
            closed.recv().unwrap();
        }
    });
}
