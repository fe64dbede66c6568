//! Checks of a raw sample: violations, assumed defaults, warnings, and reasons why it is out of domain.
//!
//! Checking does not stop at the first violation. All checks add to the same lists.

use super::raw::{MOST_VIOLATIONS, RawSample, RawValue, Violation};
use super::{Composition, Element, ElementRange, Parameter, ParameterKind, ProcessValue, Schema};

/// Results of the checks so far.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) violations: Vec<Violation>,
    pub(super) assumed: Vec<(String, RawValue)>,
    pub(super) warnings: Vec<String>,
    pub(super) out_of_domain: Vec<String>,
    /// Elements that the input names, with or without an amount.
    pub(super) stated: Vec<Element>,
    /// Elements whose amounts were not measured.
    pub(super) unmeasured: Vec<Element>,
    /// The sample is a training row: formulas whose parts sum to more than 100 are scaled instead of refused, and amounts
    /// that were not measured are estimated later, when it is known from which rows.
    pub(super) lenient: bool,
}

impl Checks {
    pub(super) fn complain(&mut self, pointer: String, detail: impl Into<String>) {
        if self.violations.len() <= MOST_VIOLATIONS {
            self.violations.push(Violation::new(pointer, detail));
        }
    }

    pub(super) fn processing(&mut self, raw: &RawSample, schema: &Schema, base: &str) -> Vec<ProcessValue> {
        let field = |name: &str| Violation::child(&format!("{base}/processing"), name);
        let mut given: Vec<Option<&RawValue>> = vec![None; schema.processing.len()];
        for (name, value) in &raw.processing {
            let Some(place) = schema.processing.iter().position(|parameter| parameter.name == *name) else {
                let known: Vec<&str> = schema.processing.iter().map(|parameter| parameter.name.as_str()).collect();
                let detail = match known.is_empty() {
                    true => "this model takes no process parameters".to_owned(),
                    false => format!("not a parameter of this model; it takes {}", known.join(", ")),
                };
                self.complain(field(name), detail);
                continue;
            };
            match given[place] {
                Some(_) => self.complain(field(name), "the parameter is given twice"),
                None => given[place] = Some(value),
            }
        }
        let mut values = Vec::with_capacity(schema.processing.len());
        for (parameter, given) in schema.processing.iter().zip(given) {
            values.extend(self.parameter(parameter, given, || field(&parameter.name)));
        }
        values
    }

    fn parameter(
        &mut self,
        parameter: &Parameter,
        given: Option<&RawValue>,
        field: impl Fn() -> String,
    ) -> Option<ProcessValue> {
        match (&parameter.kind, given) {
            (ParameterKind::Numeric { default: Some(value), .. }, None) => {
                self.assumed.push((parameter.name.clone(), RawValue::Number(*value)));
                Some(ProcessValue::Number(*value))
            }
            (ParameterKind::Categorical { default: Some(level), levels }, None) => {
                self.assumed.push((parameter.name.clone(), RawValue::Text(level.clone())));
                levels.iter().position(|known| known == level).map(ProcessValue::Level)
            }
            (ParameterKind::Numeric { .. }, None) => {
                let unit = if parameter.unit.is_empty() { String::new() } else { format!(" in {}", parameter.unit) };
                self.complain(field(), format!("required: a number{unit}"));
                None
            }
            (ParameterKind::Categorical { levels, .. }, None) => {
                self.complain(field(), format!("required: one of {}", levels.join(", ")));
                None
            }
            (ParameterKind::Numeric { min, max, physical_min, physical_max, .. }, Some(RawValue::Number(value))) => {
                let (value, unit) = (*value, &parameter.unit);
                if !value.is_finite() {
                    self.complain(field(), "must be a finite number");
                } else if let Some(limit) = physical_min.filter(|limit| value < *limit) {
                    self.complain(
                        field(),
                        with_unit(format!("{value} is not physical: the least possible is {limit}"), unit),
                    );
                } else if let Some(limit) = physical_max.filter(|limit| value > *limit) {
                    self.complain(
                        field(),
                        with_unit(format!("{value} is not physical: the most possible is {limit}"), unit),
                    );
                } else {
                    if value < min - parameter.tolerance || value > max + parameter.tolerance {
                        let reason = format!("{} {value} is outside the training range {min}–{max}", parameter.name);
                        self.out_of_domain.push(with_unit(reason, unit));
                    }
                    return Some(ProcessValue::Number(value));
                }
                None
            }
            (ParameterKind::Categorical { levels, .. }, Some(RawValue::Text(text))) => {
                let level = levels.iter().position(|known| known == text);
                if level.is_none() {
                    self.complain(field(), format!("\"{}\" is not one of {}", shortened(text), levels.join(", ")));
                }
                level.map(ProcessValue::Level)
            }
            (ParameterKind::Numeric { .. }, Some(RawValue::Text(_))) => {
                self.complain(field(), "must be a number");
                None
            }
            (ParameterKind::Categorical { levels, .. }, Some(RawValue::Number(_))) => {
                self.complain(field(), format!("must be one of {}", levels.join(", ")));
                None
            }
        }
    }

    /// Adds a reason for each element that was not seen in training and each amount outside the training range.
    pub(super) fn element_ranges(&mut self, composition: &Composition, schema: &Schema) {
        let unit = schema.composition.basis.unit();
        for (element, amount) in composition.amounts() {
            if schema.composition.range(*element).is_none() {
                self.out_of_domain.push(format!("{element} ({amount:.4} {unit}) was never seen in training"));
            }
        }
        for range in &schema.composition.elements {
            let ElementRange { element, min, max } = range;
            let amount = composition.amount(*element);
            if !schema.composition.is_in_range(range, amount) {
                let reason = format!("{element} {amount:.4} {unit} is outside the training range {min:.4}–{max:.4}");
                self.out_of_domain.push(reason);
            }
        }
    }
}

fn with_unit(text: String, unit: &str) -> String {
    if unit.is_empty() { text } else { format!("{text} {unit}") }
}

/// Shortens a user's text for an error message (40 characters).
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
