//! `cargo bench --bench doctor -- --data DIR`: how many planted errors the check of data finds, and how many sound rows it
//! doubts.
//!
//! Its own because a detector is only worth what it finds among errors that are known. Errors are planted with a seed into
//! `nims_steel.csv` and `low_alloy_steel.csv` of DIR, in nine kinds and four shares of rows; `--seeds 3` repeats each. The
//! tables are for docs/accuracy.md. `--kind TEXT` plants only kinds whose name contains the text; `--show 1` prints the
//! findings on the unchanged files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[path = "doctor/plant.rs"]
mod plant;

use mcvn::data::{DataError, Dataset, Recipe};
use mcvn::doctor::{DataReport, FindingKind, Severity, examine};
use plant::{Kind, Planted, Sheet};

/// The files and the models whose recipes read them.
const FILES: [(&str, &str); 2] = [("nims_steel.csv", "steel-fatigue"), ("low_alloy_steel.csv", "steel-tensile")];
/// The share of rows for which typing errors are shown by column.
const BY_COLUMN: f64 = 0.1;
const SHARES: [f64; 4] = [0.01, 0.05, 0.1, 0.2];
/// A typing error that changes a value by less than this share of it is hardly one.
const NOTICEABLE: f64 = 0.1;

/// The text after a flag of the command line.
fn option(flag: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != flag).nth(1)
}

fn main() {
    let folder = PathBuf::from(option("--data").unwrap_or_else(|| "../shared/data".to_owned()));
    let seeds: u64 = option("--seeds").map_or(3, |text| text.parse().unwrap());
    let wanted = option("--kind").unwrap_or_default();
    for (file, model) in FILES {
        let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(model).join("recipe.toml");
        let recipe = Recipe::parse(&std::fs::read_to_string(recipe).unwrap()).unwrap();
        let sheet = Sheet::parse(&std::fs::read_to_string(folder.join(file)).unwrap(), &recipe);
        let before = clean(file, &sheet, &recipe);
        println!(
            "| error | rows | planted | recall | of those ≥ 10 % | precision of the kind | of all | of what is new |"
        );
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        let mut columns = BTreeMap::new();
        for kind in Kind::ALL.into_iter().filter(|kind| kind.name().contains(&wanted)) {
            for share in SHARES {
                let mut sum = Score::default();
                (0..seeds).for_each(|seed| sum.add(&one(&sheet, &recipe, &before, kind, share, seed)));
                println!("{}", sum.row(kind.name(), share));
                if kind == Kind::Typed && share == BY_COLUMN {
                    columns = sum.columns;
                }
            }
        }
        println!("\nTyping errors by column, {:.0} % of rows\n", 100.0 * BY_COLUMN);
        println!("| column | planted | recall | of those ≥ 10 % |\n| --- | ---: | ---: | ---: |");
        for (column, own) in columns {
            let (name, all, large) =
                (sheet.column(column), part(own.found, own.planted), part(own.large_found, own.large));
            println!("| {name} | {} | {all} | {large} |", own.planted);
        }
    }
}

/// Prints how many rows of the unchanged file are doubted, and returns their lines.
fn clean(file: &str, sheet: &Sheet, recipe: &Recipe) -> BTreeSet<u64> {
    let (data, _) = read(&sheet.text(), recipe);
    let start = Instant::now();
    let report = examine(recipe, &data);
    let (rows, doubted) = (report.rows, report.doubted_lines().len());
    println!(
        "\n{file}, unchanged: {doubted} of {rows} rows doubted ({:.1} %), {:.2} s\n",
        100.0 * doubted as f64 / rows as f64,
        start.elapsed().as_secs_f64()
    );
    if option("--show").is_some() {
        println!("{report}");
    }
    report.doubted_lines().iter().copied().collect()
}

