//! The handler for frameworks and drivers of Rust. Each hands on what arrives and runs what it is told; the rules are
//! [`crate::handler`]'s.

pub mod axum;
