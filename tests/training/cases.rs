//! Files as labs have them, each with a recipe: what is read of them, and what is said. The table is
//! `tests/cases/training.jsonl`; every line of it is a case.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use mcvn::data::{Dataset, Recipe};
use mcvn::domain::ParameterKind;
use mcvn::model::probe_features;
use mcvn::train::fit;
use serde::Deserialize;

use super::{load, options};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    /// What it stands for.
    #[allow(dead_code, reason = "for people")]
    kind: String,
    encoding: String,
    file: String,
    /// Without network and training.
    recipe: String,
    expect: Expect,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Expect {
    /// Parts of the refusal.
    error: Vec<String>,
    not_in_error: Vec<String>,
    /// Parts of the refusal or of a warning.
    says: Vec<String>,
    rows: Option<usize>,
    groups: Option<usize>,
    notes: Vec<String>,
    no_notes: Vec<String>,
    warnings: Vec<String>,
    no_warnings: Vec<String>,
    /// Rows on which a target was measured.
    measured: BTreeMap<String, usize>,
    /// Least and largest amount of an element.
    ranges: BTreeMap<String, [f64; 2]>,
    /// Values of a process parameter.
    numbers: BTreeMap<String, [f64; 2]>,
    levels: BTreeMap<String, Vec<String>>,
    /// Least and largest value of a target.
    values: BTreeMap<String, [f64; 2]>,
    /// Whether a bundle comes of it that loads and answers.
    trains: bool,
    /// Whether all its answers are above 0.
    positive: bool,
}

/// Small: it is about the file.
const NETWORK: &str = r#"
[network]
attention = "none"
heads = 1
norm = "pre"
activation = "silu"
stem = 16
row = [12]
head = [8]
dropout = 0.1

[training]
members = 1
steps = 60
learning_rate = 5e-3
warmup = 5
weight_decay = 0.02
clip_norm = 5.0
ema = 0.9

[[committee]]
kind = "kernel"
keys = 10
steps = 10
learning_rate = 0.05

[[committee]]
kind = "boosting"
rounds = 10
depth = 3
learning_rate = 0.2
rows = 0.9
columns = 1.0
min_weight = 1.0
penalty = 1.0
"#;

fn bytes(case: &Case) -> Vec<u8> {
    match case.encoding.as_str() {
        "utf-16" => [0xFEFF].into_iter().chain(case.file.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
        label => encoding_rs::Encoding::for_label(label.as_bytes()).unwrap().encode(&case.file).0.into_owned(),
    }
}

fn check(case: &Case) -> Result<(), String> {
    let expect = &case.expect;
    let recipe = Recipe::parse(&(case.recipe.clone() + NETWORK)).map_err(|error| error.to_string())?;
    let all = |texts: &[String], said: &str| match texts.iter().find(|text| !said.contains(text.as_str())) {
        Some(text) => Err(format!("nothing says {text:?} in:\n{said}")),
        None => Ok(()),
    };
    let none = |texts: &[String], said: &str| match texts.iter().find(|text| said.contains(text.as_str())) {
        Some(text) => Err(format!("{text:?} is said in:\n{said}")),
        None => Ok(()),
    };
    let data = match Dataset::read(&bytes(case), &recipe) {
        Ok(data) if expect.error.is_empty() => data,
        Ok(data) => return Err(format!("read: {:?}", data.summary)),
        Err(error) if expect.error.is_empty() && expect.says.is_empty() => return Err(error.to_string()),
        Err(error) => {
            all(&expect.error, &error.to_string())?;
            all(&expect.says, &error.to_string())?;
            return none(&expect.not_in_error, &error.to_string());
        }
    };
    let (notes, warnings) = (data.summary.notes.join("\n"), data.summary.warnings.join("\n"));
    all(&expect.says, &warnings)?;
    all(&expect.notes, &notes)?;
    none(&expect.no_notes, &notes)?;
    all(&expect.warnings, &warnings)?;
    none(&expect.no_warnings, &warnings)?;
    let rows: Vec<usize> = (0..data.samples.len()).collect();
    let same = |what: &str, wanted: Option<usize>, found: usize| match wanted {
        Some(wanted) if wanted != found => Err(format!("{found} {what}, not {wanted}")),
        _ => Ok(()),
    };
    same("rows", expect.rows, rows.len())?;
    same("groups", expect.groups, data.count_groups(&rows))?;
    let target = |name: &String| recipe.targets.iter().position(|target| target.name == *name).unwrap();
    for (name, count) in &expect.measured {
        let measured = data.labels.iter().filter(|outcome| outcome.value(target(name)).is_some());
        same(name, Some(*count), measured.count())?;
    }
    let range = |name: &str, wanted: &[f64; 2], found: [f64; 2]| {
        let close = wanted.iter().zip(found).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs().max(1.0));
        if close { Ok(()) } else { Err(format!("{name} from {} to {}, not {wanted:?}", found[0], found[1])) }
    };
    for (name, wanted) in &expect.values {
        let mut values: Vec<f64> = data.labels.iter().filter_map(|outcome| outcome.value(target(name))).collect();
        values.sort_by(f64::total_cmp);
        range(name, wanted, [values[0], values[values.len() - 1]])?;
    }
    let schema = data.schema(&recipe, &rows);
    for (name, wanted) in &expect.ranges {
        let found = schema.composition.elements.iter().find(|range| range.element.symbol() == name);
        range(name, wanted, found.map_or([0.0; 2], |found| [found.min, found.max]))?;
    }
    for parameter in &schema.processing {
        match &parameter.kind {
            ParameterKind::Numeric { min, max, .. } => {
                expect
                    .numbers
                    .get(&parameter.name)
                    .map_or(Ok(()), |wanted| range(&parameter.name, wanted, [*min, *max]))?;
            }
            ParameterKind::Categorical { levels, .. } => {
                if let Some(wanted) = expect.levels.get(&parameter.name).filter(|wanted| *wanted != levels) {
                    return Err(format!("levels {levels:?}, not {wanted:?}"));
                }
            }
        }
    }
    if expect.trains {
        let trained = fit(&recipe, &data, &rows, &options(7), &|_| ControlFlow::Continue(()));
        let bundle = load(&trained.map_err(|error| error.to_string())?);
        let probes = probe_features(bundle.manifest(), 40);
        let answers = bundle.predict(&probes.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())?;
        if expect.positive && answers.iter().flat_map(|answer| &answer.values).any(|value| *value <= 0.0) {
            return Err("an answer is not above 0".to_owned());
        }
    }
    Ok(())
}

#[test]
fn files_as_labs_have_them() {
    let table = include_str!("../cases/training.jsonl");
    let cases: Vec<Case> = table.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fail = |case: &Case| check(case).err().map(|why| format!("{}: {why}", case.id));
    let failed: Vec<String> = cases.iter().filter_map(fail).collect();
    assert!(failed.is_empty(), "{} of {} cases:\n{}", failed.len(), cases.len(), failed.join("\n\n"));
}
