//! The three states of an amount: given, zero, or not measured; and what becomes of the third.
//!
//! People write zero in many ways: they leave an element out, or leave its cell empty. They do the same where they have
//! not analysed for it. Here it is decided which of the two was meant, and amounts that were not measured are estimated
//! from the others. The balance element gives way to them.

use super::amounts::Estimated;
use super::checks::Checks;
use super::raw::{NotMeasured, RawSample, RawValue, Violation};
use super::{Composition, CompositionSchema, Element, Schema};

/// The composition of a sample some of whose amounts were not measured.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unmeasured {
    /// What was measured; the balance is the rest to 100.
    measured: Composition,
    /// In order of atomic number.
    elements: Vec<Element>,
    /// With the most plausible amounts; what was measured if there is no estimate.
    completed: Composition,
    /// The estimated amounts; empty if there are none.
    amounts: Vec<(Element, f64)>,
    draws: Vec<Composition>,
}

impl Unmeasured {
    /// Estimates amounts that were not measured; `None` if all were.
    pub(super) fn of(measured: &Composition, mut elements: Vec<Element>, schema: &CompositionSchema) -> Option<Self> {
        elements.sort_unstable();
        elements.dedup();
        (!elements.is_empty()).then(|| Self::estimated(measured, elements, schema))
    }

    fn estimated(measured: &Composition, elements: Vec<Element>, schema: &CompositionSchema) -> Self {
        let estimate = |distribution: &super::AmountDistribution| {
            let known: Vec<Element> = elements.iter().copied().filter(|own| distribution.knows(*own)).collect();
            distribution.estimate(|element| measured.amount(element), &known)
        };
        let none = Estimated { amounts: Vec::new(), draws: Vec::new() };
        let Estimated { amounts, draws } = schema.amounts.as_ref().map_or(none, estimate);
        let with = |amounts: &[f64], names: &[(Element, f64)]| {
            let named: Vec<(Element, f64)> = names.iter().zip(amounts).map(|((name, _), own)| (*name, *own)).collect();
            completed(measured, &named, schema.balance)
        };
        let whole = completed(measured, &amounts, schema.balance);
        let draws = draws.iter().filter(|_| !amounts.is_empty()).map(|draw| with(draw, &amounts)).collect();
        Self { measured: measured.clone(), elements, completed: whole, amounts, draws }
    }

    /// The same with the estimates of another schema.
    pub(super) fn estimated_again(&self, schema: &CompositionSchema) -> Self {
        Self::estimated(&self.measured, self.elements.clone(), schema)
    }

    pub(super) fn measured(&self) -> &Composition {
        &self.measured
    }

    pub(super) fn elements(&self) -> &[Element] {
        &self.elements
    }

    pub(super) fn completed(&self) -> &Composition {
        &self.completed
    }

    pub(super) fn draws(&self) -> &[Composition] {
        &self.draws
    }

    /// The estimated amounts by symbol.
    pub(super) fn assumed(&self) -> impl Iterator<Item = (String, RawValue)> {
        self.amounts.iter().map(|(element, amount)| (element.symbol().to_owned(), RawValue::Number(*amount)))
    }

    /// Says what was estimated, if anything was.
    pub(super) fn warning(&self) -> Option<String> {
        let symbols: Vec<&str> = self.amounts.iter().map(|(element, _)| element.symbol()).collect();
        let verb = if symbols.len() == 1 { "was" } else { "were" };
        (!symbols.is_empty()).then(|| {
            format!(
                "{} {verb} not measured: estimated from the training rows, given the other amounts",
                symbols.join(", ")
            )
        })
    }
}

/// A composition that sums to 100, with further amounts in place of as much of the balance.
fn completed(measured: &Composition, more: &[(Element, f64)], balance: Option<Element>) -> Composition {
    let added: f64 = more.iter().map(|(_, amount)| amount).sum();
    let rest = balance.map_or(0.0, |balance| measured.amount(balance)) - added;
    let kept = |(element, amount): &(Element, f64)| match Some(*element) == balance && rest > 0.0 {
        true => (*element, rest),
        false => (*element, *amount),
    };
    let all = measured.amounts().iter().map(kept).chain(more.iter().copied());
    // All amounts are positive and finite, and none is there twice.
    Composition::new(measured.basis(), all).map_or_else(|_| measured.clone(), |whole| whole.scaled_to(100.0))
}

