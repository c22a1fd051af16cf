//! The agent's door in this process: who is offered what, what answers look like, how often one may ask, and that nothing
//! is somebody else's to see.

mod errors;
mod foreign;
mod house;
mod limits;
mod roles;
mod schemas;
