//! A composition: a non-empty set of elements with positive amounts on a stated basis.
//!
//! The fields are private and the constructor checks the amounts, so an invalid composition cannot exist. Amounts keep
//! the scale in which they were written; only their ratios matter.

use super::{Basis, Element};

/// Largest accepted sum of percent amounts. It allows for rounding in a certificate, but not for typing errors.
pub const PERCENT_LIMIT: f64 = 100.5;

/// Why amounts are not a composition.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CompositionError {
    /// No element has an amount above zero.
    #[error("the composition is empty: name at least one element with an amount above 0")]
    Empty,
    /// An amount below zero.
    #[error("{0} has a negative amount ({1})")]
    Negative(Element, f64),
    /// An amount that is NaN, infinite or larger than 1e12.
    #[error("{0} has an amount that is not a finite number")]
    NotFinite(Element),
    /// An element named more than once.
    #[error("{0} is named twice")]
    Twice(Element),
}

/// Amounts of elements on one basis. Each is positive and finite, each element appears once, in order of atomic number.
#[derive(Clone, Debug, PartialEq)]
pub struct Composition {
    basis: Basis,
    amounts: Vec<(Element, f64)>,
}

impl Composition {
    /// Takes amounts as written. An amount of 0 (or below 1e-12) means that the element is absent.
    ///
    /// # Errors
    /// [`CompositionError`] for a negative or non-finite amount, an element named twice, or nothing left.
    pub fn new(basis: Basis, amounts: impl IntoIterator<Item = (Element, f64)>) -> Result<Self, CompositionError> {
        let mut kept: Vec<(Element, f64)> = Vec::new();
        for (element, amount) in amounts {
            // This limit keeps all later sums and products finite.
            if !amount.is_finite() || amount > 1e12 {
                return Err(CompositionError::NotFinite(element));
            }
            if amount < 0.0 {
                return Err(CompositionError::Negative(element, amount));
            }
            // Smaller traces do not matter, and fractions of them would underflow.
            if amount >= 1e-12 {
                kept.push((element, amount));
            }
        }
        kept.sort_by_key(|(element, _)| *element);
        if let Some(pair) = kept.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(CompositionError::Twice(pair[0].0));
        }
        if kept.is_empty() {
            return Err(CompositionError::Empty);
        }
        Ok(Self { basis, amounts: kept })
    }

    /// The basis of the amounts.
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// The elements and their amounts as written, in order of atomic number.
    pub fn amounts(&self) -> &[(Element, f64)] {
        &self.amounts
    }

    /// The amount of one element as written; 0 where it is not named.
    pub fn amount(&self, element: Element) -> f64 {
        match self.amounts.binary_search_by_key(&element, |(known, _)| *known) {
            Ok(at) => self.amounts[at].1,
            Err(_) => 0.0,
        }
    }

    /// The sum of the amounts as written.
    pub fn total(&self) -> f64 {
        self.amounts.iter().map(|(_, amount)| amount).sum()
    }

    /// The same ratios, scaled so that the amounts sum to `total`.
    pub fn scaled_to(&self, total: f64) -> Self {
        let factor = total / self.total();
        let amounts = self.amounts.iter().map(|(element, amount)| (*element, amount * factor)).collect();
        Self { basis: self.basis, amounts }
    }

    /// The same material on another basis: at% ∝ wt% / atomic weight. The sum of the amounts is kept.
    pub fn to_basis(&self, basis: Basis) -> Self {
        if basis == self.basis {
            return self.clone();
        }
        let convert = |(element, amount): &(Element, f64)| match basis {
            Basis::AtomicPercent => (*element, amount / element.atomic_weight()),
            Basis::WeightPercent => (*element, amount * element.atomic_weight()),
        };
        let converted = Self { basis, amounts: self.amounts.iter().map(convert).collect() };
        converted.scaled_to(self.total())
    }

    /// The same numbers on another basis, without conversion.
    pub fn said_to_be(self, basis: Basis) -> Self {
        Self { basis, ..self }
    }

    /// Fills up to 100 with `element`. Changes nothing if the element is present or the sum is already 100 or more.
    pub fn with_balance(&self, element: Element) -> Self {
        let missing = 100.0 - self.total();
        let mut filled = self.clone();
        if missing > 0.0
            && let Err(at) = filled.amounts.binary_search_by_key(&element, |(known, _)| *known)
        {
            filled.amounts.insert(at, (element, missing));
        }
        filled
    }

    /// The same amounts without one element; `None` if no other element is present.
    pub fn without(&self, element: Element) -> Option<Self> {
        let amounts: Vec<_> = self.amounts.iter().copied().filter(|(known, _)| *known != element).collect();
        (!amounts.is_empty()).then_some(Self { basis: self.basis, amounts })
    }

    /// The chemical system: the elements joined by `-`, such as `Be-Ni-Cu-Ti-Zr`, independent of the amounts.
    pub fn chemical_system(&self) -> String {
        let symbols: Vec<&str> = self.amounts.iter().map(|(element, _)| element.symbol()).collect();
        symbols.join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weight_and_atomic_percent_of_austenite() {
        // Fe-18Cr-8Ni in wt%. The at% were calculated by hand from the atomic weights 55.845, 51.9961, 58.6934.
        let steel =
            Composition::new(Basis::WeightPercent, [(Element::Fe, 74.0), (Element::Cr, 18.0), (Element::Ni, 8.0)]);
        let atomic = steel.unwrap().to_basis(Basis::AtomicPercent);
        assert!((atomic.amount(Element::Cr) - 19.152).abs() < 1e-3, "{}", atomic.amount(Element::Cr));
        assert!((atomic.total() - 100.0).abs() < 1e-9);
    }

    #[test]
    fn refuses_what_is_not_physical() {
        let fe = |amount| Composition::new(Basis::WeightPercent, [(Element::Fe, amount)]);
        assert_eq!(fe(-1.0), Err(CompositionError::Negative(Element::Fe, -1.0)));
        assert_eq!(fe(f64::NAN), Err(CompositionError::NotFinite(Element::Fe)));
        assert_eq!(fe(f64::INFINITY), Err(CompositionError::NotFinite(Element::Fe)));
        assert_eq!(fe(0.0), Err(CompositionError::Empty));
        let twice = Composition::new(Basis::WeightPercent, [(Element::Fe, 1.0), (Element::Fe, 2.0)]);
        assert_eq!(twice, Err(CompositionError::Twice(Element::Fe)));
    }

    #[test]
    fn balance_fills_to_one_hundred() {
        let carbon = Composition::new(Basis::WeightPercent, [(Element::C, 0.4)]).unwrap();
        assert!((carbon.with_balance(Element::Fe).amount(Element::Fe) - 99.6).abs() < 1e-12);
        let named = Composition::new(Basis::WeightPercent, [(Element::C, 0.4), (Element::Fe, 50.0)]).unwrap();
        assert_eq!(named.with_balance(Element::Fe), named);
    }

    proptest! {
        #[test]
        fn weight_to_atomic_and_back(parts in prop::collection::btree_map(0usize..94, 0.001f64..100.0, 1..12)) {
            let amounts = parts.iter().map(|(index, amount)| (Element::ALL[*index], *amount));
            let weight = Composition::new(Basis::WeightPercent, amounts).unwrap();
            let back = weight.to_basis(Basis::AtomicPercent).to_basis(Basis::WeightPercent);
            for ((element, before), (same, after)) in weight.amounts().iter().zip(back.amounts()) {
                prop_assert_eq!(element, same);
                prop_assert!((before - after).abs() <= 1e-12 * before.abs());
            }
        }
    }
}
