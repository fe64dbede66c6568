//! What was measured on a sample: the values of its targets, as far as there are any, or its class.

/// What was measured on one sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// The targets in their units; `None` where one was not measured. At least one was.
    Values(Vec<Option<f64>>),
    /// Index of the class.
    Class(usize),
}

impl Label {
    /// The value of a target, where it was measured.
    pub fn value(&self, target: usize) -> Option<f64> {
        match self {
            Self::Values(values) => values.get(target).copied().flatten(),
            Self::Class(_) => None,
        }
    }
}
