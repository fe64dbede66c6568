//! The network of the paper, built of layers.
//!
//! [`mcvn`] is the network itself, top to bottom; [`direct`] is the same as one pass over plain numbers, which serves on a CPU.

pub(super) mod attention;
pub(super) mod cpu_ops;
pub(super) mod direct;
pub(super) mod image;
pub(super) mod init;
pub(super) mod layers;
pub(super) mod mcvn;
pub(super) mod residual;
