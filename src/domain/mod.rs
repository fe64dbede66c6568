//! What a lab talks about: elements, compositions, process parameters, and what a model takes and gives.
//!
//! The bottom of the crate. It is its own so that every check of a user's input stands in one place and
//! can be read without knowing tensors, sockets or files; it knows std, serde and thiserror alone.

mod checks;
mod composition;
mod element;
mod element_names;
mod formula;
mod raw;
mod sample;
mod scale;
mod schema;
mod stated;
mod units;

pub use composition::{Composition, CompositionError, PERCENT_LIMIT};
pub use element::{Element, ElementError};
pub use formula::{Formula, FormulaError, parse_formula, read_formula};
pub use raw::{MOST_VIOLATIONS, RawComposition, RawSample, RawValue, Violation, is_balance};
pub use sample::Sample;
pub use scale::Scale;
pub use schema::{
    CompositionSchema, ElementRange, Outputs, Parameter, ParameterKind, ProcessValue, Schema, Target, most_probable,
};
pub use units::{ABSOLUTE_ZERO_CELSIUS, Basis};
