//! Fused CPU operations that replace several tensor operations by one pass over memory.
//!
//! They are only for speed: each function gives the same result as the plain operations beside it (up to the last bits
//! of an exponential). Plain operations run on a GPU, and in training if the function has no gradient of its own.

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
