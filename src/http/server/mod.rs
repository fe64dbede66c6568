//! Listeners and their connections, below any route.

mod heads;
pub(super) mod listen;
mod refusal;
mod rest;
mod socket;
