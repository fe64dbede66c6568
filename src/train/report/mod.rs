//! Whether a candidate deserves to replace the version in use, in figures and in words.

pub(super) mod build;
pub(super) mod compare;
pub(super) mod incumbent;
pub(super) mod model_card;
pub(super) mod warnings;
