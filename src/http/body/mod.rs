//! Bodies of requests: room for their bytes, their kind, and small ones as typed JSON.

pub(super) mod admission;
pub(super) mod extract;
pub(super) mod media;
mod pace;
pub(super) mod room;
