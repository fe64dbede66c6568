//! The domain: elements, compositions, process parameters, and the inputs and outputs of a model.
//!
//! All checks of user input are in this module. It is the lowest rank and knows only std, serde and thiserror.

mod amounts;
mod checks;
mod cholesky;
mod composition;
mod element;
mod element_names;
mod formula;
mod physics;
mod projection;
mod raw;
mod sample;
mod scale;
mod schema;
mod specification;
mod stated;
mod units;
mod unmeasured;

pub use amounts::{AmountDistribution, Conditional, ElementAmounts};
pub use composition::{Composition, CompositionError, PERCENT_LIMIT};
pub use element::{Element, ElementError};
pub use formula::{Formula, FormulaError, parse_formula, read_formula};
pub use physics::{Relation, relations};
pub use projection::Physics;
pub use raw::{MOST_VIOLATIONS, NotMeasured, RawComposition, RawSample, RawValue, Violation, is_balance};
pub use sample::Sample;
pub use scale::Scale;
pub use schema::{
    CompositionSchema, ElementRange, Outputs, Parameter, ParameterKind, ProcessValue, Schema, Target, most_probable,
};
pub use specification::{PropertyLimits, RawLimits, Specification};
pub use units::{ABSOLUTE_ZERO_CELSIUS, Basis};
