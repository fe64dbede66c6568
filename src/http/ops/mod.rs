//! Health checks, server information, metrics and models.

mod degraded;
pub(super) mod health;
pub(super) mod info;
pub(super) mod models;
