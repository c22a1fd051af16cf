//! The handler on real databases: each scenario of `scenarios` through an adapter of some thirty lines, on SQLite and on
//! Postgres. The adapters here are what a binding writes in its own language.

mod app;

mod postgres;
mod remembered;
mod scenarios;
mod sqlite;
