//! A first recipe for any table: what its columns probably are, each guess marked as one.
//!
//! It only helps a person to begin. What a recipe means, and what is wrong with a table, is said elsewhere.

mod columns;
mod guesses;
mod words;
mod write;
mod writing;

pub use write::draft_recipe;
