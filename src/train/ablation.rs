//! Ablations: the recipe's network with a part taken out or exchanged (the paper's Tables 7 and 8).
//!
//! Its own because these are recipes like any other, made from one, and only for measuring.

use super::recipe::{NetworkRecipe, Preset, PresetName, Recipe};
use crate::domain::Basis;
use crate::featurize::ImageSpec;
use crate::model::{Activation, Architecture, AttentionMode, ImageChannel};

/// A named variant of a recipe.
#[derive(Clone, Debug)]
pub struct Variant {
    /// What a table calls it.
    pub name: &'static str,
    /// The recipe: one network, no committee, no calibration.
    pub recipe: Recipe,
}

/// Steps of the paper's small networks, which have a net for each target.
const PAPER_STEPS: usize = 1000;
/// Principal components in place of the convolutions.
const COMPONENTS: usize = 16;

/// The network alone, and what each of its parts is worth. A recipe whose network lacks an image or attention gets
/// them here, in small sizes, so that every model has the same table.
pub fn variants(recipe: &Recipe) -> Vec<Variant> {
    let mut base = recipe.clone();
    base.committee.clear();
    base.calibration.folds = 0;
    base.training.members = 1;
    base.training.cohort = base.training.cohort.max(16);
    base.features.image.get_or_insert(ImageSpec { basis: Basis::AtomicPercent, balance: true });
    let mut shape = base.network.architecture();
    if shape.attention == AttentionMode::None {
        shape.heads = 2;
    }
    shape.attention = AttentionMode::Reference;
    shape.image.get_or_insert(ImageChannel {
        channels: vec![4],
        activation: Activation::Silu,
        width: 16,
        components: None,
    });
    if shape.stem.is_none() {
        // Attention over the encoded features themselves would be wider than all the rest.
        shape.stem = Some(64);
    }
    // The widths must suit the heads.
    let written = |change: &dyn Fn(&mut Architecture)| {
        let mut shape = shape.clone();
        change(&mut shape);
        let image = shape.image.is_some();
        let mut recipe = Recipe { network: NetworkRecipe::Written(shape), ..base.clone() };
        recipe.features.image = recipe.features.image.filter(|_| image);
        recipe
    };
    let paper = |attention| {
        let preset = Preset { preset: PresetName::McvnPaper, attention };
        let mut recipe = Recipe { network: NetworkRecipe::Preset(preset), ..base.clone() };
        recipe.training.one_net_per_target = recipe.class.is_none();
        recipe.training.steps = PAPER_STEPS;
        recipe.training.learning_rate = 1e-2;
        recipe.training.weight_decay = 0.0;
        recipe
    };
    let components = |shape: &mut Architecture| {
        if let Some(image) = &mut shape.image {
            (image.channels, image.components) = (Vec::new(), Some(COMPONENTS));
        }
    };
    [
        ("network: image and original, reference attention", written(&|_| ())),
        ("original only", written(&|shape| shape.image = None)),
        ("image only", written(&|shape| shape.image_only = true)),
        ("without attention", written(&|shape| shape.attention = AttentionMode::None)),
        ("attention `self`", written(&|shape| shape.attention = AttentionMode::Itself)),
        ("attention `cohort`", written(&|shape| shape.attention = AttentionMode::Cohort)),
        ("with batch normalisation", written(&|shape| shape.batch_norm = true)),
        ("principal components in place of the CNN", written(&components)),
        ("MCVN-paper, attention `self`", paper(AttentionMode::Itself)),
        ("MCVN-paper, attention `cohort`", paper(AttentionMode::Cohort)),
        ("MCVN-paper, attention `reference`", paper(AttentionMode::Reference)),
    ]
    .into_iter()
    .map(|(name, recipe)| Variant { name, recipe })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::fixture::{lab, rows};

    #[test]
    fn every_variant_is_a_recipe() {
        let (recipe, _) = lab(&rows(20, 2));
        for variant in variants(&recipe) {
            let text = toml::to_string(&variant.recipe).unwrap();
            assert_eq!(Recipe::parse(&text).unwrap(), variant.recipe, "{}", variant.name);
        }
    }
}
