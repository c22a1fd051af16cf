//! One request on a connection of our own making. hyper's connection tells exactly what a client built on top of it hides:
//! whether the first byte of a request may have left. Up to then nothing happened; from then on, without a whole answer,
//! nobody knows. So there is no redirect, no cookie, no proxy and no retry here that was not written here.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::address::{Address, Refused, Resolve, SystemResolver};
use crate::executor::answer::MAX_ANSWER;

/// A connection that nobody used for so long is not used again: common servers close theirs after five seconds.
const IDLE: Duration = Duration::from_millis(3_500);

/// So many idle connections are kept for one address.
const MOST_IDLE: usize = 64;

/// The head of an answer may be so long, in bytes.
const MAX_HEAD: usize = 1 << 16;

/// Connections to handlers: kept alive, shared by every attempt of a runtime.
#[derive(Debug)]
pub struct Client {
    resolver: Arc<dyn Resolve>,
    tls: Arc<ClientConfig>,
    idle: Mutex<HashMap<Key, Vec<Idle>>>,
}

/// Two executors share a connection only if each could have made it.
type Key = (String, bool, bool);

#[derive(Debug)]
struct Idle {
    line: Line,
    since: Instant,
}

/// A connection and the task that moves its bytes.
#[derive(Debug)]
struct Line {
    sender: SendRequest<Full<Bytes>>,
    task: AbortHandle,
    /// The same socket once more, to look at.
    socket: Option<std::net::TcpStream>,
}

impl Line {
    /// True of one that may be used for another request. The task may not have run since the other side closed it, so the
    /// socket itself is asked: nothing stands in it that nobody has read, and it has not ended.
    fn is_quiet(&self) -> bool {
        let waits = |socket: &std::net::TcpStream| {
            socket.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
        };
        !self.sender.is_closed() && self.socket.as_ref().is_some_and(waits)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The address may not be called.
    Forbidden(&'static str),
    /// Certainly nothing left.
    NeverSent(&'static str),
    /// Something may have.
    Lost(&'static str),
}

const LATE: &str = "no whole answer came in time";

impl Client {
    /// A client that trusts the web's certificate authorities, and with `roots` those in that file of PEM, too.
    ///
    /// # Errors
    /// A reason, if that file cannot be read.
    pub fn new(resolver: Arc<dyn Resolve>, roots: Option<&Path>) -> Result<Self, &'static str> {
        let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = roots {
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|_| "the file in SSL_CERT_FILE cannot be read")?;
            for certificate in certificates {
                let certificate = certificate.map_err(|_| "the file in SSL_CERT_FILE is not PEM")?;
                store.add(certificate).map_err(|_| "a certificate in SSL_CERT_FILE cannot be used")?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| "TLS is not available")?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self { resolver, tls: Arc::new(tls), idle: Mutex::default() })
    }

    /// A client on the operating system's resolver.
    ///
    /// # Errors
    /// Those of [`Self::new`].
    pub fn system(roots: Option<&Path>) -> Result<Self, &'static str> {
        Self::new(Arc::new(SystemResolver), roots)
    }

    /// Sends a request once and reads the whole answer, all before the deadline.
    pub(super) async fn send(
        &self,
        address: &Address,
        allow_private: bool,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        self.ask(address, allow_private, request, deadline, MAX_ANSWER).await
    }

    /// The same with another length that the answer may have.
    pub(super) async fn ask(
        &self,
        address: &Address,
        allow_private: bool,
        request: Request<Full<Bytes>>,
        deadline: Instant,
        longest: usize,
    ) -> Result<Answer, Failure> {
        let key = (address.authority.clone(), address.tls, allow_private);
        let mut request = request;
        loop {
            let (mut line, used) = match self.take(&key) {
                Some(line) => (line, true),
                None => (self.connect(address, allow_private, deadline).await?, false),
            };
            if !matches!(timeout_at(deadline, line.sender.ready()).await, Ok(Ok(()))) {
                if used {
                    continue;
                }
                return Err(Failure::NeverSent("the connection was closed at once"));
            }
            let sent = timeout_at(deadline, line.sender.try_send_request(request)).await;
            let response = match sent {
                Err(_) => return Err(Failure::Lost(LATE)),
                Ok(Ok(response)) => response,
                Ok(Err(mut failed)) => match failed.take_message() {
                    // It was handed back: not one byte of it was written. A used connection had been closed.
                    Some(unsent) if used => {
                        request = unsent;
                        continue;
                    }
                    Some(_) => return Err(Failure::NeverSent("the connection was closed at once")),
                    None => return Err(Failure::Lost("the connection ended without an answer")),
                },
            };
            let answer = read(response, deadline, longest).await?;
            self.keep(key, line);
            return Ok(answer);
        }
    }

    fn take(&self, key: &Key) -> Option<Line> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = idle.get_mut(key)?;
        while let Some(Idle { line, since }) = lines.pop() {
            if since.elapsed() < IDLE && line.is_quiet() {
                return Some(line);
            }
        }
        idle.remove(key);
        None
    }

