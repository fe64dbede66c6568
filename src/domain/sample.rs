//! A sample: a composition and process parameters, checked against the schema of a model.
//!
//! [`Sample::parse`] is the only way from user input to a model. It collects all violations instead of stopping at the
//! first. [`Sample::made_of`] builds samples from parts of checked samples. This module does not know where raw values
//! came from (JSON, CSV or a training file).

use std::borrow::Cow;

use super::checks::Checks;
use super::raw::{RawSample, RawValue, Violation};
use super::unmeasured::Unmeasured;
use super::{Basis, Composition, Element, ParameterKind, ProcessValue, Schema};

/// A checked sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    composition: Composition,
    processing: Vec<ProcessValue>,
    assumed: Vec<(String, RawValue)>,
    warnings: Vec<String>,
    out_of_domain: Vec<String>,
    /// `None` if every amount is known.
    unmeasured: Option<Box<Unmeasured>>,
}

impl Sample {
    /// Checks a raw sample against a schema. `base` is the JSON pointer of the sample.
    ///
    /// # Errors
    /// All violations, each with the pointer of its field.
    pub fn parse(raw: &RawSample, schema: &Schema, base: &str) -> Result<Self, Vec<Violation>> {
        Self::check(raw, schema, base, Checks::default())
    }

    /// Checks a training row. If the parts of a formula sum to more than 100, they are scaled with a warning; for
    /// predictions such a formula is refused.
    ///
    /// # Errors
    /// Same as [`Sample::parse`].
    pub fn parse_training(raw: &RawSample, schema: &Schema) -> Result<Self, Vec<Violation>> {
        Self::check(raw, schema, "", Checks { lenient: true, ..Checks::default() })
    }

    fn check(raw: &RawSample, schema: &Schema, base: &str, mut checks: Checks) -> Result<Self, Vec<Violation>> {
        let composition = checks.composition(raw, schema, base);
        let processing = checks.processing(raw, schema, base);
        match composition {
            Some(composition) if checks.violations.is_empty() => {
                let unmeasured = std::mem::take(&mut checks.unmeasured);
                let unmeasured = Unmeasured::of(&composition, unmeasured, &schema.composition);
                let composition = unmeasured.as_ref().map_or(composition, |own| own.completed().clone());
                checks.element_ranges(&composition, schema);
                let Checks { mut assumed, mut warnings, out_of_domain, .. } = checks;
                if let Some(own) = &unmeasured {
                    assumed.extend(own.assumed());
                    warnings.extend(own.warning());
                }
                let unmeasured = unmeasured.map(Box::new);
                Ok(Self { composition, processing, assumed, warnings, out_of_domain, unmeasured })
            }
            _ => Err(checks.violations),
        }
    }

    /// A synthetic sample, made from parts of checked samples with the same basis and the same parameters.
    pub fn made_of(composition: Composition, processing: Vec<ProcessValue>) -> Self {
        let (assumed, warnings, out_of_domain) = (Vec::new(), Vec::new(), Vec::new());
        Self { composition, processing, assumed, warnings, out_of_domain, unmeasured: None }
    }

    /// The complete composition on the schema's basis: balance filled in, what was not measured estimated, amounts sum
    /// to 100.
    pub fn composition(&self) -> &Composition {
        &self.composition
    }

    /// The composition without the amounts that were not measured.
    pub fn measured(&self) -> &Composition {
        self.unmeasured.as_ref().map_or(&self.composition, |own| own.measured())
    }

    /// Elements whose amounts were not measured, in order of atomic number.
    pub fn unmeasured(&self) -> &[Element] {
        self.unmeasured.as_ref().map_or(&[], |own| own.elements())
    }

    /// Compositions that together stand for what the sample may be, if amounts were not measured and the schema can
    /// estimate them; otherwise empty.
    pub fn draws(&self) -> &[Composition] {
        self.unmeasured.as_ref().map_or(&[], |own| own.draws())
    }

    /// The composition in wt% and in at%, each scaled to a sum of 100.
    pub fn on_both_bases(&self) -> [Composition; 2] {
        [Basis::WeightPercent, Basis::AtomicPercent].map(|basis| self.composition.to_basis(basis).scaled_to(100.0))
    }

    /// Process parameters in the order of the schema.
    pub fn processing(&self) -> &[ProcessValue] {
        &self.processing
    }

    /// Parameters that were not given, with the defaults used for them, and elements that were not measured, with their
    /// estimates.
    pub fn assumed(&self) -> &[(String, RawValue)] {
        &self.assumed
    }

