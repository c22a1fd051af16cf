//! The server that the official conformance suite asks for: `conformance` serves it on a free port of this machine and says
//! where on standard output; it ends when standard input does. Its tools, prompts and resources are the suite's own; what
//! is examined is the road that every message takes to them.

mod prompts;
mod resources;
mod rounds;
mod server;
mod tools;

use std::io::{Read as _, Write as _};

use signoff::mcp::auth::Gate;
use signoff::mcp::http::{Behind, Front, FrontOptions, Listener, ListenerOptions};

impl Behind for server::Server {}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let listener = Listener::bind("127.0.0.1:0", ListenerOptions::default()).await.expect("a port");
    let port = listener.address().expect("an address").port();
    let mut options = FrontOptions::default();
    // Before 2026-07-28 the suite has tools that ask back in the middle of a call.
    options.streams = true;
    options.origins = ["localhost", "127.0.0.1"].map(|host| format!("http://{host}:{port}")).into();
    let front = Front::new(server::Server::new(), Gate::open(), options).expect("a front");
    println!("http://127.0.0.1:{port}/mcp");
    std::io::stdout().flush().expect("somebody reads");
    let ended = tokio::task::spawn_blocking(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
    });
    listener.serve(front, async { drop(ended.await) }).await;
}
