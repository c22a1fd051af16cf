//! `signoff::handler::axum` on a real Postgres, over real HTTP: in this process with authors who do what authors do, and
//! as two processes of the example, which are killed.

mod authors;
mod client;
mod connections;
mod processes;
mod requests;
mod runner_v1;
mod shop;
