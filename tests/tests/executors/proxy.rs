//! A fake for faults only: it stands between our executor and a real handler, hands each request on, lets the handler
//! commit, and then breaks the answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it passes.
    None,
    /// It never comes.
    Late,
    /// The connection ends before it.
    Dropped,
    /// Half of it comes.
    Cut,
    /// Another one comes: this.
    Instead(&'static str),
    /// It goes on for ever, up to a gigabyte.
    Endless,
    /// It comes twice at once.
    Doubled,
    /// It passes, and then the connection ends.
    Closed,
    /// The request is read and handed to nobody; the connection ends.
    Swallowed,
    /// It waits until it is let go.
    Held,
}

/// The proxy.
#[derive(Debug)]
pub struct Proxy {
    pub at: SocketAddr,
    fault: Mutex<Fault>,
    /// One fault for each of the next requests, before `fault` counts.
    queue: Mutex<Vec<Fault>>,
    pub requests: Mutex<Vec<Vec<u8>>>,
    pub connections: AtomicUsize,
    /// So many connections have ended.
    pub ended: AtomicUsize,
    /// A permit for each answer that is held.
    pub gate: Semaphore,
}

impl Proxy {
    /// In front of this address.
    pub async fn before(backend: SocketAddr) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Arc::new(Self {
            at: listener.local_addr().unwrap(),
            fault: Mutex::new(Fault::None),
            queue: Mutex::default(),
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            gate: Semaphore::new(0),
        });
        let serving = Arc::clone(&proxy);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let one = Arc::clone(&serving);
                tokio::spawn(async move {
                    one.serve(stream, backend).await;
                    one.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        proxy
    }

    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// These come first, in this order.
    pub fn queue(&self, faults: &[Fault]) {
        *self.queue.lock().unwrap() = faults.iter().rev().copied().collect();
    }

    fn next(&self) -> Fault {
        let queued = self.queue.lock().unwrap().pop();
        queued.unwrap_or_else(|| *self.fault.lock().unwrap())
    }

    async fn serve(&self, mut stream: TcpStream, backend: SocketAddr) {
        let mut behind: Option<TcpStream> = None;
        while let Some(request) = message(&mut stream).await {
            self.requests.lock().unwrap().push(request.clone());
            let fault = self.next();
            if fault == Fault::Swallowed {
                return;
            }
            if behind.is_none() {
                behind = TcpStream::connect(backend).await.ok();
            }
            let server = behind.as_mut().unwrap();
            server.write_all(&request).await.unwrap();
            // Whatever the answer becomes: it was given, so the effect is committed.
            let answer = message(server).await.expect("the handler answers");
            if !self.answer(&mut stream, fault, &answer).await {
                return;
            }
        }
    }

    /// False if the connection ends.
    async fn answer(&self, stream: &mut TcpStream, fault: Fault, answer: &[u8]) -> bool {
        match fault {
            Fault::None => stream.write_all(answer).await.is_ok(),
            Fault::Dropped | Fault::Swallowed => false,
            Fault::Closed => {
                let _ = stream.write_all(answer).await;
                false
            }
            Fault::Held => {
                self.gate.acquire().await.unwrap().forget();
                stream.write_all(answer).await.is_ok()
            }
            Fault::Cut => {
                let _ = stream.write_all(&answer[..answer.len() - 7]).await;
                false
            }
            Fault::Instead(other) => stream.write_all(other.as_bytes()).await.is_ok(),
            Fault::Doubled => stream.write_all(&[answer, answer].concat()).await.is_ok(),
            Fault::Late => {
                // Until the other side has had enough.
                let _ = stream.read(&mut [0]).await;
                false
            }
            Fault::Endless => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n";
                let _ = stream.write_all(head.as_bytes()).await;
                let some = vec![b' '; 1 << 16];
                for _ in 0..1 << 14 {
                    if stream.write_all(&some).await.is_err() {
                        break;
                    }
                }
                false
            }
        }
    }
}

/// One message of HTTP with a content-length, whole.
pub async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    let mut some = [0; 1 << 14];
    loop {
        if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(all[..end].to_vec()).unwrap().to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let whole = end + 4 + length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
            if all.len() >= whole {
                return Some(all);
            }
        }
        match stream.read(&mut some).await {
            Ok(count) if count > 0 => all.extend_from_slice(&some[..count]),
            _ => return None,
        }
    }
}
