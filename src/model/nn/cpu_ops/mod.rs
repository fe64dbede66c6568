//! Passes over numbers that a CPU does at once instead of one tensor operation after another.
//!
//! They are about speed alone: each function gives what the plain operations beside it give (to the last bits of an
//! exponential), in one pass over memory. On a GPU the plain operations run, and while training, where gradients are
//! followed, so they do where a function has no gradient of its own.

mod attend;
mod exp;
mod linear;
mod matern;
mod norm;
#[cfg(test)]
pub(in crate::model) mod samples;
mod softmax;
mod storage;

pub(in crate::model) use attend::attend;
pub(in crate::model) use exp::exponential;
pub(in crate::model) use linear::linear;
pub(in crate::model) use matern::MaternKernel;
pub(in crate::model) use norm::layer_norm;
pub(in crate::model) use softmax::{shifted_exp, softmax};
