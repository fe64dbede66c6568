//! Middleware for all routes.

mod client;
pub(super) mod cors;
pub(super) mod crowd;
pub(super) mod layers;
pub(super) mod observe;
pub(super) mod pack;
mod traceparent;
mod unpack;
