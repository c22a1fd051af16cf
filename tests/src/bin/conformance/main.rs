//! The server that the official conformance suite asks for: `conformance` serves it on a free port of this machine and says
//! where on standard output; it ends when standard input does. Its tools, prompts and resources are the suite's own; what
//! is examined is the road that every message takes to them.

mod prompts;
mod resources;
mod rounds;
mod server;
mod tools;

use std::io::{Read as _, Write as _};

use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let server = server::Server::new();
    let config = StreamableHttpServerConfig::default()
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*"])
        .enforce_origin_validation();
    let sessions = std::sync::Arc::new(LocalSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    println!("http://127.0.0.1:{port}/mcp");
    std::io::stdout().flush().expect("somebody reads");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await.expect("it serves");
}
