//! Listeners and their connections; knows no routes.

mod heads;
pub(super) mod listen;
mod refusal;
mod rest;
mod socket;
