//! A network that is taught and leans on measured samples: it repeats, it never sees its own outcome, it says who spoke,
//! and it gives nothing measured away where it is told not to.

use std::ops::ControlFlow;

use mcvn::data::{Dataset, Recipe};
use mcvn::featurize::{Features, featurize};
use mcvn::model::{Bundle, DeviceChoice, Manifest, probe_features};
use mcvn::train::{Trained, fit};

use super::{RECIPE, load, options, r2_on_new_rows, table, train};

const TEACHER: &str = r#"
[teacher]
samples = 300
batch = 40
weight = 0.5
by_element = 0.5

[[teacher.committee]]
kind = "kernel"
keys = 24
steps = 60
learning_rate = 0.05

[[teacher.committee]]
kind = "forest"
trees = 20
min_leaf = 1
"#;

/// The lab's network with residual attention over its measured rows.
fn leaning() -> String {
    let text = RECIPE.replace("attention = \"reference\"", "attention = \"residual\"").replace("cohort = 8\n", "");
    text.replace("channels = [2, 3, 3, 2]", "channels = [4]")
}

fn taught() -> String {
    format!("{}{TEACHER}", leaning())
}

/// What the bundle says of rows among others is what it says of each alone, to the last bit.
fn assert_alone_as_in_company(bundle: &Bundle) {
    let features = probe_features(bundle.manifest(), 70);
    let all: Vec<&Features> = features.iter().collect();
    for count in [2, 3, 4, 5, 9, 64, 70] {
        for (sample, together) in all.iter().zip(bundle.predict(&all[..count]).unwrap()) {
            assert_eq!(bundle.predict(&[sample]).unwrap()[0], together);
        }
    }
}

#[test]
fn a_taught_network_repeats_and_says_who_spoke() {
    let (first, again) = (train(&taught(), 7), train(&taught(), 7));
    assert_eq!(first.weights, again.weights);
    assert_eq!(first.manifest, again.manifest);
    let bundle = load(&first);
    assert_alone_as_in_company(&bundle);
    let recipe = Recipe::parse(&taught()).unwrap();
    assert!(r2_on_new_rows(&bundle, &recipe) > 0.9);

    // The network is the only family: its seeds are what disagrees, and its references are what a sample is far from.
    let manifest = bundle.manifest();
    assert_eq!(manifest.families.len(), 1);
    let calibration = manifest.calibration.as_ref().unwrap();
    assert_eq!((calibration.novelty.len(), calibration.disagreement.len()), (101, 101));

    // A measured row is named for itself: its line counts the header.
    assert_eq!(manifest.references.len(), 80);
    let data = Dataset::read(table(80).as_bytes(), &recipe).unwrap();
    let mut itself = 0;
    for (row, sample) in data.samples.iter().enumerate() {
        let features = featurize(sample, &manifest.schema, &manifest.features);
        let references = bundle.predict(&[&features]).unwrap().remove(0).references;
        assert!(references.len() <= 3 && references.windows(2).all(|pair| pair[0].weight >= pair[1].weight));
        assert!(references.iter().map(|own| own.weight).sum::<f32>() <= 1.0 + 1e-6);
        let named = references.iter().map(|own| &manifest.references[own.place as usize]);
        itself += usize::from(named.clone().any(|own| own.line == row as u64 + 2));
        named.for_each(|own| assert_eq!(own.group, data.groups[own.line as usize - 2]));
    }
    assert!(itself > 60, "{itself} of 80 rows are named for themselves");
}

#[test]
fn fewer_references_are_medoids_and_a_context_is_drawn_from_them() {
    let text = leaning().replace("members = 2", "members = 2\nreferences = 12\ncontext = 5\nbatch = 20");
    let bundle = load(&train(&text, 3));
    // Each seed chooses its own.
    assert!((12..=24).contains(&bundle.manifest().references.len()));
    assert!(r2_on_new_rows(&bundle, &Recipe::parse(&text).unwrap()) > 0.85);
}

#[test]
fn without_references_nothing_measured_is_in_the_bundle() {
    let trained = train(&taught().replace("members = 2", "members = 2\nreferences = 0"), 7);
    let tensors = safetensors::SafeTensors::deserialize(&trained.weights).unwrap();
    assert!(tensors.names().iter().all(|name| !name.contains("references") && !name.contains("residual")));
    let bundle = load(&trained);
    assert!(bundle.manifest().references.is_empty());
    assert!(r2_on_new_rows(&bundle, &Recipe::parse(RECIPE).unwrap()) > 0.9);
    let features = probe_features(bundle.manifest(), 3);
    let answers = bundle.predict(&features.iter().collect::<Vec<_>>()).unwrap();
    assert!(answers.iter().all(|answer| answer.references.is_empty() && answer.novelty.is_none()));
}

#[test]
fn damaged_references_are_refused() {
    let trained = train(&leaning(), 7);
    let device = DeviceChoice::Cpu.open().unwrap().device;
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = trained.manifest.clone();
        change(&mut manifest);
        let error = Bundle::load(&serde_json::to_vec(&manifest).unwrap(), &trained.weights, &device);
        error.map(|_| ()).unwrap_err().to_string()
    };
    // A reference without a name.
    assert!(refused(&|manifest| manifest.references.truncate(3)).contains("references"));
    assert!(refused(&|manifest| manifest.references.clear()).contains("references"));
}

#[test]
fn a_fold_whose_teacher_saw_it_would_be_too_good() {
    // Outcomes that nothing explains: whoever answers held-out rows well has seen them.
    let mut heat = 0;
    let noise = |line: &str| {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        if cells[0] != "heat" {
            heat += 1;
            cells[5] = (200 + heat * 7919 % 211).to_string();
        }
        cells.join(",") + "\n"
    };
    let text: String = table(80).lines().map(noise).collect();
    let recipe = Recipe::parse(&taught()).unwrap();
    let data = Dataset::read(text.as_bytes(), &recipe).unwrap();
    let rows: Vec<usize> = (0..80).collect();
    let trained: Trained = fit(&recipe, &data, &rows, &options(7), &|_| ControlFlow::Continue(())).unwrap();
    // The outcomes are spread evenly over 211: half of them lie within 53 of the middle.
    let half = trained.manifest.calibration.unwrap().half_width(0, 0.5).unwrap();
    assert!(half > 45.0, "{half}");
}

#[test]
fn contradictions_in_a_teacher_are_named() {
    for (from, to, word) in [
        ("samples = 300", "samples = 0", "samples"),
        ("weight = 0.5", "weight = 1.0", "weight"),
        ("by_element = 0.5", "by_element = 2.0", "by_element"),
        ("trees = 20", "trees = 0", "tree"),
        ("members = 2", "members = 2\ncontext = 0", "references = 0"),
        ("kind = \"forest\"", "kind = \"network\"", "network"),
    ] {
        let text = taught();
        assert!(text.contains(from), "{from}");
        let error = Recipe::parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
}
