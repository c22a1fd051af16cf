//! Who comes in over HTTP: tokens of a real issuer, whose keys a real server publishes and counts who asks for them.

mod bearer;
mod contexts;
mod edges;
mod forged;
mod house;
mod keys_at_work;
mod mutations;
mod served;
mod tables;
