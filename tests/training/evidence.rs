//! Evidence of what alloys are not: every kind of member learns from it, a held-out group is held out as a whole, and
//! answers say what they are about and what concerns them.

use std::ops::ControlFlow;

use mcvn::data::{Dataset, Recipe};
use mcvn::domain::{RawComposition, RawSample, Sample};
use mcvn::featurize::featurize;
use mcvn::model::{Bundle, Predicted, Trust, TrustOptions};
use mcvn::train::{Trained, evaluate, fit, model_card};

use super::{load, options};

const GLASSES: &str = r#"
name = "glasses"
title = "invented glasses"
about = "Castings and ribbons."
group = "chemical_system"
kinds = 8
limits = [
    "Nothing is known of powders.",
    { text = "Four elements: bulk or not is open.", when = { elements_at_least = 4, class = "BMG" } },
]
composition = { basis = "atomic_percent", formula = "alloy" }
class = { column = "class", levels = ["BMG", "RMG", "CRA"], score_up_to_elements = 3 }
features = { structure = true }
evidence = [{ file = "cast.csv", column = "alloy", excludes = ["BMG"], weight = 1.0, citation = "invented" }]

[network]
attention = "none"
heads = 1
norm = "pre"
activation = "silu"
row = [16]
head = []

[training]
members = 1
steps = 200
batch = 24
learning_rate = 1e-2
warmup = 5
weight_decay = 0.01
clip_norm = 5.0
ema = 0.9
label_smoothing = 0.05

[calibration]
folds = 3
"#;

/// Members of one kind that answer without the network.
fn alone(kind: &str) -> String {
    let member = match kind {
        "network" => return GLASSES.to_owned(),
        "kernel" => "kind = \"kernel\"\nkeys = 30\nsteps = 40\nlearning_rate = 0.05",
        "forest" => "kind = \"forest\"\nsplits = \"random\"\ntrees = 20\nmin_leaf = 2",
        _ => {
            "kind = \"boosting\"\nrounds = 40\ndepth = 3\nlearning_rate = 0.2\nrows = 1.0\ncolumns = 1.0\n\
             min_weight = 0.1\npenalty = 1.0"
        }
    };
    let silent = GLASSES
        .replace("kinds = 8", "kinds = 8\nshare = { near = 0.0, far = 0.0 }")
        .replace("steps = 200", "steps = 1");
    format!("{silent}\n[[committee]]\n{member}\n")
}

/// Binaries are ribbons or crystals, all of four elements are bulk glasses.
fn rows() -> String {
    let mut rows = String::from("alloy,class\n");
    for step in 0..10 {
        rows += &format!("Cu{}Zr{},RMG\nFe{}Ni{},CRA\n", 40 + step, 60 - step, 50 + step, 50 - step);
        rows += &format!("Zr{}Cu{}Al10Ni{},BMG\n", 50 + step, 30 - step, 10);
        rows += &format!("Mg{}Cu{}Y10Gd{},BMG\n", 60 + step, 25 - step, 5);
    }
    rows
}

/// Crystalline castings of three systems of four and five elements.
fn cast() -> String {
    let mut rows = String::from("alloy,structure\n");
    for step in 0..8 {
        rows += &format!("Co{}Cr{}Fe25Ni25,FCC\n", 20 + step, 30 - step);
        rows += &format!("Al{}Co20Cr{}Fe20Ni20,BCC\n", 16 + step, 24 - step);
        rows += &format!("Mo25Nb{}Ti{}V25,BCC\n", 20 + step, 30 - step);
    }
    rows
}

fn data(recipe: &Recipe, with: bool) -> Dataset {
    let data = Dataset::read(rows().as_bytes(), recipe).unwrap();
    if with { data.with_evidence(recipe, &[cast().into_bytes()]).unwrap() } else { data.without_evidence(recipe) }
}

fn train(recipe: &Recipe, data: &Dataset) -> Trained {
    let rows: Vec<usize> = (0..data.samples.len()).collect();
    fit(recipe, data, &rows, &options(7), &|_| ControlFlow::Continue(())).unwrap()
}

