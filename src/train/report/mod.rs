//! Reports on whether a candidate should replace the active version.

pub(super) mod build;
pub(super) mod compare;
pub(super) mod incumbent;
pub(super) mod model_card;
pub(super) mod warnings;
