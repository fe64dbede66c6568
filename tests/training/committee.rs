//! A committee of every kind of member: each learns, the whole repeats, and nobody looks at the batch.

use std::ops::ControlFlow;

use mcvn::data::{Dataset, Recipe};
use mcvn::domain::Sample;
use mcvn::featurize::{Features, featurize};
use mcvn::model::{Bundle, MemberKind, probe_features};
use mcvn::train::fit;

use super::{RECIPE, load, options, r2_on_new_rows, table, train};

const PARTNERS: &str = r#"
[[committee]]
kind = "network"
[committee.network]
attention = "none"
heads = 1
norm = "pre"
activation = "silu"
bins = 4
row = [24]
head = []
dropout = 0.0
[committee.training]
members = 1
steps = 400
batch = 40
learning_rate = 1e-2
warmup = 10
weight_decay = 0.01
clip_norm = 5.0
ema = 0.98

[[committee]]
kind = "kernel"
keys = 24
steps = 100
learning_rate = 0.05
components = 2

[[committee]]
kind = "forest"
trees = 30
min_leaf = 1

[[committee]]
kind = "forest"
splits = "best"
trees = 10
min_leaf = 1
tried = 4
image = true

[[committee]]
kind = "boosting"
rounds = 60
depth = 3
learning_rate = 0.2
rows = 0.9
columns = 1.0
min_weight = 1.0
penalty = 1.0
"#;

fn recipe() -> String {
    format!("{RECIPE}{PARTNERS}")
}

/// The same rows with a class in the hardness's place.
fn class_recipe() -> String {
    let at = RECIPE.find("[[targets]]").unwrap();
    let end = RECIPE.find("[features]").unwrap();
    let class = "[class]\ncolumn = \"hard\"\nlevels = [\"soft\", \"medium\", \"hard\"]\n\n";
    let text = format!("{}{class}{}{PARTNERS}", &RECIPE[..at], &RECIPE[end..]);
    text.replace("/predict/steel", "/classify/glass")
}

fn class_table(rows: usize) -> String {
    let class = |line: &str| match line.split(',').nth(5).unwrap().parse::<f64>() {
        Ok(value) if value < 210.0 => format!("{line},soft\n"),
        Ok(value) if value < 260.0 => format!("{line},medium\n"),
        Ok(_) => format!("{line},hard\n"),
        Err(_) => format!("{line},hard\n"),
    };
    table(rows).lines().map(class).collect()
}

/// What each family says of rows in the batch is what it says of each alone, to the last bit.
fn assert_alone_as_in_company(bundle: &Bundle) {
    let features = probe_features(bundle.manifest(), 70);
    let all: Vec<&Features> = features.iter().collect();
    for count in [2, 7, 8, 9, 64, 70] {
        let batch = bundle.ensemble_outputs(&all[..count]).unwrap();
        for (sample, output) in all.iter().zip(batch) {
            let alone = bundle.ensemble_outputs(&[sample]).unwrap().remove(0);
            assert_eq!(alone.families, output.families);
            assert_eq!(alone.mixed, output.mixed);
            assert_eq!(alone.novelty, output.novelty);
        }
    }
}

#[test]
fn every_kind_of_member_learns_and_repeats() {
    let (first, again) = (train(&recipe(), 7), train(&recipe(), 7));
    assert_eq!(first.weights, again.weights);
    assert_eq!(first.manifest, again.manifest);
    let bundle = load(&first);
    assert_eq!(bundle.manifest().families.len(), 6);
    let kinds: Vec<&str> = bundle.manifest().members.iter().map(|member| member.model.name()).collect();
    assert_eq!(kinds, ["network", "network", "network", "kernel", "forest", "forest", "boosting"]);
    assert_alone_as_in_company(&bundle);

    // Each on its own, on rows that none has seen; a few trees of 80 rows are rough.
    let recipe = Recipe::parse(&recipe()).unwrap();
    assert!(r2_on_new_rows(&bundle, &recipe) > 0.9);
    let least = [0.9, 0.9, 0.9, 0.6, 0.6, 0.75];
    for (family, least) in least.into_iter().enumerate() {
        let mut manifest = first.manifest.clone();
        for (index, share) in manifest.families.iter_mut().enumerate() {
            let own = f64::from(u8::from(index == family));
            (share.near, share.far) = (own, own);
        }
        let manifest = serde_json::to_vec(&manifest).unwrap();
        let device = mcvn::model::DeviceChoice::Cpu.open().unwrap().device;
        let alone = Bundle::load(&manifest, &first.weights, &device).unwrap();
        let r2 = r2_on_new_rows(&alone, &recipe);
        assert!(r2 > least, "family {family}: {r2}");
    }
}

