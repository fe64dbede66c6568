//! The members of an ensemble: each takes scaled inputs and gives one row of outputs a sample.

pub(super) mod gp;
pub(super) mod member;
pub(super) mod network;
pub(super) mod trees;
