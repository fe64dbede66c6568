//! What a lab's file lacks, and what comes of it: targets that were not measured, blank cells, lives over decades.

use std::ops::ControlFlow;

use mcvn::data::draw_splits;
use mcvn::data::{Dataset, Label, Protocol, Recipe};
use mcvn::domain::{Element, ParameterKind, ProcessValue, Sample};
use mcvn::featurize::featurize;
use mcvn::model::{Bundle, Confidence, MemberKind, TrustOptions};
use mcvn::train::model_card;
use mcvn::train::{FitOptions, Trained, cross_validate, evaluate, fit};

use super::{RECIPE, load, options, table};

/// Two targets that a kernel, trees and a network learn.
fn two_targets() -> String {
    let partners = r#"
[[targets]]
name = "doubled"
unit = "HV"
"#;
    let committee = r#"
[[committee]]
kind = "kernel"
keys = 20
steps = 60
learning_rate = 0.05

[[committee]]
kind = "forest"
trees = 20
min_leaf = 1
"#;
    RECIPE.replacen("\n[features]", &format!("{partners}\n[features]"), 1).replace("steps = 250", "steps = 150")
        + committee
}

/// [`table`] with a second target, twice the first, where a row keeps it.
fn doubled(rows: usize, keep: impl Fn(usize) -> bool) -> String {
    let line = |(index, line): (usize, &str)| match (index, line.split(',').nth(5)) {
        (0, _) => format!("{line},doubled\n"),
        (row, Some(hardness)) if keep(row - 1) => format!("{line},{}\n", 2.0 * hardness.parse::<f64>().unwrap()),
        (..) => format!("{line},\n"),
    };
    table(rows).lines().enumerate().map(line).collect()
}

fn train_on(recipe: &Recipe, text: &str, options: &FitOptions) -> (Dataset, Trained) {
    let data = Dataset::read(text.as_bytes(), recipe).unwrap();
    let rows: Vec<usize> = (0..data.samples.len()).collect();
    let trained = fit(recipe, &data, &rows, options, &|_| ControlFlow::Continue(())).unwrap();
    (data, trained)
}

fn ask(bundle: &Bundle, sample: &Sample) -> Vec<f64> {
    let manifest = bundle.manifest();
    bundle.predict(&[&featurize(sample, &manifest.schema, &manifest.features)]).unwrap().remove(0).values
}

#[test]
fn each_target_learns_from_the_rows_that_have_it() {
    let recipe = Recipe::parse(&two_targets()).unwrap();
    let text = doubled(80, |row| row % 3 == 0);
    let (data, trained) = train_on(&recipe, &text, &options(7));
    let bundle = load(&trained);
    // A network for both, and of the others one for each.
    let outputs = |kind: &str| -> Vec<Vec<usize>> {
        let members = bundle.manifest().members.iter().filter(|member| member.model.name() == kind);
        members.map(|member| member.outputs.clone()).collect()
    };
    assert_eq!(outputs("network"), [[0, 1], [0, 1]]);
    assert_eq!(outputs("kernel"), [[0], [1]]);
    assert_eq!(outputs("forest"), [[0], [1]]);
    let keys =
        |member: &MemberKind| if let MemberKind::Gp(kernel) = member { Some(kernel.inducing_points) } else { None };
    let keys: Vec<usize> = bundle.manifest().members.iter().filter_map(|member| keys(&member.model)).collect();
    assert_eq!(keys, [20, 20]);
    assert_eq!(bundle.manifest().calibration.as_ref().unwrap().half_widths.len(), 2);
    let off = data.samples.iter().zip(&data.labels).map(|(sample, outcome)| {
        let wanted = 2.0 * outcome.value(0).unwrap();
        (ask(&bundle, sample)[1] / wanted - 1.0).abs()
    });
    let mean = off.sum::<f64>() / data.samples.len() as f64;
    // It was measured on 27 of 80 rows.
    assert!(mean < 0.08, "{mean}");
}

#[test]
fn targets_that_are_all_there_are_learned_together() {
    let recipe = Recipe::parse(&two_targets()).unwrap();
    let (_, trained) = train_on(&recipe, &doubled(40, |_| true), &options(7));
    let outputs: Vec<usize> = trained.manifest.members.iter().map(|member| member.outputs.len()).collect();
    assert_eq!(outputs, [2, 2, 2, 2]);
    assert_eq!(recipe.steps(1, 0), 2 * 150 + 60 + 1 + 5 * (150 + 60 + 1));
}

