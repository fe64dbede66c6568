//! The kinds of alloys that were measured: centres of clusters of training compositions, with how many alloys of each
//! kind can be of which class.
//!
//! They answer two questions that no classifier asks itself: was anything like this alloy measured at all, and was any
//! of it of the class that the model names? A kind is a summary of at least two measured alloys; no row is stored.

use serde::{Deserialize, Serialize};

use crate::domain::{Basis, Composition, Element};

/// Least share of the alloys of the nearest kind that must be able to be of the answered class.
const LEAST_SHARE: f64 = 0.2;
/// Elements with fewer at% are not part of a kind's name.
const NAMED_PERCENT: f64 = 3.0;

/// The measured kinds of alloys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kinds(pub Vec<Kind>);

/// Alloys of similar composition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kind {
    /// Their mean composition in at%.
    pub centre: Vec<(Element, f64)>,
    /// Number of alloys.
    pub alloys: usize,
    /// For a classification: by class, the number of alloys that are or may be of the class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub may_be: Vec<usize>,
}

/// The kind nearest to an alloy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest<'a> {
    /// The kind.
    pub kind: &'a Kind,
    /// How many of 100 atoms must be exchanged to turn the one composition into the other: half the sum of the
    /// differences in at%.
    pub distance: f64,
}

impl Kinds {
    /// The kind nearest to a composition.
    pub fn nearest<'a>(&'a self, composition: &Composition) -> Option<Nearest<'a>> {
        let atomic = composition.to_basis(Basis::AtomicPercent).scaled_to(100.0);
        let mut own = [0.0; Element::ALL.len()];
        atomic.amounts().iter().for_each(|(element, amount)| own[element.index()] = *amount);
        let distance = |kind: &'a Kind| {
            let shared: f64 = kind.centre.iter().map(|(element, amount)| amount.min(own[element.index()])).sum();
            Nearest { kind, distance: 100.0 - shared }
        };
        self.0.iter().map(distance).min_by(|a, b| a.distance.total_cmp(&b.distance))
    }

    /// Whether the numbers are consistent. A loaded bundle relies on it.
    pub fn is_sound(&self, classes: usize) -> bool {
        self.0.iter().all(|kind| {
            kind.centre.iter().all(|(_, amount)| amount.is_finite() && *amount >= 0.0)
                && [0, classes].contains(&kind.may_be.len())
        })
    }
}

impl Nearest<'_> {
    /// Whether enough alloys of the kind can be of a class. True if the kind has no classes.
    pub fn supports(&self, class: usize) -> bool {
        self.kind.may_be.get(class).is_none_or(|count| *count as f64 >= LEAST_SHARE * self.kind.alloys as f64)
    }

    /// The number of alloys that can be of a class.
    pub fn may_be(&self, class: usize) -> usize {
        self.kind.may_be.get(class).copied().unwrap_or_default()
    }
}

impl Kind {
    /// Its main elements, the largest amount first, such as `Fe-B-Si`.
    pub fn name(&self) -> String {
        let mut main: Vec<&(Element, f64)> =
            self.centre.iter().filter(|(_, amount)| *amount >= NAMED_PERCENT).collect();
        main.sort_by(|a, b| b.1.total_cmp(&a.1));
        main.iter().map(|(element, _)| element.symbol()).collect::<Vec<_>>().join("-")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_formula;

    #[test]
    fn the_nearest_kind_and_what_it_can_be() {
        let kind = |centre: &[(Element, f64)], may_be| Kind { centre: centre.to_vec(), alloys: 40, may_be };
        let kinds = Kinds(vec![
            kind(&[(Element::B, 13.0), (Element::Si, 9.0), (Element::Fe, 78.0)], vec![1, 39]),
            kind(&[(Element::Ni, 50.0), (Element::Fe, 50.0)], vec![8, 32]),
        ]);
        let composition = parse_formula("Fe70Si9B13Cu8").unwrap();
        let nearest = kinds.nearest(&composition).unwrap();
        assert!((nearest.distance - 8.0).abs() < 1e-9, "{nearest:?}");
        assert_eq!((nearest.kind.name().as_str(), nearest.supports(0), nearest.supports(1)), ("Fe-B-Si", false, true));
        assert!(kinds.nearest(&parse_formula("FeNi").unwrap()).unwrap().supports(0));
        assert!(kinds.is_sound(2) && !kinds.is_sound(3) && Kinds::default().nearest(&composition).is_none());
    }
}
