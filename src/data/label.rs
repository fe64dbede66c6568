//! The label of a sample: its measured targets or its class.

/// The label of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// The targets in their units; `None` if not measured. At least one is measured.
    Values(Vec<Option<f64>>),
    /// Index of the class.
    Class(usize),
}

impl Label {
    /// The value of a target, if it was measured.
    pub fn value(&self, target: usize) -> Option<f64> {
        match self {
            Self::Values(values) => values.get(target).copied().flatten(),
            Self::Class(_) => None,
        }
    }
}