impl Checks {
    /// Handles amounts that are said not to be measured. `given` are the amounts of the same sample.
    pub(super) fn not_measured(
        &mut self,
        raw: &RawSample,
        given: &[(Element, f64)],
        rest: Option<Element>,
        schema: &Schema,
        pointer: &dyn Fn() -> String,
    ) {
        self.stated.extend(given.iter().map(|(element, _)| *element));
        let own = &schema.composition;
        for (symbol, how) in &raw.not_measured {
            let field = || Violation::child(&pointer(), symbol);
            let element = match symbol.trim().parse::<Element>() {
                Ok(element) => element,
                Err(error) => {
                    self.complain(field(), error.to_string());
                    continue;
                }
            };
            if self.stated.contains(&element) {
                self.complain(field(), "the element is named twice");
                continue;
            }
            self.stated.push(element);
            let is_blank = *how == NotMeasured::Blank;
            if rest == Some(element) || is_blank && own.blank_is_zero.contains(&element) {
                continue;
            }
            // Training rows are estimated later, if there is something to take the estimate from.
            match own.estimates(element) || self.lenient && own.balance.is_some() {
                true => self.unmeasured.push(element),
                false if is_blank || self.lenient => {}
                false if own.amounts.is_some() => self.warnings.push(format!(
                    "{element} was not measured, and this model has never seen it: taken as 0"
                )),
                false => self.complain(
                    field(),
                    "not measured, and this version of the model cannot estimate it: give the amount, or 0 where there is \
                     none",
                ),
            }
        }
    }

    /// Residual elements that are not named were not measured.
    pub(super) fn left_out(&mut self, whole: &Composition, schema: &Schema) {
        let own = &schema.composition;
        let missing = |element: &&Element| {
            !self.stated.contains(element) && whole.amount(**element) == 0.0 && own.estimates(**element)
        };
        let missing: Vec<Element> = own.residuals.iter().filter(missing).copied().collect();
        self.unmeasured.extend(missing);
    }

    /// Takes amounts that are too small to matter, of elements that were never seen, as the balance element.
    pub(super) fn without_traces(&mut self, whole: Composition, schema: &Schema) -> Composition {
        let own = &schema.composition;
        let is_ignored = |(element, amount): &&(Element, f64)| !self.lenient && own.ignores(*element, *amount);
        let (Some(balance), true) = (own.balance, whole.amounts().iter().any(|amount| is_ignored(&amount))) else {
            return whole;
        };
        let (ignored, kept): (Vec<(Element, f64)>, Vec<_>) =
            whole.amounts().iter().copied().partition(|amount| is_ignored(&amount));
        let added: f64 = ignored.iter().map(|(_, amount)| amount).sum();
        let unit = own.basis.unit();
        let named: Vec<String> =
            ignored.iter().map(|(element, amount)| format!("{element} {} {unit}", shown(*amount))).collect();
        self.warnings.push(format!(
            "ignored: {}, never seen in training and at most {} {unit}; taken as {balance}",
            named.join(", "),
            own.trace
        ));
        let effects = ignored.iter().filter_map(|(element, _)| Some((element, own.trace_effects.get(element)?)));
        self.warnings.extend(effects.map(|(element, effect)| format!("{element}: {effect}")));
        let with_rest = kept.into_iter().map(|(element, amount)| match element == balance {
            true => (element, amount + added),
            false => (element, amount),
        });
        Composition::new(whole.basis(), with_rest).unwrap_or(whole)
    }
}

/// An amount without the rounding errors of a scaled sum.
fn shown(amount: f64) -> f64 {
    (amount * 1e6).round() / 1e6
}
