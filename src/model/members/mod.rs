//! The members of an ensemble: each takes scaled inputs and returns one row of outputs per sample.

pub(super) mod gp;
pub(super) mod member;
pub(super) mod network;
pub(super) mod trees;