#[test]
fn what_was_not_measured_is_not_scored() {
    let recipe = Recipe::parse(&two_targets().replace("steps = 150", "steps = 40")).unwrap();
    let data = Dataset::read(doubled(60, |row| row % 2 == 0).as_bytes(), &recipe).unwrap();
    let observe = |_| ControlFlow::Continue(());
    let validation =
        cross_validate(&recipe, &data, Protocol::Grouped, 3, &options(7), &observe, &|| false).unwrap().unwrap();
    for contender in [&validation.candidate, &validation.ridge, &validation.random_forest] {
        for scores in &contender.scores {
            assert!(scores["doubled"]["r2"] > 0.0 && scores["all"]["r2"].is_finite(), "{scores:?}");
        }
    }
    // The rows are made by a line.
    assert!(validation.ridge.scores.iter().all(|scores| scores["doubled"]["r2"] > 0.95));
    let splits = draw_splits(&data.groups, Protocol::Grouped, 1, 7).unwrap();
    let report = evaluate(&recipe, &data, &splits, &options(7), &observe).unwrap().remove(0);
    assert!(report.scores["doubled"].contains_key("coverage_90"));
    assert!(report.actual.iter().any(|row| row[1].is_none()) && report.actual.iter().all(|row| row[0].is_some()));
}

#[test]
fn a_target_of_one_group_trains() {
    // Grouped folds would leave a fold without it.
    let text = two_targets().replace("group = \"heat\"", "group = \"melt\"") + "\n[calibration]\nfolds = 2\n";
    let recipe = Recipe::parse(&text).unwrap();
    let text = doubled(60, |_| true);
    let blank = |line: &str| match line.contains(",electric,") {
        true => line.rsplit_once(',').unwrap().0.to_owned() + ",\n",
        false => format!("{line}\n"),
    };
    let text: String = text.lines().map(blank).collect();
    let (_, trained) = train_on(&recipe, &text, &options(7));
    assert_eq!(load(&trained).manifest().calibration.as_ref().unwrap().protocol, "random");
}

#[test]
fn a_blank_amount_is_estimated_from_the_rows_that_are_learned_from() {
    // Chromium follows carbon, and is blank in every fifth row.
    let follows = |(index, line): (usize, &str)| {
        let mut cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        if let Ok(carbon) = cells[1].parse::<f64>() {
            cells[2] = if index % 5 == 0 { String::new() } else { format!("{:.3}", 2.0 * carbon) };
        }
        cells.join(",") + "\n"
    };
    let text: String = table(60).lines().enumerate().map(follows).collect();
    let recipe = Recipe::parse(&RECIPE.replace("steps = 250", "steps = 40")).unwrap();
    let (data, trained) = train_on(&recipe, &text, &options(7));
    assert!(data.summary.notes.iter().any(|note| note.contains("Cr: 12 of 60 cells are empty, not measured")));
    let bundle = load(&trained);
    let schema = &bundle.manifest().schema;
    assert_eq!(schema.composition.residuals, [Element::C, Element::Cr]);
    for row in (4..60).step_by(5) {
        assert_eq!((data.samples[row].unmeasured(), data.samples[row].draws().len()), (&[Element::Cr][..], 0));
        let estimated = data.samples[row].with_defaults(schema);
        let [carbon, chromium] = [Element::C, Element::Cr].map(|element| estimated.composition().amount(element));
        assert!((chromium / (2.0 * carbon)).ln().abs() < 0.15, "{carbon} {chromium}");
        assert!((estimated.composition().total() - 100.0).abs() < 1e-9 && estimated.draws().len() == 2);
        let features = featurize(&estimated, schema, &bundle.manifest().features);
        let predicted = bundle.predict(&[&features]).unwrap().remove(0);
        assert!(predicted.input_spread[0] > 0.0);
        // Estimates are those of the fold, not of the whole.
        let fold: Vec<usize> = (0..30).collect();
        let other = data.schema(&recipe, &fold);
        assert_ne!(other.composition.amounts, schema.composition.amounts);
    }
    // What was measured is not touched, and costs no draws.
    assert!(data.samples[0].with_defaults(schema).draws().is_empty());
}

