//! Executors that belong to the application: core's own handler behind a proxy that breaks answers, a script of v1's days,
//! a local command. Effects are counted by a trigger that nobody here writes past.
#![allow(dead_code, reason = "the shop and its client are shared with the tests of the handler")]

#[path = "../axum/client.rs"]
mod client;
#[path = "../axum/shop.rs"]
mod shop;

mod answers;
mod hostile;
mod house;
mod kept;
mod kills;
mod leases;
mod network;
mod proxy;
mod retries;
mod scripts;
mod secrets;
mod tls;
