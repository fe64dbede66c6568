//! One connection: what moves on it, and what waits on it for its client.

pub(super) mod activity;
pub(super) mod unread;