    /// The same sample with its assumed values replaced by the defaults and estimates of another schema with the same
    /// parameters. (They depend on the training rows.)
    pub fn with_defaults(&self, schema: &Schema) -> Cow<'_, Self> {
        if self.assumed.is_empty() && self.unmeasured.is_none() {
            return Cow::Borrowed(self);
        }
        let mut sample = self.clone();
        if let Some(own) = &self.unmeasured {
            let own = own.estimated_again(&schema.composition);
            sample.composition = own.completed().clone();
            sample.assumed.retain(|(name, _)| !own.elements().iter().any(|element| element.symbol() == name));
            sample.assumed.extend(own.assumed());
            sample.unmeasured = Some(Box::new(own));
        }
        for (name, assumed) in &mut sample.assumed {
            let Some(index) = schema.processing.iter().position(|parameter| parameter.name == *name) else { continue };
            let Some(value) = sample.processing.get_mut(index) else { continue };
            match &schema.processing[index].kind {
                ParameterKind::Numeric { default: Some(number), .. } => {
                    (*value, *assumed) = (ProcessValue::Number(*number), RawValue::Number(*number));
                }
                ParameterKind::Categorical { levels, default: Some(level) } => {
                    if let Some(place) = levels.iter().position(|known| known == level) {
                        (*value, *assumed) = (ProcessValue::Level(place), RawValue::Text(level.clone()));
                    }
                }
                ParameterKind::Numeric { .. } | ParameterKind::Categorical { .. } => {}
            }
        }
        Cow::Owned(sample)
    }

    /// Warnings about how the input was read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Reasons why the sample is outside the training domain; empty if it is inside.
    pub fn out_of_domain(&self) -> &[String] {
        &self.out_of_domain
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::domain::{
        Basis, CompositionSchema, Element, ElementRange, Outputs, Parameter, ParameterKind, RawComposition, Scale,
        Target,
    };

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
            aliases: Vec::new(),
            unit: "°C".into(),
            description: String::new(),
            tolerance: 0.0,
            kind,
        };
        let levels = vec!["converter".to_owned(), "electric".to_owned()];
        Schema {
            composition: CompositionSchema {
                elements: vec![
                    ElementRange { element: Element::C, min: 0.1, max: 0.6 },
                    ElementRange { element: Element::Fe, min: 95.0, max: 99.9 },
                ],
                ..CompositionSchema::new(Basis::WeightPercent, Some(Element::Fe))
            },
            processing: vec![
                parameter("tempering_temperature", numeric(None)),
                parameter("quenching_temperature", numeric(Some(500.0))),
                parameter("melting_method", ParameterKind::Categorical { levels, default: None }),
            ],
            outputs: Outputs::Regression {
                targets: vec![Target { name: "hardness".into(), unit: "HV".into(), scale: Scale::Linear }],
            },
        }
    }

    fn raw<'a>(amounts: &[(&'a str, f64)], processing: &[(&'a str, RawValue)]) -> RawSample<'a> {
        let amounts = amounts.iter().map(|(symbol, amount)| ((*symbol).into(), *amount)).collect();
        RawSample {
            composition: Some(RawComposition::Amounts(amounts)),
            basis: None,
            not_measured: Vec::new(),
            balance: None,
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
    fn what_was_assumed_follows_another_schema() {
        let sample = Sample::parse(&raw(&[("C", 0.4)], &tempered(600.0)), &schema(), "").unwrap();
        let mut other = schema();
        for parameter in &mut other.processing {
            if let ParameterKind::Numeric { default, .. } = &mut parameter.kind {
                *default = Some(450.0);
            }
        }
        let moved = sample.with_defaults(&other);
        assert_eq!(moved.assumed(), [("quenching_temperature".to_owned(), RawValue::Number(450.0))]);
        assert_eq!(moved.processing()[..2], [ProcessValue::Number(600.0), ProcessValue::Number(450.0)]);
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
        assert!(parsed.warnings()[0].starts_with("read as atomic parts (C 2.000 at% = 0.437 wt%)"), "{parsed:?}");
        sample.basis = Some(Basis::WeightPercent);
        let by_mass = Sample::parse(&sample, &schema(), "").unwrap();
        assert_eq!((by_mass.composition().amount(Element::C), by_mass.warnings()), (2.0, &[][..]));
        sample.composition = Some(RawComposition::Formula("C2".into()));
        let filled = Sample::parse(&sample, &schema(), "").unwrap();
        assert_eq!(filled.composition().amount(Element::Fe), 98.0);
        sample.basis = None;
        assert_eq!(pointers(Sample::parse(&sample, &schema(), "")), ["/composition"]);
    }
}
