//! One sample: a composition and process parameters, checked against the schema of a model.
//!
//! Its own because this is the only door from what a user wrote to what a model may see: a [`Sample`] has
//! no public fields and comes from [`Sample::parse`] alone, which collects every complaint instead of
//! stopping at the first. It does not know where the raw values came from (JSON, CSV or a training file).

use std::borrow::Cow;

use super::raw::{RawComposition, RawSample, RawValue, Violation};
use super::{
    Basis, Composition, CompositionError, Element, ElementRange, PERCENT_LIMIT, Parameter, ParameterKind, Schema,
    parse_formula,
};

/// The value of one process parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ProcessValue {
    /// A number in the unit of the parameter.
    Number(f64),
    /// Index of a level.
    Level(usize),
}

/// A sample that a model with its schema can answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    composition: Composition,
    processing: Vec<ProcessValue>,
    assumed: Vec<(String, RawValue)>,
    warnings: Vec<String>,
    out_of_domain: Vec<String>,
}

impl Sample {
    /// Checks a raw sample against a schema. `base` is the JSON pointer of the sample.
    ///
    /// # Errors
    /// Every violation, each with the pointer of its field.
    pub fn parse(raw: &RawSample, schema: &Schema, base: &str) -> Result<Self, Vec<Violation>> {
        let mut checks = Checks::default();
        let composition = checks.composition(raw, schema, base);
        let processing = checks.processing(raw, schema, base);
        match composition {
            Some(composition) if checks.violations.is_empty() => {
                checks.element_ranges(&composition, schema);
                let Checks { assumed, warnings, out_of_domain, .. } = checks;
                Ok(Self { composition, processing, assumed, warnings, out_of_domain })
            }
            _ => Err(checks.violations),
        }
    }

    /// The whole composition on the schema's basis: balance filled in, amounts summing to 100.
    pub fn composition(&self) -> &Composition {
        &self.composition
    }

    /// Process parameters in the order of the schema.
    pub fn processing(&self) -> &[ProcessValue] {
        &self.processing
    }

    /// Parameters that were not given, with the defaults that were taken.
    pub fn assumed(&self) -> &[(String, RawValue)] {
        &self.assumed
    }

    /// What the user should know about how the input was read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Why the sample lies outside of what the model was trained on; empty where it does not.
    pub fn out_of_domain(&self) -> &[String] {
        &self.out_of_domain
    }
}

/// Collects what [`Sample::parse`] finds.
#[derive(Default)]
struct Checks {
    violations: Vec<Violation>,
    assumed: Vec<(String, RawValue)>,
    warnings: Vec<String>,
    out_of_domain: Vec<String>,
}

impl Checks {
    fn complain(&mut self, pointer: String, detail: impl Into<String>) {
        self.violations.push(Violation::new(pointer, detail));
    }

    fn composition(&mut self, raw: &RawSample, schema: &Schema, base: &str) -> Option<Composition> {
        let pointer = || format!("{base}/composition");
        let basis = schema.composition.basis;
        let written = match &raw.composition {
            None => {
                self.complain(pointer(), "required: a map of element symbols to amounts, or a formula");
                return None;
            }
            Some(RawComposition::Formula(text)) => {
                if raw.basis == Some(Basis::WeightPercent) {
                    self.complain(format!("{base}/basis"), "a formula is always in atomic parts");
                }
                // A formula states the whole material: there is no balance to fill in.
                match parse_formula(text) {
                    Ok(formula) => return Some(formula.to_basis(basis).scaled_to(100.0)),
                    Err(error) => {
                        self.complain(pointer(), error.to_string());
                        return None;
                    }
                }
            }
            Some(RawComposition::Amounts(amounts)) => {
                self.amounts(amounts, raw.basis.unwrap_or(basis), schema.composition.balance, &pointer)?
            }
        };
        Some(written.to_basis(basis).scaled_to(100.0))
    }