#[test]
fn a_blank_process_cell_counts_as_when_predicting() {
    let text = RECIPE.replace("unit = \"°C\"", "unit = \"°C\"\ndefault = \"median\"");
    let recipe = Recipe::parse(&text).unwrap();
    let blank = |(index, line): (usize, &str)| {
        let mut cells: Vec<&str> = line.split(',').collect();
        if index > 0 && index % 4 == 0 {
            cells[3] = "";
        }
        cells.join(",") + "\n"
    };
    let rows: String = table(40).lines().enumerate().map(blank).collect();
    let data = Dataset::read(rows.as_bytes(), &recipe).unwrap();
    assert_eq!(data.samples.iter().filter(|sample| !sample.assumed().is_empty()).count(), 10);
    // The median of the rows that train, whichever they are.
    for rows in [0..40, 0..20] {
        let rows: Vec<usize> = rows.collect();
        let mut given: Vec<f64> = rows
            .iter()
            .filter(|row| data.samples[**row].assumed().is_empty())
            .map(|row| match data.samples[*row].processing()[0] {
                ProcessValue::Number(number) => number,
                ProcessValue::Level(_) => panic!(),
            })
            .collect();
        given.sort_by(f64::total_cmp);
        let schema = data.schema(&recipe, &rows);
        let ParameterKind::Numeric { min, max, default, .. } = schema.processing[0].kind else { panic!() };
        let middle = given.len() / 2;
        let median = if given.len() % 2 == 1 { given[middle] } else { (given[middle - 1] + given[middle]) / 2.0 };
        assert_eq!((min, max, default), (given[0], given[given.len() - 1], Some(median)));
        let moved = data.samples[3].with_defaults(&schema);
        assert_eq!(moved.processing()[0], ProcessValue::Number(median));
    }
    let rows: Vec<usize> = (0..40).collect();
    let trained = fit(&recipe, &data, &rows, &options(7), &|_| ControlFlow::Continue(())).unwrap();
    // What the row is to the data it is to the model.
    let bundle = load(&trained);
    let parsed = data.samples[3].with_defaults(&bundle.manifest().schema);
    assert!(ask(&bundle, &parsed)[0].is_finite());
}

#[test]
fn a_life_over_decades_is_learned_in_logarithms() {
    let at = RECIPE.find("[[targets]]").unwrap();
    let end = RECIPE.find("[features]").unwrap();
    let target = "[[targets]]\nname = \"life\"\nunit = \"h\"\nscale = \"log\"\n\n";
    let committee = "\n[[committee]]\nkind = \"kernel\"\nkeys = 24\nsteps = 80\nlearning_rate = 0.05\n";
    let recipe = Recipe::parse(&format!("{}{target}{}{committee}", &RECIPE[..at], &RECIPE[end..])).unwrap();
    // From a tenth of an hour to ten years.
    let life = |(index, line): (usize, &str)| match (index, line.split(',').nth(5)) {
        (0, _) => format!("{line},life\n"),
        (_, Some(hardness)) => format!("{line},{:.4}\n", 10f64.powf((hardness.parse::<f64>().unwrap() - 160.0) / 40.0)),
        (_, None) => panic!(),
    };
    let text: String = table(120).lines().enumerate().map(life).collect();
    let (data, trained) = train_on(&recipe, &text, &options(7));
    let bundle = load(&trained);
    let mut errors = Vec::new();
    let wide = TrustOptions { confidence: Confidence::new(0.99).unwrap(), ..TrustOptions::default() };
    for (sample, outcome) in data.samples.iter().zip(&data.labels) {
        let features = featurize(sample, &bundle.manifest().schema, &bundle.manifest().features);
        let predicted = bundle.predict(&[&features]).unwrap().remove(0);
        let trust = bundle.manifest().trust(sample, &predicted, &wide);
        let (value, [low, high]) = (predicted.values[0], trust.intervals[0].unwrap());
        assert!(0.0 < low && low <= value && value <= high && high.is_finite(), "{low} {value} {high}");
        errors.push((value / outcome.value(0).unwrap()).ln().abs());
    }
    errors.sort_by(f64::total_cmp);
    assert!(errors[60] < 0.5, "half of the answers are off by a factor of {}", errors[60].exp());
    assert!(model_card(bundle.manifest()).contains("`life` in h, learned in natural logarithms"));
    // Scores are those of logarithms.
    let splits = draw_splits(&data.groups, Protocol::Grouped, 1, 7).unwrap();
    let report = evaluate(&recipe, &data, &splits, &options(7), &|_| ControlFlow::Continue(())).unwrap().remove(0);
    assert!(report.scores["life"]["r2"] > 0.8 && report.scores["life"]["mae"] < 2.0, "{:?}", report.scores);
    assert!(report.lower.iter().flatten().all(|end| end.unwrap() > 0.0));
    assert!(matches!(data.labels[0], Label::Values(_)));
}
