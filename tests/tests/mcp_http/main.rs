//! The agent's door over HTTP, as it is on the wire. Real clients call it elsewhere (`tests/mcp`).

mod crowds;
mod messages;
mod places;
mod sessions;
mod tls;
