//! What stands between a reviewed contract and its first use: how a client is told of the server, and what a review of tools
//! looks at.

mod clients;
mod instructions;
mod merge;
#[cfg(feature = "audit")]
mod review;

pub use clients::{
    AUTH_TOKEN_ENV, Client, ClientOptions, ClientSnippet, ClientTransport, PORT, SERVER_NAME, StartServer,
    client_snippet, serving_variables,
};
pub use instructions::{Instructions, instructions};
#[cfg(feature = "audit")]
pub use review::{ClientServer, Reach, ServerList, audit_text, own_contract, server_list};
