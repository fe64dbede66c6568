//! Relations between properties that hold for every metal: a material yields before it breaks, and fatigue breaks it
//! below its tensile strength.
//!
//! Properties are recognised by their names. The check of training data and the answers of models use the same list.

/// A relation between two properties of one sample: the lower one never exceeds the upper one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Name of the property that is not larger, such as `yield_strength`.
    pub lower: &'static str,
    /// Name of the property that is not smaller, such as `tensile_strength`.
    pub upper: &'static str,
    /// Whether the two may be equal.
    pub may_be_equal: bool,
}

/// The known relations.
const RELATIONS: [Relation; 4] = [
    Relation { lower: "yield_strength", upper: "tensile_strength", may_be_equal: true },
    Relation { lower: "proof_strength", upper: "tensile_strength", may_be_equal: true },
    Relation { lower: "fatigue_strength", upper: "tensile_strength", may_be_equal: false },
    Relation { lower: "tensile_strength", upper: "fracture_strength", may_be_equal: true },
];

/// The known relations, by the names of properties.
pub fn relations() -> &'static [Relation] {
    &RELATIONS
}

impl Relation {
    /// Whether a sample's two values, in the same unit, agree with the relation.
    pub fn holds(&self, lower: f64, upper: f64) -> bool {
        lower < upper || (self.may_be_equal && lower <= upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metal_yields_before_it_breaks() {
        let find = |lower| relations().iter().find(|relation| relation.lower == lower).copied().unwrap();
        let (yielding, fatigue) = (find("yield_strength"), find("fatigue_strength"));
        assert!(yielding.holds(400.0, 500.0) && yielding.holds(500.0, 500.0) && !yielding.holds(500.0, 400.0));
        assert!(fatigue.holds(250.0, 500.0) && !fatigue.holds(500.0, 500.0) && !fatigue.holds(500.0, f64::NAN));
    }
}