    /// Percent amounts by symbol, with the balance filled in.
    fn amounts(
        &mut self,
        amounts: &[(Cow<str>, f64)],
        basis: Basis,
        balance: Option<Element>,
        pointer: &dyn Fn() -> String,
    ) -> Option<Composition> {
        let before = self.violations.len();
        let mut known = Vec::with_capacity(amounts.len());
        for (symbol, amount) in amounts {
            let field = || Violation::child(&pointer(), symbol);
            match symbol.parse::<Element>() {
                Err(error) => self.complain(field(), error.to_string()),
                Ok(_) if !amount.is_finite() => self.complain(field(), "the amount must be a finite number"),
                Ok(_) if *amount < 0.0 => self.complain(field(), format!("the amount is negative ({amount})")),
                Ok(_) if *amount > 100.0 => {
                    self.complain(field(), format!("the amount is over 100 {} ({amount})", basis.unit()));
                }
                Ok(element) => known.push((element, *amount)),
            }
        }
        if self.violations.len() > before {
            return None;
        }
        let composition = match Composition::new(basis, known) {
            Ok(composition) => composition,
            Err(CompositionError::Twice(element)) => {
                self.complain(Violation::child(&pointer(), element.symbol()), "the element is named twice");
                return None;
            }
            Err(error) => {
                self.complain(pointer(), error.to_string());
                return None;
            }
        };
        let total = composition.total();
        if total > PERCENT_LIMIT {
            let detail = format!("the amounts sum to {total:.2} {}, more than {PERCENT_LIMIT}", basis.unit());
            self.complain(pointer(), detail);
            return None;
        }
        let filled = match balance {
            Some(element) => composition.with_balance(element),
            None => composition,
        };
        let total = filled.total();
        if (total - 100.0).abs() > PERCENT_LIMIT - 100.0 {
            self.warnings.push(format!("the amounts sum to {total:.2} {} and were scaled to 100", basis.unit()));
        }
        Some(filled)
    }

