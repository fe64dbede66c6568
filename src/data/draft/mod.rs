//! Drafts a first recipe for any table. Guesses are marked as such.
//!
//! A draft only helps a person to start. It does not define what a recipe means or check the table.

mod columns;
mod guesses;
mod words;
mod write;
mod writing;

pub use write::draft_recipe;
