//! Plants errors into a table, as people make them: other units, lost decimal marks, swapped columns, mistyped digits.
//!
//! Its own because the errors must not know how they are looked for. The same seed plants the same errors.

use std::collections::BTreeSet;

use mcvn::data::Recipe;
use mcvn::doctor::FindingKind;
use mcvn::domain::{Basis, Composition, relations};
use mcvn::model::{rng, shuffled};
use rand::Rng;

/// A kind of error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ksi,
    KsiOfHeats,
    Fahrenheit,
    AtomicPercent,
    AmountComma,
    TargetComma,
    Swapped,
    Unphysical,
    Repeated,
    Typed,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::Ksi,
        Self::KsiOfHeats,
        Self::Fahrenheit,
        Self::AtomicPercent,
        Self::AmountComma,
        Self::TargetComma,
        Self::Swapped,
        Self::Unphysical,
        Self::Repeated,
        Self::Typed,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ksi => "ksi for MPa, one target",
            Self::KsiOfHeats => "ksi for MPa, one target, whole heats",
            Self::Fahrenheit => "°F for °C",
            Self::AtomicPercent => "at% for wt%",
            Self::AmountComma => "decimal mark lost, an amount",
            Self::TargetComma => "decimal mark moved, a target",
            Self::Swapped => "two strengths swapped",
            Self::Unphysical => "outside physics",
            Self::Repeated => "repeated row, a result changed by 20–40 %",
            Self::Typed => "one typing error in a target",
        }
    }

    /// The findings by which the precision of this kind is judged.
    pub(crate) fn findings(self) -> &'static [FindingKind] {
        use FindingKind::{Contradiction, Duplicate, LabelNoise, OutsidePhysics, SplitGroup, UnitJump};
        match self {
            Self::Ksi | Self::KsiOfHeats | Self::Fahrenheit | Self::AtomicPercent => &[UnitJump],
            Self::AmountComma => &[UnitJump, SplitGroup],
            Self::TargetComma => &[UnitJump, OutsidePhysics, Contradiction],
            Self::Swapped | Self::Unphysical => &[OutsidePhysics, Contradiction],
            Self::Repeated => &[Duplicate],
            Self::Typed => &[LabelNoise, UnitJump, OutsidePhysics, Contradiction],
        }
    }
}

/// A planted error: the lines of which one should be named, the column, and by which share of itself a value changed.
pub(crate) struct Planted {
    pub(crate) column: usize,
    pub(crate) lines: Vec<u64>,
    pub(crate) change: f64,
}

/// A table as text cells.
pub(crate) struct Sheet {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    group: Vec<usize>,
}

impl Sheet {
    pub(crate) fn parse(text: &str, recipe: &Recipe) -> Self {
        let cells = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = text.lines().map(cells);
        let header = lines.next().unwrap();
        let group = recipe.group.columns().iter().map(|name| header.iter().position(|own| own == name).unwrap());
        Self { group: group.collect(), rows: lines.collect(), header }
    }

    pub(crate) fn text(&self) -> String {
        text(&self.header, &self.rows)
    }

    /// The name of a column.
    pub(crate) fn column(&self, at: usize) -> &str {
        &self.header[at]
    }

    fn at(&self, column: &str) -> usize {
        self.header.iter().position(|own| own == column).unwrap_or_else(|| panic!("no column {column}"))
    }

    /// The table with errors in this share of its rows, and where they are.
    pub(crate) fn planted(&self, recipe: &Recipe, kind: Kind, share: f64, seed: u64) -> (String, Vec<Planted>) {
        let mut random = Random(rng(seed, kind.name()));
        let mut rows = self.rows.clone();
        let wanted = ((share * rows.len() as f64).round() as usize).max(1);
        let mut planted = Vec::new();
        let order = match kind {
            Kind::KsiOfHeats => self.by_group(&mut random),
            _ => shuffled(rows.len(), &mut random.0),
        };
        // One column is in the wrong unit, as when it comes from another lab.
        let column = random.0.next_u64() as usize;
        for row in order {
            if planted.len() >= wanted {
                break;
            }
            if kind == Kind::Repeated {
                let mut copy = rows[row].clone();
                let factor = 1.2 + 0.2 * random.share();
                let factor = if random.below(2) == 0 { factor } else { 1.0 / factor };
                let target = &recipe.targets[random.below(recipe.targets.len())];
                let at = self.at(target.column());
                copy[at] = format!("{:.0}", copy[at].parse::<f64>().unwrap() * factor);
                rows.push(copy);
                let lines = vec![row as u64 + 2, rows.len() as u64 + 1];
                planted.push(Planted { column: at, lines, change: factor.ln().abs() });
            } else if let Some(change) = self.change(recipe, kind, column, &mut rows[row], &mut random) {
                let changed = (0..rows[row].len()).find(|at| rows[row][*at] != self.rows[row][*at]).unwrap_or(0);
                planted.push(Planted { column: changed, lines: vec![row as u64 + 2], change });
            }
        }
        (text(&self.header, &rows), planted)
    }

    /// All rows, group by group, the groups in random order.
    fn by_group(&self, random: &mut Random) -> Vec<usize> {
        let name = |row: usize| self.group.iter().map(|at| self.rows[row][*at].as_str()).collect::<Vec<_>>();
        let names: Vec<_> = (0..self.rows.len()).map(name).collect::<BTreeSet<_>>().into_iter().collect();
        let order = shuffled(names.len(), &mut random.0);
        order
            .into_iter()
            .flat_map(|at| (0..self.rows.len()).filter(|row| name(*row) == names[at]).collect::<Vec<_>>())
            .collect()
    }

