//! Reads the composition that a user stated: formula or map, its basis, the balance, and the sum of the amounts.
//!
//! Ambiguous compositions are decided here, with a warning. Formulas and maps follow the same rule for sums:
//!
//! | sum of the amounts | treatment |
//! |---|---|
//! | 99.5 to 100.5 | percent |
//! | 0.995 to 1.005 | fractions; for a map with a warning |
//! | up to 12, for a formula | parts as in chemistry: `Fe3Al`, `AlCoCrFeNi` |
//! | 50 to 99.5 | incomplete: scaled, with a warning, and out of domain |
//! | over 100.5 | refused (formulas of training rows: scaled, with a warning) |
//! | anything else | scaled, with a warning |

use std::borrow::Cow;

use super::checks::Checks;
use super::formula::{looks_like_grade, nominal};
use super::raw::{RawComposition, RawSample, Violation};
use super::{Basis, Composition, CompositionError, Element, PERCENT_LIMIT, Schema, read_formula};

/// A formula whose parts sum to at most this is read as in chemistry.
const CHEMICAL_PARTS: f64 = 12.0;
/// Amounts that sum to less than this are not percent.
const LEAST_PERCENT: f64 = 50.0;
/// Fractions may differ from a sum of 1 by this much.
const FRACTION_TOLERANCE: f64 = 0.005;
/// Several elements with a smaller sum than this, in percent, may be fractions.
const SUSPICIOUSLY_LITTLE: f64 = 0.2;
const SEVERAL: usize = 3;

impl Checks {
    pub(super) fn composition(&mut self, raw: &RawSample, schema: &Schema, base: &str) -> Option<Composition> {
        let pointer = || format!("{base}/composition");
        let stated = match &raw.composition {
            None => {
                self.complain(pointer(), "required: a map of element symbols to amounts, or a formula");
                return None;
            }
            Some(RawComposition::Formula(text)) => self.formula(text, raw.basis, schema, &pointer)?,
            Some(RawComposition::Amounts(amounts)) => self.amounts(amounts, raw, schema, &pointer)?,
        };
        let whole = stated.to_basis(schema.composition.basis).scaled_to(100.0);
        self.left_out(&whole, schema);
        Some(self.without_traces(whole, schema))
    }

    fn formula(
        &mut self,
        text: &str,
        basis: Option<Basis>,
        schema: &Schema,
        pointer: &dyn Fn() -> String,
    ) -> Option<Composition> {
        let by_mass = basis == Some(Basis::WeightPercent);
        if by_mass && let Some((rest, amounts)) = nominal(text) {
            let whole = amounts.with_balance(rest);
            self.warnings.push(format!("read as {}, {rest} being the rest", in_words(&whole)));
            return self.with_base(whole, text, schema, pointer);
        }
        let read = match read_formula(text) {
            Ok(read) => read,
            Err(error) => {
                self.complain(pointer(), error.to_string());
                return None;
            }
        };
        let unit = basis.unwrap_or(Basis::AtomicPercent).unit();
        self.warnings.extend(read.notes.iter().map(|note| note.replace(" at%", &format!(" {unit}"))));
        if basis.is_none() && looks_like_grade(text) {
            self.warnings.push(format!(
                "\"{text}\" looks like the name of a grade, whose numbers are percent by mass; it was read as atomic parts"
            ));
        }
        let stated = read.composition.said_to_be(basis.unwrap_or(Basis::AtomicPercent));
        let whole = match schema.composition.balance.filter(|_| by_mass && stated.total() <= PERCENT_LIMIT) {
            // Percent by mass usually come from a certificate, which may omit the balance.
            Some(rest) => stated.with_balance(rest),
            None => stated,
        };
        self.sum(&whole, true, pointer)?;
        let whole = self.with_base(whole, text, schema, pointer)?;
        if basis.is_none() && schema.composition.basis == Basis::WeightPercent {
            self.say_atomic(&whole, schema.composition.balance);
        }
        Some(whole)
    }

    /// Percent amounts by symbol, with the balance filled in.
    fn amounts(
        &mut self,
        amounts: &[(Cow<str>, f64)],
        raw: &RawSample,
        schema: &Schema,
        pointer: &dyn Fn() -> String,
    ) -> Option<Composition> {
        let basis = raw.basis.unwrap_or(schema.composition.basis);
        let before = self.violations.len();
        let mut known = Vec::with_capacity(amounts.len());
        for (symbol, amount) in amounts {
            let field = || Violation::child(&pointer(), symbol);
            match symbol.trim().parse::<Element>() {
                Err(error) => self.complain(field(), error.to_string()),
                Ok(_) if !amount.is_finite() => self.complain(field(), "the amount must be a finite number"),
                Ok(_) if *amount < 0.0 => self.complain(field(), format!("the amount is negative ({amount})")),
                Ok(_) if *amount > 100.0 => {
                    self.complain(field(), format!("the amount is over 100 {} ({amount})", basis.unit()));
                }
                Ok(element) => known.push((element, *amount)),
            }
        }
        let rest = self.balance(raw, schema, &known, pointer);
        self.not_measured(raw, &known, rest, schema, pointer);
        if self.violations.len() > before {
            return None;
        }
        let stated = match Composition::new(basis, known) {
            Ok(stated) => stated,
            Err(CompositionError::Twice(element)) => {
                self.complain(Violation::child(&pointer(), element.symbol()), "the element is named twice");
                return None;
            }
            Err(error) => {
                self.complain(pointer(), error.to_string());
                return None;
            }
        };
        let total = stated.total();
        if total > PERCENT_LIMIT {
            return self.too_much(total, basis, pointer);
        }
        if self.are_fractions(&stated, rest, schema) {
            let unit = basis.unit();
            self.complain(pointer(), format!("the amounts sum to {total:.3} {unit}: fractions? Multiply by 100"));
            return None;
        }
        let whole = match rest {
            Some(element) => stated.with_balance(element),
            None => stated,
        };
        self.sum(&whole, false, pointer)?;
        self.with_base(whole, "", schema, pointer)
    }

