//! The warnings of a report, as text with numbers. Each is a rule of thumb for the person who decides.

use std::collections::BTreeMap;

use crate::data::{Dataset, HARDLY_ANY_GROUPS, Label, Protocol, ProtocolReport, Recipe};
use crate::model::Spread;

/// With fewer rows than this, scores are rough guesses.
const FEW_ROWS: usize = 50;
/// With fewer groups than this, grouped scores are rough guesses.
const FEW_GROUPS: usize = 20;
/// Warn if the score on random folds exceeds that on grouped folds by this much: the model then profits from rows of
/// the same groups.
const FLATTERY: f64 = 0.1;
/// Least difference to report a better baseline. A smaller one would not show in the three digits of the warning.
const NOTICEABLE: f64 = 0.001;

/// Warnings about the data.
pub(in crate::train) fn data_warnings(recipe: &Recipe, data: &Dataset, folds: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    let rows = data.samples.len();
    if rows < FEW_ROWS {
        warnings.push(format!("only {rows} rows: every score is a rough guess"));
    }
    let groups = data.count_groups(&(0..rows).collect::<Vec<_>>());
    if groups < folds {
        warnings.push(format!(
            "only {groups} groups ({}), fewer than the {folds} folds: no grouped scores, and those on random folds may \
             flatter",
            recipe.group
        ));
    } else if (HARDLY_ANY_GROUPS..FEW_GROUPS).contains(&groups) {
        warnings.push(format!("only {groups} groups ({}): the grouped scores are a rough guide", recipe.group));
    }
    for (index, target) in recipe.targets.iter().enumerate() {
        let mut values = data.labels.iter().filter_map(|label| label.value(index));
        if let Some(first) = values.next().filter(|first| values.all(|value| value == *first)) {
            warnings.push(format!("{} is {first} in every row: there is nothing to learn", target.name));
        }
    }
    for (index, class) in recipe.class.iter().flat_map(|class| class.levels.iter().enumerate()) {
        let count = data.labels.iter().filter(|label| **label == Label::Class(index)).count();
        if count < folds {
            warnings
                .push(format!("only {count} rows are {class}, fewer than the {folds} folds: its scores mean little"));
        }
    }
    warnings
}

/// Warnings about the scores: better baselines, and too optimistic random folds.
pub(in crate::train) fn score_warnings(recipe: &Recipe, protocols: &[ProtocolReport]) -> Vec<String> {
    let mut warnings = Vec::new();
    let find = |protocol| protocols.iter().find(|report| report.protocol == protocol);
    let Some(judged) = find(Protocol::Grouped).or(find(Protocol::Random)) else { return warnings };
    let part = recipe.output_metric();
    for (name, rival) in [("ridge regression", &judged.ridge), ("a random forest", &judged.random_forest)] {
        for output in recipe.output_names() {
            let figures = (mean(&judged.candidate, &output, part), mean(rival, &output, part));
            if let (Some(own), Some(other)) = figures
                && other - own >= NOTICEABLE
            {
                let protocol = judged.protocol.name();
                warnings
                    .push(format!("worse than {name} on {output} ({protocol}): {part} {own:.3} against {other:.3}"));
            }
        }
    }
    let whole = |protocol| find(protocol).and_then(|report| mean(&report.candidate, "all", recipe.metric()));
    if let (Some(random), Some(grouped)) = (whole(Protocol::Random), whole(Protocol::Grouped))
        && random - grouped > FLATTERY
    {
        let metric = recipe.metric();
        warnings.push(format!(
            "the random split flatters: {metric} {random:.3} there, {grouped:.3} on groups ({}) never seen",
            recipe.group
        ));
    }
    warnings
}

fn mean(scores: &BTreeMap<String, BTreeMap<String, Spread>>, name: &str, metric: &str) -> Option<f64> {
    scores.get(name)?.get(metric).map(|spread| spread.mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::{HEADER, RECIPE, lab, rows};
    use crate::train::fixture::validation;
    use crate::train::metrics::summarise;

    fn report(recipe: &Recipe, data: &Dataset, protocol: Protocol, error: f64) -> ProtocolReport {
        let validation = validation(recipe, data, protocol, |row| if row % 2 == 0 { error } else { -error });
        ProtocolReport {
            protocol,
            candidate: summarise(&validation.candidate.scores),
            ridge: summarise(&validation.ridge.scores),
            random_forest: summarise(&validation.random_forest.scores),
            active: None,
        }
    }

    #[test]
    fn small_or_constant_data_is_named() {
        let (recipe, data) = lab(&rows(100, 2));
        assert_eq!(data_warnings(&recipe, &data, 3), Vec::<String>::new());
        let (recipe, data) = lab(&rows(40, 4));
        let warnings = data_warnings(&recipe, &data, 3);
        assert_eq!(warnings[0], "only 40 rows: every score is a rough guess");
        assert_eq!(warnings[1], "only 10 groups (heat): the grouped scores are a rough guide");
        let constant: String = (0..60).map(|row| format!("h{},0.{row:02}1,{row},a,200,{row}\n", row / 30)).collect();
        let (recipe, data) = lab(&constant);
        let warnings = data_warnings(&recipe, &data, 3);
        assert!(warnings[0].starts_with("only 2 groups (heat), fewer than the 3 folds: no grouped scores"));
        assert_eq!(warnings[1], "hardness is 200 in every row: there is nothing to learn");
    }

    #[test]
    fn rare_classes_are_named() {
        let start = RECIPE.find("targets").unwrap();
        let end = RECIPE.find("features").unwrap();
        let class = "class = { column = \"strength\", levels = [\"7\", \"8\"] }\n";
        let recipe = Recipe::parse(&format!("{}{class}{}", &RECIPE[..start], &RECIPE[end..])).unwrap();
        let class = |row: usize| if row < 2 { 8 } else { 7 };
        let rows: String = (0..60).map(|row| format!("h{row},0.2,{row},a,1,{}\n", class(row))).collect();
        let data = Dataset::read(format!("{HEADER}\n{rows}").as_bytes(), &recipe).unwrap();
        assert_eq!(
            data_warnings(&recipe, &data, 3),
            ["only 2 rows are 8, fewer than the 3 folds: its scores mean little"]
        );
    }

    #[test]
    fn better_baselines_and_flattery_are_named() {
        let (recipe, data) = lab(&rows(100, 2));
        let (random, grouped) =
            (report(&recipe, &data, Protocol::Random, 1.0), report(&recipe, &data, Protocol::Grouped, 1.0));
        assert_eq!(score_warnings(&recipe, &[random.clone(), grouped.clone()]), Vec::<String>::new());
        let beaten = ProtocolReport { ridge: grouped.candidate.clone(), candidate: grouped.ridge.clone(), ..grouped };
        let warnings = score_warnings(&recipe, &[random.clone(), beaten]);
        assert!(warnings[0].starts_with("worse than ridge regression on hardness (grouped): r2 0.9"), "{warnings:?}");
        let poor = report(&recipe, &data, Protocol::Grouped, 9.0);
        let warnings = score_warnings(&recipe, &[random, poor]);
        assert!(warnings.last().unwrap().starts_with("the random split flatters: r2 0.9"), "{warnings:?}");
    }
}