    fn processing(&mut self, raw: &RawSample, schema: &Schema, base: &str) -> Vec<ProcessValue> {
        let field = |name: &str| Violation::child(&format!("{base}/processing"), name);
        for (at, (name, _)) in raw.processing.iter().enumerate() {
            if !schema.processing.iter().any(|parameter| parameter.name == *name) {
                let known: Vec<&str> = schema.processing.iter().map(|parameter| parameter.name.as_str()).collect();
                let detail = match known.is_empty() {
                    true => "this model takes no process parameters".to_owned(),
                    false => format!("not a parameter of this model; it takes {}", known.join(", ")),
                };
                self.complain(field(name), detail);
            } else if raw.processing[..at].iter().any(|(earlier, _)| earlier == name) {
                self.complain(field(name), "the parameter is given twice");
            }
        }
        let mut values = Vec::with_capacity(schema.processing.len());
        for parameter in &schema.processing {
            let given = raw.processing.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| value);
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
                    if value < *min || value > *max {
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

    /// Elements never seen in training, and amounts outside what was seen.
    fn element_ranges(&mut self, composition: &Composition, schema: &Schema) {
        let unit = schema.composition.basis.unit();
        for (element, amount) in composition.amounts() {
            if !schema.composition.elements.iter().any(|range| range.element == *element) {
                self.out_of_domain.push(format!("{element} ({amount:.4} {unit}) was never seen in training"));
            }
        }
        for ElementRange { element, min, max } in &schema.composition.elements {
            let amount = composition.amount(*element);
            // Normalising to 100 moves the last bits; they are no reason to call a training row foreign.
            let slack = 1e-9 * max.max(1.0);
            if amount < min - slack || amount > max + slack {
                let reason = format!("{element} {amount:.4} {unit} is outside the training range {min:.4}–{max:.4}");
                self.out_of_domain.push(reason);
            }
        }
    }
}

fn with_unit(text: String, unit: &str) -> String {
    if unit.is_empty() { text } else { format!("{text} {unit}") }
}

/// A user's text as far as an error message should repeat it.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CompositionSchema, Outputs, Target};

    fn schema() -> Schema {
        let numeric = |default| ParameterKind::Numeric {
            min: 400.0,
            max: 700.0,
            default,
            physical_min: Some(-273.15),
            physical_max: None,
        };
        let parameter = |name: &str, kind| Parameter {
            name: name.into(),
            column: name.into(),
            unit: "°C".into(),
            description: String::new(),
            kind,
        };
        let levels = vec!["converter".to_owned(), "electric".to_owned()];
        Schema {
            composition: CompositionSchema {
                basis: Basis::WeightPercent,
                balance: Some(Element::Fe),
                formula_column: None,
                elements: vec![
                    ElementRange { element: Element::C, min: 0.1, max: 0.6 },
                    ElementRange { element: Element::Fe, min: 95.0, max: 99.9 },
                ],
            },
            processing: vec![
                parameter("tempering_temperature", numeric(None)),
                parameter("quenching_temperature", numeric(Some(500.0))),
                parameter("melting_method", ParameterKind::Categorical { levels, default: None }),
            ],
            outputs: Outputs::Regression { targets: vec![Target { name: "hardness".into(), unit: "HV".into() }] },
        }
    }

    fn raw<'a>(amounts: &[(&'a str, f64)], processing: &[(&'a str, RawValue)]) -> RawSample<'a> {
        let amounts = amounts.iter().map(|(symbol, amount)| ((*symbol).into(), *amount)).collect();
        RawSample {
            composition: Some(RawComposition::Amounts(amounts)),
            basis: None,
            processing: processing.iter().map(|(name, value)| ((*name).into(), value.clone())).collect(),
        }
    }

    fn tempered(temperature: f64) -> [(&'static str, RawValue); 2] {
        let method = RawValue::Text("electric".into());
        [("tempering_temperature", RawValue::Number(temperature)), ("melting_method", method)]
    }

    fn pointers(result: Result<Sample, Vec<Violation>>) -> Vec<String> {
        result.unwrap_err().into_iter().map(|violation| violation.pointer).collect()
    }

    #[test]
    fn fills_the_balance_and_lists_what_it_assumed() {
        let sample = Sample::parse(&raw(&[("C", 0.4)], &tempered(600.0)), &schema(), "").unwrap();
        assert!((sample.composition().amount(Element::Fe) - 99.6).abs() < 1e-9);
        assert_eq!(sample.assumed(), [("quenching_temperature".to_owned(), RawValue::Number(500.0))]);
        assert_eq!(sample.processing()[2], ProcessValue::Level(1));
        assert!(sample.out_of_domain().is_empty() && sample.warnings().is_empty());
    }

    #[test]
    fn names_every_offending_field() {
        let amounts = [("C", -1.0), ("Xx", 1.0), ("Mn", f64::NAN), ("a/b", 1.0), ("Cr", 101.0)];
        let processing =
            [("quenching_temperature", RawValue::Number(-300.0)), ("cooling", RawValue::Text("oil".into()))];
        let got = pointers(Sample::parse(&raw(&amounts, &processing), &schema(), "/samples/3"));
        let wanted = [
            "composition/C",
            "composition/Xx",
            "composition/Mn",
            "composition/a~1b",
            "composition/Cr",
            "processing/cooling",
            "processing/tempering_temperature",
            "processing/quenching_temperature",
            "processing/melting_method",
        ];
        assert_eq!(got, wanted.map(|field| format!("/samples/3/{field}")));
    }

    #[test]
    fn outside_the_training_range_is_answered_with_reasons() {
        let sample = Sample::parse(&raw(&[("C", 0.9), ("V", 0.1)], &tempered(900.0)), &schema(), "").unwrap();
        let reasons = sample.out_of_domain().join("; ");
        for word in ["tempering_temperature 900", "V (0.1000 wt%) was never seen", "C 0.9000 wt%"] {
            assert!(reasons.contains(word), "{reasons}");
        }
    }

    #[test]
    fn totals_over_the_limit_and_odd_totals() {
        let over = Sample::parse(&raw(&[("C", 0.4), ("Fe", 100.0), ("Cr", 0.2)], &tempered(600.0)), &schema(), "");
        assert_eq!(pointers(over), ["/composition"]);
        let short = Sample::parse(&raw(&[("C", 0.4), ("Fe", 90.0)], &tempered(600.0)), &schema(), "").unwrap();
        assert!(short.warnings()[0].contains("90.40"), "{:?}", short.warnings());
        assert!((short.composition().total() - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_formula_is_atomic() {
        let mut sample = raw(&[], &tempered(600.0));
        sample.composition = Some(RawComposition::Formula("Fe98C2".into()));
        let parsed = Sample::parse(&sample, &schema(), "").unwrap();
        // 2 at% C in iron is 0.437 wt%: 2·12.011 / (98·55.845 + 2·12.011).
        assert!((parsed.composition().amount(Element::C) - 0.437).abs() < 1e-3);
        sample.basis = Some(Basis::WeightPercent);
        assert_eq!(pointers(Sample::parse(&sample, &schema(), "")), ["/basis"]);
    }
}
