//! The label of a sample: its measured targets, its class, or the classes that it may be of.

/// The label of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// The targets in their units; `None` if not measured. At least one is measured.
    Values(Vec<Option<f64>>),
    /// Index of the class.
    Class(usize),
    /// A partial label: the classes that it may be of. Only evidence has such labels.
    AnyOf {
        /// By class, whether the sample may be of it; true for at least one, and not for all.
        allowed: Vec<bool>,
        /// How much the sample counts, compared with a measured one.
        weight: f64,
    },
}

impl Label {
    /// The value of a target, if it was measured.
    pub fn value(&self, target: usize) -> Option<f64> {
        match self {
            Self::Values(values) => values.get(target).copied().flatten(),
            Self::Class(_) | Self::AnyOf { .. } => None,
        }
    }

    /// Whether the sample may be of a class.
    pub fn allows(&self, class: usize) -> bool {
        match self {
            Self::Values(_) => false,
            Self::Class(own) => *own == class,
            Self::AnyOf { allowed, .. } => allowed.get(class).copied().unwrap_or_default(),
        }
    }

    /// Whether it was measured, and is no evidence of what the sample is not.
    pub fn is_measured(&self) -> bool {
        !matches!(self, Self::AnyOf { .. })
    }
}