    /// The balance element: the one stated, otherwise the schema's.
    fn balance(
        &mut self,
        raw: &RawSample,
        schema: &Schema,
        known: &[(Element, f64)],
        pointer: &dyn Fn() -> String,
    ) -> Option<Element> {
        let Some(symbol) = &raw.balance else { return schema.composition.balance };
        let field = || Violation::child(&pointer(), symbol);
        match symbol.trim().parse::<Element>() {
            Err(error) => self.complain(field(), error.to_string()),
            Ok(element) if known.iter().any(|(other, _)| *other == element) => {
                self.complain(field(), "the element is named twice");
            }
            Ok(element) => return Some(element),
        }
        None
    }

    /// Whether the amounts are probably fractions: several elements, a very small sum, and a balance above the training
    /// range.
    fn are_fractions(&self, stated: &Composition, rest: Option<Element>, schema: &Schema) -> bool {
        let Some(rest) = rest.filter(|rest| stated.amount(*rest) == 0.0) else { return false };
        let range = schema.composition.elements.iter().find(|range| range.element == rest);
        let left = 100.0 - stated.total();
        stated.total() < SUSPICIOUSLY_LITTLE
            && stated.amounts().len() >= SEVERAL
            && stated.basis() == schema.composition.basis
            && range.is_some_and(|range| left > range.max)
    }

    fn too_much(&mut self, total: f64, basis: Basis, pointer: &dyn Fn() -> String) -> Option<Composition> {
        let detail = format!("the amounts sum to {total:.2} {}, more than {PERCENT_LIMIT}", basis.unit());
        self.complain(pointer(), detail);
        None
    }

    /// Checks the sum of the amounts.
    fn sum(&mut self, whole: &Composition, formula: bool, pointer: &dyn Fn() -> String) -> Option<()> {
        let (total, unit) = (whole.total(), whole.basis().unit());
        let scaled = || format!("the amounts sum to {total:.2} {unit} and were scaled to 100");
        if total > PERCENT_LIMIT {
            if !(formula && self.lenient) {
                self.too_much(total, whole.basis(), pointer)?;
            }
            self.warnings.push(scaled());
        } else if (total - 100.0).abs() <= PERCENT_LIMIT - 100.0 || formula && total <= CHEMICAL_PARTS {
        } else if (total - 1.0).abs() <= FRACTION_TOLERANCE {
            self.warnings.push("the amounts sum to 1 and were read as fractions".to_owned());
        } else if total >= LEAST_PERCENT {
            let missing = 100.0 - total;
            self.warnings.push(scaled());
            self.out_of_domain.push(format!("the amounts sum to {total:.2} {unit}: {missing:.2} {unit} are missing"));
        } else {
            self.warnings.push(scaled());
        }
        Some(())
    }

    /// Refuses a composition without the base element, if all alloys of the model have one.
    fn with_base(
        &mut self,
        whole: Composition,
        text: &str,
        schema: &Schema,
        pointer: &dyn Fn() -> String,
    ) -> Option<Composition> {
        let Some(rest) = schema.composition.balance.filter(|rest| whole.amount(*rest) == 0.0) else {
            return Some(whole);
        };
        let grade = match text {
            "" => String::new(),
            text => format!(": is \"{text}\" the name of a grade? Give its amounts"),
        };
        self.complain(
            pointer(),
            format!("there is no {rest} in it, and the alloys of this model are based on {rest}{grade}"),
        );
        None
    }

    /// Warns that a formula was read as atomic parts: numbers of a steel are nearly always percent by mass.
    fn say_atomic(&mut self, whole: &Composition, rest: Option<Element>) {
        let by_mass = whole.to_basis(Basis::WeightPercent).scaled_to(100.0);
        let atomic = whole.scaled_to(100.0);
        let first = atomic.amounts().iter().find(|(element, _)| Some(*element) != rest);
        let Some((element, amount)) = first else { return };
        self.warnings.push(format!(
            "read as atomic parts ({element} {amount:.3} at% = {:.3} wt%); say \"basis\": \"weight_percent\" if the numbers \
             are percent by mass",
            by_mass.amount(*element)
        ));
    }
}

fn in_words(composition: &Composition) -> String {
    let unit = composition.basis().unit();
    let amounts: Vec<String> =
        composition.amounts().iter().map(|(element, amount)| format!("{element} {amount}")).collect();
    format!("{} {unit}", amounts.join(", "))
}
