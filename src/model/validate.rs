//! Checks of a manifest on which later code relies.

use crate::domain::{Outputs, Parameter, ParameterKind};
use crate::featurize::{PIXELS, featurizer_version, row_width};
use crate::model::error::BundleError;
use crate::model::spec::calibration::Calibration;
use crate::model::spec::manifest::{MANIFEST_FORMAT, Manifest, MemberSpec, Share};
use crate::model::spec::members::MemberKind;

/// Checks everything in a manifest on which later code relies.
pub(super) fn check(manifest: &Manifest) -> Result<(), BundleError> {
    let wrong = |what: String| Err(BundleError::Manifest(what));
    if manifest.format != MANIFEST_FORMAT {
        return wrong(format!("format {}, this program reads {MANIFEST_FORMAT}", manifest.format));
    }
    if manifest.featurizer != featurizer_version() {
        return wrong(format!("featurizer {}, this program has {}", manifest.featurizer, featurizer_version()));
    }
    let outputs = manifest.schema.outputs.width();
    if outputs == 0 || manifest.families.is_empty() {
        return wrong("it has no outputs, or no families".to_owned());
    }
    let scaling = &manifest.scaling;
    let width = row_width(&manifest.schema, &manifest.features);
    if scaling.row.width() != width || !scaling.row.is_sound() {
        return wrong(format!("the row scaler does not fit {width} features"));
    }
    if scaling.pixels.is_some() != manifest.features.image.is_some()
        || scaling.pixels.as_ref().is_some_and(|scaler| scaler.width() != PIXELS || !scaler.is_sound())
    {
        return wrong(format!("the pixel scaler does not fit {PIXELS} pixels"));
    }
    let targets = match &manifest.schema.outputs {
        Outputs::Classification { .. } => scaling.targets.is_none(),
        Outputs::Regression { .. } => scaling.targets.as_ref().is_some_and(|scaler| {
            let numbers = scaler.mean.iter().chain(&scaler.deviation);
            scaler.mean.len() == outputs && scaler.deviation.len() == outputs && numbers.clone().all(|x| x.is_finite())
        }),
    };
    if !targets {
        return wrong("the target scaler does not fit the outputs".to_owned());
    }
    let sound = |parameter: &Parameter| match &parameter.kind {
        ParameterKind::Numeric { .. } => true,
        ParameterKind::Categorical { levels, default } => {
            !levels.is_empty() && default.as_ref().is_none_or(|level| levels.contains(level))
        }
    };
    if manifest.schema.composition.elements.is_empty() || !manifest.schema.processing.iter().all(sound) {
        return wrong("the schema names no elements, or a parameter's levels do not fit".to_owned());
    }
    if manifest.schema.composition.amounts.as_ref().is_some_and(|amounts| !amounts.is_sound()) {
        return wrong("the distribution of its amounts is no distribution".to_owned());
    }
    for output in 0..outputs {
        if !manifest.members.iter().any(|member| member.outputs.contains(&output)) {
            return wrong(format!("no member gives output {output}"));
        }
    }
    let shares = manifest.families.iter().flat_map(|share| [share.near, share.far]);
    let positive = |pick: fn(&Share) -> f64| manifest.families.iter().map(pick).sum::<f64>() > 0.0;
    if !shares.clone().all(|share| share.is_finite() && share >= 0.0)
        || !positive(|share| share.near)
        || !positive(|share| share.far)
    {
        return wrong("the families' shares are not positive numbers".to_owned());
    }
    let targets = manifest.scaling.targets.as_ref().map_or(0, |targets| targets.mean.len());
    let inputs = |calibration: &Calibration| calibration.inputs.as_ref().is_none_or(|own| own.is_sound(width));
    if manifest.calibration.as_ref().is_some_and(|own| !own.is_sound(targets) || !inputs(own)) {
        return wrong("the calibration does not fit".to_owned());
    }
    if manifest.kinds.as_ref().is_some_and(|kinds| !kinds.is_sound(outputs)) {
        return wrong("the kinds of alloys do not fit".to_owned());
    }
    for (index, member) in manifest.members.iter().enumerate() {
        check_member(manifest, member, width)
            .map_err(|what| BundleError::Manifest(format!("member {index} {what}")))?;
    }
    Ok(())
}

fn check_member(manifest: &Manifest, member: &MemberSpec, width: usize) -> Result<(), String> {
    let outputs = manifest.schema.outputs.width();
    let classes = matches!(manifest.schema.outputs, Outputs::Classification { .. });
    let image = manifest.features.image.is_some();
    let of_all = member.outputs.len() == outputs || !classes;
    let own = member.outputs.len();
    let fits = own > 0 && member.outputs.iter().all(|output| *output < outputs);
    if member.family >= manifest.families.len() || !of_all || !fits {
        return Err("does not fit the schema".to_owned());
    }
    let fits = match &member.model {
        MemberKind::Network(network) => {
            network.check().map_err(|error| error.to_string())?;
            network.row_features == width && network.outputs == own && (network.architecture.image.is_none() || image)
        }
        MemberKind::Gp(gp) => {
            gp.blocks.iter().flatten().all(|column| *column < width)
                && gp.first() > 0
                && gp.inducing_points > 0
                && gp.outputs == own
                && gp.probabilities == classes
                && (gp.components == 0 || image)
        }
        MemberKind::Forest(forest) => {
            forest.row_features == width
                && forest.outputs == own
                && forest.probabilities == classes
                && forest.trees > 0
                && (!forest.image || image)
        }
    };
    if fits { Ok(()) } else { Err("does not fit the features".to_owned()) }
}
