//! Sockets for a front: plain or TLS, one task a connection.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{Behind, Front};
use crate::error::{Code, Error, Result};

/// How a listener is set up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListenerOptions {
    /// Certificate chain and private key, both in PEM; without, plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Connections at a time; those beyond wait.
    pub connections: usize,
    /// A connection that sends no whole head of a request for so long is closed, the first one or the next; so is one that
    /// reads nothing of an answer.
    pub idle: Duration,
    /// When it is told to stop, requests that were begun have so long.
    pub grace: Duration,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        Self { tls: None, connections: 8_192, idle: Duration::from_secs(75), grace: Duration::from_secs(10) }
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    tls: Option<Acceptor>,
    options: ListenerOptions,
}

#[derive(Clone)]
struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Acceptor(…)")
    }
}

impl Listener {
    /// Binds an address, such as `127.0.0.1:8766`; port 0 takes a free one.
    ///
    /// # Errors
    /// `HTTP_LISTEN_FAILED`, `HTTP_TLS_INVALID`, `FILE_UNREADABLE`.
    pub async fn bind(address: &str, options: ListenerOptions) -> Result<Self> {
        let tls = options.tls.as_ref().map(acceptor).transpose()?;
        let failed = |error: &std::io::Error| {
            Error::new(Code::HttpListenFailed).with("address", address).with("reason", error.kind())
        };
        let socket = TcpListener::bind(address).await.map_err(|error| failed(&error))?;
        Ok(Self { socket, tls, options })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// `HTTP_LISTEN_FAILED` if the socket is gone.
    pub fn address(&self) -> Result<SocketAddr> {
        self.socket
            .local_addr()
            .map_err(|error| Error::new(Code::HttpListenFailed).with("address", "its own").with("reason", error.kind()))
    }

    /// Serves until told to stop; then lets what was begun come to its end.
    pub async fn serve<S: Behind>(self, front: Front<S>, stop: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(self.options.connections.max(1)));
        let shutdown = GracefulShutdown::new();
        let handshakes = CancellationToken::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (self.socket.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                () = &mut stop => break,
                next = next => next,
            };
            let Ok((socket, _)) = accepted else {
                // Out of descriptors, perhaps: some will be given back.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            // An answer is small, and somebody waits for it.
            let _ = socket.set_nodelay(true);
            let (front, tls, idle) = (front.clone(), self.tls.clone(), self.options.idle);
            let Some(tls) = tls else {
                let watch = shutdown.watcher();
                tokio::spawn(async move {
                    connection(socket, &front, idle, watch).await;
                    drop(place);
                });
                continue;
            };
            // A handshake is nothing that was begun: told to stop, nobody waits for one.
            let (told, watch) = (handshakes.clone(), shutdown.watcher());
            tokio::spawn(async move {
                let Acceptor(tls) = tls;
                let accepted = tokio::select! {
                    accepted = tokio::time::timeout(idle, tls.accept(socket)) => accepted,
                    () = told.cancelled() => return,
                };
                if let Ok(Ok(socket)) = accepted {
                    connection(socket, &front, idle, watch).await;
                }
                drop(place);
            });
        }
        handshakes.cancel();
        drop(self.socket);
        let _ = tokio::time::timeout(self.options.grace, shutdown.shutdown()).await;
    }
}

async fn connection<S: Behind>(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    front: &Front<S>,
    idle: Duration,
    watch: hyper_util::server::graceful::Watcher,
) {
    let service = hyper::service::service_fn(|request| {
        let front = front.clone();
        async move { Ok::<_, std::convert::Infallible>(front.handle(request).await) }
    });
    // Whoever does not read would hold its place for ever.
    let mut socket = TimeoutStream::new(socket);
    socket.set_write_timeout(Some(idle));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        // Who has said everything still waits for the answer.
        .half_close(true)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(Box::pin(socket)), service);
    // A client that broke off is its own affair.
    let _ = watch.watch(serving).await;
}

fn acceptor((chain, key): &(PathBuf, PathBuf)) -> Result<Acceptor> {
    let read = |path: &PathBuf| {
        std::fs::read(path)
            .map_err(|error| Error::new(Code::FileUnreadable).with("path", path.display()).with("reason", error.kind()))
    };
    let invalid = |path: &PathBuf| Error::new(Code::HttpTlsInvalid).with("path", path.display());
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(chain)?)
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| invalid(chain))?;
    let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| invalid(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| invalid(chain))?
        .with_no_client_auth()
        .with_single_cert(certificates, private)
        .map_err(|_| invalid(chain))?;
    Ok(Acceptor(TlsAcceptor::from(Arc::new(config))))
}
