//! Ablations: variants of a recipe's network with a part removed or replaced (the paper's Tables 7 and 8).

use crate::data::{NetworkRecipe, Preset, PresetName, Recipe};
use crate::domain::Basis;
use crate::featurize::ImageSpec;
use crate::model::{Activation, Architecture, AttentionMode, ImageChannel};

/// A variant of a recipe, with a name.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Name in tables.
    pub name: &'static str,
    /// The recipe: one network, no other family, no calibration.
    pub recipe: Recipe,
}

/// Number of steps for the paper's small networks, which have one net per target.
const PAPER_STEPS: usize = 1000;
/// Number of principal components that replace the convolutions.
const COMPONENTS: usize = 16;
/// Channels of the paper's convolutions.
const PAPER_CHANNELS: [usize; 4] = [3, 8, 4, 1];

/// The network alone, and variants without each of its parts. If the recipe's network has no image or attention, they
/// are added in small sizes, so that all models have the same table. A teacher is only included if the recipe has one.
pub fn variants(recipe: &Recipe) -> Vec<Variant> {
    let mut base = recipe.clone();
    base.committee.clear();
    base.calibration.folds = 0;
    base.training.members = 1;
    base.training.cohort = base.training.cohort.max(16);
    base.training.references = base.training.references.filter(|count| *count > 0);
    base.features.image.get_or_insert(ImageSpec { basis: Basis::AtomicPercent, balance: true });
    let mut shape = base.network.architecture();
    if shape.attention == AttentionMode::None {
        shape.heads = 2;
    }
    shape.attention = AttentionMode::Residual;
    shape.image.get_or_insert(ImageChannel {
        channels: vec![4],
        activation: Activation::Silu,
        width: 16,
        components: None,
    });
    let written = |change: &dyn Fn(&mut Architecture)| {
        let mut shape = shape.clone();
        change(&mut shape);
        let image = shape.image.is_some();
        let mut recipe = Recipe { network: NetworkRecipe::Written(shape), ..base.clone() };
        recipe.features.image = recipe.features.image.filter(|_| image);
        recipe
    };
    let untaught = |change: &dyn Fn(&mut Architecture)| Recipe { teacher: None, ..written(change) };
    let paper = |attention| {
        let preset = Preset { preset: PresetName::McvnPaper, attention };
        let mut recipe = Recipe { network: NetworkRecipe::Preset(preset), teacher: None, ..base.clone() };
        recipe.training.one_net_per_target = recipe.class.is_none();
        recipe.training.steps = PAPER_STEPS;
        recipe.training.learning_rate = 1e-2;
        recipe.training.weight_decay = 0.0;
        recipe
    };
    let channel =
        |change: fn(&mut ImageChannel)| move |shape: &mut Architecture| shape.image.iter_mut().for_each(change);
    let components = channel(|image| (image.channels, image.components) = (Vec::new(), Some(COMPONENTS)));
    let four = channel(|image| (image.channels, image.components) = (PAPER_CHANNELS.to_vec(), None));
    let of_codes = |attention| {
        move |shape: &mut Architecture| {
            shape.attention = attention;
            // Attention over the encoded features themselves would be wider than all other layers. The heads must
            // divide the width.
            (shape.heads, shape.stem) = (2, shape.stem.or(Some(64)));
        }
    };
    let none = |shape: &mut Architecture| shape.attention = AttentionMode::None;
    let mut all = vec![
        ("network: image and original, residual attention", written(&|_| ())),
        ("original only", written(&|shape| shape.image = None)),
        ("image only", written(&|shape| shape.image_only = true)),
        ("without attention", written(&none)),
        ("attention `reference`", written(&of_codes(AttentionMode::Reference))),
        ("attention `self`", written(&of_codes(AttentionMode::Itself))),
        ("attention `cohort`", written(&of_codes(AttentionMode::Batch))),
        ("with batch normalisation", written(&|shape| shape.batch_norm = true)),
        ("the paper's four convolutions", written(&four)),
        ("principal components in place of the CNN", written(&components)),
    ];
    if base.teacher.is_some() {
        all.push(("without a teacher", untaught(&|_| ())));
        all.push(("without a teacher and attention", untaught(&none)));
    }
    all.extend([
        ("MCVN-paper, attention `self`", paper(AttentionMode::Itself)),
        ("MCVN-paper, attention `cohort`", paper(AttentionMode::Batch)),
        ("MCVN-paper, attention `reference`", paper(AttentionMode::Reference)),
    ]);
    all.into_iter().map(|(name, recipe)| Variant { name, recipe }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::fixture::{lab, rows};

    #[test]
    fn every_variant_is_a_recipe() {
        let (recipe, _) = lab(&rows(20, 2));
        for variant in variants(&recipe) {
            let text = toml::to_string(&variant.recipe).unwrap();
            assert_eq!(Recipe::parse(&text).unwrap(), variant.recipe, "{}", variant.name);
        }
    }
}
