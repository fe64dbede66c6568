//! Request bodies: admission, content types, and small JSON bodies.

pub(super) mod admission;
pub(super) mod extract;
pub(super) mod media;
mod pace;
pub(super) mod room;
