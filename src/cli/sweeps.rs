//! The sweeps, steels and expectations of `mcvn sanity`: `sweeps.toml`, compiled in.

use std::collections::BTreeMap;

use serde::Deserialize;

const TABLES: &str = include_str!("sweeps.toml");

/// Amounts or values, by name.
pub(super) type Amounts = BTreeMap<String, f64>;

/// A well-known steel.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Steel {
    pub(super) name: String,
    pub(super) composition: Amounts,
}

/// The input that is varied.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Input {
    Amount(String),
    Processing(String),
}

/// How a property should change.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Direction {
    Falls,
    Rises,
    Holds,
}

/// The expected change of one property between two steps.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectation {
    pub(super) property: String,
    pub(super) direction: Direction,
    pub(super) from: f64,
    pub(super) to: f64,
}

/// One input varied over its range while all others stay the same.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sweep {
    pub(super) title: String,
    pub(super) why: String,
    pub(super) model: String,
    pub(super) moved: Input,
    pub(super) unit: String,
    pub(super) steps: Vec<f64>,
    #[serde(default)]
    pub(super) processing: Amounts,
    /// Name of the group of steels.
    steels: String,
    pub(super) expected: Vec<Expectation>,
}

/// The content of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sweeps {
    steels: BTreeMap<String, Vec<Steel>>,
    #[serde(rename = "sweep")]
    pub(super) sweeps: Vec<Sweep>,
}

/// Why the file is invalid.
#[derive(Debug, thiserror::Error)]
pub(super) enum SweepsError {
    #[error("sweeps.toml: {0}")]
    Syntax(#[from] toml::de::Error),
    #[error("sweeps.toml: {0}: there are no steels of the name {1}")]
    Steels(String, String),
    #[error("sweeps.toml: {0}: {1} is expected of a step that is not taken")]
    Step(String, String),
}

impl Sweeps {
    /// The tables that are compiled in.
    pub(super) fn known() -> Result<Self, SweepsError> {
        Self::read(TABLES)
    }

    fn read(text: &str) -> Result<Self, SweepsError> {
        let read: Self = toml::from_str(text)?;
        for sweep in &read.sweeps {
            if read.steels(sweep).is_empty() {
                return Err(SweepsError::Steels(sweep.title.clone(), sweep.steels.clone()));
            }
            let taken = |step: f64| sweep.steps.contains(&step);
            if let Some(stray) = sweep.expected.iter().find(|expected| !taken(expected.from) || !taken(expected.to)) {
                return Err(SweepsError::Step(sweep.title.clone(), stray.property.clone()));
            }
        }
        Ok(read)
    }

    /// The steels of a sweep.
    pub(super) fn steels(&self, sweep: &Sweep) -> &[Steel] {
        self.steels.get(&sweep.steels).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_read_and_what_does_not_fit_is_told() {
        assert_eq!(Sweeps::known().unwrap().sweeps.len(), 4);
        for (there, instead, told) in [
            (
                "steels = \"heat_resistant\"",
                "steels = \"heat\"",
                "Test temperature: there are no steels of the name heat",
            ),
            ("from = 200.0", "from = 201.0", "Test temperature: tensile_strength is expected of a step"),
            ("direction = \"holds\"", "direction = \"stays\"", "unknown variant `stays`"),
        ] {
            assert!(TABLES.contains(there));
            let error = Sweeps::read(&TABLES.replace(there, instead)).err().unwrap().to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