/// Reads a table. Cells that the reader refuses are found, too: their lines come beside the other rows.
fn read(text: &str, recipe: &Recipe) -> (Dataset, BTreeSet<u64>) {
    let (mut text, mut refused) = (text.to_owned(), BTreeSet::new());
    loop {
        match Dataset::read(text.as_bytes(), recipe) {
            Ok(data) => return (data, refused),
            Err(DataError::Cells(bad)) => {
                let lines: BTreeSet<u64> = bad.first.iter().map(|cell| cell.line).collect();
                // An empty line keeps the numbers of the others.
                let kept = text.lines().zip(1..).map(|(line, number)| if lines.contains(&number) { "" } else { line });
                text = kept.collect::<Vec<_>>().join("\n") + "\n";
                refused.extend(lines);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[derive(Default)]
struct Found {
    planted: usize,
    found: usize,
    large: usize,
    large_found: usize,
}

impl Found {
    fn add(&mut self, other: &Self) {
        self.planted += other.planted;
        self.found += other.found;
        self.large += other.large;
        self.large_found += other.large_found;
    }
}

#[derive(Default)]
struct Score {
    whole: Found,
    columns: BTreeMap<usize, Found>,
    named_of_kind: usize,
    right_of_kind: usize,
    named: usize,
    right: usize,
    /// Doubted rows that were not doubted in the unchanged file.
    new: usize,
}

/// A part of a whole as text.
fn part(some: usize, all: usize) -> String {
    if all == 0 { "–".to_owned() } else { format!("{:.2}", some as f64 / all as f64) }
}

impl Score {
    fn add(&mut self, other: &Self) {
        self.whole.add(&other.whole);
        other.columns.iter().for_each(|(column, own)| self.columns.entry(*column).or_default().add(own));
        self.new += other.new;
        self.named_of_kind += other.named_of_kind;
        self.right_of_kind += other.right_of_kind;
        self.named += other.named;
        self.right += other.right;
    }

    fn row(&self, name: &str, share: f64) -> String {
        format!(
            "| {name} | {:.0} % | {} | {} | {} | {} | {} | {} |",
            100.0 * share,
            self.whole.planted,
            part(self.whole.found, self.whole.planted),
            part(self.whole.large_found, self.whole.large),
            part(self.right_of_kind, self.named_of_kind),
            part(self.right, self.named),
            part(self.right, self.new)
        )
    }
}

fn one(sheet: &Sheet, recipe: &Recipe, before: &BTreeSet<u64>, kind: Kind, share: f64, seed: u64) -> Score {
    let (text, planted) = sheet.planted(recipe, kind, share, seed);
    let (data, refused) = read(&text, recipe);
    let report = examine(recipe, &data);
    let named: BTreeSet<u64> = report.doubted_lines().iter().chain(&refused).copied().collect();
    let of_kind: BTreeSet<u64> = lines_of(&report, kind.findings()).chain(refused).collect();
    score(&planted, &named, &of_kind, before)
}

fn lines_of<'a>(report: &'a DataReport, kinds: &'a [FindingKind]) -> impl Iterator<Item = u64> + 'a {
    let own = report.findings.iter().filter(|own| own.severity == Severity::Doubt && kinds.contains(&own.kind));
    own.filter_map(|finding| finding.line)
}

fn score(planted: &[Planted], named: &BTreeSet<u64>, of_kind: &BTreeSet<u64>, before: &BTreeSet<u64>) -> Score {
    let wrong: BTreeSet<u64> = planted.iter().flat_map(|own| own.lines.iter().copied()).collect();
    let mut score = Score {
        named_of_kind: of_kind.len(),
        right_of_kind: of_kind.intersection(&wrong).count(),
        named: named.len(),
        right: named.intersection(&wrong).count(),
        new: named.iter().filter(|line| wrong.contains(line) || !before.contains(line)).count(),
        ..Score::default()
    };
    for own in planted {
        let found = usize::from(own.lines.iter().any(|line| named.contains(line)));
        let large = usize::from(own.change >= NOTICEABLE);
        let one = Found { planted: 1, found, large, large_found: large * found };
        score.whole.add(&one);
        score.columns.entry(own.column).or_default().add(&one);
    }
    score
}