#[test]
fn every_kind_of_member_tells_classes_apart() {
    let recipe = Recipe::parse(&class_recipe()).unwrap();
    let data = Dataset::read(class_table(80).as_bytes(), &recipe).unwrap();
    let rows: Vec<usize> = (0..80).collect();
    let trained = fit(&recipe, &data, &rows, &options(3), &|_| ControlFlow::Continue(())).unwrap();
    let bundle = load(&trained);
    assert_alone_as_in_company(&bundle);
    let boosted = |member: &MemberKind| matches!(member, MemberKind::Forest(forest) if forest.boosted);
    assert_eq!(bundle.manifest().members.iter().filter(|member| boosted(&member.model)).count(), 1);

    let text = class_table(200);
    let new = Dataset::read(text.as_bytes(), &recipe).unwrap();
    let mut right = [0; 6];
    for (sample, line) in new.samples.iter().zip(text.lines().skip(1)).skip(80) {
        let wanted = recipe.class.as_ref().unwrap().levels.iter().position(|level| line.ends_with(level)).unwrap();
        let output = output(&bundle, sample);
        for (right, said) in right.iter_mut().zip(&output) {
            assert!((said.iter().sum::<f64>() - 1.0).abs() < 1e-5 && said.iter().all(|p| (0.0..=1.0).contains(p)));
            let chosen = (0..3).max_by(|a, b| said[*a].total_cmp(&said[*b])).unwrap();
            *right += usize::from(chosen == wanted);
        }
    }
    // Of 120 rows; a guess would be right for 40.
    assert!(right.iter().all(|right| *right > 70), "{right:?}");
}

fn output(bundle: &Bundle, sample: &Sample) -> Vec<Vec<f64>> {
    let features = featurize(sample, &bundle.manifest().schema, &bundle.manifest().features);
    bundle.ensemble_outputs(&[&features]).unwrap().remove(0).families
}

#[test]
fn a_class_without_rows_is_improbable() {
    // Whole groups are held out, so a rare class may be missing from what a committee is trained on.
    let recipe = Recipe::parse(&class_recipe()).unwrap();
    let data = Dataset::read(class_table(80).as_bytes(), &recipe).unwrap();
    let table = class_table(80);
    let soft = |row: &usize| !table.lines().nth(row + 1).unwrap().ends_with("soft");
    let rows: Vec<usize> = (0..80).filter(soft).collect();
    let trained = fit(&recipe, &data, &rows, &options(3), &|_| ControlFlow::Continue(())).unwrap();
    let bundle = load(&trained);
    let boosting = output(&bundle, &data.samples[rows[0]]).remove(5);
    assert!(boosting[0] < 0.01, "{boosting:?}");
}

#[test]
fn contradictions_in_a_committee_are_named() {
    for (from, to, word) in [
        ("keys = 24", "keys = 1", "keys"),
        ("trees = 30", "trees = 0", "tree"),
        ("rounds = 60", "rounds = 0", "round"),
        ("depth = 3", "depth = 17", "depth"),
        ("rows = 0.9", "rows = 0.0", "rows"),
        ("penalty = 1.0", "penalty = -1.0", "penalty"),
        ("batch = 40", "batch = 1", "batch"),
        ("kind = \"kernel\"", "kind = \"kernal\"", "kernal"),
    ] {
        let error = Recipe::parse(&recipe().replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}
