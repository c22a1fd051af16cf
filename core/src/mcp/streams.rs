//! Standard input and output without a thread for each read and write: most of what a small message costs is otherwise waking
//! one and waiting for it.
//!
//! A client hands us a pipe (Python, Rust, Go) or a socket (Node), and those can be waited for. What is neither, such as a
//! terminal or a file, is read in the ordinary way. A pipe that is waited for does not block for whoever else holds this end
//! of it, either; nobody does, while we serve.

use tokio::io::{AsyncRead, AsyncWrite};

pub(super) type Input = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Output = Box<dyn AsyncWrite + Send + Unpin>;

pub(super) fn standard() -> (Input, Output) {
    (
        waited::input().unwrap_or_else(|| Box::new(tokio::io::stdin())),
        waited::output().unwrap_or_else(|| Box::new(tokio::io::stdout())),
    )
}

#[cfg(unix)]
mod waited {
    use std::fs::File;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::FileTypeExt as _;

    use tokio::net::UnixStream;
    use tokio::net::unix::pipe::{Receiver, Sender};

    use super::{Input, Output};

    enum End {
        Pipe(File),
        Socket(UnixStream),
    }

    fn end(of: impl AsFd) -> Option<End> {
        let file = File::from(of.as_fd().try_clone_to_owned().ok()?);
        let kind = file.metadata().ok()?.file_type();
        if kind.is_fifo() {
            return Some(End::Pipe(file));
        }
        if !kind.is_socket() {
            return None;
        }
        let socket = std::os::unix::net::UnixStream::from(OwnedFd::from(file));
        // Of the Internet's there are some, too, that inetd hands over.
        socket.local_addr().ok()?;
        socket.set_nonblocking(true).ok()?;
        UnixStream::from_std(socket).ok().map(End::Socket)
    }

    pub(super) fn input() -> Option<Input> {
        Some(match end(std::io::stdin())? {
            End::Pipe(file) => Box::new(Receiver::from_file(file).ok()?),
            End::Socket(socket) => Box::new(socket),
        })
    }

    pub(super) fn output() -> Option<Output> {
        Some(match end(std::io::stdout())? {
            End::Pipe(file) => Box::new(Sender::from_file(file).ok()?),
            End::Socket(socket) => Box::new(socket),
        })
    }
}

#[cfg(not(unix))]
mod waited {
    pub(super) fn input() -> Option<super::Input> {
        None
    }

    pub(super) fn output() -> Option<super::Output> {
        None
    }
}
