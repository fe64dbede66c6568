//! Prediction requests, from their bytes to their responses.

mod answer;
mod bulk;
mod byte_channel;
pub(super) mod choose;
pub(super) mod echo;
pub(super) mod generic;
pub(super) mod glass;
mod input;
mod notes;
mod query;
pub(super) mod steel;
mod stream;
mod timing;
