//! The learners of a recipe that names none. `mcvn recipe new` writes them into its drafts, and a recipe that leaves
//! its sections out takes them from here, so both train the same model.
//!
//! A small network, a sparse Gaussian process and a forest did well on tables with some hundred rows.

use serde::Serialize;
use serde_json::Value;

use crate::data::learners::{ForestRecipe, GpRecipe, MemberRecipe, Splits, Training};
use crate::model::{Activation, Architecture, AttentionMode, Norm, Share};

/// Label smoothing of a classification whose recipe has no `[training]`.
const LABEL_SMOOTHING: f64 = 0.05;

/// The network of a recipe without `[network]`.
pub(in crate::data) fn network() -> Architecture {
    Architecture {
        attention: AttentionMode::None,
        heads: 1,
        norm: Norm::Pre,
        activation: Activation::Silu,
        image: None,
        image_only: false,
        bins: None,
        stem: Some(32),
        row: vec![24],
        batch_norm: false,
        head: vec![24],
        dropout: 0.1,
    }
}

/// The training of a recipe without `[training]`.
pub(in crate::data) fn training(classification: bool) -> Training {
    let smoothing = if classification { LABEL_SMOOTHING } else { 0.0 };
    Training { label_smoothing: smoothing, ..Training::default() }
}

/// The other families of a recipe that has neither `[network]` nor `[[committee]]`.
pub(in crate::data) fn committee() -> Vec<MemberRecipe> {
    let kernel =
        GpRecipe { share: Share { near: 3.0, far: 4.0 }, keys: 192, steps: 150, learning_rate: 0.05, components: 0 };
    let forest = ForestRecipe {
        share: Share { near: 1.0, far: 3.0 },
        splits: Splits::Random,
        trees: 40,
        min_leaf: 2,
        tried: None,
        image: false,
    };
    vec![MemberRecipe::Gp(kernel), MemberRecipe::Forest(forest)]
}

/// The sections of these learners as TOML.
pub(in crate::data) fn text(classification: bool) -> String {
    let sections = [section("[network]", &network()), section("[training]", &training(classification))];
    let others = committee();
    sections.into_iter().chain(others.iter().map(|member| section("[[committee]]", member))).collect()
}

/// A section with one field a line, in the order of the type. Fields without a value are left out.
fn section(heading: &str, own: &impl Serialize) -> String {
    let own = serde_json::to_value(own).unwrap_or_default();
    let fields = own.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let fields: String = fields.map(|(name, value)| format!("{name} = {}\n", inline(value))).collect();
    format!("\n{heading}\n{fields}")
}

/// A value as TOML writes it on one line.
pub(in crate::data) fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            let fields: Vec<String> = fields.map(|(name, value)| format!("{name} = {}", inline(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::String(text) => toml::Value::from(text.as_str()).to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::RECIPE;
    use crate::data::recipe::{NetworkRecipe, Recipe};

    /// The fixture's recipe without features and learners.
    fn bare() -> String {
        RECIPE[..RECIPE.find("features").unwrap()].to_owned()
    }

    fn of_classes(recipe: &str) -> String {
        let start = recipe.find("targets").unwrap();
        format!("{}class = {{ column = \"strength\", levels = [\"7\", \"8\"] }}\n", &recipe[..start])
    }

    #[test]
    fn a_recipe_without_learners_takes_those_of_its_kind() {
        let regression = Recipe::parse(&bare()).unwrap();
        assert_eq!(regression.network, NetworkRecipe::Written(network()));
        assert_eq!((regression.training, regression.committee), (training(false), committee()));
        let classes = Recipe::parse(&of_classes(&bare())).unwrap();
        assert_eq!((classes.training.label_smoothing, classes.training.members), (LABEL_SMOOTHING, 2));
    }

    #[test]
    fn a_section_in_part_takes_the_rest_and_what_is_written_stays() {
        let parse = |more: &str| Recipe::parse(&format!("{}{more}\n", bare())).unwrap();
        let part = parse("training = { steps = 7 }");
        assert_eq!(part.training, Training { steps: 7, batch: None, ..Training::default() });
        assert_eq!(part.committee, committee());
        // A recipe that names its network names its committee, too.
        let own = parse(
            "network = { preset = \"MCVN-paper\", attention = \"self\" }\nfeatures = { image = { basis = \"atomic_percent\", balance = true } }",
        );
        assert_eq!((own.committee, own.training), (Vec::new(), training(false)));
        assert_eq!(parse("committee = []").committee, Vec::new());
        let wrong = Recipe::parse(&format!("{}training = {{ steps = 0 }}\n", bare())).unwrap_err().to_string();
        assert!(wrong.contains("steps must be at least 1"), "{wrong}");
    }
}
