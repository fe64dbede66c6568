//! One connection: its activity, and its unread responses.

pub(super) mod activity;
pub(super) mod unread;
