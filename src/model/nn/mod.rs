//! The paper's network and its layers. [`mcvn`] is the network itself, from input to output; [`direct`] is the same as
//! one pass over plain arrays, for serving on a CPU.

pub(super) mod attention;
pub(super) mod cpu_ops;
pub(super) mod direct;
pub(super) mod image;
pub(super) mod init;
pub(super) mod layers;
pub(super) mod mcvn;
pub(super) mod residual;
