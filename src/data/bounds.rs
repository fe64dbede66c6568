//! Upper and lower bounds for the numbers of a recipe. Sizes that no lab needs and no machine can handle are refused
//! before training, with the field, its value and the limit.
//!
//! A recipe can come from anyone with a training key, and a tree larger than the memory would end a process. NaN is
//! neither too small nor too large, so each check tests whether a number is *within* its bounds.

use std::ops::RangeInclusive;

use crate::data::learners::{BoostingRecipe, ForestRecipe, GpRecipe, MemberRecipe, TeacherRecipe, Training};
use crate::featurize::PIXELS;
use crate::model::Architecture;

/// Largest number of layers of one kind in a network.
const MOST_LAYERS: usize = 16;
/// Largest number of outputs, parameters, columns to fill down, or families.
pub(in crate::data) const MOST_THINGS: usize = 256;

/// Keeps the first number that is out of bounds, and the bounds of every field for the page of all fields.
#[derive(Default)]
pub(in crate::data) struct Bounds {
    broken: Option<String>,
    /// Field and bound, in words.
    stated: Vec<(String, String)>,
}

impl Bounds {
    pub(in crate::data) fn number(&mut self, field: &str, value: f64, allowed: RangeInclusive<f64>) {
        self.stated.push((field.to_owned(), format!("{} to {}", allowed.start(), allowed.end())));
        if self.broken.is_none() && !allowed.contains(&value) {
            let (least, most) = (allowed.start(), allowed.end());
            self.broken = Some(format!("{field}: {value:?} is not within {least:?} to {most:?}"));
        }
    }

    pub(in crate::data) fn size(&mut self, field: &str, value: usize, most: usize) {
        self.stated.push((field.to_owned(), format!("at most {most}")));
        if self.broken.is_none() && value > most {
            self.broken = Some(format!("{field}: {value} is more than the limit, {most}"));
        }
    }

    pub(in crate::data) fn training(&mut self, at: &str, training: &Training) {
        let Training { members, steps, batch, learning_rate, warmup, weight_decay, clip_norm, .. } = training;
        self.size(&format!("{at}.members"), *members, 64);
        self.size(&format!("{at}.steps"), *steps, 1_000_000);
        self.size(&format!("{at}.batch"), batch.unwrap_or(0), 100_000);
        self.size(&format!("{at}.warmup"), *warmup, 1_000_000);
        self.size(&format!("{at}.cohort"), training.cohort, 4096);
        self.size(&format!("{at}.references"), training.references.unwrap_or(0), 100_000);
        self.size(&format!("{at}.context"), training.context.unwrap_or(0), 100_000);
        self.number(&format!("{at}.learning_rate"), *learning_rate, 0.0..=1e30);
        self.number(&format!("{at}.weight_decay"), *weight_decay, 0.0..=1e30);
        self.number(&format!("{at}.clip_norm"), *clip_norm, 0.0..=1e30);
    }

    pub(in crate::data) fn network(&mut self, at: &str, network: &Architecture) {
        let Architecture { heads, image, bins, stem, row, head, dropout, .. } = network;
        self.size(&format!("{at}.heads"), *heads, 64);
        self.size(&format!("{at}.bins"), bins.unwrap_or(0), 256);
        self.size(&format!("{at}.stem"), stem.unwrap_or(0), 4096);
        for (name, widths) in [("row", row), ("head", head)] {
            self.size(&format!("{at}.{name}, its layers"), widths.len(), MOST_LAYERS);
            widths.iter().for_each(|width| self.size(&format!("{at}.{name}"), *width, 4096));
        }
        if let Some(image) = image {
            image.channels.iter().for_each(|channels| self.size(&format!("{at}.image.channels"), *channels, 256));
            self.size(&format!("{at}.image.width"), image.width, 4096);
            self.size(&format!("{at}.image.components"), image.components.unwrap_or(0), PIXELS);
        }
        self.number(&format!("{at}.dropout"), *dropout, 0.0..=1.0);
    }