fn ask(bundle: &Bundle, formula: &str) -> (Sample, Predicted, Trust) {
    let manifest = bundle.manifest();
    let raw = RawSample {
        composition: Some(RawComposition::Formula(formula.into())),
        basis: None,
        balance: None,
        processing: Vec::new(),
        not_measured: Vec::new(),
    };
    let sample = Sample::parse(&raw, &manifest.schema, "").unwrap();
    let features = featurize(&sample, &manifest.schema, &manifest.features);
    let predicted = bundle.predict(&[&features]).unwrap().remove(0);
    let trust = manifest.trust(&sample, &predicted, &TrustOptions::default());
    (sample, predicted, trust)
}

#[test]
fn every_kind_of_member_learns_what_an_alloy_is_not() {
    for kind in ["network", "kernel", "forest", "boosting"] {
        let recipe = Recipe::parse(&alone(kind)).unwrap();
        let bulk = |with| ask(&load(&train(&recipe, &data(&recipe, with))), "Co22Cr26Fe26Ni26").1.values[0];
        let (without, with) = (bulk(false), bulk(true));
        assert!(with < 0.35 && with < without - 0.1, "{kind}: {without} without evidence, {with} with it");
        // What is known of bulk glasses stays.
        let glass = ask(&load(&train(&recipe, &data(&recipe, true))), "Zr55Cu25Al10Ni10").1.values[0];
        assert!(glass > 0.6, "{kind}: {glass}");
    }
}

#[test]
fn a_weight_counts_and_the_same_seed_gives_the_same_bytes() {
    let bulk = |weight: &str| {
        let recipe = Recipe::parse(&alone("boosting").replace("weight = 1.0", &format!("weight = {weight}"))).unwrap();
        let trained = train(&recipe, &data(&recipe, true));
        (ask(&load(&trained), "Co22Cr26Fe26Ni26").1.values[0], trained.manifest.version)
    };
    let (light, version) = bulk("0.05");
    assert!(light > bulk("4.0").0, "{light}");
    assert_eq!(bulk("0.05").1, version);
}

#[test]
fn a_held_out_group_is_held_out_with_its_evidence() {
    let recipe = Recipe::parse(GLASSES).unwrap();
    let with_crystals = cast() + "Zr52Cu28Al10Ni10,cubic\n";
    let data = Dataset::read(rows().as_bytes(), &recipe).unwrap();
    let data = data.with_evidence(&recipe, &[with_crystals.into_bytes()]).unwrap();
    let joined = data.joined();
    let known: Vec<usize> = (0..data.samples.len()).filter(|row| !data.groups[*row].contains("Zr")).collect();
    let learned = joined.and_evidence(&known);
    let evidence = |rows: &[usize]| rows.iter().filter(|row| !joined.labels[**row].is_measured()).count();
    assert_eq!((evidence(&learned), learned.len()), (24, known.len() + 24));
    assert!(learned.iter().all(|row| !joined.groups[*row].contains("Zr")));
    let all: Vec<usize> = (0..data.samples.len()).collect();
    assert_eq!(evidence(&joined.and_evidence(&all)), 25);
    let trained = train(&recipe, &data);
    let record = &trained.manifest.data;
    assert_eq!((record.rows, record.row_digests.len(), record.evidence[0].rows), (40, 40, 25));
}

