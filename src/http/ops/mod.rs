//! What runs here and how it fares, for operators, schedulers and whoever writes a client.

mod degraded;
pub(super) mod health;
pub(super) mod info;
pub(super) mod models;