    pub(in crate::data) fn committee(&mut self, at: &str, committee: &[MemberRecipe]) {
        self.size(at, committee.len(), MOST_THINGS);
        for member in committee {
            let share = member.share();
            self.number(&format!("{at}.share.near"), share.near, 0.0..=1e6);
            self.number(&format!("{at}.share.far"), share.far, 0.0..=1e6);
            match member {
                MemberRecipe::Network(own) => {
                    self.network(&format!("{at}.network"), &own.network);
                    self.training(&format!("{at}.training"), &own.training);
                }
                MemberRecipe::Gp(GpRecipe { keys, steps, learning_rate, components, .. }) => {
                    self.size(&format!("{at}.keys"), *keys, 4096);
                    self.size(&format!("{at}.steps"), *steps, 100_000);
                    self.size(&format!("{at}.components"), *components, PIXELS);
                    self.number(&format!("{at}.learning_rate"), *learning_rate, 0.0..=10.0);
                }
                MemberRecipe::Forest(ForestRecipe { trees, .. }) => self.size(&format!("{at}.trees"), *trees, 2000),
                MemberRecipe::Boosting(BoostingRecipe { rounds, min_weight, penalty, .. }) => {
                    self.size(&format!("{at}.rounds"), *rounds, 5000);
                    self.number(&format!("{at}.min_weight"), *min_weight, 0.0..=1e9);
                    self.number(&format!("{at}.penalty"), *penalty, 0.0..=1e9);
                }
            }
        }
    }

    pub(in crate::data) fn teacher(
        &mut self,
        TeacherRecipe { samples, batch, weight, by_element, committee }: &TeacherRecipe,
    ) {
        self.size("teacher.samples", *samples, 1_000_000);
        self.size("teacher.batch", *batch, 100_000);
        self.number("teacher.weight", *weight, 0.0..=1.0);
        self.number("teacher.by_element", *by_element, 0.0..=1.0);
        self.committee("teacher.committee", committee);
    }

    /// The bounds of all fields that were checked, in words.
    pub(in crate::data) fn stated(self) -> Vec<(String, String)> {
        self.stated
    }

    /// The message about the first number that is out of bounds.
    pub(in crate::data) fn broken(self) -> Option<String> {
        self.broken
    }
}

#[cfg(test)]
mod tests {
    use crate::data::fixture::RECIPE;
    use crate::data::recipe::Recipe;

    #[test]
    fn each_number_has_a_limit_and_the_message_names_both() {
        let kernel = |change: &str| {
            format!("committee = [{{ kind = \"kernel\", keys = 4, steps = 9, learning_rate = 0.1, {change} }}]")
        };
        let cases = [
            ("members = 1,", "members = 100000000000,", "training.members: 100000000000 is more than the limit, 64"),
            ("clip_norm = 1.0", "clip_norm = nan", "clip_norm"),
            ("learning_rate = 1e-3", "learning_rate = inf", "training.learning_rate: inf is not within 0.0 to 1e30"),
            ("", "scaling = { row = { standard = { clip = nan } } }", "scaling.row.standard.clip: NaN"),
            ("", "scaling = { row = { standard = { clip = -1.0 } } }", "scaling.row.standard.clip: -1.0"),
            ("", &kernel("components = 4611686018427387904"), "committee.components"),
            (
                "",
                "committee = [{ kind = \"forest\", trees = 4611686018427387904, min_leaf = 1 }]",
                "committee.trees: 4611686018427387904 is more than the limit, 2000",
            ),
            (
                "network = { preset = \"MCVN-paper\", attention = \"self\" }",
                &format!(
                    "network = {{ attention = \"none\", heads = 1, norm = \"pre\", activation = \"silu\", row = [{}], head = [], \
                     image = {{ channels = [1], activation = \"silu\", width = 2 }} }}",
                    "4,".repeat(10_000)
                ),
                "network.row, its layers: 10000 is more than the limit, 16",
            ),
        ];
        for (old, new, wanted) in cases {
            let text = if old.is_empty() { format!("{RECIPE}\n{new}\n") } else { RECIPE.replace(old, new) };
            let error = Recipe::parse(&text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