#[test]
fn answers_say_what_they_are_about_and_what_concerns_them() {
    let recipe = Recipe::parse(GLASSES).unwrap();
    let trained = train(&recipe, &data(&recipe, true));
    let bundle = load(&trained);
    assert_eq!(bundle.manifest().about.as_deref(), Some("Castings and ribbons."));
    let (_, glass, trust) = ask(&bundle, "Zr55Cu25Al10Ni10");
    assert!(glass.values[0] > 0.5 && trust.reasons.is_empty(), "{trust:?}");
    assert_eq!(trust.warnings, ["Four elements: bulk or not is open."]);
    assert_eq!(ask(&bundle, "Cu45Zr55").2.warnings, Vec::<String>::new());
    // Near nothing measured, though all of its elements were seen.
    let (_, _, far) = ask(&bundle, "Al70Y20Gd10");
    assert!(far.reasons.iter().any(|reason| reason.starts_with("no measured alloy of this kind")), "{far:?}");
    let card = model_card(bundle.manifest());
    for words in ["Castings and ribbons.", "Nothing is known of powders.", "`cast.csv`: 24 alloys that are not BMG"] {
        assert!(card.contains(words), "{words} in {card}");
    }
    let mut reworded = trained.manifest.clone();
    reworded.limits.remove(0);
    assert_eq!(reworded.digest().unwrap(), trained.manifest.digest().unwrap(), "a limit that is no warning");
    reworded.about = None;
    assert_ne!(reworded.digest().unwrap(), trained.manifest.digest().unwrap());
}

#[test]
fn scores_on_evidence_that_was_held_out() {
    let recipe = Recipe::parse(&alone("boosting")).unwrap();
    let data = data(&recipe, true);
    let splits = mcvn::data::draw_splits(&data.groups, mcvn::data::Protocol::Random, 2, 7).unwrap();
    let reports = evaluate(&recipe, &data, &splits, &options(7), &|_| ControlFlow::Continue(())).unwrap();
    for report in reports {
        let evidence = &report.scores["evidence"];
        assert!(evidence["called_excluded_in_domain"] <= evidence["called_excluded"], "{evidence:?}");
        assert!(report.scores["4_elements"].contains_key("in_domain") && report.scores.contains_key("over_3_elements"));
        assert!(report.rows.iter().all(|row| *row < 40), "only measured rows are test rows");
    }
}

#[test]
fn bad_evidence_is_refused_in_words() {
    let recipe = Recipe::parse(GLASSES).unwrap();
    let read = |files: &[&str]| {
        let files: Vec<Vec<u8>> = files.iter().map(|text| text.as_bytes().to_vec()).collect();
        let read = Dataset::read(rows().as_bytes(), &recipe).unwrap().with_evidence(&recipe, &files);
        read.map(|data| data.files_sha256()).map_err(|error| (error.to_string(), error.violations()))
    };
    let (text, violations) = read(&["alloy\nCoCrFeNi\nCoXx2\n"]).unwrap_err();
    assert!(text.starts_with("cast.csv: ") && text.contains("line 3"), "{text}");
    assert_eq!(violations[0].pointer, "/evidence/3/alloy");
    let (text, _) = read(&["formula\nCoCrFeNi\n"]).unwrap_err();
    assert!(text.contains("alloy"), "{text}");
    let (text, violations) = read(&[]).unwrap_err();
    assert_eq!(text, "the recipe names 1 file (cast.csv) of evidence, 0 are given");
    assert_eq!(violations[0].pointer, "/evidence");
    let (one, other) = (read(&["alloy\nCoCrFeNi\n"]).unwrap(), read(&["alloy\nCoCrFeMnNi\n"]).unwrap());
    assert!(one != other, "the files are part of what identifies the data");
    for (old, new, wanted) in [
        ("excludes = [\"BMG\"]", "excludes = [\"glass\"]", "evidence: excludes"),
        ("excludes = [\"BMG\"]", "excludes = [\"BMG\", \"RMG\", \"CRA\"]", "evidence: excludes"),
        ("file = \"cast.csv\"", "file = \"../cast.csv\"", "evidence: file"),
        ("group = \"chemical_system\"", "group = \"alloy\"", "evidence: its alloys need a group"),
        ("weight = 1.0", "weight = -1.0", "evidence.weight"),
        ("class = \"BMG\" }", "class = \"glass\" }", "limits: class"),
        ("when = { elements_at_least = 4, class = \"BMG\" }", "when = {}", "limits: when"),
    ] {
        let error = Recipe::parse(&GLASSES.replace(old, new)).unwrap_err().to_string();
        assert!(error.contains(wanted), "{new}: {error}");
    }
}