    /// Changes a row, and says by how much; `None` if this row cannot have the error.
    fn change(
        &self,
        recipe: &Recipe,
        kind: Kind,
        column: usize,
        row: &mut [String],
        random: &mut Random,
    ) -> Option<f64> {
        let any_target = |random: &mut Random| self.at(recipe.targets[random.below(recipe.targets.len())].column());
        match kind {
            Kind::Ksi | Kind::KsiOfHeats => {
                let strengths: Vec<_> = recipe.targets.iter().filter(|target| target.unit == "MPa").collect();
                let at = self.at(strengths[column % strengths.len()].column());
                write(row, at, |value| format!("{:.1}", value / 6.894_757))
            }
            Kind::Fahrenheit => {
                let temperatures: Vec<_> = recipe.processing.iter().filter(|own| own.unit == "°C").collect();
                let at = self.at(temperatures[column % temperatures.len()].column());
                write(row, at, |value| format!("{:.0}", value * 1.8 + 32.0))
            }
            Kind::AtomicPercent => {
                let own = recipe.composition.elements.iter();
                let amounts = own.map(|(element, column)| (element, row[self.at(column)].parse::<f64>().unwrap()));
                let stated = Composition::new(Basis::WeightPercent, amounts).ok()?;
                let whole = recipe.composition.balance.map_or(stated.clone(), |rest| stated.with_balance(rest));
                let atomic = whole.to_basis(Basis::AtomicPercent).scaled_to(100.0);
                for (element, column) in recipe.composition.elements.iter() {
                    let amount = atomic.amount(element);
                    row[self.at(column)] = if amount < 0.1 { format!("{amount:.4}") } else { format!("{amount:.2}") };
                }
                Some(1.0)
            }
            Kind::AmountComma => {
                let columns: Vec<usize> =
                    recipe.composition.elements.iter().map(|(_, column)| self.at(column)).collect();
                let written = |at: &usize| row[*at].contains('.') && row[*at].parse::<f64>().is_ok_and(|own| own > 0.0);
                let columns: Vec<usize> = columns.into_iter().filter(written).collect();
                let at = *columns.get(random.below(columns.len().max(1)))?;
                row[at] = row[at].replace('.', "").trim_start_matches('0').to_owned();
                Some(1.0)
            }
            Kind::TargetComma => {
                let (at, up) = (any_target(random), random.below(2) == 0);
                write(row, at, |value| format!("{}", if up { value * 10.0 } else { value / 10.0 }))
            }
            Kind::Swapped => {
                let names: Vec<&str> = recipe.targets.iter().map(|target| target.name.as_str()).collect();
                let known = relations().iter().filter(|own| names.contains(&own.lower) && names.contains(&own.upper));
                let known: Vec<_> = known.collect();
                let pair = known[random.below(known.len())];
                let column = |name: &str| self.at(recipe.targets.iter().find(|own| own.name == name).unwrap().column());
                let (one, other) = (column(pair.lower), column(pair.upper));
                row.swap(one, other);
                (row[one] != row[other]).then_some(1.0)
            }
            Kind::Unphysical => {
                let target = &recipe.targets[random.below(recipe.targets.len())];
                let (at, percent) = (self.at(target.column()), target.unit == "%");
                match random.below(3) {
                    0 if !recipe.processing.is_empty() => {
                        let own = recipe.processing.iter().find(|own| own.unit == "°C")?;
                        row[self.at(own.column())] = "-300".to_owned();
                        Some(1.0)
                    }
                    1 if percent => write(row, at, |value| format!("{}", value + 100.0)),
                    _ => write(row, at, |value| format!("{}", -value)),
                }
            }
            Kind::Typed => {
                let at = any_target(random);
                write(row, at, |value| mistyped(&format!("{value}"), random))
            }
            Kind::Repeated => None,
        }
    }
}

/// A number with two neighbouring digits swapped, or one digit replaced.
fn mistyped(text: &str, random: &mut Random) -> String {
    let mut digits: Vec<u8> = text.bytes().collect();
    let places: Vec<usize> = (0..digits.len()).filter(|at| digits[*at].is_ascii_digit()).collect();
    let swaps: Vec<usize> = (1..digits.len())
        .filter(|at| places.contains(at) && places.contains(&(at - 1)) && digits[*at] != digits[at - 1])
        .filter(|at| *at > 1 || digits[1] != b'0')
        .collect();
    if random.below(2) == 0 && !swaps.is_empty() {
        let at = swaps[random.below(swaps.len())];
        digits.swap(at - 1, at);
    } else {
        let at = places[random.below(places.len())];
        let own = digits[at];
        while digits[at] == own || (at == 0 && digits[at] == b'0') {
            digits[at] = b'0' + random.below(10) as u8;
        }
    }
    String::from_utf8(digits).unwrap()
}

/// Writes a number back, and says by which share it changed; `None` if it is empty or the same.
fn write(row: &mut [String], at: usize, change: impl FnOnce(f64) -> String) -> Option<f64> {
    let before: f64 = row[at].parse().ok()?;
    row[at] = change(before);
    let after: f64 = row[at].parse().unwrap();
    (after != before).then(|| (after - before).abs() / before.abs().max(1e-9))
}

fn text(header: &[String], rows: &[Vec<String>]) -> String {
    let lines = std::iter::once(header.join(",")).chain(rows.iter().map(|row| row.join(",")));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

struct Random(rand_chacha::ChaCha8Rng);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        (self.0.next_u64() % count.max(1) as u64) as usize
    }

    /// A number from 0 to 1.
    fn share(&mut self) -> f64 {
        self.0.next_u64() as f64 / u64::MAX as f64
    }
}