    fn keep(&self, key: Key, line: Line) {
        if line.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|_, lines| {
            lines.retain(|idle| idle.since.elapsed() < IDLE && !idle.line.sender.is_closed());
            !lines.is_empty()
        });
        let lines = idle.entry(key).or_default();
        if lines.len() < MOST_IDLE {
            lines.push(Idle { line, since: Instant::now() });
        }
    }

    /// Tries the addresses one after the other, each with its part of the time that is left.
    async fn connect(&self, address: &Address, allow_private: bool, deadline: Instant) -> Result<Line, Failure> {
        let found = by(deadline, address.candidates(&*self.resolver, allow_private)).await?;
        let found = found.map_err(|refused| match refused {
            Refused::Unknown => Failure::NeverSent("its name is not known"),
            Refused::Forbidden(why) => Failure::Forbidden(why),
        })?;
        let mut left = u32::try_from(found.len()).unwrap_or(u32::MAX);
        let mut stream = Err(Failure::NeverSent("nothing listens there"));
        for at in found {
            let share = deadline.saturating_duration_since(Instant::now()) / left.max(1);
            left = left.saturating_sub(1);
            stream = match timeout_at(Instant::now() + share, TcpStream::connect(at)).await {
                Ok(Ok(stream)) => Ok(stream),
                Ok(Err(_)) => Err(Failure::NeverSent("nothing listens there")),
                Err(_) => Err(Failure::NeverSent("there was no connection in time")),
            };
            if stream.is_ok() {
                break;
            }
        }
        let stream = stream?;
        // A small request is not held back for a fuller packet.
        let _ = stream.set_nodelay(true);
        let (stream, socket) = twice(stream)?;
        if !address.tls {
            return line(stream, socket, deadline).await;
        }
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| Failure::NeverSent("its name cannot stand in a certificate"))?;
        let stream = by(deadline, TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream)).await?;
        let stream = stream.map_err(|error| Failure::NeverSent(distrust(&error)))?;
        line(stream, socket, deadline).await
    }
}

/// Before anything was sent.
async fn by<T>(deadline: Instant, work: impl Future<Output = T>) -> Result<T, Failure> {
    timeout_at(deadline, work).await.map_err(|_| Failure::NeverSent("there was no connection in time"))
}

/// A socket to talk on and the same to look at; without the second it is used once.
fn twice(stream: TcpStream) -> Result<(TcpStream, Option<std::net::TcpStream>), Failure> {
    let gone = |_| Failure::NeverSent("the connection was closed at once");
    let stream = stream.into_std().map_err(gone)?;
    let second = stream.try_clone().ok();
    Ok((TcpStream::from_std(stream).map_err(gone)?, second))
}

/// Why TLS was not agreed on, in words of our own.
fn distrust(error: &std::io::Error) -> &'static str {
    use rustls::{CertificateError as Why, Error};
    let Some(Error::InvalidCertificate(why)) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return "TLS could not be agreed on";
    };
    match why {
        Why::UnknownIssuer | Why::BadSignature => {
            "nobody who is trusted here signed its certificate; SSL_CERT_FILE adds an authority"
        }
        Why::Expired | Why::ExpiredContext { .. } => "its certificate has expired",
        Why::NotValidYet | Why::NotValidYetContext { .. } => "its certificate is not valid yet",
        Why::NotValidForName | Why::NotValidForNameContext { .. } => "its certificate is for another name",
        _ => "its certificate is not accepted",
    }
}

async fn line<S>(stream: S, socket: Option<std::net::TcpStream>, deadline: Instant) -> Result<Line, Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let made = by(deadline, Builder::new().max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream))).await?;
    let (sender, connection) = made.map_err(|_| Failure::NeverSent("the connection was closed at once"))?;
    let task = tokio::spawn(async move {
        // What goes wrong is told to whoever waits for the answer.
        let _ = connection.await;
    });
    Ok(Line { sender, task: task.abort_handle(), socket })
}

/// Reads an answer to its end, and no more of it than is looked at.
async fn read(response: Response<Incoming>, deadline: Instant, longest: usize) -> Result<Answer, Failure> {
    let large = if longest == MAX_ANSWER { "the answer was longer than 1 MiB" } else { "the answer was too long" };
    let status = response.status().as_u16();
    let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    loop {
        match timeout_at(deadline, incoming.frame()).await {
            Err(_) => return Err(Failure::Lost(LATE)),
            Ok(Some(Err(_))) => return Err(Failure::Lost("the answer was cut off")),
            Ok(None) => return Ok(Answer { status, retry_after, body }),
            Ok(Some(Ok(frame))) => {
                let Some(data) = frame.data_ref() else { continue };
                if body.len() + data.len() > longest {
                    return Err(Failure::Lost(large));
                }
                body.extend_from_slice(data);
            }
        }
    }
}

#[cfg(test)]
mod tests;
