//! The agent's door: an MCP server with the contract's tools, and nothing behind it that decides, applies or connects.
//!
//! One handler serves both eras of the protocol, those with `initialize` and 2026-07-28. Over standard input and output
//! [`serve_stdio`] hands the arguments of a call on as they were written: no number in them passes through a float.

#[cfg(feature = "mcp-http")]
pub mod auth;
mod counts;
mod door;
#[cfg(feature = "mcp-http")]
pub mod http;
mod limits;
mod lines;
mod resources;
mod status;

pub use door::{Door, DoorOptions};
pub use lines::{Lines, MAX_MESSAGE};

use rmcp::ServiceExt as _;

use crate::error::{Code, Error, Result};

/// Serves one client on standard input and output until it hangs up. Nothing else may be written to standard output.
///
/// # Errors
/// `MCP_TRANSPORT_FAILED` if the client breaks the protocol before it began, or a task of ours dies.
pub async fn serve_stdio(door: Door) -> Result<()> {
    serve(door, tokio::io::stdin(), tokio::io::stdout()).await
}

/// The same on any pair of streams: one JSON-RPC message a line.
///
/// # Errors
/// As [`serve_stdio`].
pub async fn serve<R, W>(door: Door, read: R, write: W) -> Result<()>
where
    R: tokio::io::AsyncRead + Send + Unpin + 'static,
    W: tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    let failed = |what: &str| Error::new(Code::McpTransportFailed).with("reason", what);
    let running = match door.serve(Lines::new(read, write)).await {
        Ok(running) => running,
        // Somebody who only looked whether the program starts.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(_) => return Err(failed("the first message was not one that begins a session")),
    };
    running.waiting().await.map(|_| ()).map_err(|_| failed("the session ended by itself"))
}
