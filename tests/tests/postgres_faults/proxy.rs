//! Between a client and a Postgres server: everything passes, until one COMMIT meets the fault that waits for it.

use std::collections::HashSet;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to the next COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server gets it; the client is cut off before the answer.
    CutAfter,
    /// The server never gets it; both are cut off.
    Drop,
    /// The client is cut off at once; the server gets it when told.
    CutAndDelay,
    /// The server gets it when told, and the client its answer.
    Delay,
}

/// The far end of a fault that waits.
#[derive(Debug)]
pub struct Armed {
    reached: Receiver<()>,
    release: Sender<()>,
}

impl Armed {
    /// Waits until a COMMIT has met the fault.
    pub fn wait(&self) {
        self.reached.recv_timeout(Duration::from_secs(30)).expect("a COMMIT comes by");
    }

    /// Lets a delayed COMMIT go on to the server.
    pub fn release(self) {
        drop(self.release);
    }
}

type Waiting = (Fault, Sender<()>, Receiver<()>);

#[derive(Debug)]
pub struct Proxy {
    port: u16,
    waiting: Arc<Mutex<Option<Waiting>>>,
}

impl Proxy {
    /// In front of the server at this socket.
    pub fn new(server: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let waiting = Arc::new(Mutex::new(None));
        let shared = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (server, shared) = (server.clone(), Arc::clone(&shared));
                // However a connection ends: that is what the test is about.
                std::thread::spawn(move || client.and_then(|client| carry(client, &server, &shared)));
            }
        });
        Self { port, waiting }
    }

    pub fn address(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// The next COMMIT, on whatever connection, meets this.
    pub fn arm(&self, fault: Fault) -> Armed {
        let ((tell, reached), (release, released)) = (channel(), channel());
        *self.waiting.lock().unwrap() = Some((fault, tell, released));
        Armed { reached, release }
    }
}

fn carry(client: TcpStream, server: &Path, waiting: &Mutex<Option<Waiting>>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = UnixStream::connect(server)?;
    let muted = Arc::new(AtomicBool::new(false));
    let (mut answers, mut back, mute) = (server.try_clone()?, client.try_clone()?, Arc::clone(&muted));
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = answers.read(&mut buffer) {
            // Read to the end all the same: what lies unread would reset the connection.
            if !mute.load(Ordering::SeqCst) && back.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut requests = BufReader::new(client.try_clone()?);
    let carried = (|| {
        // The first message has no type.
        let mut message = Vec::new();
        rest(&mut requests, &mut message)?;
        server.write_all(&message)?;
        let mut commits = Commits::default();
        loop {
            let mut message = next(&mut requests)?;
            let fault = if commits.see(&message) { waiting.lock().unwrap().take() } else { None };
            let Some((fault, tell, released)) = fault else {
                server.write_all(&message)?;
                continue;
            };
            while message_kind(&message) == b'E' {
                let more = next(&mut requests)?;
                message.extend_from_slice(&more);
                if message_kind(&more) == b'S' {
                    break;
                }
            }
            if fault != Fault::Delay {
                muted.store(true, Ordering::SeqCst);
            }
            if fault == Fault::CutAfter {
                server.write_all(&message)?;
            }
            if fault != Fault::Delay {
                client.shutdown(Shutdown::Both)?;
            }
            let _ = tell.send(());
            if matches!(fault, Fault::Delay | Fault::CutAndDelay) {
                let _ = released.recv();
                server.write_all(&message)?;
            }
            if fault != Fault::Delay {
                return Ok(());
            }
        }
    })();
    let _ = server.shutdown(Shutdown::Write);
    carried
}

fn message_kind(message: &[u8]) -> u8 {
    message[0]
}

fn next(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut message = vec![0];
    from.read_exact(&mut message)?;
    rest(from, &mut message)?;
    Ok(message)
}

/// The length of a message, and what it counts.
fn rest(from: &mut impl Read, message: &mut Vec<u8>) -> io::Result<()> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    message.extend_from_slice(&length);
    let start = message.len();
    message.resize(start + (u32::from_be_bytes(length) as usize).saturating_sub(4), 0);
    from.read_exact(&mut message[start..])
}

/// Sees a COMMIT in either form of the protocol. One inside a batch of several statements is none.
#[derive(Default)]
struct Commits {
    statements: HashSet<Vec<u8>>,
    portals: HashSet<Vec<u8>>,
}

impl Commits {
    fn see(&mut self, message: &[u8]) -> bool {
        let mut words = message[5..].split(|byte| *byte == 0).map(<[u8]>::to_vec);
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match message_kind(message) {
            b'Q' => is_commit(&first),
            b'E' => self.portals.contains(&first),
            b'P' => note(&mut self.statements, first, is_commit(&second)),
            b'B' => {
                let commit = self.statements.contains(&second);
                note(&mut self.portals, first, commit)
            }
            _ => false,
        }
    }
}

fn is_commit(sql: &[u8]) -> bool {
    sql.trim_ascii().strip_suffix(b";").unwrap_or(sql.trim_ascii()).eq_ignore_ascii_case(b"commit")
}

fn note(names: &mut HashSet<Vec<u8>>, name: Vec<u8>, commit: bool) -> bool {
    if commit {
        names.insert(name);
    } else {
        names.remove(&name);
    }
    false
}

#[test]
fn a_commit_is_seen_in_either_form() {
    let mut commits = Commits::default();
    let mut see = |kind: u8, body: &[u8]| commits.see(&[&[kind, 0, 0, 0, 0], body].concat());
    assert!(see(b'Q', b"COMMIT\0") && see(b'Q', b" commit;\0"));
    assert!(!see(b'Q', b"BEGIN; RESET ALL; COMMIT; BEGIN\0") && !see(b'Q', b"ROLLBACK\0"));
    assert!(!see(b'P', b"s1\0COMMIT\0\0\0") && !see(b'B', b"p1\0s1\0\0\0\0\0\0\0"));
    assert!(see(b'E', b"p1\0\0\0\0\0") && !see(b'E', b"\0\0\0\0\0"));
    assert!(!see(b'P', b"\0SELECT 1\0\0\0") && !see(b'B', b"p1\0\0\0\0") && !see(b'E', b"p1\0\0\0\0\0"));
}
