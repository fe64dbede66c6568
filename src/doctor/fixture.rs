//! Invented steels for the tests: rows that follow simple laws with a little scatter.

use std::fmt::Write;

use crate::data::{Dataset, Recipe};
use crate::doctor::{DataReport, FindingKind, Severity, examine};

/// A recipe for [`Lab`].
pub(super) const RECIPE: &str = r#"
    name = "lab"
    title = "x"
    group = "heat"
    composition = { basis = "weight_percent", balance = "Fe", elements = ["C", "Si", "Mn", "P", "Cr", "N"] }
    processing = [{ name = "temperature", unit = "°C" }]
    targets = [
        { name = "yield_strength", unit = "MPa" },
        { name = "tensile_strength", unit = "MPa" },
        { name = "elongation", unit = "%" },
    ]
    network = { preset = "MCVN-paper", attention = "self" }
    features = { image = { basis = "atomic_percent", balance = true } }
    training = { members = 1, steps = 1, learning_rate = 1e-3, warmup = 0, weight_decay = 0.0, clip_norm = 1.0, ema = 0.9 }
"#;

/// Columns of a row of [`Lab`].
pub(super) const HEADER: [&str; 11] =
    ["heat", "C", "Si", "Mn", "P", "Cr", "N", "temperature", "yield_strength", "tensile_strength", "elongation"];

/// Rows as numbers: heat, amounts, temperature, results.
pub(super) struct Lab {
    pub(super) rows: Vec<[f64; 11]>,
}

/// A number from -1 to 1 that only depends on its arguments.
fn scatter(one: usize, other: usize) -> f64 {
    let mixed = (one as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (other as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 32)) % 20_001) as f64 / 10_000.0 - 1.0
}

impl Lab {
    /// Heats tested at five temperatures each.
    pub(super) fn new(heats: usize) -> Self {
        let mut rows = Vec::new();
        for heat in 0..heats {
            let round = |value: f64, unit: f64| (value / unit).round() * unit;
            let amount =
                |column: usize, middle: f64, unit: f64| round(middle * (0.45 * scatter(heat, column)).exp(), unit);
            let (carbon, silicon, manganese) = (amount(1, 0.3, 0.01), amount(2, 0.25, 0.01), amount(3, 0.7, 0.01));
            let (phosphorus, chromium, nitrogen) =
                (amount(4, 0.015, 0.001), amount(5, 0.9, 0.01), amount(6, 0.007, 0.0001));
            for (at, temperature) in [20.0, 100.0, 200.0, 300.0, 400.0].into_iter().enumerate() {
                let noise = |column: usize| 1.0 + 0.01 * scatter(heat * 8 + at, column);
                let strength =
                    (330.0 + 700.0 * carbon + 90.0 * chromium + 50.0 * manganese) * (1.0 - 0.0006 * temperature);
                rows.push([
                    heat as f64,
                    carbon,
                    silicon,
                    manganese,
                    phosphorus,
                    chromium,
                    nitrogen,
                    temperature,
                    round(0.78 * strength * noise(8), 1.0),
                    round(strength * noise(9), 1.0),
                    round(9000.0 / strength * noise(10), 0.1),
                ]);
            }
        }
        Self { rows }
    }

    /// The report on the rows.
    pub(super) fn examined(&self) -> DataReport {
        let recipe = Recipe::parse(RECIPE).unwrap();
        let mut text = HEADER.join(",") + "\n";
        for row in &self.rows {
            let cells: Vec<String> = row[1..].iter().map(|value| format!("{}", (value * 1e6).round() / 1e6)).collect();
            writeln!(text, "H{},{}", row[0], cells.join(",")).unwrap();
        }
        examine(&recipe, &Dataset::read(text.as_bytes(), &recipe).unwrap())
    }
}

/// Lines that findings of a kind doubt.
pub(super) fn lines(report: &DataReport, kind: FindingKind) -> Vec<u64> {
    let own = report.findings.iter().filter(|own| own.kind == kind && own.severity == Severity::Doubt);
    let mut lines: Vec<u64> = own.filter_map(|finding| finding.line).collect();
    lines.dedup();
    lines
}
